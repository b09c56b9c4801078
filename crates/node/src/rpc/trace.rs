//! Running blocks again to watch their transactions. Cryptlets are answered from the block's own records: a trace of a
//! past block asks no host, and is the same on every node.

use super::{Rpc, RpcError};
use crate::{
    chain_spec::BlockRules,
    execute::{ReceiptMaker, delegate_scope, evm_env},
    state::StateSnapshot,
    store::StoredBlock,
};
use alloy::consensus::Sealed;
use alloy_evm::{
    Evm, FromRecoveredTx,
    block::BlockExecutor,
    eth::{EthBlockExecutionCtx, EthBlockExecutor},
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::B256;
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_delegate::{DelegateContext, DelegateEvm, replay_transaction};
use revm::{
    context::TxEnv,
    database::{State, WrapDatabaseRef},
};
use revm_inspectors::tracing::{DebugInspector, TransactionContext};
use std::borrow::Cow;

/// Steps of one trace of opcodes; more would not fit into a response.
const STEPS_MAX: u64 = 200_000;

type TracedState = State<WrapDatabaseRef<StateSnapshot>>;
type TracedEvm = DelegateEvm<TracedState, DebugInspector>;
type TracedBlock<'a> = EthBlockExecutor<'a, TracedEvm, BlockRules<'a>, ReceiptMaker>;

impl Rpc {
    /// Runs a block up to its last wanted transaction and returns the traces of the wanted ones, in order.
    pub(crate) fn trace_block(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
        options: GethDebugTracingOptions,
    ) -> Result<Vec<(B256, GethTrace)>, RpcError> {
        let Some(last) = (0..block.senders.len()).rev().find(|index| is_wanted(*index)) else { return Ok(Vec::new()) };
        let mut executor = self.traced_block(block, options)?;
        executor.apply_pre_execution_changes().map_err(RpcError::internal)?;
        let records = self.block_records(block)?;
        let domain = self.node.spec().domain();
        let mut traces = Vec::new();
        for (index, transaction) in block.recovered_transactions().enumerate().take(last + 1) {
            let hash = *transaction.tx_hash();
            let of_transaction = records.of_transaction(index as u64).iter().cloned();
            let answers = of_transaction.map(|record| RecoveredRecord::recover(record, &domain)).collect();
            executor.evm_mut().set_inspector_enabled(is_wanted(index));
            // Who was impersonated may be a contract (EIP-3607).
            let is_impersonated = cryptlet_primitives::impersonated_sender(transaction.signature()).is_some();
            executor.evm_mut().ctx_mut().cfg.disable_eip3607 = is_impersonated;
            let run = replay_transaction(&mut executor, hash, answers, |executor| {
                executor.execute_transaction_without_commit(transaction)
            });
            let (result, _) = run.map_err(RpcError::internal)?.include(&mut executor);
            if is_wanted(index) {
                let environment = TxEnv::from_recovered_tx(transaction.inner(), transaction.signer());
                let context =
                    TransactionContext { block_hash: Some(block.hash), tx_index: Some(index), tx_hash: Some(hash) };
                let evm = executor.evm_mut();
                let block_env = evm.block().clone();
                let (state, inspector, _) = evm.components_mut();
                let trace = inspector.get_result(Some(context), &environment, &block_env, &result.result, state);
                traces.push((hash, checked(trace.map_err(RpcError::internal)?)?));
                inspector.fuse().map_err(RpcError::internal)?;
            }
            executor.commit_transaction(result);
        }
        Ok(traces)
    }

    fn traced_block<'a>(
        &'a self,
        block: &'a StoredBlock,
        options: GethDebugTracingOptions,
    ) -> Result<TracedBlock<'a>, RpcError> {
        let (spec, header) = (self.node.spec(), &block.block.header);
        let rules = spec.rules(header);
        let genesis_has_none = || RpcError::refused("genesis is not traceable");
        let parent = header.number.checked_sub(1).ok_or_else(genesis_has_none)?;
        let parent: Sealed<_> = self.node.chain().header(parent)?.ok_or(RpcError::HeaderNotFound)?;
        let state = self.node.chain().state_before_transactions(header.number)?;
        let sealed = state.clone().with_overlay(None);
        let delegate = delegate_scope(spec, &parent, sealed).map(DelegateContext::new).unwrap_or_default();
        let database = State::builder().with_database(WrapDatabaseRef(state)).with_bundle_update().build();
        let inspector = inspector(options)?;
        let evm = DelegateEvm::with_inspector(database, evm_env(spec, header), delegate, inspector, false);
        let withdrawals = block.block.body.withdrawals.as_ref();
        let context = EthBlockExecutionCtx {
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            ommers: &block.block.body.ommers,
            withdrawals: withdrawals
                .filter(|_| rules.is_shanghai_active_at_timestamp(header.timestamp))
                .map(|withdrawals| Cow::Owned(withdrawals.to_vec())),
            extra_data: header.extra_data.clone(),
            tx_count_hint: None,
            slot_number: None,
        };
        Ok(EthBlockExecutor::new(evm, context, rules, ReceiptMaker))
    }
}

/// The inspector that was asked for. It records at most one step more than a trace may have, so that a longer one is
/// noticed.
pub(crate) fn inspector(mut options: GethDebugTracingOptions) -> Result<DebugInspector, RpcError> {
    let asked = options.config.limit.filter(|limit| *limit > 0);
    options.config.limit = Some(asked.unwrap_or(u64::MAX).min(STEPS_MAX + 1));
    DebugInspector::new(options).map_err(|error| RpcError::invalid(error.to_string()))
}

/// Refuses a trace that is too long.
pub(crate) fn checked(trace: GethTrace) -> Result<GethTrace, RpcError> {
    match &trace {
        GethTrace::Default(frame) if frame.struct_logs.len() as u64 > STEPS_MAX => Err(RpcError::LimitExceeded(
            format!("the trace has more than {STEPS_MAX} steps; give a \"limit\", or use the callTracer"),
        )),
        _ => Ok(trace),
    }
}
