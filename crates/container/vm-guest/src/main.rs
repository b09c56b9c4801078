//! The program inside the virtual machine: loads one cryptlet's machine code, and runs one call of it.
//!
//! It runs entirely in ring 3, with no kernel below it: it has no system calls, no interrupts, no clock and no devices, only the
//! door in [`door`]. Whatever it does wrong ends the machine. Its host takes a snapshot once the code is loaded, and every
//! call starts from there, so nothing here ever cleans up.
#![no_std]
#![no_main]

extern crate alloc;

mod door;
#[path = "../../src/guest/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the host, which uses more of it")]
mod guest;
mod heap;
#[path = "../../src/vm/layout.rs"]
#[allow(dead_code, reason = "shared with the host, which uses more of it")]
mod layout;
mod memory;
mod platform;
mod probes;

use alloc::{format, sync::Arc, vec::Vec};
use alloy_primitives::B256;
use core::ptr::{self, NonNull};
use guest::{
    Guest,
    call::{CallInputs, CallOut},
    profile,
    refusal::GuestRefusal,
};
use layout::{CODE, port};
use wasmtime::{Config, Engine, component::Component};

/// What the host writes into the mailbox.
type Request = (CallInputs, Vec<u8>);

/// Called by [`platform::_start`] with what the host put into two registers: bytes of code, and the probe to try instead.
fn main(code_bytes: usize, probe: u32) -> ! {
    probes::run(probe);
    match load(code_bytes) {
        Ok(guest) => {
            door::say(port::READY, 0);
            answer(&guest)
        }
        Err(refusal) => door::end(port::REFUSED, &refusal),
    }
}

fn load(code_bytes: usize) -> Result<Guest, GuestRefusal> {
    let invalid = |error: wasmtime::Error| GuestRefusal::Invalid(format!("{error:#}"));
    let engine = engine().map_err(invalid)?;
    let code = ptr::slice_from_raw_parts_mut(ptr::with_exposed_provenance_mut::<u8>(CODE.start as usize), code_bytes);
    let code = NonNull::new(code).expect("the code does not lie at zero");
    // SAFETY: the host vouches for the code, and neither it nor this program can change it from here on.
    let component = unsafe { Component::deserialize_raw(&engine, code) }.map_err(invalid)?;
    Guest::of_component(&engine, &component)
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    profile::common(&mut config);
    profile::in_vm(&mut config);
    config.with_host_memory(Arc::new(memory::TheOne)).with_custom_code_memory(Some(Arc::new(memory::CodePages)));
    // SAFETY: the host starts a machine only on a processor that has what it compiled for.
    unsafe { config.detect_host_feature(|_| Some(true)) };
    Engine::new(&config)
}

/// One call: the request lies in the mailbox, the answer goes there.
fn answer(guest: &Guest) -> ! {
    let request: postcard::Result<(Request, &[u8])> = postcard::take_from_bytes(door::mailbox());
    let Ok(((inputs, input), _)) = request else { panic!("the host's request is none") };
    let answer = guest.call(&inputs, input, Arc::new(LogDoor));
    door::end(port::ANSWER, &answer)
}

/// Log lines go out at once, so that those of a cryptlet that never ends are seen, too.
struct LogDoor;

impl CallOut for LogDoor {
    fn log(&self, _call_key: B256, message: &str) {
        door::say(port::LOG, door::write(message.as_bytes()));
    }
}
