//! How a machine begins: its page tables and its processor, and the hash of both.

use super::{
    image::GuestImage,
    layout::{CODE, HEAP, MAILBOX, MEMORY, PAGE_BYTES, Probe, Region, STACK, TABLES, TASK, port},
};
use alloy_primitives::{B256, Keccak256};
use kvm_bindings::{kvm_regs, kvm_segment, kvm_sregs};
use std::ops::Range;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// Accessed and dirty, set from the beginning so that the processor has nothing to note.
const SEEN: u64 = 1 << 5 | 1 << 6;
const NEVER_EXECUTE: u64 = 1 << 63;
/// An entry that maps two megabytes at once.
const LARGE: u64 = 1 << 7;
const ENTRIES: u64 = 512;
/// Bytes of a large page.
const LARGE_PAGE_BYTES: u64 = PAGE_BYTES * ENTRIES;

/// `CR0`: protection, paging, write protection, native floating point.
const CR0: u64 = 1 << 31 | 1 << 18 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1;
/// `CR4`: physical address extension, SSE; reading the time stamp is for ring 0 only, of which there is none
/// (KVM that shares its own page tables and control registers with guests, `kvm-pvm`, does not honour that).
const CR4: u64 = 1 << 10 | 1 << 9 | 1 << 5 | 1 << 2;
/// `EFER`: long mode, pages that are never executed; no `syscall`.
const EFER: u64 = 1 << 11 | 1 << 10 | 1 << 8;
/// `RFLAGS`: only the bit that is always set.
const RFLAGS: u64 = 1 << 1;
/// Bytes of a task state segment before its list of ports.
const TASK_HEADER_BYTES: u16 = 104;
/// Offset in it of the place of that list.
const PORTS_AT: usize = 102;
/// Bytes of the list: a bit for each port of the door, and the byte of ones that ends it.
const PORTS_BYTES: u16 = 4;

/// What may be done with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
    Execute,
    /// Nothing, in ring 3; the processor itself reads it.
    None,
}

impl Access {
    const fn bits(self) -> u64 {
        let rights = match self {
            Self::None => NEVER_EXECUTE,
            Self::Read => USER | NEVER_EXECUTE,
            Self::Write => USER | NEVER_EXECUTE | WRITABLE,
            Self::Execute => USER,
        };
        PRESENT | SEEN | rights
    }
}

/// Four levels of tables, for the first gigabyte.
struct PageTables<'a> {
    words: &'a mut [u8],
    next: u64,
}

impl<'a> PageTables<'a> {
    /// Empty ones, in this memory, which is zero.
    fn new(memory: &'a mut [u8]) -> Self {
        let mut tables = Self { words: memory, next: TABLES.start + 3 * PAGE_BYTES };
        let inner = PRESENT | WRITABLE | USER | 1 << 5;
        tables.put(TABLES.start, (TABLES.start + PAGE_BYTES) | inner);
        tables.put(TABLES.start + PAGE_BYTES, (TABLES.start + 2 * PAGE_BYTES) | inner);
        tables
    }

    /// Maps whole pages to themselves. The stretch lies in the first gigabyte.
    fn map(&mut self, start: u64, bytes: u64, access: Access) {
        for page in start / PAGE_BYTES..(start + bytes).div_ceil(PAGE_BYTES) {
            let (upper, lower) = (page / ENTRIES, page % ENTRIES);
            assert!(upper < ENTRIES, "a page beyond the first gigabyte");
            let slot = TABLES.start + 2 * PAGE_BYTES + upper * 8;
            if self.at(slot) == 0 {
                assert!(TABLES.holds(self.next, PAGE_BYTES), "no room for tables");
                self.put(slot, self.next | PRESENT | WRITABLE | USER | 1 << 5);
                self.next += PAGE_BYTES;
            }
            let table = self.at(slot) & !0xfff;
            self.put(table + lower * 8, (page * PAGE_BYTES) | access.bits());
        }
    }

