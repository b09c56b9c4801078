use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use cryptlet_attestation::{
    AcceptedVersions, BlockFacts, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    RecordFault, RecoveredRecord, SimulationPolicy, signature::result_digest, verify_record,
};
use cryptlet_primitives::{
    CodeDigest, CryptletId, CryptletRequest, CryptletResult, FabricDomain, FabricLimits, FabricVersion, Record,
    RegistrationId, Signature65,
};
use k256::ecdsa::SigningKey;

pub const BLOCK: u64 = 100;
pub const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x6e) };

pub fn key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

pub fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

pub fn sign(key: &SigningKey, digest: B256) -> Signature65 {
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    Signature::from((signature, parity)).into()
}

pub fn cryptlet() -> CryptletEntry {
    CryptletEntry {
        id: CryptletId(B256::repeat_byte(1)),
        status: CryptletStatus::Active,
        code_digest: CodeDigest(B256::repeat_byte(2)),
        bound_contract: None,
        units_max: 1_000,
        output_bytes_max: 100,
        key_epoch: 5,
        previous_epoch: 0,
        previous_epoch_until: 0,
        isolation: 1,
        active_instances: 1,
        simulation: SimulationPolicy::Live,
    }
}

pub fn instance() -> InstanceEntry {
    InstanceEntry {
        id: RegistrationId(B256::repeat_byte(3)),
        status: InstanceStatus::Active,
        cryptlet: cryptlet().id,
        code_digest: cryptlet().code_digest,
        signer: address_of(&key()),
        key_epoch: 5,
        not_after_block: 1_000,
        provider: 1,
        isolation: 1,
        measurement: B256::repeat_byte(0x3e),
        endorser: Some(Address::repeat_byte(0x40)),
        measurement_listing: Listing::None,
        endorser_listing: Listing::None,
        container: 1,
        version: FabricVersion(1_002),
        accepted_versions: AcceptedVersions::default(),
    }
}

pub fn policy() -> PolicyEntry {
    PolicyEntry { version: 9, accepted_providers: 0b10, minimum_isolation: 0, ..PolicyEntry::default() }
}

pub fn anchor_hash() -> B256 {
    keccak256("anchor")
}

pub fn record(output: Bytes) -> Record {
    let request = CryptletRequest {
        key: keccak256("key"),
        cryptletId: cryptlet().id.0,
        caller: Address::repeat_byte(4),
        codeDigest: cryptlet().code_digest.0,
        inputHash: keccak256("input"),
        anchorBlock: BLOCK - 1,
        anchorHash: anchor_hash(),
        policyVersion: 9,
    };
    let result = CryptletResult {
        requestHash: alloy_sol_types::SolStruct::eip712_hash_struct(&request),
        registrationId: instance().id.0,
        keyEpoch: 5,
        status: 0,
        outputHash: keccak256(&output),
        units: 10,
        observedAt: 1_700_000_000,
        notBefore: BLOCK - 1,
        expires: BLOCK + 50,
    };
    Record { request, result, output, signature: sign(&key(), result_digest(&result, &DOMAIN)) }
}

pub fn verify(record: Record) -> Result<(), RecordFault> {
    let record = RecoveredRecord::recover(record, &DOMAIN);
    let block = BlockFacts { number: BLOCK, canonical_anchor: Some(anchor_hash()) };
    verify_record(&record, &cryptlet(), Some(&instance()), &policy(), &block, &FabricLimits::default())
}
