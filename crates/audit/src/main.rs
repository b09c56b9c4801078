//! `cryptlet-audit`: `verify` and `replay` with no host in the binary.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Checks what the Cryptlet Fabric recorded: from an exported chain alone, with no node, no host and no network.
#[derive(Debug, Parser)]
#[command(name = "cryptlet-audit", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Re-execute an exported chain and print its state root
    Replay(cryptlet_audit::ReplayArgs),
    /// Re-verify every registration and record of an exported chain: as of then, and as of today
    Audit(cryptlet_audit::AuditArgs),
    /// Check one record, or every record of an exported chain
    Verify(cryptlet_audit::VerifyArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Audit(args) => cryptlet_audit::audit(&args),
        Command::Replay(args) => cryptlet_audit::replay(&args),
        Command::Verify(args) => cryptlet_audit::verify(&args),
    }
}
