//! What `--dev` adds to a node: accounts and a genesis, a fabric that is registered, the example contracts, and the page
//! that tells a newcomer about all of it.

mod banner;
mod bootstrap;
mod examples;
mod genesis;

pub(crate) use banner::{Ready, print};
pub(crate) use bootstrap::{Deployments, bootstrap};
pub(crate) use cryptlet_node::chain_spec::dev_operator as operator;
pub(crate) use genesis::{Accounts, DERIVATION_PATH, genesis};

/// The well-known test mnemonic. Its keys are public: they guard nothing.
pub(crate) const MNEMONIC: &str = cryptlet_node::chain_spec::DEV_MNEMONIC;
