//! Nodes that were made lately.

use super::node::Node;
use alloy_primitives::{B256, map::FbBuildHasher};
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// The nodes made last, by their hashes. A block changes the nodes that the blocks before made: without this, each would be
/// looked for among the rows, hashed and read again. A hash says what the node is, whichever trie and block it belongs to,
/// so blocks may be undone, and updates never be written.
pub struct NodeCache(Mutex<LruCache<B256, Node, FbBuildHasher<32>>>);

impl NodeCache {
    /// Holds at most so many nodes, of at most some 700 bytes each.
    pub fn new(nodes_max: usize) -> Self {
        let nodes_max = NonZeroUsize::new(nodes_max).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::with_hasher(nodes_max, FbBuildHasher::default())))
    }

    /// The node with this hash, if it is here. It leaves: whoever changes a node makes another, and that one is wanted next.
    pub(super) fn take(&self, hash: &B256) -> Option<Node> {
        self.0.lock().pop(hash)
    }

    /// Keeps nodes; those made last stay longest.
    pub(super) fn put(&self, made: Vec<(B256, Node)>) {
        let mut nodes = self.0.lock();
        for (hash, node) in made {
            nodes.put(hash, node);
        }
    }
}

impl std::fmt::Debug for NodeCache {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NodeCache").field("nodes", &self.0.lock().len()).finish()
    }
}
