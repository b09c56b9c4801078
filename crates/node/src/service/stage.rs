//! What a simulation runs on: the block it is in, the state below it, and the call as a transaction.

use super::{
    overrides,
    place::{place, states, unreadable},
    short::ShortRun,
    simulate::{CallResult, SimulationError, SimulationOutcome, SimulationRequest},
    start::Shared,
    watch::{CallBase, Read, Watch},
    words,
};
use crate::{
    execute::{BlockState, Watched, anchor, delegate_scope, evm_env, has_storage},
    state::StateSnapshot,
};
use alloy::rpc::types::{TransactionRequest, state::StateOverride};
use alloy_evm::{
    Evm, EvmEnv,
    call::{CallError, InsufficientFundsError, caller_gas_allowance},
    overrides::apply_block_overrides,
    rpc::TryIntoTxEnv,
};
use alloy_primitives::Log;
use cryptlet_delegate::{
    Anchor, DelegateContext, DelegateEvm, DelegateEvmContext, DelegateScope, MovedPrecompiles, Rehearsal,
    SimulateOutcome, SimulationGas, simulate_transaction,
};
use cryptlet_primitives::Invocation;
use revm::{
    Database, Inspector,
    context::TxEnv,
    context_interface::block::BlobExcessGasAndPrice,
    context_interface::result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction, ResultAndState},
    database::{CacheState, State, WrapDatabaseRef},
    handler::EthPrecompiles,
};
use std::sync::Arc;

/// What every run of the simulation shares.
pub(super) struct Stage {
    state: StateSnapshot,
    /// What has been changed on top of `state` before the call.
    changed: Option<Arc<CacheState>>,
    env: EvmEnv,
    pub(super) scope: Option<DelegateScope>,
    overrides: Option<StateOverride>,
    /// Set if overrides move or replace some.
    moved: Option<MovedPrecompiles>,
    tx: TxEnv,
    /// Gas that the call may have at most.
    pub(super) gas_limit: u64,
    /// Does the call carry no data and create nothing, under rules that have one price for a plain transfer?
    pub(super) may_be_transfer: bool,
}

/// How a run ended.
pub(super) enum Turn {
    Ended(SimulationOutcome),
    Suspended(Box<Invocation>),
}

/// How a run under the eyes of an inspector ended.
pub(super) enum WatchedTurn<I, R> {
    Ended(SimulationOutcome, R),
    /// It waits for an answer; nothing has been read.
    Suspended(Box<Invocation>, Read<I, R>),
}

