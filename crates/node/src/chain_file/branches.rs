//! Where a file's blocks go: on the head, or on a branch beside it.
//!
//! Before the merge the branch with the greater total difficulty is the chain, the first of two equal ones. After it, a
//! file has no fork choice but its order: the last branch is the chain, as when geth imports one. A branch is executed
//! when it becomes the chain, from where it leaves the chain on; until then only its headers were checked.

use super::format::ChainFileError;
use crate::{
    chain_spec::ChainSpec,
    execute::{BlockFault, FaultReason, ParentBlock, RecoveredBlock, replay_block, validate_header},
    store::ChainStore,
    types::{ExecutedBlock, Header},
};
use alloy::consensus::Sealed;
use alloy_primitives::{B256, U256, map::HashMap};
use std::collections::VecDeque;

/// Blocks beside the chain that are kept in memory; the oldest are forgotten first.
const BRANCH_BLOCKS_MAX: usize = 1_024;

/// Nobody waits for a single block of a file, so they are settled together.
const SETTLE_EVERY_BLOCKS: u64 = 256;

/// Takes the blocks of a file, one by one.
#[expect(missing_debug_implementations)] // the blocks beside the chain would drown everything else
pub struct Importer<'a> {
    spec: &'a ChainSpec,
    /// Seen with the blocks that are not settled yet.
    chain: &'a ChainStore,
    beside: HashMap<B256, Beside>,
    arrivals: VecDeque<B256>,
}

/// A block beside the chain.
struct Beside {
    block: RecoveredBlock,
    total_difficulty: U256,
}

/// Sees each block that became part of the chain.
pub type Seen<'a> = dyn FnMut(&ExecutedBlock) + 'a;

impl<'a> Importer<'a> {
    /// On top of a store that holds the chain of `spec`.
    pub fn new(spec: &'a ChainSpec, chain: &'a ChainStore) -> Self {
        Self { spec, chain, beside: HashMap::default(), arrivals: VecDeque::new() }
    }

    /// Takes the next block of the file.
    pub fn take(&mut self, block: RecoveredBlock, seen: &mut Seen<'_>) -> Result<(), ChainFileError> {
        let (number, hash, parent) = (block.number(), block.hash(), block.block().header.parent_hash);
        if self.chain.block_number(hash)?.is_some() || self.beside.contains_key(&hash) {
            return Ok(());
        }
        let head = self.chain.head()?;
        if parent == head.hash() {
            return self.append(&head, block, seen);
        }
        if number <= self.chain.first_block()? {
            return Err(ChainFileError::OtherGenesis { found: hash, stored: self.spec.genesis_hash() });
        }
        let Some((parent, below)) = self.parent_of(&block, &head)? else {
            return Err(ChainFileError::UnknownParent { number, parent, head: head.number });
        };
        let parent = ParentBlock { header: &parent, total_difficulty: below };
        validate_header(self.spec, parent, block.block(), block.edits())?;
        let total_difficulty = below.saturating_add(block.block().header.difficulty);
        let is_merged = self.spec.rules(&block.block().header).is_merged();
        self.keep(block, total_difficulty);
        if is_merged || total_difficulty > self.chain.total_difficulty()? {
            self.switch_to(hash, seen)?;
        }
        Ok(())
    }

    fn append(&self, head: &Sealed<Header>, block: RecoveredBlock, seen: &mut Seen<'_>) -> Result<(), ChainFileError> {
        let replayed = replay_block(self.spec, self.chain, head, block)?;
        let head = replayed.append(self.chain)?;
        if head.number.is_multiple_of(SETTLE_EVERY_BLOCKS) {
            self.chain.settle()?;
        }
        seen(&replayed.executed);
        Ok(())
    }

    /// The parent of a block that does not follow the head, and the total difficulty up to it.
    fn parent_of(
        &self,
        block: &RecoveredBlock,
        head: &Sealed<Header>,
    ) -> Result<Option<(Sealed<Header>, U256)>, ChainFileError> {
        let hash = block.block().header.parent_hash;
        if let Some(parent) = self.beside.get(&hash) {
            let header = parent.block.block().header.clone();
            return Ok(Some((Sealed::new_unchecked(header, hash), parent.total_difficulty)));
        }
        let Some(parent) = self.chain.header_by_hash(hash)? else { return Ok(None) };
        let mut total = self.chain.total_difficulty()?;
        for above in parent.number + 1..=head.number {
            let difficulty = self.chain.header(above)?.map_or(U256::ZERO, |header| header.difficulty);
            total = total.saturating_sub(difficulty);
        }
        Ok(Some((parent, total)))
    }

    fn keep(&mut self, block: RecoveredBlock, total_difficulty: U256) {
        let hash = block.hash();
        self.beside.insert(hash, Beside { block, total_difficulty });
        self.arrivals.push_back(hash);
        while self.arrivals.len() > BRANCH_BLOCKS_MAX {
            let oldest = self.arrivals.pop_front();
            oldest.map(|oldest| self.beside.remove(&oldest));
        }
    }

    /// Makes the branch that ends with this block the chain. If a block of it is not valid, the chain stays as it was.
    fn switch_to(&mut self, tip: B256, seen: &mut Seen<'_>) -> Result<(), ChainFileError> {
        let mut branch = Vec::new();
        let mut next = tip;
        while let Some(beside) = self.beside.get(&next) {
            branch.push(beside.block.clone());
            next = beside.block.block().header.parent_hash;
        }
        branch.reverse();
        let fork = self.chain.header_by_hash(next)?.ok_or_else(|| ChainFileError::UnknownParent {
            number: branch.first().map_or(0, RecoveredBlock::number),
            parent: next,
            head: 0,
        })?;
        let left = self.blocks_above(fork.number)?;
        tracing::info!(fork = fork.number, left = left.len(), taken = branch.len(), "another branch becomes the chain");
        self.chain.rewind_to(fork.number)?;
        if let Err(error) = self.append_all(&branch, seen) {
            self.chain.rewind_to(fork.number)?;
            let blocks: Vec<_> = left.into_iter().map(|(block, _)| block).collect();
            self.append_all(&blocks, &mut |_| {})?;
            branch.iter().for_each(|block| _ = self.beside.remove(&block.hash()));
            return Err(error);
        }
        for block in &branch {
            self.beside.remove(&block.hash());
        }
        self.arrivals.retain(|hash| self.beside.contains_key(hash));
        for (block, total_difficulty) in left {
            self.keep(block, total_difficulty);
        }
        Ok(())
    }

    fn append_all(&self, blocks: &[RecoveredBlock], seen: &mut Seen<'_>) -> Result<(), ChainFileError> {
        for block in blocks {
            let head = self.chain.head()?;
            self.append(&head, block.clone(), seen)?;
        }
        Ok(())
    }

    /// The blocks of the chain above this one, each with the total difficulty up to it.
    fn blocks_above(&self, number: u64) -> Result<Vec<(RecoveredBlock, U256)>, ChainFileError> {
        let head = self.chain.head()?.number;
        let mut total = self.chain.total_difficulty()?;
        let mut blocks = Vec::new();
        for number in (number + 1..=head).rev() {
            let missing = || BlockFault::of_block(number, FaultReason::Storage("the block is missing".to_owned()));
            let block = self.chain.block(number)?.ok_or_else(missing)?.block;
            let requests = self.chain.requests(number)?;
            let difficulty = block.header.difficulty;
            blocks.push((RecoveredBlock::recover_parts(self.spec, block, requests)?, total));
            total = total.saturating_sub(difficulty);
        }
        blocks.reverse();
        Ok(blocks)
    }
}
