//! The rows of the base that one block read, as they are recorded with it.

use super::{Base, BaseAccount, BaseKey, BaseMiss};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use std::collections::BTreeMap;

/// EIP-7685 type of the request that carries [`BaseRows`]: above all others, so that requests stay in ascending order.
pub const BASE_ROWS_REQUEST_TYPE: u8 = 0xCF;

/// Rows of the base. Each was read by the block they belong to, and by no block before it on this chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseRows {
    /// Accounts; `None` does not exist.
    pub accounts: BTreeMap<Address, Option<BaseAccount>>,
    /// Slots, zero ones too.
    pub slots: BTreeMap<(Address, U256), U256>,
    /// Hashes of blocks before the fork block.
    pub block_hashes: BTreeMap<u64, B256>,
}

/// Why rows could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseRowsError {
    /// Not RLP, or of another shape.
    #[error("the rows of the forked chain are not well-formed: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// Twice the same, or not in order: there must be one way to write the same rows.
    #[error("the rows of the forked chain are not in strictly ascending order")]
    Order,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EncodedRows {
    accounts: Vec<EncodedAccount>,
    slots: Vec<EncodedSlot>,
    block_hashes: Vec<EncodedHash>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EncodedAccount {
    address: Address,
    /// An account with nothing in it stands for one that does not exist: since EIP-161 there is no difference.
    nonce: u64,
    balance: U256,
    code: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EncodedSlot {
    address: Address,
    slot: U256,
    value: U256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct EncodedHash {
    number: u64,
    hash: B256,
}

impl BaseRows {
    /// Is there nothing to record?
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.slots.is_empty() && self.block_hashes.is_empty()
    }

    /// The request: type byte, then RLP of `[accounts, slots, block hashes]`, each in ascending order.
    pub fn to_request(&self) -> Bytes {
        let accounts = self.accounts.iter().map(|(address, account)| {
            let BaseAccount { nonce, balance, code } = account.clone().unwrap_or_default();
            EncodedAccount { address: *address, nonce, balance, code }
        });
        let slots = self.slots.iter();
        let slots = slots.map(|((address, slot), value)| EncodedSlot { address: *address, slot: *slot, value: *value });
        let hashes = self.block_hashes.iter().map(|(number, hash)| EncodedHash { number: *number, hash: *hash });
        let rows = EncodedRows { accounts: accounts.collect(), slots: slots.collect(), block_hashes: hashes.collect() };
        let mut request = vec![BASE_ROWS_REQUEST_TYPE];
        alloy_rlp::Encodable::encode(&rows, &mut request);
        request.into()
    }

    /// Reads the request's data (behind the type byte).
    pub fn from_request_data(mut data: &[u8]) -> Result<Self, BaseRowsError> {
        let EncodedRows { accounts, slots, block_hashes } = EncodedRows::decode(&mut data)?;
        if !data.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        let is_ordered = accounts.is_sorted_by(|a, b| a.address < b.address)
            && slots.is_sorted_by(|a, b| (a.address, a.slot) < (b.address, b.slot))
            && block_hashes.is_sorted_by(|a, b| a.number < b.number);
        if !is_ordered {
            return Err(BaseRowsError::Order);
        }
        let account = |encoded: EncodedAccount| {
            let EncodedAccount { address, nonce, balance, code } = encoded;
            let account = BaseAccount { nonce, balance, code };
            (address, (!account.is_empty()).then_some(account))
        };
        Ok(Self {
            accounts: accounts.into_iter().map(account).collect(),
            slots: slots.into_iter().map(|row| ((row.address, row.slot), row.value)).collect(),
            block_hashes: block_hashes.into_iter().map(|row| (row.number, row.hash)).collect(),
        })
    }
}

/// The base of a block that is replayed: what it brought, and nothing else.
impl Base for BaseRows {
    fn account(&self, address: Address) -> Result<Option<BaseAccount>, BaseMiss> {
        self.accounts.get(&address).cloned().ok_or(BaseMiss(BaseKey::Account(address)))
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, BaseMiss> {
        self.slots.get(&(address, slot)).copied().ok_or(BaseMiss(BaseKey::Slot(address, slot)))
    }

    fn block_hash(&self, number: u64) -> Result<B256, BaseMiss> {
        self.block_hashes.get(&number).copied().ok_or(BaseMiss(BaseKey::BlockHash(number)))
    }

    fn code(&self, hash: B256) -> Option<Bytes> {
        let codes = self.accounts.values().flatten().map(|account| &account.code);
        codes.into_iter().find(|code| keccak256(code) == hash).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> BaseRows {
        let account = BaseAccount { nonce: 1, balance: U256::from(7), code: Bytes::from_static(&[0x60, 0]) };
        BaseRows {
            accounts: [(Address::with_last_byte(1), Some(account)), (Address::with_last_byte(2), None)].into(),
            slots: [((Address::with_last_byte(1), U256::from(3)), U256::from(9))].into(),
            block_hashes: [(5, B256::with_last_byte(6))].into(),
        }
    }

    #[test]
    fn rows_are_read_back_as_they_were_written() {
        let request = rows().to_request();
        assert_eq!(request[0], BASE_ROWS_REQUEST_TYPE);
        assert_eq!(BaseRows::from_request_data(&request[1..]), Ok(rows()));
    }

    #[test]
    fn rows_that_are_doubled_or_followed_by_more_are_refused() {
        let request = rows().to_request();
        let longer = [&request[1..], &[0]].concat();
        assert!(matches!(BaseRows::from_request_data(&longer), Err(BaseRowsError::Rlp(_))));
        let slot = || EncodedSlot { address: Address::ZERO, slot: U256::ZERO, value: U256::ZERO };
        let doubled = EncodedRows { accounts: vec![], slots: vec![slot(), slot()], block_hashes: vec![] };
        assert_eq!(BaseRows::from_request_data(&alloy_rlp::encode(doubled)), Err(BaseRowsError::Order));
    }

    #[test]
    fn a_row_that_a_block_did_not_bring_is_named() {
        let miss = rows().slot(Address::with_last_byte(1), U256::from(4)).expect_err("it is not there");
        assert!(super::super::is_miss(&miss.to_string()), "{miss}");
        assert!(miss.to_string().contains("slot 0x4"), "{miss}");
    }
}
