//! One pass over the trie for all changes of a block.

use super::{
    node::{Children, Node},
    source::{NodeWrites, TrieSource},
};
use crate::store::StoreError;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, nodes::RlpNode};
use rayon::prelude::*;

/// From how many changes below a branch on its children are updated in parallel.
const PARALLEL_CHANGES_MIN: usize = 256;

/// A key of the trie and its new value; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The whole key: 64 nibbles.
    pub key: Nibbles,
    /// The value as the leaf holds it.
    pub value: Option<Vec<u8>>,
}

/// Applies changes, sorted by key and each key once, to the trie with this root. Returns the new root and the nodes to
/// write for it.
pub fn update(source: &impl TrieSource, root: B256, changes: &[Change]) -> Result<(B256, NodeWrites), StoreError> {
    debug_assert!(changes.is_sorted_by(|a, b| a.key < b.key));
    if changes.is_empty() {
        return Ok((root, NodeWrites::new()));
    }
    let changes: Vec<&Change> = changes.iter().collect();
    let path = Nibbles::new();
    let before = match root {
        EMPTY_ROOT_HASH => None,
        root => Some(load(source, &path, &root_reference(root))?),
    };
    let had_root = before.is_some();

    let mut writes = Writes::default();
    let after = Update { source }.apply(path, before, &changes, &mut writes)?;
    let (after_root, node) = match after {
        Some(node) => {
            let rlp = node.encode();
            let hash = keccak256(&rlp);
            writes.learn(hash, node);
            (hash, Some(rlp))
        }
        None => (EMPTY_ROOT_HASH, None),
    };
    if after_root != root && (had_root || node.is_some()) {
        writes.push(path, node);
    }
    if let Some(cache) = source.cache() {
        cache.put(writes.made);
    }
    let count = writes.rows.len();
    let writes: NodeWrites = writes.rows.into_iter().collect();
    debug_assert_eq!(count, writes.len(), "each path is written by the one that holds it");
    Ok((after_root, writes))
}

/// The reference to a root: always a hash, however short the node.
pub(super) fn root_reference(root: B256) -> RlpNode {
    RlpNode::word_rlp(&root)
}

/// A node that its parent refers to.
fn load(source: &impl TrieSource, path: &Nibbles, reference: &RlpNode) -> Result<Node, StoreError> {
    let cached = source.cache().zip(reference.as_hash()).and_then(|(cache, hash)| cache.take(&hash));
    cached.map_or_else(|| Ok(read(source, path, reference)?.0), Ok)
}

/// Reads a node and checks that it is the one its parent refers to.
pub(super) fn read(
    source: &impl TrieSource,
    path: &Nibbles,
    reference: &RlpNode,
) -> Result<(Node, Vec<u8>), StoreError> {
    let damaged = |detail| StoreError::MissingTrieNode { trie: source.name(), path: path.to_vec(), detail };
    let rlp = source.node(path)?.ok_or_else(|| damaged("is missing"))?;
    let fits = match reference.as_hash() {
        Some(hash) => keccak256(&rlp) == hash,
        None => reference.as_slice() == rlp,
    };
    if !fits {
        return Err(damaged("is not the one its parent commits to"));
    }
    let node = Node::decode(&rlp).ok_or_else(|| damaged("is not a node"))?;
    Ok((node, rlp))
}

/// Nodes of one update that are kept in memory at most.
const NODES_LEARNT_MAX: usize = 4_096;

/// What an update writes.
#[derive(Default)]
struct Writes {
    rows: Vec<(Nibbles, Option<Vec<u8>>)>,
    /// Nodes worth keeping in memory, by their hashes.
    made: Vec<(B256, Node)>,
}

impl Writes {
    /// The node at this path is this one, or gone.
    fn push(&mut self, path: Nibbles, node: Option<Vec<u8>>) {
        self.rows.push((path, node));
    }

    fn learn(&mut self, hash: B256, node: Node) {
        if self.made.len() < NODES_LEARNT_MAX {
            self.made.push((hash, node));
        }
    }

    fn extend(&mut self, others: Self) {
        self.rows.extend(others.rows);
        others.made.into_iter().for_each(|(hash, node)| self.learn(hash, node));
    }
}

/// What stands below a branch before it is updated.
enum Child {
    /// A row of its own.
    Stored(RlpNode),
    /// Made by splitting an extension; not a row yet.
    Split(Node),
}

/// What stands below a branch afterwards, where it may be something else than before.
struct Changed {
    nibble: usize,
    /// `None`: nothing.
    node: Option<Node>,
    /// What was stored there.
    before: Option<RlpNode>,
}

