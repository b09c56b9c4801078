//! The block executor: alloy-evm's, with the delegate in its EVM.

use super::{
    access_list,
    blame::{delegate_fault, execution_fault, storage_fault},
    dao,
    environment::{BodyEffects, anchor, delegate_scope, edited_state, evm_env, recorded_state},
    fault::{BlockFault, FaultReason},
    finished::FinishedExecution,
    intermediate::{IntermediateRoots, changes_of_transaction},
    occupied::has_storage,
    watched::{BlockState, Watched},
};
use crate::{
    chain_spec::{BlockRules, ChainSpec},
    fork::{BaseRows, Recording},
    state::{StateChanges, StateSnapshot},
    store::ChainStore,
    types::{Header, Receipt, RecoveredTransaction, Transaction},
};
use alloy::consensus::{Eip658Value, Sealed, Transaction as _, TxType};
use alloy_evm::{
    Evm, FromRecoveredTx,
    block::{BlockExecutionError, BlockExecutor, BlockValidationError},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutor, EthTxResult,
        receipt_builder::{ReceiptBuilder, ReceiptBuilderCtx},
    },
};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_delegate::{
    BuildOutcome, DelegateContext, DelegateEvm, DelegateEvmContext, DelegateScope, Executed, ReplayError, Transcript,
    build_transaction, replay_transaction,
};
use cryptlet_primitives::{BlockRecords, DevEdits, Invocation, Record, TransactionRecords, impersonated_sender};
use revm::{
    Inspector,
    context::TxEnv,
    context_interface::{Cfg, result::HaltReason},
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    inspector::NoOpInspector,
};
use std::{borrow::Cow, sync::Arc};

type Inner<'a, I> = EthBlockExecutor<'a, DelegateEvm<BlockState, I>, BlockRules<'a>, ReceiptMaker>;

/// A run that came to its end and has not been committed.
pub type TransactionRun = Executed<EthTxResult<HaltReason, TxType>>;

/// One block, being executed; by default with nobody watching.
pub struct Execution<'a, I = NoOpInspector> {
    spec: &'a ChainSpec,
    header: Header,
    blob_gas_max: u64,
    inner: Inner<'a, I>,
    records: BlockRecords,
    edits: DevEdits,
    /// What the edits make of the parent's state. The transactions run on top of it.
    edited: Option<StateChanges>,
    /// Before Byzantium, where receipts carry state roots.
    roots: Option<IntermediateRoots>,
    /// What is read of the chain that was forked, and the parent's state.
    base: Option<(Arc<Recording>, StateSnapshot)>,
}

/// How a run of a transaction ended while a block is built.
#[derive(Debug)]
pub enum RunOutcome {
    /// It ran to its end. [`Execution::commit`] makes it part of the block.
    Ran(TransactionRun),
    /// It calls a cryptlet, and the transcript has no answer. Nothing has happened.
    Suspended(Box<Invocation>),
    /// It does not fit into what is left of the block, but may fit into another.
    DoesNotFit,
    /// It cannot be executed on this state at all (nonce, funds…).
    Invalid(String),
}

impl<'a> Execution<'a> {
    /// Opens a block without uncles and withdrawals after `parent`, and makes the system calls that come before its
    /// transactions. Of `header` the fields are used that are known before execution.
    pub fn begin(
        spec: &'a ChainSpec,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        header: Header,
    ) -> Result<Self, BlockFault> {
        Self::begin_edited(spec, chain, parent, header, DevEdits::default())
    }

    /// The same for a block that carries development edits: they are made on the parent's state before anything else.
    /// The delegate goes on reading its registry as the parent left it.
    pub fn begin_edited(
        spec: &'a ChainSpec,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        header: Header,
        edits: DevEdits,
    ) -> Result<Self, BlockFault> {
        Self::begin_with(spec, chain, parent, header, edits, BodyEffects::default())
    }

    /// The same with uncles and withdrawals.
    pub(crate) fn begin_with(
        spec: &'a ChainSpec,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        header: Header,
        edits: DevEdits,
        body: BodyEffects<'a>,
    ) -> Result<Self, BlockFault> {
        Self::begin_watched(spec, chain, parent, header, edits, body, NoOpInspector {})
    }
}

