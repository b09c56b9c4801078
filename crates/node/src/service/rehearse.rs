//! One simulation: its place in the chain, its answers so far, and its runs.

use super::{
    simulate::{CallResult, SimulationError, SimulationOutcome, SimulationPolicy, SimulationRequest},
    start::Shared,
    watch::{CallState, Watch, Watched},
};
use crate::{
    execute::{delegate_scope, evm_env},
    miner::ask,
    state::StateSnapshot,
    store::StoreError,
    types::Header,
};
use alloy::consensus::Sealed;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::rpc::types::state::StateOverride;
use alloy_evm::{
    Evm, EvmEnv,
    call::caller_gas_allowance,
    overrides::{apply_block_overrides, apply_state_overrides},
    rpc::TryIntoTxEnv,
};
use cryptlet_attestation::SimulationPolicy as RegistryPolicy;
use cryptlet_delegate::{
    DelegateContext, DelegateEvm, DelegateEvmContext, DelegateScope, DryRunAnswer, DryRunOutcome, Rehearsal,
    SimulateOutcome, SimulationGas,
    registry_layout::{read_cryptlet, read_simulation_stub},
    simulate_transaction,
};
use cryptlet_primitives::Invocation;
use revm::{
    Database, Inspector,
    context::TxEnv,
    context_interface::result::{
        EVMError, ExecutionResult, HaltReason, InvalidTransaction, OutOfGasError, ResultAndState,
    },
    database::{State, WrapDatabaseRef},
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
    env: EvmEnv,
    scope: Option<DelegateScope>,
    overrides: Option<StateOverride>,
    tx: TxEnv,
    /// Gas that the call may have at most.
    gas_limit: u64,
    /// Does the call carry no data and create nothing? Then it may be a plain transfer.
    is_bare: bool,
}

impl Rehearsing {
    pub(super) async fn prepare(shared: Arc<Shared>, request: SimulationRequest) -> Result<Self, SimulationError> {
        let busy = |_| SimulationError::Busy(shared.config.simulation.simulations_max);
        let permit = shared.simulations.clone().try_acquire_owned().map_err(busy)?;
        let of_stage = shared.clone();
        let stage = tokio::task::spawn_blocking(move || Stage::build(&of_stage, request));
        let stage = Arc::new(stage.await.map_err(|_| SimulationError::Stopped)??);
        Ok(Self { shared, stage, rehearsal: Rehearsal::new(), _permit: permit })
    }

    /// Gas that the call may have at most.
    pub(super) fn gas_limit(&self) -> u64 {
        self.stage.gas_limit
    }

    /// Does the call carry no data? Then it may be a plain transfer.
    pub(super) fn is_bare(&self) -> bool {
        self.stage.is_bare
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
                    let answer = self.answer(&invocation).await?;
                    self.rehearsal.push(answer);
                }
            }
        }
        Err(unstable())
    }

    /// Runs the call once more, with all answers there, under the eyes of an inspector.
    pub(super) async fn watched<I, R>(&mut self, watch: Watch<I, R>) -> Result<R, SimulationError>
    where
        I: Inspector<DelegateEvmContext<CallState>> + Send + 'static,
        R: Send + 'static,
    {
        let (stage, mut rehearsal) = (self.stage.clone(), self.rehearsal.clone());
        let run = tokio::task::spawn_blocking(move || stage.watch(&mut rehearsal, watch));
        run.await.map_err(|_| SimulationError::Stopped)?
    }

    async fn answer(&self, invocation: &Invocation) -> Result<DryRunAnswer, SimulationError> {
        match self.policy(invocation)? {
            SimulationPolicy::Deny => Ok(DryRunAnswer::new(invocation, DryRunOutcome::Denied, 0)),
            SimulationPolicy::Stub(output) => Ok(DryRunAnswer::new(invocation, DryRunOutcome::Returned(output), 0)),
            SimulationPolicy::Memo => match self.shared.memo.recall(&invocation.request) {
                Some((outcome, units)) => Ok(DryRunAnswer::new(invocation, outcome, units)),
                None => self.ask_fabric(invocation).await,
            },
            SimulationPolicy::Live => self.ask_fabric(invocation).await,
        }
    }

    async fn ask_fabric(&self, invocation: &Invocation) -> Result<DryRunAnswer, SimulationError> {
        let timeout_ms = self.shared.config.simulation.answer_timeout_ms;
        let answer = ask(&*self.shared.fabric, invocation, timeout_ms).await;
        let answer = answer.and_then(|answer| DryRunAnswer::from_fabric(invocation, answer));
        answer.map_err(|fault| SimulationError::NoAnswer { cryptlet: invocation.cryptlet(), fault })
    }

    fn policy(&self, invocation: &Invocation) -> Result<SimulationPolicy, SimulationError> {
        if let Some(policy) = self.shared.config.simulation.policies.of(invocation.cryptlet()) {
            return Ok(policy.clone());
        }
        let Some(scope) = &self.stage.scope else { return Ok(SimulationPolicy::Live) };
        let entry = read_cryptlet(&*scope.state, invocation.cryptlet());
        let entry = entry.map_err(|error| SimulationError::Storage(error.to_string()))?;
        Ok(match entry.map(|entry| entry.simulation).unwrap_or_default() {
            RegistryPolicy::Live => SimulationPolicy::Live,
            RegistryPolicy::Memo => SimulationPolicy::Memo,
            RegistryPolicy::Stub => {
                let bytes_max = scope.limits.output_bytes_max as usize;
                let stub = read_simulation_stub(&*scope.state, invocation.cryptlet(), bytes_max);
                SimulationPolicy::Stub(stub.map_err(|error| SimulationError::Storage(error.to_string()))?)
            }
            RegistryPolicy::Deny => SimulationPolicy::Deny,
        })
    }
}

