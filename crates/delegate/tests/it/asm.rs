//! Just enough of an assembler to write contracts that call things.

use alloy_primitives::{Address, Bytes};
use revm::bytecode::opcode as op;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Call,
    CallCode,
    DelegateCall,
    StaticCall,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Call, Self::CallCode, Self::DelegateCall, Self::StaticCall];
}

#[derive(Clone, Debug, Default)]
pub struct Asm {
    code: Vec<u8>,
    data: Vec<u8>,
    /// Positions in `code` of three-byte offsets into `data`.
    fixups: Vec<usize>,
}

impl Asm {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn op(mut self, opcode: u8) -> Self {
        self.code.push(opcode);
        self
    }

    pub fn push(mut self, value: u64) -> Self {
        self.code.push(op::PUSH8);
        self.code.extend(value.to_be_bytes());
        self
    }

    pub fn push_address(mut self, address: Address) -> Self {
        self.code.push(op::PUSH20);
        self.code.extend(address.as_slice());
        self
    }

    /// Calls `target` with all gas and leaves the success flag on the stack.
    pub fn call(self, kind: Kind, target: Address, data: &[u8]) -> Self {
        self.call_with_value(kind, target, data, 0)
    }

    pub fn call_with_value(mut self, kind: Kind, target: Address, data: &[u8], value: u64) -> Self {
        self = self.push(data.len() as u64);
        self.code.push(op::PUSH3);
        self.fixups.push(self.code.len());
        self.code.extend(&(self.data.len() as u32).to_be_bytes()[1..]);
        self.data.extend(data);
        self = self.push(0).op(op::CODECOPY);
        self = self.push(0).push(0).push(data.len() as u64).push(0);
        if matches!(kind, Kind::Call | Kind::CallCode) {
            self = self.push(value);
        }
        self.push_address(target).op(op::GAS).op(match kind {
            Kind::Call => op::CALL,
            Kind::CallCode => op::CALLCODE,
            Kind::DelegateCall => op::DELEGATECALL,
            Kind::StaticCall => op::STATICCALL,
        })
    }

    /// Stores the top of the stack.
    pub fn store(self, slot: u64) -> Self {
        self.push(slot).op(op::SSTORE)
    }

    /// Stores the hash of what the last call returned.
    pub fn store_returned_hash(self, slot: u64) -> Self {
        self.copy_returned().op(op::RETURNDATASIZE).push(0).op(op::KECCAK256).store(slot)
    }

    pub fn pop(self) -> Self {
        self.op(op::POP)
    }

    /// Returns what the last call returned.
    pub fn return_returned(self) -> Self {
        self.copy_returned().op(op::RETURNDATASIZE).push(0).op(op::RETURN)
    }

    /// Reverts with what the last call returned.
    pub fn revert_returned(self) -> Self {
        self.copy_returned().op(op::RETURNDATASIZE).push(0).op(op::REVERT)
    }

    pub fn revert(self) -> Self {
        self.push(0).push(0).op(op::REVERT)
    }

    pub fn stop(self) -> Self {
        self.op(op::STOP)
    }

    fn copy_returned(self) -> Self {
        self.op(op::RETURNDATASIZE).push(0).push(0).op(op::RETURNDATACOPY)
    }

    pub fn build(mut self) -> Bytes {
        let code_len = self.code.len() as u32;
        for position in self.fixups {
            let place = &mut self.code[position..position + 3];
            let offset = u32::from_be_bytes([0, place[0], place[1], place[2]]) + code_len;
            place.copy_from_slice(&offset.to_be_bytes()[1..]);
        }
        self.code.extend(self.data);
        self.code.into()
    }
}
