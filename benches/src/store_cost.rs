//! What the store costs: opening, one block of 1,000 changed accounts in a small and in a large state, small blocks one
//! after the other. In process, on RocksDB in a temporary folder.

use crate::{
    stats::grouped,
    table::{Section, progress},
};
use alloy::{
    consensus::BlockBody,
    eips::eip7685::Requests,
    genesis::{Genesis, GenesisAccount},
    primitives::{Address, U256},
};
use anyhow::Result;
use cryptlet_node::{
    state::{AccountChange, StateChanges},
    store::{ChainStore, CommitBlock, StoreError, StoreOptions},
    types::{Block, Header},
};
use reth_primitives_traits::Account;
use std::{
    path::Path,
    time::{Duration, Instant},
};

const LARGE: u64 = 1_000_000;
const SMALL: u64 = 10_000;
const CHANGES: u64 = 1_000;
const ROUNDS: u32 = 10;
const SMALL_BLOCKS: u64 = 4_000;
const ENDS: usize = 500;

/// The section.
pub(crate) fn run() -> Result<Vec<Section>> {
    let columns = [
        "accounts",
        "each block synced",
        "genesis, ms",
        "reopening, ms",
        "root, ms",
        "commit, ms",
        "small blocks/s, first and last 500",
    ];
    let mut table = Section::new("1,000 changed accounts in a state of 10,000 and of 1,000,000", &columns);
    for (accounts, sync) in [(SMALL, false), (LARGE, false), (LARGE, true)] {
        progress(&format!("store: {accounts} accounts"));
        let folder = tempfile::tempdir()?;
        let options = StoreOptions { sync, ..StoreOptions::default() };
        let genesis = timed(|| initialize(folder.path(), &options, accounts))?;
        let (reopen, store) = timed_with(|| ChainStore::open(folder.path(), &options))?;
        let (mut root, mut commit) = (Duration::ZERO, Duration::ZERO);
        for round in 0..u64::from(ROUNDS) {
            let stride = accounts / CHANGES;
            let changes = changes((0..CHANGES).map(|index| index * stride + round % stride), round);
            let (one_root, one_commit) = block(&store, &changes)?;
            (root, commit) = (root + one_root / ROUNDS, commit + one_commit / ROUNDS);
        }
        let mut times = Vec::new();
        for number in 0..SMALL_BLOCKS {
            let changes = changes([number % accounts, (number * 7 + 1) % accounts].into_iter(), number);
            times.push(timed(|| block(&store, &changes))?);
        }
        let rate = |times: &[Duration]| times.len() as f64 / times.iter().sum::<Duration>().as_secs_f64();
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
        table.row(&[
            grouped(accounts as i64),
            if sync { "yes" } else { "no" }.to_owned(),
            ms(genesis),
            ms(reopen),
            ms(root),
            ms(commit),
            format!("{:.0}, {:.0}", rate(&times[..ENDS]), rate(&times[times.len() - ENDS..])),
        ]);
    }
    Ok(vec![table.how(format!(
        "Root and commit are means of {ROUNDS} blocks that change {} accounts, spread evenly; small blocks change two.",
        grouped(CHANGES as i64)
    ))])
}

fn initialize(path: &Path, options: &StoreOptions, accounts: u64) -> Result<(), StoreError> {
    let account = GenesisAccount { balance: U256::from(1u64 << 60), ..GenesisAccount::default() };
    let alloc = (0..accounts).map(|index| (address(index), account.clone())).collect();
    let genesis = Genesis { alloc, ..Genesis::default() };
    let state_root = ChainStore::genesis_state_root(&genesis.alloc)?;
    let header = Header { state_root, ..Header::default() };
    ChainStore::open(path, options)?.initialize(&genesis, &Block { header, body: BlockBody::default() })?;
    Ok(())
}

fn changes(accounts: impl Iterator<Item = u64>, round: u64) -> StateChanges {
    let change = |index| {
        let account = Account { nonce: round + 1, balance: U256::from(round), ..Account::default() };
        (address(index), AccountChange { account: Some(account), ..AccountChange::default() })
    };
    StateChanges { accounts: accounts.map(change).collect(), ..StateChanges::default() }
}

/// Commits a block with these changes; tells how long its root and its commit took.
fn block(store: &ChainStore, changes: &StateChanges) -> Result<(Duration, Duration), StoreError> {
    let head = store.head()?;
    let (root, state) = timed_with(|| store.state_root_after(head.number, changes))?;
    let header =
        Header { number: head.number + 1, parent_hash: head.hash(), state_root: state.root(), ..Header::default() };
    let block = Block { header, body: BlockBody::default() };
    let (hash, requests) = (block.header.hash_slow(), Requests::default());
    let commit = CommitBlock { block: &block, hash, senders: &[], receipts: &[], requests: &requests, state: &state };
    let commit = timed(|| store.commit(commit))?;
    Ok((root, commit))
}

fn address(index: u64) -> Address {
    Address::left_padding_from(&(index + 1_000).to_be_bytes())
}

fn timed<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    timed_with(run).map(|(time, _)| time)
}

fn timed_with<T, E>(run: impl FnOnce() -> Result<T, E>) -> Result<(Duration, T), E> {
    let start = Instant::now();
    let value = run()?;
    Ok((start.elapsed(), value))
}
