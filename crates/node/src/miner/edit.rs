//! What the cheats of a development node may set, and what becomes of the pending edits by it.

use super::MinerError;
use crate::{chain_spec::GAS_LIMIT_MIN, state::StateSnapshot, store::PendingEdits, types::Header};
use alloy_primitives::{Address, B256, Bytes, U256};
use cryptlet_primitives::AccountEdit;
use std::collections::BTreeMap;

/// One thing that is set. It is seen at once, and the next block carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevEdit {
    /// Wei of an account.
    Balance(Address, U256),
    /// Wei on top of what an account has.
    MoreBalance(Address, U256),
    /// Nonce of an account's next transaction.
    Nonce(Address, u64),
    /// Code of an account; empty: none.
    Code(Address, Bytes),
    /// Value of a slot.
    Slot(Address, U256, U256),
    /// All of these accounts.
    Accounts(BTreeMap<Address, AccountEdit>),
    /// Base fee of the next block.
    BaseFee(u64),
    /// Gas limit of the next block, and by the rules of those that follow.
    GasLimit(u64),
    /// Who gets the tips, from the next block on.
    Beneficiary(Address),
    /// What `PREVRANDAO` gives in the next block.
    PrevRandao(B256),
}

impl DevEdit {
    /// Would the rules refuse the block, or its state root be another, if it did not carry this?
    pub(super) fn must_be_recorded(&self) -> bool {
        !matches!(self, Self::Beneficiary(_) | Self::PrevRandao(_))
    }

    /// What this adds to the pending edits. `state` is the state as it is seen now.
    pub(super) fn into_edits(self, state: &StateSnapshot, head: &Header) -> Result<PendingEdits, MinerError> {
        let refuse = |why: String| Err(MinerError::Edit(why));
        let mut pending = PendingEdits::default();
        let PendingEdits { edits, beneficiary, prev_randao } = &mut pending;
        match self {
            Self::Balance(address, balance) => edits.account(address).balance = Some(balance),
            Self::MoreBalance(address, more) => {
                let balance = state.account(address)?.map_or(U256::ZERO, |account| account.balance);
                edits.account(address).balance = Some(balance.saturating_add(more));
            }
            Self::Nonce(address, nonce) => edits.account(address).nonce = Some(nonce),
            Self::Code(address, code) => edits.account(address).code = Some(code),
            Self::Slot(address, slot, value) => {
                edits.account(address).storage.insert(slot, value);
            }
            Self::Accounts(accounts) => edits.accounts = accounts,
            Self::BaseFee(_) if head.base_fee_per_gas.is_none() => {
                return refuse("the chain has no base fee before London".to_owned());
            }
            Self::BaseFee(fee) => edits.base_fee_per_gas = Some(fee),
            Self::GasLimit(limit) if limit < GAS_LIMIT_MIN => {
                return refuse(format!("a block's gas limit is at least {GAS_LIMIT_MIN}; {limit} was asked for"));
            }
            Self::GasLimit(limit) => edits.gas_limit = Some(limit),
            Self::Beneficiary(address) => *beneficiary = Some(address),
            Self::PrevRandao(word) => *prev_randao = Some(word),
        }
        Ok(pending)
    }
}
