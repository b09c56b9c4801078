//! What the shared words promise: records survive their encoding, block records refuse disorder, and nothing that matters
//! is left out of a call key or of the limits' digest.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_primitives::{
    BlockRecords, CRYPTLET_REQUEST_TYPE, CodeDigest, CryptletId, CryptletRequest, CryptletResult, FabricDomain,
    FabricLimits, InvocationMode, Record, RecordDecodeError, Signature65, TransactionRecords, invocation::CallKey,
};
use proptest::prelude::*;

const NO_BOUND: usize = usize::MAX;

fn record(seed: u8, output: &[u8]) -> Record {
    let word = |salt: u8| keccak256([seed, salt]);
    Record {
        request: CryptletRequest {
            key: word(0),
            cryptletId: word(1),
            caller: Address::repeat_byte(seed),
            codeDigest: word(2),
            inputHash: word(3),
            anchorBlock: u64::from(seed),
            anchorHash: word(4),
            policyVersion: 1,
        },
        result: CryptletResult {
            requestHash: word(5),
            registrationId: word(6),
            keyEpoch: 1,
            status: 0,
            outputHash: keccak256(output),
            units: 7,
            observedAt: 1_700_000_000,
            notBefore: 1,
            expires: 200,
        },
        output: Bytes::copy_from_slice(output),
        signature: Signature65([seed; 65].into()),
    }
}

fn groups(indices: &[u64]) -> BlockRecords {
    let group = |&transaction_index: &u64| TransactionRecords { transaction_index, records: vec![record(1, b"x")] };
    BlockRecords(indices.iter().map(group).collect())
}

fn decode(records: &BlockRecords) -> Result<BlockRecords, RecordDecodeError> {
    let request = records.to_request();
    assert_eq!(request[0], CRYPTLET_REQUEST_TYPE);
    BlockRecords::from_request_data(&request[1..], NO_BOUND)
}

proptest! {
    #[test]
    fn block_records_survive_their_encoding(
        outputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        gap in 1u64..50,
    ) {
        let records = BlockRecords(outputs.iter().enumerate().map(|(index, output)| TransactionRecords {
            transaction_index: index as u64 * gap,
            records: vec![record(index as u8, output); index + 1],
        }).collect());
        prop_assert_eq!(decode(&records), Ok(records));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = BlockRecords::from_request_data(&bytes, NO_BOUND);
    }
}

#[test]
fn transactions_must_rise() {
    assert!(decode(&groups(&[0, 1, 5])).is_ok());
    assert_eq!(decode(&groups(&[1, 1])), Err(RecordDecodeError::Order { first: 1, second: 1 }));
    assert_eq!(decode(&groups(&[2, 1])), Err(RecordDecodeError::Order { first: 2, second: 1 }));
}

#[test]
fn a_transaction_without_records_stray_bytes_and_excess_length_are_refused() {
    let empty = BlockRecords(vec![TransactionRecords { transaction_index: 3, records: vec![] }]);
    assert_eq!(decode(&empty), Err(RecordDecodeError::Empty(3)));

    let mut bytes = groups(&[0]).to_request()[1..].to_vec();
    let length = bytes.len();
    assert_eq!(
        BlockRecords::from_request_data(&bytes, length - 1),
        Err(RecordDecodeError::TooLong { bytes: length, bytes_max: length - 1 })
    );
    bytes.push(0);
    assert_eq!(BlockRecords::from_request_data(&bytes, NO_BOUND), Err(RecordDecodeError::TrailingBytes(1)));
}

#[test]
fn every_part_of_a_call_is_in_its_key() {
    let domain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(9) };
    let call = CallKey {
        domain,
        transaction_hash: B256::repeat_byte(1),
        sequence: 0,
        caller: Address::repeat_byte(2),
        is_static: false,
        cryptlet: CryptletId(B256::repeat_byte(3)),
        code_digest: CodeDigest(B256::repeat_byte(4)),
        input_hash: B256::repeat_byte(5),
    };
    let changed = [
        CallKey { domain: FabricDomain { chain_id: 1, ..domain }, ..call },
        CallKey { domain: FabricDomain { genesis_hash: B256::ZERO, ..domain }, ..call },
        CallKey { transaction_hash: B256::ZERO, ..call },
        CallKey { sequence: 1, ..call },
        CallKey { caller: Address::ZERO, ..call },
        CallKey { is_static: true, ..call },
        CallKey { cryptlet: CryptletId(B256::ZERO), ..call },
        CallKey { code_digest: CodeDigest(B256::ZERO), ..call },
        CallKey { input_hash: B256::ZERO, ..call },
    ];
    let mut keys: Vec<_> = changed.iter().map(|call| call.hash(InvocationMode::Live)).collect();
    keys.push(call.hash(InvocationMode::Live));
    keys.push(call.hash(InvocationMode::DryRun));
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

#[test]
fn every_limit_is_in_the_digest() {
    let limits = FabricLimits::default();
    let json = serde_json::to_value(limits).unwrap();
    for field in json.as_object().unwrap().keys() {
        let mut changed = json.clone();
        changed[field] = (json[field].as_u64().unwrap() + 1).into();
        let changed: FabricLimits = serde_json::from_value(changed).unwrap();
        assert_ne!(changed.digest(), limits.digest(), "{field} can change unseen");
    }
}

#[test]
fn limits_that_no_chain_can_run_with_are_refused() {
    assert!(FabricLimits::default().validate().is_ok());
    for blocks in [0, 256, u32::MAX] {
        assert!(FabricLimits { unavailable_after_blocks: blocks, ..Default::default() }.validate().is_err());
    }
    assert!(FabricLimits { calls_per_transaction_max: 0, ..Default::default() }.validate().is_err());
}

#[test]
fn a_version_is_a_number_that_rises_and_reads_as_it_was_written() {
    use cryptlet_primitives::FabricVersion;
    let written = ["0.0.0", "0.0.1", "0.1.0", "0.1.2", "0.999.999", "1.0.0", "12.34.56", "999.999.999"];
    let versions: Vec<_> = written.iter().map(|text| FabricVersion::parse(text).expect("a version")).collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    for (text, version) in written.iter().zip(&versions) {
        assert_eq!(version.to_string(), *text);
    }
    assert_eq!(FabricVersion::parse("0.1.2"), Some(FabricVersion(1_002)));
    assert_eq!(FabricVersion::CURRENT.to_string(), env!("CARGO_PKG_VERSION"));
    for bad in ["", "1", "1.2", "1.2.3.4", "1..2", "1.2.", ".1.2", "1.2.x", "1.2.1000", "1.2.3-rc1", "v1.2.3"] {
        assert_eq!(FabricVersion::parse(bad), None, "{bad}");
    }
}
