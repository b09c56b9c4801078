//! Transactions: handed in, looked up, and their receipts.

use crate::{
    pool::PooledEntry,
    rpc::{
        Rpc, RpcError,
        convert::{self, RpcReceipt, RpcTransaction},
        params::Hash,
    },
    service::ChainEvent,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718},
    rpc::types::Index,
};
use alloy_primitives::{Address, B256, Bytes, U64};
use jsonrpsee::proc_macros::rpc;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// How long `eth_sendRawTransactionSync` waits for the receipt, unless the caller wants less.
const SYNC_WAIT_MAX: Duration = Duration::from_secs(30);

#[rpc(server, namespace = "eth")]
pub(crate) trait EthTransactions {
    #[method(name = "sendRawTransaction")]
    async fn send_raw_transaction(&self, raw: Bytes) -> Result<B256, RpcError>;

    #[method(name = "sendRawTransactionSync")]
    async fn send_raw_transaction_sync(&self, raw: Bytes, timeout_ms: Option<u64>) -> Result<RpcReceipt, RpcError>;

    #[method(name = "getTransactionByHash")]
    fn transaction_by_hash(&self, hash: Hash) -> Result<Option<RpcTransaction>, RpcError>;

    #[method(name = "getTransactionByBlockHashAndIndex")]
    fn transaction_by_block_hash(&self, block: B256, index: Index) -> Result<Option<RpcTransaction>, RpcError>;

    #[method(name = "getTransactionByBlockNumberAndIndex")]
    fn transaction_by_block_number(
        &self,
        block: BlockNumberOrTag,
        index: Index,
    ) -> Result<Option<RpcTransaction>, RpcError>;

    #[method(name = "getTransactionBySenderAndNonce")]
    async fn transaction_by_sender(&self, sender: Address, nonce: U64) -> Result<Option<RpcTransaction>, RpcError>;

