//! The bytes of a chain file.

use crate::{
    chain_spec::GenesisError,
    execute::BlockFault,
    store::StoreError,
    types::{Block, BlockWithRequests},
};
use alloy::eips::eip7685::Requests;
use alloy::genesis::Genesis;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

pub(super) const MAGIC: &[u8; 8] = b"CRYPTLET";
const VERSION: u8 = 1;

/// Longest genesis a file may carry, in bytes.
pub const GENESIS_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Longest block with its requests a file may carry, in bytes.
pub const BLOCK_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// Why a chain file cannot be written, read, or accepted.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The disk or pipe failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Something else than a chain file.
    #[error("this is not a chain file: it does not begin with `CRYPTLET`. `cryptlet export` writes chain files")]
    NotAChainFile,
    /// Written by a version with another format.
    #[error("the chain file has format version {0}; this program reads version {VERSION}")]
    Version(u8),
    /// The file stops before its end mark.
    #[error("the chain file ends after {blocks} blocks without an end mark: it was cut off")]
    CutOff {
        /// Blocks read before.
        blocks: u64,
    },
    /// A length that no honest file has.
    #[error("the {what} of the chain file is {bytes} bytes long; at most {bytes_max} are allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The bound.
        bytes_max: u32,
    },
    /// The genesis cannot be read.
    #[error("the genesis of the chain file: {0}")]
    Genesis(#[from] GenesisError),
    /// The head of the file is not JSON.
    #[error("the head of the chain file is not well-formed: {0}")]
    Head(#[from] serde_json::Error),
    /// A block that is not RLP of a block and its requests.
    #[error("block {number} of the chain file is not well-formed RLP: {error}")]
    Malformed {
        /// The number it should have.
        number: u64,
        /// What the decoder said.
        error: alloy_rlp::Error,
    },
    /// The end mark does not fit the blocks before it.
    #[error(
        "the end mark of the chain file names {blocks} blocks ending with {hash}; it has {found_blocks} ending with {found_hash}"
    )]
    EndMark {
        /// Blocks according to the mark.
        blocks: u64,
        /// Last hash according to the mark.
        hash: B256,
        /// Blocks in the file.
        found_blocks: u64,
        /// Hash of the last of them.
        found_hash: B256,
    },
    /// Bytes behind the end mark.
    #[error("bytes follow the end mark of the chain file")]
    StrayBytes,
    /// An item of an RLP file that is no block.
    #[error("block {blocks} of the file (counted from 0) is not well-formed RLP: {error}")]
    MalformedRlp {
        /// Blocks read before.
        blocks: u64,
        /// What the decoder said.
        error: alloy_rlp::Error,
    },
    /// A block that follows nothing that is known.
    #[error("block {number}: its parent {parent} is not known; the chain it is imported into ends with block {head}")]
    UnknownParent {
        /// The block.
        number: u64,
        /// The hash it names.
        parent: B256,
        /// Head of the store.
        head: u64,
    },
    /// A file of another chain.
    #[error(
        "the file is of another chain: its genesis block is {found}, that of the chain it is imported into {stored}"
    )]
    OtherGenesis {
        /// Hash of the first block in the file.
        found: B256,
        /// Hash of the first block in the store.
        stored: B256,
    },
    /// Blocks that RLP alone does not describe.
    #[error(
        "block {number} carries cryptlet records or edits of a dev chain, which geth's RLP has no place for: without them nobody \
         can execute it again. Use --format cryptlet"
    )]
    NotPlainBlock {
        /// The first of them.
        number: u64,
    },
    /// There is no such range to export.
    #[error("blocks {first} to {last} were asked for; the chain has blocks {oldest} to {head}")]
    Range {
        /// First block asked for.
        first: u64,
        /// Last block asked for.
        last: u64,
        /// First that can be exported.
        oldest: u64,
        /// Last that can be exported.
        head: u64,
    },
    /// A block that is not valid.
    #[error(transparent)]
    Block(#[from] BlockFault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Head {
    first_block: u64,
    genesis: Genesis,
}

#[derive(RlpEncodable, RlpDecodable)]
struct Entry {
    block: Block,
    requests: Vec<Bytes>,
}

/// Writes a chain file, block by block.
#[derive(Debug)]
pub struct ChainFileWriter<W> {
    inner: W,
    blocks: u64,
    last: B256,
    bytes: u64,
}

impl<W: Write> ChainFileWriter<W> {
    /// Begins a file with the blocks of the chain of this genesis, from `first_block` on.
    pub fn begin(inner: W, genesis: &Genesis, first_block: u64) -> Result<Self, ChainFileError> {
        let mut writer = Self { inner, blocks: 0, last: B256::ZERO, bytes: 0 };
        writer.put(MAGIC)?;
        writer.put(&[VERSION])?;
        let head = serde_json::to_vec(&Head { first_block, genesis: genesis.clone() })?;
        writer.put_frame("genesis", &head, GENESIS_BYTES_MAX)?;
        Ok(writer)
    }

