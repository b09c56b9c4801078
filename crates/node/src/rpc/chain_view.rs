//! What the methods read of the chain: blocks by any name a client may give them, and states.

use super::{
    Rpc, RpcError,
    convert::{self, ReceiptContext},
};
use crate::{
    pool::PooledEntry,
    state::StateSnapshot,
    store::{StoreError, StoredBlock},
    types::{Block, Header, Receipt},
};
use alloy::{
    consensus::BlockBody,
    eips::{BlockId, BlockNumberOrTag},
};
use alloy_primitives::{Address, B256};
use serde_json::Value;
use std::sync::Arc;

impl Rpc {
    /// Height of the canonical block a client means; `None` if there is none. `safe` and `finalized` are the head, because
    /// what one producer has sealed is final, unless the node was told to stay behind it. `pending` is the head as far as
    /// state goes.
    pub(crate) fn number_of(&self, id: BlockId) -> Result<Option<u64>, RpcError> {
        let head = self.node.head().number;
        Ok(match id {
            BlockId::Number(BlockNumberOrTag::Number(number)) => {
                if self.node.spec().fork().is_some_and(|fork| number < fork.block_number) {
                    return Err(RpcError::BeforeFork);
                }
                (number <= head).then_some(number)
            }
            BlockId::Number(BlockNumberOrTag::Earliest) => Some(self.node.chain().first_block()?),
            BlockId::Number(tag @ (BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized))
                if self.blocks_per_epoch > 0 =>
            {
                let epochs = if tag.is_safe() { 1 } else { 2 };
                let behind = self.blocks_per_epoch.saturating_mul(epochs);
                Some(head.saturating_sub(behind).max(self.node.chain().first_block()?))
            }
            BlockId::Number(_) => Some(head),
            BlockId::Hash(hash) => self.node.chain().block_number(hash.block_hash)?,
        })
    }

    /// The header a client means, with its hash.
    pub(crate) fn header(&self, id: BlockId) -> Result<Option<(Header, B256)>, RpcError> {
        let Some(number) = self.number_of(id)? else { return Ok(None) };
        Ok(self.node.chain().header(number)?.map(|header| header.into_parts()))
    }

    /// The header of the head, with its hash.
    pub(crate) fn head_header(&self) -> Result<(Header, B256), RpcError> {
        Ok(self.node.chain().head()?.into_parts())
    }

    /// The block a client means.
    pub(crate) fn block(&self, id: BlockId) -> Result<Option<StoredBlock>, RpcError> {
        self.number_of(id)?.map_or(Ok(None), |number| Ok(self.node.chain().block(number)?))
    }

    /// A transaction's block, and its index in it.
    pub(crate) fn find_transaction(&self, hash: B256) -> Result<Option<(StoredBlock, usize)>, RpcError> {
        let Some(location) = self.node.chain().transaction_location(hash)? else { return Ok(None) };
        let Some(block) = self.node.chain().block(location.block_number)? else { return Ok(None) };
        let index = usize::try_from(location.index).map_err(RpcError::internal)?;
        // The chain may have been rewound between the two reads.
        let is_it = block.block.body.transactions.get(index).is_some_and(|found| *found.tx_hash() == hash);
        Ok(is_it.then_some((block, index)))
    }

    /// The receipts of a block.
    pub(crate) fn receipts(&self, block: &StoredBlock) -> Result<Vec<Receipt>, RpcError> {
        Ok(self.node.chain().receipts(block.number())?.unwrap_or_default())
    }

    /// What showing the receipts of a block takes.
    pub(crate) fn receipt_context<'a>(&self, block: &'a StoredBlock) -> ReceiptContext<'a> {
        ReceiptContext {
            block: &block.block,
            hash: block.hash,
            senders: &block.senders,
            blob_params: self.node.spec().blob_params_at(block.block.header.timestamp),
        }
    }

    /// The state a client means; without a block, the one after the head.
    pub(crate) fn state(&self, block: Option<BlockId>) -> Result<StateSnapshot, RpcError> {
        match block {
            None | Some(BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending)) => {
                Ok(self.node.chain().latest_state()?)
            }
            Some(id) => {
                let number = self.number_of(id)?.ok_or(RpcError::HeaderNotFound)?;
                // The head by its number or hash is the head: what cheats set since is seen there too.
                let latest = self.node.chain().latest_state()?;
                if latest.number() == number { Ok(latest) } else { Ok(self.node.chain().state_at(number)?) }
            }
        }
    }

    /// The nonce an account's next transaction should carry, counting what waits in the pool.
    pub(crate) fn next_nonce(&self, address: Address) -> Result<u64, RpcError> {
        if let Some(nonce) = self.node.pending_nonce(address) {
            return Ok(nonce);
        }
        Ok(self.node.chain().latest_state()?.account(address)?.map(|account| account.nonce).unwrap_or_default())
    }

    /// The base fee of the block after the head, in wei per gas; zero before London.
    pub(crate) fn next_base_fee(&self) -> Result<u64, RpcError> {
        Ok(self.node.next_header(&self.node.chain().head()?).base_fee_per_gas.unwrap_or_default())
    }

    /// What could be in the next block, by sender and nonce.
    pub(crate) fn executable_in_pool(&self) -> Vec<Arc<PooledEntry>> {
        let content = self.node.pool_content();
        content.pending.into_values().flat_map(|of_sender| of_sender.into_values()).collect()
    }

    /// The block that would be sealed now, as geth shows it: nobody has executed it, so it has no hash, nonce or bloom.
    pub(crate) fn pending_block(&self, full: bool) -> Result<Value, RpcError> {
        let head = self.node.chain().head()?;
        let header = self.node.next_header(&head);
        let (mut transactions, mut senders) = (Vec::new(), Vec::new());
        for entry in self.executable_in_pool() {
            transactions.push(entry.transaction().inner().clone());
            senders.push(entry.sender());
        }
        let withdrawals = head.withdrawals_root.map(|_| Default::default());
        let block = Block { header, body: BlockBody { transactions, ommers: Vec::new(), withdrawals } };
        let mut shown =
            serde_json::to_value(convert::block(&block, B256::ZERO, &senders, full)).map_err(RpcError::internal)?;
        for unknown in ["hash", "nonce", "logsBloom"] {
            shown[unknown] = Value::Null;
        }
        if let Some(transactions) = shown["transactions"].as_array_mut().filter(|_| full) {
            transactions.iter_mut().for_each(|transaction| transaction["blockHash"] = Value::Null);
        }
        Ok(shown)
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UnknownBlock { .. } => Self::HeaderNotFound,
            StoreError::NotRetained { number, oldest } => Self::StateNotKept { number, oldest },
            other => Self::internal(other),
        }
    }
}
