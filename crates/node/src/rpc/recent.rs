//! Blocks with their receipts that were read lately, decoded. Logs and receipts are asked for again and again, mostly of
//! the same few blocks, and decoding them costs more than everything else about such a request.
//!
//! An entry is the block at its height as long as nothing was undone since it was read; after that its hash is compared first.

use super::{Rpc, RpcError, eth::append_logs, log_filter::LogFilter, shown_log::ShownLog};
use crate::{store::StoredBlock, types::Receipt};
use alloy_primitives::B256;
use alloy_rlp::Encodable;
use lru::LruCache;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

/// Bytes that all entries together may take, by estimate.
const BYTES_MAX: usize = 24 * 1024 * 1024;
/// A block that takes more than this is not kept: it would push out too many others.
const ENTRY_BYTES_MAX: usize = BYTES_MAX / 8;

/// A block and its receipts.
#[derive(Debug)]
pub(crate) struct BlockWithReceipts {
    pub(crate) block: StoredBlock,
    pub(crate) receipts: Vec<Receipt>,
    /// All its logs, written when somebody first asks for one.
    shown_logs: OnceLock<Vec<ShownLog>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct RecentBlocks(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    /// By height.
    entries: LruCache<u64, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    found: Arc<BlockWithReceipts>,
    bytes: usize,
    /// How often blocks had been undone when the block was last known to be at its height.
    rewinds: u64,
}

impl Default for RecentBlocks {
    fn default() -> Self {
        Self(Mutex::new(Kept { entries: LruCache::unbounded(), bytes: 0 }))
    }
}

impl RecentBlocks {
    /// The block at this height, if it is kept; `hash_now` says which one is there after something was undone.
    fn get<E>(
        &self,
        number: u64,
        rewinds: u64,
        hash_now: impl FnOnce() -> Result<Option<B256>, E>,
    ) -> Result<Option<Arc<BlockWithReceipts>>, E> {
        let (found, is_sure) = match self.0.lock().entries.get(&number) {
            Some(entry) => (entry.found.clone(), entry.rewinds == rewinds),
            None => return Ok(None),
        };
        if !is_sure {
            if hash_now()? != Some(found.block.hash) {
                return Ok(None);
            }
            self.put(&found, rewinds);
        }
        Ok(Some(found))
    }

    fn put(&self, found: &Arc<BlockWithReceipts>, rewinds: u64) {
        let bytes = found.bytes();
        if bytes > ENTRY_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock();
        let entry = Entry { found: found.clone(), bytes, rewinds };
        if let Some(replaced) = kept.entries.put(found.block.number(), entry) {
            kept.bytes -= replaced.bytes;
        }
        kept.bytes += bytes;
        while kept.bytes > BYTES_MAX {
            let Some((_, oldest)) = kept.entries.pop_lru() else { break };
            kept.bytes -= oldest.bytes;
        }
    }
}

impl BlockWithReceipts {
    fn new(block: StoredBlock, receipts: Vec<Receipt>) -> Self {
        Self { block, receipts, shown_logs: OnceLock::new() }
    }

    /// The logs that the filter wants, as they are shown.
    pub(crate) fn append_shown_logs(&self, logs: &mut Vec<ShownLog>, filter: &LogFilter) {
        let shown = self.shown_logs.get_or_init(|| {
            let mut all = Vec::new();
            append_logs(&mut all, &LogFilter::default(), &self.block, &self.receipts, false);
            all.iter().map(ShownLog::of).collect()
        });
        let all = self.receipts.iter().flat_map(|receipt| receipt.logs());
        logs.extend(all.zip(shown).filter(|(log, _)| filter.takes(log)).map(|(_, shown)| shown.clone()));
    }

    /// About how much memory it takes: twice what it is encoded, and what the structures themselves take.
    fn bytes(&self) -> usize {
        // Once decoded and once as JSON, with two digits a byte and the words of all fields.
        let of_log = |log: &alloy_primitives::Log| 760 + 3 * log.data.data.len() + 100 * log.data.topics().len();
        let logs: usize = self.receipts.iter().flat_map(|receipt| receipt.logs()).map(of_log).sum();
        2 * self.block.block.length() + logs + 700 * self.receipts.len()
    }
}

impl Rpc {
    /// The block at this height with its receipts.
    pub(crate) fn block_with_receipts(&self, number: u64) -> Result<Option<Arc<BlockWithReceipts>>, RpcError> {
        let chain = self.node.chain();
        let rewinds = chain.rewind_count();
        if let Some(known) = self.recent.get(number, rewinds, || chain.block_hash(number))? {
            return Ok(Some(known));
        }
        let Some(block) = chain.block(number)? else { return Ok(None) };
        let receipts = self.receipts(&block)?;
        // The chain may have been rewound between the two reads.
        if receipts.len() != block.block.body.transactions.len() {
            return Ok(None);
        }
        let entry = Arc::new(BlockWithReceipts::new(block, receipts));
        self.recent.put(&entry, rewinds);
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Block;
    use alloy_primitives::Bytes;

    fn entry(number: u64, extra_bytes: usize) -> Arc<BlockWithReceipts> {
        let mut block = Block::default();
        block.header.number = number;
        block.header.extra_data = Bytes::from(vec![0; extra_bytes]);
        let hash = B256::with_last_byte(number as u8);
        Arc::new(BlockWithReceipts::new(StoredBlock { hash, block, senders: Vec::new() }, Vec::new()))
    }

    fn is_kept(recent: &RecentBlocks, number: u64) -> bool {
        let found = recent.get(number, 0, || Err("nothing was undone, so nobody looks"));
        found.expect("sure without looking").is_some()
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first_and_the_bound_holds() {
        let recent = RecentBlocks::default();
        let size = ENTRY_BYTES_MAX / 2 - 2_000;
        for number in 0..20 {
            recent.put(&entry(number, size), 0);
            assert!(is_kept(&recent, 0), "{number}");
        }
        assert!(is_kept(&recent, 19));
        assert!(!is_kept(&recent, 1));
        let kept = recent.0.lock();
        assert!(kept.bytes <= BYTES_MAX);
        assert_eq!(kept.bytes, kept.entries.iter().map(|(_, entry)| entry.bytes).sum::<usize>());
    }

    #[test]
    fn a_giant_is_not_kept_and_the_same_block_counts_once() {
        let recent = RecentBlocks::default();
        recent.put(&entry(1, ENTRY_BYTES_MAX), 0);
        assert!(!is_kept(&recent, 1));
        for _ in 0..3 {
            recent.put(&entry(2, 100), 0);
        }
        assert_eq!(recent.0.lock().bytes, entry(2, 100).bytes());
    }

    #[test]
    fn after_blocks_were_undone_an_entry_is_compared_once() {
        let recent = RecentBlocks::default();
        recent.put(&entry(1, 100), 0);
        let get = |rewinds, hash_now: Result<Option<B256>, &'static str>| recent.get(1, rewinds, || hash_now);
        let hash = entry(1, 100).block.hash;
        assert!(get(1, Ok(Some(B256::ZERO))).expect("no error").is_none(), "another block is there now");
        assert!(get(1, Ok(None)).expect("no error").is_none(), "none is there now");
        assert!(get(1, Ok(Some(hash))).expect("no error").is_some());
        assert!(get(1, Err("it is sure again")).expect("no error").is_some());
    }
}
