//! The signed structures against `tests/vectors/typed-data.json`, which an independent implementation (ethers) computed. Forge
//! reads the same file.

use alloy_primitives::{Address, B256, Bytes, Signature, address};
use alloy_sol_types::{SolStruct, SolValue};
use cryptlet_primitives::{
    CodeDigest, CryptletId, CryptletRequest, CryptletResult, Envelope, FabricDomain, InstanceAuthorization,
    InstanceKeys, InstanceRegistration, InvocationMode, abi, invocation::CallKey, system::CRYPTO_DELEGATE, typed_data,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/typed-data.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the vectors are in the tree")).expect("they are JSON")
}

fn field<T: DeserializeOwned>(value: &Value, name: &str) -> T {
    serde_json::from_value(value[name].clone()).unwrap_or_else(|error| panic!("{name} of {value}: {error}"))
}

/// What ethers says about one structure in one domain.
struct Expected {
    domain: alloy_sol_types::Eip712Domain,
    struct_hash: B256,
    digest: B256,
    signer: Address,
    signature: Bytes,
}

impl Expected {
    fn of(vector: &Value) -> Self {
        let domain: FabricDomain = field(vector, "domain");
        let domain = match vector["domainName"].as_str() {
            Some("CryptletFabric") => domain.live(),
            Some("CryptletFabricDryRun") => domain.dry_run(),
            Some("CryptletRegistry") => domain.registry(),
            other => panic!("no domain is named {other:?}"),
        };
        assert_eq!(domain.hash_struct(), field::<B256>(vector, "domainSeparator"));
        Self {
            domain,
            struct_hash: field(vector, "structHash"),
            digest: field(vector, "digest"),
            signer: field(vector, "signer"),
            signature: field(vector, "signature"),
        }
    }

