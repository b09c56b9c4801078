//! The head of the page: on what it was measured, and how to read it.

use anyhow::{Context, Result};
use std::fs::read_to_string;

/// The page up to its first section.
pub(crate) fn head() -> Result<String> {
    let cpu = read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").or_else(|| field("CPU part")).unwrap_or_else(|| "unknown processor".to_owned());
    let cores = std::thread::available_parallelism()?;
    let memory = read_to_string("/proc/meminfo")?;
    let total =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("/proc/meminfo has no MemTotal")?;
    let total_kib: f64 = total.trim().trim_end_matches("kB").trim().parse()?;
    let kernel = read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: String = kernel.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let load = read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default().to_owned();
    let gib = total_kib / 1024.0 / 1024.0;
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `make bench` (`cryptlet-benches --write`). These are measurements, not tests: nothing fails when they change.\n\n\
         * **Machine:** {model}, {cores} cores, {gib:.1} GiB of memory, Linux {kernel}. Load average at the start: {load}. If \
         that is above the number of cores, others were using the machine: it is noisy, and only the ratios matter.\n\
         * **Build:** the one release profile of the workspace (overflow checks on), the same that `make dev` runs.\n\
         * **Measured by** the clock (`wall`), or by the processor time of a thread or process (`CPU`), as each section says; \
         medians where something is repeated.\n\
         * **The floor** of an attested call is what nobody can leave out: running the cryptlet in its container, one signature \
         there, one recovery here. The floor of replaying is executing each transaction once. Each section says how far we are.\n"
    ))
}
