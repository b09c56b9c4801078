//! The slots that the delegate reads are those that the compiler laid out.

use alloy_primitives::{Address, B256, U256, keccak256};
use cryptlet_delegate::{
    ParentState, ParentStateError,
    registry_layout::{mapping_slot, read_simulation_stub, slots},
};
use cryptlet_primitives::CryptletId;
use serde_json::Value;
use std::{fmt::Write as _, path::PathBuf};

/// Module, artefact, and the structure in it; none: the contract's own variables.
const MODULES: [(&str, &str, Option<&str>); 7] = [
    ("registry", "CryptletRegistry", None),
    ("cryptlet", "CryptletRegistry", Some("Cryptlet")),
    ("instance", "CryptletRegistry", Some("Instance")),
    ("policy", "CryptletPolicy", None),
    ("rules", "CryptletPolicy", Some("CryptletPolicy.Rules")),
    ("versions", "CryptletPolicy", Some("CryptletPolicy.Versions")),
    ("administrators", "Administrators", None),
];

#[test]
fn slots_are_those_of_the_compiled_contracts() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/registry_layout/slots.rs");
    let generated = generate(&root.join("../../contracts/artifacts"));
    if std::env::var_os("UPDATE_SLOTS").is_some() {
        std::fs::write(&committed, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&committed).unwrap();
    assert_eq!(committed, generated, "run `UPDATE_SLOTS=1 cargo test --release -p cryptlet-delegate --test it slots`");
}

fn generate(artifacts: &std::path::Path) -> String {
    let mut text = String::from(
        "//! Generated from `contracts/artifacts/*.storage.json`. Do not edit: run\n\
         //! `UPDATE_SLOTS=1 cargo test --release -p cryptlet-delegate --test it slots`.\n\
         #![allow(missing_docs)] // each is documented in Solidity\n\
         \nslots! {",
    );
    for (module, contract, structure) in MODULES {
        let layout = std::fs::read(artifacts.join(format!("{contract}.storage.json"))).unwrap();
        let layout: Value = serde_json::from_slice(&layout).unwrap();
        let fields = match structure {
            Some(name) => &layout["structs"][name]["members"],
            None => &layout["variables"],
        };
        writeln!(text, "\n    {module} {{").unwrap();
        for field in fields.as_array().unwrap() {
            let name = shout(field["name"].as_str().unwrap());
            let (slot, offset, bytes) = (&field["slot"], &field["offset"], &field["bytes"]);
            writeln!(text, "        {name}: {slot}, {offset}, {bytes};").unwrap();
        }
        text.push_str("    }\n");
    }
    text.push_str("}\n");
    text
}

/// `camelCase` → `SHOUT_CASE`.
fn shout(name: &str) -> String {
    name.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
        out
    })
}

/// Words by slot, and nothing else.
#[derive(Debug, Default)]
struct Words(std::collections::BTreeMap<U256, U256>);

impl ParentState for Words {
    fn storage(&self, _: Address, slot: U256) -> Result<U256, ParentStateError> {
        Ok(self.0.get(&slot).copied().unwrap_or_default())
    }

    fn ancestor_hash(&self, _: u64) -> Result<Option<B256>, ParentStateError> {
        Ok(None)
    }
}

/// As solc stores `bytes`: short ones in the slot, long ones behind its hash.
fn with_stub(id: CryptletId, stub: &[u8]) -> Words {
    let slot = mapping_slot(slots::registry::CRYPTLETS.slot, id.0) + U256::from(slots::cryptlet::SIMULATION_STUB.slot);
    let mut words = Words::default();
    if stub.len() < 32 {
        let mut word = [0u8; 32];
        word[..stub.len()].copy_from_slice(stub);
        word[31] = 2 * stub.len() as u8;
        words.0.insert(slot, U256::from_be_bytes(word));
        return words;
    }
    words.0.insert(slot, U256::from(2 * stub.len() + 1));
    let first = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
    for (index, chunk) in stub.chunks(32).enumerate() {
        let mut word = [0u8; 32];
        word[..chunk.len()].copy_from_slice(chunk);
        words.0.insert(first + U256::from(index), U256::from_be_bytes(word));
    }
    words
}

#[test]
fn a_simulation_stub_of_any_length_is_read_as_solidity_wrote_it() {
    let id = CryptletId(B256::repeat_byte(7));
    for length in [0, 1, 31, 32, 33, 64, 100] {
        let stub: Vec<u8> = (1..=length).collect();
        assert_eq!(read_simulation_stub(&with_stub(id, &stub), id, 1_000).unwrap(), stub, "{length} bytes");
        let bounded = read_simulation_stub(&with_stub(id, &stub), id, 20).unwrap();
        assert_eq!(bounded, stub[..stub.len().min(20)], "{length} bytes, 20 wanted");
    }
}

#[test]
fn a_length_that_lies_costs_no_more_than_the_bound() {
    let id = CryptletId(B256::repeat_byte(7));
    let slot = mapping_slot(slots::registry::CRYPTLETS.slot, id.0) + U256::from(slots::cryptlet::SIMULATION_STUB.slot);
    let words = Words([(slot, U256::MAX)].into());
    assert_eq!(read_simulation_stub(&words, id, 64).unwrap().len(), 64);
}
