//! How values are written.

use super::{error::StoreError, schema::Table};
use crate::types::Receipt;
use alloy::consensus::{Eip658Value, Receipt as ReceiptFields, TxType};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};

const HAS_CODE: u8 = 0x10;
const HAS_STORAGE: u8 = 0x20;
const NONCE_LENGTH: u8 = 0x0f;

/// Writes an account: a byte of flags and the length of the nonce, the length of the balance, nonce and balance without
/// leading zeros, then code hash and storage root unless they are those of nothing. A plain account takes about 12 bytes.
pub fn encode_account(account: &TrieAccount) -> Vec<u8> {
    let nonce = account.nonce.to_be_bytes();
    let nonce = &nonce[account.nonce.leading_zeros() as usize / 8..];
    let balance = account.balance.to_be_bytes_trimmed_vec();
    let mut bytes = Vec::with_capacity(2 + nonce.len() + balance.len() + 64);
    let mut head = nonce.len() as u8;
    if account.code_hash != KECCAK_EMPTY {
        head |= HAS_CODE;
    }
    if account.storage_root != EMPTY_ROOT_HASH {
        head |= HAS_STORAGE;
    }
    bytes.extend([head, balance.len() as u8]);
    bytes.extend(nonce);
    bytes.extend(balance);
    if head & HAS_CODE != 0 {
        bytes.extend(account.code_hash);
    }
    if head & HAS_STORAGE != 0 {
        bytes.extend(account.storage_root);
    }
    bytes
}

/// Reads what [`encode_account`] wrote.
pub fn decode_account(bytes: &[u8]) -> Option<TrieAccount> {
    let mut rest = bytes;
    let mut take = |length: usize| rest.split_off(..length);
    let &[head, balance_length] = take(2)? else { return None };
    let nonce = take(usize::from(head & NONCE_LENGTH)).filter(|nonce| nonce.len() <= 8)?;
    let nonce = nonce.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let balance = U256::try_from_be_slice(take(usize::from(balance_length))?)?;
    let code_hash = if head & HAS_CODE != 0 { B256::from_slice(take(32)?) } else { KECCAK_EMPTY };
    let storage_root = if head & HAS_STORAGE != 0 { B256::from_slice(take(32)?) } else { EMPTY_ROOT_HASH };
    rest.is_empty().then_some(TrieAccount { nonce, balance, code_hash, storage_root })
}

/// Writes a row of an account's history: the account before, or nothing.
pub fn encode_account_before(before: Option<&TrieAccount>) -> Vec<u8> {
    before.map(encode_account).unwrap_or_default()
}

/// Reads an account from its row, which may be of the `accounts` table or of its history.
pub fn account_of_row(table: Table, key: &[u8], row: Option<Vec<u8>>) -> Result<Option<TrieAccount>, StoreError> {
    match row {
        None => Ok(None),
        Some(bytes) if bytes.is_empty() && table == Table::AccountHistory => Ok(None),
        Some(bytes) => {
            let account = decode_account(&bytes).ok_or_else(|| StoreError::corrupt(table, key, "is not an account"))?;
            Ok(Some(account))
        }
    }
}

/// Writes a slot's value; zero is no bytes.
pub fn encode_word(value: U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

/// Reads a slot's value; no row is zero.
pub fn word_of_row(table: Table, key: &[u8], row: Option<Vec<u8>>) -> Result<U256, StoreError> {
    let Some(bytes) = row else { return Ok(U256::ZERO) };
    U256::try_from_be_slice(&bytes).ok_or_else(|| StoreError::corrupt(table, key, "is longer than a word"))
}

/// Reads a number of 8 bytes.
pub fn number_of_row(table: Table, key: &[u8], row: &[u8]) -> Result<u64, StoreError> {
    let bytes = row.try_into().map_err(|_| StoreError::corrupt(table, key, "is not a number of 8 bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

/// Reads a value that is RLP and nothing behind it.
pub fn rlp_of_row<T: Decodable>(table: Table, key: &[u8], row: &[u8]) -> Result<T, StoreError> {
    alloy_rlp::decode_exact(row)
        .map_err(|error| StoreError::corrupt(table, key, format!("is not well-formed: {error}")))
}

/// A receipt without its bloom, which its logs give again.
#[derive(RlpEncodable, RlpDecodable)]
struct StoredReceipt {
    transaction_type: u8,
    status: Eip658Value,
    cumulative_gas_used: u64,
    logs: Vec<Log>,
}

/// Writes the receipts of a block.
pub fn encode_receipts(receipts: &[Receipt]) -> Vec<u8> {
    let stored: Vec<StoredReceipt> = receipts
        .iter()
        .map(|receipt| {
            let fields = receipt.as_receipt().expect("all variants of the envelope hold a receipt");
            StoredReceipt {
                transaction_type: receipt.tx_type() as u8,
                status: fields.status,
                cumulative_gas_used: fields.cumulative_gas_used,
                logs: fields.logs.clone(),
            }
        })
        .collect();
    let mut bytes = Vec::new();
    stored.encode(&mut bytes);
    bytes
}

/// Reads the receipts of a block.
pub fn decode_receipts(key: &[u8], row: &[u8]) -> Result<Vec<Receipt>, StoreError> {
    let stored: Vec<StoredReceipt> = rlp_of_row(Table::Receipts, key, row)?;
    let receipts = stored.into_iter().map(|receipt| {
        let StoredReceipt { transaction_type, status, cumulative_gas_used, logs } = receipt;
        let kind = TxType::try_from(transaction_type).map_err(|_| {
            StoreError::corrupt(Table::Receipts, key, format!("has a receipt of unknown type {transaction_type}"))
        })?;
        Ok(Receipt::from_typed(kind, ReceiptFields { status, cumulative_gas_used, logs }.with_bloom()))
    });
    receipts.collect()
}

/// What a block changed: accounts, and slots of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedKeys(pub Vec<(Address, Vec<U256>)>);

impl ChangedKeys {
    /// Address, number of slots (4 bytes), slots; and so on.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (address, slots) in &self.0 {
            bytes.extend(address);
            bytes.extend((slots.len() as u32).to_be_bytes());
            bytes.extend(slots.iter().flat_map(|slot| slot.to_be_bytes::<32>()));
        }
        bytes
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut keys = Vec::new();
        while !bytes.is_empty() {
            let address = Address::from_slice(bytes.split_off(..20)?);
            let count = u32::from_be_bytes(bytes.split_off(..4)?.try_into().ok()?) as usize;
            let slots = bytes.split_off(..count.checked_mul(32)?)?.chunks_exact(32).map(U256::from_be_slice).collect();
            keys.push((address, slots));
        }
        Some(Self(keys))
    }
}
