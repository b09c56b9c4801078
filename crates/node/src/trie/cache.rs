//! Nodes that were made lately.

use super::node::Node;
use alloy_primitives::B256;
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// The nodes made last, by their hashes. A block changes the nodes that the block before made: without this, each would be
/// looked for among the rows, hashed and read again. A hash says what the node is, whichever trie and block it belongs to,
/// so nothing has to be taken out when blocks are undone or an update is never written.
pub struct NodeCache(Mutex<LruCache<B256, Node>>);

impl NodeCache {
    /// Holds at most so many nodes, of at most some 700 bytes each.
    pub fn new(nodes_max: usize) -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(nodes_max).unwrap_or(NonZeroUsize::MIN))))
    }

    /// The node with this hash, if it is here.
    pub(super) fn get(&self, hash: &B256) -> Option<Node> {
        self.0.lock().get(hash).cloned()
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
