//! The page a dev node opens with, laid out as anvil's users know it, and the same as one JSON line.

use super::{bootstrap::Deployments, genesis::Accounts};
use crate::args::NodeArgs;
use alloy::{
    primitives::{Address, B256, hex},
    signers::local::PrivateKeySigner,
};
use cryptlet_node::rpc::RpcServer;
use cryptlet_primitives::CryptletId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a machine wants to know of a node that is ready.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    ready: bool,
    http: String,
    ws: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<String>,
    chain_id: u64,
    genesis_hash: B256,
    accounts: Vec<Account>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<String>,
    operator: Option<String>,
    contracts: BTreeMap<String, String>,
    cryptlets: BTreeMap<String, CryptletId>,
    packages: BTreeMap<String, B256>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    /// With EIP-55's checksum, which some libraries insist on.
    address: String,
    private_key: B256,
}

impl Ready {
    pub(crate) fn new(
        server: &RpcServer,
        chain_id: u64,
        genesis_hash: B256,
        accounts: Option<&Accounts>,
        deployments: Deployments,
    ) -> Self {
        let account =
            |key: &PrivateKeySigner| Account { address: checksummed(key.address()), private_key: key.to_bytes() };
        Self {
            ready: true,
            http: format!("http://{}", server.address()),
            ws: format!("ws://{}", server.websocket_address()),
            ipc: server.ipc_path().map(|path| path.display().to_string()),
            metrics: None,
            chain_id,
            genesis_hash,
            accounts: accounts.map(|accounts| accounts.funded.iter().map(account).collect()).unwrap_or_default(),
            mnemonic: accounts.map(|accounts| accounts.mnemonic.clone()),
            operator: accounts.map(|accounts| checksummed(accounts.operator.address())),
            contracts: deployments.contracts.into_iter().map(|(name, address)| (name, checksummed(address))).collect(),
            cryptlets: deployments.cryptlets,
            packages: deployments.packages,
        }
    }
}

fn checksummed(address: Address) -> String {
    address.to_checksum(None)
}

/// Prints where the node listens: for people as a page, for machines as one JSON line.
#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
pub(crate) fn print(ready: &Ready, args: &NodeArgs) {
    if args.output.json {
        println!("{}", serde_json::to_string(ready).expect("a page of strings and numbers is JSON"));
        return;
    }
    println!("{}", page(ready, args));
}

fn page(ready: &Ready, args: &NodeArgs) -> String {
    let mut page = format!("\ncryptlet {} — contracts that call programs off the chain\n", env!("CARGO_PKG_VERSION"));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            page.push_str(&format!("\n{title}\n{}\n\n{}\n", "=".repeat(title.len()), lines.join("\n")));
        }
    };
    let numbered =
        |lines: Vec<String>| lines.into_iter().enumerate().map(|(index, line)| format!("({index}) {line}")).collect();
    let named = |name: &str, value: String| format!("{name:<22} {value}");

    let accounts = &ready.accounts;
    section(
        "Available Accounts",
        numbered(
            accounts
                .iter()
                .map(|account| format!("{} ({}.000000000000000000 ETH)", account.address, args.balance))
                .collect(),
        ),
    );
    section(
        "Private Keys",
        numbered(accounts.iter().map(|account| hex::encode_prefixed(account.private_key)).collect()),
    );
    if let Some(mnemonic) = &ready.mnemonic {
        section(
            "Wallet",
            vec![format!("Mnemonic:          {mnemonic}"), format!("Derivation path:   {}", args.derivation_path)],
        );
    }
    section("Cryptlets", ready.cryptlets.iter().map(|(name, id)| named(name, id.to_string())).collect());
    section("Example contracts", ready.contracts.iter().map(|(name, address)| named(name, address.clone())).collect());
    section("Packages", ready.packages.iter().map(|(name, digest)| named(name, digest.to_string())).collect());
    section("Chain ID", vec![ready.chain_id.to_string()]);
    if let Some(metrics) = &ready.metrics {
        page.push_str(&format!("\nMetrics at {metrics}\n"));
    }
    page.push_str(&format!("\nListening on {}\n", ready.http.trim_start_matches("http://")));
    page
}
