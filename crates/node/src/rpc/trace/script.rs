//! Tracers that clients write in JavaScript, as geth takes them.
//!
//! The interpreter ends loops and recursions of the script; [`wrapped`] bounds what it answers with. Neither the memory of a
//! script nor the time and the depth of one built-in function can be bounded from outside, so a script can end the node if it
//! means to: whoever offers scripts trusts those who write them
//! ([`RpcConfig::insecure_scripts`](crate::rpc::RpcConfig::insecure_scripts)).

use crate::rpc::RpcError;
use alloy_primitives::{Address, B256, U256};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    state::{AccountInfo, EvmState},
};

/// Bytes of a script. geth's own are a tenth of it.
const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Values in what a script answers.
const RESULT_VALUES_MAX: usize = 5_000_000;

/// What goes around every script: geth's way of handing over the configuration, and a bound on the answer.
const AROUND: &str = include_str!("script.js");

/// The script with its bounds around it.
pub(super) fn wrapped(script: &str) -> Result<String, RpcError> {
    if script.len() > SCRIPT_BYTES_MAX {
        let bytes = script.len();
        return Err(RpcError::LimitExceeded(format!("the tracer has {bytes} bytes; at most {SCRIPT_BYTES_MAX}")));
    }
    let around = AROUND.trim_end().replace("VALUES_MAX", &RESULT_VALUES_MAX.to_string());
    // A comment at the end of the script must not swallow what follows.
    Ok(format!("{around}({script}\n)"))
}

/// The state after a transaction, which `result` is shown: `before` with the transaction's changes.
pub(super) struct After<'a, D> {
    pub(super) changes: &'a EvmState,
    pub(super) before: &'a D,
}

impl<D: DatabaseRef> DatabaseRef for After<'_, D> {
    type Error = D::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, D::Error> {
        match self.changes.get(&address) {
            Some(account) => Ok(Some(account.info.clone())),
            None => self.before.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, D::Error> {
        self.before.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        match self.changes.get(&address).and_then(|account| account.storage.get(&slot)) {
            Some(changed) => Ok(changed.present_value()),
            None => self.before.storage_ref(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, D::Error> {
        self.before.block_hash_ref(number)
    }
}
