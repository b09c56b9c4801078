//! Where everything lies in the virtual machine, and the few words it can say. Compiled into both sides.
//!
//! Addresses are the same in the machine's memory and in its address space (identity mapping). Between regions nothing is
//! mapped. No region is ever both writable and executable.

/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 4096;

/// A stretch of the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
}

impl Region {
    pub(crate) const fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// Does this stretch lie within?
    pub(crate) const fn holds(&self, start: u64, bytes: u64) -> bool {
        start >= self.start && bytes <= self.bytes && start - self.start <= self.bytes - bytes
    }
}

/// The processor's list of ports that ring 3 may write to. For the processor's eyes only.
pub(crate) const TASK: Region = Region { start: 0x0010_0000, bytes: PAGE_BYTES };
/// The guest program, as its ELF file lays it out.
pub(crate) const IMAGE: Region = Region { start: 0x0020_0000, bytes: 8 << 20 };
/// Its stack: the cryptlet's megabyte, and as much for the program itself.
pub(crate) const STACK: Region = Region { start: 0x0100_0000, bytes: 2 << 20 };
/// Requests come in here, answers and log lines go out.
pub(crate) const MAILBOX: Region = Region { start: 0x0200_0000, bytes: (8 << 20) + (64 << 10) };
/// The program's heap.
pub(crate) const HEAP: Region = Region { start: 0x0400_0000, bytes: 96 << 20 };
/// The cryptlet's linear memory.
pub(crate) const MEMORY: Region = Region { start: 0x1000_0000, bytes: 128 << 20 };
/// The cryptlet's machine code and what belongs to it, in the engine's own format. Never writable in the machine.
pub(crate) const CODE: Region = Region { start: 0x2000_0000, bytes: 512 << 20 };
/// Page tables: in the machine's memory, but in nobody's address space.
pub(crate) const TABLES: Region = Region { start: 0x4000_0000, bytes: 4 << 20 };

/// The one door: writing a word to one of these ports. The word is a number of bytes in the mailbox, or zero. Writing to
/// any other is a fault like any. They are four apart, since a word is written to four neighbours.
pub(crate) mod port {
    /// The code was refused: a `GuestRefusal` lies in the mailbox.
    pub(crate) const REFUSED: u16 = 0;
    /// The code is loaded; the word is zero. Every call starts from this very state.
    pub(crate) const READY: u16 = 4;
    /// The call has ended: a `CallAnswer` lies in the mailbox.
    pub(crate) const ANSWER: u16 = 8;
    /// A log line lies in the mailbox; the machine goes on.
    pub(crate) const LOG: u16 = 12;
    /// The text of a panic lies in the mailbox.
    pub(crate) const PANIC: u16 = 16;
    /// A forbidden thing was done and nothing happened; the word is its number. Only in self-tests.
    pub(crate) const SURVIVED: u16 = 20;
    /// The first that is closed.
    pub(crate) const CLOSED: u16 = 24;
}

/// Forbidden things that the machine tries when it is told to, each of which must be its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Probe {
    /// None: run a cryptlet.
    Nothing = 0,
    WriteOwnText = 1,
    ExecuteHeap = 2,
    ExecuteStack = 3,
    ExecuteMemory = 4,
    WriteCode = 5,
    ExecuteCode = 6,
    ReadPageTables = 7,
    ReadTask = 8,
    ReadNothing = 9,
    PastTheMailbox = 10,
    LoadPageTables = 11,
    SystemCall = 12,
    Interrupt = 13,
    Halt = 14,
    AnotherPort = 15,
}

impl Probe {
    pub(crate) const ALL: [Self; 15] = [
        Self::WriteOwnText,
        Self::ExecuteHeap,
        Self::ExecuteStack,
        Self::ExecuteMemory,
        Self::WriteCode,
        Self::ExecuteCode,
        Self::ReadPageTables,
        Self::ReadTask,
        Self::ReadNothing,
        Self::PastTheMailbox,
        Self::LoadPageTables,
        Self::SystemCall,
        Self::Interrupt,
        Self::Halt,
        Self::AnotherPort,
    ];
}
