//! Nodes in memory.

use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::{
    Nibbles,
    nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

/// The RLP of a branch with sixteen children: a header, the hashes and no value.
const BRANCH_BYTES_MAX: usize = 3 + 16 * 33 + 1;

/// Children of a branch, by nibble.
pub(super) type Children = [Option<RlpNode>; 16];

/// A node, with references to its children: hashes, or the RLP of children shorter than a hash.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Branch(Box<Children>),
    Extension { key: Nibbles, child: RlpNode },
    Leaf { key: Nibbles, value: Vec<u8> },
}

impl Node {
    /// Reads a node; `None` if these bytes are none that can stand in a trie.
    pub(super) fn decode(mut rlp: &[u8]) -> Option<Self> {
        let node = TrieNode::decode(&mut rlp).ok().filter(|_| rlp.is_empty())?;
        Some(match node {
            TrieNode::EmptyRoot => return None,
            TrieNode::Branch(branch) => {
                let mut children = Children::default();
                for (nibble, child) in branch.as_ref().children() {
                    children[usize::from(nibble)] = child.cloned();
                }
                Self::Branch(Box::new(children))
            }
            TrieNode::Extension(extension) => Self::Extension { key: extension.key, child: extension.child },
            TrieNode::Leaf(leaf) => Self::Leaf { key: leaf.key, value: leaf.value },
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut rlp = Vec::new();
        match self {
            Self::Branch(children) => {
                // Empty strings stand for children that are not there, and for the value that no branch has.
                const EMPTY: &[u8] = &[EMPTY_STRING_CODE];
                let items = || children.iter().map(|child| child.as_deref().unwrap_or(EMPTY)).chain([EMPTY]);
                rlp.reserve(BRANCH_BYTES_MAX);
                Header { list: true, payload_length: items().map(<[u8]>::len).sum() }.encode(&mut rlp);
                items().for_each(|item| rlp.extend_from_slice(item));
            }
            Self::Extension { key, child } => ExtensionNodeRef::new(key, child).encode(&mut rlp),
            Self::Leaf { key, value } => LeafNodeRef::new(key, value).encode(&mut rlp),
        }
        rlp
    }

    /// The node with more nibbles in front of it. A branch needs an extension for that, so it must have been written.
    pub(super) fn behind(self, front: Nibbles, reference: impl FnOnce(Self) -> RlpNode) -> Self {
        if front.is_empty() {
            return self;
        }
        match self {
            Self::Leaf { key, value } => Self::Leaf { key: front.join(&key), value },
            Self::Extension { key, child } => Self::Extension { key: front.join(&key), child },
            branch @ Self::Branch(_) => Self::Extension { key: front, child: reference(branch) },
        }
    }
}
