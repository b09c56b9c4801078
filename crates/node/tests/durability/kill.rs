//! `kill -9` at random moments.

use super::{Chance, child, child::Running, say, setting, verdict, verdict::Tally};
use std::time::Duration;

const TEST: &str = "kill::sigkill_at_any_moment_loses_nothing_that_was_acknowledged";

#[test]
fn sigkill_at_any_moment_loses_nothing_that_was_acknowledged() {
    child::run_if_asked();
    let points = setting("CRYPTLET_CRASH_POINTS", 26);
    let mut chance = Chance::of_this_run();
    say(verdict::TABLE_HEAD);
    for sync in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut tally = Tally::default();
        for _ in 0..points / 2 {
            let mut running = Running::start(TEST, folder.path(), sync);
            running.wait_for(chance.below(20) as usize);
            std::thread::sleep(Duration::from_micros(chance.below(4_000)));
            let acknowledged = running.kill();
            let verdict = verdict::judge(folder.path(), sync, &acknowledged).expect("what is left opens");
            assert_eq!(verdict.lost, 0, "acknowledged {acknowledged:?}, the store ends at {}", verdict.head);
            assert!(verdict.reopened_in < Duration::from_secs(10), "it took {:?} to reopen", verdict.reopened_in);
            tally.add(&verdict, acknowledged.len());
        }
        tally.say(if sync { "SIGKILL, --sync" } else { "SIGKILL, --no-sync" });
    }
}
