//! The claim that a chain can be replayed with no host in reach, held by the dependency tree.

use cargo_metadata::{MetadataCommand, PackageId};
use std::collections::{HashMap, HashSet};

#[test]
fn no_host_crate_is_in_the_tree() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).other_options(vec!["--offline".to_owned()]).exec();
    let metadata = metadata.expect("cargo metadata runs");
    let names: HashMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let edges: HashMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let normal = node.deps.iter().filter(|dep| {
                dep.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal)
            });
            (&node.id, normal.map(|dep| &dep.pkg).collect())
        })
        .collect();
    let root = names.iter().find(|(_, name)| **name == "cryptlet-audit").map(|(id, _)| *id).expect("this crate");
    let (mut seen, mut queue) = (HashSet::new(), vec![root]);
    while let Some(id) = queue.pop() {
        if seen.insert(id) {
            queue.extend(edges.get(id).into_iter().flatten());
        }
    }
    let reached: Vec<&str> = seen.iter().filter_map(|id| names.get(*id)).copied().collect();
    for forbidden in ["cryptlet-host", "cryptlet-container", "cryptlet-sdk", "cryptlet-cli", "wasmtime", "tonic"] {
        assert!(!reached.contains(&forbidden), "cryptlet-audit depends on {forbidden}");
    }
}
