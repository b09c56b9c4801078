//! A chain as one file: what `export` writes and `import`, `replay` and `verify` read. Nothing else is needed to replay it.
//!
//! ```text
//! "CRYPTLET" version(1)                                   9 bytes
//! length(4) {"firstBlock": 1, "genesis": {…}}              the genesis as the chain was started with
//! length(4) rlp([block, [request, …]])                     per block, rising; requests as EIP-7685 has them
//! …
//! length(4)=0 blocks(8) hash(32)                           how many blocks, and the hash of the last
//! ```
//!
//! Numbers are big-endian. Every length is bounded, so a broken file costs a bounded amount of memory; a file that ends
//! before its end mark is refused.
//!
//! What geth writes (RLP of one block after the other) is read and written too, for chains without cryptlet records.

mod branches;
mod export;
mod format;
mod import;
mod rlp;
mod source;

pub use branches::{Importer, Seen};
pub use export::{ExportReport, check_plain, export, export_rlp};
pub use format::{BLOCK_BYTES_MAX, ChainFileError, ChainFileReader, ChainFileWriter, GENESIS_BYTES_MAX};
pub use import::{ReplayOptions, ReplayReport, ReplayStorage, Replaying, import, replay};
pub use rlp::{RlpBlockReader, write_block};
pub use source::{BlockSource, SourcedBlock};

/// How far an export, an import or a replay has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks done.
    pub blocks: u64,
    /// Number of the last of them.
    pub block_number: u64,
    /// Bytes of the file read or written.
    pub bytes: u64,
}
