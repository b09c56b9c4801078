//! Flags of `cryptlet import` and `export`.

use super::OutputArgs;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Executes every block and compares everything its header says; seals of proof of work are not checked. Stops at the first
/// bad block. Prints `head NUMBER HASH STATEROOT` of the head that stands, whether it succeeds or not.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files: RLP blocks one after the other (as `geth export` writes them) or a file of `cryptlet export`; gzip is understood
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Genesis file in geth's format; not needed if the folder has the chain already, or if the file names its own
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
    /// Where the chain is kept. It is written without waiting for the disk, until the end
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// How a chain is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// As `geth export` does: blocks, one after the other. For chains without cryptlet records
    Rlp,
    /// With genesis and cryptlet records, for `cryptlet verify`, `replay` and `import`
    Cryptlet,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// File to write; packed if its name ends in .gz
    pub(crate) file: PathBuf,
    /// By default RLP if the name of the file ends in .rlp or .rlp.gz, else cryptlet
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<ExportFormat>,
    /// First block
    #[arg(long, value_name = "NUMBER")]
    pub(crate) first: Option<u64>,
    /// Last block
    #[arg(long, value_name = "NUMBER")]
    pub(crate) last: Option<u64>,
    /// Data folder of a node that is not running
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// JSON-RPC address of a running node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
