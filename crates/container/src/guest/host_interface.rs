//! The host side of `cryptlet:fabric/host`: answers from the call's inputs, counts, bounds, charges fuel.

use super::{
    call::{CallInputs, CallOut, Silent},
    ending::HostLimit,
    limits,
};
use alloc::{string::String, sync::Arc, vec::Vec};
use alloy_primitives::{Address, B256, keccak256};
use wasmtime::{
    ResourceLimiter, StoreContextMut, Trap,
    component::{ComponentType, Lift, Linker, Lower},
};

/// `call-context` of the WIT file.
#[derive(Clone, Debug, ComponentType, Lower, Lift)]
#[component(record)]
struct CallContext {
    caller: Vec<u8>,
    cryptlet: Vec<u8>,
    #[component(name = "call-key")]
    call_key: Vec<u8>,
    #[component(name = "is-static")]
    is_static: bool,
    #[component(name = "dry-run")]
    dry_run: bool,
}

/// What the engine keeps beside one instance.
pub(crate) struct CallState {
    inputs: CallInputs,
    call_out: Arc<dyn CallOut>,
    has_begun: bool,
    calls: u32,
    random_bytes: u32,
    log_lines: u32,
    log_bytes: u32,
    was_memory_refused: bool,
}

impl CallState {
    pub(crate) fn new(inputs: CallInputs, call_out: Arc<dyn CallOut>) -> Self {
        Self {
            inputs,
            call_out,
            has_begun: false,
            calls: 0,
            random_bytes: 0,
            log_lines: 0,
            log_bytes: 0,
            was_memory_refused: false,
        }
    }

    /// A state that no call will follow.
    pub(crate) fn for_start() -> Self {
        let inputs = CallInputs {
            caller: Address::ZERO,
            cryptlet: B256::ZERO,
            call_key: B256::ZERO,
            is_static: true,
            is_dry_run: true,
            observed_at_s: 0,
            anchor_block: 0,
            anchor_hash: B256::ZERO,
            chain_id: 0,
            random_seed: B256::ZERO,
            units_max: 0,
            output_bytes_max: 0,
        };
        Self::new(inputs, Arc::new(Silent))
    }

    /// From here on the host may be called.
    pub(crate) fn begin(&mut self) {
        self.has_begun = true;
    }

    pub(crate) fn was_memory_refused(&self) -> bool {
        self.was_memory_refused
    }

    fn count_call(&mut self) -> Result<(), HostLimit> {
        if !self.has_begun {
            return Err(HostLimit::DuringStart);
        }
        self.calls += 1;
        if self.calls > limits::HOST_CALLS_MAX { Err(HostLimit::Calls) } else { Ok(()) }
    }

    fn count_random(&mut self, bytes: u32) -> Result<(), HostLimit> {
        self.random_bytes = self.random_bytes.saturating_add(bytes);
        if self.random_bytes > limits::RANDOM_BYTES_MAX { Err(HostLimit::RandomBytes) } else { Ok(()) }
    }

    fn count_log(&mut self, bytes: usize) -> Result<(), HostLimit> {
        self.log_lines += 1;
        self.log_bytes = self.log_bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        let is_over = self.log_lines > limits::LOG_LINES_MAX || self.log_bytes > limits::LOG_BYTES_MAX;
        if is_over { Err(HostLimit::Log) } else { Ok(()) }
    }

    /// The next bytes of the call's randomness: `keccak256(seed ‖ position of the first byte)`, block after block.
    fn draw(&mut self, bytes: u32) -> Vec<u8> {
        let start = self.random_bytes - bytes;
        let mut drawn = Vec::with_capacity(bytes as usize + 32);
        while drawn.len() < bytes as usize {
            let position = u64::from(start) + drawn.len() as u64;
            drawn.extend_from_slice(
                &keccak256([self.inputs.random_seed.as_slice(), &position.to_be_bytes()].concat())[..],
            );
        }
        drawn.truncate(bytes as usize);
        drawn
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let is_allowed = desired <= limits::MEMORY_BYTES_MAX;
        self.was_memory_refused |= !is_allowed;
        Ok(is_allowed)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= limits::TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_MAX as usize
    }
}

/// Gives a linker the one interface there is.
pub(crate) fn add_to(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut host = linker.instance(limits::HOST_INTERFACE)?;
    host.func_wrap("context", |mut store: StoreContextMut<'_, CallState>, (): ()| {
        charge(&mut store, 84)?;
        Ok((context(&store.data().inputs),))
    })?;
    host.func_wrap("observed-at", |mut store: StoreContextMut<'_, CallState>, (): ()| {
        charge(&mut store, 8)?;
        Ok((store.data().inputs.observed_at_s,))
    })?;
    host.func_wrap("random", |mut store: StoreContextMut<'_, CallState>, (len,): (u32,)| {
        charge(&mut store, len as usize)?;
        store.data_mut().count_random(len)?;
        Ok((store.data_mut().draw(len),))
    })?;
    host.func_wrap("log", |mut store: StoreContextMut<'_, CallState>, (message,): (String,)| {
        charge(&mut store, message.len())?;
        let state = store.data_mut();
        state.count_log(message.len())?;
        state.call_out.log(state.inputs.call_key, &message);
        Ok(())
    })
}

/// Counts the call and takes its price from the guest's fuel, before anything is done for it.
fn charge(store: &mut StoreContextMut<'_, CallState>, bytes: usize) -> wasmtime::Result<()> {
    store.data_mut().count_call()?;
    let price = limits::HOST_CALL_FUEL.saturating_add(limits::HOST_BYTE_FUEL.saturating_mul(bytes as u64));
    match store.get_fuel()?.checked_sub(price) {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}

fn context(inputs: &CallInputs) -> CallContext {
    CallContext {
        caller: inputs.caller.to_vec(),
        cryptlet: inputs.cryptlet.to_vec(),
        call_key: inputs.call_key.to_vec(),
        is_static: inputs.is_static,
        dry_run: inputs.is_dry_run,
    }
}
