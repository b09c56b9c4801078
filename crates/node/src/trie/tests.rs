//! The trie against alloy-trie, which builds a root from all leaves at once.

use super::{Change, NodeCache, NodeWrites, TrieSource, prove, update};
use crate::store::StoreError;
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, proof::verify_proof};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// A trie in memory that counts its reads.
#[derive(Default)]
struct CountedTrie {
    nodes: HashMap<Nibbles, Vec<u8>>,
    reads: AtomicUsize,
    cache: Option<NodeCache>,
}

impl TrieSource for CountedTrie {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        self.reads.fetch_add(1, Relaxed);
        Ok(self.nodes.get(path).cloned())
    }

    fn name(&self) -> String {
        "the trie under test".into()
    }

    fn cache(&self) -> Option<&NodeCache> {
        self.cache.as_ref()
    }
}

impl CountedTrie {
    fn write(&mut self, writes: NodeWrites) -> usize {
        let count = writes.len();
        for (path, node) in writes {
            match node {
                Some(node) => _ = self.nodes.insert(path, node),
                None => assert!(self.nodes.remove(&path).is_some(), "only nodes that are there are removed"),
            }
        }
        count
    }
}

type Leaves = BTreeMap<Nibbles, Vec<u8>>;

fn expected_root(leaves: &Leaves) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(*key, value);
    }
    builder.root()
}

fn rebuilt(leaves: &Leaves) -> CountedTrie {
    let mut trie = CountedTrie::default();
    let changes: Vec<Change> =
        leaves.iter().map(|(key, value)| Change { key: *key, value: Some(value.clone()) }).collect();
    let (root, writes) = update(&trie, EMPTY_ROOT_HASH, &changes).unwrap();
    assert_eq!(root, expected_root(leaves));
    trie.write(writes);
    trie
}

/// Keys that share long prefixes and differ in their first, middle or last nibbles, so that branches collapse, extensions
/// split and merge, and nodes get short enough to be embedded in their parents.
fn key() -> impl Strategy<Value = Nibbles> {
    let nibble = prop_oneof![Just(0u8), Just(1), Just(15)];
    (nibble.clone(), nibble.clone(), nibble.clone(), nibble.clone(), nibble, 0..3usize).prop_map(
        |(a, b, c, d, e, shape)| {
            let mut nibbles = [0u8; 64];
            let places = [[0, 1, 2, 3, 4], [0, 1, 30, 31, 63], [0, 60, 61, 62, 63]][shape];
            for (place, nibble) in places.into_iter().zip([a, b, c, d, e]) {
                nibbles[place] = nibble;
            }
            Nibbles::from_nibbles(nibbles)
        },
    )
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        2 => Just(None),
        2 => any::<u8>().prop_map(|byte| Some(vec![byte | 1])),
        1 => any::<[u8; 40]>().prop_map(|bytes| Some(bytes.to_vec())),
    ]
}

fn rounds() -> impl Strategy<Value = Vec<BTreeMap<Nibbles, Option<Vec<u8>>>>> {
    prop::collection::vec(prop::collection::btree_map(key(), value(), 0..24), 1..12)
}

fn as_changes(round: BTreeMap<Nibbles, Option<Vec<u8>>>) -> Vec<Change> {
    round.into_iter().map(|(key, value)| Change { key, value }).collect()
}

