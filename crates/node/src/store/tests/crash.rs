//! A killed process loses nothing it has acknowledged.

use super::model::{Model, Step, Touch};
use crate::store::{ChainStore, StoreOptions};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const FOLDER: &str = "CRYPTLET_TEST_CRASH_FOLDER";
const KILLS: u64 = 12;

/// The block every run makes at this height.
fn step(number: u64) -> Step {
    let slots = (0..6).map(|slot| (slot, number)).collect();
    Step::Block([((number % 8) as u8, Touch::Set { nonce: number, balance: number, slots })].into())
}

fn model_at(number: u64) -> Model {
    let mut model = Model::new();
    (1..=number).for_each(|number| model.step(&step(number), &[]));
    model
}

fn run(folder: &Path) {
    let store = ChainStore::open(folder, &StoreOptions::default()).unwrap();
    let mut model = Model::new();
    model.initialize(&store);
    let head = store.head().unwrap().number;
    (1..=head).for_each(|number| model.step(&step(number), &[]));
    for number in head + 1.. {
        model.step(&step(number), &[&store]);
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {number}").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
fn sigkill_at_any_moment_loses_no_acknowledged_block() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        run(Path::new(&folder)); // the process to be killed: this test binary again
    }
    let folder = tempfile::tempdir().unwrap();
    for kill in 1..=KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "store::tests::crash::sigkill_at_any_moment_loses_no_acknowledged_block"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Kill it somewhere behind so many acknowledged blocks, and read what it had said until then.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut acknowledged = Vec::new();
        let number_of = |line: String| line.split("acknowledged ").nth(1).and_then(|number| number.parse::<u64>().ok());
        while acknowledged.len() < 7 * kill as usize {
            let line = lines.next().expect("the process runs until it is killed");
            acknowledged.extend(number_of(line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(lines.filter_map(number_of));

        let store = ChainStore::open(folder.path(), &StoreOptions::default()).unwrap();
        let (head, last) = (store.head().unwrap().number, *acknowledged.last().unwrap());
        assert!(head == last || head == last + 1, "acknowledged up to {last}, the store has {head}");
        model_at(head).check(&store);
    }
}