impl Stage {
    /// The stage, and its state as far as it was read for that.
    pub(super) fn build(
        shared: &Shared,
        request: SimulationRequest,
        on: Option<CallBase>,
    ) -> Result<(Self, BlockState), SimulationError> {
        let SimulationRequest { mut call, block, state_overrides, block_overrides } = request;
        let (base, env_header) = place(shared, block)?;
        let (state, sealed) = states(shared, base.number)?;
        let (state, changed) = match on {
            Some(CallBase { state, changed }) => (state, Some(changed)),
            None => (state, None),
        };
        // A call that sees block N sees it as from within: what it may anchor to is what came before N.
        let before = match env_header.number == base.number && base.number > 0 {
            true => Anchor { number: base.number - 1, hash: base.parent_hash },
            false => anchor(&base),
        };
        let scope = delegate_scope(&shared.spec, before, sealed);
        let mut env = evm_env(&shared.spec, &env_header);
        // EIP-2780: from Amsterdam on the first ether of an account costs more than what comes later.
        let may_be_transfer = !env.cfg_env.enable_amsterdam_eip2780
            && call.input.input().is_none_or(|input| input.is_empty())
            && call.to.is_some_and(|to| to.is_call());
        let mut stage = Self {
            state,
            changed,
            env: env.clone(),
            scope,
            moved: moved_precompiles(state_overrides.as_ref(), &env)?,
            overrides: state_overrides,
            tx: TxEnv::default(),
            gas_limit: 0,
            may_be_transfer,
        };
        let mut database = stage.database()?;
        if let Some(overrides) = block_overrides {
            apply_block_overrides(*overrides, &mut database, &mut env.block_env);
        }
        loosen(&mut env);
        let asked_gas = call.gas;
        check_fees(&call, &env)?;
        name_blobs(&mut call);
        let mut tx = call.try_into_tx_env(&env).map_err(|error| SimulationError::InvalidCall(error.to_string()))?;
        tx.nonce = database.basic(tx.caller).map_err(unreadable)?.map_or(0, |account| account.nonce);
        // geth: a call that offers no price sees a base fee of zero.
        if tx.gas_price == 0 {
            env.block_env.basefee = 0;
        }
        if !tx.blob_hashes.is_empty() && tx.max_fee_per_blob_gas == 0 {
            env.block_env.blob_excess_gas_and_price =
                Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 0 });
        }
        let block_gas = env.block_env.gas_limit;
        let mut gas_limit = asked_gas.unwrap_or(block_gas).min(shared.config.simulation.gas_max);
        if tx.gas_price > 0 {
            gas_limit = gas_limit.min(allowance(&mut database, &tx, gas_limit)?);
        }
        env.block_env.gas_limit = block_gas.max(gas_limit);
        (stage.env, stage.tx, stage.gas_limit) = (env, tx, gas_limit);
        Ok((stage, database))
    }

    pub(super) fn run(
        &self,
        rehearsal: &mut Rehearsal,
        gas_limit: u64,
        gas: SimulationGas,
    ) -> Result<Turn, SimulationError> {
        let mut evm =
            DelegateEvm::new(self.database()?, self.env.clone(), self.delegate()).with_storage_look(has_storage);
        self.move_precompiles(&mut evm);
        let tx = TxEnv { gas_limit, ..self.tx.clone() };
        let run = simulate_transaction(&mut evm, rehearsal, gas, |evm| evm.transact_raw(tx));
        Ok(match self.ended(run, gas_limit)? {
            Ok(result) => Turn::Ended(outcome(result.result)),
            Err(invocation) => Turn::Suspended(invocation),
        })
    }

    /// The run with all the gas there is, if it is short.
    pub(super) fn run_if_short(
        &self,
        database: BlockState,
        rehearsal: &mut Rehearsal,
    ) -> Result<Option<Turn>, SimulationError> {
        let was_cut = |watched: Watched<'_, ShortRun>| watched.inspector.is_cut();
        let watch = Watch { inspector: ShortRun::default(), read: Box::new(was_cut) };
        Ok(match self.watch_on(database, rehearsal, watch)? {
            WatchedTurn::Ended(_, true) => None,
            WatchedTurn::Ended(outcome, false) => Some(Turn::Ended(outcome)),
            WatchedTurn::Suspended(invocation, _) => Some(Turn::Suspended(invocation)),
        })
    }

    pub(super) fn watch<I, R>(
        &self,
        rehearsal: &mut Rehearsal,
        watch: Watch<I, R>,
    ) -> Result<WatchedTurn<I, R>, SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>>,
    {
        self.watch_on(self.database()?, rehearsal, watch)
    }

    fn watch_on<I, R>(
        &self,
        database: BlockState,
        rehearsal: &mut Rehearsal,
        watch: Watch<I, R>,
    ) -> Result<WatchedTurn<I, R>, SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>>,
    {
        let Watch { inspector, read } = watch;
        let mut evm = DelegateEvm::with_inspector(database, self.env.clone(), self.delegate(), inspector, true)
            .with_storage_look(has_storage);
        self.move_precompiles(&mut evm);
        let tx = TxEnv { gas_limit: self.gas_limit, ..self.tx.clone() };
        let of_run = tx.clone();
        let run = simulate_transaction(&mut evm, rehearsal, SimulationGas::Settled, |evm| evm.transact_raw(of_run));
        let result = match self.ended(run, self.gas_limit)? {
            Ok(result) => result,
            Err(invocation) => return Ok(WatchedTurn::Suspended(invocation, read)),
        };
        let block = evm.block().clone();
        let (state, inspector, _) = evm.components_mut();
        let value = read(Watched { inspector, transaction: &tx, block: &block, result: &result, state });
        Ok(WatchedTurn::Ended(outcome(result.result), value))
    }

    fn move_precompiles<I: Inspector<DelegateEvmContext<BlockState>>>(&self, evm: &mut DelegateEvm<BlockState, I>) {
        if let Some(moved) = &self.moved {
            evm.components_mut().2.set_moved(moved.clone());
        }
    }

    fn delegate(&self) -> DelegateContext {
        self.scope.clone().map(DelegateContext::new).unwrap_or_default()
    }

    fn database(&self) -> Result<BlockState, SimulationError> {
        let builder = State::builder().with_database(WrapDatabaseRef(self.state.clone()));
        let mut database = match &self.changed {
            Some(changed) => builder.with_cached_prestate(CacheState::clone(changed)).build(),
            None => builder.build(),
        };
        if let Some(overrides) = self.overrides.clone() {
            overrides::apply(overrides, &mut database)?;
        }
        Ok(database)
    }

    /// What came of a run: its result, or what it waits for.
    fn ended<DBError: std::fmt::Display>(
        &self,
        run: SimulateOutcome<ResultAndState<HaltReason>, EVMError<DBError>>,
        gas: u64,
    ) -> Result<Result<ResultAndState<HaltReason>, Box<Invocation>>, SimulationError> {
        match run {
            SimulateOutcome::Finished(result) => Ok(Ok(result)),
            SimulateOutcome::Suspended(invocation) => Ok(Err(invocation)),
            SimulateOutcome::Failed(error) => Err(unreadable(error)),
            SimulateOutcome::Invalid(EVMError::Transaction(error)) => {
                let reason = words::refusal(&error, &self.tx, self.env.block_env.basefee);
                Err(SimulationError::Refused { reason, gas })
            }
            SimulateOutcome::Invalid(error) => Err(unreadable(error)),
        }
    }
}

