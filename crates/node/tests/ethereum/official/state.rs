//! State tests: a state, one transaction in several variants, and the root it must lead to under each fork.

use super::{Outcome, Verdict, network};
use crate::support::empty_store;
use alloy::{
    consensus::{Sealed, transaction::SignerRecoverable},
    eips::Decodable2718,
    genesis::{ChainConfig, Genesis, GenesisAccount},
};
use alloy_evm::Evm;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cryptlet_delegate::{DelegateContext, DelegateEvm};
use cryptlet_node::{
    ChainSpec,
    execute::{anchor, delegate_scope, evm_env, has_storage},
    state::StateChanges,
    types::{Header, RecoveredTransaction, Transaction},
};
use cryptlet_primitives::FabricLimits;
use revm::{
    DatabaseCommit,
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Test {
    env: Env,
    pre: BTreeMap<Address, GenesisAccount>,
    post: BTreeMap<String, Vec<Post>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    current_gas_limit: U256,
    current_number: U256,
    current_timestamp: U256,
    #[serde(default)]
    current_difficulty: Option<U256>,
    #[serde(default)]
    current_random: Option<B256>,
    #[serde(default)]
    current_base_fee: Option<U256>,
    #[serde(default)]
    current_excess_blob_gas: Option<U256>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    #[serde(default)]
    txbytes: Option<Bytes>,
    #[serde(default)]
    expect_exception: Option<Value>,
}

pub(super) fn run(name: &str, test: &Value, limits: Option<FabricLimits>) -> Vec<Verdict> {
    let test: Test = match serde_json::from_value(test.clone()) {
        Ok(test) => test,
        Err(error) => return vec![(name.to_owned(), "state".to_owned(), Outcome::Failed(error.to_string()))],
    };
    let mut verdicts = Vec::new();
    for (fork, posts) in &test.post {
        let label = format!("state, {fork}{}", if limits.is_some() { ", delegate" } else { "" });
        for (index, post) in posts.iter().enumerate() {
            let outcome = match network::config(fork) {
                Err(why) => Outcome::LeftOut(why),
                Ok(config) => check(&test, post, config, limits),
            };
            verdicts.push((format!("{name}[{index}]"), label.clone(), outcome));
        }
    }
    verdicts
}

fn check(test: &Test, post: &Post, config: ChainConfig, limits: Option<FabricLimits>) -> Outcome {
    let Some(bytes) = &post.txbytes else { return Outcome::LeftOut("no signed transaction in the vector") };
    match execute(test, bytes, config, limits) {
        Err(Refusal::Broken(why)) => Outcome::Failed(why),
        Err(Refusal::Invalid(why)) if post.expect_exception.is_none() => Outcome::Failed(why),
        Ok(_) if post.expect_exception.is_some() => Outcome::Failed("the transaction should be refused".to_owned()),
        Err(Refusal::Invalid(_)) => Outcome::Passed,
        Ok((root, logs)) if (root, logs) == (post.hash, post.logs) => Outcome::Passed,
        Ok((root, logs)) => {
            Outcome::Failed(format!("root {root} and logs {logs}, not {} and {}", post.hash, post.logs))
        }
    }
}

enum Refusal {
    /// The transaction is not valid.
    Invalid(String),
    /// The vector cannot be run.
    Broken(String),
}

/// The root of the state after the transaction, and the hash of its logs.
fn execute(
    test: &Test,
    transaction: &[u8],
    config: ChainConfig,
    limits: Option<FabricLimits>,
) -> Result<(B256, B256), Refusal> {
    let broken = |error: &dyn std::fmt::Display| Refusal::Broken(error.to_string());
    let invalid = |error: &dyn std::fmt::Display| Refusal::Invalid(error.to_string());
    let has_base_fee = config.london_block.is_some();
    let is_mined = config.terminal_total_difficulty.is_none();
    let alloc = test.pre.clone();
    let difficulty = if is_mined { U256::from(131_072) } else { U256::ZERO };
    let spec =
        ChainSpec::from_genesis(Genesis { config, gas_limit: 5_000_000, difficulty, alloc, ..Genesis::default() });
    let spec = spec.map_err(|error| broken(&error))?;
    let spec = match limits {
        Some(limits) => spec.assuming_delegate(limits),
        None => spec,
    };
    let store = empty_store(&spec);
    let env = &test.env;
    let header = Header {
        beneficiary: env.current_coinbase,
        gas_limit: env.current_gas_limit.saturating_to(),
        number: env.current_number.saturating_to(),
        timestamp: env.current_timestamp.saturating_to(),
        difficulty: if is_mined { env.current_difficulty.unwrap_or_default() } else { U256::ZERO },
        mix_hash: env.current_random.unwrap_or_else(|| env.current_difficulty.unwrap_or_default().into()),
        // Older vectors name a base fee for forks that have none.
        base_fee_per_gas: env.current_base_fee.filter(|_| has_base_fee).map(|fee| fee.saturating_to()),
        excess_blob_gas: env.current_excess_blob_gas.map(|gas| gas.saturating_to()),
        ..Header::default()
    };
    let transaction = Transaction::decode_2718_exact(transaction).map_err(|error| invalid(&error))?;
    let sender = transaction.recover_signer().map_err(|error| invalid(&error))?;
    let transaction = RecoveredTransaction::new_unchecked(transaction, sender);

    let state = store.latest_state().map_err(|error| broken(&error))?;
    let parent = Sealed::new_unchecked(spec.genesis_header().clone(), spec.genesis_hash());
    let delegate = delegate_scope(&spec, anchor(&parent), state.clone()).map(DelegateContext::new).unwrap_or_default();
    let database = State::builder().with_database(WrapDatabaseRef(state)).with_bundle_update().build();
    let mut evm = DelegateEvm::new(database, evm_env(&spec, &header), delegate).with_storage_look(has_storage);
    let result = evm.transact(&transaction).map_err(|error| invalid(&error))?;
    let logs = keccak256(alloy_rlp::encode(result.result.logs().to_vec()));
    let (mut database, _) = evm.finish();
    database.commit(result.state);
    database.merge_transitions(BundleRetention::PlainState);
    let changes = StateChanges::from_bundle(&database.take_bundle());
    let root = store.state_root_after(0, &changes).map_err(|error| broken(&error))?.root();
    Ok((root, logs))
}
