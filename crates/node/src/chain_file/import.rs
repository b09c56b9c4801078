//! A file into a chain: every block is executed and everything its header says is compared, with no host in reach.

use super::{Progress, branches::Importer, format::ChainFileError, source::BlockSource};
use crate::{
    chain_spec::ChainSpec,
    execute::RecoveredBlock,
    store::{ChainStore, StoreOptions},
    types::ExecutedBlock,
};
use alloy_primitives::B256;
use cryptlet_primitives::DEV_EDITS_REQUEST_TYPE;
use serde::Serialize;
use std::{
    io::{BufRead, BufReader, Read},
    sync::mpsc::{Receiver, sync_channel},
};

/// Where a replay keeps its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplayStorage {
    /// In memory: fastest, needs a few hundred bytes per account and slot, and keeps every block.
    #[default]
    Memory,
    /// In a temporary folder, removed at the end: for chains that do not fit in memory.
    TemporaryFolder,
}

/// How to replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayOptions {
    /// Where the state is kept.
    pub storage: ReplayStorage,
    /// Last block to replay; the rest of the file is not read.
    pub until_block: Option<u64>,
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// Chain id.
    pub chain_id: u64,
    /// Hash of the genesis block.
    pub genesis_hash: B256,
    /// Height of the last block.
    pub head_number: u64,
    /// Its hash.
    pub head_hash: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// Blocks that were executed.
    pub blocks: u64,
    /// Transactions that were executed.
    pub transactions: u64,
    /// Cryptlet records that were checked and consumed.
    pub records: u64,
    /// Blocks that carry development edits: a development node's cheats had a hand in them.
    pub dev_edited_blocks: u64,
    /// Gas that was used.
    pub gas_used: u64,
}

impl ReplayReport {
    pub(super) fn count(&mut self, executed: &ExecutedBlock) {
        let header = &executed.block.header;
        (self.head_number, self.head_hash, self.state_root) = (header.number, executed.hash, header.state_root);
        self.blocks += 1;
        self.transactions += executed.block.body.transactions.len() as u64;
        self.records += executed.records.0.iter().map(|group| group.records.len() as u64).sum::<u64>();
        self.gas_used += header.gas_used;
        let mut requests = executed.requests.iter();
        let is_edited = requests.any(|request| request.first() == Some(&DEV_EDITS_REQUEST_TYPE));
        self.dev_edited_blocks += u64::from(is_edited);
    }
}

/// Sees what a replay does.
pub struct Replaying<'a> {
    /// Called after each block.
    pub progress: &'a mut dyn FnMut(Progress),
    /// Called with each block that was executed and agreed with its header.
    pub block: &'a mut dyn FnMut(&ExecutedBlock),
}

/// Blocks that are decoded and whose signatures are recovered ahead of execution.
const AHEAD_MAX: usize = 32;

/// Replays a chain file from its genesis in a store of its own, and forgets the store.
pub fn replay(
    reader: impl Read + Send,
    options: ReplayOptions,
    replaying: &mut Replaying<'_>,
) -> Result<ReplayReport, ChainFileError> {
    let file = BlockSource::open(BufReader::new(reader))?;
    let genesis = file.genesis().cloned().ok_or(ChainFileError::NotAChainFile)?;
    let spec = ChainSpec::from_genesis(genesis)?;
    let run = |chain: &ChainStore, replaying: &mut Replaying<'_>| {
        chain.initialize(spec.genesis(), &spec.genesis_block())?;
        import(&spec, chain, file, options.until_block, replaying)
    };
    match options.storage {
        ReplayStorage::Memory => run(&ChainStore::in_memory(), replaying),
        ReplayStorage::TemporaryFolder => {
            let folder = tempfile::tempdir()?;
            let chain = ChainStore::open(folder.path(), &StoreOptions::default())?;
            let report = run(&chain, replaying);
            drop(chain);
            report
        }
    }
}

/// Executes the blocks of a file on top of a store that holds the chain of `spec`, and stores them. Blocks that the store
/// already has are skipped. Where the file forks, the rule of `branches.rs` decides. Nothing waits for the disk:
/// call [`ChainStore::flush`] at the end. After an error, what was imported before it stands.
pub fn import<R: BufRead + Send>(
    spec: &ChainSpec,
    chain: &ChainStore,
    file: BlockSource<R>,
    until_block: Option<u64>,
    replaying: &mut Replaying<'_>,
) -> Result<ReplayReport, ChainFileError> {
    if let Some(genesis) = file.genesis() {
        let found = ChainSpec::from_genesis(genesis.clone())?.genesis_hash();
        if found != spec.genesis_hash() {
            return Err(ChainFileError::OtherGenesis { found, stored: spec.genesis_hash() });
        }
    }
    let head = chain.head()?;
    let report = ReplayReport {
        chain_id: spec.chain_id(),
        genesis_hash: spec.genesis_hash(),
        head_number: head.number,
        head_hash: head.hash(),
        state_root: head.state_root,
        blocks: 0,
        transactions: 0,
        records: 0,
        dev_edited_blocks: 0,
        gas_used: 0,
    };
    std::thread::scope(|scope| {
        let (send, blocks) = sync_channel(AHEAD_MAX);
        scope.spawn(move || {
            let mut file = file;
            while let Some(next) = file.next() {
                let next = next.and_then(|(block, requests)| Ok(RecoveredBlock::recover_parts(spec, block, requests)?));
                let is_last = next.is_err();
                // The receiver is gone when it has seen enough.
                if send.send((next, file.bytes())).is_err() || is_last {
                    return;
                }
            }
        });
        let written = chain.with_unsettled();
        let report = execute_all(Importer::new(spec, &written), blocks, until_block, replaying, report);
        chain.settle()?;
        report
    })
}

type Recovered = (Result<RecoveredBlock, ChainFileError>, u64);

fn execute_all(
    mut importer: Importer<'_>,
    blocks: Receiver<Recovered>,
    until_block: Option<u64>,
    replaying: &mut Replaying<'_>,
    mut report: ReplayReport,
) -> Result<ReplayReport, ChainFileError> {
    for (recovered, bytes) in blocks {
        let recovered = recovered?;
        if until_block.is_some_and(|until| recovered.number() > until) {
            break;
        }
        let number = recovered.number();
        importer.take(recovered, &mut |executed| {
            report.count(executed);
            (replaying.block)(executed);
        })?;
        (replaying.progress)(Progress { blocks: report.blocks, block_number: number, bytes });
    }
    Ok(report)
}
