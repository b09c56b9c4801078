//! Records: answered invocations, and their form in a block.
//!
//! A block carries its records as one EIP-7685 request of type `0xCD`; `requests_hash` in the header commits to it. The
//! executor derives the request from what execution *consumed*, so a record that is missing, extra, moved or altered gives
//! another hash.

use crate::{
    fabric::{FabricAnswer, UnavailableReason},
    invocation::Invocation,
    signature::Signature65,
    typed_data::{CryptletRequest, CryptletResult, ResultStatus},
};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};

/// EIP-7685 request type of cryptlet records.
pub const CRYPTLET_REQUEST_TYPE: u8 = 0xCD;

/// An answered call, whole: whoever holds it and the registry can check it, with no node and no host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// What was asked.
    pub request: CryptletRequest,
    /// What was answered.
    pub result: CryptletResult,
    /// The bytes behind `result.output_hash`.
    pub output: Bytes,
    /// The instance's signature; [`Signature65::NONE`] if the status is `Unavailable`.
    pub signature: Signature65,
}

/// The records of one transaction, in the order in which execution consumed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
#[serde(rename_all = "camelCase")]
pub struct TransactionRecords {
    /// Index of the transaction in its block.
    pub transaction_index: u64,
    /// Its records; never empty in a block.
    pub records: Vec<Record>,
}

/// All records of a block, by rising transaction index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockRecords(pub Vec<TransactionRecords>);

/// A request of type `0xCD` that is not a list of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordDecodeError {
    /// Not RLP, or not RLP of records.
    #[error("the cryptlet records of the block are not well-formed RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// Bytes behind the list.
    #[error("the cryptlet records of the block are followed by {0} stray bytes")]
    TrailingBytes(usize),
    /// Transactions out of order, or one named twice.
    #[error("the cryptlet records name transaction {second} after transaction {first}; indices must rise")]
    Order {
        /// Index that came first.
        first: u64,
        /// Index that followed.
        second: u64,
    },
    /// A transaction with no records.
    #[error("the cryptlet records name transaction {0} without a record")]
    Empty(u64),
    /// Longer than the chain allows.
    #[error("the cryptlet records take {bytes} bytes; this chain allows {bytes_max} in a block")]
    TooLong {
        /// Bytes seen.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
}

impl Record {
    /// The record of an invocation and its answer. Nothing about the answer is checked here.
    pub fn answered(invocation: &Invocation, answer: FabricAnswer) -> Self {
        let FabricAnswer { result, output, signature } = answer;
        Self { request: invocation.request, result, output, signature }
    }

    /// The record of an invocation that no host answered in time. No one signs it, so but for the reason it is blank.
    pub fn unavailable(invocation: &Invocation, reason: UnavailableReason) -> Self {
        let output = Bytes::from(vec![reason as u8]);
        let result = CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: B256::ZERO,
            keyEpoch: 0,
            status: ResultStatus::Unavailable as u8,
            outputHash: keccak256(&output),
            units: 0,
            observedAt: 0,
            notBefore: 0,
            expires: 0,
        };
        Self { request: invocation.request, result, output, signature: Signature65::NONE }
    }

    /// The status, if it is one this version knows.
    pub fn status(&self) -> Option<ResultStatus> {
        self.result.status.try_into().ok()
    }

    /// Does the result answer this record's own request, and is the output the one that was signed?
    pub fn is_self_consistent(&self) -> bool {
        use alloy_sol_types::SolStruct;
        self.result.requestHash == self.request.eip712_hash_struct()
            && self.result.outputHash == keccak256(&self.output)
    }
}

impl BlockRecords {
    /// Are there none? Then the block carries no request of this type (EIP-7685).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The records of the transaction at this index.
    pub fn of_transaction(&self, transaction_index: u64) -> &[Record] {
        match self.0.binary_search_by_key(&transaction_index, |group| group.transaction_index) {
            Ok(position) => &self.0[position].records,
            Err(_) => &[],
        }
    }

    /// The request's bytes as EIP-7685 has them: type, then data.
    pub fn to_request(&self) -> Bytes {
        let mut bytes = vec![CRYPTLET_REQUEST_TYPE];
        self.0.encode(&mut bytes);
        bytes.into()
    }

    /// Reads the data of a request, without its type byte.
    pub fn from_request_data(mut data: &[u8], bytes_max: usize) -> Result<Self, RecordDecodeError> {
        if data.len() > bytes_max {
            return Err(RecordDecodeError::TooLong { bytes: data.len(), bytes_max });
        }
        let groups = Vec::<TransactionRecords>::decode(&mut data)?;
        if !data.is_empty() {
            return Err(RecordDecodeError::TrailingBytes(data.len()));
        }
        for pair in groups.windows(2) {
            let (first, second) = (pair[0].transaction_index, pair[1].transaction_index);
            if first >= second {
                return Err(RecordDecodeError::Order { first, second });
            }
        }
        if let Some(group) = groups.iter().find(|group| group.records.is_empty()) {
            return Err(RecordDecodeError::Empty(group.transaction_index));
        }
        Ok(Self(groups))
    }
}
