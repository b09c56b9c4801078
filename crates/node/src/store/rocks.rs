//! The tables on disk, in RocksDB.

use super::{
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead, Rows},
    manifest::CutManifest,
    schema::Table,
};
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, ErrorKind, FlushOptions, IteratorMode, LruCacheOptions, Options, ReadOptions, Snapshot,
    WriteBatch,
};
use self_cell::self_cell;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// How the database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// `true`: a block is on the disk before anybody is told of it; a power cut loses nothing. `false`: it is in the log
    /// and the system's hands; a killed process loses nothing, a power cut may lose the last blocks (never a part of one).
    pub sync: bool,
    /// Open a store that ends before a block that was acknowledged, instead of refusing to.
    pub accept_lost_blocks: bool,
    /// Blocks of the database kept in memory, with their filters and indices.
    pub block_cache_bytes: usize,
    /// Rows not yet in a sorted file, all tables together.
    pub memtables_bytes: usize,
    /// Log kept until the rows are in sorted files.
    pub log_bytes_max: u64,
    /// File descriptors held.
    pub open_files_max: i32,
    /// Analysed contract codes kept in memory.
    pub codes_cached_max: usize,
    /// Nodes of the state's tries kept in memory, of at most some 700 bytes each.
    pub trie_nodes_cached_max: usize,
    /// Trie rows that are kept back until they are written together.
    pub trie_rows_buffered_bytes_max: usize,
    /// Blocks whose trie rows are kept back. After a crash that is how far the tries may have to catch up.
    pub trie_rows_buffered_blocks_max: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            sync: false,
            accept_lost_blocks: false,
            block_cache_bytes: 64 << 20,
            memtables_bytes: 64 << 20,
            log_bytes_max: 128 << 20,
            open_files_max: 512,
            codes_cached_max: 512,
            trie_nodes_cached_max: 8_192,
            trie_rows_buffered_bytes_max: 8 << 20,
            trie_rows_buffered_blocks_max: 256,
        }
    }
}

/// Tables in RocksDB, one column family each.
pub struct RocksKeyValue {
    database: Arc<Database>,
    /// A sync failed, and none has succeeded since.
    has_failed_to_sync: AtomicBool,
}

type Families<'a> = [&'a ColumnFamily; Table::ALL.len()];

self_cell! {
    /// The database and its column families, looked up once.
    struct Database {
        owner: DB,
        #[covariant]
        dependent: Families,
    }
}

impl Database {
    fn db(&self) -> &DB {
        self.borrow_owner()
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        self.borrow_dependent()[table as usize]
    }
}

