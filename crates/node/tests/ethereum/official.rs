//! Ethereum's own test vectors (`ethereum/tests`, `execution-spec-tests`): blockchain tests and state tests, each with and
//! without the delegate in the EVM.
//!
//! A few are in the tree (`tests/vectors/ethereum-tests`). All of them run if they are there: `scripts/fetch-ethereum-tests`
//! puts them into `tests/fixtures/ethereum`, and `ETHEREUM_TESTS` names any other folder.

mod blockchain;
mod network;
mod state;

use cryptlet_primitives::FabricLimits;
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What became of one test.
pub(crate) enum Outcome {
    Passed,
    /// It needs what this node says it does not have.
    LeftOut(&'static str),
    Failed(String),
}

/// One test under one fork: its name, the fork, and what became of it.
pub(crate) type Verdict = (String, String, Outcome);

#[test]
fn the_vectors_in_the_tree_hold() {
    let folder = root().join("tests/vectors/ethereum-tests");
    let passed = run(&folder);
    assert!(passed > 0, "{} has vectors", folder.display());
}

#[test]
fn all_vectors_hold_that_were_fetched() {
    let folder =
        std::env::var_os("ETHEREUM_TESTS").map_or_else(|| root().join("tests/fixtures/ethereum"), PathBuf::from);
    if !folder.exists() {
        println!(
            "SKIPPED all of ethereum/tests: {} is not there; scripts/fetch-ethereum-tests makes it",
            folder.display()
        );
        return;
    }
    run(&folder);
}

/// Runs every vector below a folder, prints how many passed under each fork, and fails if one did not.
#[expect(clippy::print_stdout, reason = "the counts are what the run is for")]
fn run(folder: &Path) -> usize {
    let mut files = Vec::new();
    collect(folder, &mut files);
    let verdicts: Vec<Verdict> = files.par_iter().flat_map(|file| run_file(file)).collect();
    let mut table: BTreeMap<String, [usize; 3]> = BTreeMap::new();
    let mut failures = Vec::new();
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for (name, fork, outcome) in verdicts {
        let row = table.entry(fork.clone()).or_default();
        match outcome {
            Outcome::Passed => row[0] += 1,
            Outcome::LeftOut(why) => {
                row[1] += 1;
                *reasons.entry(why).or_default() += 1;
            }
            Outcome::Failed(why) => {
                row[2] += 1;
                failures.push(format!("{name} ({fork}): {why}"));
            }
        }
    }
    println!("{:<40} {:>8} {:>8} {:>8}", "fork", "passed", "left out", "failed");
    table.iter().for_each(|(fork, [passed, out, failed])| println!("{fork:<40} {passed:>8} {out:>8} {failed:>8}"));
    reasons.iter().for_each(|(why, count)| println!("left out: {count} for {why}"));
    failures.iter().take(50).for_each(|failure| println!("FAILED {failure}"));
    assert!(failures.is_empty(), "{} of the vectors below {} failed", failures.len(), folder.display());
    table.values().map(|[passed, ..]| passed).sum()
}

fn run_file(file: &Path) -> Vec<Verdict> {
    let json = std::fs::read_to_string(file).unwrap();
    let Ok(tests) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&json) else {
        return Vec::new();
    };
    let mut verdicts = Vec::new();
    for (name, test) in tests {
        for limits in [None, Some(FabricLimits::default())] {
            if test.get("genesisRLP").is_some() {
                verdicts.push(blockchain::run(&name, &test, limits));
            } else if test.get("transaction").is_some() && test.get("post").is_some() {
                verdicts.extend(state::run(&name, &test, limits));
            }
        }
    }
    verdicts
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
