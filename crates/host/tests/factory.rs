//! The factory: contracts get their cryptlets, or are told in a signed result why not.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{Revert, SolError, SolValue};
use cryptlet_attestation::{
    appraise,
    signature::{keys_digest, recover},
};
use cryptlet_host::{ClientOptions, FACTORY_OUTPUT_BYTES_MAX, FACTORY_UNITS, FabricClient, Host, Registered};
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricAnswer, Invocation, ResultStatus, Signature65,
    abi::{CreateConfig, CreatedInstance},
};
use support::*;

fn config(code: Vec<u8>) -> CreateConfig {
    CreateConfig {
        packageDigest: B256::ZERO,
        code: code.into(),
        minimumInstances: 1,
        maximumInstances: 5,
        isolation: 0,
        unitsMax: 1_000_000,
        outputBytesMax: 4096,
        configJson: r#"{"name":"swap","publicKey":""}"#.to_owned(),
    }
}

fn order(factory: &Registered, number: u64, config: &CreateConfig) -> Invocation {
    let mut invocation = call(factory, number, &config.abi_encode());
    invocation.units_max = FACTORY_UNITS;
    invocation.output_bytes_max = FACTORY_OUTPUT_BYTES_MAX;
    invocation
}

async fn ask(host: &Host, invocation: &Invocation) -> FabricAnswer {
    FabricClient::in_process(host, ClientOptions::default()).create(invocation.clone()).await.unwrap()
}

async fn create(host: &Host, invocation: &Invocation) -> CreatedInstance {
    let answer = ask(host, invocation).await;
    assert_eq!(status(&answer), ResultStatus::Ok, "{}", why(&answer));
    assert!(answer.result.units <= invocation.units_max);
    CreatedInstance::abi_decode_validate(&answer.output).unwrap()
}

fn why(answer: &FabricAnswer) -> String {
    Revert::abi_decode(&answer.output).map(|revert| revert.reason).unwrap_or_default()
}

/// Calls the cryptlet a contract was given.
fn call_of(created: &CreatedInstance, number: u64) -> Invocation {
    let mut invocation = call(
        &Registered {
            registration_id: Default::default(),
            created: created.clone(),
            name: String::new(),
            publisher: Address::ZERO,
            bound_contract: CALLER,
            header_digest: B256::ZERO,
            config_digest: B256::ZERO,
            isolation: 0,
            renews: None,
        },
        number,
        b"data",
    );
    invocation.request.caller = CALLER;
    invocation
}

