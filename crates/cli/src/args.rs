//! The command line. Names follow the field (geth, reth, anvil) and the papers.

use crate::{
    author_args::{AuthorArgs, KeyArgs},
    package_args::{LayoutArgs, OciArgs, PackageArgs},
    rpc_args::RpcArgs,
};
use alloy::primitives::{Address, B256};
use clap::{Args, Parser, Subcommand, ValueEnum};
use cryptlet_node::chain_spec::{CODE_BYTES_MAX_MAX, EthereumHardfork};
use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

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
    /// List what is registered on a chain, show it in full, or explain why it can be called or not
    Registry(RegistryArgs),
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

/// The name of a fork, as anvil spells it.
fn hardfork(name: &str) -> Result<EthereumHardfork, String> {
    let newest = EthereumHardfork::Osaka;
    let known = match name.to_lowercase().replace(['-', '_'], "").as_str() {
        "latest" => Some(newest),
        "merge" => Some(EthereumHardfork::Paris),
        "eip150" | "tangerinewhistle" => Some(EthereumHardfork::Tangerine),
        "eip158" => Some(EthereumHardfork::SpuriousDragon),
        other => other.parse().ok().filter(|fork| *fork <= newest),
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
    /// Rules of the dev chain: frontier, homestead, … london, … paris, shanghai, cancun, prague or osaka. Cryptlets can be called
    /// from prague on
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
    /// Path the dev accounts derive from instead; the number of the account is appended
    #[arg(long, value_name = "PATH", default_value = crate::dev::DERIVATION_PATH, help_heading = "Dev chain")]
    pub(crate) derivation_path: String,
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

/// Flags of anvil that ask for what this node does anyway, or for what it has no need of: scripts that give them run.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Accepted for the sake of anvil's users, and without effect")]
pub(crate) struct UnneededArgs {
    /// Any transaction can be traced at any time
    #[arg(long)]
    steps_tracing: bool,
    /// All blocks are kept, on the disk
    #[arg(long, value_name = "BLOCKS")]
    transaction_block_keeper: Option<u64>,
    /// States are kept on the disk; see --history.state
    #[arg(long, value_name = "N")]
    max_persisted_states: Option<u64>,
    /// States of the past are dumped and kept unless --history.state says otherwise
    #[arg(long)]
    preserve_historical_states: bool,
    /// The gas of a transaction is limited from Osaka on (EIP-7825), as the rules have it
    #[arg(long)]
    enable_tx_gas_limit: bool,
    /// The node prints no console.log
    #[arg(long)]
    disable_console_log: bool,
    /// The forked chain is asked as fast as it answers
    #[arg(long, alias = "no-rpc-rate-limit")]
    no_rate_limit: bool,
    /// See --no-rate-limit
    #[arg(long, alias = "cups", value_name = "CUPS")]
    compute_units_per_second: Option<u64>,
    /// The node uses the cores there are
    #[arg(long, visible_alias = "jobs", value_name = "N")]
    threads: Option<usize>,
}

/// What comes first in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// Whatever pays most
    Fees,
    /// Whatever came first
    Fifo,
}

/// Another chain to continue.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Fork")]
pub(crate) struct ForkArgs {
    /// Continue the chain of this node, at its head or at the block after an `@`: state is fetched as it is needed
    #[arg(long, short = 'f', alias = "rpc-url", value_name = "URL[@BLOCK]", requires = "dev")]
    pub(crate) fork_url: Option<String>,
    /// The block to continue from
    #[arg(long, value_name = "BLOCK", requires = "fork_url")]
    pub(crate) fork_block_number: Option<u64>,
    /// Keep nothing of what was fetched for the next time (else: $XDG_CACHE_HOME/cryptlet/fork)
    #[arg(long, requires = "fork_url")]
    pub(crate) no_storage_caching: bool,
    /// Where what was fetched is kept for the next time
    #[arg(long, value_name = "DIR", requires = "fork_url", conflicts_with = "no_storage_caching")]
    pub(crate) cache_path: Option<PathBuf>,
    /// Header of every request to the forked chain, as `NAME: VALUE`; may be given more than once
    #[arg(long, alias = "fork-headers", value_name = "HEADER", requires = "fork_url")]
    pub(crate) fork_header: Vec<String>,
    /// Times a request to the forked chain is made again
    #[arg(long, alias = "retries", value_name = "N", default_value_t = 5, requires = "fork_url")]
    pub(crate) fork_retries: u32,
    /// Milliseconds before it is made again, twice as many before every further time
    #[arg(long = "fork-retry-backoff", value_name = "MS", default_value_t = 250, requires = "fork_url")]
    pub(crate) fork_retry_backoff_ms: u64,
    /// Milliseconds the forked chain has for one answer
    #[arg(long, alias = "timeout", value_name = "MS", default_value_t = 45_000, requires = "fork_url")]
    pub(crate) fork_timeout_ms: u64,
}

/// A state from a file and into a file, in anvil's format.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "State file")]
pub(crate) struct StateArgs {
    /// Load the state from this file if it is there, and dump it there on exit (a folder stands for its state.json)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load_state", "dump_state", "datadir"])]
    pub(crate) state: Option<PathBuf>,
    /// Begin with a state that was dumped by this node or by anvil
    #[arg(long, value_name = "FILE", conflicts_with = "datadir")]
    pub(crate) load_state: Option<PathBuf>,
    /// Dump the state to this file on exit
    #[arg(long, value_name = "FILE")]
    pub(crate) dump_state: Option<PathBuf>,
    /// Dump the state every so many seconds too
    #[arg(long, short = 's', value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) state_interval: Option<u64>,
}

impl NodeArgs {
    /// Must a block be on the disk before anybody is told of it?
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.sync || !(self.dev || self.no_sync)
    }
}

