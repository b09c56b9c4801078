//! The one door: bytes in the mailbox, and a word to a port.

use crate::layout::MAILBOX;
use core::{ptr, slice};
use serde::Serialize;

/// What the host left there.
pub(crate) fn mailbox() -> &'static [u8] {
    // SAFETY: mapped, and written to by the host only while this machine stands still, and by `write`, after the last use of
    // what this returned.
    unsafe { slice::from_raw_parts(ptr::with_exposed_provenance(MAILBOX.start as usize), MAILBOX.bytes as usize) }
}

/// Puts bytes there, as many as fit; says how many.
pub(crate) fn write(bytes: &[u8]) -> u32 {
    let bytes = &bytes[..bytes.len().min(MAILBOX.bytes as usize)];
    let mailbox = ptr::with_exposed_provenance_mut(MAILBOX.start as usize);
    // SAFETY: mapped, long enough, and apart from everything else.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), mailbox, bytes.len()) };
    bytes.len() as u32
}

/// Says a word to the host. Returns when the host lets the machine go on.
pub(crate) fn say(port: u16, word: u32) {
    // SAFETY: an instruction that only leaves the machine; the host writes nothing but the mailbox.
    unsafe { core::arch::asm!("out dx, eax", in("dx") port, in("eax") word, options(nostack, preserves_flags)) };
}

/// Says the last words. The host does not let the machine go on.
pub(crate) fn end(port: u16, message: &impl Serialize) -> ! {
    let mailbox = ptr::with_exposed_provenance_mut(MAILBOX.start as usize);
    // SAFETY: mapped; whatever `mailbox` returned is out of use by now.
    let mailbox: &mut [u8] = unsafe { slice::from_raw_parts_mut(mailbox, MAILBOX.bytes as usize) };
    let written = postcard::to_slice(message, mailbox).map(|bytes| bytes.len());
    let Ok(bytes) = written else { panic!("a message longer than the mailbox") };
    loop {
        say(port, bytes as u32);
    }
}
