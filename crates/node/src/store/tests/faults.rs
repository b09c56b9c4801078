//! Folders that are not what they should be.

use super::model::{Dump, Model, Step, Touch, dump};
use crate::store::{
    Batch, ChainStore, KeyValue, KeyValueRead, RocksKeyValue, StoreError, StoreOptions,
    schema::{FORMAT_VERSION, FORMAT_WITH_THE_HEADS_TRIES, Table, meta},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

fn open(path: &Path) -> Result<ChainStore, StoreError> {
    ChainStore::open(path, &StoreOptions::default())
}

/// A store that keeps no row of a trie back.
fn at_once(path: &Path) -> ChainStore {
    let options = StoreOptions { trie_rows_buffered_blocks_max: 0, ..StoreOptions::default() };
    ChainStore::open(path, &options).unwrap()
}

/// What a block does to an account.
fn touch(nonce: u64) -> Touch {
    Touch::Set { nonce, balance: nonce, slots: [(1, nonce)].into() }
}

/// A block that does nothing else.
fn block(nonce: u64) -> Step {
    Step::Block([(1, touch(nonce))].into())
}

fn put(path: &Path, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(table, key, value);
    RocksKeyValue::open(path, &StoreOptions::default()).unwrap().write(batch).unwrap();
}

#[test]
fn another_format_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    put(folder.path(), Table::Meta, meta::FORMAT, &(FORMAT_VERSION + 1).to_be_bytes());
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(&error, StoreError::FormatVersion { found, .. } if *found == (FORMAT_VERSION + 1).to_string()));
    assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");

    put(folder.path(), Table::Meta, meta::FORMAT, b"junk");
    put(folder.path(), Table::Meta, meta::FORMAT, b"more junk");
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(&error, StoreError::FormatVersion { found, .. } if found == "0x6d6f7265206a756e6b"), "{error}");
}

/// A database of before tries could wait has the head's, and says so from now on.
#[test]
fn a_database_with_the_heads_tries_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), at_once(folder.path()));
    model.initialize(&store);
    (1..4).for_each(|nonce| model.step(&block(nonce), &[&store]));
    drop(store);
    let mut batch = Batch::default();
    batch.put(Table::Meta, meta::FORMAT, FORMAT_WITH_THE_HEADS_TRIES.to_be_bytes());
    batch.delete(Table::Meta, meta::TRIES);
    RocksKeyValue::open(folder.path(), &StoreOptions::default()).unwrap().write(batch).unwrap();

    for nonce in 4..8 {
        let store = open(folder.path()).unwrap();
        model.check(&store);
        model.step(&block(nonce), &[&store]);
        drop(store);
        let stored = RocksKeyValue::open(folder.path(), &StoreOptions::default()).unwrap();
        assert_eq!(stored.get(Table::Meta, meta::TRIES).unwrap().unwrap(), 3u64.to_be_bytes());
    }
    model.check(&open(folder.path()).unwrap());
}

/// The tries that wait need the histories of the blocks they wait for.
#[test]
fn histories_are_forgotten_when_the_tries_do_not_need_them() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
    model.initialize(&store);
    (1..9).for_each(|nonce| model.step(&block(nonce), &[&store]));
    assert_eq!(store.prune_states_below(4).unwrap(), 4);
    model.step(&block(9), &[&store]);
    drop(store);
    let store = open(folder.path()).unwrap();
    (4..=9).for_each(|number| model.check_state(&store, number));
    assert_eq!(store.prune_states_below(6).unwrap(), 6);
}

