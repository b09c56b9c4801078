//! `abi.rs` against the committed artifacts of the contracts: same selectors, same topics, same structures.

use alloy_primitives::{hex, keccak256};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolStruct};
use cryptlet_primitives::abi::{Claims, CreatedInstance, Envelope, EnvelopeRequest, EnvelopeResult, ICryptoDelegate};
use serde_json::Value;

fn artifact(name: &str) -> Value {
    let path = format!("{}/../../contracts/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect("the artifacts are in the tree"))
        .expect("they are JSON")
}

/// The item of this kind and name in a contract's ABI.
fn item(artifact: &Value, kind: &str, name: &str) -> Value {
    let items = artifact["abi"].as_array().expect("a list");
    let found = items.iter().find(|item| item["type"] == kind && item["name"] == name);
    found.unwrap_or_else(|| panic!("the ABI has no {kind} {name}")).clone()
}

/// `Name(type name,…)` of a tuple in an ABI, as EIP-712 writes a type, without the types it refers to.
fn written(parameter: &Value) -> String {
    let internal = parameter["internalType"].as_str().expect("solc writes it").trim_start_matches("struct ");
    let fields = parameter["components"].as_array().expect("a structure").iter().map(|field| {
        let kind = match field["type"].as_str().expect("a type") {
            "tuple" => field["internalType"].as_str().expect("solc writes it").trim_start_matches("struct "),
            kind => kind,
        };
        format!("{kind} {}", field["name"].as_str().expect("a name"))
    });
    format!("{internal}({})", fields.collect::<Vec<_>>().join(","))
}

fn signature(item: &Value) -> String {
    let inputs = item["inputs"].as_array().expect("a list").iter();
    let types = inputs.map(|input| input["type"].as_str().expect("a type"));
    format!("{}({})", item["name"].as_str().expect("a name"), types.collect::<Vec<_>>().join(","))
}

#[test]
fn the_delegates_functions_have_the_selectors_of_the_artifact() {
    let artifact = artifact("ICryptoDelegate");
    let selectors = [
        (ICryptoDelegate::invokeCall::SIGNATURE, ICryptoDelegate::invokeCall::SELECTOR),
        (ICryptoDelegate::createCall::SIGNATURE, ICryptoDelegate::createCall::SELECTOR),
        (ICryptoDelegate::verifyCall::SIGNATURE, ICryptoDelegate::verifyCall::SELECTOR),
        (ICryptoDelegate::appraiseCall::SIGNATURE, ICryptoDelegate::appraiseCall::SELECTOR),
    ];
    let identifiers = artifact["methodIdentifiers"].as_object().expect("a map");
    assert_eq!(identifiers.len(), selectors.len());
    for (signature, selector) in selectors {
        assert_eq!(identifiers[signature].as_str(), Some(hex::encode(selector).as_str()), "{signature}");
    }
}

#[test]
fn the_delegates_event_and_error_are_those_of_the_artifact() {
    let artifact = artifact("ICryptoDelegate");
    let event = item(&artifact, "event", "CryptletInvoked");
    assert_eq!(signature(&event), ICryptoDelegate::CryptletInvoked::SIGNATURE);
    assert_eq!(keccak256(signature(&event)), ICryptoDelegate::CryptletInvoked::SIGNATURE_HASH);
    let indexed = event["inputs"].as_array().expect("a list").iter().map(|input| input["indexed"] == true);
    assert_eq!(indexed.collect::<Vec<_>>(), [true, true, true, false, false]);

    let error = item(&artifact, "error", "CryptletError");
    assert_eq!(signature(&error), ICryptoDelegate::CryptletError::SIGNATURE);
}

#[test]
fn structures_have_the_fields_of_the_artifacts() {
    let created = item(&artifact("ICryptletRegistry"), "function", "registerInstance")["inputs"][0].clone();
    assert_eq!(written(&created), CreatedInstance::eip712_root_type());
    let claims = item(&artifact("ICryptletPolicy"), "function", "requireAccepted")["inputs"][0].clone();
    assert_eq!(written(&claims), Claims::eip712_root_type());

    let envelope = item(&artifact("IAttestationVerifier"), "function", "verify")["inputs"][0].clone();
    assert_eq!(written(&envelope), Envelope::eip712_root_type());
    assert_eq!(written(&envelope["components"][0]), EnvelopeRequest::eip712_root_type());
    assert_eq!(written(&envelope["components"][1]), EnvelopeResult::eip712_root_type());
}
