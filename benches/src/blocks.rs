//! How fast blocks are made in process, whether that holds with height, and what a million transfers leave behind: a node on
//! RocksDB in a temporary folder, with a dev node's defaults and without JSON-RPC.

use crate::{
    process::{resident_mib, self_cpu_seconds},
    signed::transfer,
    stats::{grouped, median},
    table::{Section, progress},
};
use alloy::{
    eips::{eip2935, eip4788},
    genesis::{Genesis, GenesisAccount},
    primitives::{Address, B256, Bytes, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use anyhow::{Context, Result};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig, NodeHandle,
    chain_spec::dev_genesis,
    store::{ChainStore, StoreOptions},
};
use cryptlet_primitives::FabricLimits;
use std::{
    ops::Range,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const SENDERS: usize = 100;
/// One after the other, each in a block of its own.
const SINGLE: usize = 4_000;
const HUNDRED: usize = 100;
/// Blocks that a chain has when its next ones are measured.
const DECAY_HEIGHTS: [usize; 3] = [1_000, 4_000, 16_000];
const DECAY_NEW_CHAINS: usize = 5;
/// Given all at once, by many senders.
const BURST: usize = 10_000;
const RECIPIENTS: usize = 1_000;
const MILLION: usize = 1_000_000;
/// Transfers on their way at once while memory is measured.
const WAVE: usize = 5_000;
const MILLION_BLOCK_INTERVAL_MS: u64 = 20;
/// For one wave.
const PATIENCE: Duration = Duration::from_secs(60);

/// The sections on speed.
pub(crate) async fn run() -> Result<Vec<Section>> {
    Ok(vec![single().await?, decay().await?, burst().await?])
}

/// The section on memory and disk.
pub(crate) async fn run_million() -> Result<Vec<Section>> {
    let columns = ["transfers", "blocks", "resident MiB", "on disk MiB", "transfers/s since the last row"];
    let mut table = Section::new("A million transfers", &columns);
    let running = Running::start(Rings::EmptyAtFirst)?;
    let (node, folder) = (&running.node, running.folder.path());
    node.set_automine(false).await?;
    node.set_block_interval_ms(Some(MILLION_BLOCK_INTERVAL_MS)).await?;
    let (mut since, step) = (Instant::now(), MILLION / 10);
    for sent in (0..=MILLION).step_by(WAVE) {
        if sent % step == 0 {
            progress(&format!("a million transfers: {sent}"));
            let rate = if sent == 0 { 0.0 } else { step as f64 / since.elapsed().as_secs_f64() };
            table.row(&[
                grouped(sent as i64),
                grouped(node.head().number as i64),
                format!("{:.0}", resident_mib(std::process::id())?),
                (folder_bytes(folder)? >> 20).to_string(),
                format!("{rate:.0}"),
            ]);
            since = Instant::now();
        }
        if sent < MILLION {
            send_all(node, running.transfers(sent, WAVE)?).await?;
            wait_until_mined(node).await?;
        }
    }
    running.stop().await;
    Ok(vec![table.how(format!(
        "Transfers of {SENDERS} senders to 1,000 accounts in waves of {}, a block every {MILLION_BLOCK_INTERVAL_MS} ms, in process: \
         the memory is that of the whole process, which also signs them.",
        grouped(WAVE as i64)
    ))])
}

async fn single() -> Result<Section> {
    progress("blocks: one at a time");
    let columns = ["blocks", "blocks/s", "first 100, µs each", "last 100, µs each", "last ÷ first", "CPU µs each"];
    let mut table = Section::new("Blocks in process, one transfer each", &columns);
    let running = Running::start(Rings::EmptyAtFirst)?;
    let transfers = transfers_of_one(0..SINGLE)?;
    let (cpu, mut times) = (self_cpu_seconds()?, Vec::with_capacity(SINGLE));
    for raw in transfers {
        times.push(running.mine(raw).await?);
    }
    let cpu_us = (self_cpu_seconds()? - cpu) * 1e6 / SINGLE as f64;
    let (first, last) = (median(times[..HUNDRED].to_vec()), median(times[SINGLE - HUNDRED..].to_vec()));
    table.row(&[
        grouped(SINGLE as i64),
        format!("{:.0}", SINGLE as f64 * 1e6 / times.iter().sum::<f64>()),
        format!("{first:.0}"),
        format!("{last:.0}"),
        format!("{:.2}x", last / first),
        format!("{cpu_us:.0}"),
    ]);
    running.stop().await;
    Ok(table.how(
        "Transfers of one sender to 1,000 accounts, mined on arrival, each sent when the one before is in a block; the first and last \
         hundred are medians. \
         In process, with a dev node's durability.",
    ))
}

/// Blocks of a long chain and of short ones in turn, so that a machine whose speed changes changes both. Every block writes
/// into the rings of EIP-4788 and EIP-2935, whose tries grow deeper until they are full: what that costs is no decay, so there
/// are chains whose rings are full from the start.
async fn decay() -> Result<Section> {
    let columns = ["rings", "blocks before", "block of a new chain, µs", "block of this chain, µs", "ratio"];
    let mut table = Section::new("Blocks in process, by height", &columns);
    for rings in Rings::ALL {
        let name = rings.name();
        let long = Running::start(rings)?;
        let mut height = 0;
        for target in DECAY_HEIGHTS {
            progress(&format!("blocks: the chain grows to {}, rings {name}", grouped(target as i64)));
            for raw in transfers_of_one(height..target)? {
                long.mine(raw).await?;
            }
            height = target;
            let (mut at_start, mut at_height) = (Vec::new(), Vec::new());
            for _ in 0..DECAY_NEW_CHAINS {
                let short = Running::start(rings)?;
                let pairs = transfers_of_one(0..HUNDRED)?.into_iter();
                for (of_short, of_long) in pairs.zip(transfers_of_one(height..height + HUNDRED)?) {
                    at_start.push(short.mine(of_short).await?);
                    at_height.push(long.mine(of_long).await?);
                }
                height += HUNDRED;
                short.stop().await;
            }
            let (at_start, at_height) = (median(at_start), median(at_height));
            table.row(&[
                name.to_owned(),
                grouped(target as i64),
                format!("{at_start:.0}"),
                format!("{at_height:.0}"),
                format!("{:.2}x", at_height / at_start),
            ]);
        }
        long.stop().await;
    }
    Ok(table.how(format!(
        "As above. A block of the long chain, one of a new chain's first hundred, and so on in turn, {} of each: medians. \
         Every block writes into the rings of EIP-4788 and EIP-2935; until they have their 8,191 slots each, their tries grow \
         deeper, and a block has more nodes to hash and write.",
        DECAY_NEW_CHAINS * HUNDRED
    )))
}

async fn burst() -> Result<Section> {
    progress("blocks: a burst");
    let columns =
        ["transfers", "all in the pool after, s", "all mined after, s", "transfers/s", "blocks", "CPU µs each"];
    let mut table = Section::new("A burst in process", &columns);
    let running = Running::start(Rings::EmptyAtFirst)?;
    let transfers = running.transfers(0, BURST)?;
    let (cpu, start) = (self_cpu_seconds()?, Instant::now());
    send_all(&running.node, transfers).await?;
    let submitted_s = start.elapsed().as_secs_f64();
    wait_until_mined(&running.node).await?;
    let (cpu_s, wall_s) = (self_cpu_seconds()? - cpu, start.elapsed().as_secs_f64());
    table.row(&[
        grouped(BURST as i64),
        format!("{submitted_s:.2}"),
        format!("{wall_s:.2}"),
        format!("{:.0}", BURST as f64 / wall_s),
        grouped(running.node.head().number as i64),
        format!("{:.0}", cpu_s * 1e6 / BURST as f64),
    ]);
    running.stop().await;
    Ok(table.how(format!("Transfers of {SENDERS} senders, given to the node at once and mined on arrival.")))
}

/// What a chain has in the rings of EIP-4788 and EIP-2935 when it begins.
#[derive(Clone, Copy)]
pub(crate) enum Rings {
    EmptyAtFirst,
    FullFromTheStart,
}

impl Rings {
    pub(crate) const ALL: [Self; 2] = [Self::EmptyAtFirst, Self::FullFromTheStart];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EmptyAtFirst => "empty at first",
            Self::FullFromTheStart => "full from the start",
        }
    }

    fn genesis(self) -> Genesis {
        match self {
            Self::EmptyAtFirst => dev_genesis(&FabricLimits::default()),
            Self::FullFromTheStart => with_full_rings(&FabricLimits::default()),
        }
    }
}

