//! Giving out tokens: finds the slot in which a token keeps a balance or an allowance, and writes it.

use super::{Dialect, Group, Registered};
use crate::{
    execute::Watched,
    miner::DevEdit,
    rpc::{Rpc, RpcError},
    service::{CallResult, SimulationRequest},
};
use alloy::{
    eips::BlockId,
    rpc::types::{
        TransactionInput, TransactionRequest,
        state::{AccountOverride, StateOverride},
    },
    sol,
    sol_types::SolCall,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use revm_inspectors::access_list::AccessListInspector;

sol! {
    #[allow(missing_docs)] // ERC-20
    interface Erc20 {
        function balanceOf(address owner) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
    }
}

/// Slots of one call that are tried.
const SLOTS_TRIED_MAX: usize = 64;
/// What a slot is set to, to see whether the token then tells it.
const PROBE: U256 = U256::from_limbs([0x1337, 0, 0, 0]);

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Anvil | Dialect::Hardhat) {
        return Ok(());
    }
    deal(group, "dealERC20")?;
    if group.is(Dialect::Anvil) {
        deal(group, "setERC20Balance")?;
        group.offer_deed("setERC20Allowance", |params, rpc| async move {
            let (owner, spender, token, amount): (Address, Address, Address, U256) = params.parse()?;
            let question = Erc20::allowanceCall { owner, spender }.abi_encode();
            Ok(rpc.set_answer(token, question.into(), amount, "allowance").await?)
        })?;
    }
    Ok(())
}

fn deal(group: &mut Group, name: &str) -> Registered {
    group.offer_deed(name, |params, rpc| async move {
        let (owner, token, balance): (Address, Address, U256) = params.parse()?;
        let question = Erc20::balanceOfCall { owner }.abi_encode();
        Ok(rpc.set_answer(token, question.into(), balance, "balance").await?)
    })
}

impl Rpc {
    /// Makes a token answer a question with this amount, by writing the slot that the answer comes from.
    async fn set_answer(&self, token: Address, question: Bytes, amount: U256, what: &str) -> Result<(), RpcError> {
        for (account, slot) in self.slots_read(token, question.clone()).await? {
            if self.answer_with(token, question.clone(), account, slot).await? == Some(PROBE) {
                let edit = DevEdit::Slot(account, slot.into(), amount);
                return self.node.edit(edit).await.map_err(RpcError::from);
            }
        }
        // anvil's words.
        Err(RpcError::internal(format!("Unable to set ERC20 {what}, no slot found")))
    }

    /// The slots that a call reads, with the accounts whose they are: a token may keep its books elsewhere.
    async fn slots_read(&self, token: Address, question: Bytes) -> Result<Vec<(Address, B256)>, RpcError> {
        let request = SimulationRequest::new(call(token, question), BlockId::pending());
        let inspector = AccessListInspector::new(Default::default());
        let read = |watched: Watched<'_, AccessListInspector>| watched.inspector.access_list();
        let (_, list) = self.in_time(self.node.simulate_watched(request, inspector, read)).await??;
        let slots = list.0.into_iter().flat_map(|item| {
            let address = item.address;
            item.storage_keys.into_iter().map(move |slot| (address, slot))
        });
        Ok(slots.take(SLOTS_TRIED_MAX).collect())
    }

    /// What the token answers if this slot holds the probe.
    async fn answer_with(
        &self,
        token: Address,
        question: Bytes,
        account: Address,
        slot: B256,
    ) -> Result<Option<U256>, RpcError> {
        let mut request = SimulationRequest::new(call(token, question), BlockId::pending());
        let probed = AccountOverride::default().with_state_diff([(slot, B256::from(PROBE))]);
        request.state_overrides = Some(StateOverride::from_iter([(account, probed)]));
        Ok(match self.simulate(request).await?.result {
            CallResult::Success(output) if output.len() == 32 => Some(U256::from_be_slice(&output)),
            _ => None,
        })
    }
}

fn call(token: Address, question: Bytes) -> TransactionRequest {
    TransactionRequest { to: Some(token.into()), input: TransactionInput::new(question), ..Default::default() }
}
