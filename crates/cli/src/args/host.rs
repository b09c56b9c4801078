//! Flags of `cryptlet host`.

use super::{AuthorArgs, FabricArgs, Isolation, OutputArgs, VaultArgs};
use clap::{Args, Subcommand};
use std::{net::SocketAddr, path::PathBuf};

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
