//! Container kind `process`: a program of its own behind standard input and output. [`ProgramSpec`] says how it is started,
//! `runtime` what of this machine it may see, `protocol` what is said, `live` is one running process, `pool` those of one
//! cryptlet.

mod live;
mod pool;
pub mod protocol;
mod runtime;

pub use runtime::Runtime;

pub(crate) use live::{LivePrograms, ProgramLaunch};
pub(crate) use pool::ProgramPool;
pub(crate) use runtime::{PROGRAM_FOLDER, RuntimeView};

use serde::{Deserialize, Serialize};

/// Least memory of a program, in bytes.
pub const MEMORY_BYTES_MIN: u64 = 32 << 20;
/// Most memory of a program, in bytes.
pub const MEMORY_BYTES_MAX: u64 = 16 << 30;
/// Most processes of one cryptlet.
pub const PROCESSES_MAX: u16 = 64;
/// Longest a call may be allowed to take, in milliseconds.
pub const CALL_MS_MAX: u64 = 600_000;
/// Most arguments of a runtime.
pub const ARGUMENTS_MAX: usize = 32;
/// Longest argument of a runtime, in bytes.
pub const ARGUMENT_BYTES_MAX: usize = 256;

/// How a program is started, what it may use, what a call of it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// What runs it.
    pub runtime: Runtime,
    /// Arguments of the runtime, before the program: heap sizes and the like.
    pub arguments: Vec<String>,
    /// Writable memory of one process, in bytes.
    pub memory_bytes_max: u64,
    /// Longest a call may take by the clock, in milliseconds; then the process is killed and the call is a fault.
    pub call_ms_max: u64,
    /// Longest a start may take, in milliseconds.
    pub start_ms_max: u64,
    /// Compute units of every call. A program's work cannot be counted the same everywhere, so each call has one price.
    pub units_per_call: u64,
    /// Processes that may run at once; each serves one call at a time.
    pub processes_max: u16,
}

impl ProgramSpec {
    /// The defaults.
    pub const fn new(runtime: Runtime) -> Self {
        Self {
            runtime,
            arguments: Vec::new(),
            memory_bytes_max: 1 << 30,
            call_ms_max: 10_000,
            start_ms_max: 20_000,
            units_per_call: 1_000,
            processes_max: 1,
        }
    }

    /// Everything here as text, one `name=value` a line, in a fixed order: what the code digest binds.
    pub fn profile(&self) -> String {
        let mut text = format!(
            "profile=1\nkind=process\nprotocol={}\nruntime={}\nmemory-bytes-max={}\nunits-per-call={}\n",
            protocol::VERSION,
            self.runtime,
            self.memory_bytes_max,
            self.units_per_call,
        );
        for argument in &self.arguments {
            text.push_str(&format!("argument={argument}\n"));
        }
        text
    }

    /// What is wrong with it; empty if nothing is.
    pub fn objections(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut within = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                wrong.push(format!("{name} is {value}; it must be {least} to {most}"));
            }
        };
        within("memoryBytesMax", self.memory_bytes_max, MEMORY_BYTES_MIN, MEMORY_BYTES_MAX);
        within("callMsMax", self.call_ms_max, 1, CALL_MS_MAX);
        within("startMsMax", self.start_ms_max, 1, CALL_MS_MAX);
        within("unitsPerCall", self.units_per_call, 1, u64::MAX >> 1);
        within("processesMax", self.processes_max.into(), 1, PROCESSES_MAX.into());
        within("the number of arguments", self.arguments.len() as u64, 0, ARGUMENTS_MAX as u64);
        wrong.extend(self.arguments.iter().filter_map(|argument| self.runtime.objection_to(argument)));
        wrong
    }
}
