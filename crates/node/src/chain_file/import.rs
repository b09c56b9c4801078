//! A file into a chain: every block is executed and everything its header says is compared, with no host in reach.

use super::{
    Progress,
    format::{ChainFileError, ChainFileReader},
};
use crate::{
    chain_spec::ChainSpec,
    execute::{RecoveredBlock, replay_block},
    store::{ChainStore, StoreOptions},
    types::ExecutedBlock,
};
use alloy_primitives::B256;
use cryptlet_primitives::DEV_EDITS_REQUEST_TYPE;
use serde::Serialize;
use std::{
    io::Read,
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
    let file = ChainFileReader::open(reader)?;
    match options.storage {
        ReplayStorage::Memory => import(file, &ChainStore::in_memory(), options.until_block, replaying),
        ReplayStorage::TemporaryFolder => {
            let folder = tempfile::tempdir()?;
            let chain = ChainStore::open(folder.path(), &StoreOptions::default())?;
            let report = import(file, &chain, options.until_block, replaying);
            drop(chain);
            report
        }
    }
}

/// Executes the blocks of a file on top of a store, and stores them. An empty store gets the file's genesis; blocks that
/// the store already has are compared by hash and skipped.
pub fn import<R: Read + Send>(
    file: ChainFileReader<R>,
    chain: &ChainStore,
    until_block: Option<u64>,
    replaying: &mut Replaying<'_>,
) -> Result<ReplayReport, ChainFileError> {
    let spec = ChainSpec::from_genesis(file.genesis().clone())?;
    let head = chain.initialize(spec.genesis(), &spec.genesis_block())?;
    let mut report = ReplayReport {
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
    if file.first_block() > head.number + 1 {
        return Err(ChainFileError::Gap { first: file.first_block(), head: head.number });
    }
    std::thread::scope(|scope| {
        let (send, blocks) = sync_channel(AHEAD_MAX);
        let spec = &spec;
        scope.spawn(move || {
            let mut file = file;
            loop {
                let Some(next) = file.next() else { return };
                let next = next.and_then(|block| Ok(RecoveredBlock::recover(spec, block)?));
                let is_last = next.is_err();
                // The receiver is gone when it has seen enough.
                if send.send((next, file.bytes())).is_err() || is_last {
                    return;
                }
            }
        });
        execute_all(spec, chain, blocks, until_block, replaying, &mut report)
    })?;
    Ok(report)
}

type Recovered = (Result<RecoveredBlock, ChainFileError>, u64);

fn execute_all(
    spec: &ChainSpec,
    chain: &ChainStore,
    blocks: Receiver<Recovered>,
    until_block: Option<u64>,
    replaying: &mut Replaying<'_>,
    report: &mut ReplayReport,
) -> Result<(), ChainFileError> {
    for (recovered, bytes) in blocks {
        let recovered = recovered?;
        let number = recovered.number();
        if until_block.is_some_and(|until| number > until) {
            return Ok(());
        }
        let parent = chain.head()?;
        if number <= parent.number {
            let stored = chain.block_hash(number)?.unwrap_or_default();
            if stored != recovered.hash() {
                return Err(ChainFileError::Fork { number, found: recovered.hash(), stored });
            }
            continue;
        }
        let replayed = replay_block(spec, chain, &parent, recovered)?;
        let head = replayed.commit(chain)?;
        report.head_number = head.number;
        report.head_hash = head.hash();
        report.state_root = head.state_root;
        report.blocks += 1;
        report.transactions += replayed.executed.block.body.transactions.len() as u64;
        let records = replayed.executed.records.0.iter().map(|group| group.records.len() as u64);
        report.records += records.sum::<u64>();
        let mut requests = replayed.executed.requests.iter();
        let is_edited = requests.any(|request| request.first() == Some(&DEV_EDITS_REQUEST_TYPE));
        report.dev_edited_blocks += u64::from(is_edited);
        report.gas_used += head.gas_used;
        (replaying.block)(&replayed.executed);
        (replaying.progress)(Progress { blocks: report.blocks, block_number: head.number, bytes });
    }
    Ok(())
}
