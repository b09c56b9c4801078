//! The command line of `cryptlet policy`.

use super::{AuthorArgs, OutputArgs};
use alloy::primitives::Address;
use clap::{Args, Subcommand};
use std::path::PathBuf;

const SETTINGS: &str = "\
Settings:
  provider NAME accepted|refused            evidence of software, sgx, tdx, snp, nitro or tpm
  isolation NAME                            the least of any instance: none, process, vm or enclave
  measurements PROVIDER any|listed          whether a provider's measurements must be listed
  measurement PROVIDER 0x… listed|unlisted  one measurement
  endorsers any|listed                      whether host keys must be listed
  endorser ADDRESS listed|unlisted          one host key, or enroller of TPMs
  tcb STATUS tolerated|refused              platforms of Intel that are not up to date: out-of-date, sw-hardening-needed, …
  versions KIND FIRST LAST                  of the fabric that may run wasm, process, evm or host; MAJOR.MINOR.PATCH, or any
  key-lifetime BLOCKS|any                   for which an instance's keys may be registered
  rotation-grace BLOCKS                     for which keys may count after they were rotated
  activation automatic|by-administrators    whether registrations count as soon as they are made
";

const REVOCATIONS: &str = "\
What can be revoked, from the next block on, whatever was registered before:
  provider NAME                             every instance with its evidence
  measurement PROVIDER 0x…                  every instance that runs this
  endorser ADDRESS                          every instance that this host key or enroller vouches for
";

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) action: PolicyAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyAction {
    /// Everything that the policy accepts, and who may change it
    Show(PolicyShowArgs),
    /// Change a setting. Where several administrators rule, propose it, or approve what another has proposed
    #[command(after_help = SETTINGS)]
    Set(ChangeArgs),
    /// Stop calls of what was accepted before. Where several administrators rule, propose it, or approve it
    #[command(after_help = REVOCATIONS)]
    Revoke(RevokeArgs),
    /// Add or remove administrators, or change how many must approve: also a vote of theirs. It voids what is open
    Administrators(AdministratorsArgs),
    /// What administrators have proposed: what it would do, who proposed and approved it, and how many are missing
    Proposals(ProposalsArgs),
    /// Approve a proposal by its number; the last approval needed makes the change
    #[command(visible_alias = "confirm")]
    Approve(ProposalArgs),
    /// Take an approval back
    Withdraw(ProposalArgs),
    /// Name a successor as administrator of registry and policy, who then accepts
    HandOver(HandOverArgs),
    /// Become administrator of registry and policy, having been named
    Accept(AcceptArgs),
}

/// Which node is asked, and how the answer is shown.
#[derive(Debug, Args)]
pub(crate) struct PolicyAccess {
    /// JSON-RPC address of a node
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545", env = "ETH_RPC_URL")]
    pub(crate) rpc_url: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyShowArgs {
    /// Genesis file of the chain: names administrators who have not acted yet, whom the chain cannot list
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// The setting, and its value
    #[arg(value_name = "SETTING", required = true, num_args = 1..)]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// What is revoked
    #[arg(value_name = "WHAT", required = true, num_args = 1..)]
    pub(crate) words: Vec<String>,
    /// Why, for everybody to read on the chain
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct AdministratorsArgs {
    /// A new administrator; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) add: Vec<Address>,
    /// One that is no longer to be an administrator; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) remove: Vec<Address>,
    /// How many must approve from then on
    #[arg(long, value_name = "N")]
    pub(crate) threshold: u32,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct ProposalsArgs {
    /// Also those that are done, out of time, or void
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct ProposalArgs {
    /// Number of the proposal
    pub(crate) id: u64,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct HandOverArgs {
    /// The successor: an account, or a contract such as Administrators
    pub(crate) successor: Address,
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    #[command(flatten)]
    pub(crate) author: AuthorArgs,
    #[command(flatten)]
    pub(crate) access: PolicyAccess,
}
