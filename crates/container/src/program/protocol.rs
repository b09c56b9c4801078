//! What host and program say to each other. Written down for authors in `docs/writing-cryptlets.md`.
//!
//! A frame is its length in four bytes, big-endian, and so many bytes; the first of them says what it is. All numbers are
//! big-endian, as in Java's `DataInputStream`, Node's `readUInt32BE` and Python's `struct` with `>`.
//!
//! | from | first byte | then |
//! |---|---|---|
//! | host | `01` hello | version (2), longest input (4), longest output (4), bytes of log in a call (4) |
//! | program | `81` ready | version (2) |
//! | host | `02` call | caller (20), cryptlet (32), call key (32), flags (1), time in s (8), units (8), longest output (4), seed (32), input |
//! | program | `82` returned | output |
//! | program | `83` failed | revert data |
//! | program | `84` log | one line, UTF-8 |

use crate::{
    call::{CallInputs, Ending},
    engine,
};

/// Version of the protocol.
pub const VERSION: u16 = 1;
/// Bytes of a call before its input.
pub const CALL_HEAD_BYTES: usize = 1 + 20 + 32 + 32 + 1 + 8 + 8 + 4 + 32;
/// Longest frame from a program, in bytes.
pub const FROM_PROGRAM_BYTES_MAX: usize = engine::OUTPUT_BYTES_MAX + 1;

const HELLO: u8 = 0x01;
const CALL: u8 = 0x02;
const READY: u8 = 0x81;
const RETURNED: u8 = 0x82;
const FAILED: u8 = 0x83;
const LOG: u8 = 0x84;
const STATIC: u8 = 1;
const DRY_RUN: u8 = 2;

/// What a program says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromProgram {
    /// It has started and speaks this version.
    Ready(u16),
    /// The call has ended.
    Ended(Ending),
    /// A line for the operator's log.
    Log(String),
}

/// The first frame, whole.
pub fn hello() -> Vec<u8> {
    let limit = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    let parts: [&[u8]; 5] = [
        &[HELLO],
        &VERSION.to_be_bytes(),
        &limit(engine::INPUT_BYTES_MAX),
        &limit(engine::OUTPUT_BYTES_MAX),
        &engine::LOG_BYTES_MAX.to_be_bytes(),
    ];
    frame(&parts)
}

/// A call as a frame, whole.
pub fn call(inputs: &CallInputs, input: &[u8]) -> Vec<u8> {
    let flags = if inputs.is_static { STATIC } else { 0 } | if inputs.is_dry_run { DRY_RUN } else { 0 };
    let parts: [&[u8]; 10] = [
        &[CALL],
        inputs.caller.as_slice(),
        inputs.cryptlet.as_slice(),
        inputs.call_key.as_slice(),
        &[flags],
        &inputs.observed_at_s.to_be_bytes(),
        &inputs.units_max.to_be_bytes(),
        &inputs.output_bytes_max.to_be_bytes(),
        inputs.random_seed.as_slice(),
        input,
    ];
    frame(&parts)
}

/// Reads the contents of a frame; the error says what is wrong with it.
pub fn parse(frame: Vec<u8>) -> Result<FromProgram, String> {
    let Some((&first, rest)) = frame.split_first() else { return Err("an empty frame".into()) };
    match first {
        READY => match <[u8; 2]>::try_from(rest) {
            Ok(version) => Ok(FromProgram::Ready(u16::from_be_bytes(version))),
            Err(_) => Err(format!("a `ready` (81) with {} bytes after its first; it has 2, the version", rest.len())),
        },
        RETURNED => Ok(FromProgram::Ended(Ending::Returned(rest.to_vec()))),
        FAILED => Ok(FromProgram::Ended(Ending::Failed(rest.to_vec()))),
        LOG => match std::str::from_utf8(rest) {
            Ok(line) => Ok(FromProgram::Log(line.to_owned())),
            Err(_) => Err("a `log` (84) that is not UTF-8".into()),
        },
        other => Err(format!("a frame that begins with {other:02x}; a program sends 81, 82, 83 or 84")),
    }
}

fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(4 + bytes);
    // Inputs are bounded by the engine profile, far below what four bytes can say.
    frame.extend_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes());
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    #[test]
    fn a_call_is_laid_out_as_it_is_written_down() {
        let inputs = CallInputs {
            caller: Address::repeat_byte(1),
            cryptlet: B256::repeat_byte(2),
            call_key: B256::repeat_byte(3),
            is_static: true,
            is_dry_run: true,
            observed_at_s: 4,
            anchor_block: 8,
            anchor_hash: B256::repeat_byte(9),
            chain_id: 10,
            random_seed: B256::repeat_byte(5),
            units_max: 6,
            output_bytes_max: 7,
        };
        let frame = call(&inputs, b"input");
        assert_eq!(frame[..4], ((CALL_HEAD_BYTES + 5) as u32).to_be_bytes());
        assert_eq!((frame[4], frame[5], frame[25], frame[57], frame[89]), (CALL, 1, 2, 3, STATIC | DRY_RUN));
        assert_eq!(frame[90..98], 4u64.to_be_bytes());
        assert_eq!(frame[98..106], 6u64.to_be_bytes());
        assert_eq!(frame[106..110], 7u32.to_be_bytes());
        assert_eq!((frame[110], &frame[142..]), (5, &b"input"[..]));
    }

    #[test]
    fn what_is_no_frame_of_a_program_is_refused_with_the_reason() {
        for (frame, expected) in
            [(vec![], "empty"), (vec![0x02], "begins with 02"), (vec![READY, 1], "version"), (vec![LOG, 0xff], "UTF-8")]
        {
            assert!(parse(frame.clone()).is_err_and(|why| why.contains(expected)), "{frame:?}");
        }
        assert_eq!(parse(vec![READY, 0, 1]), Ok(FromProgram::Ready(1)));
        assert_eq!(parse(vec![FAILED]), Ok(FromProgram::Ended(Ending::Failed(vec![]))));
    }
}