/// All that the registry will check.
fn assert_registrable(host: &Host, created: &CreatedInstance, now: u64) {
    let keys = created.keys();
    let signature = Signature65(created.keysSignature[..].try_into().unwrap());
    assert_eq!(recover(keys_digest(&keys, &DOMAIN), &signature), Ok(created.signer));
    let claims = appraise(&created.evidence, &created.collateral, &DOMAIN, now).unwrap();
    assert_eq!(claims.reportData, keys.registration_id().0);
    assert_eq!((claims.provider, claims.endorser), (1, host.address()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_gets_a_cryptlet_bound_to_it() {
    use cryptlet_host::Clock;
    let fixture = Fixture::new();
    let host = fixture.start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    assert_registrable(&host, &factory.created, fixture.clock.unix_seconds());
    let order = order(&factory, 1, &config(echo()));
    assert_signed(&order, &ask(&host, &order).await, &factory);
    let created = create(&host, &order).await;
    assert_registrable(&host, &created, fixture.clock.unix_seconds());
    assert_eq!(created.cryptletId, CryptletId::contract(CALLER, CodeDigest(created.codeDigest)).0);
    assert_eq!((created.keyEpoch, created.anchorBlock), (1, order.request.anchorBlock));
    let answer = host.invoke(call_of(&created, 2)).await.unwrap();
    assert_eq!(&answer.output[..], b"data");
    assert_eq!(
        host.pending_registrations(),
        [],
        "the factory was called, so it is registered; a contract registers its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_tried_again_gets_the_same_cryptlet() {
    let host = Fixture::new().start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    let first = create(&host, &order(&factory, 1, &config(echo()))).await;
    let moved = at_anchor(order(&factory, 1, &config(echo())), 20);
    assert_eq!(create(&host, &moved).await, first, "the same call under another anchor");
    let replaced = at_anchor(order(&factory, 2, &config(echo())), 21);
    assert_eq!(create(&host, &replaced).await, first, "another transaction of the same contract");
    assert_eq!(host.instances(), 2);

    // It never reached the chain, and the contract is made with another configuration: the last word counts.
    let changed = CreateConfig { configJson: r#"{"name":"other","publicKey":""}"#.to_owned(), ..config(echo()) };
    let second = create(&host, &at_anchor(order(&factory, 3, &changed), 22)).await;
    assert_eq!(second.cryptletId, first.cryptletId);
    assert_ne!(second.signer, first.signer);
    assert_eq!(host.instances(), 2);
    host.invoke(call_of(&second, 4)).await.unwrap();
    let third = ask(&host, &at_anchor(order(&factory, 5, &config(echo())), 23)).await;
    assert_eq!(status(&third), ResultStatus::Error, "from its first call on it is settled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_whose_transaction_was_lost_in_a_restart_gets_a_cryptlet_that_answers() {
    let fixture = Fixture::new();
    let (publisher, lost) = {
        let host = fixture.start();
        let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
        (PUBLISHER, create(&host, &order(&factory, 1, &config(echo()))).await)
    };
    let host = fixture.start();
    for registered in host.restart(chain_at(30)).unwrap() {
        // An operator finds the factory on the chain, but not the contract's cryptlet.
        if registered.publisher == publisher {
            host.confirm_registration(registered.registration_id).unwrap();
        }
    }
    let factory = host.register_factory(PUBLISHER, chain_at(30));
    let reborn = factory.unwrap();
    host.confirm_registration(reborn.registration_id).unwrap();
    let created = create(&host, &at_anchor(order(&reborn, 2, &config(echo())), 31)).await;
    assert_eq!((created.cryptletId, created.keyEpoch), (lost.cryptletId, 2));
    let answer = host.invoke(at_anchor(call_of(&created, 3), 32)).await.unwrap();
    assert_eq!(answer.result.registrationId, created.keys().registration_id().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulation_creates_nothing() {
    let host = Fixture::new().start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    let order = dry_run(order(&factory, 1, &config(echo())));
    let created = create(&host, &order).await;
    // Simulated blocks may be old; the registry's checks must pass in them too, or no gas could be estimated.
    assert_registrable(&host, &created, 1);
    assert_eq!(host.instances(), 1);
    assert_eq!(host.packages().list(), []);
    assert_eq!(host.load().answers_kept, 0);
    assert!(host.invoke(call_of(&created, 2)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_may_name_a_package_and_ask_for_several_instances() {
    let host = Fixture::new().start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    let digest = host.publish(&package("shared", echo())).unwrap();
    let config = CreateConfig { packageDigest: digest, code: Bytes::new(), minimumInstances: 3, ..config(echo()) };
    let created = create(&host, &order(&factory, 1, &config)).await;
    assert_eq!(created.manifestDigest, digest);
    let waiting: Vec<_> = host.pending_registrations().into_iter().filter(|r| r.bound_contract == CALLER).collect();
    assert_eq!(waiting.len(), 2, "two more wait for an operator");
    for number in 0..6 {
        let answer = host.invoke(call_of(&created, 10 + number)).await.unwrap();
        assert_eq!(answer.result.registrationId, created.keys().registration_id().0, "only the registered one answers");
    }
    host.confirm_registration(waiting[0].registration_id).unwrap();
    let mut signers = std::collections::BTreeSet::new();
    for number in 0..6 {
        signers.insert(host.invoke(call_of(&created, 20 + number)).await.unwrap().result.registrationId);
    }
    assert_eq!(signers.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_granted_is_a_signed_refusal() {
    let mut fixture = Fixture::new();
    fixture.config.instances_per_contract_max = 3;
    let host = fixture.start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    let good = config(echo());
    let cases = [
        (CreateConfig { isolation: 1, ..good.clone() }, "isolation 1"),
        (CreateConfig { minimumInstances: 0, ..good.clone() }, "minimumInstances"),
        (CreateConfig { minimumInstances: 6, ..good.clone() }, "minimumInstances"),
        (CreateConfig { minimumInstances: 4, ..good.clone() }, "at most 3"),
        (CreateConfig { code: Bytes::new(), ..good.clone() }, "neither"),
        (CreateConfig { packageDigest: B256::repeat_byte(1), ..good.clone() }, "both"),
        (CreateConfig { packageDigest: B256::repeat_byte(1), code: Bytes::new(), ..good.clone() }, "no package"),
        (CreateConfig { code: Bytes::from_static(b"junk"), ..good.clone() }, "component"),
        (CreateConfig { configJson: "{".to_owned(), ..good.clone() }, "JSON"),
        (CreateConfig { configJson: r#"{"config":{"isolation":true}}"#.to_owned(), ..good.clone() }, "isolation"),
    ];
    for (number, (config, words)) in cases.into_iter().enumerate() {
        for mode in [|invocation| invocation, dry_run] {
            let order = mode(order(&factory, number as u64, &config));
            let answer = ask(&host, &order).await;
            assert_signed(&order, &answer, &factory);
            assert_eq!(status(&answer), ResultStatus::Error);
            assert!(why(&answer).contains(words), "{words}: {}", why(&answer));
        }
    }
    for input in [&b"garbage"[..], &[], &good.abi_encode()[..100]] {
        let mut order = order(&factory, 100, &good);
        (order.input, order.request.inputHash) = (Bytes::copy_from_slice(input), keccak256(input));
        order.request.key = keccak256(input);
        assert!(why(&ask(&host, &order).await).contains("abi.encode(CreateConfig)"));
    }
    let mut poor = order(&factory, 200, &good);
    poor.output_bytes_max = 4;
    let answer = ask(&host, &poor).await;
    assert_eq!((status(&answer), answer.output.len()), (ResultStatus::Error, 0));
    assert_eq!(host.instances(), 2, "only the factory, and what was created but could not be told");
}
