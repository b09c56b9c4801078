//! `cryptlet import`: blocks from files into a data folder, every one of them executed and compared with its header.

use crate::{
    args::{ImportArgs, OutputArgs},
    genesis_file, logs,
};
use alloy::genesis::Genesis;
use anyhow::{Context, Result, bail};
use cryptlet_node::{
    ChainSpec,
    chain_file::{self, BlockSource, ChainFileError, ReplayReport, Replaying},
    store::{ChainStore, StoreOptions},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    fs::File,
    io::{BufReader, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode> {
    logs::start(args.output);
    let folder = args.datadir.join("chain");
    // Nothing waits for the disk until everything is in. What a power cut took from an import is imported again.
    let options = StoreOptions { accept_lost_blocks: true, ..StoreOptions::default() };
    let chain = ChainStore::open(&folder, &options)?;
    let spec = chain_spec(&chain, args.genesis.as_deref(), &args.files)?;
    chain.initialize(spec.genesis(), &spec.genesis_block())?;
    let outcome = import_files(&spec, &chain, &args.files, args.output);
    print(args.output, &chain, outcome)
}

/// Imports files, one after the other, and waits for the disk at the end. What was imported before an error stands.
pub(crate) fn import_files(
    spec: &ChainSpec,
    chain: &ChainStore,
    files: &[PathBuf],
    output: OutputArgs,
) -> Result<Imported> {
    let mut imported = Imported::default();
    let outcome = files.iter().try_for_each(|file| {
        let begin = Instant::now();
        let report = import_file(spec, chain, file, output).with_context(|| file.display().to_string())?;
        imported.add(&report);
        tracing::info!("{}: {}", file.display(), pace(&report, begin.elapsed().as_secs_f64()));
        Ok(())
    });
    chain.flush()?;
    outcome.map(|()| imported)
}

/// What came out of files.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Imported {
    blocks: u64,
    transactions: u64,
    gas_used: u64,
}

impl Imported {
    fn add(&mut self, report: &ReplayReport) {
        self.blocks += report.blocks;
        self.transactions += report.transactions;
        self.gas_used += report.gas_used;
    }
}

fn import_file(spec: &ChainSpec, chain: &ChainStore, file: &Path, output: OutputArgs) -> Result<ReplayReport> {
    let bar = bar(file, output)?;
    let source = open(file)?;
    let is_plain = source.genesis().is_none();
    let mut progress = |progress: chain_file::Progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("block {}", progress.block_number));
    };
    let mut replaying = Replaying { progress: &mut progress, block: &mut |_| {} };
    let report = chain_file::import(spec, chain, source, None, &mut replaying);
    bar.finish_and_clear();
    match report {
        Err(error) if is_plain && (spec.limits().is_some() || spec.takes_dev_edits()) && blames_block(&error) => {
            Err(error).context(PLAIN_FORMAT)
        }
        report => Ok(report?),
    }
}

/// What is likely wrong when a block of such a file does not verify.
const PLAIN_FORMAT: &str = "the file is plain RLP, which has no place for what this chain's blocks carry besides transactions \
     (answers of cryptlets, edits of a dev chain); if they carry any, export the chain with --format cryptlet";

fn blames_block(error: &ChainFileError) -> bool {
    matches!(error, ChainFileError::Block(fault) if fault.blames_block())
}

fn open(file: &Path) -> Result<BlockSource<BufReader<File>>> {
    let opened = File::open(file).context("it cannot be read")?;
    Ok(BlockSource::open(BufReader::with_capacity(1 << 20, opened))?)
}

/// The rules of the chain: of the genesis file that was named, of the chain in the folder, or of the first file.
fn chain_spec(chain: &ChainStore, genesis: Option<&Path>, files: &[PathBuf]) -> Result<ChainSpec> {
    let genesis: Genesis = match genesis {
        Some(file) => genesis_file::read(file)?,
        None if chain.is_initialized() => chain.genesis()?,
        None => {
            let first = files.first().context("no file to import")?;
            match open(first).with_context(|| first.display().to_string())?.genesis() {
                Some(genesis) => genesis.clone(),
                None => bail!("the folder holds no chain yet: name its genesis with --genesis FILE"),
            }
        }
    };
    Ok(ChainSpec::from_genesis(genesis)?)
}

fn bar(file: &Path, output: OutputArgs) -> Result<ProgressBar> {
    if output.json || output.quiet || !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let bytes = std::fs::metadata(file).context("it cannot be read")?.len();
    let style = ProgressStyle::with_template("importing {bar:40} {msg}, {bytes_per_sec}, {eta} left")?;
    Ok(ProgressBar::new(bytes).with_style(style))
}

/// How fast it went, for people.
fn pace(report: &ReplayReport, seconds: f64) -> String {
    let ReplayReport { blocks, transactions, gas_used, .. } = report;
    let rate = |count: f64| count / seconds.max(1e-9);
    format!(
        "{blocks} blocks, {transactions} transactions in {seconds:.2} s: {:.0} blocks/s, {:.2} Mgas/s",
        rate(*blocks as f64),
        rate(*gas_used as f64) / 1e6,
    )
}

/// The head that stands is told in any case.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the answer of the command")]
fn print(output: OutputArgs, chain: &ChainStore, outcome: Result<Imported>) -> Result<ExitCode> {
    let head = chain.head()?;
    let code = if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if output.json {
        let imported = outcome.as_ref().copied().unwrap_or_default();
        let mut answer = serde_json::json!({
            "head": { "number": head.number, "hash": head.hash(), "stateRoot": head.state_root },
            "blocks": imported.blocks,
            "transactions": imported.transactions,
            "gasUsed": imported.gas_used,
        });
        if let Err(error) = outcome {
            answer["error"] = format!("{error:#}").into();
        }
        println!("{answer}");
        return Ok(code);
    }
    println!("head {} {} {}", head.number, head.hash(), head.state_root);
    if let Err(error) = outcome {
        eprintln!("error: {error:#}");
    }
    Ok(code)
}
