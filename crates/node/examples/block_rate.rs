//! How fast blocks are made in process, and whether that holds with height: a node on RocksDB in a temporary folder, with a
//! dev node's defaults. `cargo run --release -p cryptlet-node --example block_rate -- [single|burst|memory] [transactions]`
//!
//! * `single`: transfers one at a time, each mined on arrival before the next is sent (default 4,000);
//! * `burst`: transfers of many senders sent at once, one block each (default 10,000);
//! * `memory`: transfers in blocks of at most 1,000, with the resident memory and the size on disk on the way
//!   (default 1,000,000).
#![allow(clippy::print_stdout)] // a table is what it is for

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::Encodable2718,
    genesis::GenesisAccount,
    network::TxSignerSync,
    signers::local::PrivateKeySigner,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig, NodeHandle,
    chain_spec::dev_genesis,
    store::{ChainStore, StoreOptions},
};
use rayon::prelude::*;
use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Accounts that send.
const SENDERS: usize = 100;
/// Transfers on their way at once while memory is measured.
const WAVE: usize = 5_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mode = std::env::args().nth(1).unwrap_or_else(|| "single".to_owned());
    let count = |default: usize| std::env::args().nth(2).map_or(Ok(default), |count| count.parse::<usize>());
    let folder = tempfile::tempdir()?;
    let senders: Vec<PrivateKeySigner> = (0..SENDERS).map(key).collect();
    let node = start(folder.path(), &senders)?;
    match mode.as_str() {
        "single" => single(&node, &senders[0], count(4_000)?).await?,
        "burst" => burst(&node, &senders, count(10_000)?).await?,
        "memory" => memory(&node, &senders, count(1_000_000)?, folder.path()).await?,
        _ => return Err(format!("unknown mode {mode}; there are single, burst and memory").into()),
    }
    node.stop().await;
    Ok(())
}

fn key(index: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&keccak256(format!("block rate {index}"))).expect("a hash is a key")
}

fn start(folder: &Path, senders: &[PrivateKeySigner]) -> Result<NodeHandle, Box<dyn Error>> {
    let mut genesis = dev_genesis(&Default::default());
    let rich = GenesisAccount::default().with_balance(U256::MAX >> 8);
    genesis.alloc.extend(senders.iter().map(|sender| (sender.address(), rich.clone())));
    let chain = ChainStore::open(folder, &StoreOptions::default())?;
    Ok(Node::start(NodeConfig::default(), Arc::new(ChainSpec::from_genesis(genesis)?), chain, Arc::new(NoFabric))?)
}

async fn single(node: &NodeHandle, sender: &PrivateKeySigner, count: usize) -> Result<(), Box<dyn Error>> {
    let transfers: Vec<Bytes> = (0..count).into_par_iter().map(|nonce| transfer(sender, nonce as u64)).collect();
    let mut head = node.watch_head();
    let (cpu, start) = (cpu_time(), Instant::now());
    let mut times = Vec::with_capacity(count);
    for raw in transfers {
        let sent = Instant::now();
        head.borrow_and_update();
        let hash = node.submit(raw).await?;
        while node.chain().transaction_location(hash)?.is_none() {
            head.changed().await?;
        }
        times.push(sent.elapsed());
    }
    let (cpu, wall) = (cpu_time() - cpu, start.elapsed());
    println!("| blocks | blocks/s | µs each, median | first 100: median | last 100: median | CPU µs each |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| {count} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
        count as f64 / wall.as_secs_f64(),
        median_us(&times),
        median_us(&times[..100.min(count)]),
        median_us(&times[count.saturating_sub(100)..]),
        cpu.as_secs_f64() * 1e6 / count as f64
    );
    Ok(())
}

async fn burst(node: &NodeHandle, senders: &[PrivateKeySigner], count: usize) -> Result<(), Box<dyn Error>> {
    let transfers = transfers(senders, 0, count);
    let (cpu, start) = (cpu_time(), Instant::now());
    send_all(node, transfers).await?;
    let submitted = start.elapsed();
    wait_until_mined(node).await?;
    let (cpu, wall) = (cpu_time() - cpu, start.elapsed());
    println!("| transfers | submitted in | all mined in | transfers/s | blocks | CPU µs each |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!(
        "| {count} | {submitted:.2?} | {wall:.2?} | {:.0} | {} | {:.0} |",
        count as f64 / wall.as_secs_f64(),
        node.head().number,
        cpu.as_secs_f64() * 1e6 / count as f64
    );
    Ok(())
}

async fn memory(
    node: &NodeHandle,
    senders: &[PrivateKeySigner],
    count: usize,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    node.set_automine(false).await?;
    node.set_block_interval_ms(Some(20)).await?;
    println!("| transfers | blocks | resident MiB | on disk MiB | transfers/s since the last row |");
    println!("| --- | --- | --- | --- | --- |");
    let step = (count / 10).max(WAVE);
    let (mut sent, mut since) = (0, Instant::now());
    loop {
        if sent % step == 0 {
            let (resident, disk) = (resident_bytes() >> 20, folder_bytes(folder)? >> 20);
            let rate = if sent == 0 { 0.0 } else { step as f64 / since.elapsed().as_secs_f64() };
            println!("| {sent} | {} | {resident} | {disk} | {rate:.0} |", node.head().number);
            since = Instant::now();
        }
        if sent >= count {
            return Ok(());
        }
        send_all(node, transfers(senders, sent, WAVE)).await?;
        wait_until_mined(node).await?;
        sent += WAVE;
    }
}

/// The transfers `first..first + count`, dealt out to the senders in turn.
fn transfers(senders: &[PrivateKeySigner], first: usize, count: usize) -> Vec<Bytes> {
    let one = |index: usize| transfer(&senders[index % senders.len()], (index / senders.len()) as u64);
    (first..first + count).into_par_iter().map(one).collect()
}

fn transfer(sender: &PrivateKeySigner, nonce: u64) -> Bytes {
    let mut tx = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::left_padding_from(&(nonce % 1_000 + 10_000).to_be_bytes())),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    let signature = sender.sign_transaction_sync(&mut tx).expect("a key signs");
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

async fn send_all(node: &NodeHandle, transfers: Vec<Bytes>) -> Result<(), Box<dyn Error>> {
    let submit = |raw| node.submit(raw);
    for hash in futures::future::join_all(transfers.into_iter().map(submit)).await {
        let _: B256 = hash?;
    }
    Ok(())
}

async fn wait_until_mined(node: &NodeHandle) -> Result<(), Box<dyn Error>> {
    let mut head = node.watch_head();
    while node.pool_status().pending > 0 {
        tokio::time::timeout(Duration::from_secs(60), head.changed()).await??;
    }
    Ok(())
}

fn median_us(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// Processor time of this process so far (user and system).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() * 1024
}

fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let metadata = entry?.metadata();
        bytes += metadata.map_or(0, |metadata| metadata.len());
    }
    Ok(bytes)
}
