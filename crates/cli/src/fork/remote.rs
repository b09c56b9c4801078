//! The other chain over JSON-RPC.

use super::{again::BlockPart, cache_file::CacheFile};
use crate::args::ForkArgs;
use alloy::{
    consensus::TxEip4844,
    eips::{BlockNumberOrTag, eip7594::BlobTransactionSidecarVariant},
    primitives::{B256, Bytes, U64, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{client::BatchRequest, types::Header},
    transports::{
        RpcError, TransportResult,
        http::reqwest::{
            self,
            header::{HeaderMap, HeaderName, HeaderValue},
        },
    },
};
use anyhow::{Context, Result};
use cryptlet_node::fork::{BaseAccount, BaseKey, BaseValue, ForkFault, ForkSource, ForwardOutcome};
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde_json::value::RawValue;
use std::{sync::Arc, time::Duration};

/// Rows in one JSON-RPC batch: an account takes three requests, and public nodes refuse more than about a hundred.
const ROWS_PER_BATCH: usize = 30;
/// Batches under way at once.
const BATCHES_MAX: usize = 4;

/// A node of the other chain, asked about the state after one block. Clones are cheap.
#[derive(Clone)]
pub(crate) struct RemoteChain {
    provider: DynProvider,
    block_number: u64,
    cache: Option<Arc<CacheFile>>,
    retries: u32,
    retry_after: Duration,
    timeout: Duration,
}

/// Reads `NAME: VALUE`, as anvil and curl have it.
fn headers(given: &[String]) -> Result<HeaderMap> {
    let read = |line: &String| -> Result<(HeaderName, HeaderValue)> {
        let (name, value) = line.split_once(':').context("there is no colon")?;
        Ok((name.trim().parse()?, value.trim().parse()?))
    };
    let wrong = |line: &String| format!("--fork-header {line:?} is not a header; write NAME: VALUE");
    given.iter().map(|line| read(line).with_context(|| wrong(line))).collect()
}

impl RemoteChain {
    pub(super) fn connect(url: &str, args: &ForkArgs) -> Result<Self> {
        let url =
            url.parse().with_context(|| format!("{url} is not a URL; it should look like http://127.0.0.1:8545"))?;
        let client = reqwest::Client::builder().default_headers(headers(&args.fork_header)?).build()?;
        let provider = ProviderBuilder::new().disable_recommended_fillers().connect_reqwest(client, url).erased();
        let timeout = Duration::from_millis(args.fork_timeout_ms);
        let retry_after = Duration::from_millis(args.fork_retry_backoff_ms);
        Ok(Self { provider, block_number: 0, cache: None, retries: args.fork_retries, retry_after, timeout })
    }

    /// The same, for the state after this block.
    pub(super) fn at(self, block_number: u64, cache: Option<CacheFile>) -> Self {
        Self { block_number, cache: cache.map(Arc::new), ..self }
    }

    pub(super) async fn chain_id(&self) -> Result<u64> {
        Ok(self.again(|| async { self.provider.get_chain_id().await }).await?)
    }

    pub(super) async fn header(&self, number: BlockNumberOrTag) -> Result<Option<Header>> {
        let block = self.again(|| async { self.provider.get_block_by_number(number).await }).await?;
        Ok(block.map(|block| block.header))
    }

    /// The block that a transaction is in, up to the transaction and with it; none if there is no such transaction.
    pub(super) async fn block_up_to(&self, hash: B256) -> Result<Option<(u64, BlockPart)>> {
        let found = self.again(|| async { self.provider.get_transaction_by_hash(hash).await }).await?;
        let Some(number) = found.and_then(|transaction| transaction.block_number) else { return Ok(None) };
        let block = self.again(|| async { self.provider.get_block_by_number(number.into()).full().await }).await?;
        let block = block.with_context(|| format!("block {number} is gone"))?;
        let mut part = BlockPart { timestamp: block.header.timestamp, transactions: Vec::new() };
        for transaction in block.transactions.into_transactions() {
            let envelope = transaction.inner.into_inner();
            let is_last = *envelope.tx_hash() == hash;
            // Blobs are not needed to run what names them.
            part.transactions.push(
                envelope.map_eip4844(|tx| TxEip4844::from(tx).with_sidecar(BlobTransactionSidecarVariant::default())),
            );
            if is_last {
                break;
            }
        }
        Ok(Some((number, part)))
    }

    /// Asks until there is an answer, a few times at most.
    async fn again<T, F: Future<Output = TransportResult<T>>>(&self, ask: impl Fn() -> F) -> Result<T, ForkFault> {
        // Each rest is twice as long as the one before.
        let mut rest = self.retry_after;
        for attempt in 0.. {
            let why = match tokio::time::timeout(self.timeout, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(RpcError::ErrorResp(error))) if !error.is_retry_err() => {
                    return Err(ForkFault(error.to_string()));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {:?}", self.timeout),
            };
            if attempt >= self.retries {
                return Err(ForkFault(why));
            }
            tracing::warn!(%why, "the forked chain is asked again in {rest:?}");
            tokio::time::sleep(rest).await;
            rest *= 2;
        }
        unreachable!("the loop ends with an answer or the last attempt")
    }

    async fn batch(&self, keys: &[BaseKey]) -> TransportResult<Vec<BaseValue>> {
        let at = BlockNumberOrTag::Number(self.block_number);
        let mut batch = BatchRequest::new(self.provider.client());
        let mut waiting: Vec<BoxFuture<'_, TransportResult<BaseValue>>> = Vec::with_capacity(keys.len());
        for key in keys {
            waiting.push(match *key {
                BaseKey::Account(address) => {
                    let nonce = batch.add_call::<_, U64>("eth_getTransactionCount", &(address, at))?;
                    let balance = batch.add_call::<_, U256>("eth_getBalance", &(address, at))?;
                    let code = batch.add_call::<_, Bytes>("eth_getCode", &(address, at))?;
                    async move {
                        let account =
                            BaseAccount { nonce: nonce.await?.to(), balance: balance.await?, code: code.await? };
                        Ok(BaseValue::Account((!account.is_empty()).then_some(account)))
                    }
                    .boxed()
                }
                BaseKey::Slot(address, slot) => {
                    let slot = B256::from(slot);
                    let value = batch.add_call::<_, U256>("eth_getStorageAt", &(address, slot, at))?;
                    async move { Ok(BaseValue::Slot(value.await?)) }.boxed()
                }
                BaseKey::BlockHash(number) => {
                    let number = BlockNumberOrTag::Number(number);
                    let block = batch.add_call::<_, Option<Header>>("eth_getBlockByNumber", &(number, false))?;
                    async move { Ok(BaseValue::BlockHash(block.await?.map(|header| header.hash).unwrap_or_default())) }
                        .boxed()
                }
            });
        }
        batch.send().await?;
        futures::future::try_join_all(waiting).await
    }

    async fn fetch_batch(self, keys: Vec<BaseKey>) -> Result<Vec<BaseValue>, ForkFault> {
        self.again(|| self.batch(&keys)).await
    }

    async fn fetch_all(self, keys: Vec<BaseKey>) -> Result<Vec<BaseValue>, ForkFault> {
        let cached = |key: &BaseKey| self.cache.as_ref().and_then(|cache| cache.get(key));
        let mut values: Vec<Option<BaseValue>> = keys.iter().map(cached).collect();
        let missing: Vec<BaseKey> =
            keys.iter().zip(&values).filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect();
        let batches: Vec<Vec<BaseKey>> = missing.chunks(ROWS_PER_BATCH).map(<[_]>::to_vec).collect();
        let fetched: Vec<Vec<BaseValue>> = stream::iter(batches)
            .map(|keys| self.clone().fetch_batch(keys))
            .buffered(BATCHES_MAX)
            .try_collect()
            .await?;
        let fetched: Vec<(BaseKey, BaseValue)> = missing.into_iter().zip(fetched.into_iter().flatten()).collect();
        if let Some(cache) = &self.cache {
            cache.put(&fetched);
        }
        let mut fetched = fetched.into_iter().map(|(_, value)| value);
        for value in values.iter_mut().filter(|value| value.is_none()) {
            *value = fetched.next();
        }
        Ok(values.into_iter().flatten().collect())
    }
}

impl ForkSource for RemoteChain {
    fn fetch(&self, keys: Vec<BaseKey>) -> BoxFuture<'static, Result<Vec<BaseValue>, ForkFault>> {
        self.clone().fetch_all(keys).boxed()
    }

    fn forward(&self, method: String, params: Option<Box<RawValue>>) -> BoxFuture<'static, ForwardOutcome> {
        let chain = self.clone();
        async move {
            let params = params.unwrap_or_else(|| RawValue::from_string("[]".to_owned()).expect("it is JSON"));
            let ask = chain.provider.raw_request_dyn(method.into(), &params);
            match tokio::time::timeout(chain.timeout, ask).await {
                Ok(Ok(result)) => Ok(Ok(result)),
                Ok(Err(RpcError::ErrorResp(error))) => {
                    Ok(Err((i32::try_from(error.code).unwrap_or(-32000), error.message.into_owned(), error.data)))
                }
                Ok(Err(error)) => Err(ForkFault(error.to_string())),
                Err(_) => Err(ForkFault(format!("no answer within {:?}", chain.timeout))),
            }
        }
        .boxed()
    }
}
