//! Running blocks of the chain again to watch their transactions.

use crate::{
    execute::{BlockFault, BlockState, RecoveredBlock, Rerun, Watched},
    rpc::{Rpc, RpcError},
    service::CallBase,
    store::StoredBlock,
    types::Header,
};
use alloy::{consensus::Sealed, eips::eip7685::Requests};
use alloy_primitives::B256;
use cryptlet_delegate::DelegateEvmContext;
use revm::Inspector;
use revm_inspectors::tracing::TransactionContext;

/// Where a transaction that has been watched stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Hash of its block.
    pub(crate) block: B256,
    /// Height of its block.
    pub(crate) number: u64,
    /// Its position.
    pub(crate) index: usize,
    /// Its hash.
    pub(crate) transaction: B256,
}

impl Place {
    /// In the words of the inspectors.
    pub(crate) fn context(&self) -> TransactionContext {
        let Self { block, index, transaction, .. } = *self;
        TransactionContext { block_hash: Some(block), tx_index: Some(index), tx_hash: Some(transaction) }
    }

    /// In the words of alloy.
    pub(crate) fn info(&self, base_fee: u64) -> alloy::rpc::types::TransactionInfo {
        alloy::rpc::types::TransactionInfo {
            hash: Some(self.transaction),
            index: Some(self.index as u64),
            block_hash: Some(self.block),
            block_number: Some(self.number),
            base_fee: Some(base_fee),
            ..Default::default()
        }
    }
}

impl Rpc {
    /// Runs a block up to its last wanted transaction. Each wanted one runs under the inspector, which is then read (and
    /// must be made ready for the next one).
    pub(crate) fn rerun_block<I, T>(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
        inspector: I,
        mut read: impl FnMut(Place, Watched<'_, I>) -> Result<T, RpcError>,
    ) -> Result<Vec<T>, RpcError>
    where
        I: Inspector<DelegateEvmContext<BlockState>>,
    {
        let hashes: Vec<B256> =
            block.block.body.transactions.iter().map(|transaction| *transaction.tx_hash()).collect();
        let wanted: Vec<usize> = (0..hashes.len()).filter(|index| is_wanted(*index)).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let recovered = self.recovered(block)?;
        let mut rerun = self.rerun(&recovered, inspector)?;
        let (mut next, mut seen) = (0, Vec::with_capacity(wanted.len()));
        for index in wanted {
            rerun.skip(index - next)?;
            let place = Place { block: block.hash, number: block.number(), index, transaction: hashes[index] };
            seen.push(rerun.watch(|watched| read(place, watched))??);
            next = index + 1;
        }
        Ok(seen)
    }

    /// The same for one transaction.
    pub(crate) fn rerun_transaction<I, T>(
        &self,
        block: &StoredBlock,
        index: usize,
        inspector: I,
        read: impl FnMut(Place, Watched<'_, I>) -> Result<T, RpcError>,
    ) -> Result<T, RpcError>
    where
        I: Inspector<DelegateEvmContext<BlockState>>,
    {
        let seen = self.rerun_block(block, |wanted| wanted == index, inspector, read)?;
        seen.into_iter().next().ok_or_else(|| RpcError::internal("the block has no such transaction"))
    }

    /// A block with its records. One that is not of the chain has none.
    pub(crate) fn recovered(&self, block: &StoredBlock) -> Result<RecoveredBlock, RpcError> {
        let chain = self.node.chain();
        let is_ours = chain.block_hash(block.number())? == Some(block.hash);
        let requests = if is_ours { chain.requests(block.number())?.unwrap_or_default() } else { Requests::default() };
        Ok(RecoveredBlock::of_stored(self.node.spec(), block.clone(), requests)?)
    }

    /// Opens a block for another run.
    pub(crate) fn rerun<'a, I>(&'a self, block: &'a RecoveredBlock, inspector: I) -> Result<Rerun<'a, I>, RpcError>
    where
        I: Inspector<DelegateEvmContext<BlockState>>,
    {
        let parent = self.parent_of(&block.block().header)?;
        Ok(Rerun::open(self.node.spec(), self.node.chain(), &parent, block, inspector)?)
    }

    /// The state before the transaction at `index` of a block, or after its last one.
    pub(crate) fn state_before(&self, block: &StoredBlock, index: usize) -> Result<CallBase, RpcError> {
        let recovered = self.recovered(block)?;
        let mut rerun = self.rerun(&recovered, revm::inspector::NoOpInspector {})?;
        rerun.skip(index)?;
        Ok(CallBase::of_state(rerun.state_mut()))
    }

    fn parent_of(&self, header: &Header) -> Result<Sealed<Header>, RpcError> {
        // geth's words.
        let genesis = || RpcError::refused("genesis is not traceable");
        let parent = header.number.checked_sub(1).ok_or_else(genesis)?;
        let unknown = || RpcError::refused(format!("parent {} not found", header.parent_hash));
        let parent = self.node.chain().header(parent)?.ok_or_else(unknown)?;
        (parent.hash() == header.parent_hash).then_some(parent).ok_or_else(unknown)
    }
}

impl From<BlockFault> for RpcError {
    fn from(fault: BlockFault) -> Self {
        if fault.blames_block() { Self::refused(fault.to_string()) } else { Self::internal(fault) }
    }
}
