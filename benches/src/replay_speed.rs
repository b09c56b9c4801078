//! Replaying a chain against building it.

use crate::{
    attested_calls::repeated_call,
    bytecode::{self, Ending},
    process::self_cpu_seconds,
    stats::{grouped, median},
    table::{Section, progress},
    testbed::{Call, Cryptlet, Testbed},
};
use alloy::{
    consensus::transaction::SignerRecoverable,
    primitives::{Address, Bytes, U256},
};
use anyhow::{Context, Result, bail, ensure};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_node::{
    ChainSpec,
    chain_file::{ChainFileReader, ReplayOptions, ReplayReport, ReplayStorage, Replaying, export, replay},
    execute::{Execution, RecoveredBlock, RunOutcome, replay_block},
    store::{ChainStore, StoreOptions},
    types::{BlockWithRequests, RecoveredTransaction},
};
use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    time::Instant,
};

/// One round of traffic: how many transactions of which kind.
const ROUND: [(Kind, usize); 5] = [
    (Kind::Transfer, 100),
    (Kind::Calls(1, Ending::Stop), 100),
    (Kind::Calls(4, Ending::Stop), 50),
    (Kind::Calls(16, Ending::Stop), 10),
    (Kind::Calls(2, Ending::Revert), 20),
];
const ROUNDS: usize = 12;
const REPETITIONS: usize = 5;
const BLOCK_INTERVAL_MS: u64 = 50;

#[derive(Clone, Copy)]
enum Kind {
    Transfer,
    Calls(u64, Ending),
}

/// The section.
pub(crate) async fn run() -> Result<Vec<Section>> {
    let (chain, _folder) = build_chain().await?;
    let chain_file = chain.file.clone();
    let measured = tokio::task::spawn_blocking(move || Measured::of(&chain_file)).await??;
    Ok(vec![section(&chain, &measured)])
}

fn section(chain: &Chain, measured: &Measured) -> Section {
    let ReplayReport { blocks, transactions, records, gas_used, .. } = measured.report;
    let per_round: Vec<_> = ROUND.iter().map(|(kind, count)| format!("{count} {}", kind.describe())).collect();
    let columns = ["what", "seconds", "blocks/s", "transactions/s", "records/s", "Mgas/s", "build ÷ replay"];
    let mut section = Section::new("Replaying against building", &columns).how(format!(
        "A chain of {} blocks, {} transactions and {} records, made by a node with a host: {ROUNDS} rounds of {}, a block every \
         {BLOCK_INTERVAL_MS} ms. It is exported to a file; then, from that file, on RocksDB, with one thread executing: **built** again \
         (every transaction run k + 1 times, as the builder does while answers come in, then sealed; all answers at hand, so \
         there is no waiting for a host, no pool, no gRPC) and **replayed** (run once, every field of the header compared). \
         Both read the same file and recover the same signatures, which is in neither figure unless the row says so; both end with the same \
         hash in every block. Wall time, median of {REPETITIONS} alternating repetitions.",
        grouped(blocks as i64),
        grouped(transactions as i64),
        grouped(records as i64),
        per_round.join(", "),
    ));
    let mut row = |what: &str, seconds: f64, ratio: Option<f64>| {
        let rate = |count: u64| grouped((count as f64 / seconds).round() as i64);
        section.row(&[
            what.to_owned(),
            format!("{seconds:.2}"),
            rate(blocks),
            rate(transactions),
            rate(records),
            format!("{:.0}", gas_used as f64 / seconds / 1e6),
            ratio.map_or_else(|| "—".to_owned(), |ratio| format!("{ratio:.2}x")),
        ]);
    };
    row("build: execute and seal", measured.build_execute_s, None);
    row(
        "replay: execute and compare",
        measured.replay_execute_s,
        Some(measured.build_execute_s / measured.replay_execute_s),
    );
    let (build_s, replay_s) =
        (measured.build_execute_s + measured.build_store_s, measured.replay_execute_s + measured.replay_store_s);
    row("build, stored in RocksDB", build_s, None);
    row("replay, stored in RocksDB", replay_s, Some(build_s / replay_s));
    let whole_build_s = measured.recover_s + build_s;
    row("build, signatures included", whole_build_s, None);
    row(
        "`cryptlet replay`, whole file, RocksDB: decoding and signatures run ahead on other threads",
        measured.on_disk_s,
        Some(whole_build_s / measured.on_disk_s),
    );
    row(
        "`cryptlet replay`, whole file, in memory (the default)",
        measured.in_memory_s,
        Some(whole_build_s / measured.in_memory_s),
    );
    row("the live node's miner thread, processor time: all runs, sealing, storing", chain.miner_cpu_s, None);
    row("the live node, wall time, waiting for the host included", chain.wall_s, None);
    section.finding(format!(
        "Recovering the signatures of the whole file (one per transaction and one per record, all cores) takes {:.2} s; a builder \
         pays the same once, at admission. The `cryptlet replay` rows include it, and are compared with the build that does. The live node and host used {:.1} s of processor time, workers not counted.",
        measured.recover_s, chain.process_cpu_s
    ))
}

