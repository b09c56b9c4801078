//! Blocks as geth writes them: `geth export`, hive's `chain.rlp`. RLP of one block after the other, nothing around them.
//!
//! Such a file has no genesis and no requests. The requests of Ethereum follow from execution; cryptlet records do not,
//! so a chain that has any goes into a `CRYPTLET` file.

use super::format::{BLOCK_BYTES_MAX, ChainFileError};
use crate::types::Block;
use alloy_rlp::Encodable;
use std::io::{self, Read, Write};

/// Reads the blocks of a file. An iterator; its last item may be the error that the file ends with.
#[derive(Debug)]
pub struct RlpBlockReader<R> {
    inner: R,
    blocks: u64,
    bytes: u64,
    is_done: bool,
}

impl<R: Read> RlpBlockReader<R> {
    /// Reads from the beginning of a file.
    pub fn new(inner: R) -> Self {
        Self { inner, blocks: 0, bytes: 0, is_done: false }
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    fn read_next(&mut self) -> Result<Option<Block>, ChainFileError> {
        let Some(item) = self.read_item()? else { return Ok(None) };
        let malformed = |error| ChainFileError::MalformedRlp { blocks: self.blocks, error };
        let block = alloy_rlp::decode_exact::<Block>(&item).map_err(malformed)?;
        self.blocks += 1;
        Ok(Some(block))
    }

    /// The next list, with its header.
    fn read_item(&mut self) -> Result<Option<Vec<u8>>, ChainFileError> {
        let mut head = [0; 9];
        if !read_or_end(&mut self.inner, &mut head[..1])? {
            return Ok(None);
        }
        let malformed = |error| ChainFileError::MalformedRlp { blocks: self.blocks, error };
        let blocks = self.blocks;
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ChainFileError::CutOff { blocks },
            _ => error.into(),
        };
        let (head_length, length) = match head[0] {
            short @ 0xc0..=0xf7 => (1, usize::from(short - 0xc0)),
            long @ 0xf8.. => {
                let length_length = usize::from(long - 0xf7);
                let rest = &mut head[1..=length_length];
                self.inner.read_exact(rest).map_err(cut)?;
                let length = rest.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
                (1 + length_length, usize::try_from(length).unwrap_or(usize::MAX))
            }
            _ => return Err(malformed(alloy_rlp::Error::UnexpectedString)),
        };
        if length > BLOCK_BYTES_MAX as usize {
            let (what, bytes) = ("block", length as u64);
            return Err(ChainFileError::TooLong { what, bytes, bytes_max: BLOCK_BYTES_MAX });
        }
        let mut item = head[..head_length].to_vec();
        // Grows as bytes arrive: a lying length costs nothing.
        (&mut self.inner).take(length as u64).read_to_end(&mut item)?;
        self.bytes += item.len() as u64;
        if item.len() != head_length + length {
            return Err(ChainFileError::CutOff { blocks });
        }
        Ok(Some(item))
    }
}

impl<R: Read> Iterator for RlpBlockReader<R> {
    type Item = Result<Block, ChainFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.read_next().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Writes a block. Returns the number of its bytes.
pub fn write_block(writer: &mut impl Write, block: &Block) -> io::Result<u64> {
    let mut bytes = Vec::with_capacity(block.length());
    block.encode(&mut bytes);
    writer.write_all(&bytes)?;
    Ok(bytes.len() as u64)
}

/// Fills the buffer; `false` if the file ended before its first byte.
fn read_or_end(inner: &mut impl Read, buffer: &mut [u8]) -> Result<bool, ChainFileError> {
    match inner.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(number: u64) -> Block {
        let mut block = Block::default();
        block.header.number = number;
        block
    }

    fn file(numbers: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        numbers.for_each(|number| _ = write_block(&mut bytes, &block(number)).expect("a vector takes everything"));
        bytes
    }

    #[test]
    fn blocks_come_back_in_order() {
        let bytes = file(0..3);
        let mut reader = RlpBlockReader::new(&bytes[..]);
        let blocks: Vec<_> = reader.by_ref().collect::<Result<_, _>>().expect("well-formed");
        assert_eq!(blocks, (0..3).map(block).collect::<Vec<_>>());
        assert_eq!(reader.bytes(), bytes.len() as u64);
    }

    #[test]
    fn a_file_that_is_cut_off_or_something_else_is_an_error_that_says_where() {
        let bytes = file(0..2);
        let last =
            |bytes: &[u8]| RlpBlockReader::new(bytes).last().expect("an item").expect_err("an error").to_string();
        assert!(last(&bytes[..bytes.len() - 1]).contains("after 1 blocks"), "{}", last(&bytes[..bytes.len() - 1]));
        assert!(last(&[&bytes[..], b"x"].concat()).contains("block 2 of the file"));
        assert!(last(&[0xff; 9]).contains("is 18446744073709551615 bytes long"));
        assert!(RlpBlockReader::new(&[][..]).next().is_none());
    }
}
