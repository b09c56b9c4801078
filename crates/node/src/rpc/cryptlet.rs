//! The `cryptlet_` namespace: what the chain recorded of cryptlets, and what waits for them.

use super::{Rpc, RpcError, registry::CryptletView};
use crate::store::StoredBlock;
use alloy::{eips::BlockId, genesis::Genesis};
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolStruct;
use cryptlet_attestation::{CryptletEntry, InstanceEntry};
use cryptlet_delegate::{
    DatabaseParent, ParentState,
    registry_layout::{read_cryptlet, read_instance},
};
use cryptlet_primitives::{
    BlockRecords, CRYPTLET_REQUEST_TYPE, CryptletId, DevEdits, FabricFault, FabricLimits, Invocation, Record,
    RegistrationId, ResultStatus, UnavailableReason, system,
};
use jsonrpsee::{RpcModule, proc_macros::rpc};
use serde::Serialize;
use serde_json::{Value, json};

/// The records of one transaction, and where it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TransactionRecordsView {
    transaction_hash: B256,
    block_hash: B256,
    block_number: U64,
    transaction_index: U64,
    records: Vec<RecordView>,
}

/// One record: all of it, so that it can be verified by whoever reads it, and what it means.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecordView {
    #[serde(flatten)]
    record: Record,
    /// Position among the transaction's calls, from 0.
    sequence: usize,
    /// `result.status`, in words.
    status: Option<ResultStatus>,
    /// If the status is `unavailable`: why.
    unavailable_reason: Option<UnavailableReason>,
    /// EIP-712 struct hash of `request`.
    request_hash: B256,
    /// EIP-712 digest of `result` in the domain of live results: what the signature is over.
    result_digest: B256,
    /// Address that the signature recovers to.
    recovered_signer: Option<Address>,
    /// The cryptlet, as registered in the parent block's state.
    cryptlet: Option<CryptletEntry>,
    /// The instance, as registered in the parent block's state; `null` if the status is `unavailable`.
    instance: Option<InstanceEntry>,
}

/// A block with everything that replaying it takes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RawBlock {
    /// RLP of the block.
    block: Bytes,
    /// EIP-7685 requests, each with its type byte, in ascending order.
    requests: Vec<Bytes>,
}

/// A transaction that waits for a cryptlet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ParkedTransaction {
    transaction_hash: B256,
    /// The call it waits for; `null` if its answer is there and the next block will have it.
    invocation: Option<Invocation>,
    /// Answers it has got already.
    records: usize,
    /// Attempts that brought no usable answer.
    failed_attempts: u32,
    last_fault: Option<FabricFault>,
    /// Blocks before it may be executed without an answer.
    blocks_left: Option<U64>,
}

#[rpc(server, namespace = "cryptlet")]
pub(crate) trait Cryptlet {
    #[method(name = "getFabric")]
    fn fabric(&self) -> Result<Option<Value>, RpcError>;

    #[method(name = "getRecords")]
    fn records(&self, transaction: B256) -> Result<Option<TransactionRecordsView>, RpcError>;

    #[method(name = "getCryptlet")]
    async fn cryptlet_by(&self, id_or_name: String) -> Result<CryptletView, RpcError>;

    #[method(name = "pending")]
    async fn pending(&self, transaction: B256) -> Result<Option<ParkedTransaction>, RpcError>;

    /// The genesis file the chain was made from.
    #[method(name = "getGenesis")]
    fn genesis(&self) -> Result<Genesis, RpcError>;

    /// A block and its requests, as bytes: what `cryptlet export` writes.
    #[method(name = "getRawBlock")]
    fn raw_block_with_requests(&self, block: BlockId) -> Result<Option<RawBlock>, RpcError>;

