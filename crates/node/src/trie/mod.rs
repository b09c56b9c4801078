//! The Merkle-Patricia trie, kept by path.
//!
//! Every node is a row: its path from the root is the key, its RLP the value (also of nodes shorter than 32 bytes, which
//! their parents embed as well). A new version of a node overwrites the old one, so there is nothing to collect, and an
//! update reads and writes only the nodes on the paths of the changed keys: O(changes · depth). Whoever reads a node checks
//! it against the hash its parent commits to. Nodes made lately are found by that hash in memory ([`NodeCache`]).
//!
//! All keys of a trie have the same length (they are hashes), so branches hold no values.

mod cache;
mod node;
mod prove;
mod source;
#[cfg(test)]
mod tests;
mod update;

pub use cache::NodeCache;
pub use prove::prove;
pub use source::{NodeWrites, OverlaidTrie, StoredTrie, TrieSource};
pub use update::{Change, update};
