//! Instructions that a block takes, counted by valgrind: the same however fast the machine happens to be, so whether blocks get
//! dearer with height can be told where clocks cannot tell it. What they do not show is memory that is slow to reach.

use crate::{
    blocks::{Rings, Running, transfers_of_one},
    stats::grouped,
    table::{Section, progress},
};
use alloy::primitives::{Bytes, hex};
use anyhow::{Context, Result, bail};
use std::{path::Path, process::Command};

/// The word that makes this program the one whose instructions are counted.
pub(crate) const COUNTED: &str = "counted";

/// Rows of tries are written together with one block in 257 ([`StoreOptions`](cryptlet_node::store::StoreOptions)): each window has
/// four such blocks in it.
const WINDOW: usize = 4 * 257;
const EARLY: usize = 200;
const LATE: usize = 4_200;

pub(crate) fn run() -> Result<Vec<Section>> {
    let columns = ["rings", "blocks", "instructions each", "blocks", "instructions each", "ratio"];
    let mut table = Section::new("Instructions of a block", &columns);
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(vec![table.finding("SKIPPED: no valgrind found")]);
    }
    let folder = tempfile::tempdir()?;
    let transfers = folder.path().join("transfers");
    let signed = transfers_of_one(0..LATE + WINDOW)?;
    std::fs::write(&transfers, signed.iter().map(|raw| hex::encode(raw) + "\n").collect::<String>())?;
    for rings in Rings::ALL {
        let window = |from: usize| -> Result<f64> {
            progress(&format!("instructions: blocks {from} to {}, rings {}", from + WINDOW, rings.name()));
            let (before, after) = (counted(rings, &transfers, from)?, counted(rings, &transfers, from + WINDOW)?);
            Ok((after - before) / WINDOW as f64)
        };
        let (early, late) = (window(EARLY)?, window(LATE)?);
        let blocks = |from: usize| format!("{} to {}", grouped(from as i64), grouped((from + WINDOW) as i64));
        table.row(&[
            rings.name().to_owned(),
            blocks(EARLY),
            grouped(early as i64),
            blocks(LATE),
            grouped(late as i64),
            format!("{:.2}x", late / early),
        ]);
    }
    Ok(vec![table.how(
        "As above, all threads of the process, transfers signed beforehand; counted by `valgrind --tool=callgrind`, which does \
         not depend on how fast the machine is at the moment: what chains of so many blocks took, subtracted.",
    )])
}

/// Instructions of a process that makes so many blocks and ends.
fn counted(rings: Rings, transfers: &Path, blocks: usize) -> Result<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?);
    let output = command.args([COUNTED, rings.name()]).arg(transfers).arg(blocks.to_string()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{said}");
    }
    let count =
        said.lines().find_map(|line| line.split_once("Collected : ")).context("valgrind does not say how many")?;
    Ok(count.1.trim().parse()?)
}

/// What is counted: makes so many blocks.
pub(crate) async fn make_blocks(rings: &str, transfers: &Path, blocks: usize) -> Result<()> {
    let rings = Rings::ALL.into_iter().find(|known| known.name() == rings).context("no such rings")?;
    let running = Running::start(rings)?;
    for raw in std::fs::read_to_string(transfers)?.lines().take(blocks) {
        running.mine(Bytes::from(hex::decode(raw)?)).await?;
    }
    running.stop().await;
    Ok(())
}