    /// Appends a block with its requests.
    pub fn append(&mut self, block: Block, hash: B256, requests: Requests) -> Result<(), ChainFileError> {
        let entry = alloy_rlp::encode(Entry { block, requests: requests.take() });
        self.put_frame("block", &entry, BLOCK_BYTES_MAX)?;
        self.blocks += 1;
        self.last = hash;
        Ok(())
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Blocks written so far.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Writes the end mark. Without it, nobody accepts the file.
    pub fn finish(mut self) -> Result<W, ChainFileError> {
        let mark = [&0u32.to_be_bytes()[..], &self.blocks.to_be_bytes(), self.last.as_slice()].concat();
        self.put(&mark)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn put_frame(&mut self, what: &'static str, frame: &[u8], bytes_max: u32) -> Result<(), ChainFileError> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        check_length(what, frame.len() as u64, bytes_max)?;
        self.put(&length.to_be_bytes())?;
        self.put(frame)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ChainFileError> {
        self.inner.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Reads a chain file, block by block. An iterator; its last item may be the error that the file ends with.
#[derive(Debug)]
pub struct ChainFileReader<R> {
    inner: R,
    genesis: Genesis,
    first_block: u64,
    blocks: u64,
    last: B256,
    bytes: u64,
    is_done: bool,
}

impl<R: Read> ChainFileReader<R> {
    /// Reads up to the genesis.
    pub fn open(mut inner: R) -> Result<Self, ChainFileError> {
        let mut start = [0; MAGIC.len() + 1];
        inner.read_exact(&mut start).map_err(|error| cut_or_io(error, ChainFileError::NotAChainFile))?;
        let [magic @ .., version] = start;
        if magic != *MAGIC {
            return Err(ChainFileError::NotAChainFile);
        }
        if version != VERSION {
            return Err(ChainFileError::Version(version));
        }
        let cut = || ChainFileError::CutOff { blocks: 0 };
        let frame = read_frame(&mut inner, "genesis", GENESIS_BYTES_MAX, cut)?;
        let Head { first_block, genesis } = serde_json::from_slice(&frame)?;
        let bytes = (start.len() + 4 + frame.len()) as u64;
        Ok(Self { inner, genesis, first_block, blocks: 0, last: B256::ZERO, bytes, is_done: false })
    }

    /// The genesis of the chain.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Number of the first block in the file.
    pub fn first_block(&self) -> u64 {
        self.first_block
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn inner(&self) -> &R {
        &self.inner
    }

    fn read_next(&mut self) -> Result<Option<BlockWithRequests>, ChainFileError> {
        let (blocks, number) = (self.blocks, self.first_block + self.blocks);
        let frame = read_frame(&mut self.inner, "block", BLOCK_BYTES_MAX, || ChainFileError::CutOff { blocks })?;
        self.bytes += 4 + frame.len() as u64;
        if frame.is_empty() {
            self.read_end()?;
            return Ok(None);
        }
        let malformed = |error| ChainFileError::Malformed { number, error };
        let Entry { block, requests } = alloy_rlp::decode_exact(&frame).map_err(malformed)?;
        self.blocks += 1;
        self.last = block.header.hash_slow();
        Ok(Some(BlockWithRequests { block, requests: Requests::new(requests) }))
    }

    fn read_end(&mut self) -> Result<(), ChainFileError> {
        let (found_blocks, found_hash) = (self.blocks, self.last);
        let mut mark = [0; 8 + 32];
        let cut = ChainFileError::CutOff { blocks: found_blocks };
        self.inner.read_exact(&mut mark).map_err(|error| cut_or_io(error, cut))?;
        self.bytes += mark.len() as u64;
        let (blocks, hash) = mark.split_at(8);
        let blocks = blocks.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let hash = B256::from_slice(hash);
        if (blocks, hash) != (found_blocks, found_hash) {
            return Err(ChainFileError::EndMark { blocks, hash, found_blocks, found_hash });
        }
        if self.inner.read(&mut [0])? != 0 {
            return Err(ChainFileError::StrayBytes);
        }
        Ok(())
    }
}

impl<R: Read> Iterator for ChainFileReader<R> {
    type Item = Result<BlockWithRequests, ChainFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.read_next().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn read_frame(
    inner: &mut impl Read,
    what: &'static str,
    bytes_max: u32,
    cut: impl Fn() -> ChainFileError,
) -> Result<Vec<u8>, ChainFileError> {
    let mut length = [0; 4];
    inner.read_exact(&mut length).map_err(|error| cut_or_io(error, cut()))?;
    let length = u32::from_be_bytes(length);
    check_length(what, u64::from(length), bytes_max)?;
    // Grows as bytes arrive: a lying length costs nothing.
    let mut frame = Vec::new();
    inner.take(u64::from(length)).read_to_end(&mut frame)?;
    if frame.len() != length as usize {
        return Err(cut());
    }
    Ok(frame)
}

fn check_length(what: &'static str, bytes: u64, bytes_max: u32) -> Result<(), ChainFileError> {
    if bytes > u64::from(bytes_max) {
        return Err(ChainFileError::TooLong { what, bytes, bytes_max });
    }
    Ok(())
}

fn cut_or_io(error: io::Error, cut: ChainFileError) -> ChainFileError {
    if error.kind() == io::ErrorKind::UnexpectedEof { cut } else { error.into() }
}
