//! The EVM with the delegate installed, for revm and for alloy-evm: block executors, system calls and inspectors that work
//! on alloy-evm's `EthEvm` work on [`DelegateEvm`].

use crate::{
    collision::{Colliding, StorageLook},
    context::{DelegateContext, DelegateScope, DelegateSlot},
    precompile::DelegatePrecompiles,
};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes};
use revm::{
    Context, ExecuteEvm, InspectEvm, Inspector, Journal, MainBuilder, MainContext, SystemCallEvm,
    context::{BlockEnv, CfgEnv, ContextSetters, DBErrorMarker, Evm as RevmEvm, TxEnv},
    context_interface::result::{EVMError, HaltReason, ResultAndState},
    handler::{EthFrame, EthPrecompiles, Handler, MainnetHandler, instructions::EthInstructions},
    inspector::{InspectorHandler, NoOpInspector},
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
};
use std::ops::{Deref, DerefMut};

/// Ethereum's context, with the delegate in the `CHAIN` slot.
pub type DelegateEvmContext<DB> = Context<BlockEnv, TxEnv, CfgEnv, DB, Journal<DB>, DelegateContext>;

/// The revm EVM inside [`DelegateEvm`].
pub type DelegateRevm<DB, I> = RevmEvm<
    DelegateEvmContext<DB>,
    I,
    EthInstructions<EthInterpreter, DelegateEvmContext<DB>>,
    DelegatePrecompiles,
    EthFrame,
>;

/// An Ethereum virtual machine whose contracts can call cryptlets.
#[expect(missing_debug_implementations)] // revm's instruction table has none
pub struct DelegateEvm<DB: Database, I = NoOpInspector> {
    inner: DelegateRevm<DB, I>,
    inspect: bool,
    /// EIP-7610. `None`: only nonce and code keep a contract from being created, as in revm.
    storage_look: Option<StorageLook<DB>>,
}

impl<DB: Database> DelegateEvm<DB> {
    /// For the execution of one block.
    pub fn new(db: DB, env: EvmEnv, delegate: DelegateContext) -> Self {
        Self::with_inspector(db, env, delegate, NoOpInspector {}, false)
    }
}

impl<DB: Database, I> DelegateEvm<DB, I> {
    /// With an inspector, which is called if `inspect` is set.
    pub fn with_inspector(db: DB, env: EvmEnv, delegate: DelegateContext, inspector: I, inspect: bool) -> Self {
        let spec = env.cfg_env.spec;
        let inner = Context::mainnet()
            .with_block(env.block_env)
            .with_cfg(env.cfg_env)
            .with_db(db)
            .with_chain(delegate)
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(DelegatePrecompiles::new(EthPrecompiles::new(spec)));
        Self { inner, inspect, storage_look: None }
    }

    /// No contract is created where this finds storage (EIP-7610).
    pub fn with_storage_look(mut self, look: StorageLook<DB>) -> Self {
        self.storage_look = Some(look);
        self
    }

    /// The revm EVM.
    pub fn into_inner(self) -> DelegateRevm<DB, I> {
        self.inner
    }

    /// The context.
    pub const fn ctx(&self) -> &DelegateEvmContext<DB> {
        &self.inner.ctx
    }

    /// The context.
    pub const fn ctx_mut(&mut self) -> &mut DelegateEvmContext<DB> {
        &mut self.inner.ctx
    }
}

impl<DB: Database, I> Deref for DelegateEvm<DB, I> {
    type Target = DelegateEvmContext<DB>;

    fn deref(&self) -> &Self::Target {
        self.ctx()
    }
}

impl<DB: Database, I> DerefMut for DelegateEvm<DB, I> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.ctx_mut()
    }
}

impl<DB: Database, I> DelegateSlot for DelegateEvm<DB, I> {
    fn delegate(&self) -> &DelegateContext {
        &self.inner.ctx.chain
    }

    fn delegate_mut(&mut self) -> &mut DelegateContext {
        &mut self.inner.ctx.chain
    }
}

impl<DB: Database, I: Inspector<DelegateEvmContext<DB>>> Evm for DelegateEvm<DB, I> {
    type DB = DB;
    type Tx = TxEnv;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = DelegatePrecompiles;
    type Inspector = I;

    fn block(&self) -> &BlockEnv {
        &self.block
    }

    fn cfg_env(&self) -> &CfgEnv<SpecId> {
        &self.cfg
    }

    fn chain_id(&self) -> u64 {
        self.cfg.chain_id
    }

    fn transact_raw(&mut self, tx: TxEnv) -> Result<ResultAndState<HaltReason>, Self::Error> {
        let Some(look) = self.storage_look else {
            return if self.inspect { self.inner.inspect_tx(tx) } else { self.inner.transact(tx) };
        };
        self.inner.ctx.set_tx(tx);
        let mut handler = MainnetHandler::<_, Self::Error, EthFrame>::default();
        let mut evm = Colliding::new(&mut self.inner, look);
        let result = if self.inspect { handler.inspect_run(&mut evm) } else { handler.run(&mut evm) };
        // The journal is emptied after an error as well: the next transaction starts from a clean state.
        let state = self.inner.finalize();
        Ok(ResultAndState::new(result?, state))
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<HaltReason>, Self::Error> {
        self.inner.system_call_with_caller(caller, contract, data)
    }

    fn finish(self) -> (DB, EvmEnv) {
        let Context { block: block_env, cfg: cfg_env, journaled_state, .. } = self.inner.ctx;
        (journaled_state.database, EvmEnv { block_env, cfg_env })
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspect = enabled;
    }

    fn components(&self) -> (&DB, &I, &DelegatePrecompiles) {
        (&self.inner.ctx.journaled_state.database, &self.inner.inspector, &self.inner.precompiles)
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut DelegatePrecompiles) {
        (&mut self.inner.ctx.journaled_state.database, &mut self.inner.inspector, &mut self.inner.precompiles)
    }
}

/// Makes [`DelegateEvm`]s for one block: what is fixed for a block does not fit into alloy-evm's `EvmEnv`, so the factory
/// carries it. Cheap to make.
#[derive(Clone, Debug, Default)]
pub struct DelegateEvmFactory {
    scope: Option<DelegateScope>,
}

impl DelegateEvmFactory {
    /// For the execution of one block.
    pub const fn new(scope: DelegateScope) -> Self {
        Self { scope: Some(scope) }
    }

    /// For a chain without a delegate.
    pub const fn disabled() -> Self {
        Self { scope: None }
    }

    fn delegate(&self) -> DelegateContext {
        self.scope.clone().map(DelegateContext::new).unwrap_or_default()
    }
}

impl EvmFactory for DelegateEvmFactory {
    type Evm<DB: Database, I: Inspector<DelegateEvmContext<DB>>> = DelegateEvm<DB, I>;
    type Context<DB: Database> = DelegateEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = DelegatePrecompiles;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> DelegateEvm<DB, NoOpInspector> {
        DelegateEvm::new(db, env, self.delegate())
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<DelegateEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> DelegateEvm<DB, I> {
        DelegateEvm::with_inspector(db, env, self.delegate(), inspector, true)
    }
}
