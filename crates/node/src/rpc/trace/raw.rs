//! Blocks and transactions as bytes, in the `debug_` namespace.

use crate::rpc::{Rpc, RpcError, eth::EthTransactionsServer, params::Hash};
use alloy::eips::{BlockId, Encodable2718};
use alloy_primitives::Bytes;
use alloy_rlp::Encodable;
use jsonrpsee::proc_macros::rpc;

#[rpc(server, namespace = "debug")]
pub(crate) trait DebugRaw {
    #[method(name = "getRawHeader")]
    fn raw_header(&self, block: BlockId) -> Result<Bytes, RpcError>;

    #[method(name = "getRawBlock")]
    fn raw_block(&self, block: BlockId) -> Result<Bytes, RpcError>;

    #[method(name = "getRawBlockAccessList")]
    async fn raw_block_access_list(&self, block: BlockId) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getRawTransaction")]
    fn raw_transaction(&self, hash: Hash) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getRawReceipts")]
    fn raw_receipts(&self, block: BlockId) -> Result<Vec<Bytes>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl DebugRawServer for Rpc {
    fn raw_header(&self, block: BlockId) -> Result<Bytes, RpcError> {
        let (header, _) = self.header(block)?.ok_or(RpcError::HeaderNotFound)?;
        Ok(alloy_rlp::encode(header).into())
    }

    fn raw_block(&self, block: BlockId) -> Result<Bytes, RpcError> {
        let view = self.block(block)?.ok_or(RpcError::HeaderNotFound)?;
        let mut bytes = Vec::with_capacity(view.block.length());
        view.block.encode(&mut bytes);
        Ok(bytes.into())
    }

    async fn raw_block_access_list(&self, block: BlockId) -> Result<Option<Bytes>, RpcError> {
        self.search(move |rpc| Ok(rpc.block_access_list(block)?.map(|list| list.rlp()))).await
    }

    fn raw_transaction(&self, hash: Hash) -> Result<Option<Bytes>, RpcError> {
        EthTransactionsServer::raw_transaction_by_hash(self, hash)
    }

    fn raw_receipts(&self, block: BlockId) -> Result<Vec<Bytes>, RpcError> {
        let view = self.block(block)?.ok_or(RpcError::HeaderNotFound)?;
        Ok(self.receipts(&view)?.iter().map(|receipt| receipt.encoded_2718().into()).collect())
    }
}
