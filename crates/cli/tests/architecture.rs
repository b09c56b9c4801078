//! The tree's promise about itself: floors, and two columns that never name each other (ARCHITECTURE.md).

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use std::collections::{BTreeMap, BTreeSet};

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
    ("cryptlet-container", &["tokio", "revm", "rocksdb"]),
    ("cryptlet-host", &["revm", "rocksdb"]),
    ("cryptlet-audit", &["wasmtime", "tonic", "cryptlet-container", "cryptlet-host"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().exec().expect("cargo metadata describes this workspace")
}

fn workspace(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata.workspace_packages().into_iter().map(|package| (package.name.as_str(), package)).collect()
}

/// Names of every package that `start` reaches by normal dependencies.
fn reachable(metadata: &Metadata, start: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("metadata is resolved");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut waiting = vec![workspace(metadata)[start].id.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        for dependency in &nodes[&id].deps {
            let is_normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_normal && seen.insert(metadata[&dependency.pkg].name.to_string()) {
                waiting.push(dependency.pkg.clone());
            }
        }
    }
    seen
}

#[test]
fn every_crate_has_a_floor_and_names_only_lower_ones() {
    let metadata = metadata();
    let floors = BTreeMap::from(FLOORS);
    for (name, package) in workspace(&metadata) {
        let floor =
            floors.get(name).unwrap_or_else(|| panic!("{name} has no floor: add it to FLOORS and ARCHITECTURE.md"));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal) {
            if let Some(below) = floors.get(dependency.name.as_str()) {
                assert!(below < floor, "{name} (floor {floor}) names {} (floor {below})", dependency.name);
            }
        }
    }
}

#[test]
fn chain_and_fabric_columns_never_name_each_other() {
    let metadata = metadata();
    for (column, other) in [(&CHAIN[..], &FABRIC[..]), (&FABRIC[..], &CHAIN[..])] {
        for name in column {
            let reached = reachable(&metadata, name);
            let crossed: Vec<_> = other.iter().filter(|crate_name| reached.contains(**crate_name)).collect();
            assert!(crossed.is_empty(), "{name} reaches {crossed:?} of the other column");
        }
    }
}

#[test]
fn pure_crates_reach_no_runtime_engine_or_database() {
    let metadata = metadata();
    for (name, forbidden) in UNREACHABLE {
        let reached = reachable(&metadata, name);
        let found: Vec<_> = forbidden.iter().filter(|crate_name| reached.contains(**crate_name)).collect();
        assert!(found.is_empty(), "{name} reaches {found:?}");
    }
}

#[test]
fn there_is_one_evm_and_one_set_of_chain_words() {
    let metadata = metadata();
    for name in ["revm", "alloy-primitives", "wasmtime", "rustls"] {
        let versions: BTreeSet<_> =
            metadata.packages.iter().filter(|package| package.name == name).map(|package| &package.version).collect();
        assert_eq!(versions.len(), 1, "{name} is in the graph as {versions:?}");
    }
}

#[test]
fn versions_are_decided_in_one_table() {
    let metadata = metadata();
    let root = metadata.workspace_root.as_std_path();
    for package in workspace(&metadata).values() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest is readable");
        let own: Vec<_> = manifest.lines().filter(|line| line.contains("version = \"") && line.contains('{')).collect();
        assert!(own.is_empty(), "{} pins versions of its own: {own:?}", package.manifest_path);
        assert!(package.manifest_path.as_std_path().starts_with(root));
    }
}
