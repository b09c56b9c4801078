//! Calls through the in-process pipe: what is final, what is deduplicated, what survives, what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use cryptlet_host::{ClientOptions, FabricClient, HostError, InstanceState};
use cryptlet_primitives::{CodeDigest, CryptletId, Invocation, ResultStatus, UnavailableReason};
use std::time::Duration;
use support::*;

fn client(host: &cryptlet_host::Host) -> FabricClient {
    FabricClient::in_process(host, ClientOptions::default())
}

async fn refusal(client: &FabricClient, invocation: Invocation) -> (UnavailableReason, String) {
    let fault = client.invoke(invocation).await.unwrap_err();
    (fault.reason, fault.detail)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_by_the_registered_instance() {
    let host = Fixture::new().start();
    let registered = register(&host, "echo", echo());
    let invocation = call(&registered, 1, b"hello");
    let answer = client(&host).invoke(invocation.clone()).await.unwrap();
    assert_eq!(&answer.output[..], b"hello");
    assert_eq!(status(&answer), ResultStatus::Ok);
    assert_signed(&invocation, &answer, &registered);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_to_a_key_is_final() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let registered = register(&host, "clock", clock_reader());
    let client = client(&host);
    let first = client.invoke(call(&registered, 1, b"")).await.unwrap();
    fixture.clock.advance(100);
    let again = client.invoke(call(&registered, 1, b"")).await.unwrap();
    assert_eq!(first, again, "the same request brings the same bytes");
    let other_key = client.invoke(call(&registered, 2, b"")).await.unwrap();
    assert_ne!(other_key.output, first.output);

    // A transaction that was dropped and comes back asks under another anchor: another request, the same outcome.
    let returned = at_anchor(call(&registered, 1, b""), 20);
    let moved = client.invoke(returned.clone()).await.unwrap();
    assert_eq!((&moved.output, moved.result.observedAt), (&first.output, first.result.observedAt));
    assert_signed(&returned, &moved, &registered);
    assert_eq!(host.load().answers_kept, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_one_key_at_one_time_run_once() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let registered = register(&host, "dice", dice());
    let client = client(&host);
    let calls: Vec<_> = (0..32u64)
        .map(|number| {
            let (client, invocation) = (client.clone(), at_anchor(call(&registered, 1, b""), 9 + number % 3));
            tokio::spawn(async move { client.invoke(invocation).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    for answer in &answers {
        assert_eq!(answer.output, answers[0].output);
        let same_request = answers.iter().find(|other| other.result.requestHash == answer.result.requestHash).unwrap();
        assert_eq!(same_request, answer, "one request has one signature");
    }
    assert_eq!(host.load().answers_kept, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_are_signed_in_another_domain_and_never_kept() {
    let fixture = Fixture::new();
    let host = fixture.start();
    let registered = register(&host, "clock", clock_reader());
    let client = client(&host);
    let invocation = dry_run(call(&registered, 1, b""));
    let first = client.invoke(invocation.clone()).await.unwrap();
    assert_signed(&invocation, &first, &registered);
    fixture.clock.advance(100);
    let second = client.invoke(invocation).await.unwrap();
    assert_ne!(first.output, second.output, "a dry run settles nothing");
    assert_eq!(host.load().answers_kept, 0);
    let live = client.invoke(call(&registered, 1, b"")).await.unwrap();
    assert_eq!(live.output, second.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_survive_a_restart_and_keys_do_not() {
    let fixture = Fixture::new();
    let (clock, first, invocation) = {
        let host = fixture.start();
        let registered = register(&host, "clock", clock_reader());
        let invocation = call(&registered, 1, b"");
        let answer = client(&host).invoke(invocation.clone()).await.unwrap();
        (registered, answer, invocation)
    };
    fixture.clock.advance(1000);
    let host = fixture.start();
    let client = client(&host);
    assert_eq!(client.invoke(invocation.clone()).await.unwrap(), first, "the answer was on disk before it was sent");
    let (reason, detail) = refusal(&client, call(&clock, 2, b"")).await;
    assert_eq!(reason, UnavailableReason::NoInstance);
    assert!(detail.contains("not started again"), "{detail}");

    let pending = host.restart(chain_at(30)).unwrap();
    assert_eq!(pending.len(), 1);
    let reborn = &pending[0];
    assert_eq!((reborn.created.cryptletId, reborn.created.keyEpoch), (clock.created.cryptletId, 2));
    assert_ne!(reborn.created.signer, clock.created.signer);
    let (reason, detail) = refusal(&client, call(&clock, 2, b"")).await;
    assert_eq!(reason, UnavailableReason::NoInstance);
    assert!(detail.contains("not confirmed"), "{detail}");
    assert_eq!(client.invoke(invocation.clone()).await.unwrap(), first);

    host.confirm_registration(reborn.registration_id).unwrap();
    assert_eq!(host.pending_registrations(), []);
    let next = call(&clock, 2, b"");
    assert_signed(&next, &client.invoke(next.clone()).await.unwrap(), reborn);
    // The old signature counts no more on the chain; the same outcome is signed with the new key.
    let signed_anew = client.invoke(invocation.clone()).await.unwrap();
    assert_signed(&invocation, &signed_anew, reborn);
    assert_eq!((&signed_anew.output, signed_anew.result.observedAt), (&first.output, first.result.observedAt));
    assert_eq!(client.invoke(invocation).await.unwrap(), signed_anew);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_outcome_for_a_settled_key_is_refused() {
    let fixture = Fixture::new();
    let invocation = {
        let host = fixture.start();
        let registered = register(&host, "dice", dice());
        let invocation = call(&registered, 1, b"");
        client(&host).invoke(invocation.clone()).await.unwrap();
        invocation
    };
    let host = fixture.start();
    // Randomness comes from the instance's own secret, so a reborn one throws other dice.
    let pending = host.restart(chain_at(30)).unwrap();
    host.confirm_registration(pending[0].registration_id).unwrap();
    let (reason, detail) = refusal(&client(&host), at_anchor(invocation, 40)).await;
    assert_eq!(reason, UnavailableReason::Refused);
    assert!(detail.contains("the first answer is final"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_makes_no_sense_here_is_refused_with_the_reason() {
    let mut fixture = Fixture::new();
    fixture.config.input_bytes_max = 1000;
    let host = fixture.start();
    let registered = register(&host, "echo", echo());
    let good = call(&registered, 1, b"x");
    let with = |change: fn(&mut Invocation)| {
        let mut invocation = good.clone();
        change(&mut invocation);
        invocation
    };
    let long = call(&registered, 1, &[0; 1001]);
    let cases = [
        (with(|i| i.request.cryptletId = CryptletId::default().0), UnavailableReason::NoInstance, "does not run"),
        (with(|i| i.request.codeDigest = CodeDigest::default().0), UnavailableReason::Refused, "this host runs"),
        (with(|i| i.request.inputHash.0[0] ^= 1), UnavailableReason::Refused, "hash"),
        (with(|i| i.units_max = u64::MAX), UnavailableReason::Refused, "compute units"),
        (with(|i| i.output_bytes_max = u32::MAX), UnavailableReason::Refused, "may return"),
        (with(|i| i.request.anchorBlock = u64::MAX), UnavailableReason::NoInstance, "keys"),
        (long, UnavailableReason::Refused, "1001 bytes"),
    ];
    let client = client(&host);
    for (invocation, expected, words) in cases {
        let (reason, detail) = refusal(&client, invocation).await;
        assert_eq!(reason, expected, "{detail}");
        assert!(detail.contains(words), "{detail}");
    }
    assert_eq!(host.load().answers_kept, 0);
    assert!(client.invoke(good).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_call_misses_its_deadline_and_its_answer_is_kept() {
    let host = Fixture::new().start();
    let registered = register(&host, "endless", endless());
    let client = client(&host);
    let mut invocation = call(&registered, 1, b"");
    invocation.units_max = 2_000_000;
    let fault = client.invoke_within(invocation.clone(), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::DeadlineExceeded, "{fault}");
    let answer = client.invoke(invocation.clone()).await.unwrap();
    assert_eq!(status(&answer), ResultStatus::Error, "it ran out of compute units, which is an answer");
    assert_eq!(answer.result.units, 2_000_000);
    assert_eq!(client.invoke(invocation).await.unwrap(), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_the_queue_holds_are_told_so() {
    let mut fixture = Fixture::new();
    fixture.config.calls_max = 1;
    fixture.config.queue_max = 2;
    let host = fixture.start();
    let registered = register(&host, "endless", endless());
    let client = client(&host);
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let (client, mut invocation) = (client.clone(), call(&registered, number, b""));
            invocation.units_max = 300_000;
            tokio::spawn(async move { client.invoke(invocation).await })
        })
        .collect();
    let mut overloaded = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(answer) => assert_eq!(status(&answer), ResultStatus::Error),
            Err(fault) => {
                assert_eq!(fault.reason, UnavailableReason::Overloaded, "{fault}");
                overloaded += 1;
            }
        }
    }
    assert!((1..12).contains(&overloaded), "{overloaded}");
    assert_eq!(host.load().waiting, 0);
    let mut after = call(&registered, 99, b"");
    after.units_max = 1000;
    assert!(client.invoke(after).await.is_ok(), "the host recovers");
}

#[test]
fn a_registration_is_given_again_until_it_is_on_the_chain() {
    let host = Fixture::new().start();
    let first = register(&host, "echo", echo());
    assert_eq!(register(&host, "echo", echo()), first);
    assert_eq!(host.pending_registrations(), vec![first.clone()]);
    // Too old to be registered now: another is started in its place.
    let package = package("echo", echo());
    let fresh = host.register(&package.digest().into(), PUBLISHER, chain_at(500)).unwrap();
    assert_ne!(fresh, first);
    assert_eq!(host.pending_registrations(), vec![fresh.clone()]);
    host.confirm_registration(fresh.registration_id).unwrap();
    // Once it is registered, asking again asks for one more.
    let second = host.register(&package.digest().into(), PUBLISHER, chain_at(501)).unwrap();
    assert_eq!((second.created.cryptletId, second.created.keyEpoch), (fresh.created.cryptletId, 1));
    let summary = host.cryptlet(CryptletId(second.created.cryptletId)).unwrap();
    let states: Vec<_> = summary.instances.iter().map(|instance| instance.state).collect();
    assert_eq!(states, [InstanceState::Active, InstanceState::Pending]);
}

#[test]
fn what_cannot_be_registered_says_why() {
    let host = Fixture::new().start();
    register(&host, "echo", echo());
    let other = package("echo", clock_reader());
    host.publish(&other).unwrap();
    let error = host.register(&other.digest().into(), PUBLISHER, chain_at(5)).unwrap_err();
    assert!(matches!(error, HostError::NameTaken(_)), "{error}");
    let error = host.register(&"nothing".parse().unwrap(), PUBLISHER, chain_at(5)).unwrap_err();
    assert!(matches!(error, HostError::NoPackage(_)), "{error}");
    let broken = package("broken", b"not wasm".to_vec());
    let error = host.publish(&broken).unwrap_err();
    assert!(matches!(error, HostError::Package { .. }) && error.to_string().contains("refused ["), "{error}");
    let mut elsewhere = chain_at(5);
    elsewhere.domain.chain_id = 1;
    let error = host.register(&"echo".parse().unwrap(), PUBLISHER, elsewhere).unwrap_err();
    assert!(matches!(error, HostError::OtherChain { .. }), "{error}");
}

#[test]
fn a_host_that_isolates_less_than_its_policy_does_not_start() {
    let mut fixture = Fixture::new();
    fixture.config.isolation_min = 1;
    let error = cryptlet_host::Host::start(fixture.config.clone(), fixture.parts()).unwrap_err();
    assert!(error.to_string().contains("isolation_min"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_renewed_with_the_same_keys_and_answers_under_its_old_registration_until_that_is_confirmed() {
    use cryptlet_attestation::{appraise, signature::keys_digest};
    use cryptlet_host::Clock;
    let mut fixture = Fixture::new();
    fixture.config.key_lifetime_blocks = 1_000;
    let host = fixture.start();
    let first = register(&host, "echo", echo());
    host.confirm_registration(first.registration_id).unwrap();
    assert_eq!(host.renew_instances(chain_at(100), 10).unwrap(), [], "it has 905 blocks left");

    let renewed = host.renew_instances(chain_at(100), 905).unwrap();
    let [second] = &renewed[..] else { panic!("{renewed:?}") };
    let (old, new) = (first.created.keys(), second.created.keys());
    assert_eq!(second.renews, Some(first.registration_id));
    assert_eq!((new.signer, new.hpkeKey, new.keyEpoch), (old.signer, old.hpkeKey, old.keyEpoch), "the same keys");
    assert_eq!((new.anchorBlock, new.notAfterBlock), (100, 1_100));
    let signature = cryptlet_primitives::Signature65(second.created.keysSignature[..].try_into().unwrap());
    assert_eq!(cryptlet_attestation::recover(keys_digest(&new, &DOMAIN), &signature), Ok(old.signer));
    let claims = appraise(&second.created.evidence, &[], &DOMAIN, fixture.clock.unix_seconds()).unwrap();
    assert_eq!(claims.reportData, second.registration_id.0, "the evidence is fresh");

    // Asked again it gives the same, another call is answered as before, and another instance may be registered meanwhile.
    assert_eq!(host.renew_instances(chain_at(101), 905).unwrap(), renewed);
    let before = at_anchor(call(&first, 1, b"x"), 101);
    assert_signed(&before, &host.invoke(before.clone()).await.unwrap(), &first);
    assert_eq!(host.instances(), 2);
    // One that waited too long is made anew; the first goes on.
    let again = host.renew_instances(chain_at(300), 905).unwrap();
    assert_ne!(again[0].registration_id, second.registration_id);
    let between = at_anchor(call(&first, 2, b"x"), 301);
    assert_signed(&between, &host.invoke(between.clone()).await.unwrap(), &first);

    host.confirm_registration(again[0].registration_id).unwrap();
    assert_eq!(host.instances(), 1, "it is the same instance");
    assert_eq!(host.pending_registrations(), []);
    let after = at_anchor(call(&first, 3, b"x"), 1_200);
    assert_signed(&after, &host.invoke(after.clone()).await.unwrap(), &again[0]);
    // What was answered under the old registration has the same outcome under the new one.
    let asked_again = host.invoke(before.clone()).await.unwrap();
    assert_signed(&before, &asked_again, &again[0]);
    assert_eq!(host.renew_instances(chain_at(310), 905).unwrap(), [], "990 blocks are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_factory_is_renewed_like_any_other() {
    let mut fixture = Fixture::new();
    fixture.config.key_lifetime_blocks = 1_000;
    let host = fixture.start();
    let factory = host.register_factory(PUBLISHER, chain_at(5)).unwrap();
    host.confirm_registration(factory.registration_id).unwrap();
    let renewed = host.renew_instances(chain_at(500), 1_000).unwrap();
    assert_eq!((renewed[0].renews, renewed[0].created.signer), (Some(factory.registration_id), factory.created.signer));
    host.confirm_registration(renewed[0].registration_id).unwrap();
    assert_eq!(host.instances(), 1);
}
