//! One simulation: its place in the chain, its answers so far, and its runs.

use super::{
    answering, overrides,
    short::{self, ShortRun},
    simulate::{CallResult, SimulationError, SimulationOutcome, SimulationRequest},
    start::Shared,
    watch::{CallBase, MakeInspector, Read, Watch},
    words,
};
use crate::{
    execute::{BlockState, Watched, anchor, delegate_scope, evm_env},
    state::StateSnapshot,
    store::StoreError,
    types::Header,
};
use alloy::consensus::Sealed;
use alloy::eips::{BlockId, BlockNumberOrTag};
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
use tokio::sync::OwnedSemaphorePermit;

/// A simulation that has been prepared. It may run several times, with different gas; answers are kept.
pub(super) struct Rehearsing {
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    rehearsal: Rehearsal,
    _permit: OwnedSemaphorePermit,
}

/// What every run of the simulation shares.
struct Stage {
    state: StateSnapshot,
    /// What has been changed on top of `state` before the call.
    changed: Option<Arc<CacheState>>,
    env: EvmEnv,
    scope: Option<DelegateScope>,
    overrides: Option<StateOverride>,
    /// Set if overrides move or replace some.
    moved: Option<MovedPrecompiles>,
    tx: TxEnv,
    /// Gas that the call may have at most.
    gas_limit: u64,
    /// Does the call carry no data and create nothing, under rules that have one price for a plain transfer?
    may_be_transfer: bool,
}

impl Rehearsing {
    pub(super) async fn prepare(shared: Arc<Shared>, request: SimulationRequest) -> Result<Self, SimulationError> {
        Self::prepare_on(shared, request, None).await
    }

    /// The same on another state than that of the request's block.
    pub(super) async fn prepare_on(
        shared: Arc<Shared>,
        request: SimulationRequest,
        base: Option<CallBase>,
    ) -> Result<Self, SimulationError> {
        let permit = place_for_one(&shared)?;
        let of_stage = shared.clone();
        let stage = tokio::task::spawn_blocking(move || Stage::build(&of_stage, request, base));
        let (stage, _) = stage.await.map_err(|_| SimulationError::Stopped)??;
        Ok(Self { shared, stage: Arc::new(stage), rehearsal: Rehearsal::new(), _permit: permit })
    }

    /// Prepares the call and runs it with all the gas it may have: here if it is short, else on a thread of its own.
    pub(super) async fn run_at_once(
        shared: Arc<Shared>,
        request: SimulationRequest,
    ) -> Result<SimulationOutcome, SimulationError> {
        let permit = place_for_one(&shared)?;
        let mut rehearsal = Rehearsal::new();
        let (stage, turn) = if may_be_short(&shared, &request) {
            let (stage, database) = Stage::build(&shared, request, None)?;
            let turn = stage.run_if_short(database, &mut rehearsal)?;
            (Arc::new(stage), turn)
        } else {
            let of_stage = shared.clone();
            let stage = tokio::task::spawn_blocking(move || Stage::build(&of_stage, request, None));
            (Arc::new(stage.await.map_err(|_| SimulationError::Stopped)??.0), None)
        };
        let mut rehearsing = Self { shared, stage, rehearsal, _permit: permit };
        match turn {
            Some(Turn::Ended(outcome)) => return Ok(outcome),
            Some(Turn::Suspended(invocation)) => rehearsing.ask(&invocation).await?,
            None => {}
        }
        rehearsing.run(rehearsing.stage.gas_limit, SimulationGas::Settled).await
    }

    /// Gets the answer to a call, for the runs to come.
    async fn ask(&mut self, invocation: &Invocation) -> Result<(), SimulationError> {
        let answer = answering::answer(&self.shared, self.stage.scope.as_ref(), invocation).await?;
        self.rehearsal.push(answer);
        Ok(())
    }

    /// Gas that the call may have at most.
    pub(super) fn gas_limit(&self) -> u64 {
        self.stage.gas_limit
    }

    /// May it be a plain transfer, and is there one price for those?
    pub(super) fn may_be_transfer(&self) -> bool {
        self.stage.may_be_transfer
    }

