//! Which kind of file it is, and its blocks whatever the kind.

use super::{
    format::{ChainFileError, ChainFileReader, MAGIC},
    rlp::RlpBlockReader,
};
use crate::types::BlockWithRequests;
use alloy::genesis::Genesis;
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// A file with blocks: `CRYPTLET` or RLP, packed with gzip or not.
pub struct BlockSource<R> {
    file: File<R>,
}

enum File<R> {
    Cryptlet(Box<ChainFileReader<BufReader<Unpacked<R>>>>),
    Rlp(RlpBlockReader<BufReader<Unpacked<R>>>),
}

enum Unpacked<R> {
    Plain(Counted<R>),
    Gzip(Box<MultiGzDecoder<Counted<R>>>),
}

/// A block of a file, and its requests if the file has them.
pub type SourcedBlock = (crate::types::Block, Option<alloy::eips::eip7685::Requests>);

impl<R: BufRead> BlockSource<R> {
    /// Looks at the first bytes.
    pub fn open(mut inner: R) -> Result<Self, ChainFileError> {
        let is_packed = inner.fill_buf()?.starts_with(&GZIP_MAGIC);
        let inner = Counted { inner, bytes: 0 };
        let unpacked =
            if is_packed { Unpacked::Gzip(Box::new(MultiGzDecoder::new(inner))) } else { Unpacked::Plain(inner) };
        let mut unpacked = BufReader::new(unpacked);
        let is_ours = unpacked.fill_buf()?.starts_with(MAGIC);
        let file = match is_ours {
            true => File::Cryptlet(Box::new(ChainFileReader::open(unpacked)?)),
            false => File::Rlp(RlpBlockReader::new(unpacked)),
        };
        Ok(Self { file })
    }

    /// The genesis, if the file names it.
    pub fn genesis(&self) -> Option<&Genesis> {
        match &self.file {
            File::Cryptlet(file) => Some(file.genesis()),
            File::Rlp(_) => None,
        }
    }

    /// Bytes of the file that were read, packed as they are.
    pub fn bytes(&self) -> u64 {
        let unpacked = match &self.file {
            File::Cryptlet(file) => file.inner().get_ref(),
            File::Rlp(file) => file.inner().get_ref(),
        };
        match unpacked {
            Unpacked::Plain(counted) => counted.bytes,
            Unpacked::Gzip(decoder) => decoder.get_ref().bytes,
        }
    }
}

impl<R: BufRead> Iterator for BlockSource<R> {
    type Item = Result<SourcedBlock, ChainFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.file {
            File::Cryptlet(file) => {
                let with_requests = |BlockWithRequests { block, requests }| (block, Some(requests));
                file.next().map(|block| block.map(with_requests))
            }
            File::Rlp(file) => file.next().map(|block| block.map(|block| (block, None))),
        }
    }
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.read(buffer),
            Self::Gzip(inner) => inner.read(buffer),
        }
    }
}
