//! Executing a sequence.

use super::{
    SequenceError, SequenceRequest, SimulatedBlock, SimulatedCall,
    calls::{self, Defaults},
    logs::CallLogs,
    plan::{PlannedBlock, plan},
};
use crate::{
    execute::{
        BlockState, access_list, anchor, delegate_scope, evm_env, has_storage, next_base_fee, next_excess_blob_gas,
        next_slot,
    },
    service::{
        answering, overrides,
        place::{place, states, storage, unreadable},
        rehearse::unstable,
        simulate::SimulationError,
        stage::call_result,
        start::Shared,
        words,
    },
    state::{StateChanges, StateSnapshot},
    types::{Block, Header, Receipt, Transaction},
};
use alloy::{
    consensus::{
        BlockBody, EMPTY_OMMER_ROOT_HASH, Eip658Value, Sealed, Transaction as _, TxReceipt, Typed2718,
        proofs::{calculate_receipt_root, calculate_transaction_root},
    },
    eips::eip7685::Requests,
    rpc::types::TransactionRequest,
};
use alloy_evm::{
    Evm, FromRecoveredTx,
    block::{BlockExecutionError, SystemCaller, state_changes::post_block_balance_increments},
    eth::eip6110,
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, Bloom};
use cryptlet_delegate::{
    DelegateContext, DelegateEvm, DelegateScope, MovedPrecompiles, Rehearsal, SimulateOutcome, SimulationGas,
    simulate_transaction,
};
use revm::{
    Database, DatabaseCommit,
    context::TxEnv,
    context_interface::{
        block::BlobExcessGasAndPrice,
        result::{EVMError, HaltReason, InvalidTransaction, ResultAndState},
    },
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    database_interface::DatabaseCommitExt,
    handler::EthPrecompiles,
};
use std::time::Instant;
use tokio::runtime::Handle;

type SequenceEvm = DelegateEvm<BlockState, CallLogs>;

/// A sequence that runs. Keeps a thread busy.
pub(in crate::service) struct Sequence<'a> {
    shared: &'a Shared,
    base: Sealed<Header>,
    state: StateSnapshot,
    scope: Option<DelegateScope>,
    validation: bool,
    trace_transfers: bool,
    /// Gas that the calls still to come may use.
    gas_left: u64,
    deadline: Instant,
}

impl<'a> Sequence<'a> {
    /// Finds the state to start from.
    pub(super) fn open(
        shared: &'a Shared,
        request: &SequenceRequest,
        deadline: Instant,
    ) -> Result<Self, SequenceError> {
        let (base, _) = place(shared, request.base)?;
        let (state, sealed) = states(shared, base.number)?;
        let scope = delegate_scope(&shared.spec, anchor(&base), sealed);
        Ok(Self {
            shared,
            base,
            state,
            scope,
            validation: request.validation,
            trace_transfers: request.trace_transfers,
            gas_left: shared.config.simulation.gas_max,
            deadline,
        })
    }

    /// Executes the blocks one after the other.
    pub(super) fn run(
        mut self,
        request: SequenceRequest,
        runtime: &Handle,
    ) -> Result<Vec<SimulatedBlock>, SequenceError> {
        let planned = plan(self.base.number, self.base.timestamp, request.blocks)?;
        let state = WrapDatabaseRef(self.state.clone());
        let mut database = State::builder().with_database(state).with_bundle_update().build();
        let mut parent = self.base.clone();
        let mut simulated = Vec::with_capacity(planned.len());
        for block in planned {
            let (done, after) = self.block(database, &parent, block, runtime)?;
            database = after;
            database.block_hashes.insert(done.block.header.number, done.hash);
            parent = Sealed::new_unchecked(done.block.header.clone(), done.hash);
            simulated.push(done);
        }
        Ok(simulated)
    }

