//! What a developer waits for all day, against anvil: the node to start, transactions one at a time, a burst of them, and
//! the memory they leave behind.
//!
//! Every node is a process of its own with its defaults, one after the other, and gets the same bytes from the same client.

use crate::{
    process::{NodeProcess, find_anvil, first_answers},
    signed::{RECIPIENT, keys, transfer},
    stats::median,
    table::{Section, progress},
};
use alloy::{primitives::Bytes, signers::local::PrivateKeySigner};
use anyhow::{Context, Result};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const STARTS: usize = 21;
/// One transaction after the other, each in a block of its own.
const SINGLE: u64 = 4_000;
const HUNDRED: usize = 100;
/// New chains that a long one is compared with.
const NEW_CHAINS: usize = 5;
const BURST_SENDERS: u32 = 100;
const BURST_EACH: u64 = 100;
const GROWTH: u64 = 100_000;
const BATCH: usize = 100;
/// For a burst, or for the transactions whose memory is weighed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to start a node.
type Start<'a> = &'a dyn Fn(&[&str]) -> Result<NodeProcess>;

/// What is measured of a day.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Starts,
    OneAtATime,
    Burst,
    Growth,
}

/// One section; without anvil it has our figures only.
pub(crate) async fn run(part: Part) -> Result<Vec<Section>> {
    let anvil = find_anvil();
    // Without the fabric, whose operator is one of a hundred accounts and has sent transactions already.
    let ours = |flags: &[&str]| NodeProcess::cryptlet(&[flags, &["--no-fabric"]].concat());
    let mut nodes: Vec<(&str, Start<'_>)> = Vec::new();
    let theirs = |flags: &[&str]| NodeProcess::anvil(anvil.as_deref().unwrap_or(Path::new("anvil")), flags);
    if anvil.is_some() {
        nodes.push(("anvil", &theirs));
    }
    nodes.push(("cryptlet", &ours));
    let sections = match part {
        Part::Starts => vec![starts(anvil.as_deref()).await?],
        Part::OneAtATime => one_at_a_time(&nodes).await?,
        Part::Burst => vec![burst(&nodes).await?],
        Part::Growth => vec![growth(&nodes).await?],
    };
    let compared = |section: Section| match anvil {
        Some(_) => section,
        None => section.finding("SKIPPED the comparison: no anvil binary found"),
    };
    Ok(sections.into_iter().map(compared).collect())
}

async fn starts(anvil: Option<&Path>) -> Result<Section> {
    let columns = ["node", "`eth_chainId`, ms", "against anvil", "`eth_blockNumber`, ms"];
    let mut table = Section::new("From start to the first answer", &columns);
    let cryptlet = std::env::current_exe()?.with_file_name("cryptlet");
    let dev: &[&str] = &["node", "--dev", "--quiet"];
    let bare: &[&str] = &["node", "--dev", "--no-fabric", "--quiet"];
    let mut nodes: Vec<(&str, &Path, &[&str])> = anvil.iter().map(|anvil| ("anvil", *anvil, &[][..])).collect();
    nodes.extend([("cryptlet", &*cryptlet, dev), ("cryptlet --no-fabric", &*cryptlet, bare)]);
    let mut times = vec![(Vec::new(), Vec::new()); nodes.len()];
    for round in 1..=STARTS {
        progress(&format!("dev day: start {round} of {STARTS}"));
        for ((_, binary, flags), (any, of_the_chain)) in nodes.iter().zip(&mut times) {
            let answers = first_answers(binary, flags).await?;
            any.push(answers.any.as_secs_f64() * 1e3);
            of_the_chain.push(answers.of_the_chain.as_secs_f64() * 1e3);
        }
    }
    let mut first = None;
    for ((name, ..), (any, of_the_chain)) in nodes.into_iter().zip(times) {
        let (any, of_the_chain) = (median(any), median(of_the_chain));
        let reference = *first.get_or_insert(any);
        let ratio = format!("{:.2}x", any / reference);
        table.row(&[name.to_owned(), format!("{any:.0}"), ratio, format!("{of_the_chain:.0}")]);
    }
    Ok(table.how(format!(
        "From starting the process until it answers over HTTP, asked every millisecond; the nodes in turn, medians of {STARTS} starts. What depends on the chain \
         is answered when the chain is prepared: a node with a fabric starts workers, and registers cryptlets with transactions."
    )))
}

async fn one_at_a_time(nodes: &[(&str, Start<'_>)]) -> Result<Vec<Section>> {
    let columns = ["node", "transactions/s", "first 100, µs each", "last 100, µs each", "last ÷ first", "CPU µs each"];
    let mut table = Section::new("One transaction at a time", &columns);
    let columns = ["node", "transaction of a new chain, µs", "of the chain after 4,000 blocks, µs", "ratio"];
    let mut by_height = Section::new("One transaction at a time, by height", &columns);
    let key = keys(1)?.remove(0);
    let count = SINGLE + (NEW_CHAINS * HUNDRED) as u64;
    let transactions = (0..count).map(|nonce| transfer(&key, nonce, RECIPIENT)).collect::<Result<Vec<_>>>()?;
    let one = async |node: &NodeProcess, nonce: usize| -> Result<f64> {
        let started = Instant::now();
        node.send_batch(std::slice::from_ref(&transactions[nonce])).await?;
        wait_for_nonce(node, &key, nonce as u64 + 1).await?.context("a transaction was not mined")?;
        Ok(started.elapsed().as_secs_f64() * 1e6)
    };
    for (name, start) in nodes {
        progress(&format!("dev day: {name}, one at a time"));
        let node = start(&[])?;
        let (mut times, cpu_before) = (Vec::with_capacity(SINGLE as usize), node.cpu_seconds()?);
        for nonce in 0..SINGLE as usize {
            times.push(one(&node, nonce).await?);
        }
        let cpu_us = (node.cpu_seconds()? - cpu_before) * 1e6 / SINGLE as f64;
        let total: f64 = times.iter().sum();
        let (first, last) = (median(times[..HUNDRED].to_vec()), median(times[times.len() - HUNDRED..].to_vec()));
        table.row(&[
            (*name).to_owned(),
            format!("{:.0}", SINGLE as f64 * 1e6 / total),
            format!("{first:.0}"),
            format!("{last:.0}"),
            format!("{:.2}x", last / first),
            format!("{cpu_us:.0}"),
        ]);

        let (mut at_start, mut at_height) = (Vec::new(), Vec::new());
        for chain in 0..NEW_CHAINS {
            let new = start(&[])?;
            for nonce in 0..HUNDRED {
                at_start.push(one(&new, nonce).await?);
                at_height.push(one(&node, SINGLE as usize + chain * HUNDRED + nonce).await?);
            }
        }
        let (at_start, at_height) = (median(at_start), median(at_height));
        let ratio = format!("{:.2}x", at_height / at_start);
        by_height.row(&[(*name).to_owned(), format!("{at_start:.0}"), format!("{at_height:.0}"), ratio]);
    }
    let table = table.how(format!(
        "{SINGLE} transfers of one sender, mined on arrival: each is sent when the one before is in a block, and two HTTP \
         requests are made for each (sending it, asking for the nonce). The first and last hundred are medians."
    ));
    let by_height = by_height.how(format!(
        "The machine's speed changes while {SINGLE} blocks are made. So the chains of before go on, one transaction each in turn with \
         a new chain of the same node: {NEW_CHAINS} new chains, their first {HUNDRED} each. Medians."
    ));
    Ok(vec![table, by_height])
}

async fn burst(nodes: &[(&str, Start<'_>)]) -> Result<Section> {
    let columns = ["node", "mined", "seconds", "transactions/s", "CPU µs each"];
    let mut table = Section::new("A burst, mined on arrival", &columns);
    let senders = keys(BURST_SENDERS)?;
    let signed = (0..BURST_EACH).flat_map(|nonce| senders.iter().map(move |key| transfer(key, nonce, RECIPIENT)));
    let transactions = signed.collect::<Result<Vec<_>>>()?;
    for (name, start) in nodes {
        progress(&format!("dev day: {name}, burst"));
        let node = start(&["--accounts", &BURST_SENDERS.to_string()])?;
        let outcome = pour(&node, &transactions, &senders, BURST_EACH).await?;
        outcome.row(&mut table, name);
    }
    Ok(table.how(format!(
        "{} transfers, {BURST_EACH} of each of {BURST_SENDERS} senders, in JSON-RPC batches of {BATCH} sent one after the \
         other without waiting for blocks; clocked until the last is mined, or {} s are over.",
        transactions.len(),
        PATIENCE.as_secs()
    )))
}

async fn growth(nodes: &[(&str, Start<'_>)]) -> Result<Section> {
    let columns = ["node", "mined", "seconds", "transactions/s", "CPU µs each", "MiB at start", "MiB after"];
    let mut table = Section::new("Memory after 100,000 transactions", &columns);
    let senders = keys(BURST_SENDERS)?;
    let each = GROWTH / u64::from(BURST_SENDERS);
    let signed = (0..each).flat_map(|nonce| senders.iter().map(move |key| transfer(key, nonce, RECIPIENT)));
    let transactions = signed.collect::<Result<Vec<_>>>()?;
    for (name, start) in nodes {
        progress(&format!("dev day: {name}, growth"));
        let node = start(&["--accounts", &BURST_SENDERS.to_string()])?;
        let before = node.resident_mib()?;
        // In waves: what is measured is what mined transactions leave behind, not what a pool may hold.
        let mut total = Poured::default();
        for (wave, transactions) in transactions.chunks(1_000).enumerate() {
            let nonce = (wave as u64 + 1) * 1_000 / u64::from(BURST_SENDERS);
            let poured = pour(&node, transactions, &senders, nonce).await?;
            let is_short = poured.mined < nonce * u64::from(BURST_SENDERS);
            total =
                Poured { mined: poured.mined, wall_s: total.wall_s + poured.wall_s, cpu_s: total.cpu_s + poured.cpu_s };
            if is_short {
                break;
            }
        }
        let after = node.resident_mib()?;
        total.row_with(&mut table, name, &[format!("{before:.0}"), format!("{after:.0}")]);
    }
    Ok(table.how(format!(
        "{GROWTH} transfers of {BURST_SENDERS} senders, mined on arrival, a thousand at a time. Resident memory of the node's \
         process (ours: without the cryptlet workers, which are processes of their own)."
    )))
}

/// What became of transactions.
#[derive(Clone, Copy, Default)]
struct Poured {
    mined: u64,
    wall_s: f64,
    cpu_s: f64,
}

impl Poured {
    fn row(&self, table: &mut Section, name: &str) {
        self.row_with(table, name, &[]);
    }

    fn row_with(&self, table: &mut Section, name: &str, more: &[String]) {
        let mined = self.mined.max(1) as f64;
        let mut cells = vec![
            name.to_owned(),
            self.mined.to_string(),
            format!("{:.1}", self.wall_s),
            format!("{:.0}", mined / self.wall_s),
            format!("{:.0}", self.cpu_s * 1e6 / mined),
        ];
        cells.extend_from_slice(more);
        table.row(&cells);
    }
}

/// Sends everything and waits until each sender has this nonce, or the patience is over.
async fn pour(node: &NodeProcess, transactions: &[Bytes], senders: &[PrivateKeySigner], nonce: u64) -> Result<Poured> {
    let (cpu_before, started) = (node.cpu_seconds()?, Instant::now());
    for batch in transactions.chunks(BATCH) {
        node.send_batch(batch).await?;
    }
    for sender in senders {
        if started.elapsed() > PATIENCE || wait_for_nonce(node, sender, nonce).await?.is_none() {
            break;
        }
    }
    let wall_s = started.elapsed().as_secs_f64();
    let mut mined = 0;
    for sender in senders {
        mined += node.nonce(sender.address()).await?;
    }
    Ok(Poured { mined, wall_s, cpu_s: node.cpu_seconds()? - cpu_before })
}

/// `None`: not within the patience.
async fn wait_for_nonce(node: &NodeProcess, sender: &PrivateKeySigner, nonce: u64) -> Result<Option<()>> {
    let deadline = Instant::now() + PATIENCE;
    while node.nonce(sender.address()).await? < nonce {
        if Instant::now() > deadline {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(Some(()))
}