impl Kind {
    fn describe(self) -> String {
        match self {
            Self::Transfer => "transfers".to_owned(),
            Self::Calls(1, _) => "transactions with one call".to_owned(),
            Self::Calls(calls, Ending::Stop) => format!("with {calls} calls"),
            Self::Calls(calls, Ending::Revert) => format!("that fail after {calls} calls"),
        }
    }

    fn call(self, cryptlet: &Cryptlet, repeater: Address) -> Call {
        match self {
            Self::Transfer => {
                Call { to: Address::repeat_byte(0x42), data: Bytes::new(), gas_limit: 21_000, value: U256::from(1) }
            }
            Self::Calls(calls, ending) => repeated_call(cryptlet, repeater, calls, ending),
        }
    }
}

/// A chain as a file, and what making it took.
struct Chain {
    file: PathBuf,
    wall_s: f64,
    miner_cpu_s: f64,
    process_cpu_s: f64,
}

async fn build_chain() -> Result<(Chain, Testbed)> {
    progress("replay: building a chain");
    let senders = ROUND.iter().map(|(_, count)| count).sum();
    let mut testbed = Testbed::start(senders).await?;
    let cryptlet = testbed.register("equity-tools").await?;
    let repeater = testbed.deploy(bytecode::creation(&bytecode::repeater())).await?;
    testbed.node.set_automine(false).await?;
    testbed.node.set_block_interval_ms(Some(BLOCK_INTERVAL_MS)).await?;

    let round = ROUND.iter().flat_map(|(kind, count)| std::iter::repeat_n(kind.call(&cryptlet, repeater), *count));
    let round: Vec<_> = round.collect();
    let miner = testbed.miner.clone();
    let (mut wall_s, mut miner_cpu_s, mut process_cpu_s) = (0.0, 0.0, 0.0);
    for _ in 0..ROUNDS {
        ensure!(testbed.senders() == round.len(), "one sender for each transaction of a round");
        let raw = testbed.sign_all(round.iter().cloned())?;
        let (since, in_miner, in_process) = (Instant::now(), miner.seconds()?, self_cpu_seconds()?);
        testbed.run_all(raw).await?;
        wall_s += since.elapsed().as_secs_f64();
        miner_cpu_s += miner.seconds()? - in_miner;
        process_cpu_s += self_cpu_seconds()? - in_process;
    }
    testbed.node.stop().await;
    let file = testbed.folder().join("chain.cryptlet");
    export(testbed.node.chain(), 1..=u64::MAX, BufWriter::new(File::create(&file)?), &mut |_| ())?;
    Ok((Chain { file, wall_s, miner_cpu_s, process_cpu_s }, testbed))
}

struct Measured {
    report: ReplayReport,
    build_execute_s: f64,
    build_store_s: f64,
    replay_execute_s: f64,
    replay_store_s: f64,
    recover_s: f64,
    on_disk_s: f64,
    in_memory_s: f64,
}

