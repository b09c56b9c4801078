//! Plain transfers over JSON-RPC, against anvil: what a dev node does all day, cryptlets aside.
//!
//! Both nodes run as processes of their own on this machine, in turn, and get the very same signed transactions in the same
//! batches from the same client.

use crate::{
    process::NodeProcess,
    signed::{RECIPIENT, keys, transfer},
    stats::{grouped, median},
    table::{Section, progress},
};
use alloy::primitives::{Address, Bytes};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

const SENDERS: u32 = 10;
const BATCH: usize = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// For the next block.
const PATIENCE: Duration = Duration::from_secs(20);
/// anvil 1.7.1 now and then stops making blocks while many transfers wait: such a turn is taken again.
const TRIES: usize = 5;

/// How blocks are made.
struct Mode {
    mining: &'static str,
    /// What both nodes are started with.
    flags: &'static [&'static str],
    transfers: usize,
    /// Clients that send at the same time, each for its share of the senders.
    clients: usize,
    /// Transfers that may be on their way to a block.
    waiting_max: usize,
    /// How often each node has its turn: the speed of a machine may double and halve from one minute to the next.
    rounds: usize,
}

const MODES: [Mode; 2] = [
    Mode { mining: "on arrival", flags: &[], transfers: 5_000, clients: 1, waiting_max: 100, rounds: 7 },
    // Blocks as large as it takes: with 30,000,000 gas, 1,428 transfers a second would be the end of it.
    Mode {
        mining: "1 s blocks",
        flags: &["--block-time", "1", "--gas-limit", "1000000000"],
        transfers: 80_000,
        clients: 5,
        waiting_max: 20_000,
        rounds: 3,
    },
];

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
    for mode in MODES {
        let Mode { mining, flags, transfers, rounds, .. } = mode;
        let transactions = sign(transfers)?;
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            progress(&format!("transfers, {mining}: {round} of {rounds}"));
            theirs.push(measure(|| NodeProcess::anvil(&anvil, flags), &transactions, &mode).await?);
            ours.push(measure(|| NodeProcess::cryptlet(flags), &transactions, &mode).await?);
        }
        for (name, outcomes) in [("anvil", &theirs), ("cryptlet", &ours)] {
            let of_all = |figure: fn(&Outcome) -> f64| median(outcomes.iter().map(figure).collect());
            let pairs = || outcomes.iter().zip(&theirs);
            table.row(&[
                mining.to_owned(),
                name.to_owned(),
                format!("{:.0}", transfers as f64 / of_all(|outcome| outcome.wall_s)),
                format!("{:.0}", of_all(|outcome| outcome.cpu_s) * 1e6 / transfers as f64),
                format!("{:.0}", of_all(|outcome| outcome.resident_mib)),
                ratio(pairs().map(|(outcome, theirs)| theirs.wall_s / outcome.wall_s).collect()),
                ratio(pairs().map(|(outcome, theirs)| outcome.cpu_s / theirs.cpu_s).collect()),
            ]);
        }
    }
    Ok(vec![table.how(format!(
        "Transfers of {SENDERS} senders, signed beforehand, in JSON-RPC batches of {BATCH} over HTTP. {} clocked until the last is in a block. \
         Each node is a process of its own (ours: RocksDB in a temporary folder, the embedded host idle; anvil: memory only), anvil \
         and ours in turn: medians. Ratios are those of two that followed each other: the median, and the least and the greatest. \
         CPU is the node's processor time per transfer.",
        MODES.map(|mode| format!(
            "{}: {} in all by {} at the same time, at most {} on their way to a block, {} rounds{};",
            mode.mining,
            grouped(mode.transfers as i64),
            if mode.clients == 1 { "one client".to_owned() } else { format!("{} clients", mode.clients) },
            grouped(mode.waiting_max as i64),
            mode.rounds,
            if mode.flags.is_empty() { String::new() } else { format!(" (`{}`)", mode.flags.join(" ")) },
        ))
        .join(" ")
    ))])
}

fn ratio(ratios: Vec<f64>) -> String {
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = ratios.iter().copied().fold(0.0, f64::max);
    match least == greatest {
        true => format!("{greatest:.2}x"),
        false => format!("{:.2}x ({least:.2} to {greatest:.2})", median(ratios)),
    }
}

async fn measure(start: impl Fn() -> Result<NodeProcess>, transactions: &[Bytes], mode: &Mode) -> Result<Outcome> {
    for _ in 1..TRIES {
        match take_turn(&start()?, transactions, mode).await {
            Err(error) => progress(&format!("{error:#}; once more")),
            outcome => return outcome,
        }
    }
    take_turn(&start()?, transactions, mode).await
}

async fn take_turn(node: &NodeProcess, transactions: &[Bytes], mode: &Mode) -> Result<Outcome> {
    let senders: Vec<Address> = keys(SENDERS)?.iter().map(|key| key.address()).collect();
    let cpu_before = node.cpu_seconds()?;
    let started = Instant::now();
    // The senders take turns, so every client has some of its own.
    let share = |client: usize| {
        let of_share = transactions.iter().skip(client).step_by(mode.clients).cloned().collect::<Vec<_>>();
        let senders = senders.iter().skip(client).step_by(mode.clients).copied().collect::<Vec<_>>();
        async move { send_all(node, &of_share, &senders, mode.waiting_max / mode.clients).await }
    };
    futures::future::try_join_all((0..mode.clients).map(share)).await?;
    let wall_s = started.elapsed().as_secs_f64();
    Ok(Outcome { wall_s, cpu_s: node.cpu_seconds()? - cpu_before, resident_mib: node.resident_mib()? })
}

/// Sends transactions of these senders, who take turns, and waits until all are in blocks.
async fn send_all(node: &NodeProcess, transactions: &[Bytes], senders: &[Address], waiting_max: usize) -> Result<()> {
    // How many of the last one's are in blocks tells of all.
    let last = *senders.last().context("there are senders")?;
    let mined = |sent: usize| wait_for_nonce(node, last, (sent / senders.len()) as u64);
    for (index, batch) in transactions.chunks(BATCH).enumerate() {
        mined(((index + 1) * BATCH).saturating_sub(waiting_max)).await?;
        node.send_batch(batch).await?;
    }
    mined(transactions.len()).await
}

/// Waits until so many transactions of an account are in blocks.
async fn wait_for_nonce(node: &NodeProcess, account: Address, nonce: u64) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while nonce > 0 && node.nonce(account).await? < nonce {
        anyhow::ensure!(Instant::now() < deadline, "{}: transfers were not mined within {PATIENCE:?}", node.name());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Round robin over the senders, so that nonces arrive in order.
fn sign(transfers: usize) -> Result<Vec<Bytes>> {
    let senders = keys(SENDERS)?;
    let nonces = 0..transfers as u64 / u64::from(SENDERS);
    nonces.flat_map(|nonce| senders.iter().map(move |sender| transfer(sender, nonce, RECIPIENT))).collect()
}
