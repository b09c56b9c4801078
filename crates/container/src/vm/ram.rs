//! A stretch of the machine's memory, as this process has it.

use super::layout::{PAGE_BYTES, Region};
use std::{io, mem::MaybeUninit, ptr, slice};

const PAGE: usize = PAGE_BYTES as usize;
/// Pages beyond the snapshot that stay with the machine after a call; with more, all go back to the system.
const KEPT_PAGES_MAX: usize = 128;
/// Pages that are asked for together.
const STATES_AT_ONCE: usize = 256;

/// Private, zeroed, and not there until it is touched.
#[derive(Debug)]
pub(super) struct Ram {
    pub(super) region: Region,
    at: ptr::NonNull<u8>,
    /// The system's answer, a byte for each page. Kept only for its room.
    present: Vec<u8>,
}

/// What a stretch held at one moment: pages that were there, rising.
#[derive(Debug, Default)]
pub(super) struct Contents(Vec<(usize, Box<[u8; PAGE]>)>);

impl Ram {
    pub(super) fn new(region: Region) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, anywhere; it touches no other.
        let at = unsafe { libc::mmap(ptr::null_mut(), region.bytes as usize, protection, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = ptr::NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ram = Self { region, at, present: vec![0; region.bytes as usize / PAGE] };
        // Small pages: what a call touched is then exactly what has to be put back.
        ram.advise(0, region.bytes as usize, libc::MADV_NOHUGEPAGE).or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Ok(()), // A kernel without large pages.
            _ => Err(error),
        })?;
        Ok(ram)
    }

    pub(super) fn address(&self) -> u64 {
        self.at.as_ptr().expose_provenance() as u64
    }

    /// Its bytes. The machine must stand still, which the borrow of its owner sees to.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped and readable for its whole length; the processor that also writes it runs only under `&mut Machine`.
        unsafe { slice::from_raw_parts(self.at.as_ptr(), self.region.bytes as usize) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and writable.
        unsafe { slice::from_raw_parts_mut(self.at.as_ptr(), self.region.bytes as usize) }
    }

    /// Keeps what is there now.
    pub(super) fn contents(&mut self) -> io::Result<Contents> {
        let mut contents = Vec::new();
        for page in self.pages_there()? {
            let bytes = &self.bytes()[page * PAGE..][..PAGE];
            if bytes.iter().any(|byte| *byte != 0) {
                contents.push((page, Box::new(bytes.try_into().expect("a page's bytes"))));
            }
        }
        Ok(Contents(contents))
    }

    /// Makes it again what it was, whatever was done to it: every page is written anew or given back to the system.
    pub(super) fn put_back(&mut self, contents: &Contents) -> io::Result<()> {
        self.put_back_where(contents, can_swap()?)
    }

    fn put_back_where(&mut self, contents: &Contents, can_swap: bool) -> io::Result<()> {
        let there = self.pages_there()?;
        if there.len() > contents.0.len() + KEPT_PAGES_MAX {
            self.advise(0, self.region.bytes as usize, libc::MADV_DONTNEED)?;
        } else {
            if can_swap {
                self.give_back_all_but(&there)?;
            }
            let mut saved = contents.0.iter().map(|(page, _)| *page).peekable();
            for page in there {
                while saved.next_if(|saved| *saved < page).is_some() {}
                if saved.peek() != Some(&page) {
                    self.bytes_mut()[page * PAGE..][..PAGE].fill(0);
                }
            }
        }
        for (page, bytes) in &contents.0 {
            self.bytes_mut()[page * PAGE..][..PAGE].copy_from_slice(&bytes[..]);
        }
        Ok(())
    }

    /// What is not there may also be swapped out.
    fn give_back_all_but(&self, there: &[usize]) -> io::Result<()> {
        let mut next = 0;
        for page in there.iter().copied().chain([self.present.len()]) {
            if page > next {
                self.advise(next * PAGE, (page - next) * PAGE, libc::MADV_DONTNEED)?;
            }
            next = page + 1;
        }
        Ok(())
    }

    /// Pages that the system has given, rising: what was touched, and is not swapped out.
    fn pages_there(&mut self) -> io::Result<Vec<usize>> {
        // SAFETY: asks about a mapping of this process; the answer has a byte per page, and so has the buffer.
        let outcome =
            unsafe { libc::mincore(self.at.as_ptr().cast(), self.region.bytes as usize, self.present.as_mut_ptr()) };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut pages = Vec::new();
        for (index, states) in self.present.chunks(STATES_AT_ONCE).enumerate() {
            // Most of a stretch is not there: look at many pages at once.
            if is_there(states.iter().fold(0, |any, state| any | state)) {
                let page = |(at, state): (usize, &u8)| is_there(*state).then_some(index * STATES_AT_ONCE + at);
                pages.extend(states.iter().enumerate().filter_map(page));
            }
        }
        Ok(pages)
    }

    fn advise(&self, from: usize, bytes: usize, advice: libc::c_int) -> io::Result<()> {
        debug_assert!(from + bytes <= self.region.bytes as usize);
        // SAFETY: within this mapping, whose contents are up to this very advice.
        let outcome = unsafe { libc::madvise(self.at.as_ptr().add(from).cast(), bytes, advice) };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Has the system a place to swap to, at this moment?
fn can_swap() -> io::Result<bool> {
    let mut info = MaybeUninit::<libc::sysinfo>::zeroed();
    // SAFETY: the system fills a structure of its own layout.
    match unsafe { libc::sysinfo(info.as_mut_ptr()) } {
        // SAFETY: it was filled; and zeroes would be valid, too.
        0 => Ok(unsafe { info.assume_init() }.totalswap != 0),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The lowest bit says so; the others are undefined.
const fn is_there(state: u8) -> bool {
    state & 1 != 0
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: this mapping, which nothing uses any more: the machine it belonged to is dropped first.
        unsafe { libc::munmap(self.at.as_ptr().cast(), self.region.bytes as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_put_back_to_what_it_was_whatever_was_written() {
        let mut ram = Ram::new(Region { start: 0, bytes: 3000 * PAGE_BYTES }).unwrap();
        ram.bytes_mut()[5 * PAGE] = 1;
        ram.bytes_mut()[2999 * PAGE + 7] = 2;
        let contents = ram.contents().unwrap();
        let before = ram.bytes().to_vec();
        let floods: [&[usize]; 4] =
            [&[0, 5, 6], &[2999], &(0..200).map(|page| page * 15).collect::<Vec<_>>(), &(0..3000).collect::<Vec<_>>()];
        for (flood, can_swap) in floods.into_iter().flat_map(|flood| [(flood, false), (flood, true)]) {
            for page in flood {
                ram.bytes_mut()[page * PAGE..][..PAGE].fill(9);
            }
            ram.put_back_where(&contents, can_swap).unwrap();
            assert!(ram.bytes() == before, "{} pages, swap: {can_swap}", flood.len());
        }
    }
}
