//! The command line, one file per group of commands. Names follow the field (geth, reth, anvil) and the papers.

mod anvil;
mod author;
mod chain_file;
mod fabric;
mod host;
mod node;
mod package;
mod policy;
mod registry;
mod rpc;

pub(crate) use anvil::{ForkArgs, StateArgs};
pub(crate) use author::{AuthorArgs, KeyAction, KeyArgs};
pub(crate) use chain_file::{ExportArgs, ExportFormat, ImportArgs};
pub(crate) use fabric::{FabricArgs, VaultArgs};
pub(crate) use host::{
    DrainArgs, EnrollArgs, FederateArgs, HostAction, HostArgs, OperateArgs, RenewArgs, RotateArgs, ServeArgs,
};
pub(crate) use node::{Isolation, NodeArgs, Order, Simulation};
pub(crate) use package::{
    BuildArgs, CheckArgs, InspectArgs, LayoutArgs, OciArgs, PackageAction, PackageArgs, PullArgs, PushArgs,
};
pub(crate) use policy::{
    AdministratorsArgs, PolicyAccess, PolicyAction, PolicyArgs, PolicyShowArgs, ProposalArgs, ProposalsArgs,
};
pub(crate) use registry::{
    EntryArgs, GenesisArgs, InvokeArgs, OperatorArgs, RegisterArgs, RegistryArgs, RegistryCommand, RevokeEntryArgs,
};

use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;

const EXAMPLES: &str = "\
Examples:
  cryptlet node --dev                          a dev node with an embedded host, on 127.0.0.1:8545
  cryptlet node --dev --datadir chain          the same, and the chain is there again next time
  cryptlet invoke equity-tools 'volatility(uint256[],uint32)(uint256)' '[100,110,105]' 252
  cryptlet export chain.cryptlet               save the chain of a running node
  cryptlet replay chain.cryptlet               re-execute it: no host, no network
";

/// The Cryptlet Fabric: smart contracts that call attested programs off the chain, as if they were functions.
#[derive(Debug, Parser)]
#[command(name = "cryptlet", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an Ethereum node whose contracts can call cryptlets
    Node(Box<NodeArgs>),
    /// Run a cryptlet host that nodes elsewhere call over mutual TLS, or enrol such a node
    Host(Box<HostArgs>),
    /// Make and show keys in a vault: of publishers, operators and administrators
    Key(KeyArgs),
    /// Build, check, inspect, push and pull cryptlet packages
    Package(PackageArgs),
    /// Have a host run a cryptlet package and register it on a chain, or make the host the chain's factory
    Register(RegisterArgs),
    /// List what is registered on a chain, show or explain it, and decide about it: activate, suspend, revoke
    Registry(RegistryArgs),
    /// Show what evidence and which versions a chain accepts, and change it, alone or with other administrators
    Policy(PolicyArgs),
    /// Call a cryptlet as a contract would, as a dry run, and print the answer
    Invoke(InvokeArgs),
    /// Print the genesis of a chain whose registry and policy k of n administrators rule
    Genesis(GenesisArgs),
    /// Verify the blocks of files, every one in full, and store them
    Import(ImportArgs),
    /// Save a chain to a file, from a running node or from a data folder
    Export(ExportArgs),
    /// Re-verify every registration and record of an exported chain: as of then, and as of today
    Audit(cryptlet_audit::AuditArgs),
    /// Check one record, or every record of an exported chain, with no node
    Verify(cryptlet_audit::VerifyArgs),
    /// Re-execute an exported chain with no host and no network, and print its state root
    Replay(cryptlet_audit::ReplayArgs),
    /// A container worker; the host starts these itself
    #[command(hide = true)]
    Worker,
    /// The process that speaks with a PKCS#11 token; the host starts it itself
    #[command(hide = true)]
    VaultWorker,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Machine-readable output: one JSON document on standard output, logs as JSON lines on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// More log lines: -v for debug, -vv for trace
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Only warnings and errors
    #[arg(long, short, alias = "silent", conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// Rewrites the papers' spelling (`--cryptoDelegatePath`) to ours (`--crypto-delegate-path`).
pub(crate) fn with_dashes(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    arguments.map(|argument| argument.to_str().and_then(kebab).map_or(argument, OsString::from)).collect()
}

fn kebab(argument: &str) -> Option<String> {
    let name = argument.strip_prefix("--cryptoDelegate")?;
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let mut flag = String::from("--crypto-delegate");
    for character in name.chars() {
        if character.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(character.to_ascii_lowercase());
    }
    Some(value.map_or_else(|| flag.clone(), |value| format!("{flag}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn both_spellings_of_the_port_are_understood() {
        for spelling in ["--port", "--http.port", "-p"] {
            let cli = Cli::parse_from(["cryptlet", "node", "--dev", spelling, "9000"]);
            let Command::Node(node) = cli.command else { panic!("not the node command") };
            assert_eq!(node.rpc.http_port, 9000);
        }
    }

    #[test]
    fn the_papers_spelling_is_understood() {
        let words = ["cryptlet", "node", "--cryptoDelegatePath", "file:///d.json", "--cryptoDelegateSignature=0xab"];
        let cli = Cli::parse_from(with_dashes(words.into_iter().map(OsString::from)));
        let Command::Node(node) = cli.command else { panic!("not the node command") };
        assert_eq!(node.fabric.crypto_delegate_path.as_deref(), Some("file:///d.json"));
        assert_eq!(node.fabric.crypto_delegate_signature.as_deref(), Some("0xab"));
    }
}
