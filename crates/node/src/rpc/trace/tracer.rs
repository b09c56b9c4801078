//! The tracer a client asks for, and the bounds it runs in.
//!
//! What is traced is bounded by gas, but a step of a tracer may cost much more than one of the EVM: scripts run, stacks and
//! memories are copied. So beside the tracer sits a [`Guard`] that stops the run when its time or its room is used up.

use super::script;
use crate::rpc::RpcError;
use alloy_rpc_types_trace::geth::{GethDebugTracerType, GethDebugTracingOptions, GethTrace};
use revm::{
    Inspector,
    context::ContextTr,
    context_interface::ContextError,
    interpreter::{Interpreter, interpreter_types::LoopControl},
};
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::OwnedSemaphorePermit;

/// Steps of one trace of opcodes; more would not fit into a response.
pub(crate) const STEPS_MAX: u64 = 200_000;
/// Bytes of stack and memory that one trace of opcodes may copy; more would not fit into a response either.
const COPIED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// geth's `defaultTraceTimeout`.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 512;

/// A guarded tracer.
pub(crate) type Tracer = (Guard, DebugInspector);

/// What a client asked for, checked as far as that is possible without making the tracer.
#[derive(Clone, Debug)]
pub(crate) struct TracerOptions {
    options: GethDebugTracingOptions,
    pub(crate) trip: Trip,
    /// Of a script: nobody else's runs until this one and its tracers are gone.
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

impl TracerOptions {
    /// Reads geth's options. No tracer may run longer than `time_max`.
    pub(crate) fn new(mut options: GethDebugTracingOptions, time_max: Duration) -> Result<Self, RpcError> {
        // A trace records at most one step more than it may have, so that a longer one is noticed.
        let asked = options.config.limit.filter(|limit| *limit > 0);
        options.config.limit = Some(asked.unwrap_or(u64::MAX).min(STEPS_MAX + 1));
        let timeout = options.timeout.as_deref().map(go_duration).transpose()?.unwrap_or(TIMEOUT_DEFAULT);
        Ok(Self { options, trip: Trip::after(timeout.min(time_max)), turn: None })
    }

    /// The same for a script, with bounds around it and a turn to keep until its tracers are gone.
    pub(crate) fn into_script(mut self, turn: OwnedSemaphorePermit) -> Result<Self, RpcError> {
        if let Some(GethDebugTracerType::JsTracer(script)) = &mut self.options.tracer {
            *script = script::wrapped(script)?;
        }
        Ok(Self { turn: Some(Arc::new(turn)), ..self })
    }

    /// Does the client bring its own tracer, written in JavaScript?
    pub(crate) fn is_script(&self) -> bool {
        let tracer = self.options.tracer.as_ref();
        tracer.is_some_and(|tracer| matches!(tracer, GethDebugTracerType::JsTracer(code) if !code.is_empty()))
    }

    /// The tracer.
    pub(crate) fn tracer(&self) -> Result<Tracer, DebugInspectorError> {
        let (stack, memory) = match self.options.tracer.as_ref().filter(|tracer| !tracer.as_str().is_empty()) {
            None => {
                let config = &self.options.config;
                (!config.disable_stack.unwrap_or_default(), config.enable_memory.unwrap_or_default())
            }
            Some(_) => (false, false),
        };
        // What a script costs at a step, nobody knows.
        let steps_per_look = if self.is_script() { 1 } else { STEPS_PER_LOOK };
        let turn = self.turn.clone();
        let guard = Guard { stack, memory, steps_per_look, turn, ..Guard::new(self.trip.clone()) };
        Ok((guard, DebugInspector::new(self.options.clone())?))
    }
}

/// Refuses a trace that is too long.
pub(crate) fn checked(trace: GethTrace) -> Result<GethTrace, RpcError> {
    match &trace {
        GethTrace::Default(frame) if frame.struct_logs.len() as u64 > STEPS_MAX => Err(RpcError::LimitExceeded(
            format!("the trace has more than {STEPS_MAX} steps; give a \"limit\", or use the callTracer"),
        )),
        _ => Ok(trace),
    }
}

/// Whether a guard stopped a run, and why: shared with whoever started it.
#[derive(Clone, Debug)]
pub(crate) struct Trip {
    timeout: Duration,
    why: Arc<AtomicU8>,
}

const RUNNING: u8 = 0;
const OUT_OF_TIME: u8 = 1;
const OUT_OF_ROOM: u8 = 2;
const OUT_OF_STEPS: u8 = 3;

impl Trip {
    /// A run may take this long.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { timeout, why: Arc::new(AtomicU8::new(RUNNING)) }
    }