impl<'a, I: Inspector<DelegateEvmContext<BlockState>>> Execution<'a, I> {
    /// The same with an inspector, which sees only what [`replay_watched`](Self::replay_watched) runs.
    pub(crate) fn begin_watched(
        spec: &'a ChainSpec,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        header: Header,
        edits: DevEdits,
        body: BodyEffects<'a>,
        inspector: I,
    ) -> Result<Self, BlockFault> {
        let number = header.number;
        let state = chain.state_at(parent.number).map_err(|error| storage_fault(number, &error))?;
        let (state, base) = recorded_state(spec, chain, state, body.base_rows);
        let delegate =
            delegate_scope(spec, anchor(parent), state.clone()).map(DelegateContext::new).unwrap_or_default();
        let rules = spec.rules(&header);
        let mut roots = match rules.is_byzantium_active_at_block(number) {
            true => None,
            false => Some(IntermediateRoots::begin(chain, &state).map_err(|error| storage_fault(number, &error))?),
        };
        let (state, edited) = edited_state(number, state, &edits)?;
        if let (Some(roots), Some(edited)) = (&mut roots, &edited) {
            roots.advance(edited).map_err(|error| storage_fault(number, &error))?;
        }
        let mut database = State::builder().with_database(WrapDatabaseRef(state)).with_bundle_update().build();
        if spec.ethereum_fork_activation(EthereumHardfork::Dao).transitions_at_block(number) {
            let unread = |error: dao::Fault| BlockFault::of_block(number, FaultReason::Storage(error.to_string()));
            let moved = dao::move_balances(&mut database).map_err(unread)?;
            if let Some(roots) = &mut roots {
                roots.advance(&moved).map_err(|error| storage_fault(number, &error))?;
            }
        }
        if rules.is_amsterdam_active_at_timestamp(header.timestamp) {
            access_list::begin(&mut database);
        }
        let evm = DelegateEvm::with_inspector(database, evm_env(spec, &header), delegate, inspector, false)
            .with_storage_look(has_storage);
        let context = EthBlockExecutionCtx {
            parent_hash: parent.hash(),
            parent_beacon_block_root: header.parent_beacon_block_root,
            ommers: body.uncles,
            withdrawals: rules
                .is_shanghai_active_at_timestamp(header.timestamp)
                .then_some(Cow::Borrowed(body.withdrawals)),
            extra_data: header.extra_data.clone(),
            tx_count_hint: None,
            slot_number: header.slot_number,
        };
        let mut inner = EthBlockExecutor::new(evm, context, rules, ReceiptMaker);
        inner.apply_pre_execution_changes().map_err(|error| execution_fault(number, None, error))?;
        let blob_gas_max = spec.blob_params_at(header.timestamp).map_or(0, |params| params.max_blob_gas_per_block());
        Ok(Self { spec, header, blob_gas_max, inner, records: BlockRecords::default(), edits, edited, roots, base })
    }

    /// Is there gas left in the block for a transaction with this gas limit?
    pub fn has_gas_for(&self, gas_limit: u64) -> bool {
        let cfg = &self.inner.evm().cfg;
        if !cfg.enable_amsterdam_eip8037 {
            return gas_limit <= self.header.gas_limit - self.inner.cumulative_tx_gas_used;
        }
        // EIP-8037: what is put into the state is counted apart, and only the rest of the gas is capped (EIP-7825).
        let regular_left = self.header.gas_limit.saturating_sub(self.inner.block_regular_gas_used);
        let state_left = self.header.gas_limit.saturating_sub(self.inner.block_state_gas_used);
        gas_limit.min(cfg.tx_gas_limit_cap()) <= regular_left && gas_limit <= state_left
    }

    /// Blob gas that no transaction has used yet.
    pub fn blob_gas_left(&self) -> u64 {
        self.blob_gas_max.saturating_sub(self.inner.blob_gas_used)
    }