    /// Maps whole large pages to themselves, in their own two megabytes: as the others, with fewer tables.
    fn map_large(&mut self, region: Region, access: Access) {
        assert!((region.start | region.bytes).is_multiple_of(LARGE_PAGE_BYTES), "not large pages");
        for page in region.start / LARGE_PAGE_BYTES..region.end() / LARGE_PAGE_BYTES {
            assert!(page < ENTRIES, "a page beyond the first gigabyte");
            self.put(TABLES.start + 2 * PAGE_BYTES + page * 8, (page * LARGE_PAGE_BYTES) | access.bits() | LARGE);
        }
    }

    fn at(&self, address: u64) -> u64 {
        let at = (address - TABLES.start) as usize;
        u64::from_le_bytes(self.words[at..at + 8].try_into().expect("eight bytes"))
    }

    fn put(&mut self, address: u64, word: u64) {
        let at = (address - TABLES.start) as usize;
        self.words[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }
}

/// The tables of a machine with so many bytes of code, of which these are the text.
pub(super) fn lay_out(memory: &mut [u8], image: &GuestImage, code_bytes: u64, text: Range<u64>) {
    let mut tables = PageTables::new(memory);
    for segment in &image.segments {
        let access = match (segment.is_writable, segment.is_executable) {
            (true, _) => Access::Write,
            (false, true) => Access::Execute,
            (false, false) => Access::Read,
        };
        tables.map(segment.start, segment.bytes, access);
    }
    for region in [HEAP, MEMORY] {
        tables.map_large(region, Access::Write);
    }
    for Region { start, bytes } in [STACK, MAILBOX] {
        tables.map(start, bytes, Access::Write);
    }
    tables.map(TASK.start, TASK.bytes, Access::None);
    tables.map(CODE.start, code_bytes, Access::Read);
    tables.map(CODE.start + text.start, text.end - text.start, Access::Execute);
}

/// The list of ports, which lies in a task state segment: the door, and no other.
pub(super) fn list_ports(memory: &mut [u8]) {
    memory[PORTS_AT..PORTS_AT + 2].copy_from_slice(&TASK_HEADER_BYTES.to_le_bytes());
    let closed = u32::MAX << port::CLOSED;
    let at = usize::from(TASK_HEADER_BYTES);
    memory[at..at + usize::from(PORTS_BYTES)].copy_from_slice(&closed.to_le_bytes());
}

/// The processor's first state: ring 3, no interrupts, no descriptors to load.
pub(super) fn special_registers(mut from: kvm_sregs) -> kvm_sregs {
    let data = kvm_segment {
        limit: u32::MAX,
        selector: 0x2b,
        type_: 3,
        present: 1,
        dpl: 3,
        db: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let code = kvm_segment { selector: 0x33, type_: 11, db: 0, l: 1, ..data };
    let task_bytes = u32::from(TASK_HEADER_BYTES + PORTS_BYTES);
    let task = kvm_segment {
        base: TASK.start,
        limit: task_bytes - 1,
        selector: 0x40,
        type_: 11,
        present: 1,
        ..Default::default()
    };
    (from.cs, from.ss, from.ds, from.es, from.fs, from.gs) = (code, data, data, data, data, data);
    from.tr = task;
    from.ldt = kvm_segment { unusable: 1, ..Default::default() };
    (from.gdt.base, from.gdt.limit, from.idt.base, from.idt.limit) = (0, 0, 0, 0);
    (from.cr0, from.cr3, from.cr4, from.efer) = (CR0, TABLES.start, CR4, EFER);
    from
}

/// And its ordinary registers: the program's entry, its stack, and two arguments.
pub(super) fn registers(image: &GuestImage, code_bytes: u64, probe: Probe) -> kvm_regs {
    kvm_regs {
        rip: image.entry,
        rsp: STACK.end(),
        rdi: code_bytes,
        rsi: u64::from(probe as u32),
        rflags: RFLAGS,
        ..Default::default()
    }
}

/// Hash of everything that a machine begins with, but the code it will run, which has a digest of its own: the program, the page
/// tables, the processor.
pub(crate) fn measurement(image: &GuestImage) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"cryptlet/vm/launch/v1");
    for segment in &image.segments {
        hasher.update(segment.start.to_be_bytes());
        hasher.update(segment.bytes.to_be_bytes());
        hasher.update([u8::from(segment.is_writable), u8::from(segment.is_executable)]);
        hasher.update((segment.contents.len() as u64).to_be_bytes());
        hasher.update(&segment.contents);
    }
    let mut tables = vec![0; TABLES.bytes as usize];
    lay_out(&mut tables, image, 0, 0..0);
    hasher.update(&tables);
    let mut task = vec![0; TASK.bytes as usize];
    list_ports(&mut task);
    hasher.update(&task);
    let first = registers(image, 0, Probe::Nothing);
    for word in [first.rip, first.rsp, first.rdi, first.rsi, first.rflags, CR0, TABLES.start, CR4, EFER] {
        hasher.update(word.to_be_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vm::{image::Segment, layout::IMAGE};

    fn image() -> GuestImage {
        let text = Segment {
            start: IMAGE.start,
            bytes: 4096,
            contents: vec![0xcc; 10],
            is_writable: false,
            is_executable: true,
        };
        let data = Segment {
            start: IMAGE.start + 4096,
            contents: vec![],
            is_writable: true,
            is_executable: false,
            ..text.clone()
        };
        GuestImage { entry: IMAGE.start, segments: vec![text, data] }
    }

    /// Every page that the tables lead to, with what may be done there.
    fn walk(memory: &mut [u8]) -> Vec<(u64, u64)> {
        let tables = PageTables { words: memory, next: TABLES.end() };
        let mut pages = Vec::new();
        for upper in 0..ENTRIES {
            let entry = tables.at(TABLES.start + 2 * PAGE_BYTES + upper * 8);
            for lower in (0..ENTRIES).filter(|_| entry != 0) {
                let page = match entry & LARGE {
                    0 => tables.at((entry & !0xfff) + lower * 8),
                    _ => (entry ^ LARGE) + lower * PAGE_BYTES,
                };
                if page != 0 {
                    pages.push(((upper * ENTRIES + lower) * PAGE_BYTES, page));
                }
            }
        }
        pages
    }

    #[test]
    fn every_page_is_itself_and_none_is_both_writable_and_executable_or_a_table() {
        let mut memory = vec![0; TABLES.bytes as usize];
        lay_out(&mut memory, &image(), CODE.bytes, PAGE_BYTES..4 * PAGE_BYTES);
        let pages = walk(&mut memory);
        for (address, entry) in &pages {
            assert_eq!(entry & 0x000f_ffff_ffff_f000, *address);
            assert!(!(entry & WRITABLE != 0 && entry & NEVER_EXECUTE == 0), "{address:#x}");
            assert!(!TABLES.holds(*address, PAGE_BYTES));
        }
        let writable: u64 = pages.iter().filter(|(_, entry)| entry & WRITABLE != 0).count() as u64 * PAGE_BYTES;
        assert_eq!(writable, PAGE_BYTES + STACK.bytes + MAILBOX.bytes + HEAP.bytes + MEMORY.bytes);
        let executable = pages.iter().filter(|(_, entry)| entry & NEVER_EXECUTE == 0).count();
        assert_eq!(executable, 1 + 3);
    }

    #[test]
    fn another_program_or_another_right_is_another_measurement() {
        let mut other = image();
        other.segments[0].contents[3] ^= 1;
        let mut wider = image();
        wider.segments[1].is_writable = false;
        let mut elsewhere = image();
        elsewhere.entry += 1;
        let all = [image(), other, wider, elsewhere].map(|image| measurement(&image));
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(measurement(&image()), all[0]);
    }
}
