//! The life of an instance as the delegate enforces it, whatever a host says: keys that were rotated count for their grace, renewed ones
//! until their last block, and what the policy revokes does not count from the next block on. Each block is built and replayed.

use super::world::*;
use alloy_evm::Evm;
use alloy_primitives::{Address, U256};
use cryptlet_attestation::{AcceptedVersions, Listing, RecordFault, RecoveredRecord};
use cryptlet_delegate::{
    BuildOutcome, DelegateError, ReplayError, Transcript, build_transaction,
    registry_layout::{endorser_listing_slot, measurement_listing_slot, slots},
};
use cryptlet_primitives::{ContainerKind, FabricVersion, system::CRYPTO_DELEGATE};
use revm::context::TxEnv;
use slots::{cryptlet as of_cryptlet, instance as of_instance, rules};

fn call(world: &World) -> TxEnv {
    tx(CRYPTO_DELEGATE, world.invoke_data(b"only"), GAS)
}

/// The same block built, with an honest answer, and replayed from its records; or why the answer is refused.
fn block(world: &World) -> Result<(), RecordFault> {
    let transaction = call(world);
    let record = world.record(&world.first_invocation(&transaction));
    let built = {
        let mut transcript = Transcript::new();
        transcript.push(record.clone());
        match build_transaction(&mut world.evm(), TX_HASH, &mut transcript, |evm| evm.transact_raw(transaction.clone()))
        {
            BuildOutcome::Finished(_) => Ok(()),
            BuildOutcome::Suspended(suspension) => Err(suspension.stale.expect("it was answered")),
            other => panic!("{other:?}"),
        }
    };
    let replayed = replay(world, vec![record]);
    match (built, replayed) {
        (Ok(()), Ok(())) => Ok(()),
        (Err(DelegateError::InvalidRecord { fault: built, .. }), Err(replayed)) => {
            assert_eq!(built, replayed, "a builder and a replayer disagree");
            Err(replayed)
        }
        other => panic!("a builder and a replayer disagree: {other:?}"),
    }
}

fn replay(world: &World, records: Vec<RecoveredRecord>) -> Result<(), RecordFault> {
    match world.replay(&mut world.evm(), &call(world), records) {
        Ok(_) => Ok(()),
        Err(ReplayError::Delegate(DelegateError::InvalidRecord { fault, .. })) => Err(fault),
        Err(other) => panic!("{other:?}"),
    }
}

/// The keys of the world's instance, of epoch 1, are rotated out by epoch 2 and count until this block.
fn rotated(until: u64) -> World {
    let mut world = World::new();
    world.set_cryptlet(world.cryptlet, of_cryptlet::KEY_EPOCH, 2u64);
    world.set_cryptlet(world.cryptlet, of_cryptlet::PREVIOUS_EPOCH, 1u64);
    world.set_cryptlet(world.cryptlet, of_cryptlet::PREVIOUS_EPOCH_UNTIL, until);
    world
}

#[test]
fn rotated_keys_count_in_the_last_block_of_their_grace_and_not_in_the_next() {
    let mut world = rotated(PARENT_NUMBER + 1);
    assert_eq!(block(&world), Ok(()));
    let record = world.record(&world.first_invocation(&call(&world)));
    world.parent_number += 1;
    let over = RecordFault::GraceOver { found: 1, until: PARENT_NUMBER + 1, block: PARENT_NUMBER + 2 };
    assert_eq!(block(&world), Err(over.clone()));
    // Nor does an answer given within the grace, which a slow host hands in after it.
    assert_eq!(replay(&world, vec![record]), Err(over));
}

#[test]
fn no_grace_is_no_grace_and_an_older_epoch_has_none() {
    let mut world = rotated(0);
    assert!(matches!(block(&world), Err(RecordFault::GraceOver { .. })));
    world = rotated(PARENT_NUMBER + 100);
    world.set_cryptlet(world.cryptlet, of_cryptlet::KEY_EPOCH, 3u64);
    world.set_cryptlet(world.cryptlet, of_cryptlet::PREVIOUS_EPOCH, 2u64);
    assert_eq!(block(&world), Err(RecordFault::KeyEpoch { expected: 3, found: 1 }));
}

#[test]
fn a_revocation_ends_a_grace_at_once() {
    let mut world = rotated(PARENT_NUMBER + 100);
    assert_eq!(block(&world), Ok(()));
    world.set_instance_field(world.instance, of_instance::STATUS, 2u64);
    assert!(matches!(block(&world), Err(RecordFault::InstanceInactive { .. })));
}

