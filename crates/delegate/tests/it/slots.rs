//! The slots that the delegate reads are those that the compiler laid out.

use serde_json::Value;
use std::{fmt::Write as _, path::PathBuf};

/// Module, artefact, and the structure in it; none: the contract's own variables.
const MODULES: [(&str, &str, Option<&str>); 5] = [
    ("registry", "CryptletRegistry", None),
    ("cryptlet", "CryptletRegistry", Some("Cryptlet")),
    ("instance", "CryptletRegistry", Some("Instance")),
    ("policy", "CryptletPolicy", None),
    ("rules", "CryptletPolicy", Some("CryptletPolicy.Rules")),
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
         #![allow(missing_docs)] // each is documented in Solidity\n",
    );
    for (module, contract, structure) in MODULES {
        let layout = std::fs::read(artifacts.join(format!("{contract}.storage.json"))).unwrap();
        let layout: Value = serde_json::from_slice(&layout).unwrap();
        let fields = match structure {
            Some(name) => &layout["structs"][name]["members"],
            None => &layout["variables"],
        };
        write!(text, "\npub mod {module} {{\n    use crate::registry_layout::Packed;\n\n").unwrap();
        for field in fields.as_array().unwrap() {
            let name = shout(field["name"].as_str().unwrap());
            let (slot, offset, bytes) = (&field["slot"], &field["offset"], &field["bytes"]);
            let value = format!("Packed {{ slot: {slot}, offset: {offset}, bytes: {bytes} }}");
            writeln!(text, "    pub const {name}: Packed = {value};").unwrap();
        }
        text.push_str("}\n");
    }
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
