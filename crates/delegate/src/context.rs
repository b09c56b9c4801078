//! What the delegate knows while a block is executed. It travels in the `CHAIN` slot of the revm context, so that there
//! is no global and no thread-local, and two blocks can be executed side by side.

use crate::{
    error::DelegateError,
    memo::CheckedCalls,
    parent::ParentState,
    registry_layout::RegistryCache,
    run::Suspension,
    transcript::{Rehearsal, Transcript},
};
use alloy_evm::eth::{EthBlockExecutor, receipt_builder::ReceiptBuilder};
use alloy_primitives::B256;
use cryptlet_primitives::{FabricDomain, FabricLimits};
use std::sync::Arc;

/// A block, named by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
}

/// What is fixed for the block that is executed.
#[derive(Clone, Debug)]
pub struct DelegateScope {
    /// The chain.
    pub domain: FabricDomain,
    /// The chain's bounds, from genesis.
    pub limits: FabricLimits,
    /// The block before the one that is executed.
    pub parent: Anchor,
    /// State after that block.
    pub state: Arc<dyn ParentState>,
}

impl DelegateScope {
    /// Number of the block that is executed.
    pub const fn block_number(&self) -> u64 {
        self.parent.number + 1
    }
}

/// What cryptlet calls have used of a block's budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockSpending {
    /// Bytes of encoded records, framing included.
    pub record_bytes: u64,
    /// Compute units.
    pub units: u64,
}

impl BlockSpending {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            record_bytes: self.record_bytes.saturating_add(other.record_bytes),
            units: self.units.saturating_add(other.units),
        }
    }
}

/// What a simulated call is charged in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimulationGas {
    /// What it used, as in a block (`eth_call`).
    #[default]
    Settled,
    /// The declared maximum, so that an estimate covers whatever the cryptlet will use (`eth_estimateGas`).
    Maximum,
}

/// The state of the delegate: nothing at all on a chain that has none.
#[derive(Clone, Debug, Default)]
pub struct DelegateContext {
    pub(crate) scope: Option<DelegateScope>,
    pub(crate) registry: RegistryCache,
    pub(crate) spent: BlockSpending,
    pub(crate) checked: CheckedCalls,
    pub(crate) run: Option<Run>,
}

/// One run of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) transaction_hash: B256,
    pub(crate) answers: Answers,
    pub(crate) spending: BlockSpending,
    pub(crate) budget_refusals: u32,
    pub(crate) abort: Option<Abort>,
}

/// Where answers come from, which is all that tells building, replaying and simulating apart.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    Build(Transcript),
    Replay(Transcript),
    Simulate(Rehearsal, SimulationGas),
}

impl Answers {
    /// Position of the next call, from 0.
    pub(crate) fn sequence(&self) -> u32 {
        match self {
            Self::Build(transcript) | Self::Replay(transcript) => transcript.sequence(),
            Self::Simulate(rehearsal, _) => rehearsal.sequence(),
        }
    }
}

/// Why a run was stopped.
#[derive(Clone, Debug)]
pub(crate) enum Abort {
    Suspended(Box<Suspension>),
    Failed(DelegateError),
}

impl<E: Into<DelegateError>> From<E> for Abort {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl DelegateContext {
    /// For the execution of one block.
    pub fn new(scope: DelegateScope) -> Self {
        Self { scope: Some(scope), ..Self::default() }
    }

    /// For a chain without a delegate: everything is as in plain Ethereum.
    pub fn disabled() -> Self {
        Self::default()
    }

    /// Is there a delegate on this chain?
    pub const fn is_enabled(&self) -> bool {
        self.scope.is_some()
    }

    /// What is fixed for this block.
    pub const fn scope(&self) -> Option<&DelegateScope> {
        self.scope.as_ref()
    }

    /// What the transactions included so far have used.
    pub const fn spent(&self) -> BlockSpending {
        self.spent
    }

    /// The registry in the parent state. Reads are remembered: that state does not change.
    pub fn registry(&mut self) -> Option<(&DelegateScope, &mut RegistryCache)> {
        Some((self.scope.as_ref()?, &mut self.registry))
    }

    pub(crate) fn begin(&mut self, transaction_hash: B256, answers: Answers) {
        let spending = BlockSpending::default();
        self.run = Some(Run { transaction_hash, answers, spending, budget_refusals: 0, abort: None });
    }

    pub(crate) fn end(&mut self) -> Option<Run> {
        self.run.take()
    }
}

/// Whatever has a delegate inside: a context, an EVM, a block executor.
pub trait DelegateSlot {
    /// The delegate.
    fn delegate(&self) -> &DelegateContext;

    /// The delegate.
    fn delegate_mut(&mut self) -> &mut DelegateContext;
}

impl DelegateSlot for DelegateContext {
    fn delegate(&self) -> &DelegateContext {
        self
    }

    fn delegate_mut(&mut self) -> &mut DelegateContext {
        self
    }
}

impl<BLOCK, TX, CFG, DB, JOURNAL, CHAIN, LOCAL> DelegateSlot
    for revm::Context<BLOCK, TX, CFG, DB, JOURNAL, CHAIN, LOCAL>
where
    DB: revm::Database,
    JOURNAL: revm::context_interface::JournalTr<Database = DB>,
    LOCAL: revm::context_interface::LocalContextTr,
    CHAIN: DelegateSlot,
{
    fn delegate(&self) -> &DelegateContext {
        self.chain.delegate()
    }

    fn delegate_mut(&mut self) -> &mut DelegateContext {
        self.chain.delegate_mut()
    }
}

impl<CTX: DelegateSlot, INSP, I, P, F> DelegateSlot for revm::context::Evm<CTX, INSP, I, P, F> {
    fn delegate(&self) -> &DelegateContext {
        self.ctx.delegate()
    }

    fn delegate_mut(&mut self) -> &mut DelegateContext {
        self.ctx.delegate_mut()
    }
}

impl<E: DelegateSlot, Spec, R: ReceiptBuilder> DelegateSlot for EthBlockExecutor<'_, E, Spec, R> {
    fn delegate(&self) -> &DelegateContext {
        self.evm.delegate()
    }

    fn delegate_mut(&mut self) -> &mut DelegateContext {
        self.evm.delegate_mut()
    }
}
