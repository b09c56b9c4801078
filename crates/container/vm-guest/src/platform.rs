//! What a program without an operating system has to bring itself: its first instruction, its last words, copying bytes, and the
//! one pointer that the engine keeps per thread.

use crate::{door, layout::port};
use alloc::string::ToString;
use core::{
    arch::{asm, naked_asm},
    panic::PanicInfo,
    sync::atomic::{AtomicPtr, Ordering},
};

/// The host starts the machine here, with a stack, bytes of code in the first argument and a probe in the second.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "call {}", "ud2", sym start)
}

extern "C" fn start(code_bytes: usize, probe: u32) -> ! {
    crate::main(code_bytes, probe)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let text = info.to_string();
    loop {
        door::say(port::PANIC, door::write(text.as_bytes()));
    }
}

/// Named by the unwinding tables of the core library, which nothing reads.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    panic!("nothing unwinds here")
}

static ENGINE_POINTERS: [AtomicPtr<u8>; 2] =
    [AtomicPtr::new(core::ptr::null_mut()), AtomicPtr::new(core::ptr::null_mut())];

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_get(slot: usize) -> *mut u8 {
    ENGINE_POINTERS[slot].load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_set(slot: usize, pointer: *mut u8) {
    ENGINE_POINTERS[slot].store(pointer, Ordering::Relaxed);
}

// The compiler makes calls of these five. They are written in assembly so that it cannot turn them into calls of themselves.

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller promised: both stretches are there and apart.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags))
    };
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= bytes {
        // SAFETY: going up never overwrites what is still to be read.
        return unsafe { memcpy(to, from, bytes) };
    }
    // SAFETY: as the caller promised; going down never overwrites what is still to be read. The flag is put back.
    unsafe {
        asm!(
            "std", "rep movsb", "cld",
            inout("rcx") bytes => _,
            inout("rdi") to.wrapping_add(bytes).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(bytes).wrapping_sub(1) => _,
            options(nostack)
        );
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: as the caller promised.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags))
    };
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    for at in 0..bytes {
        // SAFETY: as the caller promised. Volatile, so that the loop is not recognised as what it is.
        let (a, b) = unsafe { (one.add(at).read_volatile(), other.add(at).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
    // SAFETY: as the caller promised.
    unsafe { memcmp(one, other, bytes) }
}
