//! Power cuts: everything that was not synced is gone.

use super::{Chance, child, child::Running, mount::Mount, say, setting, verdict, verdict::Tally};
use std::time::Duration;

const TEST: &str = "power::a_power_cut_loses_nothing_that_was_acknowledged_with_sync";
const IMAGE_MEBIBYTES: u64 = 192;

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_with_sync() {
    child::run_if_asked();
    let cuts = setting("CRYPTLET_POWER_CUTS", 4);
    let folder = tempfile::tempdir().expect("a folder");
    let mut chance = Chance::of_this_run();
    let mut tally = Tally::default();
    for _ in 0..cuts {
        match cut(&folder.path().join("sync"), true, &mut chance) {
            Err(reason) => return say(&format!("SKIPPED power cuts: {reason}")),
            Ok((verdict, acknowledged)) => {
                let verdict = match verdict {
                    Ok(verdict) => verdict,
                    Err(error) => panic!("{error}; the disk is kept in {}", folder.keep().display()),
                };
                assert_eq!(verdict.lost, 0, "acknowledged {acknowledged}, the store ends at {}", verdict.head);
                tally.add(&verdict, acknowledged);
            }
        }
    }
    say(verdict::TABLE_HEAD);
    tally.say("power cut, --sync");
    // And the test can tell: without waiting for the disk the same cuts do lose blocks.
    let mut lost = 0;
    for _ in 0..3 {
        let unsynced = folder.path().join("no-sync");
        match cut(&unsynced, false, &mut chance).expect("it could be done before").0 {
            Ok(verdict) if verdict.lost == 0 => {}
            Ok(_) => lost += 1,
            // It says that blocks are lost, that there is no chain yet, or what the file system has left of its files: it serves nothing.
            Err(error) => {
                say(&format!("after a cut without --sync: {error}"));
                lost += 1;
            }
        }
        std::fs::remove_dir_all(unsynced).expect("it is unmounted");
    }
    say(&format!("without --sync, {lost} of 3 cuts lost acknowledged blocks"));
    assert!(lost > 0, "no cut lost anything: they are not power cuts");
}

type Outcome = (Result<verdict::Verdict, cryptlet_node::store::StoreError>, usize);

/// Lets a node run on a file system of its own, cuts its power at a random moment, and looks at what is left.
fn cut(folder: &std::path::Path, sync: bool, chance: &mut Chance) -> Result<Outcome, String> {
    let (image, point) = (folder.join("image"), folder.join("mounted"));
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let mounted = Mount::image(&image, &point, IMAGE_MEBIBYTES)?;
    let data = point.join("chain");
    let mut running = Running::start(TEST, &data, sync);
    running.wait_for(5 + chance.below(40) as usize);
    std::thread::sleep(Duration::from_micros(chance.below(20_000)));
    mounted.cut_power()?;
    let acknowledged = running.kill();
    drop(mounted);
    // The power is back.
    let mounted = Mount::image(&image, &point, IMAGE_MEBIBYTES)?;
    let verdict = verdict::judge(&data, sync, &acknowledged);
    drop(mounted);
    Ok((verdict, acknowledged.len()))
}