/// Tries that cannot be brought up to the head: what is sound is served, nothing is proved, and no block is made.
#[test]
fn tries_that_cannot_catch_up_are_never_served() {
    let sound = (Table::AccountTrie, Vec::new());
    let above_the_head = (Table::Meta, meta::TRIES.to_vec());
    for (table, key) in [sound, above_the_head] {
        let folder = tempfile::tempdir().unwrap();
        let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
        model.initialize(&store);
        model.step(&block(9), &[&store]);
        drop(store);
        put(folder.path(), table, &key, &7u64.to_be_bytes());
        for _ in 0..2 {
            let store = open(folder.path()).unwrap();
            model.check(&store);
            let unproved = store.proof(1, super::model::address(1), &[]).unwrap_err();
            assert!(matches!(&unproved, StoreError::MissingTrieNode { path, .. } if path.is_empty()), "{unproved}");
            let changes = super::model::changes(&mut model.states[1].clone(), &BTreeMap::from([(1, touch(10))]));
            let unmade = store.state_root_after(1, &changes).unwrap_err();
            assert!(matches!(&unmade, StoreError::MissingTrieNode { .. }), "{unmade}");
            store.flush().unwrap();
        }
    }
}

/// Closing in order leaves nothing to catch up.
#[test]
fn flushing_writes_the_tries() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
    store.flush().unwrap();
    model.initialize(&store);
    for nonce in 1..4 {
        model.step(&block(nonce), &[&store]);
    }
    store.flush().unwrap();
    drop(store);
    let stored = RocksKeyValue::open(folder.path(), &StoreOptions::default()).unwrap();
    assert_eq!(stored.get(Table::Meta, meta::TRIES).unwrap().unwrap(), 3u64.to_be_bytes());
    drop(stored);
    model.check(&open(folder.path()).unwrap());
}

#[test]
fn a_database_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), Table::Accounts, b"key", b"value");
    assert!(matches!(open(folder.path()), Err(StoreError::NotAStore { .. })));

    let folder = tempfile::tempdir().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, folder.path(), ["invoices"]).unwrap());
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(&error, StoreError::NotAStore { detail, .. } if detail.contains("invoices")), "{error}");
}

#[test]
fn a_folder_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::InUse { .. })));
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = open(&file.join("data")).err().unwrap().to_string();
    assert!(error.contains("file/data"), "{error}");
}

#[test]
fn another_genesis_is_refused_and_both_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::new();
    assert!(matches!(open(folder.path()).unwrap().head(), Err(StoreError::NotInitialized)));
    model.initialize(&open(folder.path()).unwrap());
    let store = open(folder.path()).unwrap();
    assert!(store.is_initialized());
    model.initialize(&store);

    let mut other = model.genesis_block();
    other.header.timestamp = 1;
    let error = store.initialize(&model.genesis(), &other).unwrap_err();
    let hashes = (model.hashes[0], other.header.hash_slow());
    assert!(matches!(error, StoreError::WrongGenesis { stored, given } if (stored, given) == hashes), "{error}");

    // And a header that commits to another state than the alloc gives.
    let mut wrong = model.genesis_block();
    wrong.header.state_root = Default::default();
    let error = ChainStore::in_memory().initialize(&model.genesis(), &wrong).unwrap_err();
    assert!(matches!(error, StoreError::StateRootMismatch { number: 0, .. }), "{error}");
}

#[test]
fn a_damaged_row_is_named() {
    let folder = tempfile::tempdir().unwrap();
    Model::new().initialize(&open(folder.path()).unwrap());
    let address = super::model::address(3);
    put(folder.path(), Table::Accounts, address.as_slice(), &[0xff, 1]);
    let store = open(folder.path()).unwrap();
    let error = store.latest_state().unwrap().account(address).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { table: Table::Accounts, .. }));
    assert!(error.to_string().contains("`accounts`"), "{error}");
}