/// Which fabric, and as whom.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cryptlet fabric")]
pub(crate) struct FabricArgs {
    /// Where the CryptoDelegate looks up the fabric: URL (http, https or file) of a host's descriptor
    #[arg(long, value_name = "URL", requires = "crypto_delegate_signature")]
    pub(crate) crypto_delegate_path: Option<String>,
    /// Who must have signed that descriptor: the fabric's 20-byte address, or the 65-byte signature itself
    #[arg(long, value_name = "0x…", requires = "crypto_delegate_path")]
    pub(crate) crypto_delegate_signature: Option<String>,
    /// File with a client certificate for that fabric, made by `cryptlet host enroll`
    #[arg(long, value_name = "FILE", requires = "crypto_delegate_path")]
    pub(crate) crypto_delegate_identity: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HostArgs {
    #[command(subcommand)]
    pub(crate) action: Option<HostAction>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostAction {
    /// Issue a client certificate for a node
    Enroll(EnrollArgs),
    /// Sign a descriptor of the fabric that this host forms with others
    Federate(FederateArgs),
    /// Say what a running host is and how it is doing
    Status(OperateArgs),
    /// Have a running host end the calls under way and refuse new ones, so that nodes go elsewhere
    Drain(DrainArgs),
    /// Have a running host make its door's certificate anew, or the keys of its instances
    Rotate(RotateArgs),
    /// Have a running host register its instances for longer before their time is over, with the same keys and fresh evidence
    Renew(RenewArgs),
}

/// Which running host: by the socket in its data folder on this machine, or from elsewhere as an enrolled operator.
#[derive(Debug, Args)]
pub(crate) struct OperateArgs {
    /// Data folder of the host, on this machine
    #[arg(long, value_name = "DIR", default_value = "cryptlet-host")]
    pub(crate) datadir: PathBuf,
    #[command(flatten)]
    pub(crate) fabric: FabricArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct FederateArgs {
    /// Another host: URL of its descriptor, and after an `=` who must have signed it. May be given several times
    #[arg(long = "with", value_name = "URL=0x…", required = true)]
    pub(crate) others: Vec<String>,
    /// Data folder of this host
    #[arg(long, value_name = "DIR", default_value = "cryptlet-host")]
    pub(crate) datadir: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// File for the descriptor, for --crypto-delegate-path file://… or any web server
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) operate: OperateArgs,
    /// Take calls again
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Seconds to wait for the calls under way
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=90))]
    pub(crate) wait: u64,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) operate: OperateArgs,
    /// The keys of its instances, with the next key epoch, and put them on the chain
    #[arg(long)]
    pub(crate) instances: bool,
    /// With --instances: blocks for which the old keys still count; the policy caps it
    #[arg(long, value_name = "BLOCKS", default_value_t = 0)]
    pub(crate) grace_blocks: u32,
    /// With --instances: JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RenewArgs {
    #[command(flatten)]
    pub(crate) operate: OperateArgs,
    /// Renew what has at most so many blocks left; a day of blocks of 12 s by default
    #[arg(long, value_name = "BLOCKS", default_value_t = 7_200)]
    pub(crate) within: u64,
    /// Go on: look again every so many seconds, until stopped
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) watch: Option<u64>,
    /// JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where keys, certificates, packages and answers are kept
    #[arg(long, value_name = "DIR", default_value = "cryptlet-host")]
    pub(crate) datadir: PathBuf,
    /// Address of the gRPC service (TLS 1.3, client certificates)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7645")]
    pub(crate) listen: SocketAddr,
    /// Address of the descriptor (plain HTTP; the document is signed)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7646")]
    pub(crate) descriptor_listen: SocketAddr,
    /// Serve metrics for Prometheus over plain HTTP
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1:6061")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Name that nodes reach this host by; it goes into the certificate
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// Container workers; by default one per core
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// What keeps cryptlets apart, and the host from them
    #[arg(long, value_enum, default_value_t = Isolation::Process)]
    pub(crate) isolation: Isolation,
    /// Blocks for which instances ask to be registered; the policy may cap it
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) key_lifetime_blocks: Option<u64>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where a host's keys are.
#[derive(Clone, Debug, Args)]
pub(crate) struct VaultArgs {
    /// Where the host's keys are: `file`, an encrypted file in the data folder, or a PKCS#11 token,
    /// pkcs11:module=FILE;token=NAME;pin-file=FILE (RFC 7512)
    #[arg(long, value_name = "URI", default_value = "file")]
    pub(crate) vault: String,
    /// File with the passphrase of the keystore; without it one is made in the data folder, readable by the owner only
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Default for VaultArgs {
    fn default() -> Self {
        Self { vault: "file".to_owned(), passphrase_file: None }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EnrollArgs {
    /// Name of the node
    pub(crate) name: String,
    /// Data folder of the host
    #[arg(long, value_name = "DIR", default_value = "cryptlet-host")]
    pub(crate) datadir: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// May also publish packages and register cryptlets
    #[arg(long)]
    pub(crate) operator: bool,
    /// File for its certificate and key, in one PEM bundle
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The package: a folder with config.json, code and, if it has one, header.sol; or oci://…; or name or digest in the layout
    #[arg(value_name = "PACKAGE", required_unless_present_any = ["factory", "resume"])]
    pub(crate) package: Option<String>,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) registry: OciArgs,
    /// Instead of a package: the host's factory, which creates Contract Cryptlets on this chain. For its administrator
    #[arg(long, conflicts_with = "package")]
    pub(crate) factory: bool,
    /// Instead of a package: everything the host ran before it was last stopped, since keys do not outlive their process
    #[arg(long, conflicts_with_all = ["package", "factory"])]
    pub(crate) resume: bool,
    /// JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) fabric: FabricArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InvokeArgs {
    /// Name or id of the cryptlet
    pub(crate) cryptlet: String,
    /// Function, as cast has it: 'name(types)(return types)'
    pub(crate) signature: String,
    /// Arguments
    pub(crate) arguments: Vec<String>,
    /// Address to call from
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO)]
    pub(crate) from: Address,
    /// JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GenesisArgs {
    /// Chain id
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: u64,
    /// An administrator of registry and policy; may be repeated. Each is given ether
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub(crate) administrator: Vec<Address>,
    /// How many administrators must approve
    #[arg(long, value_name = "N")]
    pub(crate) threshold: u32,
    /// Isolation provider whose evidence is accepted (software, sgx, tdx, tpm); may be repeated. None is accepted by default
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) accept: Vec<String>,
    /// Let registrations count as soon as they are made; by default the administrators activate each
    #[arg(long)]
    pub(crate) auto_activate: bool,
    /// The least isolation of any instance: none, process, vm or enclave
    #[arg(long, value_name = "ISOLATION", default_value = "process")]
    pub(crate) minimum_isolation: String,
    /// Another account that is given ether; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) fund: Vec<Address>,
    /// Ether that each of these accounts is given
    #[arg(long, value_name = "ETHER", default_value_t = 1_000_000)]
    pub(crate) balance: u64,
    /// Time of the genesis block in Unix seconds; now by default
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timestamp: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    #[command(subcommand)]
    pub(crate) command: RegistryCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Every cryptlet, one per line
    List(RegistryAccess),
    /// A cryptlet and its instances in full
    Show(RegistryEntryArgs),
    /// Why a cryptlet, or an instance, can be called now or cannot: status, epoch, expiry, and the setting that refuses it
    Explain(RegistryEntryArgs),
    /// Let an instance count that waits for it, or all of a cryptlet that do: by the administrator, or by the council's vote
    Activate(ActivateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ActivateArgs {
    #[command(flatten)]
    pub(crate) entry: RegistryEntryArgs,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegistryEntryArgs {
    /// Name or id of a cryptlet, or the id of an instance
    #[arg(value_name = "NAME_OR_ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) access: RegistryAccess,
}

/// Where the registry is read, and how it is shown.
#[derive(Debug, Args)]
pub(crate) struct RegistryAccess {
    /// JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

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
    fn the_papers_spelling_is_understood() {
        let words = ["cryptlet", "node", "--cryptoDelegatePath", "file:///d.json", "--cryptoDelegateSignature=0xab"];
        let cli = Cli::parse_from(with_dashes(words.into_iter().map(OsString::from)));
        let Command::Node(node) = cli.command else { panic!("not the node command") };
        assert_eq!(node.fabric.crypto_delegate_path.as_deref(), Some("file:///d.json"));
        assert_eq!(node.fabric.crypto_delegate_signature.as_deref(), Some("0xab"));
    }

    #[test]
    fn forks_are_called_as_anvil_calls_them() {
        for (name, fork) in [("spuriousDragon", EthereumHardfork::SpuriousDragon), ("merge", EthereumHardfork::Paris)] {
            assert_eq!(hardfork(name), Ok(fork));
        }
        assert!(hardfork("amsterdam").is_err_and(|error| error.contains("from frontier to osaka")));
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

    #[test]
    fn both_spellings_of_the_port_are_understood() {
        for spelling in ["--port", "--http.port", "-p"] {
            let cli = Cli::parse_from(["cryptlet", "node", "--dev", spelling, "9000"]);
            let Command::Node(node) = cli.command else { panic!("not the node command") };
            assert_eq!(node.rpc.http_port, 9000);
        }
    }
}