impl RocksKeyValue {
    /// Opens the database in this folder, making it if it is not there.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let not_ours = |detail: String| StoreError::NotAStore { path: path.to_owned(), detail };
        std::fs::create_dir_all(path).map_err(|error| StoreError::Backend {
            operation: "make the data folder",
            detail: format!("{}: {error}", path.display()),
        })?;
        if path.join("CURRENT").exists() {
            // Opening with other tables than there are fails with a riddle; say it plainly.
            let names = match DB::list_cf(&Options::default(), path) {
                // Opening says so too, and not of a database that another process is just writing to.
                Err(error) if error.kind() == ErrorKind::Corruption => Vec::new(),
                names => names.map_err(|error| failed("list the tables", error))?,
            };
            let known = |name: &String| name == "default" || Table::ALL.iter().any(|table| table.name() == name);
            if let Some(stranger) = names.iter().find(|name| !known(name)) {
                return Err(not_ours(format!("it has a table `{stranger}`")));
            }
        }
        // A torn last record is what a crash leaves and is dropped; damage anywhere before it is an error, never skipped.
        let whole = database_options(options, DBRecoveryMode::TolerateCorruptedTailRecords);
        let database = DB::open_cf_descriptors(&whole, path, families(options));
        Ok(Self::over(database.map_err(|error| not_opened(path, error))?))
    }

    /// Opens a database whose logs are damaged, as far as they are sound, if `holds` says of that part that it is enough; `None` if
    /// not, and then they are as they were. After a power cut, pages that nobody had waited for may be on the disk without those
    /// before them, and the length of a file without its last bytes. Only for who was told of the damage by [`open`](Self::open):
    /// then nobody else has the database open.
    pub(super) fn open_sound_part(
        path: &Path,
        options: &StoreOptions,
        holds: impl FnOnce(&dyn KeyValueRead) -> Result<bool, StoreError>,
    ) -> Result<Option<Self>, StoreError> {
        let cut = CutManifest::cut(path)
            .map_err(|error| StoreError::Backend { operation: "read its MANIFEST", detail: error.to_string() })?;
        let part = database_options(options, DBRecoveryMode::PointInTime);
        let readable = DB::open_cf_descriptors_read_only(&part, path, families(options), false);
        let readable = Self::over(readable.map_err(|error| not_opened(path, error))?);
        if !holds(&readable)? {
            return Ok(None);
        }
        drop(readable);
        let database =
            DB::open_cf_descriptors(&part, path, families(options)).map_err(|error| not_opened(path, error))?;
        if let Some(cut) = cut {
            cut.keep();
        }
        Ok(Some(Self::over(database)))
    }

    fn over(database: DB) -> Self {
        let database = Database::new(database, |database| {
            Table::ALL.map(|table| database.cf_handle(table.name()).expect("every table of the schema was opened"))
        });
        Self { database: Arc::new(database), has_failed_to_sync: AtomicBool::new(false) }
    }
}

fn families(options: &StoreOptions) -> impl Iterator<Item = ColumnFamilyDescriptor> {
    let cache = block_cache(options);
    let families = Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table, &cache)));
    families.into_iter().chain([unused_family()])
}

fn not_opened(path: &Path, error: rocksdb::Error) -> StoreError {
    let text = error.to_string();
    if text.contains("LOCK") || text.contains("lock hold") {
        return StoreError::InUse { path: path.to_owned() };
    }
    failed("open", error)
}

impl KeyValueRead for RocksKeyValue {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.database.db().get_cf(self.database.family(table), key).map_err(|error| failed("read", error))
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        rows(&self.database, table, from, to, ReadOptions::default())
    }
}

impl KeyValue for RocksKeyValue {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for (table, key, value) in batch.changes {
            match value {
                Some(value) => writes.put_cf(self.database.family(table), key, value),
                None => writes.delete_cf(self.database.family(table), key),
            }
        }
        self.database.db().write(writes).map_err(|error| failed("write a batch", error))
    }

    fn snapshot(&self) -> Arc<dyn KeyValueRead> {
        Arc::new(RocksSnapshot(SnapshotCell::new(self.database.clone(), |database| {
            let snapshot = database.db().snapshot();
            let mut options = ReadOptions::default();
            options.set_snapshot(&snapshot);
            Moment { options, snapshot }
        })))
    }

    fn flush(&self) -> Result<(), StoreError> {
        let database = self.database.db();
        if self.has_failed_to_sync.load(Ordering::Relaxed) {
            // What the system could not write it may take for written the second time. So the rows go from memory to sorted
            // files, which are new and synced: they no longer need the log.
            let families = self.database.borrow_dependent();
            database
                .flush_cfs_opt(families, &FlushOptions::default())
                .map_err(|error| failed("sync its rows", error))?;
        }
        let synced = database.flush_wal(true);
        self.has_failed_to_sync.store(synced.is_err(), Ordering::Relaxed);
        synced.map_err(|error| failed("sync the log", error))
    }
}

self_cell! {
    struct SnapshotCell {
        owner: Arc<Database>,
        #[covariant]
        dependent: Moment,
    }
}

/// A snapshot, and how to read at it: made once, not per read.
struct Moment<'a> {
    options: ReadOptions,
    snapshot: Snapshot<'a>,
}