impl Measured {
    fn of(file: &Path) -> Result<Self> {
        let (mut built, mut replayed, mut on_disk, mut in_memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut report = None;
        for repetition in 1..=REPETITIONS {
            progress(&format!("replay: repetition {repetition} of {REPETITIONS}"));
            built.push(Pass::run(file, build_block)?);
            replayed.push(Pass::run(file, replay_one)?);
            on_disk.push(clocked_replay(file, ReplayStorage::TemporaryFolder, &mut report)?);
            in_memory.push(clocked_replay(file, ReplayStorage::Memory, &mut report)?);
        }
        let of = |passes: &[Pass], figure: fn(&Pass) -> f64| median(passes.iter().map(figure).collect());
        Ok(Self {
            report: report.context("the chain was replayed")?,
            build_execute_s: of(&built, |pass| pass.execute_s),
            build_store_s: of(&built, |pass| pass.store_s),
            replay_execute_s: of(&replayed, |pass| pass.execute_s),
            replay_store_s: of(&replayed, |pass| pass.store_s),
            recover_s: of(&replayed, |pass| pass.recover_s),
            on_disk_s: median(on_disk),
            in_memory_s: median(in_memory),
        })
    }
}

fn clocked_replay(file: &Path, storage: ReplayStorage, report: &mut Option<ReplayReport>) -> Result<f64> {
    let since = Instant::now();
    let options = ReplayOptions { storage, until_block: None };
    let mut replaying = Replaying { progress: &mut |_| (), block: &mut |_| () };
    *report = Some(replay(BufReader::new(File::open(file)?), options, &mut replaying)?);
    Ok(since.elapsed().as_secs_f64())
}

/// One way through the file, block by block, with the time of each phase.
#[derive(Default)]
struct Pass {
    recover_s: f64,
    execute_s: f64,
    store_s: f64,
}

type Finished = cryptlet_node::execute::FinishedBlock;
type Parent = alloy::consensus::Sealed<cryptlet_node::types::Header>;

impl Pass {
    fn run(file: &Path, execute: fn(&ChainSpec, &ChainStore, &Parent, Prepared) -> Result<Finished>) -> Result<Self> {
        let reader = ChainFileReader::open(BufReader::new(File::open(file)?))?;
        let spec = ChainSpec::from_genesis(reader.genesis().clone())?;
        let folder = tempfile::tempdir()?;
        let chain = ChainStore::open(folder.path(), &StoreOptions::default())?;
        let mut parent = chain.initialize(spec.genesis(), &spec.genesis_block())?;
        let mut pass = Self::default();
        for block in reader {
            let block = block?;
            let since = Instant::now();
            let recovered = RecoveredBlock::recover(&spec, block.clone())?;
            pass.recover_s += since.elapsed().as_secs_f64();

            let hash = recovered.hash();
            let prepared = Prepared::of(recovered, block)?;
            let since = Instant::now();
            let finished = execute(&spec, &chain, &parent, prepared)?;
            pass.execute_s += since.elapsed().as_secs_f64();
            ensure!(
                finished.executed.hash == hash,
                "block {} came out as another block",
                finished.executed.block.number
            );

            let since = Instant::now();
            parent = finished.commit(&chain)?;
            pass.store_s += since.elapsed().as_secs_f64();
        }
        Ok(pass)
    }
}

/// A block with all that either way needs, made ready off the clock.
struct Prepared {
    recovered: RecoveredBlock,
    transactions: Vec<(RecoveredTransaction, Vec<RecoveredRecord>)>,
}

impl Prepared {
    fn of(recovered: RecoveredBlock, block: BlockWithRequests) -> Result<Self> {
        let mut transactions = Vec::new();
        for transaction in block.block.body.transactions {
            let sender = transaction.recover_signer()?;
            transactions.push((RecoveredTransaction::new_unchecked(transaction, sender), Vec::new()));
        }
        for (index, record) in recovered.records() {
            transactions[index as usize].1.push(record.clone());
        }
        Ok(Self { recovered, transactions })
    }
}

fn replay_one(spec: &ChainSpec, chain: &ChainStore, parent: &Parent, prepared: Prepared) -> Result<Finished> {
    Ok(replay_block(spec, chain, parent, prepared.recovered)?)
}

/// What the builder does with a block's transactions, answers coming one by one: run, end at the miss, run again.
fn build_block(spec: &ChainSpec, chain: &ChainStore, parent: &Parent, prepared: Prepared) -> Result<Finished> {
    let header = prepared.recovered.block().header.clone();
    let mut execution = Execution::begin(spec, chain, parent, header)?;
    for (transaction, records) in &prepared.transactions {
        for known in 0..=records.len() {
            match execution.build(transaction, records[..known].to_vec())? {
                RunOutcome::Suspended(_) if known < records.len() => (),
                RunOutcome::Ran(run) if known == records.len() => execution.commit(run)?,
                other => bail!("a run with {known} of {} answers ended with {other:?}", records.len()),
            }
        }
    }
    let transactions = prepared.transactions.into_iter().map(|(transaction, _)| transaction).collect();
    Ok(execution.finish()?.seal(chain, parent, transactions)?)
}