    /// What cheats did before a block, and who was impersonated in it; `null` if the block carries nothing of the kind.
    #[method(name = "getDevEdits")]
    fn dev_edits(&self, block: BlockId) -> Result<Option<DevEdits>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl CryptletServer for Rpc {
    fn fabric(&self) -> Result<Option<Value>, RpcError> {
        let spec = self.node.spec();
        let Some(limits) = spec.limits() else { return Ok(None) };
        Ok(Some(json!({
            "chainId": U64::from(spec.chain_id()),
            "genesisHash": spec.genesis_hash(),
            "limits": limits,
            "limitsDigest": limits.digest(),
            "delegate": system::CRYPTO_DELEGATE,
            "registry": system::CRYPTLET_REGISTRY,
            "policy": system::CRYPTLET_POLICY,
            "administrators": system::ADMINISTRATORS,
            "attestationVerifier": system::ATTESTATION_VERIFIER,
            "domain": spec.domain().live(),
            "dryRunDomain": spec.domain().dry_run(),
        })))
    }

    fn records(&self, transaction: B256) -> Result<Option<TransactionRecordsView>, RpcError> {
        let Some((block, index)) = self.find_transaction(transaction)? else { return Ok(None) };
        let records = self.block_records(&block)?;
        let records = records.of_transaction(index as u64).iter().enumerate();
        let parent = DatabaseParent(self.state(Some(block.number().saturating_sub(1).into()))?);
        Ok(Some(TransactionRecordsView {
            transaction_hash: transaction,
            block_hash: block.hash,
            block_number: U64::from(block.number()),
            transaction_index: U64::from(index),
            records: records
                .map(|(sequence, record)| self.record_view(sequence, record, &parent))
                .collect::<Result<_, _>>()?,
        }))
    }

    async fn cryptlet_by(&self, id_or_name: String) -> Result<CryptletView, RpcError> {
        self.find_cryptlet(&id_or_name).await
    }

    async fn pending(&self, transaction: B256) -> Result<Option<ParkedTransaction>, RpcError> {
        let Some(parked) = self.node.parked(transaction).await? else { return Ok(None) };
        let deadline = |invocation: &Invocation| {
            let after = u64::from(self.limits_of_chain().unavailable_after_blocks);
            U64::from((invocation.request.anchorBlock + after).saturating_sub(self.node.head().number))
        };
        Ok(Some(ParkedTransaction {
            transaction_hash: transaction,
            blocks_left: parked.waiting_for.as_ref().map(deadline),
            invocation: parked.waiting_for,
            records: parked.records,
            failed_attempts: parked.failed_attempts,
            last_fault: parked.last_fault,
        }))
    }

    fn genesis(&self) -> Result<Genesis, RpcError> {
        Ok(self.node.spec().genesis().clone())
    }

    fn raw_block_with_requests(&self, block: BlockId) -> Result<Option<RawBlock>, RpcError> {
        let Some(view) = self.block(block)? else { return Ok(None) };
        let requests = self.node.chain().requests(view.number())?.unwrap_or_default();
        Ok(Some(RawBlock { block: alloy_rlp::encode(&view.block).into(), requests: requests.take() }))
    }

    fn dev_edits(&self, block: BlockId) -> Result<Option<DevEdits>, RpcError> {
        if block.is_pending() {
            return Ok(self.node.chain().pending_edits().map(|pending| pending.edits.clone()));
        }
        let number = self.number_of(block)?.ok_or(RpcError::HeaderNotFound)?;
        let requests = self.node.chain().requests(number)?.unwrap_or_default();
        DevEdits::of_requests(requests.iter()).map_err(RpcError::internal)
    }
}

pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    rpc.clone().into_rpc().remove_context()
}

impl Rpc {
    /// The records a block carries as its request of type `0xCD`.
    pub(super) fn block_records(&self, block: &StoredBlock) -> Result<BlockRecords, RpcError> {
        let requests = self.node.chain().requests(block.number())?.unwrap_or_default();
        let request = requests.iter().find(|request| request.first() == Some(&CRYPTLET_REQUEST_TYPE));
        let bytes_max = self.limits_of_chain().record_bytes_per_block_max as usize;
        match request {
            Some(request) => BlockRecords::from_request_data(&request[1..], bytes_max).map_err(RpcError::internal),
            None => Ok(BlockRecords::default()),
        }
    }

    fn limits_of_chain(&self) -> FabricLimits {
        self.node.spec().limits().copied().unwrap_or_default()
    }

    fn record_view(&self, sequence: usize, record: &Record, parent: &dyn ParentState) -> Result<RecordView, RpcError> {
        let status = record.status();
        let reason = record.output.first().and_then(|reason| UnavailableReason::try_from(*reason).ok());
        let digest = record.result.eip712_signing_hash(&self.node.spec().domain().live());
        let unreadable = |error| RpcError::internal(error);
        Ok(RecordView {
            sequence,
            status,
            unavailable_reason: reason.filter(|_| status == Some(ResultStatus::Unavailable)),
            request_hash: record.request.eip712_hash_struct(),
            result_digest: digest,
            recovered_signer: alloy_primitives::Signature::from_raw(record.signature.0.as_slice())
                .ok()
                .and_then(|signature| signature.recover_address_from_prehash(&digest).ok()),
            cryptlet: read_cryptlet(parent, CryptletId(record.request.cryptletId)).map_err(unreadable)?,
            instance: read_instance(parent, RegistrationId(record.result.registrationId)).map_err(unreadable)?,
            record: record.clone(),
        })
    }
}
