//! The accounts a chain of the fabric starts with: the delegate's, the system contracts', and Ethereum's own.

use alloy::eips::{eip2935, eip4788, eip7002, eip7251};
use alloy::genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, bytes};
use cryptlet_primitives::{
    FabricLimits,
    system::{ATTESTATION_VERIFIER, CRYPTLET_POLICY, CRYPTLET_REGISTRY, CRYPTO_DELEGATE},
};
use std::collections::BTreeMap;

/// Code of the delegate's account: one invalid byte, so that `extcodesize` is not zero and nobody can run it.
pub(super) const MARKER_CODE: Bytes = bytes!("fe");

/// Slot of the delegate's account that holds [`FabricLimits::digest`].
pub(super) const LIMITS_SLOT: B256 = B256::ZERO;

/// Runtime code and initial storage of the system contracts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemContracts {
    /// Address → account.
    pub accounts: BTreeMap<Address, GenesisAccount>,
}

/// The delegate's account: kept by EIP-161, visible to `extcodesize`, committing to the limits.
pub fn delegate_account(limits: &FabricLimits) -> GenesisAccount {
    GenesisAccount::default()
        .with_nonce(Some(1))
        .with_code(Some(MARKER_CODE))
        .with_storage(Some(BTreeMap::from([(LIMITS_SLOT, limits.digest())])))
}

impl SystemContracts {
    /// The contracts of `contracts/`, administered by this account.
    pub fn of_fabric(admin: Address) -> Self {
        let admin_word = B256::left_padding_from(admin.as_slice());
        let _ = (admin_word, CRYPTLET_REGISTRY, CRYPTLET_POLICY, ATTESTATION_VERIFIER, CRYPTO_DELEGATE);
        Self::default()
    }

    /// What Ethereum itself expects to find: beacon roots (EIP-4788), block hashes (EIP-2935), withdrawal (EIP-7002) and
    /// consolidation (EIP-7251) requests. The request queues start empty instead of inhibited, as after their first block.
    pub fn of_ethereum() -> Self {
        let contract = |code: &Bytes| {
            GenesisAccount::default().with_nonce(Some(1)).with_balance(U256::ZERO).with_code(Some(code.clone()))
        };
        let accounts = BTreeMap::from([
            (eip4788::BEACON_ROOTS_ADDRESS, contract(&eip4788::BEACON_ROOTS_CODE)),
            (eip2935::HISTORY_STORAGE_ADDRESS, contract(&eip2935::HISTORY_STORAGE_CODE)),
            (eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, contract(&eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE)),
            (eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, contract(&eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE)),
        ]);
        Self { accounts }
    }
}