fn apply(leaves: &mut Leaves, changes: &[Change]) {
    for change in changes {
        match &change.value {
            Some(value) => _ = leaves.insert(change.key, value.clone()),
            None => _ = leaves.remove(&change.key),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn updates_give_the_root_of_the_leaves_and_leave_no_other_node_behind(rounds in rounds()) {
        let (mut trie, mut root, mut leaves) = (CountedTrie::default(), EMPTY_ROOT_HASH, Leaves::new());
        for round in rounds {
            let changes = as_changes(round);
            apply(&mut leaves, &changes);
            let (after, writes) = update(&trie, root, &changes).unwrap();
            trie.write(writes);
            root = after;
            prop_assert_eq!(root, expected_root(&leaves));
            prop_assert_eq!(&trie.nodes, &rebuilt(&leaves).nodes);
        }
    }

    /// A cache of few nodes, so that some are forgotten, beside updates that are never written and one that is undone.
    #[test]
    fn nodes_in_memory_change_nothing(rounds in rounds(), never in rounds()) {
        let mut trie = CountedTrie { cache: Some(NodeCache::new(8)), ..Default::default() };
        let (mut root, mut leaves) = (EMPTY_ROOT_HASH, Leaves::new());
        let mut never = never.into_iter().map(as_changes).cycle();
        for (number, round) in rounds.into_iter().enumerate() {
            let changes = as_changes(round);
            update(&trie, root, &never.next().unwrap()).unwrap();
            let before = (trie.nodes.clone(), root);
            apply(&mut leaves, &changes);
            for is_undone in [number == 2, false] {
                let (after, writes) = update(&trie, root, &changes).unwrap();
                trie.write(writes);
                root = after;
                if is_undone {
                    (trie.nodes, root) = before.clone();
                }
            }
            prop_assert_eq!(root, expected_root(&leaves));
            prop_assert_eq!(&trie.nodes, &rebuilt(&leaves).nodes);
        }
    }

    #[test]
    fn every_key_can_be_proved_there_or_not_there(rounds in rounds(), absent in prop::collection::vec(key(), 8)) {
        let mut leaves = Leaves::new();
        rounds.into_iter().for_each(|round| apply(&mut leaves, &as_changes(round)));
        let (trie, root) = (rebuilt(&leaves), expected_root(&leaves));
        for key in leaves.keys().chain(&absent) {
            let proof = prove(&trie, root, key).unwrap();
            verify_proof(root, *key, leaves.get(key).cloned(), &proof).unwrap();
        }
    }
}

#[test]
fn large_rounds_update_in_parallel_to_the_same_root() {
    let (mut trie, mut root, mut leaves) = (CountedTrie::default(), EMPTY_ROOT_HASH, Leaves::new());
    for round in 0..8u64 {
        let keys = (0..3_000u64).map(|index| Nibbles::unpack(keccak256((index * (round + 1) % 4_000).to_be_bytes())));
        let changes: BTreeMap<_, _> =
            keys.enumerate().map(|(index, key)| (key, (index % 3 != 0).then(|| vec![round as u8 + 1; 50]))).collect();
        let changes = as_changes(changes);
        apply(&mut leaves, &changes);
        let (after, writes) = update(&trie, root, &changes).unwrap();
        trie.write(writes);
        root = after;
        assert_eq!(root, expected_root(&leaves), "round {round}");
    }
    assert_eq!(trie.nodes, rebuilt(&leaves).nodes);
}

#[test]
fn a_change_that_changes_nothing_writes_nothing() {
    let leaf = |index: u64| Nibbles::unpack(keccak256(index.to_be_bytes()));
    let leaves: Leaves = (0..100).map(|index| (leaf(index), vec![1; 40])).collect();
    let (trie, root) = (rebuilt(&leaves), expected_root(&leaves));
    let mut changes: Vec<Change> =
        (0..200).map(|index| Change { key: leaf(index), value: (index < 100).then(|| vec![1; 40]) }).collect();
    changes.sort_by_key(|change| change.key);
    let (after, writes) = update(&trie, root, &changes).unwrap();
    assert_eq!(after, root);
    assert!(writes.is_empty());
}

#[test]
fn a_node_that_is_missing_or_another_is_named() {
    let leaves: Leaves =
        (0..100u64).map(|index| (Nibbles::unpack(keccak256(index.to_be_bytes())), vec![1; 40])).collect();
    let root = expected_root(&leaves);
    let key = *leaves.keys().next().unwrap();
    let change = [Change { key, value: Some(vec![2]) }];

    let mut trie = rebuilt(&leaves);
    let path = key.slice(..1);
    trie.nodes.get_mut(&path).unwrap()[5] ^= 1;
    let error = update(&trie, root, &change).unwrap_err().to_string();
    assert!(error.contains("the trie under test") && error.contains("is not the one its parent commits to"), "{error}");
    trie.nodes.remove(&path);
    let error = update(&trie, root, &change).unwrap_err().to_string();
    assert!(error.contains("is missing"), "{error}");
    assert!(prove(&trie, root, &key).is_err());
}

#[test]
fn what_an_update_made_the_next_one_does_not_read() {
    let mut leaves: Leaves =
        (0..1_000u64).map(|index| (Nibbles::unpack(keccak256(index.to_be_bytes())), vec![1; 40])).collect();
    let mut trie = CountedTrie { cache: Some(NodeCache::new(64)), ..rebuilt(&leaves) };
    let (mut root, key) = (expected_root(&leaves), *leaves.keys().next().unwrap());
    let mut reads = Vec::new();
    for value in 2..5 {
        let changes = [Change { key, value: Some(vec![value; 40]) }];
        apply(&mut leaves, &changes);
        let (after, writes) = update(&trie, root, &changes).unwrap();
        trie.write(writes);
        root = after;
        assert_eq!(root, expected_root(&leaves));
        reads.push(trie.reads.swap(0, Relaxed));
    }
    assert!(reads[0] >= 3, "the way to one of a thousand keys: {reads:?}");
    assert_eq!(reads[1..], [0, 0]);
}

/// The cost of an update is that of its changes: nodes are counted, not seconds. Between 10,000 and 1,000,000 keys lie less
/// than two levels of the trie (log16 100 = 1.7), so a change may read and write that many nodes more.
#[test]
fn a_thousand_changes_cost_about_as_much_among_a_million_keys_as_among_ten_thousand() {
    const CHANGES: usize = 1_000;
    let cost = |keys: u64| {
        let leaf = |index: u64| Nibbles::unpack(keccak256(index.to_be_bytes()));
        let mut all: Vec<Change> =
            (0..keys).map(|index| Change { key: leaf(index), value: Some(vec![7; 70]) }).collect();
        all.sort_unstable_by_key(|change| change.key);
        let mut trie = CountedTrie::default();
        let (root, writes) = update(&trie, EMPTY_ROOT_HASH, &all).unwrap();
        trie.write(writes);
        trie.reads.store(0, Relaxed);
        let step = keys / CHANGES as u64;
        let mut changes: Vec<Change> =
            (0..CHANGES as u64).map(|index| Change { key: leaf(index * step), value: Some(vec![8; 70]) }).collect();
        changes.sort_unstable_by_key(|change| change.key);
        let (_, writes) = update(&trie, root, &changes).unwrap();
        (trie.reads.load(Relaxed), trie.write(writes))
    };
    let (small, large) = (cost(10_000), cost(1_000_000));
    assert!(large.0 <= small.0 + 2 * CHANGES, "reads: {} among 10,000 keys, {} among 1,000,000", small.0, large.0);
    assert!(large.1 <= small.1 + 2 * CHANGES, "writes: {} among 10,000 keys, {} among 1,000,000", small.1, large.1);
    assert_eq!(large.0, large.1, "an update of values writes the nodes it reads, no others");
}
