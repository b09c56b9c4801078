//! One machine: a program with one cryptlet's code, and calls of it.

use super::{
    image::{self, GuestImage, Segment},
    launch,
    layout::{CODE, HEAP, MAILBOX, MEMORY, PAGE_BYTES, Probe, Region, STACK, TABLES, TASK, port},
    ram::{Contents, Ram},
};
use crate::{
    call::{CallAnswer, CallInputs},
    engine,
    fault::GuestRefusal,
};
use kvm_bindings::{kvm_fpu, kvm_regs, kvm_sregs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::{io, ops::Range, rc::Rc};

/// Longest text of a panic that is passed on, in bytes.
const PANIC_BYTES_MAX: usize = 1024;
/// Longest refusal, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Why a machine is no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineFault {
    /// A fault that nobody catches in there.
    #[error("it did something forbidden, and was shut down (instruction at {0:#x})")]
    Shutdown(u64),
    /// It left in a way there is no door for.
    #[error("it left by a way that is no door: {0}")]
    NoDoor(String),
    /// Its program gave up.
    #[error("its program gave up: {0}")]
    Panic(String),
    /// It tried something forbidden, and nothing happened.
    #[error("it survived probe {0}")]
    Survived(u32),
    /// The system does not run it.
    #[error("the system does not run it: {0}")]
    System(#[from] kvm_ioctls::Error),
    /// No memory for it.
    #[error("its memory: {0}")]
    Memory(#[from] io::Error),
}

/// Why code is not in a machine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadFault {
    #[error(transparent)]
    Refused(#[from] GuestRefusal),
    #[error(transparent)]
    Machine(#[from] MachineFault),
}

/// The program for machines, as they share it.
pub(crate) struct Program {
    image: GuestImage,
    constants: Vec<Rc<Ram>>,
}

/// A machine that stands at the moment before a call.
pub(crate) struct Machine {
    // Dropped in this order: the memory goes last.
    processor: VcpuFd,
    _vm: VmFd,
    ram: Memory,
    before_call: Snapshot,
}

struct Memory {
    /// Segments of the program: those that are never written are the same in all machines.
    constants: Vec<Rc<Ram>>,
    data: Vec<Ram>,
    stack: Ram,
    mailbox: Ram,
    heap: Ram,
    memory: Ram,
    code: Ram,
    tables: Ram,
    task: Ram,
}

/// All that a call can change.
#[derive(Default)]
struct Snapshot {
    registers: kvm_regs,
    special: kvm_sregs,
    floating: kvm_fpu,
    data: Vec<Contents>,
    stack: Contents,
    mailbox: Contents,
    heap: Contents,
    memory: Contents,
}

/// A word that came through the door.
enum Said {
    Refused(usize),
    Ready,
    Answer(usize),
    Log(usize),
}

impl Machine {
    /// Boots a machine with this code and stops before the first call.
    pub(crate) fn load(kvm: &Kvm, program: &Program, code: &[u8]) -> Result<Self, LoadFault> {
        if code.len() as u64 > CODE.bytes {
            let reason = format!("{} bytes of machine code; a machine takes {}", code.len(), CODE.bytes);
            return Err(GuestRefusal::CompileLimit(reason).into());
        }
        let text = image::text_of(code).map_err(|fault| GuestRefusal::Invalid(fault.to_string()))?;
        let mut machine = Self::launch(kvm, program, (code, text), Probe::Nothing)?;
        match machine.run()? {
            Said::Ready => {}
            Said::Refused(bytes) => {
                let refusal = postcard::from_bytes(machine.mail(bytes.min(REFUSAL_BYTES_MAX)));
                let refusal = refusal.map_err(|error| MachineFault::NoDoor(error.to_string()))?;
                return Err(LoadFault::Refused(refusal));
            }
            Said::Answer(_) | Said::Log(_) => return Err(out_of_turn().into()),
        }
        machine.settle()?;
        machine.before_call = machine.snapshot()?;
        Ok(machine)
    }

    /// Has a machine try something forbidden. Ends in a fault, if the wall holds.
    pub(crate) fn probe(kvm: &Kvm, program: &Program, probe: Probe) -> Result<(), MachineFault> {
        let code = [0xc3; PAGE_BYTES as usize];
        Self::launch(kvm, program, (&code, 0..0), probe)?.run().map(drop)
    }

    /// Runs one call, with log lines given to `log` as they come. Afterwards the machine is what it was before, to the last bit;
    /// after a fault it must be dropped.
    pub(crate) fn call(
        &mut self,
        inputs: &CallInputs,
        input: &[u8],
        mut log: impl FnMut(&str),
    ) -> Result<CallAnswer, MachineFault> {
        let request = postcard::to_slice(&(inputs, input), self.ram.mailbox.bytes_mut());
        request.map_err(|error| MachineFault::NoDoor(format!("the request does not fit its mailbox: {error}")))?;
        let answer = loop {
            match self.run()? {
                Said::Log(bytes) if bytes <= engine::LOG_BYTES_MAX as usize => {
                    let line = std::str::from_utf8(self.mail(bytes)).map_err(|_| out_of_turn())?;
                    log(line);
                }
                Said::Answer(bytes) => break postcard::from_bytes(self.mail(bytes)),
                _ => return Err(out_of_turn()),
            }
        };
        // Not settled first: the instruction that led out is not finished but forgotten, since the processor goes back to another.
        self.put_back()?;
        answer.map_err(|error| MachineFault::NoDoor(format!("an answer that is none: {error}")))
    }

    fn launch(
        kvm: &Kvm,
        program: &Program,
        (code, text): (&[u8], Range<u64>),
        probe: Probe,
    ) -> Result<Self, MachineFault> {
        let ram = Memory::new(program, code, text)?;
        let vm = kvm.create_vm()?;
        for (slot, ram) in (0..).zip(ram.all()) {
            let region = kvm_userspace_memory_region {
                slot,
                flags: 0,
                guest_phys_addr: ram.region.start,
                memory_size: ram.region.bytes,
                userspace_addr: ram.address(),
            };
            // SAFETY: memory of this process that lives as long as the machine, and overlaps no other slot.
            unsafe { vm.set_user_memory_region(region)? };
        }
        let processor = vm.create_vcpu(0)?;
        processor.set_sregs(&launch::special_registers(processor.get_sregs()?))?;
        processor.set_regs(&launch::registers(&program.image, code.len() as u64, probe))?;
        Ok(Self { processor, _vm: vm, ram, before_call: Snapshot::default() })
    }

    /// Lets the machine run until it says something. A signal may interrupt it; then it goes on.
    fn run(&mut self) -> Result<Said, MachineFault> {
        loop {
            match self.processor.run() {
                Ok(VcpuExit::IoOut(port, word)) => {
                    let word = <[u8; 4]>::try_from(word).map(u32::from_le_bytes);
                    let word = word.map_err(|_| MachineFault::NoDoor(format!("port {port:#x}")))?;
                    return self.said(port, word);
                }
                Ok(VcpuExit::Shutdown) => {
                    return Err(MachineFault::Shutdown(self.processor.get_regs().map_or(0, |registers| registers.rip)));
                }
                Ok(other) => return Err(MachineFault::NoDoor(format!("{other:?}"))),
                Err(error) if error.errno() == libc::EINTR => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What a word means. A number of bytes never exceeds the mailbox.
    fn said(&self, port: u16, word: u32) -> Result<Said, MachineFault> {
        let bytes = word as usize;
        let is_in_mailbox = u64::from(word) <= MAILBOX.bytes;
        match port {
            port::READY => Ok(Said::Ready),
            port::REFUSED if is_in_mailbox => Ok(Said::Refused(bytes)),
            port::ANSWER if is_in_mailbox => Ok(Said::Answer(bytes)),
            port::LOG if is_in_mailbox => Ok(Said::Log(bytes)),
            port::PANIC if is_in_mailbox => {
                let text = String::from_utf8_lossy(self.mail(bytes.min(PANIC_BYTES_MAX))).into_owned();
                Err(MachineFault::Panic(text))
            }
            port::SURVIVED => Err(MachineFault::Survived(word)),
            _ => Err(MachineFault::NoDoor(format!("port {port:#x} with {word:#x}"))),
        }
    }

    /// The first so many bytes of the mailbox.
    fn mail(&self, bytes: usize) -> &[u8] {
        &self.ram.mailbox.bytes()[..bytes]
    }

    /// Finishes the instruction that led out of the machine, without running any other.
    fn settle(&mut self) -> Result<(), MachineFault> {
        self.processor.set_kvm_immediate_exit(1);
        let outcome = self.processor.run().map(|exit| format!("{exit:?}"));
        self.processor.set_kvm_immediate_exit(0);
        match outcome {
            Err(error) if error.errno() == libc::EINTR => Ok(()),
            Err(error) => Err(error.into()),
            Ok(exit) => Err(MachineFault::NoDoor(exit)),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot, MachineFault> {
        Ok(Snapshot {
            registers: self.processor.get_regs()?,
            special: self.processor.get_sregs()?,
            floating: self.processor.get_fpu()?,
            data: self.ram.data.iter_mut().map(Ram::contents).collect::<Result<_, _>>()?,
            stack: self.ram.stack.contents()?,
            mailbox: self.ram.mailbox.contents()?,
            heap: self.ram.heap.contents()?,
            memory: self.ram.memory.contents()?,
        })
    }

    fn put_back(&mut self) -> Result<(), MachineFault> {
        let before = &self.before_call;
        self.processor.set_regs(&before.registers)?;
        self.processor.set_sregs(&before.special)?;
        self.processor.set_fpu(&before.floating)?;
        for (data, before) in self.ram.data.iter_mut().zip(&before.data) {
            data.put_back(before)?;
        }
        self.ram.stack.put_back(&before.stack)?;
        self.ram.mailbox.put_back(&before.mailbox)?;
        self.ram.heap.put_back(&before.heap)?;
        Ok(self.ram.memory.put_back(&before.memory)?)
    }
}

impl Program {
    /// Puts the program's constant segments into memory.
    pub(crate) fn new(image: GuestImage) -> io::Result<Self> {
        let constants = image.segments.iter().filter(|segment| !segment.is_writable);
        let constants = constants.map(|segment| segment.in_memory().map(Rc::new)).collect::<io::Result<_>>()?;
        Ok(Self { image, constants })
    }
}

impl Segment {
    fn in_memory(&self) -> io::Result<Ram> {
        let mut ram = Ram::new(Region { start: self.start, bytes: self.bytes })?;
        ram.bytes_mut()[..self.contents.len()].copy_from_slice(&self.contents);
        Ok(ram)
    }
}

impl Memory {
    fn new(program: &Program, code: &[u8], text: Range<u64>) -> io::Result<Self> {
        let code_bytes = (code.len() as u64).next_multiple_of(PAGE_BYTES).max(PAGE_BYTES);
        let data = program.image.segments.iter().filter(|segment| segment.is_writable);
        let mut memory = Self {
            constants: program.constants.clone(),
            data: data.map(Segment::in_memory).collect::<io::Result<_>>()?,
            stack: Ram::new(STACK)?,
            mailbox: Ram::new(MAILBOX)?,
            heap: Ram::new(HEAP)?,
            memory: Ram::new(MEMORY)?,
            code: Ram::new(Region { bytes: code_bytes, ..CODE })?,
            tables: Ram::new(TABLES)?,
            task: Ram::new(TASK)?,
        };
        memory.code.bytes_mut()[..code.len()].copy_from_slice(code);
        launch::lay_out(memory.tables.bytes_mut(), &program.image, code_bytes, text);
        launch::list_ports(memory.task.bytes_mut());
        Ok(memory)
    }

    fn all(&self) -> impl Iterator<Item = &Ram> {
        let rest = [&self.stack, &self.mailbox, &self.heap, &self.memory, &self.code, &self.tables, &self.task];
        self.constants.iter().map(Rc::as_ref).chain(&self.data).chain(rest)
    }
}

fn out_of_turn() -> MachineFault {
    MachineFault::NoDoor("a word that does not belong here".to_owned())
}
