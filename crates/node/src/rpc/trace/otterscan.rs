//! The `ots_` namespace (API level 8), by which the block explorer Otterscan needs no index of its own, and the one
//! `erigon_` method that goes with it.
//!
//! There is no index of who appears where: `ots_searchTransactions*` run blocks again, within bounds. Whoever asks for
//! more is told so.

use super::{
    Number, rewards,
    tracer::{Guard, Trip},
};
use crate::{
    execute::Watched,
    rpc::{
        Rpc, RpcError,
        convert::{self, RpcHeader, RpcTransaction},
        eth::EthTransactionsServer,
    },
    store::StoredBlock,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    rpc::types::TransactionReceipt,
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_trace::otterscan::{
    BlockDetails, ContractCreator, InternalIssuance, InternalOperation, OtsBlock, OtsBlockTransactions, OtsReceipt,
    OtsTransactionReceipt, TraceEntry, TransactionsWithReceipts,
};
use jsonrpsee::proc_macros::rpc;
use revm::{
    Inspector,
    context::ContextTr,
    context_interface::result::ExecutionResult,
    inspector::{JournalExt, NoOpInspector},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};
use revm_inspectors::{
    otterscan::InternalOperationsInspector,
    tracing::{TracingInspector, TracingInspectorConfig, types::CallTraceNode},
};
use std::time::Instant;

/// The version of the methods below.
const API_LEVEL: u64 = 8;
/// Transactions of a page.
const PAGE_MAX: usize = 500;
/// Blocks that one search may look at.
const SEARCH_BLOCKS_MAX: u64 = 20_000;

type FullBlock = OtsBlockTransactions<RpcTransaction, RpcHeader>;
type Found = TransactionsWithReceipts<RpcTransaction>;

#[rpc(server, namespace = "ots")]
pub(crate) trait Otterscan {
    #[method(name = "getApiLevel")]
    fn api_level(&self) -> Result<u64, RpcError>;

    #[method(name = "getHeaderByNumber")]
    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError>;

    #[method(name = "hasCode")]
    fn has_code(&self, address: Address, block: Option<BlockId>) -> Result<bool, RpcError>;

    #[method(name = "getInternalOperations")]
    async fn internal_operations(&self, hash: B256) -> Result<Vec<InternalOperation>, RpcError>;

    #[method(name = "getTransactionError")]
    async fn transaction_error(&self, hash: B256) -> Result<Bytes, RpcError>;

    #[method(name = "traceTransaction")]
    async fn trace_transaction(&self, hash: B256) -> Result<Option<Vec<TraceEntry>>, RpcError>;

    #[method(name = "getBlockDetails")]
    fn block_details(&self, number: BlockNumberOrTag) -> Result<Option<BlockDetails<RpcHeader>>, RpcError>;

    #[method(name = "getBlockDetailsByHash")]
    fn block_details_by_hash(&self, hash: B256) -> Result<Option<BlockDetails<RpcHeader>>, RpcError>;

    #[method(name = "getBlockTransactions")]
    fn block_transactions(
        &self,
        number: BlockNumberOrTag,
        page: Number,
        page_size: Number,
    ) -> Result<Option<FullBlock>, RpcError>;

    #[method(name = "searchTransactionsBefore")]
    async fn search_before(&self, address: Address, block: Number, page_size: Number) -> Result<Found, RpcError>;

    #[method(name = "searchTransactionsAfter")]
    async fn search_after(&self, address: Address, block: Number, page_size: Number) -> Result<Found, RpcError>;

    #[method(name = "getTransactionBySenderAndNonce")]
    async fn transaction_by_sender(&self, sender: Address, nonce: Number) -> Result<Option<B256>, RpcError>;

    #[method(name = "getContractCreator")]
    async fn contract_creator(&self, address: Address) -> Result<Option<ContractCreator>, RpcError>;
}

#[rpc(server, namespace = "erigon")]
pub(crate) trait Erigon {
    #[method(name = "getHeaderByNumber")]
    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError>;
}

impl ErigonServer for Rpc {
    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError> {
        OtterscanServer::header_by_number(self, number)
    }
}

#[jsonrpsee::core::async_trait]
impl OtterscanServer for Rpc {
    fn api_level(&self) -> Result<u64, RpcError> {
        Ok(API_LEVEL)
    }

    fn header_by_number(&self, number: BlockNumberOrTag) -> Result<Option<RpcHeader>, RpcError> {
        Ok(self.header(number.into())?.map(|(header, hash)| convert::header(header, hash, None)))
    }

    fn has_code(&self, address: Address, block: Option<BlockId>) -> Result<bool, RpcError> {
        Ok(self.state(block)?.account(address)?.is_some_and(|account| account.code_hash != alloy_trie::KECCAK_EMPTY))
    }

    async fn internal_operations(&self, hash: B256) -> Result<Vec<InternalOperation>, RpcError> {
        let operations = self.watch_one(hash, InternalOperationsInspector::default(), |watched| {
            Ok(std::mem::take(watched.inspector).into_operations())
        });
        operations.await?.ok_or_else(|| RpcError::refused("transaction not found"))
    }

    async fn transaction_error(&self, hash: B256) -> Result<Bytes, RpcError> {
        let error = self.watch_one(hash, NoOpInspector {}, |watched| {
            Ok(match &watched.result.result {
                ExecutionResult::Revert { output, .. } => output.clone(),
                ExecutionResult::Success { .. } | ExecutionResult::Halt { .. } => Bytes::new(),
            })
        });
        error.await?.ok_or_else(|| RpcError::refused("transaction not found"))
    }

    async fn trace_transaction(&self, hash: B256) -> Result<Option<Vec<TraceEntry>>, RpcError> {
        let config = TracingInspectorConfig::default_parity();
        self.watch_one(hash, TracingInspector::new(config), move |watched| {
            let tracer = std::mem::replace(watched.inspector, TracingInspector::new(config));
            Ok(tracer.into_traces().into_nodes().into_iter().flat_map(entries).collect())
        })
        .await
    }

    fn block_details(&self, number: BlockNumberOrTag) -> Result<Option<BlockDetails<RpcHeader>>, RpcError> {
        self.details(number.into())
    }

    fn block_details_by_hash(&self, hash: B256) -> Result<Option<BlockDetails<RpcHeader>>, RpcError> {
        self.details(hash.into())
    }

    fn block_transactions(
        &self,
        number: BlockNumberOrTag,
        page: Number,
        page_size: Number,
    ) -> Result<Option<FullBlock>, RpcError> {
        let (page, page_size) = (usize::try_from(page.0).unwrap_or(usize::MAX), page_size_of(page_size)?);
        let Some(view) = self.block(number.into())? else { return Ok(None) };
        let receipts = self.ots_receipts(&view)?;
        let mut fullblock = OtsBlock::from(convert::block(&view.block, view.hash, &view.senders, true));
        // The last transactions are on page 0, as in erigon.
        let end = receipts.len().saturating_sub(page.saturating_mul(page_size));
        let shown = end.saturating_sub(page_size)..end;
        if let alloy::rpc::types::BlockTransactions::Full(transactions) = &mut fullblock.block.transactions {
            *transactions = transactions.drain(shown.clone()).collect();
        }
        Ok(Some(OtsBlockTransactions { fullblock, receipts: receipts[shown].to_vec() }))
    }

    async fn search_before(&self, address: Address, block: Number, page_size: Number) -> Result<Found, RpcError> {
        let (Number(block), page_size) = (block, page_size_of(page_size)?);
        self.search(move |rpc| {
            let head = rpc.node.head().number;
            let is_first = block == 0 || block > head;
            let newest = if is_first { head } else { block - 1 };
            let (found, is_last) = rpc.appearances(address, (0..=newest).rev(), page_size)?;
            let (txs, receipts) = found.into_iter().flatten().unzip();
            Ok(Found { txs, receipts, first_page: is_first, last_page: is_last })
        })
        .await
    }

    async fn search_after(&self, address: Address, block: Number, page_size: Number) -> Result<Found, RpcError> {
        let (Number(block), page_size) = (block, page_size_of(page_size)?);
        self.search(move |rpc| {
            let head = rpc.node.head().number;
            let oldest = if block == 0 { 0 } else { block + 1 };
            let (found, is_first) = rpc.appearances(address, oldest..=head, page_size)?;
            // The newest first, as in the other direction.
            let (txs, receipts) = found.into_iter().rev().flatten().unzip();
            Ok(Found { txs, receipts, first_page: is_first, last_page: block == 0 })
        })
        .await
    }

    async fn transaction_by_sender(&self, sender: Address, nonce: Number) -> Result<Option<B256>, RpcError> {
        let found = EthTransactionsServer::transaction_by_sender(self, sender, U64::from(nonce.0)).await?;
        Ok(found.map(|transaction| *transaction.inner.inner().tx_hash()))
    }

    async fn contract_creator(&self, address: Address) -> Result<Option<ContractCreator>, RpcError> {
        self.search(move |rpc| rpc.find_creator(address)).await
    }
}

impl Rpc {
    /// Runs one transaction again under an inspector; `None` if there is no such transaction.
    async fn watch_one<I, T>(
        &self,
        hash: B256,
        inspector: I,
        read: impl Fn(Watched<'_, I>) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<Option<T>, RpcError>
    where
        I: Inspector<cryptlet_delegate::DelegateEvmContext<crate::execute::BlockState>> + Send + 'static,
        T: Send + 'static,
    {
        self.search(move |rpc| {
            let Some((block, index)) = rpc.find_transaction(hash)? else { return Ok(None) };
            let trip = Trip::after(rpc.limits.call_time_max);
            let guarded = (Guard::new(trip.clone()), inspector);
            let seen = rpc.rerun_transaction(&block, index, guarded, |_, watched| {
                let Watched { inspector: (_, inspector), transaction, block, result, state } = watched;
                read(Watched { inspector, transaction, block, result, state })
            });
            seen.map(Some).map_err(|error| trip.explain(error))
        })
        .await
    }

    fn details(&self, id: BlockId) -> Result<Option<BlockDetails<RpcHeader>>, RpcError> {
        let Some(view) = self.block(id)? else { return Ok(None) };
        let receipts = self.receipts(&view)?;
        let shown = self.receipt_context(&view).all(&receipts);
        let fee =
            |receipt: &convert::RpcReceipt| U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price);
        let fees = shown.iter().map(fee).sum();
        let issuance = rewards::rewards(self.node.spec(), &view).map(|rewards| {
            let (block_reward, uncle_reward) =
                (U256::from(rewards.block), rewards.uncles.iter().map(|uncle| U256::from(*uncle)).sum::<U256>());
            InternalIssuance { block_reward, uncle_reward, issuance: block_reward + uncle_reward }
        });
        let block = convert::block(&view.block, view.hash, &view.senders, false);
        Ok(Some(BlockDetails::new(block, issuance.unwrap_or_default(), fees)))
    }

    /// The receipts of a block without their logs.
    fn ots_receipts(&self, view: &StoredBlock) -> Result<Vec<OtsTransactionReceipt>, RpcError> {
        let timestamp = Some(view.block.header.timestamp);
        let shown = self.receipt_context(view).all(&self.receipts(view)?);
        let slim = |receipt: convert::RpcReceipt| {
            let receipt: TransactionReceipt<OtsReceipt> = receipt.map_inner(|inner| OtsReceipt {
                status: inner.status(),
                cumulative_gas_used: inner.cumulative_gas_used(),
                logs: None,
                logs_bloom: None,
                r#type: u8::from(inner.tx_type()),
            });
            OtsTransactionReceipt { receipt, timestamp }
        };
        Ok(shown.into_iter().map(slim).collect())
    }

    /// The transactions of these blocks in which an address appears, block by block, until there are enough. Within a
    /// block the newest comes first. Also tells whether all blocks have been looked at.
    #[expect(clippy::type_complexity)] // a page is a list of blocks of pairs
    fn appearances(
        &self,
        address: Address,
        blocks: impl Iterator<Item = u64>,
        enough: usize,
    ) -> Result<(Vec<Vec<(RpcTransaction, OtsTransactionReceipt)>>, bool), RpcError> {
        let deadline = Instant::now() + self.limits.call_time_max;
        let (mut pages, mut count) = (Vec::new(), 0);
        for (looked_at, number) in blocks.enumerate() {
            if count >= enough {
                return Ok((pages, false));
            }
            if looked_at as u64 >= SEARCH_BLOCKS_MAX || Instant::now() > deadline {
                let words = format!(
                    "the search for {address} has looked at {looked_at} blocks and stopped before block {number}: this \
                     node has no index of appearances; search from there"
                );
                return Err(RpcError::LimitExceeded(words));
            }
            let Some(block) = self.block(number.into())? else { break };
            if block.senders.is_empty() {
                continue;
            }
            let indices = self.appears_in(&block, address)?;
            if indices.is_empty() {
                continue;
            }
            let receipts = self.ots_receipts(&block)?;
            let shown = |index: usize| {
                let transaction = convert::included(&block.block, block.hash, &block.senders, index);
                (transaction, receipts[index].clone())
            };
            count += indices.len();
            pages.push(indices.into_iter().rev().map(shown).collect());
        }
        Ok((pages, true))
    }

    /// Positions of the block's transactions in which an address is called, calls, is created, or is paid by what destroys
    /// itself.
    fn appears_in(&self, block: &StoredBlock, address: Address) -> Result<Vec<usize>, RpcError> {
        if block.number() == self.node.chain().first_block()? {
            return Ok(Vec::new());
        }
        let trip = Trip::after(self.limits.call_time_max);
        let inspector = (Guard::new(trip.clone()), Appearance { address, has_appeared: false });
        let seen = self.rerun_block(
            block,
            |_| true,
            inspector,
            |place, watched| {
                let (guard, appearance) = watched.inspector;
                guard.rearm();
                Ok((place.index, std::mem::take(&mut appearance.has_appeared)))
            },
        );
        let seen = seen.map_err(|error| trip.explain(error))?;
        Ok(seen.into_iter().filter(|(_, appears)| *appears).map(|(index, _)| index).collect())
    }

    /// Finds the block in which the address got its code by bisection over its history, and in it who gave it.
    fn find_creator(&self, address: Address) -> Result<Option<ContractCreator>, RpcError> {
        let has_code = |number: u64| OtterscanServer::has_code(self, address, Some(number.into()));
        let (mut low, mut high) = (self.node.chain().oldest_state()?, self.node.head().number);
        if !has_code(high)? || has_code(low)? {
            return Ok(None);
        }
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if has_code(middle)? { high = middle } else { low = middle }
        }
        let Some(block) = self.block(high.into())? else { return Ok(None) };
        for trace in self.creations(&block)? {
            if let (hash, created, creator) = trace
                && created == address
            {
                return Ok(Some(ContractCreator { hash, creator }));
            }
        }
        Ok(None)
    }

    /// What a block's transactions have created: transaction, contract, creator; the last creation first.
    fn creations(&self, block: &StoredBlock) -> Result<Vec<(B256, Address, Address)>, RpcError> {
        let config = TracingInspectorConfig::default_parity();
        let trip = Trip::after(self.limits.call_time_max);
        let inspector = (Guard::new(trip.clone()), TracingInspector::new(config));
        let seen = self.rerun_block(
            block,
            |_| true,
            inspector,
            |place, watched| {
                let (guard, tracer) = watched.inspector;
                guard.rearm();
                let nodes = tracer.traces().nodes().iter();
                let created = nodes.filter(|node| node.trace.kind.is_any_create() && node.trace.success);
                let created = created.map(|node| (place.transaction, node.trace.address, node.trace.caller)).collect();
                tracer.fuse();
                Ok(created)
            },
        );
        let mut all: Vec<_> =
            seen.map_err(|error| trip.explain(error))?.into_iter().flat_map(|of: Vec<_>| of).collect();
        all.reverse();
        Ok(all)
    }
}

/// A call or creation, and the end of the contract behind it if it destroyed itself.
fn entries(node: CallTraceNode) -> impl Iterator<Item = TraceEntry> {
    let CallTraceNode { trace, .. } = node;
    let depth = trace.depth as u32;
    let end = trace.selfdestruct_refund_target.map(|heir| TraceEntry {
        r#type: "SELFDESTRUCT".to_owned(),
        depth: depth + 1,
        from: trace.selfdestruct_address.unwrap_or(trace.address),
        to: heir,
        value: trace.selfdestruct_transferred_value,
        input: Bytes::new(),
        output: Bytes::new(),
    });
    let call = TraceEntry {
        r#type: trace.kind.to_string(),
        depth,
        from: trace.caller,
        to: trace.address,
        value: (!trace.kind.is_static_call()).then_some(trace.value),
        input: trace.data,
        output: trace.output,
    };
    std::iter::once(call).chain(end)
}

/// Notes whether an address takes part in a transaction.
struct Appearance {
    address: Address,
    has_appeared: bool,
}

impl<C: ContextTr<Journal: JournalExt>> Inspector<C> for Appearance {
    fn call(&mut self, _: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let parties = [inputs.caller, inputs.target_address, inputs.bytecode_address];
        self.has_appeared |= parties.contains(&self.address);
        None
    }

    fn create(&mut self, _: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.has_appeared |= inputs.caller() == self.address;
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.has_appeared |= outcome.address == Some(self.address);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, _: U256) {
        self.has_appeared |= contract == self.address || target == self.address;
    }
}

fn page_size_of(Number(given): Number) -> Result<usize, RpcError> {
    let page_size = usize::try_from(given).ok().filter(|size| (1..=PAGE_MAX).contains(size));
    page_size.ok_or_else(|| RpcError::invalid(format!("a page has 1 to {PAGE_MAX} transactions, not {given}")))
}
