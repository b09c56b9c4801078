//! Makes a dev chain worth calling: tells the registry its genesis hash, registers what the host runs, deploys the examples.
//!
//! Everything is sent as ordinary transactions by the operator's account, so the chain replays like any other.

use super::{
    examples::{CREDIT_DEFAULT_SWAP, EQUITY_TOOLS, ExamplePackage, MONTE_CARLO, creation_code},
    genesis::Accounts,
};
use crate::{fabric::FabricAccess, progress::Progress, registry, rpc::Chain};
use alloy::{
    primitives::{Address, B256, Bytes, I256, U256, utils::Unit},
    sol,
    sol_types::SolValue,
};
use anyhow::{Context, Result};
use cryptlet_primitives::CryptletId;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};

const DEPLOYMENTS_FILE: &str = "deployments.json";

/// What is deployed on a dev chain, by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Deployments {
    /// Addresses of example contracts.
    pub(crate) contracts: BTreeMap<String, Address>,
    /// Ids of registered cryptlets.
    pub(crate) cryptlets: BTreeMap<String, CryptletId>,
    /// Digests of packages that the host has.
    pub(crate) packages: BTreeMap<String, B256>,
}

/// Brings a chain that was just created, or reopened, to where its cryptlets answer.
pub(crate) async fn bootstrap(
    chain: &Chain,
    fabric: &FabricAccess,
    accounts: &Accounts,
    folder: &Path,
    examples: bool,
    progress: &Progress,
) -> Result<Deployments> {
    let file = folder.join(DEPLOYMENTS_FILE);
    let mut deployments: Deployments = match std::fs::read(&file) {
        Ok(json) => serde_json::from_slice(&json).with_context(|| format!("{} is damaged", file.display()))?,
        Err(_) => Deployments::default(),
    };
    registry::initialize(chain).await?;
    progress.step("starting cryptlets");
    fabric.resume(chain).await?;
    fabric.install_factory(chain).await?;
    if examples {
        for (name, package) in [("equity-tools", EQUITY_TOOLS), ("monte-carlo", MONTE_CARLO)] {
            progress.step(&format!("registering {name}"));
            let id = register_example(chain, fabric, &package, &mut deployments).await?;
            deployments.cryptlets.insert(name.to_owned(), id);
        }
        let swap = CREDIT_DEFAULT_SWAP.build()?;
        deployments.packages.insert(swap.name().to_owned(), fabric.publish(&swap).await?);
        deploy_examples(chain, accounts, &mut deployments, progress).await?;
        std::fs::write(&file, serde_json::to_vec_pretty(&deployments)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(deployments)
}

async fn register_example(
    chain: &Chain,
    fabric: &FabricAccess,
    package: &ExamplePackage,
    deployments: &mut Deployments,
) -> Result<CryptletId> {
    let package = package.build()?;
    let digest = fabric.publish(&package).await?;
    deployments.packages.insert(package.name().to_owned(), digest);
    let id = CryptletId::utility(chain.address(), package.name());
    if registry::is_active(chain, id).await? {
        return Ok(id);
    }
    Ok(fabric.register_package(chain, &package).await?.0)
}

sol! {
    struct SwapTerms {
        address protectionBuyer;
        address protectionSeller;
        uint256 notional;
        uint256 coupon;
        uint256 recovery;
        int256 rate;
        uint64 effective;
        uint64 maturity;
    }
}

macro_rules! artifact {
    ($name:literal) => {
        include_str!(concat!("../../../../contracts/artifacts/", $name, ".json"))
    };
}

async fn deploy_examples(
    chain: &Chain,
    accounts: &Accounts,
    deployments: &mut Deployments,
    progress: &Progress,
) -> Result<()> {
    let proxy = |name: &str, deployments: &Deployments| {
        let id = deployments.cryptlets.get(name).copied().unwrap_or_default();
        (id.0, Address::ZERO, Address::ZERO).abi_encode_params()
    };
    let party = |index: usize| accounts.funded.get(index).unwrap_or(&accounts.operator).address();
    let swap = (swap_terms(party(0), party(1)), deployments.packages["credit-default-swap"], Bytes::new());
    let contracts = [
        ("StockClient", artifact!("StockClient"), proxy("equity-tools", deployments)),
        ("OptionPricer", artifact!("OptionPricer"), proxy("monte-carlo", deployments)),
        ("OptionPricerSolidity", artifact!("OptionPricerSolidity"), Vec::new()),
        ("CreditDefaultSwap", artifact!("CreditDefaultSwap"), swap.abi_encode_params()),
    ];
    for (name, artifact, arguments) in contracts {
        if !deployments.contracts.contains_key(name) {
            progress.step(&format!("deploying {name}"));
            let code = [creation_code(artifact)?.as_ref(), arguments.as_slice()].concat();
            deployments.contracts.insert(name.to_owned(), chain.deploy(name, code.into()).await?);
        }
    }
    Ok(())
}

/// Five years of protection on ten million at 100 basis points, between the first two accounts.
fn swap_terms(buyer: Address, seller: Address) -> SwapTerms {
    const EFFECTIVE: u64 = 1_789_862_400; // 2026-09-20
    const MATURITY: u64 = 1_955_491_200; // 2031-12-20
    let percent = Unit::ETHER.wei() / U256::from(100);
    SwapTerms {
        protectionBuyer: buyer,
        protectionSeller: seller,
        notional: Unit::ETHER.wei() * U256::from(10_000_000),
        coupon: percent,
        recovery: percent * U256::from(40),
        rate: I256::from_raw(percent * U256::from(3)),
        effective: EFFECTIVE,
        maturity: MATURITY,
    }
}
