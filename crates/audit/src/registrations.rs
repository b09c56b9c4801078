//! `audit`: every registration and every record of an exported chain, as they were judged then, and as they would be judged today.

mod authority;
mod history;
mod report;

use crate::{
    output::{OutputArgs, open},
    replay::{ReplayArgs, replay_file},
};
use alloy_primitives::Bytes;
use anyhow::{Context, Result};
use clap::Args;
use cryptlet_attestation::evidence::encode_collateral;
use cryptlet_node::types::ExecutedBlock;
use cryptlet_primitives::FabricDomain;
use history::History;
use report::{Audit, Today};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// Bytes of a file of collateral; what Intel serves for one platform has some 20 KiB.
const COLLATERAL_BYTES_MAX: u64 = 1 << 20;
/// What the command ends with if all held when it was recorded, and something does not hold today.
const EXIT_BAD_NOW: u8 = 2;

/// Re-verifies every registration and every record of an exported chain from the chain alone: as of the block that took it, and
/// again as of today. Ends with 0 if all holds, with 2 if all held then but something does not hold now, with 1 if something never
/// did.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The chain, as `cryptlet export` wrote it
    #[arg(value_name = "CHAIN")]
    chain: PathBuf,
    /// What counts as today, in Unix seconds; the clock's time by default
    #[arg(long, value_name = "SECONDS")]
    at: Option<u64>,
    /// Today's collateral of an Intel platform, as JSON in the form of dcap-qvl's collateral files; may be repeated. Without it the
    /// collateral that was recorded is looked at with today's eyes
    #[arg(long, value_name = "FILE")]
    collateral: Vec<PathBuf>,
    /// Keep the state in a temporary folder: for chains that do not fit in memory
    #[arg(long)]
    on_disk: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub fn audit(args: &AuditArgs) -> Result<ExitCode> {
    match run(args) {
        Ok(audit) => {
            args.output.answer(&audit, || audit.to_string());
            Ok(match (audit.bad_then, audit.bad_now) {
                (0, 0) => ExitCode::SUCCESS,
                (0, _) => ExitCode::from(EXIT_BAD_NOW),
                _ => ExitCode::FAILURE,
            })
        }
        Err(error) => Ok(args.output.finish(Err(error))),
    }
}

fn run(args: &AuditArgs) -> Result<Audit> {
    let now_s = match args.at {
        Some(seconds) => seconds,
        None => SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs(),
    };
    let collateral = args.collateral.iter().map(|file| read_collateral(file)).collect::<Result<Vec<_>>>()?;
    let replay = ReplayArgs {
        file: args.chain.clone(),
        until_block: None,
        on_disk: args.on_disk,
        blocks: false,
        output: args.output,
    };
    // Replaying judges every record in its place; what it lets pass is collected, and judged once more below.
    let mut history = History::default();
    let report = replay_file(&replay, &mut |block: &ExecutedBlock| history.take(block))?;
    let domain = FabricDomain { chain_id: report.chain_id, genesis_hash: report.genesis_hash };
    Ok(Audit::of(&history, &domain, report, &Today { now_s, collateral }))
}

fn read_collateral(file: &Path) -> Result<Bytes> {
    let opened = open(file)?;
    let length = opened.metadata()?.len();
    anyhow::ensure!(
        length <= COLLATERAL_BYTES_MAX,
        "{} has {length} bytes; at most {COLLATERAL_BYTES_MAX}",
        file.display()
    );
    let collateral = serde_json::from_reader(std::io::BufReader::new(opened))
        .with_context(|| format!("{} is not collateral as dcap-qvl writes it", file.display()))?;
    Ok(encode_collateral(collateral).into())
}