#[test]
fn a_host_cannot_sign_its_way_into_the_new_epoch_with_old_keys() {
    let world = rotated(PARENT_NUMBER + 100);
    let invocation = world.first_invocation(&call(&world));
    let mut answer = world.answer(&invocation);
    answer.result.keyEpoch = 2;
    let answer = world.signed(answer.result, answer.output);
    let record = world.recover(cryptlet_primitives::Record::answered(&invocation, answer));
    assert_eq!(replay(&world, vec![record]), Err(RecordFault::KeyEpoch { expected: 1, found: 2 }));
}

#[test]
fn a_renewed_registration_counts_until_its_own_last_block() {
    let mut world = World::new();
    world.set_instance_field(world.instance, of_instance::STATUS, 4u64);
    world.set_instance_field(world.instance, of_instance::NOT_AFTER_BLOCK, PARENT_NUMBER + 1);
    assert_eq!(block(&world), Ok(()));
    world.parent_number += 1;
    assert!(matches!(block(&world), Err(RecordFault::InstanceExpired { .. })));
    world.parent_number -= 1;
    world.set_instance_field(world.instance, of_instance::STATUS, 6u64);
    assert!(
        matches!(block(&world), Err(RecordFault::InstanceInactive { .. })),
        "a status of the future permits nothing"
    );
}

#[test]
fn a_revoked_provider_measurement_or_endorser_stops_calls_of_what_was_registered_before() {
    let mut world = World::new();
    world.set_rule(rules::ACCEPTED_PROVIDERS, 0b100);
    assert!(matches!(block(&world), Err(RecordFault::ProviderNotAccepted { provider: 1, .. })));
    let mut world = World::new();
    world.set_listing(measurement_listing_slot(1, MEASUREMENT), Listing::Revoked);
    let refused = RecordFault::MeasurementNotAccepted { instance: world.instance, measurement: MEASUREMENT };
    assert_eq!(block(&world), Err(refused));
    let mut world = World::new();
    world.set_listing(endorser_listing_slot(ENDORSER), Listing::Revoked);
    let refused = RecordFault::EndorserNotAccepted { instance: world.instance, endorser: ENDORSER };
    assert_eq!(block(&world), Err(refused));
    // Somebody else's revocation is somebody else's.
    let mut world = World::new();
    world.set_listing(endorser_listing_slot(Address::repeat_byte(0x41)), Listing::Revoked);
    world.set_listing(measurement_listing_slot(2, MEASUREMENT), Listing::Revoked);
    assert_eq!(block(&world), Ok(()));
}

#[test]
fn an_instance_counts_from_the_block_after_its_activation_and_not_before() {
    let mut world = World::new();
    world.set_instance_field(world.instance, of_instance::STATUS, 5u64);
    let pending = RecordFault::InstancePending(world.instance);
    assert_eq!(block(&world), Err(pending.clone()));
    assert_eq!(pending.to_string(), format!("instance {} waits to be activated", world.instance));
    // What a host signs before the activation, in the hope of it, holds no earlier.
    let early = world.record(&world.first_invocation(&call(&world)));
    assert_eq!(replay(&world, vec![early.clone()]), Err(pending));
    world.set_instance_field(world.instance, of_instance::STATUS, 1u64);
    assert_eq!(block(&world), Ok(()));
    assert_eq!(replay(&world, vec![early]), Ok(()));
}

#[test]
fn a_cryptlet_whose_instances_all_wait_is_refused_before_anybody_is_asked() {
    use cryptlet_primitives::RefusalCode;
    let mut world = World::new();
    world.set_instance_field(world.instance, of_instance::STATUS, 5u64);
    world.set_cryptlet(world.cryptlet, of_cryptlet::ACTIVE_INSTANCES, 0u64);
    let (run, records, runs) = world.build_and_replay(&call(&world));
    assert_eq!(refusal(&run.result).map(|(code, _)| code), Some(RefusalCode::NoAcceptedInstance));
    assert_eq!((records.len(), runs), (0, 1), "nobody was asked");
}

