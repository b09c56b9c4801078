//! `replay`: an exported chain in, a state root out.

use crate::output::{OutputArgs, open};
use clap::Args;
use cryptlet_node::{
    chain_file::{ReplayOptions, ReplayReport, ReplayStorage, Replaying},
    types::ExecutedBlock,
};
use indicatif::ProgressBar;
use std::{io::BufReader, path::PathBuf, process::ExitCode, time::Instant};

/// Re-executes an exported chain with no host and no network, and prints its state root.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The chain, as `cryptlet export` wrote it
    pub(crate) file: PathBuf,
    /// Stop after this block
    #[arg(long, value_name = "NUMBER")]
    pub(crate) until_block: Option<u64>,
    /// Keep the state in a temporary folder: for chains that do not fit in memory
    #[arg(long)]
    pub(crate) on_disk: bool,
    /// Also print number, hash and state root of every block
    #[arg(long)]
    pub(crate) blocks: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs the command.
pub fn replay(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    Ok(args.output.finish(run(args)))
}

fn run(args: &ReplayArgs) -> anyhow::Result<()> {
    let mut seen = |block: &ExecutedBlock| {
        if args.blocks {
            print_block(args.output, block);
        }
    };
    let begin = Instant::now();
    let report = replay_file(args, &mut seen)?;
    let seconds = begin.elapsed().as_secs_f64();
    args.output.answer(&report, || format!("{}\nspeed      {}", summary(&report), pace(&report, seconds)));
    Ok(())
}

/// Replays the file of these arguments, showing every block that held to `seen`.
pub(crate) fn replay_file(args: &ReplayArgs, seen: &mut dyn FnMut(&ExecutedBlock)) -> anyhow::Result<ReplayReport> {
    let file = open(&args.file)?;
    let bar = args.output.bar(&file, "replaying");
    let storage = if args.on_disk { ReplayStorage::TemporaryFolder } else { ReplayStorage::Memory };
    let options = ReplayOptions { storage, until_block: args.until_block };
    let mut progress =
        |progress: cryptlet_node::chain_file::Progress| show(&bar, progress.bytes, progress.block_number);
    let mut replaying = Replaying { progress: &mut progress, block: seen };
    let report = cryptlet_node::chain_file::replay(BufReader::new(file), options, &mut replaying);
    bar.finish_and_clear();
    Ok(report?)
}

fn show(bar: &ProgressBar, bytes: u64, block: u64) {
    bar.set_position(bytes);
    bar.set_message(format!("block {block}"));
}

fn print_block(output: OutputArgs, block: &ExecutedBlock) {
    let header = &block.block.header;
    let hash = header.hash_slow();
    let line = serde_json::json!({ "number": header.number, "hash": hash, "stateRoot": header.state_root });
    output.answer(&line, || format!("block {} {hash} state root {}", header.number, header.state_root));
}

/// How fast it went, for people.
fn pace(report: &ReplayReport, seconds: f64) -> String {
    let rate = |count: u64| count as f64 / seconds.max(1e-9);
    format!("{:.0} blocks/s, {:.2} Mgas/s ({seconds:.2} s)", rate(report.blocks), rate(report.gas_used) / 1e6)
}

/// What a person reads at the end of a replay.
pub(crate) fn summary(report: &ReplayReport) -> String {
    let edits = match report.dev_edited_blocks {
        0 => String::new(),
        blocks => format!("\ndev edits  {blocks} blocks carry what a development node's cheats set"),
    };
    format!(
        "every block holds, with no host and no network\n\
         chain      {} (genesis {})\n\
         blocks     {}, {} transactions, {} cryptlet records\n\
         head       {} {}\n\
         state root {}{edits}",
        report.chain_id,
        report.genesis_hash,
        report.blocks,
        report.transactions,
        report.records,
        report.head_number,
        report.head_hash,
        report.state_root
    )
}
