//! `cryptlet genesis`: the first block of a consortium's chain, with the fabric's contracts ruled by k of n.

use crate::args::GenesisArgs;
use alloy::{
    genesis::{Genesis, GenesisAccount},
    primitives::{U256, utils::Unit},
};
use anyhow::{Context, Result, ensure};
use cryptlet_node::chain_spec::{Council, InitialPolicy, SystemContracts, dev_accounts, dev_genesis, dev_operator};
use cryptlet_primitives::{
    FabricLimits,
    names::{ISOLATIONS, PROVIDERS},
};
use std::{
    path::Path,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

/// Reads a genesis file in geth's format.
pub(crate) fn read(file: &Path) -> Result<Genesis> {
    let json = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_slice(&json).with_context(|| format!("{} is not a genesis file", file.display()))
}

#[expect(clippy::print_stdout, reason = "this is the answer of the command")]
pub(crate) fn run(args: &GenesisArgs) -> Result<ExitCode> {
    let mut accepted_providers = 0;
    for name in &args.accept {
        accepted_providers |= 1u32 << number(&PROVIDERS, name, "provider")?;
    }
    ensure!(accepted_providers & 1 == 0, "`none` is no provider that evidence can come from");
    let minimum_isolation = number(&ISOLATIONS, &args.minimum_isolation, "isolation")?;
    let policy = InitialPolicy { accepted_providers, minimum_isolation, activates_automatically: args.auto_activate };
    let members = args.administrator.iter().copied().collect::<std::collections::BTreeSet<_>>();
    ensure!(members.len() == args.administrator.len(), "an administrator is named twice");
    let council = Council { threshold: args.threshold, members };

    let mut genesis = dev_genesis(&FabricLimits::default());
    // The development accounts' keys are public.
    for key in dev_accounts().into_iter().chain([dev_operator()]) {
        genesis.alloc.remove(&key.address());
    }
    genesis.config.chain_id = args.chain_id;
    genesis.timestamp = match args.timestamp {
        Some(seconds) => seconds,
        None => SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_secs(),
    };
    let balance = U256::from(args.balance) * Unit::ETHER.wei();
    let funded = args.fund.iter().chain(&council.members);
    genesis.alloc.extend(funded.map(|address| (*address, GenesisAccount::default().with_balance(balance))));
    genesis.alloc.extend(SystemContracts::of_council(&council, policy)?.accounts);
    println!("{}", serde_json::to_string_pretty(&genesis).context("a genesis is JSON")?);
    Ok(ExitCode::SUCCESS)
}

fn number(names: &[&str], name: &str, what: &str) -> Result<u8> {
    let position = names.iter().position(|known| *known == name);
    let position = position.with_context(|| format!("{name:?} is no {what}; there are {}", names.join(", ")))?;
    Ok(u8::try_from(position)?)
}
