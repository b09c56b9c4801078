//! One transaction of the pool.

use super::PoolError;
use crate::types::{PooledTransaction, RecoveredTransaction, Transaction};
use alloy::consensus::{Transaction as _, transaction::SignerRecoverable};
use alloy::eips::{Decodable2718, Encodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, U256};
use cryptlet_primitives::impersonated_sender;

/// A signed transaction with what the pool needs to know of it.
#[derive(Clone, Debug)]
pub struct PooledEntry {
    transaction: RecoveredTransaction,
    sidecar: Option<Box<BlobTransactionSidecarVariant>>,
    encoded_bytes: usize,
    cost: U256,
    arrival: u64,
}

/// Reads a transaction as wallets send it: EIP-2718 bytes, a blob transaction with its blobs.
pub fn decode_transaction(raw: &[u8]) -> Result<PooledTransaction, PoolError> {
    if raw.is_empty() {
        return Err(PoolError::Malformed("it is empty".to_owned()));
    }
    let mut rest = raw;
    let transaction =
        PooledTransaction::decode_2718(&mut rest).map_err(|error| PoolError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(PoolError::Malformed(format!("{} stray bytes follow it", rest.len())));
    }
    Ok(transaction)
}

impl PooledEntry {
    /// Recovers the sender. `arrival` orders transactions that pay the same.
    pub fn recover(pooled: PooledTransaction, arrival: u64) -> Result<Self, PoolError> {
        // The mark of a transaction that nobody signed is not taken as a signature.
        if impersonated_sender(pooled.signature()).is_some() {
            return Err(PoolError::InvalidSender);
        }
        let sender = pooled.recover_signer().map_err(|_| PoolError::InvalidSender)?;
        Ok(Self::new(pooled, sender, arrival))
    }

    /// A transaction that nobody signed, sent as if its sender had. Its signature is the mark of one
    /// ([`cryptlet_primitives::impersonated_signature`]); any other is recovered like anybody's.
    pub fn impersonated(pooled: PooledTransaction, arrival: u64) -> Result<Self, PoolError> {
        match impersonated_sender(pooled.signature()) {
            Some(sender) => Ok(Self::new(pooled, sender, arrival)),
            None => Self::recover(pooled, arrival),
        }
    }

    fn new(pooled: PooledTransaction, sender: Address, arrival: u64) -> Self {
        let encoded_bytes = pooled.encode_2718_len();
        let (transaction, sidecar) = without_blobs(pooled);
        let transaction = RecoveredTransaction::new_unchecked(transaction, sender);
        let cost = cost_of(&transaction);
        Self { transaction, sidecar, encoded_bytes, cost, arrival }
    }

    /// Did nobody sign it?
    pub fn is_impersonated(&self) -> bool {
        impersonated_sender(self.transaction.signature()).is_some()
    }

    /// The transaction as it would stand in a block, with its sender.
    pub fn transaction(&self) -> &RecoveredTransaction {
        &self.transaction
    }

    /// The blobs of a blob transaction.
    pub fn sidecar(&self) -> Option<&BlobTransactionSidecarVariant> {
        self.sidecar.as_deref()
    }

    /// Hash of the transaction.
    pub fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// Who signed it.
    pub fn sender(&self) -> Address {
        self.transaction.signer()
    }

    /// Its nonce.
    pub fn nonce(&self) -> u64 {
        self.transaction.nonce()
    }

    /// Order of arrival.
    pub fn arrival(&self) -> u64 {
        self.arrival
    }

    /// Bytes of its encoding, blobs included.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    /// Most that it can take from its sender, in wei: value, gas and blobs at their caps.
    pub fn cost(&self) -> U256 {
        self.cost
    }

    /// What it pays the builder per gas at this base fee; `None` if its cap is below the fee.
    pub fn tip_at(&self, base_fee: u64) -> Option<u128> {
        self.transaction.effective_tip_per_gas(base_fee)
    }

    /// Can it pay for its blobs at this price?
    pub fn pays_blobs_at(&self, blob_base_fee: u128) -> bool {
        self.transaction.max_fee_per_blob_gas().is_none_or(|cap| cap >= blob_base_fee)
    }
}

fn cost_of(transaction: &Transaction) -> U256 {
    let gas = U256::from(transaction.max_fee_per_gas()).saturating_mul(U256::from(transaction.gas_limit()));
    let blobs = U256::from(transaction.max_fee_per_blob_gas().unwrap_or_default())
        .saturating_mul(U256::from(transaction.blob_gas_used().unwrap_or_default()));
    transaction.value().saturating_add(gas).saturating_add(blobs)
}

fn without_blobs(pooled: PooledTransaction) -> (Transaction, Option<Box<BlobTransactionSidecarVariant>>) {
    match pooled {
        PooledTransaction::Legacy(signed) => (Transaction::Legacy(signed), None),
        PooledTransaction::Eip2930(signed) => (Transaction::Eip2930(signed), None),
        PooledTransaction::Eip1559(signed) => (Transaction::Eip1559(signed), None),
        PooledTransaction::Eip7702(signed) => (Transaction::Eip7702(signed), None),
        PooledTransaction::Eip4844(signed) => {
            let (with_sidecar, signature, hash) = signed.into_parts();
            let (transaction, sidecar) = with_sidecar.into_parts();
            let signed = alloy::consensus::Signed::new_unchecked(transaction, signature, hash);
            (Transaction::Eip4844(signed), Some(Box::new(sidecar)))
        }
    }
}
