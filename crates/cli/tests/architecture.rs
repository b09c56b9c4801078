//! The tree's promise about itself: floors, and two columns that never name each other (ARCHITECTURE.md).

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

/// Floor of each crate; a crate may name lower floors only.
const FLOORS: [(&str, u8); 10] = [
    ("cryptlet-primitives", 0),
    ("cryptlet-attestation", 1),
    ("cryptlet-sdk", 1),
    ("cryptlet-delegate", 2),
    ("cryptlet-container", 2),
    ("cryptlet-node", 3),
    ("cryptlet-host", 3),
    ("cryptlet-audit", 4),
    ("cryptlet-cli", 5),
    ("cryptlet-benches", 6),
];

const CHAIN: [&str; 3] = ["cryptlet-delegate", "cryptlet-node", "cryptlet-audit"];
const FABRIC: [&str; 2] = ["cryptlet-container", "cryptlet-host"];

/// What must not be reachable from a crate, by any normal dependency.
const UNREACHABLE: [(&str, &[&str]); 6] = [
    ("cryptlet-primitives", &["tokio", "revm", "wasmtime", "tonic", "rocksdb"]),
    ("cryptlet-attestation", &["tokio", "revm", "wasmtime", "tonic", "rocksdb"]),
    ("cryptlet-delegate", &["tokio", "wasmtime", "tonic", "rocksdb"]),
    // Containers run contracts too, on an EVM that knows no chain.
    ("cryptlet-container", &["tokio", "alloy-evm", "rocksdb"]),
    ("cryptlet-host", &["alloy-evm", "rocksdb"]),
    ("cryptlet-audit", &["wasmtime", "tonic", "cryptlet-container", "cryptlet-host"]),
];

/// What cargo says of the workspace and everything it depends on. Read as JSON: a library for it would switch on features
/// of crates that the product uses too, and everything heavy would be compiled once more for the tests.
struct Metadata(Value);

fn metadata() -> Metadata {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Metadata(serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("cargo metadata has no {key}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("cargo metadata has no list {key}"))
}

impl Metadata {
    fn packages(&self) -> &[Value] {
        list(&self.0, "packages")
    }

    /// The workspace's own packages, by name.
    fn workspace(&self) -> BTreeMap<&str, &Value> {
        let members = list(&self.0, "workspace_members");
        let own = self.packages().iter().filter(|package| members.contains(&package["id"]));
        own.map(|package| (text(package, "name"), package)).collect()
    }

    /// Names of every package that `start` reaches by normal dependencies.
    fn reachable(&self, start: &str) -> BTreeSet<&str> {
        let names: BTreeMap<_, _> =
            self.packages().iter().map(|package| (text(package, "id"), text(package, "name"))).collect();
        let nodes: BTreeMap<_, _> =
            list(&self.0["resolve"], "nodes").iter().map(|node| (text(node, "id"), node)).collect();
        let mut waiting = vec![text(self.workspace()[start], "id")];
        let mut seen = BTreeSet::new();
        while let Some(id) = waiting.pop() {
            for dependency in list(nodes[id], "deps") {
                let is_normal = list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
                let package = text(dependency, "pkg");
                if is_normal && seen.insert(names[package]) {
                    waiting.push(package);
                }
            }
        }
        seen
    }
}

#[test]
fn every_crate_has_a_floor_and_names_only_lower_ones() {
    let metadata = metadata();
    let floors = BTreeMap::from(FLOORS);
    for (name, package) in metadata.workspace() {
        let floor =
            floors.get(name).unwrap_or_else(|| panic!("{name} has no floor: add it to FLOORS and ARCHITECTURE.md"));
        for dependency in list(package, "dependencies").iter().filter(|dependency| dependency["kind"].is_null()) {
            let below = text(dependency, "name");
            if let Some(below_floor) = floors.get(below) {
                assert!(below_floor < floor, "{name} (floor {floor}) names {below} (floor {below_floor})");
            }
        }
    }
}

#[test]
fn chain_and_fabric_columns_never_name_each_other() {
    let metadata = metadata();
    for (column, other) in [(&CHAIN[..], &FABRIC[..]), (&FABRIC[..], &CHAIN[..])] {
        for name in column {
            let reached = metadata.reachable(name);
            let crossed: Vec<_> = other.iter().filter(|crate_name| reached.contains(**crate_name)).collect();
            assert!(crossed.is_empty(), "{name} reaches {crossed:?} of the other column");
        }
    }
}

#[test]
fn pure_crates_reach_no_runtime_engine_or_database() {
    let metadata = metadata();
    for (name, forbidden) in UNREACHABLE {
        let reached = metadata.reachable(name);
        let found: Vec<_> = forbidden.iter().filter(|crate_name| reached.contains(**crate_name)).collect();
        assert!(found.is_empty(), "{name} reaches {found:?}");
    }
}

#[test]
fn there_is_one_evm_and_one_set_of_chain_words() {
    let metadata = metadata();
    for name in ["revm", "alloy-primitives", "wasmtime", "rustls"] {
        let versions: BTreeSet<_> = metadata
            .packages()
            .iter()
            .filter(|package| text(package, "name") == name)
            .map(|package| text(package, "version"))
            .collect();
        assert_eq!(versions.len(), 1, "{name} is in the graph as {versions:?}");
    }
}

#[test]
fn versions_are_decided_in_one_table() {
    // The SDK is built by authors outside this workspace and spells its few dependencies out.
    let metadata = metadata();
    for (name, package) in metadata.workspace().into_iter().filter(|(name, _)| *name != "cryptlet-sdk") {
        let manifest =
            std::fs::read_to_string(Path::new(text(package, "manifest_path"))).expect("a manifest is readable");
        let own: Vec<_> = manifest.lines().filter(|line| line.contains("version = \"") && line.contains('{')).collect();
        assert!(own.is_empty(), "{name} pins versions of its own: {own:?}");
    }
}