/// Flips one bit in the largest sorted file, at places all over it: what is read is right, or an error.
#[test]
fn a_flipped_bit_on_disk_is_never_served() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
    model.initialize(&store);
    for number in 1..200 {
        let slots: BTreeMap<u8, u64> = (0..6).map(|slot| (slot, number)).collect();
        let touch = Touch::Set { nonce: number, balance: number, slots };
        model.step(&Step::Block([((number % 8) as u8, touch)].into()), &[&store]);
    }
    let rows = dump(&store);
    drop(store);
    drop(open(folder.path()).unwrap()); // recovery writes the log into sorted files

    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let sorted = files.filter(|path| path.extension().is_some_and(|end| end == "sst"));
    let file = sorted.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let sound = std::fs::read(&file).unwrap();
    let mut detected = 0;
    for place in (0..sound.len()).step_by(sound.len() / 16) {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x10;
        std::fs::write(&file, damaged).unwrap();
        match open(folder.path()).and_then(|store| read_all(&store)) {
            Ok(read) => assert_eq!(read, rows, "bit flipped at byte {place} was served"),
            Err(error) => {
                assert!(matches!(error, StoreError::Backend { .. }), "{error}");
                detected += 1;
            }
        }
        std::fs::write(&file, &sound).unwrap();
    }
    assert!(detected >= 8, "only {detected} of 16 flipped bits were noticed");
    assert_eq!(dump(&open(folder.path()).unwrap()), rows);
}

fn read_all(store: &ChainStore) -> Result<Dump, StoreError> {
    let mut rows = Vec::new();
    for table in Table::ALL {
        for row in store.tables().range(table, &[], None) {
            let (key, value) = row?;
            rows.push((table, key, value));
        }
    }
    Ok(rows)
}

/// A closed store, what is in it, and its log.
fn closed_after_39_blocks() -> (tempfile::TempDir, Model, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
    model.initialize(&store);
    for nonce in 1..40 {
        model.step(&block(nonce), &[&store]);
    }
    drop(store);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = files.filter(|path| path.extension().is_some_and(|end| end == "log"));
    let log = log.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    (folder, model, log)
}

/// RocksDB by itself refuses this folder; the chain in it is whole all the same, and goes on.
fn is_mended(folder: &Path, model: &mut Model) {
    let strict = RocksKeyValue::open(folder, &StoreOptions::default());
    assert!(strict.is_err_and(|error| error.to_string().contains("Corruption")), "the damage is one that matters");

    let store = open(folder).unwrap();
    model.check(&store);
    model.step(&Step::Block(BTreeMap::new()), &[&store]);
    drop(store);
    model.check(&open(folder).unwrap());
}

/// Pages of the log that nobody had waited for: a hole, and behind it what the disk had there.
#[test]
fn what_a_power_cut_leaves_behind_the_last_acknowledged_block_is_given_up() {
    let (folder, mut model, log) = closed_after_39_blocks();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes.extend([0; 3_000]);
    bytes.extend(bytes.clone());
    std::fs::write(&log, bytes).unwrap();
    is_mended(folder.path(), &mut model);
}

/// The MANIFEST of a closed store.
fn manifest(folder: &Path) -> PathBuf {
    folder.join(std::fs::read_to_string(folder.join("CURRENT")).unwrap().trim_end())
}

/// The last record of the MANIFEST has its length and not its last bytes: nobody had waited for it.
#[test]
fn a_torn_end_of_the_manifest_is_cut_off() {
    let (folder, mut model, _) = closed_after_39_blocks();
    let file = manifest(folder.path());
    let mut bytes = std::fs::read(&file).unwrap();
    // What follows is the beginning of a record of 64 bytes and zeros.
    bytes.extend([0x98, 0xf0, 0xbf, 0x2a, 64, 0, 1, 0xaa]);
    bytes.extend([0; 63]);
    std::fs::write(&file, bytes).unwrap();
    is_mended(folder.path(), &mut model);
    let left = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    assert!(!left.into_iter().any(|path| path.extension().is_some_and(|end| end == "torn")));
}