    fn block(
        &mut self,
        mut database: BlockState,
        parent: &Sealed<Header>,
        planned: PlannedBlock,
        runtime: &Handle,
    ) -> Result<(SimulatedBlock, BlockState), SequenceError> {
        self.check_time()?;
        let spec = &self.shared.spec;
        let header = self.header_before(parent, &planned);
        let mut env = evm_env(spec, &header);
        env.cfg_env.disable_nonce_check = !self.validation;
        // Anybody may be pretended to be, contracts included, and with as much gas as the request has.
        env.cfg_env.disable_eip3607 = true;
        env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
        if let Some(price) = planned.block.block_overrides.blob_base_fee {
            let excess_blob_gas = header.excess_blob_gas.unwrap_or_default();
            let blob_gasprice = price.saturating_to();
            env.block_env.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
        }
        let mut precompiles = MovedPrecompiles::new(EthPrecompiles::new(env.cfg_env.spec).warm_addresses());
        if let Some(wanted) = planned.block.state_overrides {
            overrides::move_precompiles(&wanted, &mut precompiles)?;
            overrides::apply(wanted, &mut database)?;
        }
        let amsterdam = spec.is_amsterdam_active_at_timestamp(header.timestamp);
        if amsterdam {
            access_list::begin(&mut database);
        }
        let delegate = self.scope.clone().map(DelegateContext::new).unwrap_or_default();
        let logs = CallLogs::new(self.trace_transfers);
        let mut evm = DelegateEvm::with_inspector(database, env, delegate, logs, true).with_storage_look(has_storage);
        evm.components_mut().2.set_moved(precompiles);
        let mut system = SystemCaller::new(&**spec);
        system.apply_pre_execution_changes(&header, &mut evm).map_err(system_call)?;

        let mut body = Executed::default();
        for (index, call) in (0..).zip(planned.block.calls) {
            access_list::set_transaction(evm.components_mut().0, index);
            self.call(&mut evm, &header, &mut body, call, runtime)?;
        }

        access_list::set_transaction(evm.components_mut().0, body.receipts.len() as u64);
        let requests = match spec.is_prague_active_at_timestamp(header.timestamp) {
            true => Some(self.requests(&mut system, &mut evm, &body.receipts)?),
            false => None,
        };
        let shanghai = spec.is_shanghai_active_at_timestamp(header.timestamp);
        let withdrawals = shanghai.then(|| planned.block.withdrawals.unwrap_or_default());
        let ommers: &[Header] = &[];
        let increments = post_block_balance_increments(
            spec.rules(&header),
            evm.block(),
            ommers,
            withdrawals.as_ref().map(|withdrawals| withdrawals.as_slice()),
        );
        evm.components_mut().0.increment_balances(increments).map_err(unreadable)?;
        let (mut database, _) = evm.finish();
        let access_list = access_list::take(&mut database);
        database.merge_transitions(BundleRetention::PlainState);
        // The bundle holds everything since the base.
        let changes = StateChanges::from_bundle(&database.bundle_state);
        let state_root = self.shared.chain.state_root_after(self.base.number, &changes).map_err(storage)?.root();
        let gas_used = body.gas_of_block(amsterdam);
        let block_body = BlockBody { transactions: body.transactions, ommers: Vec::new(), withdrawals };
        let header = Header {
            state_root,
            transactions_root: calculate_transaction_root(&block_body.transactions),
            receipts_root: calculate_receipt_root(&body.receipts),
            logs_bloom: body.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()),
            gas_used,
            withdrawals_root: block_body.calculate_withdrawals_root(),
            blob_gas_used: header.excess_blob_gas.map(|_| body.blob_gas_used),
            requests_hash: requests.map(|requests| requests.requests_hash()),
            block_access_list_hash: access_list.map(|list| list.hash()),
            ..header
        };
        let hash = header.hash_slow();
        let block = Block::new(header, block_body);
        Ok((SimulatedBlock { block, hash, senders: body.senders, calls: body.calls }, database))
    }

    /// What is known of the header before execution: of the base, or as the request has it.
    fn header_before(&self, parent: &Sealed<Header>, planned: &PlannedBlock) -> Header {
        let spec = &self.shared.spec;
        let PlannedBlock { number, timestamp, block } = planned;
        let overrides = &block.block_overrides;
        let base_fee = || match overrides.base_fee {
            Some(fee) => fee.saturating_to(),
            None if self.validation => next_base_fee(&**spec, parent).unwrap_or_default(),
            // Calls that offer nothing must not fail for it.
            None => 0,
        };
        let cancun = spec.is_cancun_active_at_timestamp(*timestamp);
        Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: overrides.coinbase.unwrap_or(parent.beneficiary),
            difficulty: overrides.difficulty.unwrap_or(parent.difficulty),
            number: *number,
            gas_limit: overrides.gas_limit.unwrap_or(parent.gas_limit),
            timestamp: *timestamp,
            mix_hash: overrides.random.unwrap_or_default(),
            base_fee_per_gas: spec.is_london_active_at_block(*number).then(base_fee),
            excess_blob_gas: cancun.then(|| next_excess_blob_gas(spec, parent, *timestamp)),
            parent_beacon_block_root: cancun.then(|| overrides.beacon_root.unwrap_or_default()),
            slot_number: spec.is_amsterdam_active_at_timestamp(*timestamp).then(|| next_slot(parent)),
            ..Default::default()
        }
    }

    fn call(
        &mut self,
        evm: &mut SequenceEvm,
        header: &Header,
        body: &mut Executed,
        call: TransactionRequest,
        runtime: &Handle,
    ) -> Result<(), SequenceError> {
        self.check_time()?;
        let sender = call.from.unwrap_or_default();
        let nonce = match call.nonce {
            Some(nonce) => nonce,
            None => evm.components_mut().0.basic(sender).map_err(unreadable)?.map_or(0, |account| account.nonce),
        };
        let used = body.gas_of_block(evm.ctx().cfg.enable_amsterdam_eip8037);
        let asked = call.gas.unwrap_or(header.gas_limit - used);
        let gas_after = used.saturating_add(asked);
        if gas_after > header.gas_limit {
            return Err(SequenceError::BlockGasLimit { gas: gas_after, gas_limit: header.gas_limit });
        }
        if self.gas_left == 0 {
            return Err(SequenceError::GasExhausted(self.shared.config.simulation.gas_max));
        }
        let defaults = Defaults { chain_id: self.shared.spec.chain_id(), nonce, gas: asked.min(self.gas_left) };
        let transaction = calls::transaction(call, header, defaults)?;
        let ResultAndState { result, state } = self.execute(evm, &transaction, sender, header, runtime)?;
        let logs = evm.components_mut().1.take();
        evm.components_mut().0.commit(state);

        let gas = *result.gas();
        self.gas_left = self.gas_left.saturating_sub(gas.tx_gas_used());
        body.gas_used += gas.tx_gas_used();
        body.regular_gas_used += gas.block_regular_gas_used();
        body.state_gas_used += gas.block_state_gas_used();
        body.blob_gas_used += transaction.blob_gas_used().unwrap_or_default();
        let receipt = alloy::consensus::Receipt {
            status: Eip658Value::Eip658(result.is_success()),
            cumulative_gas_used: body.gas_used,
            logs: result.logs().to_vec(),
        };
        let kind = transaction.tx_type();
        debug_assert_eq!(kind as u8, transaction.ty());
        body.receipts.push(Receipt::from_typed(kind, receipt.with_bloom()));
        body.calls.push(SimulatedCall {
            gas_used: gas.tx_gas_used(),
            gas_used_max: gas.total_gas_spent().max(gas.floor_gas()),
            logs,
            result: call_result(result).0,
        });
        body.transactions.push(transaction);
        body.senders.push(sender);
        Ok(())
    }

    /// Runs a transaction until its cryptlets have answered.
    fn execute(
        &self,
        evm: &mut SequenceEvm,
        transaction: &Transaction,
        sender: Address,
        header: &Header,
        runtime: &Handle,
    ) -> Result<ResultAndState<HaltReason>, SequenceError> {
        let tx = TxEnv::from_recovered_tx(transaction, sender);
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        // A call that offers nothing pays nothing, unless the request wants that checked.
        let is_free = !self.validation && tx.gas_price == 0;
        evm.ctx_mut().block.basefee = if is_free { 0 } else { base_fee };
        let calls_max = self.shared.spec.limits().map_or(0, |limits| limits.calls_per_transaction_max);
        let first_log = evm.components().1.next_index();
        let refused = |error: InvalidTransaction| {
            let reason = words::refusal(&error, &tx, base_fee);
            SequenceError::Refused { error, reason, gas: tx.gas_limit }
        };
        // EIP-2681. Looked at before the fees, as in geth.
        if self.validation && tx.nonce == u64::MAX {
            return Err(refused(InvalidTransaction::NonceOverflowInTransaction));
        }
        let mut rehearsal = Rehearsal::new();
        for _ in 0..=2 * u64::from(calls_max) {
            evm.components_mut().1.restart(first_log);
            let run = |evm: &mut SequenceEvm| evm.transact_raw(tx.clone());
            match simulate_transaction(evm, &mut rehearsal, SimulationGas::Settled, run) {
                SimulateOutcome::Finished(result) => return Ok(result),
                SimulateOutcome::Suspended(invocation) => {
                    let answer = answering::answer(self.shared, self.scope.as_ref(), &invocation);
                    rehearsal.push(runtime.block_on(answer)?);
                    self.check_time()?;
                }
                SimulateOutcome::Failed(error) => return Err(unreadable(error).into()),
                SimulateOutcome::Invalid(EVMError::Transaction(error)) => return Err(refused(error)),
                SimulateOutcome::Invalid(error) => return Err(unreadable(error).into()),
            }
        }
        Err(unstable().into())
    }

    fn requests(
        &self,
        system: &mut SystemCaller<&crate::ChainSpec>,
        evm: &mut SequenceEvm,
        receipts: &[Receipt],
    ) -> Result<Requests, SequenceError> {
        let mut requests = Requests::default();
        let deposits = eip6110::parse_deposits_from_receipts(&*self.shared.spec, receipts);
        let deposits = deposits.map_err(|error| system_call(error.into()))?;
        if !deposits.is_empty() {
            requests.push_request_with_type(eip6110::DEPOSIT_REQUEST_TYPE, deposits);
        }
        system.append_post_execution_changes(evm, &mut requests).map_err(system_call)?;
        Ok(requests)
    }

    fn check_time(&self) -> Result<(), SimulationError> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(SimulationError::Timeout(self.shared.config.simulation.timeout_ms)),
        }
    }
}

/// The calls of a block so far.
#[derive(Debug, Default)]
struct Executed {
    transactions: Vec<Transaction>,
    senders: Vec<Address>,
    receipts: Vec<Receipt>,
    calls: Vec<SimulatedCall>,
    /// As the receipts count it: refunds are taken off.
    gas_used: u64,
    /// As a block counts it from Amsterdam on, state apart (EIP-7778, EIP-8037).
    regular_gas_used: u64,
    state_gas_used: u64,
    blob_gas_used: u64,
}

impl Executed {
    /// What the header says of it (EIP-7778, EIP-8037).
    fn gas_of_block(&self, is_amsterdam: bool) -> u64 {
        if is_amsterdam { self.regular_gas_used.max(self.state_gas_used) } else { self.gas_used }
    }
}

fn system_call(error: BlockExecutionError) -> SimulationError {
    SimulationError::InvalidCall(format!("a system call of the block failed: {error}"))
}
