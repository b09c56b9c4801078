//! Flags of `cryptlet node`.

use super::{
    OutputArgs,
    anvil::{ForkArgs, StateArgs, UnneededArgs},
    fabric::FabricArgs,
    rpc::RpcArgs,
};
use alloy::primitives::B256;
use clap::{Args, ValueEnum};
use cryptlet_node::chain_spec::{CODE_BYTES_MAX_MAX, EthereumHardfork};
use std::{net::SocketAddr, path::PathBuf};

/// The highest number that the first block may have: there are to be some after it.
const NUMBER_MAX: u64 = u32::MAX as u64;

/// The name of a fork, as anvil spells it. `latest` is the newest whose rules are final.
fn hardfork(name: &str) -> Result<EthereumHardfork, String> {
    let (latest, newest) = (EthereumHardfork::Osaka, EthereumHardfork::Amsterdam);
    let known = match name.to_lowercase().replace(['-', '_'], "").as_str() {
        "latest" => Some(latest),
        "merge" => Some(EthereumHardfork::Paris),
        "eip150" | "tangerinewhistle" => Some(EthereumHardfork::Tangerine),
        "eip158" => Some(EthereumHardfork::SpuriousDragon),
        // The forks between the two only change how many blobs fit, and a dev chain has no schedule of them.
        other => other.parse().ok().filter(|fork| *fork <= latest || *fork == newest),
    };
    known.ok_or_else(|| format!("`{name}` is not a fork from frontier to {}", newest.name().to_lowercase()))
}

/// How many words a phrase may have (BIP-39).
fn words(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| [12, 15, 18, 21, 24].contains(count));
    count.ok_or_else(|| format!("`{text}` is not 12, 15, 18, 21 or 24"))
}

/// Reads a time in seconds, with fractions, as milliseconds.
fn seconds_as_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a number of seconds from 0.001 to 3600");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.001..=3600.0).contains(&seconds) {
        return Err(wrong());
    }
    let milliseconds = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 1 and 3,600,000")]
    Ok(milliseconds as u64)
}

/// Isolation providers that a host can be started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Isolation {
    /// Sandboxed processes
    Process,
    /// Virtual machines in sandboxed processes, for components only; needs /dev/kvm
    Vm,
}