/// Wherever it is damaged otherwise: the chain is whole, or the damage is named and the file as it was.
#[test]
fn a_damaged_manifest_is_named_and_not_touched() {
    let (folder, model, _) = closed_after_39_blocks();
    let file = manifest(folder.path());
    let sound = std::fs::read(&file).unwrap();
    let mut named = 0;
    for place in (10..sound.len()).step_by(sound.len() / 24) {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x10;
        std::fs::write(&file, &damaged).unwrap();
        match open(folder.path()) {
            Ok(store) => {
                model.check(&store);
                // It has a new MANIFEST now, and other files than the old one knows.
                return assert!(named > 0, "the first damage that was tried was taken for a torn end");
            }
            Err(error) => {
                assert!(error.to_string().contains("Corruption"), "{error}");
                assert_eq!(std::fs::read(&file).unwrap(), damaged, "damage at byte {place}");
                named += 1;
            }
        }
    }
    assert!(named >= 12, "only {named} of 24 damages were named");
}

#[test]
fn damage_before_it_is_an_error_and_nothing_is_touched() {
    let (folder, _, log) = closed_after_39_blocks();
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("Corruption"), "{error}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes);

    let options = StoreOptions { accept_lost_blocks: true, ..StoreOptions::default() };
    let head = ChainStore::open(folder.path(), &options).unwrap().head().unwrap().number;
    assert!(head > 0 && head < 39, "head {head}");
}

/// A log cut short, as a power cut leaves it without fsync: it is named. Whoever accepts that has a shorter chain that is
/// whole.
#[test]
fn a_truncated_log_is_named_and_what_is_left_is_whole() {
    let (folder, mut model, log) = closed_after_39_blocks();
    let length = log.metadata().unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length * 2 / 3).unwrap();

    let error = open(folder.path()).err().unwrap();
    let last = model.hashes[39];
    assert!(matches!(error, StoreError::BlocksLost { number: 39, hash, .. } if hash == last), "{error}");
    let options = StoreOptions { accept_lost_blocks: true, ..StoreOptions::default() };
    let store = ChainStore::open(folder.path(), &options).unwrap();
    let head = store.head().unwrap().number;
    assert!(head > 0 && head < 39, "head {head}");
    model.states.truncate(head as usize + 1);
    model.hashes.truncate(head as usize + 1);
    model.check(&store);
    // Going on from there is what was accepted.
    model.step(&Step::Block(BTreeMap::new()), &[&store]);
    drop(store);
    model.check(&open(folder.path()).unwrap());
}

/// A rewind takes back what was acknowledged: the shorter chain is no loss.
#[test]
fn a_rewound_chain_is_not_taken_for_a_truncated_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut model, store) = (Model::new(), open(folder.path()).unwrap());
    model.initialize(&store);
    (0..5).for_each(|_| model.step(&Step::Block(BTreeMap::new()), &[&store]));
    model.step(&Step::Rewind(3), &[&store]);
    drop(store);
    model.check(&open(folder.path()).unwrap());
}

#[test]
fn a_damaged_witness_is_named() {
    let folder = tempfile::tempdir().unwrap();
    Model::new().initialize(&open(folder.path()).unwrap());
    let file = folder.path().join("ACKNOWLEDGED");
    let mut content = std::fs::read(&file).unwrap();
    content[3] ^= 1;
    std::fs::write(&file, content).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("ACKNOWLEDGED is damaged"), "{error}");
}

/// Blocks that are written and not settled are the writer's business: readers see none of them, and all when it is done.
#[test]
fn readers_see_settled_blocks_only() {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions { sync: true, ..StoreOptions::default() };
    let store = ChainStore::open(folder.path(), &options).unwrap();
    let mut model = Model::new();
    model.initialize(&store);
    for nonce in 1..4 {
        model.append(&block(nonce), &store.with_unsettled());
    }
    assert_eq!((store.head().unwrap().number, store.with_unsettled().head().unwrap().number), (0, 3));
    assert!(store.header(1).unwrap().is_none() && store.block_number(model.hashes[1]).unwrap().is_none());
    assert!(matches!(store.state_at(2), Err(StoreError::UnknownBlock { head: 0, .. })));
    assert_eq!(store.latest_state().unwrap().number(), 0);
    model.check(&store.with_unsettled());
    assert_eq!(store.settle().unwrap().number, 3);
    model.check(&store);
}
