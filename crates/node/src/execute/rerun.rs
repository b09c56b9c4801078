//! A block executed once more, to be watched: the same steps as in [`replay`](super::replay), and nothing is compared.

use super::{
    environment::BodyEffects,
    executor::Execution,
    fault::{BlockFault, FaultReason},
    finished::FinishedExecution,
    recovered::RecoveredBlock,
    watched::{BlockState, Watched},
};
use crate::{
    chain_spec::ChainSpec,
    state::StateChanges,
    store::ChainStore,
    types::{Header, RecoveredTransaction},
};
use alloy::consensus::Sealed;
use cryptlet_attestation::RecoveredRecord;
use cryptlet_delegate::{DelegateEvmContext, DelegateScope};
use revm::Inspector;

/// A block that is being executed once more. Cryptlets are answered from the block's own records: no host is asked, and
/// every node sees the same.
pub struct Rerun<'a, I> {
    execution: Execution<'a, I>,
    number: u64,
    /// Transactions that have not run, with their records.
    left: std::vec::IntoIter<(RecoveredTransaction, Vec<RecoveredRecord>)>,
}

impl<'a, I: Inspector<DelegateEvmContext<BlockState>>> Rerun<'a, I> {
    /// Opens the block on its parent's state and makes the system calls that come before its transactions.
    pub fn open(
        spec: &'a ChainSpec,
        chain: &ChainStore,
        parent: &Sealed<Header>,
        block: &'a RecoveredBlock,
        inspector: I,
    ) -> Result<Self, BlockFault> {
        let number = block.number();
        let left: Vec<_> = block.transactions().zip(block.records.clone()).collect();
        let RecoveredBlock { block, edits, .. } = block;
        let (header, edits, body) = (block.header.clone(), edits.clone(), BodyEffects::of(block));
        let execution = Execution::begin_watched(spec, chain, parent, header, edits, body, inspector)?;
        Ok(Self { execution, number, left: left.into_iter() })
    }

    /// Transactions that have not run.
    pub fn transactions_left(&self) -> usize {
        self.left.len()
    }

    /// Runs this many transactions, watched by nobody.
    pub fn skip(&mut self, count: usize) -> Result<(), BlockFault> {
        for _ in 0..count {
            let (transaction, records) = self.take()?;
            self.execution.replay(&transaction, records)?;
        }
        Ok(())
    }

    /// Runs the next transaction under the eyes of the inspector, which is read before the transaction is committed.
    pub fn watch<R>(&mut self, read: impl FnOnce(Watched<'_, I>) -> R) -> Result<R, BlockFault> {
        let (transaction, records) = self.take()?;
        self.execution.replay_watched(&transaction, records, read)
    }

    /// Lets the delegate read the parent's state through something else, which may note what is read.
    pub fn set_delegate_scope(&mut self, scope: DelegateScope) {
        self.execution.set_delegate_scope(scope);
    }

    /// The state as the transactions so far have left it.
    pub fn state_mut(&mut self) -> &mut BlockState {
        self.execution.state_mut()
    }

    /// What the block has done to the parent's state so far.
    pub fn changes_so_far(&mut self) -> StateChanges {
        self.execution.changes_so_far()
    }

    /// Runs what comes after the transactions. To be called when none is left.
    pub fn finish(self) -> Result<(FinishedExecution, BlockState), BlockFault> {
        self.execution.finish_with_state()
    }

    fn take(&mut self) -> Result<(RecoveredTransaction, Vec<RecoveredRecord>), BlockFault> {
        let none_left = || {
            let reason = FaultReason::Internal("the block has no further transaction".to_owned());
            BlockFault::of_block(self.number, reason)
        };
        self.left.next().ok_or_else(none_left)
    }
}
