//! Runs that are short enough for the thread that read the request. Most calls are: a few hundred instructions, a slot or two.
//! Going to another thread and back would cost more than they do.
//!
//! Nobody knows beforehand that a run is short, so it is watched, and cut when it turns out not to be; then it begins again
//! elsewhere, and what was done here is forgotten. The bounds keep what may be done here to about a millisecond.

use revm::{
    Inspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, Interpreter, InterpreterResult,
    },
    primitives::{Address, Bytes, address},
};

/// Instructions of a short run.
const STEPS_MAX: u32 = 4_096;
/// Calls within calls of a short run.
const DEPTH_MAX: u32 = 8;
/// Gas that one frame of a short run may spend: at most 47 slots that nobody has read, or half a MiB hashed.
const FRAME_GAS_MAX: u64 = 100_000;
/// Inputs longer than this are not looked at here, in bytes.
pub(super) const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Ethereum's precompiles live below; some keep a core busy for all the gas there is, in one step. The delegate never waits.
const PRECOMPILES_END: Address = address!("0000000000000000000000000000000000000200");

/// Watches a run, and cuts it when it is not short.
#[derive(Debug, Default)]
pub(super) struct ShortRun {
    steps: u32,
    depth: u32,
    is_cut: bool,
}

impl ShortRun {
    /// Was the run not short? Then its result says nothing.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// What a frame that is not begun ends with.
    fn not_begun(&mut self) -> InterpreterResult {
        self.is_cut = true;
        InterpreterResult::new(InstructionResult::OutOfGas, Bytes::new(), Gas::new(0))
    }
}

impl<C> Inspector<C> for ShortRun {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut C) {
        self.steps += 1;
        self.is_cut |= self.steps > STEPS_MAX || interpreter.gas.total_gas_spent() > FRAME_GAS_MAX;
        if self.is_cut {
            interpreter.halt_oog();
        }
    }

    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.depth += 1;
        let is_short = self.depth <= DEPTH_MAX && inputs.bytecode_address >= PRECOMPILES_END && !self.is_cut;
        (!is_short).then(|| CallOutcome::new(self.not_begun(), inputs.return_memory_offset.clone()))
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, _: &mut CallOutcome) {
        self.depth -= 1;
    }

    fn create(&mut self, _: &mut C, _: &mut CreateInputs) -> Option<CreateOutcome> {
        Some(CreateOutcome::new(self.not_begun(), None))
    }
}