    /// The error to give if the guard stopped the run; else what it failed with.
    pub(crate) fn explain(&self, otherwise: impl Into<RpcError>) -> RpcError {
        match self.why.load(Ordering::Relaxed) {
            // geth's words.
            OUT_OF_TIME => RpcError::refused("execution timeout"),
            OUT_OF_ROOM => RpcError::LimitExceeded(format!(
                "the trace copies more than {COPIED_BYTES_MAX} bytes of stack and memory; give a \"limit\", \
                 \"disableStack\", or use the callTracer"
            )),
            OUT_OF_STEPS => RpcError::LimitExceeded(format!("the trace has more than {STEPS_MAX} steps")),
            _ => otherwise.into(),
        }
    }
}

/// Stops a run whose time or room is used up. The clock starts with the first step of a transaction.
#[derive(Debug)]
pub(crate) struct Guard {
    trip: Trip,
    deadline: Option<Instant>,
    steps: u64,
    steps_max: u64,
    steps_per_look: u64,
    copied_bytes: usize,
    /// Does the tracer copy the stack at every step? The memory?
    stack: bool,
    memory: bool,
    /// Held as long as the tracer may be at work.
    #[expect(dead_code, reason = "it is there to be dropped")]
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

impl Guard {
    /// Guards a tracer that copies nothing.
    pub(crate) fn new(trip: Trip) -> Self {
        let steps_per_look = STEPS_PER_LOOK;
        let steps_max = u64::MAX;
        Self {
            trip,
            deadline: None,
            steps: 0,
            steps_max,
            steps_per_look,
            copied_bytes: 0,
            stack: false,
            memory: false,
            turn: None,
        }
    }

    /// Stops the run after so many steps.
    pub(crate) fn with_steps_max(self, steps_max: u64) -> Self {
        Self { steps_max, ..self }
    }

    /// Makes it ready for another transaction.
    pub(crate) fn rearm(&mut self) {
        (self.deadline, self.steps, self.copied_bytes) = (None, 0, 0);
    }

    fn is_over(&mut self, interpreter: &Interpreter) -> bool {
        if self.stack {
            self.copied_bytes += 32 * interpreter.stack.len();
        }
        if self.memory {
            self.copied_bytes += interpreter.memory.len();
        }
        if self.copied_bytes > COPIED_BYTES_MAX {
            self.trip.why.store(OUT_OF_ROOM, Ordering::Relaxed);
            return true;
        }
        self.steps += 1;
        if self.steps > self.steps_max {
            self.trip.why.store(OUT_OF_STEPS, Ordering::Relaxed);
            return true;
        }
        self.steps % self.steps_per_look == 1 % self.steps_per_look && self.is_late()
    }

    fn is_late(&mut self) -> bool {
        let now = Instant::now();
        let late = now >= *self.deadline.get_or_insert(now + self.trip.timeout);
        if late {
            self.trip.why.store(OUT_OF_TIME, Ordering::Relaxed);
        }
        late
    }
}

impl<C: ContextTr> Inspector<C> for Guard {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut C) {
        if self.is_over(interpreter) {
            if context.error().is_ok() {
                *context.error() = Err(ContextError::Custom("the tracer was stopped".to_owned()));
            }
            // Whatever the interpreter was about to do, it does not: a contract must not be able to catch this.
            interpreter.bytecode.action().take();
            interpreter.bytecode.reset_action();
            interpreter.halt_fatal();
        }
    }
}

/// A duration as Go writes it: `300ms`, `1m30s`, `1.5h`.
fn go_duration(text: &str) -> Result<Duration, RpcError> {
    parse_go_duration(text).ok_or_else(|| RpcError::refused(format!("time: invalid duration {text:?}")))
}

fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..letters] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(seconds).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let cases = [
            ("5s", Some(Duration::from_secs(5))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("1.5h", Some(Duration::from_secs(5_400))),
            ("300ms", Some(Duration::from_millis(300))),
            ("0", Some(Duration::ZERO)),
            ("", None),
            ("5", None),
            ("5 s", None),
            ("-1s", None),
            ("s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_go_duration(text), expected, "{text}");
        }
    }
}
