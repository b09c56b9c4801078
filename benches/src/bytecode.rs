//! One contract for all measurements: it makes the same call again and again.

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::bytecode::opcode as op;

/// How a transaction to the repeater ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It succeeds.
    Stop = 0,
    /// It fails after its calls, and keeps its records.
    Revert = 1,
}

#[rustfmt::skip]
/// Runtime code of the repeater. Its call data: three words (how often, whom, [`Ending`]) and the call data to pass on.
pub(crate) fn repeater() -> Bytes {
    const PASSED_ON: u8 = 96;
    let mut code = vec![
        // [n] = calldatasize - 96; memory = what is passed on
        op::PUSH1, PASSED_ON, op::CALLDATASIZE, op::SUB,
        op::DUP1, op::PUSH1, PASSED_ON, op::PUSH1, 0, op::CALLDATACOPY,
        op::PUSH1, 0, op::CALLDATALOAD,
    ];
    let again = code.len() as u8;
    code.extend([op::JUMPDEST, op::DUP1, op::ISZERO, op::PUSH1, 0, op::JUMPI]);
    let to_end = code.len() - 2;
    code.extend([
        // CALL(gas, target, value 0, memory 0..n, no output)
        op::PUSH1, 0, op::PUSH1, 0, op::DUP4, op::PUSH1, 0, op::PUSH1, 0,
        op::PUSH1, 32, op::CALLDATALOAD, op::GAS, op::CALL,
        op::ISZERO, op::PUSH1, 0, op::JUMPI,
    ]);
    let to_failure = code.len() - 2;
    code.extend([op::PUSH1, 1, op::SWAP1, op::SUB, op::PUSH1, again, op::JUMP]);
    code[to_end] = code.len() as u8;
    code.extend([op::JUMPDEST, op::PUSH1, 64, op::CALLDATALOAD, op::PUSH1, 0, op::JUMPI, op::STOP]);
    let to_revert = code.len() - 3;
    code[to_failure] = code.len() as u8;
    code[to_revert] = code.len() as u8;
    code.extend([
        op::JUMPDEST, op::RETURNDATASIZE, op::PUSH1, 0, op::PUSH1, 0, op::RETURNDATACOPY,
        op::RETURNDATASIZE, op::PUSH1, 0, op::REVERT,
    ]);
    code.into()
}

/// Call data for the repeater.
pub(crate) fn repeat(times: u64, target: Address, data: &[u8], ending: Ending) -> Bytes {
    let words = [U256::from(times).into(), target.into_word(), B256::from(U256::from(ending as u8))];
    words.iter().flat_map(|word| word.0).chain(data.iter().copied()).collect()
}

/// Creation code that leaves this runtime code.
pub(crate) fn creation(runtime: &[u8]) -> Bytes {
    let length = (runtime.len() as u16).to_be_bytes();
    // codecopy(0, 12, length); return(0, length)
    let copy = [op::PUSH2, length[0], length[1], op::DUP1, op::PUSH1, 12, op::PUSH1, 0, op::CODECOPY];
    let header = [&copy[..], &[op::PUSH1, 0, op::RETURN]].concat();
    [&header[..], runtime].concat().into()
}
