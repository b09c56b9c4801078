//! Role `Program`: locks itself in with a program and its runtime, says so, and becomes that program.

use super::ChildError;
use crate::{
    engine::EngineProfile,
    program::RuntimeView,
    sandbox::{self, ResourceBounds},
    wire::{Channel, PROTOCOL_VERSION, ProgramTask, Ready},
};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::{
    ffi::{CString, c_char},
    io,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
};

/// Longest task, in bytes.
const TASK_BYTES_MAX: usize = 64 << 10;

/// Never returns if all goes well: this process is the program then, its channel is standard input and output.
pub(super) fn become_program(mut channel: Channel, bounds: &ResourceBounds) -> Result<(), ChildError> {
    let task: ProgramTask = channel.receive(TASK_BYTES_MAX, None)?;
    let program = channel.receive_raw(task.bytes as usize, None)?;
    let words = Words::of(&task.view).map_err(ChildError::NotExecuted)?;
    connect_streams().map_err(ChildError::NotExecuted)?;
    let (report, executable) = sandbox::enter_as_program(&task.view, &program, bounds);
    let profile = EngineProfile::current().digest();
    channel.send(&Ready { version: PROTOCOL_VERSION, profile, report })?;
    let executable = executable.map_err(|error| ChildError::NotExecuted(error.into()))?;
    Err(ChildError::NotExecuted(words.execute(&executable)))
}

/// Standard output becomes the channel, too. Nobody reads standard error before the end, so a full pipe must not stop the
/// program: it loses what does not fit.
fn connect_streams() -> io::Result<()> {
    // SAFETY: both are open, and nothing in this process has standard output in hand.
    if unsafe { libc::dup2(libc::STDIN_FILENO, libc::STDOUT_FILENO) } == -1 {
        return Err(io::Error::last_os_error());
    }
    let flags = fcntl_getfl(io::stderr())?;
    Ok(fcntl_setfl(io::stderr(), flags | OFlags::NONBLOCK)?)
}

/// Arguments and environment in the form the system wants them.
struct Words {
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Words {
    fn of(view: &RuntimeView) -> io::Result<Self> {
        let all = |words: &[String]| {
            words
                .iter()
                .map(|word| CString::new(word.as_str()).map_err(io::Error::from))
                .collect::<io::Result<Vec<_>>>()
        };
        Ok(Self { arguments: all(&view.arguments)?, environment: all(&view.environment)? })
    }

    /// Returns only with an error.
    fn execute(&self, executable: &OwnedFd) -> io::Error {
        let pointers = |words: &[CString]| -> Vec<*const c_char> {
            words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: both lists end with a null, and they and what they point to live until the call returns, if it does.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                executable.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            );
        }
        io::Error::last_os_error()
    }
}
