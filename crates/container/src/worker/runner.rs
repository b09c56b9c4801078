//! Role `Run`: one call at a time, a fresh instance for each, of any cryptlet it was given the code of.

use super::ChildError;
use crate::{
    call::CallOut,
    component, engine,
    evm::EvmGuest,
    guest::Guest,
    wire::{Channel, EngineKind, FRAME_BYTES_MAX, FromWorker, ToWorker},
};
use alloy_primitives::B256;
use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

pub(super) fn serve(mut channel: Channel) -> Result<(), ChildError> {
    let engine = engine::engine(NonZeroU32::MIN)?;
    let logs: Arc<dyn CallOut> = Arc::new(LogFrames(Mutex::new(channel.share())));
    let mut guests: HashMap<B256, Loaded> = HashMap::new();
    loop {
        match channel.receive(FRAME_BYTES_MAX, None)? {
            ToWorker::Load { artefact, engine: kind, bytes } => {
                let code = channel.receive_raw(bytes as usize, None)?;
                let loaded = match kind {
                    // SAFETY: the supervisor made this code in a compiler process of its own, or authenticated it.
                    EngineKind::Wasm => unsafe { component::load(&engine, &code) }.map(Loaded::Wasm),
                    EngineKind::Evm => EvmGuest::load(&code).map(Loaded::Evm),
                };
                let answer = match loaded {
                    Ok(guest) => {
                        guests.insert(artefact, guest);
                        FromWorker::Loaded
                    }
                    Err(refusal) => FromWorker::Refused(refusal),
                };
                channel.send(&answer)?;
            }
            ToWorker::Unload { artefact } => {
                guests.remove(&artefact);
            }
            ToWorker::Call { artefact, inputs, input } => {
                let Some(guest) = guests.get(&artefact) else {
                    return Ok(()); // The supervisor lost count; a new worker starts from nothing.
                };
                let answer = match guest {
                    Loaded::Wasm(guest) => guest.call(&inputs, input, Arc::clone(&logs)),
                    Loaded::Evm(guest) => guest.call(&inputs, input),
                };
                channel.send(&FromWorker::Answer(answer))?;
            }
        }
    }
}

/// Code this worker can run.
enum Loaded {
    Wasm(Guest),
    Evm(EvmGuest),
}

/// Sends each line at once, so that the log of a guest that never ends is seen, too.
struct LogFrames(Mutex<Channel>);

impl CallOut for LogFrames {
    fn log(&self, _call_key: B256, message: &str) {
        if let Ok(mut channel) = self.0.lock() {
            // A host that is gone is noticed by the call's own answer.
            let _ = channel.send(&FromWorker::Log(message.to_owned()));
        }
    }
}