/// The precompiles with these overrides; `None` if nothing is overridden.
fn moved_precompiles(
    overrides: Option<&StateOverride>,
    env: &EvmEnv,
) -> Result<Option<MovedPrecompiles>, SimulationError> {
    let Some(overrides) = overrides.filter(|overrides| !overrides.is_empty()) else { return Ok(None) };
    let mut precompiles = MovedPrecompiles::new(EthPrecompiles::new(env.cfg_env.spec).warm_addresses());
    overrides::move_precompiles(overrides, &mut precompiles)?;
    Ok(Some(precompiles))
}

/// What alloy-evm would refuse in fewer words than geth.
fn check_fees(call: &TransactionRequest, env: &EvmEnv) -> Result<(), SimulationError> {
    let Some(cap) = call.max_fee_per_gas.filter(|cap| call.gas_price.is_none() && *cap > 0) else { return Ok(()) };
    let (caller, base_fee) = (call.from.unwrap_or_default(), env.block_env.basefee);
    let tx = TxEnv { caller, gas_price: cap, gas_priority_fee: call.max_priority_fee_per_gas, ..TxEnv::default() };
    let error = if call.max_priority_fee_per_gas.unwrap_or_default() > cap {
        InvalidTransaction::PriorityFeeGreaterThanMaxFee
    } else if cap < u128::from(base_fee) {
        InvalidTransaction::GasPriceLessThanBasefee
    } else {
        return Ok(());
    };
    let gas = call.gas.unwrap_or(env.block_env.gas_limit);
    Err(SimulationError::Refused { reason: words::refusal(&error, &tx, base_fee), gas })
}

/// A blob transaction is one that names its blobs. Wallets that have not signed yet send them whole; a price for blobs alone
/// does not make one (geth).
fn name_blobs(call: &mut TransactionRequest) {
    if call.blob_versioned_hashes.is_none() {
        call.populate_blob_hashes();
    }
    if call.blob_versioned_hashes.is_none() {
        call.max_fee_per_blob_gas = None;
    }
}

/// Gas that the caller can pay for.
fn allowance(database: &mut BlockState, tx: &TxEnv, gas: u64) -> Result<u64, SimulationError> {
    caller_gas_allowance(database, tx).map_err(|error| match error {
        CallError::InsufficientFunds(InsufficientFundsError { cost, balance }) => {
            SimulationError::Refused { reason: words::insufficient_funds(tx.caller, balance, cost), gas }
        }
        CallError::Database(error) => unreadable(error),
    })
}

/// What a call need not keep to, unlike a transaction.
fn loosen(env: &mut EvmEnv) {
    env.cfg_env.disable_nonce_check = true;
    env.cfg_env.disable_eip3607 = true;
    env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
}

fn outcome(result: ExecutionResult<HaltReason>) -> SimulationOutcome {
    let (gas_used, gas_spent) = (result.gas().tx_gas_used(), result.gas().total_gas_spent());
    let (result, logs) = call_result(result);
    SimulationOutcome { result, gas_used, gas_spent, logs, cryptlet_calls: 0 }
}

/// How a call ended, and its logs if it succeeded.
pub(super) fn call_result(result: ExecutionResult<HaltReason>) -> (CallResult, Vec<Log>) {
    match result {
        ExecutionResult::Success { output, logs, .. } => (CallResult::Success(output.into_data()), logs),
        ExecutionResult::Revert { output, .. } => (CallResult::Revert(output), Vec::new()),
        ExecutionResult::Halt { reason, .. } => (CallResult::Halt(words::halt(&reason)), Vec::new()),
    }
}