/// How the dry runs of `eth_call` and `eth_estimateGas` are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Simulation {
    /// As each cryptlet's registration says
    Registered,
    /// Never ask a host
    Deny,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// A throw-away network for development: chain 31337, ten funded accounts, an embedded host, the example contracts
    #[arg(long)]
    pub(crate) dev: bool,
    /// Where the chain is kept; a dev node without it uses a temporary folder and removes it at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// Genesis file in geth's format; `config.cryptletFabric` turns the delegate on
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    pub(crate) genesis: Option<PathBuf>,

    /// Verify and store the blocks of this file before serving; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) import: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) rpc: RpcArgs,
    /// A private key that eth_sendTransaction and eth_sign may use for whoever can call this node; may be given more than once
    #[arg(long, value_name = "0xKEY", help_heading = "JSON-RPC")]
    pub(crate) insecure_unlock: Vec<B256>,

    /// Serve Prometheus metrics at http://IP:PORT/metrics
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:6060")]
    pub(crate) metrics: Option<SocketAddr>,

    /// Seconds between blocks, fractions allowed; without it a transaction is mined on arrival
    #[arg(
        long = "block-time",
        short = 'b',
        alias = "dev.period",
        value_name = "SECONDS",
        value_parser = seconds_as_ms,
        help_heading = "Mining"
    )]
    pub(crate) block_time_ms: Option<u64>,
    /// With --block-time: mine on arrival as well
    #[arg(long, requires = "block_time_ms", help_heading = "Mining")]
    pub(crate) mixed_mining: bool,
    /// What comes first in a block: whatever pays most, or whatever came first
    #[arg(long, value_enum, default_value_t = Order::Fees, help_heading = "Mining")]
    pub(crate) order: Order,
    /// Build no blocks: only serve
    #[arg(long, alias = "no-mine", conflicts_with = "block_time_ms", help_heading = "Mining")]
    pub(crate) no_mining: bool,
    /// Milliseconds between heartbeat blocks while a transaction waits for its host
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000), help_heading = "Mining")]
    pub(crate) parked_block_interval_ms: u64,

    /// Chain id of the dev chain [default: 31337, or that of the forked chain]
    #[arg(long, value_name = "ID", help_heading = "Dev chain")]
    pub(crate) chain_id: Option<u64>,
    /// Rules of the dev chain: frontier, homestead, … london, … paris, shanghai, cancun, prague, osaka or amsterdam (whose rules
    /// may still change). Cryptlets can be called from prague on
    #[arg(long, value_name = "NAME", default_value = "prague", value_parser = hardfork, requires = "dev", help_heading = "Dev chain")]
    pub(crate) hardfork: EthereumHardfork,
    /// Number of dev accounts
    #[arg(long, short = 'a', value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Dev chain")]
    pub(crate) accounts: u32,
    /// Ether in each dev account
    #[arg(long, value_name = "ETH", default_value_t = 10_000, help_heading = "Dev chain")]
    pub(crate) balance: u64,
    /// BIP-39 phrase the dev accounts derive from, at m/44'/60'/0'/0/N
    #[arg(long, short = 'm', value_name = "PHRASE", default_value = crate::dev::MNEMONIC, hide_default_value = true, help_heading = "Dev chain")]
    pub(crate) mnemonic: String,
    /// Derive the dev accounts from a new phrase of so many words instead; the node prints it
    #[arg(long, value_name = "WORDS", num_args = 0..=1, default_missing_value = "12", conflicts_with = "mnemonic", value_parser = words, help_heading = "Dev chain")]
    pub(crate) mnemonic_random: Option<usize>,
    /// Derive the dev accounts from the phrase of this number, which is the one that anvil makes of it
    #[arg(long, value_name = "SEED", conflicts_with_all = ["mnemonic", "mnemonic_random"], help_heading = "Dev chain")]
    pub(crate) mnemonic_seed_unsafe: Option<u64>,
    /// Path the dev accounts derive from instead; the number of the account is appended
    #[arg(long, value_name = "PATH", default_value = crate::dev::DERIVATION_PATH, help_heading = "Dev chain")]
    pub(crate) derivation_path: String,
    /// Begin the dev chain with the accounts and rules of this genesis file; the dev accounts are funded besides. A chain with
    /// cryptlets begins with --genesis
    #[arg(long, value_name = "FILE", requires = "dev", conflicts_with = "fork_url", help_heading = "Dev chain")]
    pub(crate) init: Option<PathBuf>,
    /// Number of the dev chain's first block
    #[arg(long, value_name = "BLOCK", requires = "dev", conflicts_with = "fork_url", value_parser = clap::value_parser!(u64).range(..=NUMBER_MAX), help_heading = "Dev chain")]
    pub(crate) number: Option<u64>,
    /// Gas of a block of the dev chain
    #[arg(long, value_name = "GAS", value_parser = clap::value_parser!(u64).range(1_000_000..), help_heading = "Dev chain")]
    pub(crate) gas_limit: Option<u64>,
    /// Let a block of the dev chain hold as much as gas can be counted
    #[arg(long, conflicts_with = "gas_limit", requires = "dev", help_heading = "Dev chain")]
    pub(crate) disable_block_gas_limit: bool,
    /// Bytes of a contract's code on the dev chain, instead of EIP-170's 24576. It is part of the genesis
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=i64::from(CODE_BYTES_MAX_MAX)), requires = "dev", help_heading = "Dev chain")]
    pub(crate) code_size_limit: Option<u32>,
    /// Let contracts of the dev chain have any size. It is part of the genesis
    #[arg(long, conflicts_with = "code_size_limit", requires = "dev", help_heading = "Dev chain")]
    pub(crate) disable_code_size_limit: bool,
    /// Gas price that is suggested on a dev chain before London, in wei; from London on the base fee and the tips say it
    #[arg(long, value_name = "WEI", requires = "dev", help_heading = "Dev chain")]
    pub(crate) gas_price: Option<u128>,
    /// Suggest no tip as long as no block has paid one
    #[arg(long, help_heading = "Dev chain")]
    pub(crate) disable_min_priority_fee: bool,
    /// Let eth_sendTransaction send for everybody, as anvil_autoImpersonateAccount does
    #[arg(long, requires = "dev", help_heading = "Dev chain")]
    pub(crate) auto_impersonate: bool,
    /// Blocks that "safe" is behind the head, and "finalized" behind that [default: both are the head]
    #[arg(long, value_name = "BLOCKS", default_value_t = 0, hide_default_value = true, help_heading = "Dev chain")]
    pub(crate) slots_in_an_epoch: u64,
    /// Base fee of the dev chain's first block, in wei
    #[arg(long = "block-base-fee-per-gas", visible_alias = "base-fee", value_name = "WEI", help_heading = "Dev chain")]
    pub(crate) base_fee: Option<u64>,
    /// Time of the dev chain's first block, in Unix seconds; the chain's clock goes on from there
    #[arg(long, value_name = "SECONDS", help_heading = "Dev chain")]
    pub(crate) timestamp: Option<u64>,
    /// Write what the node prints when it is ready to this file, too, as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) config_out: Option<PathBuf>,
    /// Do not deploy the example contracts
    #[arg(long, help_heading = "Dev chain")]
    pub(crate) no_examples: bool,
    /// An ordinary dev chain: no delegate, no embedded host, nothing mined before the first request
    #[arg(long, requires = "dev", help_heading = "Dev chain")]
    pub(crate) no_fabric: bool,
    /// Blocks a cryptlet call waits for its host before the contract is told that it is unavailable (1 to 255)
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..=255), help_heading = "Dev chain")]
    pub(crate) unavailable_after_blocks: Option<u32>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
    #[command(flatten)]
    pub(crate) unneeded: UnneededArgs,
    #[command(flatten)]
    pub(crate) fork: ForkArgs,

    #[command(flatten)]
    pub(crate) fabric: FabricArgs,
    /// Milliseconds a host has for one answer
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(10..=600_000), help_heading = "Cryptlet fabric")]
    pub(crate) call_timeout_ms: u64,
    /// Milliseconds a waiting call gives its host at least, however fast blocks follow each other
    #[arg(long, value_name = "MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(0..=3_600_000), help_heading = "Cryptlet fabric")]
    pub(crate) host_patience_ms: u64,
    /// Container workers of the embedded host; by default one per core
    #[arg(long, value_name = "N", help_heading = "Cryptlet fabric")]
    pub(crate) workers: Option<usize>,
    /// What keeps the cryptlets of the embedded host apart
    #[arg(long, value_enum, default_value_t = Isolation::Process, help_heading = "Cryptlet fabric")]
    pub(crate) isolation: Isolation,
    /// How eth_call and eth_estimateGas treat calls to cryptlets
    #[arg(long, value_enum, default_value_t = Simulation::Registered, help_heading = "Cryptlet fabric")]
    pub(crate) simulation: Simulation,

    /// Tell of a block only when it is on the disk, so that a power cut loses nothing; the default of a network's node
    #[arg(long, overrides_with = "no_sync", help_heading = "Storage")]
    pub(crate) sync: bool,
    /// Leave writing to the system: a killed process loses nothing, a power cut may; the default with --dev
    #[arg(long, overrides_with = "sync", help_heading = "Storage")]
    pub(crate) no_sync: bool,
    /// Blocks below the head whose states are kept; 0 keeps all of them (an archive)
    #[arg(
        long = "history.state",
        aliases = ["prune-states-older-than", "prune-history"],
        value_name = "BLOCKS",
        num_args = 0..=1,
        default_value_t = 0,
        default_missing_value = "256",
        help_heading = "Storage"
    )]
    pub(crate) history_state: u64,
    /// Open a data folder that has lost blocks that were acknowledged, and go on from what is left
    #[arg(long, help_heading = "Storage")]
    pub(crate) accept_lost_blocks: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What comes first in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Whatever pays most
    Fees,
    /// Whatever came first
    Fifo,
}