    /// Runs a transaction that may go into the block, against the records it has so far.
    pub fn build(
        &mut self,
        transaction: &RecoveredTransaction,
        records: Vec<RecoveredRecord>,
    ) -> Result<RunOutcome, BlockFault> {
        let (number, index) = (self.header.number, self.next_index());
        self.let_contracts_send(transaction);
        let mut transcript = Transcript::from_answers(records);
        let outcome = build_transaction(&mut self.inner, *transaction.tx_hash(), &mut transcript, |inner| {
            inner.execute_transaction_without_commit(transaction)
        });
        match outcome {
            // The block's budget for cryptlets is spent; the next block's is not.
            BuildOutcome::Finished(run) if run.budget_refusals > 0 && !self.records.is_empty() => {
                Ok(RunOutcome::DoesNotFit)
            }
            BuildOutcome::Finished(run) => Ok(RunOutcome::Ran(run)),
            BuildOutcome::Suspended(suspension) => {
                if let Some(stale) = &suspension.stale {
                    tracing::debug!(transaction = %transaction.tx_hash(), %stale, "a record no longer holds");
                }
                Ok(RunOutcome::Suspended(Box::new(suspension.invocation)))
            }
            BuildOutcome::Failed(error) => Err(delegate_fault(number, index, transaction, error)),
            BuildOutcome::Invalid(error) => match error {
                BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. }) => {
                    Ok(RunOutcome::Invalid(error.to_string()))
                }
                BlockExecutionError::Validation(
                    BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas { .. },
                ) => Ok(RunOutcome::DoesNotFit),
                error => Err(execution_fault(number, Some((index, transaction)), error)),
            },
        }
    }

    /// Makes a run part of the block. Only before Byzantium can it fail: its receipt then needs a state root.
    pub fn commit(&mut self, run: TransactionRun) -> Result<(), BlockFault> {
        let transaction_index = self.next_index();
        let (result, records) = run.include(&mut self.inner);
        let records: Vec<Record> = records.into_iter().map(RecoveredRecord::into_record).collect();
        if !records.is_empty() {
            self.records.0.push(TransactionRecords { transaction_index, records });
        }
        let root = match &mut self.roots {
            Some(roots) => {
                let number = self.header.number;
                let changes = changes_of_transaction(&result.result.state);
                Some(roots.advance(&changes).map_err(|error| storage_fault(number, &error))?)
            }
            None => None,
        };
        access_list::set_transaction(self.inner.evm_mut().db_mut(), transaction_index);
        self.inner.commit_transaction(result);
        // There were no typed transactions yet.
        if let (Some(root), Some(Receipt::Legacy(receipt))) = (root, self.inner.receipts.last_mut()) {
            receipt.receipt.status = Eip658Value::PostState(root);
        }
        Ok(())
    }

    /// Runs the next transaction of a given block against the records that came with the block, and commits it.
    pub fn replay(
        &mut self,
        transaction: &RecoveredTransaction,
        records: Vec<RecoveredRecord>,
    ) -> Result<(), BlockFault> {
        let run = self.replay_once(transaction, records)?;
        self.commit(run)
    }

    /// Does the same under the eyes of the inspector. `read` sees what it saw before the transaction is committed.
    pub fn replay_watched<R>(
        &mut self,
        transaction: &RecoveredTransaction,
        records: Vec<RecoveredRecord>,
        read: impl FnOnce(Watched<'_, I>) -> R,
    ) -> Result<R, BlockFault> {
        self.inner.evm_mut().set_inspector_enabled(true);
        let run = self.replay_once(transaction, records);
        self.inner.evm_mut().set_inspector_enabled(false);
        let run = run?;
        let environment = TxEnv::from_recovered_tx(transaction.inner(), transaction.signer());
        let evm = self.inner.evm_mut();
        let block = evm.block().clone();
        let (state, inspector, _) = evm.components_mut();
        let result = &run.value.result;
        let read = read(Watched { inspector, transaction: &environment, block: &block, result, state });
        self.commit(run)?;
        Ok(read)
    }

    fn replay_once(
        &mut self,
        transaction: &RecoveredTransaction,
        records: Vec<RecoveredRecord>,
    ) -> Result<TransactionRun, BlockFault> {
        let (number, index) = (self.header.number, self.next_index());
        let blob_gas = transaction.blob_gas_used().unwrap_or_default();
        if blob_gas > self.blob_gas_left() {
            let reason = FaultReason::BlobGasExhausted { blob_gas, blob_gas_left: self.blob_gas_left() };
            return Err(BlockFault::of_transaction(number, index, Some(*transaction.tx_hash()), reason));
        }
        self.let_contracts_send(transaction);
        let run = replay_transaction(&mut self.inner, *transaction.tx_hash(), records, |inner| {
            inner.execute_transaction_without_commit(transaction)
        });
        run.map_err(|error| match error {
            ReplayError::Delegate(error) => delegate_fault(number, index, transaction, error),
            ReplayError::Transaction(error) => execution_fault(number, Some((index, transaction)), error),
        })
    }

    /// Changes what the delegate knows of the block. To be called before the first transaction.
    pub(super) fn set_delegate_scope(&mut self, scope: DelegateScope) {
        self.inner.evm_mut().ctx_mut().chain = DelegateContext::new(scope);
    }

    /// The state as the transactions so far have left it, for whoever wants to run something else there.
    pub fn state_mut(&mut self) -> &mut BlockState {
        self.inner.evm_mut().db_mut()
    }

    /// What the block has done to the parent's state so far.
    pub(super) fn changes_so_far(&mut self) -> StateChanges {
        let state = self.inner.evm_mut().db_mut();
        state.merge_transitions(BundleRetention::PlainState);
        let changes = StateChanges::from_bundle(&state.bundle_state);
        match &self.edited {
            None => changes,
            Some(edited) => edited.clone().then(&changes),
        }
    }

    /// Makes the system calls that come after the transactions, and derives what the header commits to.
    pub fn finish(self) -> Result<FinishedExecution, BlockFault> {
        self.finish_with_state().map(|(finished, _)| finished)
    }

    /// The same, with the state it ends in: whoever wants to know what the block has read looks into its cache.
    pub fn finish_with_state(self) -> Result<(FinishedExecution, BlockState), BlockFault> {
        let transactions = self.next_index();
        let Self { spec, header, mut inner, records, edits, edited, base, .. } = self;
        let number = header.number;
        access_list::set_transaction(inner.evm_mut().db_mut(), transactions);
        let withdrawals = inner.ctx.withdrawals.as_deref().map(|paid| paid.to_vec().into());
        let (evm, result) = inner.finish().map_err(|error| execution_fault(number, None, error))?;
        let mut requests = result.requests;
        if !records.is_empty() {
            // 0xCD is above every type that Ethereum has, so the order stays ascending.
            requests.push_request(records.to_request());
        }
        let (mut database, _) = evm.finish();
        let access_list = access_list::take(&mut database);
        database.merge_transitions(BundleRetention::PlainState);
        let changes = StateChanges::from_bundle(&database.take_bundle());
        let changes = match edited {
            None => changes,
            Some(edited) => edited.then(&changes),
        };
        let (base_rows, changes) = match base {
            None => (BaseRows::default(), changes),
            Some((recording, parent)) => {
                let rows = recording.rows();
                let taken_over = rows.changes(&parent).map_err(|error| storage_fault(number, &error))?;
                (rows, taken_over.then(&changes))
            }
        };
        let rules = spec.rules(&header);
        let finished = FinishedExecution {
            is_prague: rules.is_prague_active_at_timestamp(header.timestamp),
            header,
            receipts: result.receipts,
            requests,
            records,
            edits,
            withdrawals,
            base_rows,
            access_list,
            gas_used: result.gas_used,
            blob_gas_used: result.blob_gas_used,
            changes,
        };
        Ok((finished, database))
    }

    /// EIP-3607 keeps contracts from sending because nobody can have their key; who is impersonated needs none.
    fn let_contracts_send(&mut self, transaction: &RecoveredTransaction) {
        let is_impersonated = impersonated_sender(transaction.signature()).is_some();
        self.inner.evm_mut().ctx_mut().cfg.disable_eip3607 = is_impersonated;
    }

    fn next_index(&self) -> u64 {
        self.inner.receipts.len() as u64
    }
}

/// Receipts as this node keeps them.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReceiptMaker;

impl ReceiptBuilder for ReceiptMaker {
    type Transaction = Transaction;
    type Receipt = Receipt;

    fn build_receipt<E: Evm>(&self, context: ReceiptBuilderCtx<'_, TxType, E>) -> Receipt {
        let receipt = alloy::consensus::Receipt {
            status: Eip658Value::Eip658(context.result.is_success()),
            cumulative_gas_used: context.cumulative_gas_used,
            logs: context.result.into_logs(),
        };
        Receipt::from_typed(context.tx_type, receipt.with_bloom())
    }
}
