//! `verify` and `appraise`: pure checks that a contract can ask for.

use super::world::*;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall, SolValue};
use cryptlet_attestation::{
    evidence::{encode_collateral, software::statement},
    signature::software_statement_digest,
};
use cryptlet_delegate::registry_layout::slots;
use cryptlet_primitives::{
    Envelope, Record, RefusalCode,
    abi::{Claims, ICryptoDelegate, QuoteEvidence, SoftwareEvidence},
    system::CRYPTO_DELEGATE,
};

fn envelope(record: &Record) -> Envelope {
    Envelope {
        request: record.request,
        result: record.result,
        output: record.output.clone(),
        signature: Bytes::copy_from_slice(record.signature.0.as_slice()),
    }
}

fn verify(world: &World, envelope: &Envelope) -> bool {
    let data = ICryptoDelegate::verifyCall { envelope: envelope.abi_encode().into() }.abi_encode();
    let (run, records, _) = world.build_and_replay(&tx(CRYPTO_DELEGATE, data, GAS));
    assert!(records.is_empty());
    bool::abi_decode(run.result.output().unwrap()).unwrap()
}

#[test]
fn an_envelope_is_valid_while_its_instance_stands() {
    let mut world = World::new();
    let (_, records, _) = world.build_and_replay(&tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS));
    let good = envelope(records[0].record());
    assert!(verify(&world, &good));

    let changes: [fn(&mut Envelope); 5] = [
        |envelope| envelope.output = Bytes::new(),
        |envelope| envelope.result.units += 1,
        |envelope| envelope.request.inputHash = B256::ZERO,
        |envelope| envelope.signature = Bytes::new(),
        |envelope| envelope.result.status = 2,
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!verify(&world, &bad));
    }

    // It outlives its anchor and the policy's version, but not its window, and not its instance.
    world.set_rule(slots::rules::VERSION, 9);
    world.parent_number = PARENT_NUMBER + 99;
    assert!(verify(&world, &good));
    world.parent_number += 1;
    assert!(!verify(&world, &good));
    world.parent_number = PARENT_NUMBER;
    world.set_instance_field(world.instance, slots::instance::STATUS, 2u64);
    assert!(!verify(&world, &good));
}

#[test]
fn what_is_no_envelope_is_malformed() {
    let world = World::new();
    let data = ICryptoDelegate::verifyCall { envelope: Bytes::from_static(b"no envelope") }.abi_encode();
    let (run, ..) = world.build_and_replay(&tx(CRYPTO_DELEGATE, data, GAS));
    assert_eq!(refusal(&run.result), Some((RefusalCode::MalformedCall, Bytes::new())));
}

fn evidence(world: &World, expires: u64) -> Vec<u8> {
    let host = key(42);
    let mut evidence = SoftwareEvidence {
        provider: 1,
        isolation: 1,
        measurement: B256::repeat_byte(3),
        reportData: B256::repeat_byte(4),
        host: address_of(&host),
        issuedAt: TIMESTAMP - 10,
        expires,
        signature: Bytes::new(),
    };
    let digest = software_statement_digest(&statement(&evidence), &world.domain);
    evidence.signature = Bytes::copy_from_slice(sign(&host, digest).0.as_slice());
    evidence.abi_encode()
}

fn appraise(world: &World, evidence: Vec<u8>) -> revm::context_interface::result::ExecutionResult {
    let call = ICryptoDelegate::appraiseCall { evidence: evidence.into(), collateral: Bytes::new() };
    world.build_and_replay(&tx(CRYPTO_DELEGATE, call.abi_encode(), GAS)).0.result
}

#[test]
fn evidence_becomes_claims_at_the_blocks_time() {
    let world = World::new();
    let result = appraise(&world, evidence(&world, TIMESTAMP));
    let claims = Bytes::abi_decode(result.output().unwrap()).unwrap();
    let claims = Claims::abi_decode(&claims).unwrap();
    assert_eq!((claims.provider, claims.isolation, claims.expires), (1, 1, TIMESTAMP));
    assert_eq!((claims.reportData, claims.endorser), (B256::repeat_byte(4), address_of(&key(42))));
}

#[test]
fn evidence_that_does_not_hold_is_refused_with_the_reason() {
    let world = World::new();
    let (code, data) = refusal(&appraise(&world, evidence(&world, TIMESTAMP - 1))).unwrap();
    assert_eq!(code, RefusalCode::EvidenceRejected);
    let why = String::abi_decode(&data).unwrap();
    assert!(why.starts_with("evidence expired"), "{why}");
}

/// A recorded quote with its collateral, as the call of `appraise` that a registration makes.
fn appraise_recorded(provider: u16, name: &str) -> Vec<u8> {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/quotes");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let collateral = encode_collateral(serde_json::from_slice(&read(&format!("{name}_collateral.json"))).unwrap());
    let evidence = QuoteEvidence { provider, quote: read(name).into() }.abi_encode();
    ICryptoDelegate::appraiseCall { evidence: evidence.into(), collateral: collateral.into() }.abi_encode()
}

#[test]
fn a_hardware_quote_is_appraised_at_the_blocks_time_under_the_parents_policy() {
    let mut world = World::new();
    world.timestamp = 1_751_328_000;
    let data = appraise_recorded(2, "sgx_quote");
    let run = |world: &World| world.build_and_replay(&tx(CRYPTO_DELEGATE, data.clone(), GAS)).0.result;
    let (code, why) = refusal(&run(&world)).unwrap();
    assert_eq!(code, RefusalCode::EvidenceRejected);
    let why = String::abi_decode(&why).unwrap();
    assert!(why.contains("ConfigurationAndSWHardeningNeeded") && why.contains("INTEL-SA-00615"), "{why}");

    world.set_rule(slots::rules::TOLERATED_TCB, 1 << 3);
    let result = run(&world);
    let claims = Claims::abi_decode(&Bytes::abi_decode(result.output().unwrap()).unwrap()).unwrap();
    assert_eq!((claims.provider, claims.isolation), (2, 3));
    assert!(result.tx_gas_used() > world.limits.gas_appraise_quote, "{}", result.tx_gas_used());

    world.timestamp += 60 * 86_400;
    let (_, why) = refusal(&run(&world)).unwrap();
    let why = String::abi_decode(&why).unwrap();
    assert!(why.contains("TCB info held until 2025-07-19"), "{why}");
}

#[test]
fn a_quote_is_not_looked_at_for_less_than_it_costs() {
    let mut world = World::new();
    world.timestamp = 1_751_328_000;
    let data = appraise_recorded(3, "tdx_quote_td15ex");
    let run = |gas| world.build_and_replay(&tx(CRYPTO_DELEGATE, data.clone(), gas)).0.result;
    let needed = run(GAS).tx_gas_used();
    assert!(matches!(run(needed), revm::context_interface::result::ExecutionResult::Revert { .. }));
    assert!(matches!(run(needed - 1), revm::context_interface::result::ExecutionResult::Halt { .. }));
}