/// How a run ended.
enum Turn {
    Ended(SimulationOutcome),
    Suspended(Box<Invocation>),
}

impl Stage {
    fn build(shared: &Shared, request: SimulationRequest) -> Result<Self, SimulationError> {
        let SimulationRequest { call, block, state_overrides, block_overrides } = request;
        let (base, env_header) = place(shared, block)?;
        let (state, sealed) = states(shared, base.number)?;
        // A call that sees block N sees it as from within: what it may anchor to is what came before N.
        let before = match env_header.number == base.number {
            true => {
                shared.chain.header(base.number.saturating_sub(1)).map_err(storage)?.unwrap_or_else(|| base.clone())
            }
            false => base.clone(),
        };
        let scope = delegate_scope(&shared.spec, &before, sealed);
        let mut env = evm_env(&shared.spec, &env_header);
        let is_bare = call.input.input().is_none_or(|input| input.is_empty()) && call.to.is_some_and(|to| to.is_call());
        let mut stage = Self {
            state,
            env: env.clone(),
            scope,
            overrides: state_overrides,
            tx: TxEnv::default(),
            gas_limit: 0,
            is_bare,
        };
        let mut database = stage.database()?;
        if let Some(overrides) = block_overrides {
            apply_block_overrides(*overrides, &mut database, &mut env.block_env);
        }
        loosen(&mut env);
        let asked_gas = call.gas;
        let mut tx = call.try_into_tx_env(&env).map_err(|error| SimulationError::InvalidCall(error.to_string()))?;
        tx.nonce = database.basic(tx.caller).map_err(unreadable)?.map_or(0, |account| account.nonce);
        // geth: a call that offers no price sees a base fee of zero.
        if tx.gas_price == 0 {
            env.block_env.basefee = 0;
        }
        let block_gas = env.block_env.gas_limit;
        let mut gas_limit = asked_gas.unwrap_or(block_gas).min(shared.config.simulation.gas_max);
        if tx.gas_price > 0 {
            let allowance = caller_gas_allowance(&mut database, &tx);
            let allowance = allowance.map_err(|error| SimulationError::InvalidCall(error.to_string()))?;
            gas_limit = gas_limit.min(allowance);
        }
        env.block_env.gas_limit = block_gas.max(gas_limit);
        (stage.env, stage.tx, stage.gas_limit) = (env, tx, gas_limit);
        Ok(stage)
    }

    fn run(&self, rehearsal: &mut Rehearsal, gas_limit: u64, gas: SimulationGas) -> Result<Turn, SimulationError> {
        let mut evm = DelegateEvm::new(self.database()?, self.env.clone(), self.delegate());
        let tx = TxEnv { gas_limit, ..self.tx.clone() };
        let run = simulate_transaction(&mut evm, rehearsal, gas, |evm| evm.transact_raw(tx));
        Ok(match ended(run)? {
            Ok(result) => Turn::Ended(outcome(result.result)),
            Err(invocation) => Turn::Suspended(invocation),
        })
    }

    fn watch<I, R>(&self, rehearsal: &mut Rehearsal, watch: Watch<I, R>) -> Result<R, SimulationError>
    where
        I: Inspector<DelegateEvmContext<CallState>>,
    {
        let Watch { inspector, read } = watch;
        let delegate = self.delegate();
        let mut evm = DelegateEvm::with_inspector(self.database()?, self.env.clone(), delegate, inspector, true);
        let tx = TxEnv { gas_limit: self.gas_limit, ..self.tx.clone() };
        let of_run = tx.clone();
        let run = simulate_transaction(&mut evm, rehearsal, SimulationGas::Settled, |evm| evm.transact_raw(of_run));
        // Every answer was there when the run before this one ended.
        let result = ended(run)?.map_err(|_| unstable())?;
        let block = evm.block().clone();
        let (state, inspector, _) = evm.components_mut();
        Ok(read(Watched { inspector, transaction: &tx, block: &block, result: &result, state }))
    }

