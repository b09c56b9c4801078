//! The task that makes blocks: it performs what [`build::Machine`](crate::build::Machine) decides.
//!
//! It runs on a thread of its own, because executing a block keeps a thread busy. Calls to the fabric run as tasks beside
//! it and report back through its command queue; nothing in execution waits for them.

mod announce;
mod clock;
mod dispatch;
mod edit;
mod halt;
mod seal;
mod task;

pub use clock::{Clock, SystemClock, TimeControl, TimeMark, TimestampTooLow};
pub(crate) use dispatch::ask;
pub use dispatch::judge_answer;
pub use edit::DevEdit;

pub(crate) use task::Miner;

use crate::{
    build::{Cadence, ParkedView},
    execute::BlockFault,
    fork,
    pool::PooledEntry,
    service::{ChainMark, Head},
    store::StoreError,
};
use alloy_primitives::{Address, B256};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{FabricFault, InvocationKey};
use tokio::sync::oneshot;

/// How the miner works.
#[derive(Clone, Copy, Debug)]
pub struct MinerConfig {
    /// When blocks are made.
    pub cadence: Cadence,
    /// Waits between attempts to get an answer.
    pub backoff: crate::build::Backoff,
    /// Longest wait for one attempt.
    pub attempt_timeout_ms: u64,
    /// A call waits at least this long, however fast blocks follow each other; then `unavailableAfterBlocks` decides.
    pub patience_ms: u64,
    /// Calls that may be in flight at once.
    pub in_flight_max: usize,
    /// Transactions of one block, if blocks take more than one.
    pub transactions_per_block_max: usize,
    /// Bytes of encoded transactions of one block; from Osaka on EIP-7934 has a bound of its own.
    pub transaction_bytes_per_block_max: usize,
    /// States kept below the head; `None` keeps all (an archive).
    pub states_kept: Option<u64>,
}

impl Default for MinerConfig {
    fn default() -> Self {
        Self {
            cadence: Cadence::default(),
            backoff: Default::default(),
            attempt_timeout_ms: 30_000,
            patience_ms: 15_000,
            in_flight_max: 256,
            transactions_per_block_max: 20_000,
            transaction_bytes_per_block_max: 32 * 1024 * 1024,
            states_kept: None,
        }
    }
}

/// Blocks that one command may ask for.
pub const BLOCKS_PER_COMMAND_MAX: u64 = 100_000;

/// What may be asked of the miner.
#[derive(Debug)]
pub(crate) enum MinerCommand {
    /// Make this many blocks now.
    Mine { blocks: u64, interval_seconds: Option<u64>, reply: oneshot::Sender<Result<Vec<B256>, MinerError>> },
    /// Mining on arrival, on or off.
    SetAutomine { on: bool, reply: oneshot::Sender<()> },
    /// A block every so often.
    SetInterval { interval_ms: Option<u64>, reply: oneshot::Sender<()> },
    /// How blocks are paced now.
    Cadence { reply: oneshot::Sender<Cadence> },
    /// Back to this block.
    Rewind { number: u64, reply: oneshot::Sender<Result<Head, MinerError>> },
    /// Where the chain is, and what was set since.
    Mark { reply: oneshot::Sender<Result<ChainMark, MinerError>> },
    /// Back to such a mark; `false` if the chain no longer has it.
    Restore { mark: Box<ChainMark>, reply: oneshot::Sender<Result<bool, MinerError>> },
    /// Set something that the next block carries.
    Edit { edit: Box<DevEdit>, reply: oneshot::Sender<Result<(), MinerError>> },
    /// Replace the blocks above this one by as many with these transactions, and no others.
    Reorg { above: u64, blocks: Vec<Vec<PooledEntry>>, reply: oneshot::Sender<Result<Head, MinerError>> },
    /// Take these transactions out of the pool: all, or those of one sender.
    DropAll { of: Option<Address>, reply: oneshot::Sender<usize> },
    /// Take a transaction out of the pool.
    Drop { hash: B256, reply: oneshot::Sender<bool> },
    /// What a transaction waits for.
    Parked { hash: B256, reply: oneshot::Sender<Option<ParkedView>> },
    /// These left the pool (replaced, evicted).
    Gone { transactions: Vec<B256> },
    /// An attempt to get an answer ended.
    Answered { key: InvocationKey, outcome: Result<Box<RecoveredRecord>, FabricFault> },
    /// Finish.
    Stop { reply: oneshot::Sender<()> },
}

/// Why the miner could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MinerError {
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
    /// The block that was made is not valid: storage failed, or there is a bug.
    #[error("no block could be made: {0}")]
    Block(#[from] BlockFault),
    /// The chain could not be rewound, or the block not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a cheat asked for cannot be.
    #[error("{0}")]
    Edit(String),
    /// The chain takes no development edits.
    #[error(
        "this chain takes no development edits: blocks made on them could not be replayed. Set \"cryptletDevEdits\": true in \
         the config of its genesis; a --dev chain has it"
    )]
    DevEditsNotTaken,
    /// More than one command may ask for.
    #[error("{0} blocks were asked for; one command makes at most {BLOCKS_PER_COMMAND_MAX}")]
    TooManyBlocks(u64),
}

impl MinerError {
    /// Could it be done once a row of the forked chain was fetched?
    pub(crate) fn is_miss(&self) -> bool {
        fork::is_miss(&self.to_string())
    }
}
