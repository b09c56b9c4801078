//! The process, under the names that Prometheus's own client libraries give it. Linux only; elsewhere the page has no
//! such lines.

use prometheus_client::{
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

/// Ticks per second in `/proc` (`USER_HZ`): 100 on every architecture Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Registers the values as of now.
pub(super) fn register(registry: &mut Registry) {
    if let Some(ticks) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_ticks) {
        let cpu = ConstCounter::new(ticks as f64 / TICKS_PER_SECOND);
        registry.register_with_unit("cpu", "Processor time of all threads", Unit::Seconds, cpu);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            registry.register(name, help, ConstGauge::new(value));
        }
    };
    let kib = |field| status_field(&status, field).map(|value| value * 1024);
    gauge("resident_memory_bytes", "Memory in RAM", kib("VmRSS"));
    gauge("virtual_memory_bytes", "Address space", kib("VmSize"));
    gauge("threads", "Threads", status_field(&status, "Threads"));
    gauge("open_fds", "Open file descriptors", std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as u64));
}

/// User and system time in `/proc/self/stat`: fields 14 and 15. The second field is the command in parentheses, and may
/// itself have spaces and parentheses in it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind_command) = stat.rsplit_once(')')?;
    let mut fields = behind_command.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?, fields.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// A number of `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn a_field_of_the_status_is_found_by_its_whole_name() {
        let status = "VmPeak:\t 9 kB\nVmRSS:\t   1234 kB\nThreads:\t4\n";
        assert_eq!(status_field(status, "VmRSS"), Some(1234));
        assert_eq!(status_field(status, "Threads"), Some(4));
        assert_eq!(status_field(status, "VmR"), None);
    }
}