/// A moment of the database, which it keeps alive.
struct RocksSnapshot(SnapshotCell);

impl KeyValueRead for RocksSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let (database, moment) = (self.0.borrow_owner(), self.0.borrow_dependent());
        let found = database.db().get_cf_opt(database.family(table), key, &moment.options);
        found.map_err(|error| failed("read", error))
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        let mut options = ReadOptions::default();
        options.set_snapshot(&self.0.borrow_dependent().snapshot);
        rows(self.0.borrow_owner(), table, from, to, options)
    }
}

fn rows<'a>(
    database: &'a Database,
    table: Table,
    from: &[u8],
    to: Option<&[u8]>,
    mut options: ReadOptions,
) -> Rows<'a> {
    if let Some(to) = to {
        options.set_iterate_upper_bound(to);
    }
    let mode = IteratorMode::From(from, Direction::Forward);
    let iterator = database.db().iterator_cf_opt(database.family(table), options, mode);
    Box::new(iterator.map(|row| {
        let (key, value) = row.map_err(|error| failed("read a range", error))?;
        Ok((key.into_vec(), value.into_vec()))
    }))
}

fn failed(operation: &'static str, error: rocksdb::Error) -> StoreError {
    let detail = error.into_string();
    if detail.contains("No space left on device") || detail.contains("Disk quota exceeded") {
        return StoreError::DiskFull { operation, detail };
    }
    StoreError::Backend { operation, detail }
}

/// Rows of one table in memory before they become a sorted file.
const WRITE_BUFFER_BYTES: usize = 16 << 20;

fn database_options(options: &StoreOptions, recovery: DBRecoveryMode) -> Options {
    let mut database = Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_paranoid_checks(true);
    database.set_wal_recovery_mode(recovery);
    database.set_db_write_buffer_size(options.memtables_bytes);
    database.set_max_total_wal_size(options.log_bytes_max);
    database.set_max_open_files(options.open_files_max);
    database.set_max_background_jobs(2);
    // One writes at a time; then a new row is looked for beside the last one first.
    database.set_allow_concurrent_memtable_write(false);
    database.set_keep_log_file_num(2);
    database.set_max_log_file_size(4 << 20);
    database.set_stats_dump_period_sec(0);
    database
}

/// The family `default`, which every database has and this one leaves empty. Left alone it has a buffer of 64 MiB, and after
/// a full disk the database waits until the largest of all buffers would fit.
fn unused_family() -> ColumnFamilyDescriptor {
    let mut family = Options::default();
    family.set_write_buffer_size(WRITE_BUFFER_BYTES);
    ColumnFamilyDescriptor::new("default", family)
}

/// One cache for all tables, in few shards: a shard must have room for more than a few blocks.
fn block_cache(options: &StoreOptions) -> Cache {
    let mut cache = LruCacheOptions::default();
    cache.set_capacity(options.block_cache_bytes);
    cache.set_num_shard_bits(3);
    Cache::new_lru_cache_opts(&cache)
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // Indices and filters in pieces: whole ones of a large file are megabytes, and would push everything else out.
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_pin_top_level_index_and_filter(true);
    if has_point_reads(table) {
        blocks.set_bloom_filter(10.0, false);
    }
    let mut family = Options::default();
    if has_point_reads(table) {
        // Keys that are not there are not looked for among the rows in memory either.
        family.set_memtable_whole_key_filtering(true);
        family.set_memtable_prefix_bloom_ratio(0.05);
    }
    family.set_block_based_table_factory(&blocks);
    family.set_compression_type(DBCompressionType::Lz4);
    family.set_write_buffer_size(WRITE_BUFFER_BYTES);
    family.set_level_compaction_dynamic_level_bytes(true);
    family
}

/// Tables that are asked for keys which may not be there: a filter saves the disk.
fn has_point_reads(table: Table) -> bool {
    use Table::*;
    matches!(table, BlockNumbers | Transactions | Accounts | Storage | Code | AccountTrie | StorageTrie)
}
