//! Memory for secrets: never swapped, in no core file, not inherited by children, erased when dropped.

use crate::error::HostError;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::{
    fmt,
    ops::Deref,
    ptr::NonNull,
    sync::atomic::{AtomicBool, Ordering},
};
use zeroize::Zeroize;

/// Of the stack, what a signature with a key uses at most, in bytes, with room to spare.
const STACK_BYTES: usize = 32 << 10;

/// From here on this process leaves no core file, and no other process of the same user may read its memory. For processes
/// that hold keys; call it before the first secret is read.
pub fn forbid_core_dumps() -> Result<(), HostError> {
    let refused = |error: rustix::io::Errno| HostError::Isolation(format!("core dumps cannot be forbidden: {error}"));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).map_err(refused)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(refused)
}

/// Runs what handles secrets and wipes the stack that it used: moves leave copies behind that no destructor sees.
pub(crate) fn on_clean_stack<T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn call<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe() {
        let mut stack = [0u8; STACK_BYTES];
        stack.zeroize();
        std::hint::black_box(&stack);
    }
    let done = call(work);
    wipe();
    done
}

/// Pages of their own, locked if the system allows.
struct Pages {
    at: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the pages belong to this value alone; nothing in it is bound to a thread.
unsafe impl Send for Pages {}
// SAFETY: shared access only reads.
unsafe impl Sync for Pages {}

impl Pages {
    fn map(bytes: usize) -> Self {
        let bytes = bytes.max(1);
        // SAFETY: a new anonymous private mapping, of nobody else's memory.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let at = NonNull::new(at.cast::<u8>()).filter(|at| at.as_ptr().cast() != libc::MAP_FAILED);
        // Out of memory for one page: what allocation does then, too.
        let at = at.unwrap_or_else(|| std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 4096]>()));
        let pages = Self { at, bytes };
        // SAFETY: both calls only change how the kernel treats the mapping just made.
        let is_locked = unsafe {
            libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_DONTDUMP);
            libc::madvise(at.as_ptr().cast(), bytes, libc::MADV_WIPEONFORK);
            libc::mlock(at.as_ptr().cast(), bytes) == 0
        };
        if !is_locked {
            warn_once();
        }
        pages
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, writable, of this length, and nobody can refer to it any more.
        unsafe {
            std::slice::from_raw_parts_mut(self.at.as_ptr(), self.bytes).zeroize();
            libc::munmap(self.at.as_ptr().cast(), self.bytes);
        }
    }
}

fn warn_once() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!("memory for keys cannot be locked and may be swapped; raise `ulimit -l` (RLIMIT_MEMLOCK)");
    }
}

/// One value in pages of its own.
pub(crate) struct Locked<T> {
    pages: Pages,
    value: NonNull<T>,
}

// SAFETY: it owns its value, as a box does.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: it gives out shared references only, as a box does.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Makes the value and puts it there; the copy on the stack is wiped.
    pub(crate) fn new<E>(make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        on_clean_stack(|| {
            let made = make()?;
            let pages = Pages::map(size_of::<T>());
            let value = pages.at.cast::<T>();
            // SAFETY: the pages are as large as a `T`, aligned to a page, writable, and hold nothing yet.
            unsafe { value.as_ptr().write(made) };
            Ok(Self { pages, value })
        })
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: it was initialised in `new` and is dropped in `drop` only.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, and not dropped before. The pages are wiped after this.
        unsafe { self.value.as_ptr().drop_in_place() };
        let _ = &self.pages;
    }
}

/// Some bytes in pages of their own.
pub(crate) struct LockedBytes {
    pages: Pages,
    bytes: usize,
}

impl LockedBytes {
    /// So many zeros, filled in place.
    pub(crate) fn with<E>(bytes: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let pages = Pages::map(bytes);
        // SAFETY: the mapping is ours, of at least this length, zeroed by the kernel, and nobody else refers to it.
        fill(unsafe { std::slice::from_raw_parts_mut(pages.at.as_ptr(), bytes) })?;
        Ok(Self { pages, bytes })
    }

    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let copied: Result<Self, std::convert::Infallible> = Self::with(bytes.len(), |place| {
            place.copy_from_slice(bytes);
            Ok(())
        });
        copied.unwrap_or_else(|never| match never {})
    }
}

impl Deref for LockedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is ours, of at least this length, initialised, and changes no more.
        unsafe { std::slice::from_raw_parts(self.pages.at.as_ptr(), self.bytes) }
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedBytes({} bytes)", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_there_and_says_nothing_of_itself() {
        let secret = LockedBytes::copy_of(b"a secret");
        assert_eq!(&*secret, b"a secret");
        assert_eq!(format!("{secret:?}"), "LockedBytes(8 bytes)");
        assert!(LockedBytes::copy_of(b"").is_empty());
        let value = Locked::new(|| Ok::<_, ()>([7u64; 4])).unwrap();
        assert_eq!(*value, [7; 4]);
        assert!(Locked::<u8>::new(|| Err("no")).is_err());
    }

    #[test]
    fn its_pages_are_locked_and_left_out_of_core_files() {
        let secret = LockedBytes::copy_of(b"a secret");
        let at = secret.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut flags = None;
        let mut is_ours = false;
        for line in maps.lines() {
            if let Some((start, end)) = line.split(' ').next().and_then(|range| range.split_once('-'))
                && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            {
                is_ours = (start..end).contains(&at);
            }
            if is_ours && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.to_owned());
            }
        }
        let flags = flags.unwrap();
        for flag in ["lo", "dd", "wf"] {
            assert!(flags.split_whitespace().any(|found| found == flag), "{flag} is not among {flags}");
        }
    }
}
