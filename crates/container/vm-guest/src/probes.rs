//! Forbidden things. The host has a machine try each before it trusts any: the machine must end, not answer.

use crate::{
    door,
    layout::{CODE, HEAP, IMAGE, MAILBOX, MEMORY, Probe, TABLES, TASK, port},
};
use alloc::{boxed::Box, vec};
use core::{arch::asm, mem, ptr};

/// Tries it, and tells the host if nothing happened.
pub(crate) fn run(number: u32) {
    let Some(probe) = Probe::ALL.into_iter().find(|probe| *probe as u32 == number) else { return };
    // SAFETY: it is not; that is the point.
    unsafe { attempt(probe) };
    loop {
        door::say(port::SURVIVED, number);
    }
}

unsafe fn attempt(probe: Probe) {
    const RETURN: u8 = 0xc3;
    let at = |address: u64| ptr::with_exposed_provenance_mut::<u8>(address as usize);
    unsafe {
        match probe {
            Probe::Nothing => {}
            Probe::WriteOwnText => at(IMAGE.start).write_volatile(RETURN),
            Probe::ExecuteHeap => {
                let code = Box::leak(vec![RETURN; 16].into_boxed_slice());
                assert!(HEAP.holds(code.as_ptr().addr() as u64, 16));
                mem::transmute::<*mut u8, extern "C" fn()>(code.as_mut_ptr())();
            }
            Probe::ExecuteStack => {
                let code = [RETURN; 16];
                mem::transmute::<*const u8, extern "C" fn()>(ptr::from_ref(core::hint::black_box(&code)).cast())();
            }
            Probe::ExecuteMemory => {
                at(MEMORY.start).write_volatile(RETURN);
                mem::transmute::<*mut u8, extern "C" fn()>(at(MEMORY.start))();
            }
            // The host filled it with returns.
            Probe::ExecuteCode => mem::transmute::<*mut u8, extern "C" fn()>(at(CODE.start))(),
            Probe::ReadPageTables => drop(at(TABLES.start).read_volatile()),
            Probe::ReadNothing => drop(at(0x1000).read_volatile()),
            Probe::WriteCode => at(CODE.start).write_volatile(RETURN),
            Probe::SystemCall => asm!("syscall", out("rcx") _, out("r11") _, inout("rax") 39 => _),
            Probe::LoadPageTables => asm!("mov cr3, {}", in(reg) 0_u64),
            Probe::PastTheMailbox => at(MAILBOX.end()).write_volatile(0),
            Probe::Interrupt => asm!("int 0x80", inout("rax") 20 => _),
            Probe::ReadTask => drop(at(TASK.start).read_volatile()),
            Probe::AnotherPort => door::say(port::CLOSED, 0),
            Probe::Halt => asm!("hlt"),
        }
    }
}