struct Update<'a, S> {
    source: &'a S,
}

impl<S: TrieSource> Update<'_, S> {
    /// Applies changes to the subtrie at `path`, and returns the node that stands there afterwards. Writes all nodes below
    /// it; the node itself is the caller's to write, who may have to merge it with what is above.
    fn apply(
        &self,
        path: Nibbles,
        node: Option<Node>,
        changes: &[&Change],
        writes: &mut Writes,
    ) -> Result<Option<Node>, StoreError> {
        match node {
            None => Ok(build(path, &insertions(changes), writes)),
            Some(Node::Leaf { key, value }) => Ok(replace_leaf(path, key, value, changes, writes)),
            Some(Node::Extension { key, child }) => self.apply_to_extension(path, key, child, changes, writes),
            Some(Node::Branch(children)) => self.apply_to_branch(path, children, None, changes, writes),
        }
    }

    fn apply_to_extension(
        &self,
        path: Nibbles,
        key: Nibbles,
        child: RlpNode,
        changes: &[&Change],
        writes: &mut Writes,
    ) -> Result<Option<Node>, StoreError> {
        let below = path.join(&key);
        // Removing a key that is not there changes nothing; inserting one that leaves the extension splits it.
        let relevant = |change: &&&Change| change.value.is_some() || change.key.starts_with(&below);
        let changes: Vec<&Change> = changes.iter().filter(relevant).copied().collect();
        let common = changes.iter().map(|change| change.key.common_prefix_length(&below)).min();
        let Some(common) = common else { return Ok(Some(Node::Extension { key, child })) };

        if common == below.len() {
            let node = load(self.source, &below, &child)?;
            let after = self.apply(below, Some(node), &changes, writes)?;
            return Ok(settle(below, after, Some(child), key, writes));
        }
        let fork = below.slice(..common);
        let rest = below.slice(common + 1..);
        let nibble = usize::from(below.get_unchecked(common));
        let (mut children, mut split) = (Box::<Children>::default(), None);
        if rest.is_empty() {
            children[nibble] = Some(child);
        } else {
            split = Some((nibble, Node::Extension { key: rest, child }));
        }
        let after = self.apply_to_branch(fork, children, split, &changes, writes)?;
        Ok(settle(fork, after, None, fork.slice(path.len()..), writes))
    }

    /// The branch has these children, and one that was split off an extension and is no row yet.
    fn apply_to_branch(
        &self,
        path: Nibbles,
        mut children: Box<Children>,
        mut split: Option<(usize, Node)>,
        changes: &[&Change],
        writes: &mut Writes,
    ) -> Result<Option<Node>, StoreError> {
        let nibble_of = |change: &Change| usize::from(change.key.get_unchecked(path.len()));
        let mut groups = Vec::with_capacity(changes.len().min(16));
        for group in changes.chunk_by(|a, b| nibble_of(a) == nibble_of(b)) {
            let nibble = nibble_of(group[0]);
            let child = match split.take_if(|(at, _)| *at == nibble) {
                Some((_, node)) => Some(Child::Split(node)),
                None => children[nibble].take().map(Child::Stored),
            };
            groups.push((nibble, child, group));
        }

        let mut changed = Vec::with_capacity(groups.len() + 1);
        changed.extend(split.map(|(nibble, node)| Changed { nibble, node: Some(node), before: None }));
        if groups.len() > 1 && changes.len() >= PARALLEL_CHANGES_MIN {
            let updated = groups.into_par_iter().map(|(nibble, child, group)| {
                let mut writes = Writes::default();
                Ok((self.apply_to_child(path, nibble, child, group, &mut writes)?, writes))
            });
            for (child, below) in updated.collect::<Result<Vec<_>, StoreError>>()? {
                changed.push(child);
                writes.extend(below);
            }
        } else {
            for (nibble, child, group) in groups {
                changed.push(self.apply_to_child(path, nibble, child, group, writes)?);
            }
        }
        self.join(path, children, changed, writes)
    }

    fn apply_to_child(
        &self,
        path: Nibbles,
        nibble: usize,
        child: Option<Child>,
        changes: &[&Change],
        writes: &mut Writes,
    ) -> Result<Changed, StoreError> {
        let path = below(path, nibble);
        let (before, node) = match child {
            None => (None, None),
            Some(Child::Split(node)) => (None, Some(node)),
            Some(Child::Stored(reference)) => {
                let node = load(self.source, &path, &reference)?;
                (Some(reference), Some(node))
            }
        };
        let node = self.apply(path, node, changes, writes)?;
        if node.is_none() && before.is_some() {
            writes.push(path, None);
        }
        Ok(Changed { nibble, node, before })
    }

    /// The branch with the children that stayed and those that changed; or, if only one is left, that child itself, grown
    /// upwards.
    fn join(
        &self,
        path: Nibbles,
        mut children: Box<Children>,
        changed: Vec<Changed>,
        writes: &mut Writes,
    ) -> Result<Option<Node>, StoreError> {
        let mut stayed = children.iter().enumerate().filter_map(|(nibble, child)| Some((nibble, child.as_ref()?)));
        let left = stayed.clone().count() + changed.iter().filter(|child| child.node.is_some()).count();
        if left > 1 {
            for Changed { nibble, node, before } in changed {
                children[nibble] = node.map(|node| write(below(path, nibble), node, before.as_ref(), writes));
            }
            return Ok(Some(Node::Branch(children)));
        }
        let (nibble, node, before) = match stayed.next() {
            Some((nibble, reference)) => {
                let node = load(self.source, &below(path, nibble), reference)?;
                (nibble, Some(node), Some(reference.clone()))
            }
            None => match changed.into_iter().find(|child| child.node.is_some()) {
                Some(Changed { nibble, node, before }) => (nibble, node, before),
                None => return Ok(None),
            },
        };
        Ok(settle(below(path, nibble), node, before, Nibbles::from_nibbles_unchecked([nibble as u8]), writes))
    }
}

