//! Development edits: what a development node's cheats did to the chain, in the block's own record.
//!
//! A block of a chain whose genesis says `config.cryptletDevEdits` may carry one EIP-7685 request of type `0xCE`. Whoever
//! replays the block applies the edits first, so a chain that was cheated on replays like any other, and says so.

use alloy_primitives::{Address, Bytes, Signature, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// EIP-7685 request type of development edits.
pub const DEV_EDITS_REQUEST_TYPE: u8 = 0xCE;

/// Bytes of the edits of one block, at most: what a chain file takes, less room for the block itself.
pub const DEV_EDITS_BYTES_MAX: usize = 24 * 1024 * 1024;

/// What the cheats before a block did, and who was impersonated in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DevEdits {
    /// Accounts that are other than the parent block left them, before anything else of the block happens.
    pub accounts: BTreeMap<Address, AccountEdit>,
    /// Senders of transactions that nobody signed, by index in the block.
    pub impersonated: BTreeMap<u64, Address>,
    /// Base fee of the block, where it is not the one the rules give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_fee_per_gas: Option<u64>,
    /// Gas limit of the block, where it is further from the parent's than the rules allow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_limit: Option<u64>,
}

/// What was set of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountEdit {
    /// The account begins from nothing: what it had, its whole storage included, is gone before the rest is set.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cleared: bool,
    /// Wei.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<U256>,
    /// Nonce of its next transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<u64>,
    /// Code; empty: it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Bytes>,
    /// Slots and their values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<U256, U256>,
}

/// A request of type `0xCE` that is not a set of edits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevEditsError {
    /// Not RLP, or not RLP of edits.
    #[error("the development edits of the block are not well-formed RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// Bytes behind the list.
    #[error("the development edits of the block are followed by {0} stray bytes")]
    TrailingBytes(usize),
    /// Something named twice, or not in rising order.
    #[error("the development edits of the block name {0} out of order or twice")]
    Order(&'static str),
    /// Nothing in it: then the block carries no such request.
    #[error("the development edits of the block are empty")]
    Empty,
    /// Longer than any node takes.
    #[error("the development edits of the block take {bytes} bytes; at most {bytes_max} are taken")]
    TooLong {
        /// Bytes seen.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
}

impl DevEdits {
    /// Is there nothing? Then the block carries no request of this type (EIP-7685).
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.impersonated.is_empty()
            && self.base_fee_per_gas.is_none()
            && self.gas_limit.is_none()
    }

    /// The account's edit, to add to it.
    pub fn account(&mut self, address: Address) -> &mut AccountEdit {
        self.accounts.entry(address).or_default()
    }

    /// These edits and then the others.
    pub fn extend(&mut self, later: Self) {
        for (address, edit) in later.accounts {
            self.account(address).extend(edit);
        }
        self.impersonated.extend(later.impersonated);
        self.base_fee_per_gas = later.base_fee_per_gas.or(self.base_fee_per_gas);
        self.gas_limit = later.gas_limit.or(self.gas_limit);
    }

    /// The request's bytes as EIP-7685 has them: type, then data.
    pub fn to_request(&self) -> Bytes {
        let mut bytes = vec![DEV_EDITS_REQUEST_TYPE];
        Wire::from(self).encode(&mut bytes);
        bytes.into()
    }

    /// Reads the data of a request, without its type byte. There is one way to write given edits; others are refused.
    pub fn from_request_data(mut data: &[u8]) -> Result<Self, DevEditsError> {
        if data.len() > DEV_EDITS_BYTES_MAX {
            return Err(DevEditsError::TooLong { bytes: data.len(), bytes_max: DEV_EDITS_BYTES_MAX });
        }
        let wire = Wire::decode(&mut data)?;
        if !data.is_empty() {
            return Err(DevEditsError::TrailingBytes(data.len()));
        }
        let edits = Self::try_from(wire)?;
        if edits.is_empty() { Err(DevEditsError::Empty) } else { Ok(edits) }
    }

    /// The edits among the requests of a block, if there are any.
    pub fn of_requests<'a>(requests: impl IntoIterator<Item = &'a Bytes>) -> Result<Option<Self>, DevEditsError> {
        let request = requests.into_iter().find(|request| request.first() == Some(&DEV_EDITS_REQUEST_TYPE));
        request.map(|request| Self::from_request_data(&request[1..])).transpose()
    }
}

impl AccountEdit {
    /// This edit and then the other.
    pub fn extend(&mut self, later: Self) {
        if later.is_cleared {
            *self = later;
            return;
        }
        self.balance = later.balance.or(self.balance);
        self.nonce = later.nonce.or(self.nonce);
        self.code = later.code.or(self.code.take());
        self.storage.extend(later.storage);
    }
}

