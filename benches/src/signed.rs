//! Signed transfers of the test mnemonic's accounts, and of others.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    primitives::{Address, Bytes, TxKind, U256},
    signers::{SignerSync, local::PrivateKeySigner},
};
use anyhow::Result;
use cryptlet_node::chain_spec::{DEV_CHAIN_ID, DEV_KEY_FOLDER, DEV_MNEMONIC, KeyFolder};

/// Whom transfers go to if nothing else is said.
pub(crate) const RECIPIENT: Address = Address::repeat_byte(0x42);

/// Enough for blocks that are full for long: the base fee rises by an eighth with each.
const FEE_PER_GAS_MAX: u128 = 1_000_000_000_000;

/// The first keys of the test mnemonic.
pub(crate) fn keys(count: u32) -> Result<Vec<PrivateKeySigner>> {
    let folder = KeyFolder::open(DEV_MNEMONIC, DEV_KEY_FOLDER)?;
    (0..count).map(|index| Ok(folder.key(index)?)).collect()
}

/// A transfer of 1 wei.
pub(crate) fn transfer(sender: &PrivateKeySigner, nonce: u64, to: Address) -> Result<Bytes> {
    let transfer = TxEip1559 {
        chain_id: DEV_CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: FEE_PER_GAS_MAX,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let signature = sender.sign_hash_sync(&transfer.signature_hash())?;
    Ok(TxEnvelope::from(transfer.into_signed(signature)).encoded_2718().into())
}
