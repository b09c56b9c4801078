//! How a call of the delegate ends, and what it costs.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolError, SolValue};
use cryptlet_primitives::{RefusalCode, abi::ICryptoDelegate::CryptletError};
use revm::interpreter::{CallInputs, Gas, InstructionResult, InterpreterResult};

/// How a call of the delegate ends, as far as a contract can see.
#[derive(Debug)]
pub(crate) enum Reply {
    /// It returns, having used this much gas.
    Return { output: Bytes, gas: u64 },
    /// It reverts with `CryptletError(code, data)`, having used this much gas.
    Refuse { code: RefusalCode, data: Bytes, gas: u64 },
    /// There is not enough gas for what the call may cost. All of it is gone, as with any precompile.
    OutOfGas,
}

impl Reply {
    /// A refusal whose data is the ABI encoding of `data`.
    pub(crate) fn refuse<T: SolValue>(code: RefusalCode, data: &T, gas: u64) -> Self {
        Self::Refuse { code, data: data.abi_encode().into(), gas }
    }

    /// A refusal without data.
    pub(crate) const fn refuse_plainly(code: RefusalCode, gas: u64) -> Self {
        Self::Refuse { code, data: Bytes::new(), gas }
    }

    /// The reply as the EVM has it.
    pub(crate) fn into_result(self, inputs: &CallInputs) -> InterpreterResult {
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        let (result, output, used) = match self {
            Self::Return { output, gas } => (InstructionResult::Return, output, gas),
            Self::Refuse { code, data, gas } => {
                let error = CryptletError { code: code as u16, data };
                (InstructionResult::Revert, error.abi_encode().into(), gas)
            }
            Self::OutOfGas => (InstructionResult::PrecompileOOG, Bytes::new(), u64::MAX),
        };
        if gas.record_regular_cost(used) {
            return InterpreterResult::new(result, output, gas);
        }
        gas.spend_all();
        InterpreterResult::new(InstructionResult::PrecompileOOG, Bytes::new(), gas)
    }
}
