//! `testing_buildBlockV1` (ethereum/execution-apis): the block that would be built on a parent, which nobody stores.

use crate::{
    build::{BlockPlan, Suspension, SuspensionVerdict, Transcripts, assemble},
    execute::{
        BlockAttributes, BodyEffects, Execution, FinishedBlock, RunOutcome, blob_base_fee, next_header, next_slot,
    },
    pool::{PooledEntry, decode_transaction},
    rpc::{Rpc, RpcError},
    types::{Header, Receipt, RecoveredTransaction, Transaction},
};
use alloy::{
    consensus::{Sealed, Transaction as _, transaction::SignerRecoverable},
    eips::{Decodable2718, Encodable2718, eip4895::Withdrawal, eip7594::BlobTransactionSidecarVariant},
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::DevEdits;
use jsonrpsee::{RpcModule, types::Params};
use serde::Deserialize;
use serde_json::{Value, json};

/// Withdrawals of a block (consensus specs: `MAX_WITHDRAWALS_PER_PAYLOAD`).
const WITHDRAWALS_MAX: usize = 16;

/// What the block is built from. In the spec, at first one object and now four parameters; both are taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BuildBlock {
    parent_block_hash: B256,
    payload_attributes: PayloadAttributes,
    /// `None`: from the pool.
    transactions: Option<Vec<Bytes>>,
    extra_data: Option<Bytes>,
}

/// `PayloadAttributesV4` without what only a beacon chain knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PayloadAttributes {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    withdrawals: Option<Vec<Withdrawal>>,
    parent_beacon_block_root: Option<B256>,
    target_gas_limit: Option<U64>,
    slot_number: Option<U64>,
}

/// Every `testing_` method.
pub(in crate::rpc) fn methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    let registered = module.register_async_method("testing_buildBlockV1", |params, rpc, _| async move {
        let request = read(&params)?;
        rpc.search(move |rpc| rpc.build_block(request)).await
    });
    registered.expect("no method is registered twice");
    module.remove_context()
}

fn read(params: &Params<'_>) -> Result<BuildBlock, RpcError> {
    let invalid = |error: jsonrpsee::types::ErrorObjectOwned| {
        let detail = error.data().map_or_else(String::new, |data| format!(": {data}"));
        RpcError::invalid(format!("{}{detail}", error.message()))
    };
    if let Ok(request) = params.one::<BuildBlock>() {
        return Ok(request);
    }
    let mut params = params.sequence();
    let parent_block_hash = params.next().map_err(invalid)?;
    let payload_attributes = params.next().map_err(invalid)?;
    let transactions = params.next().map_err(invalid)?;
    let extra_data = params.optional_next::<Bytes>().map_err(invalid)?;
    Ok(BuildBlock { parent_block_hash, payload_attributes, transactions, extra_data })
}

impl Rpc {
    fn build_block(&self, request: BuildBlock) -> Result<Value, RpcError> {
        let BuildBlock { parent_block_hash, payload_attributes, transactions, extra_data } = request;
        let unknown = || RpcError::invalid(format!("unknown parent block {parent_block_hash}"));
        let parent = self.node.chain().header_by_hash(parent_block_hash)?.ok_or_else(unknown)?;
        let mut header = self.header_to_build(&parent, &payload_attributes)?;
        if let Some(extra) = extra_data {
            if extra.len() > 32 {
                return Err(RpcError::invalid(format!("extraData has {} bytes; at most 32", extra.len())));
            }
            header.extra_data = extra;
        }
        let withdrawals = payload_attributes.withdrawals.unwrap_or_default();
        let built = match transactions {
            Some(transactions) => self.build_from(&parent, header, &withdrawals, transactions)?,
            None => self.build_from_pool(&parent, header, &withdrawals)?,
        };
        Ok(envelope(self, &built))
    }

