//! The way from the root to a key.

use super::{
    node::Node,
    source::TrieSource,
    update::{read, root_reference},
};
use crate::store::StoreError;
use alloy_primitives::{B256, Bytes};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

/// RLP of the nodes from the root to where `key` is or would be. Nodes that their parents embed are not listed again
/// (EIP-1186, as geth does it). An empty trie gives no nodes.
pub fn prove(source: &impl TrieSource, root: B256, key: &Nibbles) -> Result<Vec<Bytes>, StoreError> {
    let mut proof = Vec::new();
    if root == EMPTY_ROOT_HASH {
        return Ok(proof);
    }
    let mut path = Nibbles::new();
    let mut reference = root_reference(root);
    loop {
        let (node, rlp) = read(source, &path, &reference)?;
        if path.is_empty() || reference.is_hash() {
            proof.push(rlp.into());
        }
        let next = match node {
            Node::Branch(mut children) => {
                let nibble = key.get_unchecked(path.len());
                path.push(nibble);
                children[usize::from(nibble)].take()
            }
            Node::Extension { key: front, child } => {
                path.extend(&front);
                key.starts_with(&path).then_some(child)
            }
            Node::Leaf { .. } => None,
        };
        match next {
            Some(child) => reference = child,
            None => return Ok(proof),
        }
    }
}
