//! Where a package comes from, signed by its publisher: an in-toto statement with SLSA provenance, in a DSSE envelope.
//!
//! The statement names the package by the digest of its manifest, so it lies *beside* the package (an OCI referrer) and never
//! changes its digest: the same inputs make the same package, whoever builds it, and any number of publishers may sign it.

use super::{PROVENANCE_BYTES_MAX, Package};
use crate::identity::DigestSigner;
use alloy_primitives::{Address, B256, Bytes, FixedBytes, hex};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use cryptlet_primitives::Signature65;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
const BUILD_TYPE: &str = "urn:cryptlet:package:v1";
const SIGNATURES_MAX: usize = 16;

/// A DSSE envelope, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// A statement whose signatures hold, about one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Who signed it.
    pub publishers: Vec<Address>,
    /// The statement.
    pub statement: Value,
    /// The envelope, as it travels.
    pub envelope: Bytes,
}

/// Signs a package's provenance with the publisher's key (secp256k1, 32 bytes). The same key and package make the same bytes.
pub fn sign(package: &Package, key: &[u8; 32]) -> Result<Provenance, String> {
    let signer = DigestSigner::from_bytes(key).ok_or("the publisher's key is not one of secp256k1")?;
    let statement = statement(package, signer.address());
    let payload = serde_json::to_vec(&statement).expect("a value is JSON");
    let signature = signer.sign(digest(&payload)).map_err(|error| error.to_string())?;
    let envelope = Envelope {
        payload: BASE64.encode(&payload),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: vec![EnvelopeSignature {
            keyid: signer.address().to_checksum(None),
            sig: BASE64.encode(signature.0.as_slice()),
        }],
    };
    let envelope = serde_json::to_vec(&envelope).expect("strings are JSON").into();
    Ok(Provenance { publishers: vec![signer.address()], statement, envelope })
}

/// Checks an envelope: every signature is that of the key it names, and it speaks of this package.
pub fn verify(envelope: &Bytes, package: B256) -> Result<Provenance, String> {
    if envelope.len() as u64 > PROVENANCE_BYTES_MAX {
        return Err(format!("its provenance has {} bytes; at most {PROVENANCE_BYTES_MAX}", envelope.len()));
    }
    let parsed: Envelope =
        serde_json::from_slice(envelope).map_err(|error| format!("its provenance is not a DSSE envelope: {error}"))?;
    if parsed.payload_type != PAYLOAD_TYPE {
        return Err(format!("its provenance carries {:?}; {PAYLOAD_TYPE:?} is expected", parsed.payload_type));
    }
    let payload = BASE64.decode(&parsed.payload).map_err(|error| format!("its provenance is not base64: {error}"))?;
    if parsed.signatures.is_empty() || parsed.signatures.len() > SIGNATURES_MAX {
        return Err(format!("its provenance has {} signatures; 1 to {SIGNATURES_MAX}", parsed.signatures.len()));
    }
    let publishers = parsed.signatures.iter().map(|signature| signer_of(signature, &payload));
    let publishers = publishers.collect::<Result<Vec<_>, _>>()?;
    let statement: Value =
        serde_json::from_slice(&payload).map_err(|error| format!("its provenance is no statement: {error}"))?;
    if statement["_type"] != STATEMENT_TYPE || statement["predicateType"] != PREDICATE_TYPE {
        return Err(format!("its provenance is not an {STATEMENT_TYPE} with {PREDICATE_TYPE}"));
    }
    let hex = hex::encode(package);
    let subjects = statement["subject"].as_array().map_or(&[][..], Vec::as_slice);
    if !subjects.iter().any(|subject| subject["digest"]["sha256"] == hex) {
        return Err(format!("its provenance speaks of another package, not of sha256:{hex}"));
    }
    Ok(Provenance { publishers, statement, envelope: envelope.clone() })
}

fn signer_of(signature: &EnvelopeSignature, payload: &[u8]) -> Result<Address, String> {
    let bytes = BASE64.decode(&signature.sig).ok().and_then(|bytes| <[u8; 65]>::try_from(bytes).ok());
    let bytes = bytes.ok_or("a signature of its provenance is not 65 bytes in base64")?;
    let signer = cryptlet_attestation::recover(digest(payload), &Signature65(FixedBytes(bytes)))
        .map_err(|fault| format!("a signature of its provenance does not hold: {fault}"))?;
    match signature.keyid.parse::<Address>() {
        Ok(named) if named == signer => Ok(signer),
        _ => Err(format!("its provenance names {} and is signed by {signer}", signature.keyid)),
    }
}

/// What is signed: SHA-256 of DSSE's pre-authentication encoding.
fn digest(payload: &[u8]) -> B256 {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    super::sha256(&[head.as_bytes(), payload].concat())
}

fn statement(package: &Package, publisher: Address) -> Value {
    let sha256 = |digest: B256| json!({ "sha256": hex::encode(digest) });
    let mut materials = vec![
        json!({ "name": "code", "digest": sha256(package.code_layer_digest()) }),
        json!({ "name": "config.json", "digest": sha256(package.config_digest()) }),
        json!({ "name": "header.sol", "digest": sha256(package.header_digest()) }),
    ];
    if let Some(source) = package.source_digest() {
        materials.push(json!({ "name": "source", "digest": sha256(source) }));
    }
    json!({
        "_type": STATEMENT_TYPE,
        "subject": [{ "name": package.name(), "digest": sha256(package.digest()) }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "kind": package.config().kind.name(), "deterministic": package.config().is_deterministic },
                "resolvedDependencies": materials,
            },
            "runDetails": { "builder": { "id": format!("urn:cryptlet:publisher:{publisher}"), "version": { "cryptlet": env!("CARGO_PKG_VERSION") } } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        let config = Bytes::from_static(br#"{"name":"tools","publicKey":""}"#);
        Package::new(config, b"code".into(), Bytes::new(), b"[]".into()).unwrap()
    }

    #[test]
    fn what_a_publisher_signed_names_it_and_the_package() {
        let package = package();
        let signed = sign(&package, &[7; 32]).unwrap();
        assert_eq!(signed, sign(&package, &[7; 32]).unwrap(), "the same bytes every time");
        assert_eq!(verify(&signed.envelope, package.digest()), Ok(signed.clone()));
        let other = verify(&signed.envelope, B256::repeat_byte(1)).unwrap_err();
        assert!(other.contains("another package"), "{other}");
    }

    #[test]
    fn no_byte_of_an_envelope_can_be_changed() {
        let package = package();
        let signed = sign(&package, &[7; 32]).unwrap();
        for position in 0..signed.envelope.len() {
            for flip in [1, 0x20] {
                let mut bad = signed.envelope.to_vec();
                bad[position] ^= flip;
                // Base64 and JSON have several spellings of one thing; what counts is what was said and by whom.
                if let Ok(read) = verify(&bad.into(), package.digest()) {
                    assert_eq!(
                        (&read.statement, &read.publishers),
                        (&signed.statement, &signed.publishers),
                        "byte {position}"
                    );
                }
            }
        }
    }
}