    fn header_to_build(&self, parent: &Sealed<Header>, attributes: &PayloadAttributes) -> Result<Header, RpcError> {
        let timestamp = attributes.timestamp.to::<u64>();
        if timestamp <= parent.timestamp {
            let after = parent.timestamp;
            return Err(RpcError::invalid(format!("invalid timestamp {timestamp}: the parent's is {after}")));
        }
        let withdrawals = attributes.withdrawals.as_ref().map_or(0, Vec::len);
        if withdrawals > WITHDRAWALS_MAX {
            return Err(RpcError::invalid(format!("{withdrawals} withdrawals; at most {WITHDRAWALS_MAX}")));
        }
        if withdrawals > 0 && !self.node.spec().is_shanghai_active_at_timestamp(timestamp) {
            return Err(RpcError::invalid("withdrawals before Shanghai"));
        }
        let gas_limit = attributes.target_gas_limit.map_or(parent.gas_limit, |target| {
            // EIP-1559: by less than a 1024th from block to block.
            let step = (parent.gas_limit / 1024).saturating_sub(1);
            target.to::<u64>().clamp(parent.gas_limit - step, parent.gas_limit + step)
        });
        let attributes = BlockAttributes {
            timestamp,
            beneficiary: attributes.suggested_fee_recipient,
            prev_randao: attributes.prev_randao,
            gas_limit,
            parent_beacon_block_root: attributes.parent_beacon_block_root.unwrap_or_default(),
            slot_number: attributes.slot_number.map_or_else(|| next_slot(parent), |slot| slot.to()),
        };
        Ok(next_header(self.node.spec(), parent, &attributes))
    }

    /// Exactly these transactions, in this order; the first that does not fit or run is an error.
    fn build_from(
        &self,
        parent: &Sealed<Header>,
        header: Header,
        withdrawals: &[Withdrawal],
        raw: Vec<Bytes>,
    ) -> Result<Built, RpcError> {
        let (spec, chain) = (self.node.spec(), self.node.chain());
        let body = BodyEffects { withdrawals, ..BodyEffects::default() };
        let mut execution = Execution::begin_with(spec, chain, parent, header, self.edits_on(parent), body)?;
        let (mut transactions, mut sidecars) = (Vec::with_capacity(raw.len()), Vec::new());
        for (index, raw) in raw.iter().enumerate() {
            let invalid = |why: &dyn std::fmt::Display| RpcError::invalid(format!("transaction {index}: {why}"));
            let (transaction, sidecar) = decode(raw).map_err(|error| invalid(&error))?;
            match execution.build(&transaction, Vec::new())? {
                RunOutcome::Ran(run) => execution.commit(run)?,
                RunOutcome::Suspended(invocation) => {
                    let cryptlet = invocation.cryptlet();
                    return Err(invalid(&format!("it calls cryptlet {cryptlet}, and a test build asks no host")));
                }
                RunOutcome::DoesNotFit => return Err(invalid(&"it does not fit into the block")),
                RunOutcome::Invalid(why) => return Err(invalid(&why)),
            }
            transactions.push(transaction);
            sidecars.extend(sidecar);
        }
        let block = execution.finish()?.seal(chain, parent, transactions)?;
        Ok(Built { block, sidecars })
    }

    /// The cheats that the next block records, if this is what it follows.
    fn edits_on(&self, parent: &Sealed<Header>) -> DevEdits {
        let is_next = self.node.head().hash == parent.hash();
        let pending = self.node.chain().pending_edits().filter(|_| is_next);
        pending.map(|pending| pending.edits.clone()).unwrap_or_default()
    }

    fn build_from_pool(
        &self,
        parent: &Sealed<Header>,
        header: Header,
        withdrawals: &[Withdrawal],
    ) -> Result<Built, RpcError> {
        let shared = &self.node.shared;
        let blob_fee = blob_base_fee(&shared.spec, &header);
        let candidates = shared.pool.best(header.base_fee_per_gas.unwrap_or_default(), blob_fee);
        let plan = BlockPlan {
            spec: &shared.spec,
            parent,
            chain: &shared.chain,
            header,
            edits: self.edits_on(parent),
            withdrawals,
            transactions_max: shared.config.miner.transactions_per_block_max,
            transaction_bytes_max: shared.config.miner.transaction_bytes_per_block_max,
            allow_empty: true,
        };
        let assembled = assemble(plan, candidates, &mut NoHost)?;
        let block = assembled.block.ok_or_else(|| RpcError::internal("an empty block was allowed and not made"))?;
        let sidecar = |transaction: &Transaction| {
            let entry = self.node.pooled(*transaction.tx_hash())?;
            entry.sidecar().cloned()
        };
        let sidecars = block.executed.block.body.transactions.iter().filter_map(sidecar).collect();
        Ok(Built { block, sidecars })
    }
}

/// A block and the blobs of its transactions, as far as they were given.
struct Built {
    block: FinishedBlock,
    sidecars: Vec<BlobTransactionSidecarVariant>,
}

/// Leaves whatever waits for a cryptlet out.
struct NoHost;