/// A node, and accounts that can send.
pub(crate) struct Running {
    node: NodeHandle,
    senders: Vec<PrivateKeySigner>,
    folder: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start(rings: Rings) -> Result<Self> {
        let mut genesis = rings.genesis();
        let folder = tempfile::tempdir()?;
        let senders: Vec<_> = (0..SENDERS).map(key).collect::<Result<_>>()?;
        let rich = GenesisAccount::default().with_balance(U256::MAX >> 8);
        // Whoever receives is there from the start: a state that grows makes blocks dearer, and that is another table.
        let everybody = senders.iter().map(PrivateKeySigner::address).chain((0..RECIPIENTS).map(recipient));
        genesis.alloc.extend(everybody.map(|address| (address, rich.clone())));
        let chain = ChainStore::open(folder.path(), &StoreOptions::default())?;
        let spec = Arc::new(ChainSpec::from_genesis(genesis)?);
        Ok(Self { node: Node::start(NodeConfig::default(), spec, chain, Arc::new(NoFabric))?, senders, folder })
    }

    pub(crate) async fn stop(self) {
        self.node.stop().await;
    }

    /// Gives the node a transfer and waits until it is in a block; µs.
    pub(crate) async fn mine(&self, raw: Bytes) -> Result<f64> {
        let mut head = self.node.watch_head();
        let sent = Instant::now();
        let hash = self.node.submit(raw).await?;
        while self.node.chain().transaction_location(hash)?.is_none() {
            head.changed().await?;
        }
        Ok(sent.elapsed().as_secs_f64() * 1e6)
    }