    fn delegate(&self) -> DelegateContext {
        self.scope.clone().map(DelegateContext::new).unwrap_or_default()
    }

    fn database(&self) -> Result<CallState, SimulationError> {
        let mut database = State::builder().with_database(WrapDatabaseRef(self.state.clone())).build();
        if let Some(overrides) = self.overrides.clone() {
            let invalid = |error: &dyn std::fmt::Display| SimulationError::InvalidCall(error.to_string());
            apply_state_overrides(overrides, &mut database).map_err(|error| invalid(&error))?;
        }
        Ok(database)
    }
}

/// What came of a run: its result, or what it waits for.
fn ended<DBError: std::fmt::Display>(
    run: SimulateOutcome<ResultAndState<HaltReason>, EVMError<DBError>>,
) -> Result<Result<ResultAndState<HaltReason>, Box<Invocation>>, SimulationError> {
    match run {
        SimulateOutcome::Finished(result) => Ok(Ok(result)),
        SimulateOutcome::Suspended(invocation) => Ok(Err(invocation)),
        SimulateOutcome::Failed(error) => Err(SimulationError::Storage(error.to_string())),
        SimulateOutcome::Invalid(EVMError::Transaction(error)) => {
            Err(SimulationError::InvalidCall(in_geths_words(&error)))
        }
        SimulateOutcome::Invalid(error) => Err(SimulationError::Storage(error.to_string())),
    }
}

fn unstable() -> SimulationError {
    SimulationError::InvalidCall("the call asks its cryptlets something else in every run".to_owned())
}

/// The state after a block with what cheats set since, which only the head has, and without.
fn states(shared: &Shared, number: u64) -> Result<(StateSnapshot, StateSnapshot), SimulationError> {
    let latest = shared.chain.latest_state().map_err(storage)?;
    let seen = match latest.number() == number {
        true => latest,
        false => shared.chain.state_at(number).map_err(storage)?,
    };
    let sealed = seen.clone().with_overlay(None);
    Ok((seen, sealed))
}

/// The block whose state is used, and the header whose environment the call sees.
fn place(shared: &Shared, block: BlockId) -> Result<(Sealed<Header>, Header), SimulationError> {
    let chain = &shared.chain;
    let unknown = || SimulationError::UnknownBlock(block.to_string());
    let base = match block {
        BlockId::Hash(hash) => chain.header_by_hash(hash.block_hash).map_err(storage)?.ok_or_else(unknown)?,
        BlockId::Number(BlockNumberOrTag::Number(number)) => {
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

fn unreadable(error: impl std::fmt::Display) -> SimulationError {
    SimulationError::Storage(error.to_string())
}

fn storage(error: StoreError) -> SimulationError {
    match error {
        StoreError::UnknownBlock { number, .. } => SimulationError::UnknownBlock(number.to_string()),
        error => SimulationError::Storage(error.to_string()),
    }
}

fn outcome(result: ExecutionResult<HaltReason>) -> SimulationOutcome {
    let (gas_used, gas_spent) = (result.gas().tx_gas_used(), result.gas().total_gas_spent());
    let (result, logs) = match result {
        ExecutionResult::Success { output, logs, .. } => (CallResult::Success(output.into_data()), logs),
        ExecutionResult::Revert { output, .. } => (CallResult::Revert(output), Vec::new()),
        ExecutionResult::Halt { reason, .. } => (CallResult::Halt(halt_in_geths_words(&reason)), Vec::new()),
    };
    SimulationOutcome { result, gas_used, gas_spent, logs, cryptlet_calls: 0 }
}

fn halt_in_geths_words(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::ReentrancySentry) => "not enough gas for reentrancy sentry".to_owned(),
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::OutOfOffset => "return data out of bounds".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".to_owned()
        }
        other => other.to_string(),
    }
}

fn in_geths_words(error: &InvalidTransaction) -> String {
    match error {
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => {
            let overshot = fee.saturating_sub(**balance);
            format!("insufficient funds for gas * price + value: balance {balance}, tx cost {fee}, overshot {overshot}")
        }
        InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: gas {gas_limit}, minimum needed {initial_gas}")
        }
        InvalidTransaction::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: gas {gas_limit}, minimum needed {gas_floor} (EIP-7623)")
        }
        other => other.to_string(),
    }
}