    fn assert_is(&self, value: &impl SolStruct) {
        assert_eq!(value.eip712_hash_struct(), self.struct_hash);
        let digest = value.eip712_signing_hash(&self.domain);
        assert_eq!(digest, self.digest);
        let signature = Signature::from_raw(&self.signature).expect("65 bytes");
        assert_eq!(signature.recover_address_from_prehash(&digest).expect("recovers"), self.signer);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    provider: u16,
    isolation: u8,
    measurement: B256,
    report_data: B256,
    host: Address,
    issued_at: u64,
    expires: u64,
}

/// As the registry takes it, and from that what is signed.
fn utility(message: &Value) -> typed_data::UtilityRegistration {
    let said = abi::UtilityRegistration {
        name: field(message, "name"),
        codeDigest: field(message, "codeDigest"),
        manifestDigest: field(message, "manifestDigest"),
        headerDigest: field(message, "headerDigest"),
        configDigest: field(message, "configDigest"),
        identityKey: field(message, "identityKey"),
        isolation: field(message, "isolation"),
        minimumInstances: field(message, "minimumInstances"),
        maximumInstances: field(message, "maximumInstances"),
        unitsMax: field(message, "unitsMax"),
        outputBytesMax: field(message, "outputBytesMax"),
        simulationPolicy: field(message, "simulationPolicy"),
        simulationStub: field(message, "simulationStub"),
    };
    said.signed_by(field(message, "publisher"), field(message, "deadlineBlock"))
}

#[test]
fn typed_data_has_the_digests_that_ethers_computes() {
    let vectors = vectors();
    let cases = vectors["typedData"].as_array().expect("a list");
    assert_eq!(cases.len(), 28);
    for vector in cases {
        let expected = Expected::of(vector);
        match vector["primaryType"].as_str() {
            Some("CryptletRequest") => expected.assert_is(&field::<CryptletRequest>(vector, "message")),
            Some("CryptletResult") => expected.assert_is(&field::<CryptletResult>(vector, "message")),
            Some("InstanceKeys") => expected.assert_is(&field::<InstanceKeys>(vector, "message")),
            Some("InstanceRegistration") => expected.assert_is(&field::<InstanceRegistration>(vector, "message")),
            Some("InstanceAuthorization") => {
                let message = &vector["message"];
                expected.assert_is(&InstanceAuthorization {
                    registrationId: field(message, "registrationId"),
                    previous: field(message, "previous"),
                    graceBlocks: field(message, "graceBlocks"),
                    deadlineBlock: field(message, "deadlineBlock"),
                });
            }
            Some("UtilityRegistration") => expected.assert_is(&utility(&vector["message"])),
            Some("SoftwareStatement") => {
                let Statement { provider, isolation, measurement, report_data, host, issued_at, expires } =
                    field(vector, "message");
                expected.assert_is(&abi::SoftwareStatement {
                    provider,
                    isolation,
                    measurement,
                    reportData: report_data,
                    host,
                    issuedAt: issued_at,
                    expires,
                });
            }
            other => panic!("no structure is named {other:?}"),
        }
    }
}

#[test]
fn identifiers_are_the_ones_that_ethers_computes() {
    let vectors = vectors();
    for vector in vectors["utilityIds"].as_array().expect("a list") {
        let id = CryptletId::utility(field(vector, "publisher"), &field::<String>(vector, "name"));
        assert_eq!(id.0, field::<B256>(vector, "id"));
    }
    for vector in vectors["contractIds"].as_array().expect("a list") {
        let id = CryptletId::contract(field(vector, "boundContract"), field(vector, "codeDigest"));
        assert_eq!(id.0, field::<B256>(vector, "id"));
    }
}

#[test]
fn call_keys_are_the_ones_that_ethers_computes() {
    for vector in vectors()["callKeys"].as_array().expect("a list") {
        let key = CallKey {
            domain: field(vector, "domain"),
            transaction_hash: field(vector, "transactionHash"),
            sequence: field(vector, "sequence"),
            caller: field(vector, "caller"),
            is_static: field(vector, "isStatic"),
            cryptlet: CryptletId(field(vector, "cryptletId")),
            code_digest: CodeDigest(field(vector, "codeDigest")),
            input_hash: field(vector, "inputHash"),
        };
        assert_eq!(key.hash(InvocationMode::Live).0, field::<B256>(vector, "live"));
        assert_eq!(key.hash(InvocationMode::DryRun).0, field::<B256>(vector, "dryRun"));
    }
}

#[test]
fn an_envelope_decodes_to_what_ethers_encoded() {
    let vectors = vectors();
    let vector = &vectors["envelope"];
    let encoded: Bytes = field(vector, "encoded");
    let envelope = Envelope::abi_decode(&encoded).expect("decodes");
    assert_eq!(envelope.abi_encode(), encoded.to_vec());
    assert_eq!(envelope.output, field::<Bytes>(vector, "output"));
    assert_eq!(envelope.signature, field::<Bytes>(vector, "signature"));
    assert_eq!(envelope.request, field::<CryptletRequest>(vector, "request"));
    assert_eq!(envelope.result.requestHash, field::<CryptletRequest>(vector, "request").eip712_hash_struct());
    assert_eq!(envelope.result.registrationId, field::<InstanceKeys>(vector, "instanceKeys").registration_id().0);
}

#[test]
fn what_constructors_and_hosts_pass_decodes_to_what_ethers_encoded() {
    let vectors = vectors();
    let vector = &vectors["createConfig"];
    let encoded: Bytes = field(vector, "encoded");
    let config = abi::CreateConfig::abi_decode(&encoded).expect("decodes");
    assert_eq!(config.abi_encode(), encoded.to_vec());
    assert_eq!(config.packageDigest, field::<B256>(vector, "packageDigest"));
    assert_eq!(config.code, field::<Bytes>(vector, "code"));
    assert_eq!(config.minimumInstances, field::<u16>(vector, "minimumInstances"));
    assert_eq!(config.maximumInstances, field::<u16>(vector, "maximumInstances"));
    assert_eq!(config.isolation, field::<u8>(vector, "isolation"));
    assert_eq!(config.unitsMax, field::<u64>(vector, "unitsMax"));
    assert_eq!(config.outputBytesMax, field::<u32>(vector, "outputBytesMax"));
    assert_eq!(config.configJson, field::<String>(vector, "configJson"));

    let vector = &vectors["softwareEvidence"];
    let encoded: Bytes = field(vector, "encoded");
    let evidence = abi::SoftwareEvidence::abi_decode(&encoded).expect("decodes");
    assert_eq!(evidence.abi_encode(), encoded.to_vec());
    assert_eq!(evidence.host, field::<Address>(vector, "host"));
    assert_eq!(evidence.signature, field::<Bytes>(vector, "signature"));
}

#[test]
fn the_vectors_are_of_the_delegate_every_chain_has() {
    assert_eq!(field::<Address>(&vectors(), "delegate"), CRYPTO_DELEGATE);
    assert_eq!(CRYPTO_DELEGATE, address!("000000000000000000000000000000000000cd00"));
}