impl NodeArgs {
    /// Must a block be on the disk before anybody is told of it?
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.sync || !(self.dev || self.no_sync)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    #[test]
    fn forks_are_called_as_anvil_calls_them() {
        for (name, fork) in [("spuriousDragon", EthereumHardfork::SpuriousDragon), ("merge", EthereumHardfork::Paris)] {
            assert_eq!(hardfork(name), Ok(fork));
        }
        assert_eq!(hardfork("latest"), Ok(EthereumHardfork::Osaka));
        assert_eq!(hardfork("amsterdam"), Ok(EthereumHardfork::Amsterdam));
        assert!(hardfork("bogota").is_err_and(|error| error.contains("from frontier to amsterdam")));
    }

    #[test]
    fn a_dev_node_does_not_wait_for_the_disk_and_others_do_unless_told_otherwise() {
        let cases: [(&[&str], bool); 6] = [
            (&["--dev"], false),
            (&["--dev", "--sync"], true),
            (&["--dev", "--sync", "--no-sync"], false),
            (&["--genesis", "g.json"], true),
            (&["--datadir", "d", "--no-sync"], false),
            (&["--datadir", "d", "--no-sync", "--sync"], true),
        ];
        for (flags, expected) in cases {
            let cli = Cli::parse_from(["cryptlet", "node"].iter().chain(flags));
            let Command::Node(node) = cli.command else { panic!("not the node command") };
            assert_eq!(node.waits_for_disk(), expected, "{flags:?}");
        }
    }
}