#[test]
fn versions_outside_the_policys_window_do_not_count_whenever_they_were_registered() {
    let version = VERSION.0;
    // minimum, maximum, is it accepted?
    let windows = [
        (0, 0, true),
        (version, 0, true),
        (version, version, true),
        (0, version, true),
        (version + 1, 0, false),
        (0, version - 1, false),
        (version + 1, version + 2, false),
    ];
    for (minimum, maximum, is_accepted) in windows {
        let mut world = World::new();
        world.set_versions(ContainerKind::Wasm as u8, minimum, maximum);
        let accepted = AcceptedVersions { minimum: FabricVersion(minimum), maximum: FabricVersion(maximum) };
        let refused = RecordFault::VersionNotAccepted { instance: world.instance, version: VERSION, accepted };
        let expected = if is_accepted { Ok(()) } else { Err(refused) };
        assert_eq!(block(&world), expected, "{minimum} to {maximum}");
    }
    // Another kind of container is another window.
    let mut world = World::new();
    world.set_versions(ContainerKind::Process as u8, version + 1, 0);
    assert_eq!(block(&world), Ok(()));
    world.set_instance_field(world.instance, of_instance::CONTAINER, ContainerKind::Process as u64);
    let why = block(&world).expect_err("it is a process now").to_string();
    assert!(why.contains("runs in version 0.1.2 of the fabric") && why.ends_with("accepts 0.1.3 and later"), "{why}");
}

#[test]
fn where_lists_are_needed_only_what_is_listed_counts() {
    let mut world = World::new();
    world.set_rule(rules::RESTRICTED_PROVIDERS, 0b10);
    world.set_rule(rules::IS_ENDORSER_RESTRICTED, 1);
    assert!(matches!(block(&world), Err(RecordFault::MeasurementNotAccepted { .. })));
    world.set_listing(measurement_listing_slot(1, MEASUREMENT), Listing::Accepted);
    assert!(matches!(block(&world), Err(RecordFault::EndorserNotAccepted { .. })));
    world.set_listing(endorser_listing_slot(ENDORSER), Listing::Accepted);
    assert_eq!(block(&world), Ok(()));
}

#[test]
fn a_tpm_needs_a_listed_endorser_whatever_the_rules_say() {
    let mut world = World::new();
    world.set_rule(rules::ACCEPTED_PROVIDERS, 1 << 6);
    world.set_instance_field(world.instance, of_instance::PROVIDER, 6u64);
    assert!(matches!(block(&world), Err(RecordFault::EndorserNotAccepted { .. })));
    world.set_listing(endorser_listing_slot(ENDORSER), Listing::Accepted);
    assert_eq!(block(&world), Ok(()));
    world.set_instance_field(world.instance, of_instance::ENDORSER, U256::ZERO);
    assert!(matches!(block(&world), Err(RecordFault::EndorserNotAccepted { .. })));
}

/// Every combination of what decides over an instance's life, against the rule written down a second time.
#[test]
fn every_state_of_an_instance_is_judged_as_the_rule_says() {
    let listings = [Listing::None, Listing::Accepted, Listing::Revoked];
    let number = PARENT_NUMBER + 1;
    let (mut accepted, mut refused) = (0, 0);
    for status in 1..=5u64 {
        for (epoch, previous, until) in [(1, 0, 0), (2, 1, number), (2, 1, number - 1), (2, 0, number), (3, 2, number)]
        {
            for not_after in [number - 1, number] {
                for measurement in listings {
                    for endorser in listings {
                        for is_restricted in [false, true] {
                            let mut world = World::new();
                            world.set_instance_field(world.instance, of_instance::STATUS, status);
                            world.set_instance_field(world.instance, of_instance::NOT_AFTER_BLOCK, not_after);
                            world.set_cryptlet(world.cryptlet, of_cryptlet::KEY_EPOCH, epoch);
                            world.set_cryptlet(world.cryptlet, of_cryptlet::PREVIOUS_EPOCH, previous);
                            world.set_cryptlet(world.cryptlet, of_cryptlet::PREVIOUS_EPOCH_UNTIL, until);
                            world.set_rule(rules::RESTRICTED_PROVIDERS, u64::from(is_restricted) << 1);
                            world.set_rule(rules::IS_ENDORSER_RESTRICTED, u64::from(is_restricted));
                            world.set_listing(measurement_listing_slot(1, MEASUREMENT), measurement);
                            world.set_listing(endorser_listing_slot(ENDORSER), endorser);
                            let is_alive = matches!(status, 1 | 4) && not_after >= number;
                            let is_of_epoch = epoch == 1 || (previous == 1 && until >= number);
                            let is_listed = |listing| match listing {
                                Listing::Accepted => true,
                                Listing::None => !is_restricted,
                                Listing::Revoked => false,
                            };
                            let expected = is_alive && is_of_epoch && is_listed(measurement) && is_listed(endorser);
                            let found = block(&world);
                            assert_eq!(
                                found.is_ok(),
                                expected,
                                "status {status} epoch {epoch}/{previous}/{until} {found:?}"
                            );
                            if expected { accepted += 1 } else { refused += 1 }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(accepted + refused, 5 * 5 * 2 * 3 * 3 * 2);
    assert!(accepted > 10, "{accepted} accepted");
}
