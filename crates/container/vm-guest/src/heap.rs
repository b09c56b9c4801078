//! The heap: blocks of powers of two from the region, with a list of free ones per size. Everything is undone after a call, when
//! the host puts the machine back to where it was.

use crate::layout::{HEAP, PAGE_BYTES};
use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    ptr,
};

/// Smallest block: 16 bytes.
const SHIFT_MIN: u32 = 4;
const SHIFTS: usize = 32;

struct Heap(UnsafeCell<State>);

struct State {
    next: u64,
    free: [*mut Block; SHIFTS],
}

struct Block {
    next: *mut Block,
}

// SAFETY: the machine has one processor and no interrupts.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP_STATE: Heap = Heap(UnsafeCell::new(State { next: HEAP.start, free: [ptr::null_mut(); SHIFTS] }));

fn shift_of(layout: &Layout) -> u32 {
    let bytes = layout.size().max(layout.align()).max(1 << SHIFT_MIN);
    bytes.checked_next_power_of_two().map_or(usize::BITS, usize::trailing_zeros)
}

// SAFETY: a block is as large as the power of two above what was asked for, as aligned as that or a page, and in one hand at a
// time.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let shift = shift_of(&layout);
        // SAFETY: one processor; nothing else holds the state.
        let state = unsafe { &mut *self.0.get() };
        let Some(free) = state.free.get_mut(shift as usize).filter(|_| layout.align() as u64 <= PAGE_BYTES) else {
            return ptr::null_mut();
        };
        if !free.is_null() {
            let block = *free;
            // SAFETY: a free block begins with the link that `dealloc` wrote.
            *free = unsafe { (*block).next };
            return block.cast();
        }
        let bytes = 1 << shift;
        let start = state.next.next_multiple_of(bytes.min(PAGE_BYTES));
        if !HEAP.holds(start, bytes) {
            return ptr::null_mut();
        }
        state.next = start + bytes;
        ptr::with_exposed_provenance_mut(start as usize)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: one processor; nothing else holds the state.
        let state = unsafe { &mut *self.0.get() };
        if let Some(free) = state.free.get_mut(shift_of(&layout) as usize) {
            let block: *mut Block = at.cast();
            // SAFETY: the block is no longer in use, and large and aligned enough for a link.
            unsafe { (*block).next = *free };
            *free = block;
        }
    }
}
