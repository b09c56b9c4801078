//! Flags of the commands about what is on a chain: `register`, `registry`, `invoke`, `genesis`.

use super::{
    AuthorArgs, FabricArgs, OutputArgs,
    package::{LayoutArgs, OciArgs},
};
use alloy::primitives::Address;
use clap::{Args, Subcommand};

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
    Activate(EntryArgs),
    /// Stop calls of a cryptlet for a while: by its publisher, or by the administrators
    Suspend(EntryArgs),
    /// Let a suspended cryptlet be called again
    Resume(EntryArgs),
    /// Revoke an instance, or a cryptlet for good: by its publisher, or by the administrators
    Revoke(RevokeEntryArgs),
    /// Say whether a host's operator may register instances of any cryptlet: by the administrators
    Operator(OperatorArgs),
    /// Name the cryptlet that creates Contract Cryptlets on this chain: by the administrators
    Factory(EntryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RevokeEntryArgs {
    /// Why, for everybody to read on the chain
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) entry: EntryArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OperatorArgs {
    /// Who registers
    #[arg(value_name = "ADDRESS")]
    pub(crate) operator: Address,
    /// Whether that counts
    #[arg(value_enum)]
    pub(crate) value: Approval,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: RegistryAccess,
}

/// May somebody register?
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Approval {
    Approved,
    Refused,
}

impl Approval {
    pub(crate) const fn is_approved(self) -> bool {
        matches!(self, Self::Approved)
    }
}

#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
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