    #[method(name = "getRawTransactionByHash")]
    fn raw_transaction_by_hash(&self, hash: Hash) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getRawTransactionByBlockHashAndIndex")]
    fn raw_transaction_by_block_hash(&self, block: B256, index: Index) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getRawTransactionByBlockNumberAndIndex")]
    fn raw_transaction_by_block_number(&self, block: BlockNumberOrTag, index: Index)
    -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getTransactionReceipt")]
    fn transaction_receipt(&self, hash: Hash) -> Result<Option<RpcReceipt>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthTransactionsServer for Rpc {
    async fn send_raw_transaction(&self, raw: Bytes) -> Result<B256, RpcError> {
        self.send(raw).await
    }

    async fn send_raw_transaction_sync(&self, raw: Bytes, timeout_ms: Option<u64>) -> Result<RpcReceipt, RpcError> {
        self.check_fee(&raw)?;
        let submitted = async { Ok(self.node.submit(raw).await?) };
        self.receipt_of(submitted, timeout_ms).await
    }

    fn transaction_by_hash(&self, Hash(hash): Hash) -> Result<Option<RpcTransaction>, RpcError> {
        if let Some((block, index)) = self.find_transaction(hash)? {
            return Ok(Some(convert::included(&block.block, block.hash, &block.senders, index)));
        }
        Ok(self.node.pooled(hash).map(|entry| convert::pending(entry.transaction().clone())))
    }

    fn transaction_by_block_hash(&self, block: B256, index: Index) -> Result<Option<RpcTransaction>, RpcError> {
        self.transaction_in(block.into(), index)
    }

    fn transaction_by_block_number(
        &self,
        block: BlockNumberOrTag,
        index: Index,
    ) -> Result<Option<RpcTransaction>, RpcError> {
        self.transaction_in(block.into(), index)
    }

    async fn transaction_by_sender(&self, sender: Address, nonce: U64) -> Result<Option<RpcTransaction>, RpcError> {
        let nonce = nonce.to::<u64>();
        let content = self.node.pool_content();
        let waiting = |of: &BTreeMap<Address, BTreeMap<u64, Arc<PooledEntry>>>| of.get(&sender)?.get(&nonce).cloned();
        if let Some(entry) = waiting(&content.pending).or_else(|| waiting(&content.queued)) {
            return Ok(Some(convert::pending(entry.transaction().clone())));
        }
        self.search(move |rpc| rpc.transaction_with_nonce(sender, nonce)).await
    }

    fn raw_transaction_by_hash(&self, Hash(hash): Hash) -> Result<Option<Bytes>, RpcError> {
        if let Some((block, index)) = self.find_transaction(hash)? {
            return Ok(Some(block.block.body.transactions[index].encoded_2718().into()));
        }
        Ok(self.node.pooled(hash).map(|entry| entry.transaction().encoded_2718().into()))
    }

    fn raw_transaction_by_block_hash(&self, block: B256, index: Index) -> Result<Option<Bytes>, RpcError> {
        self.raw_transaction_in(block.into(), index)
    }

    fn raw_transaction_by_block_number(
        &self,
        block: BlockNumberOrTag,
        index: Index,
    ) -> Result<Option<Bytes>, RpcError> {
        self.raw_transaction_in(block.into(), index)
    }

    fn transaction_receipt(&self, Hash(hash): Hash) -> Result<Option<RpcReceipt>, RpcError> {
        let Some(location) = self.node.chain().transaction_location(hash)? else { return Ok(None) };
        let Some(found) = self.block_with_receipts(location.block_number)? else { return Ok(None) };
        let index = usize::try_from(location.index).map_err(RpcError::internal)?;
        // The chain may have been rewound between the two reads.
        let is_it = found.block.block.body.transactions.get(index).is_some_and(|found| *found.tx_hash() == hash);
        Ok(is_it.then(|| self.receipt_context(&found.block).at(&found.receipts, index)).flatten())
    }
}

impl Rpc {
    /// Hands in a transaction and waits for its receipt (EIP-7966).
    pub(super) async fn receipt_of(
        &self,
        submitted: impl Future<Output = Result<B256, RpcError>>,
        timeout_ms: Option<u64>,
    ) -> Result<RpcReceipt, RpcError> {
        let wait = timeout_ms.map_or(SYNC_WAIT_MAX, Duration::from_millis).min(SYNC_WAIT_MAX);
        // Subscribed before the transaction goes in, so that its block cannot be missed.
        let mut events = self.node.subscribe();
        let hash = submitted.await?;
        let included = async {
            loop {
                match events.recv().await {
                    Ok(ChainEvent::NewBlock(_)) | Err(RecvError::Lagged(_)) => {
                        if let Some(receipt) = self.transaction_receipt(Hash(hash))? {
                            return Ok(receipt);
                        }
                    }
                    Ok(ChainEvent::Dropped { transaction, reason }) if transaction == hash => {
                        return Err(RpcError::refused(format!("transaction {hash} was dropped: {reason}")));
                    }
                    Ok(_) => {}
                    Err(RecvError::Closed) => return Err(RpcError::refused("the node is stopping")),
                }
            }
        };
        tokio::time::timeout(wait, included).await.map_err(|_| RpcError::ReceiptNotYet { hash, wait })?
    }

    fn transaction_in(&self, block: BlockId, index: Index) -> Result<Option<RpcTransaction>, RpcError> {
        let Some(view) = self.block(block)? else { return Ok(None) };
        let index = usize::from(index);
        let exists = index < view.block.body.transactions.len();
        Ok(exists.then(|| convert::included(&view.block, view.hash, &view.senders, index)))
    }

    fn raw_transaction_in(&self, block: BlockId, index: Index) -> Result<Option<Bytes>, RpcError> {
        let Some(view) = self.block(block)? else { return Ok(None) };
        Ok(view.block.body.transactions.get(usize::from(index)).map(|tx| tx.encoded_2718().into()))
    }

    /// Finds the block in which the account's nonce passed `nonce` by bisection over its history.
    fn transaction_with_nonce(&self, sender: Address, nonce: u64) -> Result<Option<RpcTransaction>, RpcError> {
        let nonce_after = |number: u64| -> Result<u64, RpcError> {
            let account = self.state(Some(number.into()))?.account(sender)?;
            Ok(account.map(|account| account.nonce).unwrap_or_default())
        };
        let (mut low, mut high) = (0, self.node.head().number);
        if nonce_after(high)? <= nonce {
            return Ok(None);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if nonce_after(middle)? > nonce { high = middle } else { low = middle + 1 }
        }
        let Some(view) = self.block(high.into())? else { return Ok(None) };
        let mut candidates = view.block.body.transactions.iter().zip(&view.senders);
        let index = candidates.position(|(tx, from)| {
            use alloy::consensus::Transaction as _;
            *from == sender && tx.nonce() == nonce
        });
        Ok(index.map(|index| convert::included(&view.block, view.hash, &view.senders, index)))
    }
}
