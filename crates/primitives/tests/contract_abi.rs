//! `abi.rs` against the committed artifacts of the contracts: same selectors, same topics, same structures.

use alloy_primitives::{hex, keccak256};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolStruct};
use cryptlet_primitives::{
    CryptletRequest, CryptletResult, Envelope,
    abi::{
        Authorization, Claims, CreatedInstance, ICryptletPolicy, ICryptletRegistry, ICryptoDelegate,
        UtilityRegistration,
    },
};
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

/// Every event and function of an interface as it is written here.
macro_rules! signatures {
    ($interface:ident: $($event:ident),+; $($call:ident),*) => {
        (
            vec![$($interface::$event::SIGNATURE),+],
            vec![$(($interface::$call::SIGNATURE, $interface::$call::SELECTOR)),*],
        )
    };
}

/// Solidity's signature with the structures in it spelt out.
fn selector_signature(item: &Value) -> String {
    fn spelt(parameter: &Value) -> String {
        match parameter["type"].as_str().expect("a type") {
            "tuple" => {
                let fields = parameter["components"].as_array().expect("a structure").iter().map(spelt);
                format!("({})", fields.collect::<Vec<_>>().join(","))
            }
            kind => kind.to_owned(),
        }
    }
    let types = item["inputs"].as_array().expect("a list").iter().map(spelt);
    format!("{}({})", item["name"].as_str().expect("a name"), types.collect::<Vec<_>>().join(","))
}

#[test]
fn the_registrys_and_the_policys_events_and_functions_are_those_of_the_artifacts() {
    let registry = signatures!(
        ICryptletRegistry: CryptletRegistered, CryptletAuthorized, CryptletRevoked, KeyEpochAdvanced, GracePeriodBegan,
        InstanceEvidence, InstanceAuthorized, InstanceActivated, InstanceRenewed, InstanceRevoked, InstanceRetired;
        registerUtilityCall, registerInstanceCall, rotateKeysCall, renewInstanceCall, activateInstanceCall
    );
    let policy: (Vec<&str>, Vec<(&str, [u8; 4])>) = signatures!(
        ICryptletPolicy: ProviderAcceptanceChanged, ProviderRevoked, TcbToleranceChanged, MeasurementAcceptanceChanged,
        MeasurementRevoked, EndorserAcceptanceChanged, EndorserRevoked, AcceptedVersionsChanged, ActivationChanged;
    );
    for (name, (events, calls)) in [("ICryptletRegistry", registry), ("ICryptletPolicy", policy)] {
        let artifact = artifact(name);
        let items = artifact["abi"].as_array().expect("a list");
        for event in events {
            let known = items.iter().any(|item| item["type"] == "event" && selector_signature(item) == event);
            assert!(known, "{name} has no event {event}");
        }
        for (signature, selector) in calls {
            let known = artifact["methodIdentifiers"][signature].as_str();
            assert_eq!(known, Some(hex::encode(selector).as_str()), "{signature}");
        }
    }
}

#[test]
fn structures_have_the_fields_of_the_artifacts() {
    let created = item(&artifact("ICryptletRegistry"), "function", "registerInstance")["inputs"][0].clone();
    assert_eq!(written(&created), CreatedInstance::eip712_root_type());
    let authorization = item(&artifact("ICryptletRegistry"), "function", "registerInstance")["inputs"][1].clone();
    assert_eq!(written(&authorization), Authorization::eip712_root_type());
    let utility = item(&artifact("ICryptletRegistry"), "function", "registerUtility")["inputs"][0].clone();
    assert_eq!(written(&utility), UtilityRegistration::eip712_root_type());
    let claims = item(&artifact("ICryptletPolicy"), "function", "requireAccepted")["inputs"][0].clone();
    assert_eq!(written(&claims), Claims::eip712_root_type());

    let envelope = item(&artifact("IAttestationVerifier"), "function", "verify")["inputs"][0].clone();
    assert_eq!(written(&envelope), Envelope::eip712_root_type());
    assert_eq!(written(&envelope["components"][0]), CryptletRequest::eip712_root_type());
    assert_eq!(written(&envelope["components"][1]), CryptletResult::eip712_root_type());
}