    /// The transfers `first..first + count`, dealt out to the senders in turn.
    fn transfers(&self, first: usize, count: usize) -> Result<Vec<Bytes>> {
        let one = |index: usize| {
            let nonce = index / SENDERS;
            transfer(&self.senders[index % SENDERS], nonce as u64, recipient(nonce))
        };
        (first..first + count).map(one).collect()
    }
}

/// A dev chain as it is after its first 8,191 blocks, as far as the rings of system contracts go.
fn with_full_rings(limits: &FabricLimits) -> Genesis {
    const SLOTS: u64 = 8_191;
    let mut genesis = dev_genesis(limits);
    for ring in [eip4788::BEACON_ROOTS_ADDRESS, eip2935::HISTORY_STORAGE_ADDRESS] {
        let slots = (0..SLOTS).map(|slot| (B256::from(U256::from(slot)), keccak256(slot.to_be_bytes())));
        genesis.alloc.entry(ring).or_default().storage = Some(slots.collect());
    }
    genesis
}

/// Transfers of the first sender.
pub(crate) fn transfers_of_one(nonces: Range<usize>) -> Result<Vec<Bytes>> {
    let sender = key(0)?;
    nonces.map(|nonce| transfer(&sender, nonce as u64, recipient(nonce))).collect()
}

/// Whom the transfer with this nonce goes to.
fn recipient(nonce: usize) -> Address {
    Address::left_padding_from(&((nonce % RECIPIENTS + 10_000) as u64).to_be_bytes())
}

fn key(index: usize) -> Result<PrivateKeySigner> {
    PrivateKeySigner::from_bytes(&keccak256(format!("block rate {index}"))).context("a hash is a key")
}

async fn send_all(node: &NodeHandle, transfers: Vec<Bytes>) -> Result<()> {
    let submit = |raw| node.submit(raw);
    for hash in futures::future::join_all(transfers.into_iter().map(submit)).await {
        hash?;
    }
    Ok(())
}

async fn wait_until_mined(node: &NodeHandle) -> Result<()> {
    let mut head = node.watch_head();
    while node.pool_status().pending > 0 {
        tokio::time::timeout(PATIENCE, head.changed()).await??;
    }
    Ok(())
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let metadata = entry?.metadata();
        bytes += metadata.map_or(0, |metadata| metadata.len());
    }
    Ok(bytes)
}
