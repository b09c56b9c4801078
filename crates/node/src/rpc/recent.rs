//! Blocks with their receipts that were read lately, decoded. Logs and receipts are asked for again and again, mostly of
//! the same few blocks, and decoding them costs more than everything else about such a request.
//!
//! Entries are found by hash, so that a rewind cannot make one wrong.

use super::{Rpc, RpcError};
use crate::{store::StoredBlock, types::Receipt};
use alloy_primitives::B256;
use alloy_rlp::Encodable;
use lru::LruCache;
use parking_lot::Mutex;
use std::sync::Arc;

/// Bytes that all entries together may take, by estimate.
const BYTES_MAX: usize = 24 * 1024 * 1024;
/// A block that takes more than this is not kept: it would push out too many others.
const ENTRY_BYTES_MAX: usize = BYTES_MAX / 8;

/// A block and its receipts.
#[derive(Debug)]
pub(crate) struct BlockWithReceipts {
    pub(crate) block: StoredBlock,
    pub(crate) receipts: Vec<Receipt>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct RecentBlocks(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    entries: LruCache<B256, (usize, Arc<BlockWithReceipts>)>,
    bytes: usize,
}

impl Default for RecentBlocks {
    fn default() -> Self {
        Self(Mutex::new(Kept { entries: LruCache::unbounded(), bytes: 0 }))
    }
}

impl RecentBlocks {
    fn get(&self, hash: &B256) -> Option<Arc<BlockWithReceipts>> {
        self.0.lock().entries.get(hash).map(|(_, entry)| entry.clone())
    }

    fn put(&self, entry: &Arc<BlockWithReceipts>) {
        let bytes = entry.bytes();
        if bytes > ENTRY_BYTES_MAX {
            return;
        }
        let mut kept = self.0.lock();
        if let Some((replaced, _)) = kept.entries.put(entry.block.hash, (bytes, entry.clone())) {
            kept.bytes -= replaced;
        }
        kept.bytes += bytes;
        while kept.bytes > BYTES_MAX {
            let Some((_, (oldest, _))) = kept.entries.pop_lru() else { break };
            kept.bytes -= oldest;
        }
    }
}

impl BlockWithReceipts {
    /// About how much memory it takes: twice what it is encoded, and what the structures themselves take.
    fn bytes(&self) -> usize {
        let of_log = |log: &alloy_primitives::Log| 160 + log.data.data.len() + 32 * log.data.topics().len();
        let logs: usize = self.receipts.iter().flat_map(|receipt| receipt.logs()).map(of_log).sum();
        2 * self.block.block.length() + logs + 700 * self.receipts.len()
    }
}

impl Rpc {
    /// The block at this height with its receipts.
    pub(crate) fn block_with_receipts(&self, number: u64) -> Result<Option<Arc<BlockWithReceipts>>, RpcError> {
        let chain = self.node.chain();
        let Some(hash) = chain.block_hash(number)? else { return Ok(None) };
        if let Some(known) = self.recent.get(&hash) {
            return Ok(Some(known));
        }
        let Some(block) = chain.block(number)? else { return Ok(None) };
        let receipts = self.receipts(&block)?;
        // The chain may have been rewound between the two reads.
        if receipts.len() != block.block.body.transactions.len() {
            return Ok(None);
        }
        let entry = Arc::new(BlockWithReceipts { block, receipts });
        self.recent.put(&entry);
        Ok(Some(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Block;
    use alloy_primitives::Bytes;

    fn entry(number: u8, extra_bytes: usize) -> Arc<BlockWithReceipts> {
        let mut block = Block::default();
        block.header.extra_data = Bytes::from(vec![0; extra_bytes]);
        let block = StoredBlock { hash: B256::repeat_byte(number), block, senders: Vec::new() };
        Arc::new(BlockWithReceipts { block, receipts: Vec::new() })
    }

    #[test]
    fn what_was_not_asked_for_longest_goes_first_and_the_bound_holds() {
        let recent = RecentBlocks::default();
        let size = ENTRY_BYTES_MAX / 2 - 2_000;
        for number in 0..20 {
            recent.put(&entry(number, size));
            assert!(recent.get(&B256::ZERO).is_some(), "{number}");
        }
        assert!(recent.get(&B256::repeat_byte(19)).is_some());
        assert!(recent.get(&B256::repeat_byte(1)).is_none());
        let kept = recent.0.lock();
        assert!(kept.bytes <= BYTES_MAX);
        assert_eq!(kept.bytes, kept.entries.iter().map(|(_, (bytes, _))| bytes).sum::<usize>());
    }

    #[test]
    fn a_giant_is_not_kept_and_the_same_block_counts_once() {
        let recent = RecentBlocks::default();
        recent.put(&entry(1, ENTRY_BYTES_MAX));
        assert!(recent.get(&B256::repeat_byte(1)).is_none());
        for _ in 0..3 {
            recent.put(&entry(2, 100));
        }
        assert_eq!(recent.0.lock().bytes, entry(2, 100).bytes());
    }
}
