//! The guest program: an ELF file with one stretch per kind of page, and nothing to relocate.

use super::layout::{IMAGE, PAGE_BYTES};
use std::ops::Range;

/// Largest file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;
const HEADER_BYTES: usize = 64;
const SEGMENT_HEADER_BYTES: usize = 56;
const SEGMENTS_MAX: usize = 8;
/// `PT_LOAD`.
const LOADED: u32 = 1;

/// Why a file is not the guest program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not the guest program of a virtual machine: {0}")]
pub(crate) struct ImageFault(String);

/// A stretch of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First byte, at the start of a page.
    pub(crate) start: u64,
    /// Bytes in the machine, in whole pages; zero beyond `contents`.
    pub(crate) bytes: u64,
    pub(crate) contents: Vec<u8>,
    pub(crate) is_writable: bool,
    pub(crate) is_executable: bool,
}

/// The program, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuestImage {
    pub(crate) entry: u64,
    pub(crate) segments: Vec<Segment>,
}

impl GuestImage {
    /// Reads an ELF file (System V ABI, chapters 4 and 5).
    pub(crate) fn parse(file: &[u8]) -> Result<Self, ImageFault> {
        let fault = |what: &str| Err(ImageFault(what.to_owned()));
        if file.len() > FILE_BYTES_MAX {
            return fault("it is too long");
        }
        if file.len() < HEADER_BYTES || file[..7] != *b"\x7fELF\x02\x01\x01" || number(file, 18, 2)? != 62 {
            return fault("it is no ELF file for x86-64");
        }
        if number(file, 16, 2)? != 2 {
            return fault("it is not linked to fixed addresses");
        }
        let (entry, table, count) = (number(file, 24, 8)?, number(file, 32, 8)?, number(file, 56, 2)? as usize);
        if number(file, 54, 2)? != SEGMENT_HEADER_BYTES as u64 || count > SEGMENTS_MAX {
            return fault("its program headers are unusual");
        }
        let mut segments: Vec<Segment> = Vec::new();
        for index in 0..count {
            let at = (index * SEGMENT_HEADER_BYTES) as u64;
            let at = table.checked_add(at).and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX);
            if let Some(segment) = segment_at(file, at)? {
                segments.push(segment);
            }
        }
        segments.sort_by_key(|segment| segment.start);
        if segments.windows(2).any(|pair| pair[0].start + pair[0].bytes > pair[1].start) {
            return fault("two segments share a page");
        }
        let is_code = |segment: &Segment| {
            segment.is_executable && (segment.start..segment.start + segment.contents.len() as u64).contains(&entry)
        };
        if !segments.iter().any(is_code) {
            return fault("it does not begin in its code");
        }
        Ok(Self { entry, segments })
    }
}

fn segment_at(file: &[u8], at: usize) -> Result<Option<Segment>, ImageFault> {
    let field = |offset: usize, bytes: usize| number(file, at.saturating_add(offset), bytes);
    if field(0, 4)? != u64::from(LOADED) {
        return Ok(None);
    }
    let (flags, offset, start, in_file, in_memory) =
        (field(4, 4)?, field(8, 8)?, field(16, 8)?, field(32, 8)?, field(40, 8)?);
    let (is_executable, is_writable) = (flags & 1 != 0, flags & 2 != 0);
    let bytes = in_memory.checked_next_multiple_of(PAGE_BYTES).unwrap_or(u64::MAX);
    if is_executable && is_writable {
        return Err(ImageFault("a segment is both writable and executable".to_owned()));
    }
    if start % PAGE_BYTES != 0 || in_file > in_memory || bytes == 0 || !IMAGE.holds(start, bytes) {
        return Err(ImageFault(format!("a segment of {in_memory} bytes at {start:#x} is not where it belongs")));
    }
    let end = offset.checked_add(in_file).and_then(|end| usize::try_from(end).ok()).unwrap_or(usize::MAX);
    let contents = file.get(offset as usize..end).ok_or_else(|| ImageFault("it is cut off".to_owned()))?.to_vec();
    Ok(Some(Segment { start, bytes, contents, is_writable, is_executable }))
}

