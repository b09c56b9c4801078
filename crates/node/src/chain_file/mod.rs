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

mod export;
mod format;
mod import;

pub use export::{ExportReport, export};
pub use format::{BLOCK_BYTES_MAX, ChainFileError, ChainFileReader, ChainFileWriter, GENESIS_BYTES_MAX};
pub use import::{ReplayOptions, ReplayReport, ReplayStorage, Replaying, import, replay};

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
