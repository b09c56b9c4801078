//! Flags that say in whose name a registration is made, and of `cryptlet key`.

use super::{OutputArgs, VaultArgs};
use alloy::primitives::B256;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Whose word it is that goes to the registry, and who sends it.
#[derive(Debug, Args)]
#[command(next_help_heading = "In whose name")]
pub(crate) struct AuthorArgs {
    /// Private key of the publisher, operator or administrator; by default the dev chain's operator
    #[arg(long, value_name = "0x…", env = "CRYPTLET_PRIVATE_KEY", hide_env_values = true)]
    pub(crate) private_key: Option<B256>,
    /// Instead, a key in a vault: its name, or the id of a cryptlet, for that cryptlet's identity key
    #[arg(long, value_name = "NAME_OR_ID")]
    pub(crate) key: Option<String>,
    /// Folder of that vault; a running host's data folder will do
    #[arg(long, value_name = "DIR", default_value = "cryptlet-keys")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    /// Private key of whoever sends the transaction and pays for it, if that is somebody else
    #[arg(long, value_name = "0x…", env = "CRYPTLET_SENDER_KEY", hide_env_values = true)]
    pub(crate) sender_key: Option<B256>,
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key where it will stay, and print its address
    New(KeyEntryArgs),
    /// Print the address of a key
    Show(KeyEntryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyEntryArgs {
    /// Name of the key, or the id of a cryptlet, for that cryptlet's identity key
    #[arg(value_name = "NAME_OR_ID")]
    pub(crate) name: String,
    /// Folder of the vault
    #[arg(long, value_name = "DIR", default_value = "cryptlet-keys")]
    pub(crate) keys: PathBuf,
    #[command(flatten)]
    pub(crate) vault: VaultArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
