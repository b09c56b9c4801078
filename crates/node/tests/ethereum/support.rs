//! A chain through every fork, from Frontier to the second BPO fork. EthereumJS made it
//! (`tests/e2e/support/chain-maker.mjs`), so nothing in it was computed by this node.

use cryptlet_node::{
    ChainSpec,
    chain_file::{BlockSource, ChainFileError, ReplayReport, Replaying, import},
    execute::{BlockFault, RecoveredBlock, ReplayedBlock, replay_block},
    store::ChainStore,
    types::Block,
};
use cryptlet_primitives::FabricLimits;
use flate2::read::GzDecoder;
use std::{io::Read, sync::LazyLock};

const GENESIS: &str = include_str!("../../../../tests/vectors/all-forks/genesis.json");
const CHAIN: &[u8] = include_bytes!("../../../../tests/vectors/all-forks/chain.rlp.gz");

/// Blocks of the chain.
pub(crate) const LAST: u64 = 60;
/// The first block without difficulty.
pub(crate) const MERGE: u64 = 36;

/// RLP of the blocks, one after the other.
pub(crate) static RLP: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    GzDecoder::new(CHAIN).read_to_end(&mut bytes).unwrap();
    bytes
});

/// The blocks, the first one at index 0.
pub(crate) static BLOCKS: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let blocks = BlockSource::open(CHAIN).unwrap();
    blocks.map(|block| block.unwrap().0).collect()
});

pub(crate) fn spec() -> ChainSpec {
    ChainSpec::from_json(GENESIS).unwrap()
}

/// The rules of the same chain in an EVM that has the delegate, although no account says so.
pub(crate) fn spec_with_delegate() -> ChainSpec {
    spec().assuming_delegate(FabricLimits::default())
}

pub(crate) fn block(number: u64) -> Block {
    BLOCKS[number as usize - 1].clone()
}

/// A store that holds the genesis block.
pub(crate) fn empty_store(spec: &ChainSpec) -> ChainStore {
    let store = ChainStore::in_memory();
    store.initialize(spec.genesis(), &spec.genesis_block()).unwrap();
    store
}

pub(crate) fn import_file(
    spec: &ChainSpec,
    store: &ChainStore,
    file: &[u8],
    until_block: Option<u64>,
) -> Result<ReplayReport, ChainFileError> {
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    import(spec, store, BlockSource::open(file)?, until_block, &mut quiet)
}

/// Executes a block on the head of a store.
pub(crate) fn replay_on(spec: &ChainSpec, store: &ChainStore, block: Block) -> Result<ReplayedBlock, BlockFault> {
    let head = store.head().unwrap();
    replay_block(spec, store, &head, RecoveredBlock::recover_parts(spec, block, None)?)
}