    /// Runs the call with this much gas, getting answers as it needs them.
    pub(super) async fn run(
        &mut self,
        gas_limit: u64,
        gas: SimulationGas,
    ) -> Result<SimulationOutcome, SimulationError> {
        // Each turn but the last adds an answer, and the delegate bounds how many calls a transaction makes. A call whose
        // input changes from run to run (with the gas left, say) could still go on for ever.
        let calls_max = self.shared.spec.limits().map_or(0, |limits| limits.calls_per_transaction_max);
        for _ in 0..=2 * u64::from(calls_max) {
            let (stage, mut rehearsal) = (self.stage.clone(), std::mem::take(&mut self.rehearsal));
            let run = tokio::task::spawn_blocking(move || {
                let outcome = stage.run(&mut rehearsal, gas_limit, gas);
                (outcome, rehearsal)
            });
            let (outcome, rehearsal) = run.await.map_err(|_| SimulationError::Stopped)?;
            self.rehearsal = rehearsal;
            match outcome? {
                Turn::Ended(mut outcome) => {
                    outcome.cryptlet_calls = self.rehearsal.consumed_count();
                    return Ok(outcome);
                }
                Turn::Suspended(invocation) => {
                    self.ask(&invocation).await?;
                }
            }
        }
        Err(unstable())
    }

    /// Runs the call once more, with all answers there, under the eyes of an inspector.
    pub(super) async fn watched<I, R>(&mut self, watch: Watch<I, R>) -> Result<R, SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>> + Send + 'static,
        R: Send + 'static,
    {
        let (stage, mut rehearsal) = (self.stage.clone(), self.rehearsal.clone());
        let run = tokio::task::spawn_blocking(move || stage.watch(&mut rehearsal, watch));
        match run.await.map_err(|_| SimulationError::Stopped)?? {
            WatchedTurn::Ended(_, value) => Ok(value),
            // Every answer was there when the run before this one ended.
            WatchedTurn::Suspended(..) => Err(unstable()),
        }
    }

    /// Runs the call under the eyes of an inspector; a run that had to wait for an answer begins again with a new one.
    pub(super) async fn traced<I, R>(
        &mut self,
        make: MakeInspector<I>,
        mut read: Read<I, R>,
    ) -> Result<(SimulationOutcome, R), SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>> + 'static,
        R: Send + 'static,
    {
        let calls_max = self.shared.spec.limits().map_or(0, |limits| limits.calls_per_transaction_max);
        for _ in 0..=2 * u64::from(calls_max) {
            let (stage, mut rehearsal) = (self.stage.clone(), std::mem::take(&mut self.rehearsal));
            let make = make.clone();
            let run = tokio::task::spawn_blocking(move || {
                let turn = make().and_then(|inspector| stage.watch(&mut rehearsal, Watch { inspector, read }));
                (turn, rehearsal)
            });
            let (turn, rehearsal) = run.await.map_err(|_| SimulationError::Stopped)?;
            self.rehearsal = rehearsal;
            match turn? {
                WatchedTurn::Ended(mut outcome, value) => {
                    outcome.cryptlet_calls = self.rehearsal.consumed_count();
                    return Ok((outcome, value));
                }
                WatchedTurn::Suspended(invocation, unread) => {
                    read = unread;
                    self.ask(&invocation).await?;
                }
            }
        }
        Err(unstable())
    }
}

/// May the call be prepared on this thread, and tried there? Not if that could wait for another chain, or if there is much to
/// read before it begins.
fn may_be_short(shared: &Shared, request: &SimulationRequest) -> bool {
    let input = request.call.input.input().map_or(0, |input| input.len());
    shared.config.fork.is_none()
        && request.state_overrides.is_none()
        && request.call.access_list.is_none()
        && input <= short::INPUT_BYTES_MAX
}

/// A place among the simulations that run.
fn place_for_one(shared: &Shared) -> Result<OwnedSemaphorePermit, SimulationError> {
    let busy = |_| SimulationError::Busy(shared.config.simulation.simulations_max);
    shared.simulations.clone().try_acquire_owned().map_err(busy)
}

/// How a run ended.
enum Turn {
    Ended(SimulationOutcome),
    Suspended(Box<Invocation>),
}

/// How a run under the eyes of an inspector ended.
enum WatchedTurn<I, R> {
    Ended(SimulationOutcome, R),
    /// It waits for an answer; nothing has been read.
    Suspended(Box<Invocation>, Read<I, R>),
}