/// The signature on a transaction that nobody signed: `r` names the sender, so that equal transactions of different senders
/// have different hashes, and `s` is a mark. No key is known that signs so, and a node never takes it as a signature.
pub fn impersonated_signature(sender: Address) -> Signature {
    Signature::new(sender.into_word().into(), impersonated_mark(), false)
}

/// Who is named by the signature of a transaction that nobody signed; `None`: it may be a real signature.
pub fn impersonated_sender(signature: &Signature) -> Option<Address> {
    let word = signature.r().to_be_bytes::<32>();
    let sender = Address::from_slice(&word[12..]);
    (*signature == impersonated_signature(sender)).then_some(sender)
}

fn impersonated_mark() -> U256 {
    U256::from_be_slice(b"impersonated")
}

#[derive(RlpEncodable, RlpDecodable)]
struct Wire {
    accounts: Vec<WireAccount>,
    impersonated: Vec<WireSender>,
    base_fee_per_gas: Maybe<u64>,
    gas_limit: Maybe<u64>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct WireAccount {
    address: Address,
    is_cleared: bool,
    balance: Maybe<U256>,
    nonce: Maybe<u64>,
    code: Maybe<Bytes>,
    storage: Vec<WireSlot>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct WireSlot {
    slot: U256,
    value: U256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct WireSender {
    transaction_index: u64,
    sender: Address,
}

/// A list of nothing or one thing: RLP has no word for what is not there.
struct Maybe<T>(Option<T>);

impl<T: Encodable> Encodable for Maybe<T> {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        match &self.0 {
            None => out.put_u8(alloy_rlp::EMPTY_LIST_CODE),
            Some(value) => alloy_rlp::encode_list::<&T, T>(&[value], out),
        }
    }

    fn length(&self) -> usize {
        self.0.as_ref().map_or(1, |value| alloy_rlp::list_length::<&T, T>(&[value]))
    }
}

impl<T: Decodable> Decodable for Maybe<T> {
    fn decode(data: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut inside = alloy_rlp::Header::decode_bytes(data, true)?;
        if inside.is_empty() {
            return Ok(Self(None));
        }
        let value = T::decode(&mut inside)?;
        if inside.is_empty() { Ok(Self(Some(value))) } else { Err(alloy_rlp::Error::UnexpectedLength) }
    }
}

impl From<&DevEdits> for Wire {
    fn from(edits: &DevEdits) -> Self {
        let account = |(address, edit): (&Address, &AccountEdit)| WireAccount {
            address: *address,
            is_cleared: edit.is_cleared,
            balance: Maybe(edit.balance),
            nonce: Maybe(edit.nonce),
            code: Maybe(edit.code.clone()),
            storage: edit.storage.iter().map(|(slot, value)| WireSlot { slot: *slot, value: *value }).collect(),
        };
        let sender = |(index, sender): (&u64, &Address)| WireSender { transaction_index: *index, sender: *sender };
        Self {
            accounts: edits.accounts.iter().map(account).collect(),
            impersonated: edits.impersonated.iter().map(sender).collect(),
            base_fee_per_gas: Maybe(edits.base_fee_per_gas),
            gas_limit: Maybe(edits.gas_limit),
        }
    }
}

impl TryFrom<Wire> for DevEdits {
    type Error = DevEditsError;

    fn try_from(wire: Wire) -> Result<Self, DevEditsError> {
        let mut accounts = Vec::with_capacity(wire.accounts.len());
        for WireAccount { address, is_cleared, balance, nonce, code, storage } in wire.accounts {
            let storage = rising(storage.into_iter().map(|slot| (slot.slot, slot.value)).collect(), "slots")?;
            accounts
                .push((address, AccountEdit { is_cleared, balance: balance.0, nonce: nonce.0, code: code.0, storage }));
        }
        let impersonated = wire.impersonated.into_iter().map(|sender| (sender.transaction_index, sender.sender));
        Ok(Self {
            accounts: rising(accounts, "accounts")?,
            impersonated: rising(impersonated.collect(), "transactions")?,
            base_fee_per_gas: wire.base_fee_per_gas.0,
            gas_limit: wire.gas_limit.0,
        })
    }
}

fn rising<K: Ord, V>(entries: Vec<(K, V)>, what: &'static str) -> Result<BTreeMap<K, V>, DevEditsError> {
    if entries.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
        return Err(DevEditsError::Order(what));
    }
    Ok(entries.into_iter().collect())
}
