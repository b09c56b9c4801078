//! Blocks, headers and their receipts.

use crate::rpc::{
    Rpc, RpcError,
    convert::{self, RpcBlock, RpcHeader, RpcReceipt},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    rpc::types::Index,
};
use alloy_primitives::{B256, U64};
use jsonrpsee::proc_macros::rpc;
use serde::Serialize;

/// A block that is sealed, or the one that would be sealed now. The latter has no hash, nonce or bloom.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum BlockAnswer {
    Sealed(Box<RpcBlock>),
    Pending(serde_json::Value),
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthBlocks {
    #[method(name = "blockNumber")]
    fn block_number(&self) -> Result<U64, RpcError>;

    #[method(name = "getBlockByNumber")]
    fn block_by_number(&self, number: BlockNumberOrTag, full: Option<bool>) -> Result<Option<BlockAnswer>, RpcError>;

    #[method(name = "getBlockByHash")]
    fn block_by_hash(&self, hash: B256, full: Option<bool>) -> Result<Option<BlockAnswer>, RpcError>;

    #[method(name = "getHeaderByNumber")]
    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError>;

    #[method(name = "getHeaderByHash")]
    fn header_by_hash(&self, hash: B256) -> Result<Option<RpcHeader>, RpcError>;

    #[method(name = "getBlockTransactionCountByNumber")]
    fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> Result<Option<U64>, RpcError>;

    #[method(name = "getBlockTransactionCountByHash")]
    fn transaction_count_by_hash(&self, hash: B256) -> Result<Option<U64>, RpcError>;

    #[method(name = "getUncleCountByBlockNumber")]
    fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> Result<Option<U64>, RpcError>;

    #[method(name = "getUncleCountByBlockHash")]
    fn uncle_count_by_hash(&self, hash: B256) -> Result<Option<U64>, RpcError>;

    #[method(name = "getUncleByBlockNumberAndIndex")]
    fn uncle_by_number(&self, number: BlockNumberOrTag, index: Index) -> Result<Option<RpcBlock>, RpcError>;

    #[method(name = "getUncleByBlockHashAndIndex")]
    fn uncle_by_hash(&self, hash: B256, index: Index) -> Result<Option<RpcBlock>, RpcError>;

    #[method(name = "getBlockReceipts")]
    fn block_receipts(&self, block: BlockId) -> Result<Option<Vec<RpcReceipt>>, RpcError>;
}

impl EthBlocksServer for Rpc {
    fn block_number(&self) -> Result<U64, RpcError> {
        Ok(U64::from(self.node.head().number))
    }

    fn block_by_number(&self, number: BlockNumberOrTag, full: Option<bool>) -> Result<Option<BlockAnswer>, RpcError> {
        if number.is_pending() {
            return self.pending_block(full.unwrap_or_default()).map(BlockAnswer::Pending).map(Some);
        }
        self.sealed_block(number.into(), full)
    }

    fn block_by_hash(&self, hash: B256, full: Option<bool>) -> Result<Option<BlockAnswer>, RpcError> {
        self.sealed_block(hash.into(), full)
    }

    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError> {
        self.shown_header(number.into())
    }

    fn header_by_hash(&self, hash: B256) -> Result<Option<RpcHeader>, RpcError> {
        self.shown_header(hash.into())
    }

    fn transaction_count_by_number(&self, number: BlockNumberOrTag) -> Result<Option<U64>, RpcError> {
        if number.is_pending() {
            return Ok(Some(U64::from(self.executable_in_pool().len())));
        }
        self.transaction_count(number.into())
    }

    fn transaction_count_by_hash(&self, hash: B256) -> Result<Option<U64>, RpcError> {
        self.transaction_count(hash.into())
    }

    fn uncle_count_by_number(&self, number: BlockNumberOrTag) -> Result<Option<U64>, RpcError> {
        self.uncle_count(number.into())
    }

    fn uncle_count_by_hash(&self, hash: B256) -> Result<Option<U64>, RpcError> {
        self.uncle_count(hash.into())
    }

    fn uncle_by_number(&self, number: BlockNumberOrTag, index: Index) -> Result<Option<RpcBlock>, RpcError> {
        self.uncle(number.into(), index)
    }

    fn uncle_by_hash(&self, hash: B256, index: Index) -> Result<Option<RpcBlock>, RpcError> {
        self.uncle(hash.into(), index)
    }

    fn block_receipts(&self, block: BlockId) -> Result<Option<Vec<RpcReceipt>>, RpcError> {
        let Some(number) = self.number_of(block)? else { return Ok(None) };
        let found = self.block_with_receipts(number)?;
        Ok(found.map(|found| self.receipt_context(&found.block).all(&found.receipts)))
    }
}

impl Rpc {
    fn sealed_block(&self, id: BlockId, full: Option<bool>) -> Result<Option<BlockAnswer>, RpcError> {
        let Some(view) = self.block(id)? else { return Ok(None) };
        let block = convert::block(&view.block, view.hash, &view.senders, full.unwrap_or_default());
        Ok(Some(BlockAnswer::Sealed(Box::new(block))))
    }

    fn shown_header(&self, id: BlockId) -> Result<Option<RpcHeader>, RpcError> {
        Ok(self.header(id)?.map(|(header, hash)| convert::header(header, hash, None)))
    }

    fn transaction_count(&self, id: BlockId) -> Result<Option<U64>, RpcError> {
        Ok(self.block(id)?.map(|view| U64::from(view.block.body.transactions.len())))
    }

    fn uncle_count(&self, id: BlockId) -> Result<Option<U64>, RpcError> {
        Ok(self.block(id)?.map(|view| U64::from(view.block.body.ommers.len())))
    }

    fn uncle(&self, id: BlockId, index: Index) -> Result<Option<RpcBlock>, RpcError> {
        let Some(view) = self.block(id)? else { return Ok(None) };
        let uncle = view.block.body.ommers.get(usize::from(index)).cloned();
        Ok(uncle.map(RpcBlock::uncle_from_header))
    }
}
