//! The command line of `cryptlet package`.

use super::OutputArgs;
use alloy::primitives::B256;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    #[command(subcommand)]
    pub(crate) action: PackageAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PackageAction {
    /// Build a package from a folder into an OCI image layout; the same files give the same digest everywhere
    Build(BuildArgs),
    /// Say whether a package would be accepted, and what decides whether its answers can be repeated
    Check(CheckArgs),
    /// Show everything about a package: digests, configuration, interface, who signed it, bill of materials, source
    Inspect(InspectArgs),
    /// Send a package, and its signatures, to an OCI registry
    Push(PushArgs),
    /// Fetch a package, and its signatures, from an OCI registry
    Pull(PullArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Folder with config.json, the code it names (or one .wasm file) and, if there are any, header.sol, interface.json, sbom.json
    pub(crate) folder: PathBuf,
    /// Publish the source with the package: everything in this folder. Without it the source stays closed
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Private key of the publisher, to sign where the package comes from; the digest stays the same
    #[arg(long, value_name = "0x…", env = "CRYPTLET_PRIVATE_KEY", hide_env_values = true)]
    pub(crate) private_key: Option<B256>,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Folder to build it from; or oci://…; or name or digest in the layout
    pub(crate) package: String,
    /// Only read the code: do not compile or start it
    #[arg(long)]
    pub(crate) no_start: bool,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) registry: OciArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Folder to build it from; or oci://…; or name or digest in the layout
    pub(crate) package: String,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) registry: OciArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// Name or digest in the layout, or folder to build it from
    pub(crate) package: String,
    /// `oci://HOST:PORT/NAME:TAG`; port and tag may be left out
    #[arg(value_name = "OCI-URL")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) registry: OciArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PullArgs {
    /// `oci://HOST:PORT/NAME:TAG` or `oci://HOST:PORT/NAME@sha256:…`; port and tag may be left out
    #[arg(value_name = "OCI-URL")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) layout: LayoutArgs,
    #[command(flatten)]
    pub(crate) registry: OciArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where packages are kept.
#[derive(Debug, Args)]
pub(crate) struct LayoutArgs {
    /// The OCI image layout: a folder that any OCI tool reads
    #[arg(long, alias = "out", value_name = "DIR", default_value = "cryptlet-packages", env = "CRYPTLET_PACKAGES")]
    pub(crate) layout: PathBuf,
}

/// How registries are spoken to.
#[derive(Debug, Default, Args)]
pub(crate) struct OciArgs {
    /// Name for registries that ask for one
    #[arg(long, value_name = "NAME", env = "CRYPTLET_REGISTRY_USER", requires = "registry_password_file")]
    pub(crate) registry_user: Option<String>,
    /// File with the password
    #[arg(long, value_name = "FILE", env = "CRYPTLET_REGISTRY_PASSWORD_FILE")]
    pub(crate) registry_password_file: Option<PathBuf>,
    /// Speak without TLS to a registry on another machine, too
    #[arg(long)]
    pub(crate) insecure_plain_http: bool,
}