/// Moves the node at `path` up by the nibbles in `front`, so that it can stand there: leaves and extensions take them
/// into their keys and leave `path`, a branch stays at `path` under an extension. `before` is what was stored at `path`.
fn settle(
    path: Nibbles,
    node: Option<Node>,
    before: Option<RlpNode>,
    front: Nibbles,
    writes: &mut Writes,
) -> Option<Node> {
    if front.is_empty() {
        return node;
    }
    if before.is_some() && !matches!(node, Some(Node::Branch(_))) {
        writes.push(path, None);
    }
    node.map(|node| node.behind(front, |branch| write(path, branch, before.as_ref(), writes)))
}

/// Writes a node unless it is what stands there already; returns the reference to it.
fn write(path: Nibbles, node: Node, before: Option<&RlpNode>, writes: &mut Writes) -> RlpNode {
    let rlp = node.encode();
    let reference = RlpNode::from_rlp(&rlp);
    if before != Some(&reference) {
        writes.push(path, Some(rlp));
    }
    if let Some(hash) = reference.as_hash() {
        writes.learn(hash, node);
    }
    reference
}

fn replace_leaf(path: Nibbles, key: Nibbles, value: Vec<u8>, changes: &[&Change], writes: &mut Writes) -> Option<Node> {
    let old = Change { key: path.join(&key), value: Some(value) };
    let mut leaves = insertions(changes);
    if changes.binary_search_by(|change| change.key.cmp(&old.key)).is_err() {
        let position = leaves.partition_point(|leaf| leaf.key < old.key);
        leaves.insert(position, &old);
    }
    build(path, &leaves, writes)
}

/// A new subtrie at `path` with these leaves. Writes all nodes below the one it returns.
fn build(path: Nibbles, leaves: &[&Change], writes: &mut Writes) -> Option<Node> {
    let (first, last) = (leaves.first()?, leaves.last()?);
    if leaves.len() == 1 {
        return Some(Node::Leaf { key: first.key.slice(path.len()..), value: first.value.clone().unwrap_or_default() });
    }
    let fork = first.key.slice(..first.key.common_prefix_length(&last.key));
    let mut children = Children::default();
    for group in leaves.chunk_by(|a, b| a.key.get_unchecked(fork.len()) == b.key.get_unchecked(fork.len())) {
        let nibble = usize::from(group[0].key.get_unchecked(fork.len()));
        let path = below(fork, nibble);
        children[nibble] = build(path, group, writes).map(|node| write(path, node, None, writes));
    }
    settle(fork, Some(Node::Branch(Box::new(children))), None, fork.slice(path.len()..), writes)
}

fn insertions<'a>(changes: &[&'a Change]) -> Vec<&'a Change> {
    changes.iter().filter(|change| change.value.is_some()).copied().collect()
}

fn below(path: Nibbles, nibble: usize) -> Nibbles {
    let mut path = path;
    path.push(nibble as u8);
    path
}
