//! Plain transfers over JSON-RPC, against anvil: what a dev node does all day, cryptlets aside.
//!
//! Both nodes run as processes of their own on this machine, one after the other, and get the very same signed
//! transactions in the same batches from the same client.

use crate::{
    process::NodeProcess,
    signed::{RECIPIENT, keys, transfer},
    table::{Section, progress},
};
use alloy::primitives::{Address, Bytes};
use anyhow::Result;
use std::time::{Duration, Instant};

const SENDERS: u32 = 10;
const TRANSFERS_PER_SENDER: u64 = 500;
const BATCH: usize = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// For one wave of transfers. (Given all at once in this mode, anvil 1.7.1 stops making blocks.)
const PATIENCE: Duration = Duration::from_secs(60);
/// Way of mining, seconds between blocks, and transfers sent before waiting until they are in blocks.
const MODES: [(&str, Option<u64>, usize); 2] = [("on arrival", None, 100), ("1 s blocks", Some(1), 1_000)];

/// What one load cost one node.
struct Outcome {
    wall_s: f64,
    cpu_s: f64,
    resident_mib: f64,
}

/// The section; without anvil it says so.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let columns =
        ["mining", "node", "transfers/s", "CPU µs each", "resident MiB", "speed against anvil", "CPU against anvil"];
    let mut table = Section::new("Plain transfers over JSON-RPC", &columns);
    let Some(anvil) = crate::process::find_anvil() else {
        return Ok(vec![table.finding("SKIPPED transfers: no anvil binary found")]);
    };
    let transactions = sign_all()?;
    for (mining, block_time, wave) in MODES {
        progress(&format!("transfers: anvil, {mining}"));
        let theirs = measure(NodeProcess::anvil(&anvil, block_time)?, &transactions, wave).await?;
        progress(&format!("transfers: cryptlet, {mining}"));
        let ours = measure(NodeProcess::cryptlet(block_time)?, &transactions, wave).await?;
        for (name, outcome) in [("anvil", &theirs), ("cryptlet", &ours)] {
            let count = transactions.len() as f64;
            table.row(&[
                mining.to_owned(),
                name.to_owned(),
                format!("{:.0}", count / outcome.wall_s),
                format!("{:.0}", outcome.cpu_s * 1e6 / count),
                format!("{:.0}", outcome.resident_mib),
                match block_time {
                    None => format!("{:.2}x", theirs.wall_s / outcome.wall_s),
                    Some(_) => "set by the clock".to_owned(),
                },
                format!("{:.2}x", outcome.cpu_s / theirs.cpu_s),
            ]);
        }
    }
    Ok(vec![table.how(format!(
        "{} transfers of {SENDERS} senders, signed beforehand, in JSON-RPC batches of {BATCH} over HTTP. When 100 are on their \
         way (1,000 with 1 s blocks) the client waits until they are in blocks; clocked until the last is. Each node is a process of its own with its defaults (ours: RocksDB in a temporary folder, the embedded host \
         idle; anvil: memory only), one after the other. CPU is the node's processor time per transfer.",
        transactions.len()
    ))])
}

async fn measure(node: NodeProcess, transactions: &[Bytes], wave: usize) -> Result<Outcome> {
    let accounts = keys(SENDERS)?.into_iter().map(|key| key.address()).collect::<Vec<_>>();
    let cpu_before = node.cpu_seconds()?;
    let started = Instant::now();
    for (index, wave_of_them) in transactions.chunks(wave).enumerate() {
        for batch in wave_of_them.chunks(BATCH) {
            node.send_batch(batch).await?;
        }
        let sent = index * wave + wave_of_them.len();
        for account in &accounts {
            wait_for_nonce(&node, *account, (sent / accounts.len()) as u64).await?;
        }
    }
    let wall_s = started.elapsed().as_secs_f64();
    Ok(Outcome { wall_s, cpu_s: node.cpu_seconds()? - cpu_before, resident_mib: node.resident_mib()? })
}

async fn wait_for_nonce(node: &NodeProcess, account: Address, nonce: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while node.nonce(account).await? < nonce {
        anyhow::ensure!(Instant::now() < deadline, "{}: not all transfers were mined within {PATIENCE:?}", node.name());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Round robin over the senders, so that nonces arrive in order.
fn sign_all() -> Result<Vec<Bytes>> {
    let senders = keys(SENDERS)?;
    let signed = (0..TRANSFERS_PER_SENDER)
        .flat_map(|nonce| senders.iter().map(move |sender| transfer(sender, nonce, RECIPIENT)));
    signed.collect()
}