/// Where the text lies in machine code in the engine's format, which is an ELF file, too: offsets of whole pages. Empty if there
/// is none.
pub(super) fn text_of(code: &[u8]) -> Result<Range<u64>, ImageFault> {
    if code.get(..4) != Some(b"\x7fELF") {
        return Err(ImageFault("machine code is an ELF file".to_owned()));
    }
    let (table, size, count) = (number(code, 40, 8)?, number(code, 58, 2)?, number(code, 60, 2)?);
    let header = |index: u64| {
        let at = size.checked_mul(index).and_then(|at| at.checked_add(table));
        at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX)
    };
    let field = |index: u64, offset: usize, bytes: usize| number(code, header(index).saturating_add(offset), bytes);
    let names = field(number(code, 62, 2)?, 24, 8)?;
    for index in 0..count {
        let name = usize::try_from(names.saturating_add(field(index, 0, 4)?)).unwrap_or(usize::MAX);
        if code.get(name..name.saturating_add(6)) != Some(b".text\0") {
            continue;
        }
        let (start, bytes) = (field(index, 24, 8)?, field(index, 32, 8)?);
        let end = start.checked_add(bytes).filter(|end| *end <= code.len() as u64);
        let end = end.ok_or_else(|| ImageFault("its text is cut off".to_owned()))?;
        if start % PAGE_BYTES != 0 {
            return Err(ImageFault("its text does not begin with a page".to_owned()));
        }
        return Ok(start..end.next_multiple_of(PAGE_BYTES));
    }
    Ok(0..0)
}

/// A little-endian number of so many bytes.
fn number(file: &[u8], at: usize, bytes: usize) -> Result<u64, ImageFault> {
    let field = at.checked_add(bytes).and_then(|end| file.get(at..end));
    let field = field.ok_or_else(|| ImageFault("it is cut off".to_owned()))?;
    Ok(field.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(flags: u32, start: u64) -> Vec<u8> {
        let mut file = vec![0; HEADER_BYTES + SEGMENT_HEADER_BYTES];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, field: &[u8]| file[at..at + field.len()].copy_from_slice(field);
        put(16, &2u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(24, &start.to_le_bytes());
        put(32, &(HEADER_BYTES as u64).to_le_bytes());
        put(54, &(SEGMENT_HEADER_BYTES as u16).to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(HEADER_BYTES, &LOADED.to_le_bytes());
        put(HEADER_BYTES + 4, &flags.to_le_bytes());
        put(HEADER_BYTES + 16, &start.to_le_bytes());
        put(HEADER_BYTES + 32, &16u64.to_le_bytes());
        put(HEADER_BYTES + 40, &5000u64.to_le_bytes());
        file
    }

    #[test]
    fn a_program_is_read_in_whole_pages() {
        let image = GuestImage::parse(&file(5, IMAGE.start)).unwrap();
        assert_eq!(image.entry, IMAGE.start);
        assert_eq!((image.segments[0].bytes, image.segments[0].contents.len()), (8192, 16));
        assert!(image.segments[0].is_executable && !image.segments[0].is_writable);
    }

    #[test]
    fn what_is_writable_and_executable_or_elsewhere_or_broken_is_refused() {
        assert!(GuestImage::parse(&file(7, IMAGE.start)).unwrap_err().0.contains("both"));
        assert!(GuestImage::parse(&file(4, IMAGE.start)).unwrap_err().0.contains("begin"));
        for start in [0, 1, IMAGE.start + 1, IMAGE.end(), IMAGE.end() - 4096, u64::MAX, u64::MAX - 4095] {
            assert!(GuestImage::parse(&file(5, start)).is_err(), "{start:#x}");
        }
        let good = file(5, IMAGE.start);
        // The last field, the alignment, is not asked for.
        for length in 0..good.len() - 8 {
            assert!(GuestImage::parse(&good[..length]).is_err(), "{length}");
        }
        for position in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[position] ^= 1 << bit;
                // Whatever it says: no panic, and nothing outside of its place.
                if let Ok(image) = GuestImage::parse(&bad) {
                    assert!(
                        image
                            .segments
                            .iter()
                            .all(|s| IMAGE.holds(s.start, s.bytes) && s.contents.len() as u64 <= s.bytes)
                    );
                }
            }
        }
    }
}