impl Stage {
    /// The stage, and its state as far as it was read for that.
    fn build(
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

    fn run(&self, rehearsal: &mut Rehearsal, gas_limit: u64, gas: SimulationGas) -> Result<Turn, SimulationError> {
        let mut evm = DelegateEvm::new(self.database()?, self.env.clone(), self.delegate());
        self.move_precompiles(&mut evm);
        let tx = TxEnv { gas_limit, ..self.tx.clone() };
        let run = simulate_transaction(&mut evm, rehearsal, gas, |evm| evm.transact_raw(tx));
        Ok(match self.ended(run, gas_limit)? {
            Ok(result) => Turn::Ended(outcome(result.result)),
            Err(invocation) => Turn::Suspended(invocation),
        })
    }

    /// The run with all the gas there is, if it is short.
    fn run_if_short(&self, database: BlockState, rehearsal: &mut Rehearsal) -> Result<Option<Turn>, SimulationError> {
        let was_cut = |watched: Watched<'_, ShortRun>| watched.inspector.is_cut();
        let watch = Watch { inspector: ShortRun::default(), read: Box::new(was_cut) };
        Ok(match self.watch_on(database, rehearsal, watch)? {
            WatchedTurn::Ended(_, true) => None,
            WatchedTurn::Ended(outcome, false) => Some(Turn::Ended(outcome)),
            WatchedTurn::Suspended(invocation, _) => Some(Turn::Suspended(invocation)),
        })
    }

    fn watch<I, R>(&self, rehearsal: &mut Rehearsal, watch: Watch<I, R>) -> Result<WatchedTurn<I, R>, SimulationError>
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
        let mut evm = DelegateEvm::with_inspector(database, self.env.clone(), self.delegate(), inspector, true);
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

pub(super) fn unstable() -> SimulationError {
    SimulationError::InvalidCall("the call asks its cryptlets something else in every run".to_owned())
}

/// The state after a block with what cheats set since, which only the head has, and without.
pub(super) fn states(shared: &Shared, number: u64) -> Result<(StateSnapshot, StateSnapshot), SimulationError> {
    let latest = shared.chain.latest_state().map_err(storage)?;
    let seen = match latest.number() == number {
        true => latest,
        false => shared.chain.state_at(number).map_err(storage)?,
    };
    let sealed = seen.clone().with_overlay(None);
    Ok((seen, sealed))
}

/// The block whose state is used, and the header whose environment the call sees.
pub(super) fn place(shared: &Shared, block: BlockId) -> Result<(Sealed<Header>, Header), SimulationError> {
    let chain = &shared.chain;
    let unknown = || SimulationError::UnknownBlock(block.to_string());
    let base = match block {
        BlockId::Hash(hash) => chain.header_by_hash(hash.block_hash).map_err(storage)?.ok_or_else(unknown)?,
        BlockId::Number(BlockNumberOrTag::Number(number)) => {
            if shared.spec.fork().is_some_and(|fork| number < fork.block_number) {
                return Err(SimulationError::BeforeFork);
            }
            chain.header(number).map_err(storage)?.ok_or_else(unknown)?
        }
        BlockId::Number(BlockNumberOrTag::Earliest) => {
            let first = chain.first_block().map_err(storage)?;
            chain.header(first).map_err(storage)?.ok_or_else(unknown)?
        }
        BlockId::Number(BlockNumberOrTag::Pending) => {
            let head = chain.head().map_err(storage)?;
            let next = shared.next_header(&head);
            return Ok((head, next));
        }
        // A single node finalizes what it makes.
        BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized) => {
            chain.head().map_err(storage)?
        }
    };
    let header = base.inner().clone();
    Ok((base, header))
}

/// What a call need not keep to, unlike a transaction.
fn loosen(env: &mut EvmEnv) {
    env.cfg_env.disable_nonce_check = true;
    env.cfg_env.disable_eip3607 = true;
    env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> SimulationError {
    SimulationError::Storage(error.to_string())
}

pub(super) fn storage(error: StoreError) -> SimulationError {
    match error {
        StoreError::UnknownBlock { number, .. } => SimulationError::UnknownBlock(number.to_string()),
        error => SimulationError::Storage(error.to_string()),
    }
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
