//! A guest in an engine: load it once, run a fresh instance of it per call.

use super::{
    call::{CallAnswer, CallInputs, CallOut, Ending},
    ending,
    host_interface::{self, CallState},
    limits,
    refusal::GuestRefusal,
};
use alloc::{borrow::ToOwned, format, string::String, sync::Arc, vec::Vec};
use wasmtime::{
    Engine, Store,
    component::{Component, Instance, InstancePre, Linker, TypedFunc, types::ComponentItem},
};

/// `handle` of `wit/cryptlet.wit`.
type Handle = TypedFunc<(Vec<u8>,), (Result<Vec<u8>, Vec<u8>>,)>;
/// Bytes the engine may copy out of a guest at once; just above the longest output, so that the output's own limit speaks.
const COPY_BYTES_MAX: usize = limits::OUTPUT_BYTES_MAX + 4096;

/// Compiled code, checked against the world, ready to be instantiated.
pub(crate) struct Guest {
    instance_pre: InstancePre<CallState>,
}

impl Guest {
    /// Checks a component against the world.
    pub(crate) fn of_component(engine: &Engine, component: &Component) -> Result<Self, GuestRefusal> {
        refuse_foreign_imports(engine, component)?;
        let mut linker = Linker::new(engine);
        let wrong_world = |error: wasmtime::Error| GuestRefusal::WrongWorld(format!("{error:#}"));
        host_interface::add_to(&mut linker).map_err(wrong_world)?;
        let instance_pre = linker.instantiate_pre(component).map_err(wrong_world)?;
        Ok(Self { instance_pre })
    }

    /// Instantiates once, to see that it can be done and that `handle` is there.
    pub(crate) fn try_start(&self) -> Result<(), GuestRefusal> {
        let mut store = self.store(CallState::for_start());
        let instance = self.instantiate(&mut store).map_err(GuestRefusal::CannotStart)?;
        handle_of(&mut store, &instance).map_err(|error| GuestRefusal::WrongWorld(format!("`handle`: {error:#}")))?;
        Ok(())
    }

    /// Runs one call in an instance of its own. Instantiation is free, within its own bound; then the fuel is armed.
    pub(crate) fn call(&self, inputs: &CallInputs, input: Vec<u8>, call_out: Arc<dyn CallOut>) -> CallAnswer {
        let mut store = self.store(CallState::new(*inputs, call_out));
        let instance = match self.instantiate(&mut store) {
            Ok(instance) => instance,
            Err(reason) => return CallAnswer { ending: Ending::Trapped(reason), units: 0 },
        };
        let fuel_max = inputs.units_max.saturating_mul(limits::FUEL_PER_UNIT);
        store.data_mut().begin();
        store.set_fuel(fuel_max).expect("the profile turns fuel on");

        let outcome = handle_of(&mut store, &instance).and_then(|handle| handle.call(&mut store, (input,)));

        let fuel_left = store.get_fuel().expect("the profile turns fuel on");
        let mut units = fuel_max.saturating_sub(fuel_left).div_ceil(limits::FUEL_PER_UNIT).min(inputs.units_max);
        let output_bytes_max = (inputs.output_bytes_max as usize).min(limits::OUTPUT_BYTES_MAX);
        let ending = match outcome {
            Ok((Ok(output) | Err(output),)) if output.len() > output_bytes_max => {
                Ending::Trapped(ending::output_too_long(output_bytes_max))
            }
            Ok((Ok(output),)) => Ending::Returned(output),
            Ok((Err(failure),)) => Ending::Failed(failure),
            Err(error) => {
                if ending::is_out_of_fuel(&error) {
                    units = inputs.units_max;
                }
                Ending::Trapped(ending::reason(&error, store.data().was_memory_refused()))
            }
        };
        CallAnswer { ending, units }
    }

    fn store(&self, state: CallState) -> Store<CallState> {
        let mut store = Store::new(self.instance_pre.engine(), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(COPY_BYTES_MAX);
        store
    }

    fn instantiate(&self, store: &mut Store<CallState>) -> Result<Instance, String> {
        store.set_fuel(limits::INSTANTIATION_FUEL_MAX).expect("the profile turns fuel on");
        self.instance_pre.instantiate(&mut *store).map_err(|error| start_reason(&error, store.data()))
    }
}

fn handle_of(store: &mut Store<CallState>, instance: &Instance) -> wasmtime::Result<Handle> {
    instance.get_typed_func(store, "handle")
}

fn start_reason(error: &wasmtime::Error, state: &CallState) -> String {
    let is_known = error.is::<wasmtime::Trap>() || error.is::<ending::HostLimit>() || state.was_memory_refused();
    // What is neither a trap nor a limit of ours is the engine's own word on the component's shape; it names no address.
    let reason = if is_known { ending::reason(error, state.was_memory_refused()) } else { format!("{error:#}") };
    format!("at start: {reason}")
}

fn refuse_foreign_imports(engine: &Engine, component: &Component) -> Result<(), GuestRefusal> {
    for (name, import) in component.component_type().imports(engine) {
        let is_type = matches!(import.ty, ComponentItem::Type(_));
        if name != limits::HOST_INTERFACE && !is_type {
            return Err(GuestRefusal::ForeignImport(name.to_owned()));
        }
    }
    Ok(())
}
