//! Flags that a dev node has because anvil has them: forks, state files, and what is taken without effect.

use alloy::primitives::B256;
use clap::Args;
use std::path::PathBuf;

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
    /// Continue with this transaction as the last that has happened: its block is made again, up to it
    #[arg(long, value_name = "HASH", requires = "fork_url", conflicts_with = "fork_block_number")]
    pub(crate) fork_transaction_hash: Option<B256>,
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
