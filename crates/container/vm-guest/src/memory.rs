//! The cryptlet's linear memory, and its code: stretches that the host has laid out.

use crate::layout::{MEMORY, PAGE_BYTES};
use alloc::{boxed::Box, string::String};
use core::ptr;
use wasmtime::{CustomCodeMemory, LinearMemory, MemoryCreator, MemoryType, bail};

/// There is one memory, and it is there from the beginning: the host gives it zeroed pages as they are touched.
pub(crate) struct TheOne;

struct Taken {
    bytes: usize,
}

// SAFETY: every memory is the same stretch, mapped from end to end; the engine's limits let a component have one.
unsafe impl MemoryCreator for TheOne {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        _: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if minimum as u64 > MEMORY.bytes || guard != 0 {
            return Err(alloc::format!("{minimum} bytes of memory; at most {} are given", MEMORY.bytes));
        }
        Ok(Box::new(Taken { bytes: minimum }))
    }
}

// SAFETY: the stretch never moves, and grows only within itself.
unsafe impl LinearMemory for Taken {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        MEMORY.bytes as usize
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes as u64 > MEMORY.bytes {
            bail!("{bytes} bytes of memory; at most {} are given", MEMORY.bytes);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        ptr::with_exposed_provenance_mut(MEMORY.start as usize)
    }
}

/// The host has made the code's text executable before the machine began; it is never writable here.
pub(crate) struct CodePages;

impl CustomCodeMemory for CodePages {
    fn required_alignment(&self) -> usize {
        PAGE_BYTES as usize
    }

    fn publish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
        Ok(())
    }
}