impl Transcripts for NoHost {
    fn transcript(&self, _: B256) -> Vec<RecoveredRecord> {
        Vec::new()
    }

    fn suspended(&mut self, _: Suspension) -> SuspensionVerdict {
        SuspensionVerdict::Parked
    }
}

/// A transaction as wallets send it, or as it stands in a block.
fn decode(raw: &Bytes) -> Result<(RecoveredTransaction, Option<BlobTransactionSidecarVariant>), String> {
    if let Ok(pooled) = decode_transaction(raw) {
        let entry = PooledEntry::recover(pooled, 0).map_err(|error| error.to_string())?;
        return Ok((entry.transaction().clone(), entry.sidecar().cloned()));
    }
    let mut rest = raw.as_ref();
    let transaction = Transaction::decode_2718(&mut rest).map_err(|error| error.to_string())?;
    let sender = transaction.recover_signer().map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} stray bytes follow it", rest.len()));
    }
    Ok((RecoveredTransaction::new_unchecked(transaction, sender), None))
}

/// As `engine_getPayload` answers.
fn envelope(rpc: &Rpc, built: &Built) -> Value {
    let executed = &built.block.executed;
    let header = &executed.block.header;
    let transactions: Vec<Bytes> =
        executed.block.body.transactions.iter().map(|transaction| transaction.encoded_2718().into()).collect();
    let mut payload = json!({
        "parentHash": header.parent_hash,
        "feeRecipient": header.beneficiary,
        "stateRoot": header.state_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "prevRandao": header.mix_hash,
        "blockNumber": U64::from(header.number),
        "gasLimit": U64::from(header.gas_limit),
        "gasUsed": U64::from(header.gas_used),
        "timestamp": U64::from(header.timestamp),
        "extraData": header.extra_data,
        "baseFeePerGas": U256::from(header.base_fee_per_gas.unwrap_or_default()),
        "blockHash": executed.hash,
        "transactions": transactions,
    });
    if let Some(withdrawals) = &executed.block.body.withdrawals {
        payload["withdrawals"] = json!(withdrawals);
    }
    if let Some(used) = header.blob_gas_used {
        payload["blobGasUsed"] = json!(U64::from(used));
        payload["excessBlobGas"] = json!(U64::from(header.excess_blob_gas.unwrap_or_default()));
    }
    if let (Some(slot), Some(list)) = (header.slot_number, &built.block.access_list) {
        payload["slotNumber"] = json!(U64::from(slot));
        payload["blockAccessList"] = json!(list.rlp());
    }
    let mut envelope = json!({
        "executionPayload": payload,
        "blockValue": value(&executed.block.body.transactions, &executed.receipts, header),
        "blobsBundle": bundle(&built.sidecars),
        "shouldOverrideBuilder": false,
    });
    if rpc.node.spec().is_prague_active_at_timestamp(header.timestamp) {
        // EIP-7685: a request without data is left out.
        let requests: Vec<_> = executed.requests.iter().filter(|request| request.len() > 1).collect();
        envelope["executionRequests"] = json!(requests);
    }
    envelope
}

/// What the transactions pay above the base fee, in wei.
fn value(transactions: &[Transaction], receipts: &[Receipt], header: &Header) -> U256 {
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let (mut before, mut value) = (0, U256::ZERO);
    for (transaction, receipt) in transactions.iter().zip(receipts) {
        let gas_used = receipt.cumulative_gas_used() - before;
        before = receipt.cumulative_gas_used();
        let tip = transaction.effective_tip_per_gas(base_fee).unwrap_or_default();
        value += U256::from(gas_used) * U256::from(tip);
    }
    value
}

fn bundle(sidecars: &[BlobTransactionSidecarVariant]) -> Value {
    let (mut commitments, mut proofs, mut blobs) = (Vec::new(), Vec::new(), Vec::new());
    for sidecar in sidecars {
        commitments.extend(sidecar.commitments().iter().map(|commitment| json!(commitment)));
        blobs.extend(sidecar.blobs().iter().map(|blob| json!(blob)));
        match sidecar {
            BlobTransactionSidecarVariant::Eip4844(sidecar) => {
                proofs.extend(sidecar.proofs.iter().map(|proof| json!(proof)));
            }
            BlobTransactionSidecarVariant::Eip7594(sidecar) => {
                proofs.extend(sidecar.cell_proofs.iter().map(|proof| json!(proof)));
            }
        }
    }
    json!({ "commitments": commitments, "proofs": proofs, "blobs": blobs })
}
