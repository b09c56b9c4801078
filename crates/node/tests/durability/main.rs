//! What survives: processes that are killed, machines that lose their power, disks that are full.
//!
//! `CRYPTLET_CRASH_POINTS=1000 CRYPTLET_POWER_CUTS=200 cargo test --release --test durability -- --nocapture` is the long
//! run whose table is in `docs/durability.md`; without them each test takes a sample.

mod child;
mod full_disk;
mod kill;
mod mount;
mod power;
mod verdict;

/// A number from the environment.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// Past libtest's capturing: whoever runs the tests must see it.
fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("standard output takes a line");
}

/// Random numbers of a seed (splitmix64): a run can be repeated, as far as the scheduler lets it.
struct Chance(u64);

impl Chance {
    /// The same numbers every time, or others (`CRYPTLET_SEED`): several runs at once should not all do the same.
    fn of_this_run() -> Self {
        Self(setting("CRYPTLET_SEED", 0))
    }

    /// A number from 0 on and below this one.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end.max(1)
    }
}
