//! The chain as every other Ethereum program sees it: JSON-RPC. The dev node uses it on itself, `register` on any node.

use alloy::{
    eips::BlockNumberOrTag,
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, B256, Bytes, Log, TxKind},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
        types::{Filter, TransactionReceipt, TransactionRequest},
    },
    sol_types::{SolCall, SolInterface},
    transports::{RpcError, TransportError, TransportErrorKind, TransportFut},
};
use anyhow::{Context as _, Result, bail};
use cryptlet_node::rpc::InsideCalls;
use cryptlet_primitives::FabricDomain;
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tower::Service;

use crate::{
    account::{self, Account, Author},
    args::AuthorArgs,
    registry::{
        Administrators::AdministratorsErrors, CryptletPolicy::CryptletPolicyErrors,
        CryptletRegistry::CryptletRegistryErrors,
    },
};

/// How often a receipt is asked for while a transaction waits.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How long to wait for a receipt, in seconds: longer than any cryptlet call may take.
const RECEIPT_TIMEOUT_S: u64 = 600;

/// Blocks that one question for logs is about: half of what nodes answer for at a time.
const LOG_BLOCKS: u64 = 50_000;

/// A block that instance keys are anchored to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    /// Height.
    pub(crate) number: u64,
    /// Hash.
    pub(crate) hash: B256,
}

/// An `eth_call` that did not return.
pub(crate) struct CallFailure {
    /// What it reverted with, if it reverted.
    pub(crate) revert_data: Option<Bytes>,
    /// What the node said.
    pub(crate) error: anyhow::Error,
}

/// A node, and an account that may send transactions to it.
pub(crate) struct Chain {
    provider: DynProvider,
    author: Option<Author>,
    /// Who sends, if that is not the author.
    relayer: Option<Address>,
}

impl Chain {
    /// Reads only.
    pub(crate) fn reader(url: &str) -> Result<Self> {
        let provider = ProviderBuilder::new().connect_http(parse(url)?).erased();
        Ok(Self { provider, author: None, relayer: None })
    }

    /// Sends transactions in this author's name, paid by the author, or by another.
    pub(crate) fn sender(url: &str, author: Author, relayer: Option<Account>) -> Result<Self> {
        let relayer_address = relayer.as_ref().map(Account::address);
        let wallet = EthereumWallet::from(relayer.unwrap_or_else(|| author.account.clone()));
        let provider = ProviderBuilder::new().wallet(wallet).connect_http(parse(url)?).erased();
        provider.client().set_poll_interval(POLL_INTERVAL);
        Ok(Self { provider, author: Some(author), relayer: relayer_address })
    }

    /// The node of this very process, as its preparation sees it.
    pub(crate) fn inside(calls: InsideCalls, author: Author) -> Self {
        let client = RpcClient::new(Inside(calls), true).with_poll_interval(POLL_INTERVAL);
        let wallet = EthereumWallet::from(author.account.clone());
        let provider = ProviderBuilder::new().wallet(wallet).connect_client(client).erased();
        Self { provider, author: Some(author), relayer: None }
    }

    /// The same, as flags say.
    pub(crate) fn of_author(url: &str, args: &AuthorArgs) -> Result<Self> {
        Self::sender(url, Author::of(args)?, account::relayer(args)?)
    }

    /// In whose name.
    pub(crate) fn author(&self) -> Result<&Author> {
        self.author.as_ref().context("this command only reads")
    }

    /// Address of the author: the publisher of what is registered.
    pub(crate) fn address(&self) -> Address {
        self.author.as_ref().map(|author| author.account.address()).unwrap_or_default()
    }

    /// Who sends, if that is not the author.
    pub(crate) const fn relayer(&self) -> Option<Address> {
        self.relayer
    }

    /// The domain of everything that is signed for this chain.
    pub(crate) async fn domain(&self) -> Result<FabricDomain> {
        let chain_id = self.provider.get_chain_id().await.context("the node does not answer eth_chainId")?;
        Ok(FabricDomain { chain_id, genesis_hash: self.anchor_at(BlockNumberOrTag::Earliest).await?.hash })
    }

    /// The newest block.
    pub(crate) async fn anchor(&self) -> Result<Anchor> {
        self.anchor_at(BlockNumberOrTag::Latest).await
    }

    async fn anchor_at(&self, number: BlockNumberOrTag) -> Result<Anchor> {
        let block = self.provider.get_block_by_number(number).await?;
        let header = block.with_context(|| format!("the node has no block {number}"))?.header;
        Ok(Anchor { number: header.number, hash: header.hash })
    }

    /// `eth_call`.
    pub(crate) async fn call<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return> {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        let answer = self.provider.call(request).await.map_err(|error| explain(C::SIGNATURE, error))?;
        C::abi_decode_returns(&answer).with_context(|| format!("{to} answered {} with something else", C::SIGNATURE))
    }

    /// `eth_call` with bytes in and bytes out; a failure keeps its revert data.
    pub(crate) async fn call_raw(&self, from: Address, to: Address, input: Vec<u8>) -> Result<Bytes, CallFailure> {
        let request = TransactionRequest::default().with_from(from).with_to(to).with_input(input);
        self.provider.call(request).await.map_err(|error| CallFailure {
            revert_data: error.as_error_resp().and_then(|response| response.as_revert_data()),
            error: anyhow::Error::new(error).context("eth_call failed"),
        })
    }

    /// One JSON-RPC method, as it is.
    pub(crate) async fn raw<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: impl serde::Serialize,
    ) -> Result<T> {
        let params = serde_json::value::to_raw_value(&params)?;
        let answer = self.provider.raw_request_dyn(method.to_owned().into(), &params).await;
        let answer = answer.map_err(|error| explain(method, error))?;
        serde_json::from_str(answer.get())
            .with_context(|| format!("{method} answered in a form this version does not know"))
    }

    /// Sends a call as a transaction and waits until it is in a block.
    pub(crate) async fn transact<C: SolCall>(&self, to: Address, call: &C) -> Result<TransactionReceipt> {
        self.send(C::SIGNATURE, TxKind::Call(to), call.abi_encode().into()).await
    }

    /// The same with a call that is encoded already.
    pub(crate) async fn transact_raw(&self, what: &str, to: Address, data: Bytes) -> Result<TransactionReceipt> {
        self.send(what, TxKind::Call(to), data).await
    }

    /// Every log of a contract with one of these first topics, oldest first.
    pub(crate) async fn logs(&self, address: Address, topics: Vec<B256>) -> Result<Vec<Log>> {
        let head = self.anchor().await?.number;
        let mut logs = Vec::new();
        for first in (0..=head).step_by(LOG_BLOCKS as usize) {
            let last = head.min(first + LOG_BLOCKS - 1);
            let filter = Filter::new().address(address).event_signature(topics.clone()).select(first..=last);
            let found = self.provider.get_logs(&filter).await.map_err(|error| explain("eth_getLogs", error))?;
            logs.extend(found.into_iter().map(|log| log.inner));
        }
        Ok(logs)
    }

    /// Deploys a contract.
    pub(crate) async fn deploy(&self, name: &str, initcode: Bytes) -> Result<Address> {
        let receipt = self.send(name, TxKind::Create, initcode).await?;
        receipt.contract_address.with_context(|| format!("the deployment of {name} made no contract"))
    }

    async fn send(&self, what: &str, to: TxKind, input: Bytes) -> Result<TransactionReceipt> {
        let request = TransactionRequest { to: Some(to), ..Default::default() }.with_input(input);
        let pending = self.provider.send_transaction(request).await.map_err(|error| explain(what, error))?;
        let timeout = Duration::from_secs(RECEIPT_TIMEOUT_S);
        let receipt =
            pending.with_timeout(Some(timeout)).get_receipt().await.with_context(|| format!("{what}: no receipt"))?;
        if !receipt.status() {
            bail!("{what} failed on the chain: transaction {}", receipt.transaction_hash);
        }
        Ok(receipt)
    }
}

/// alloy's way to the node of this process.
#[derive(Clone, Debug)]
struct Inside(InsideCalls);

impl Service<RequestPacket> for Inside {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> TransportFut<'static> {
        let calls = self.0.clone();
        Box::pin(async move {
            let request = request.serialize().map_err(TransportError::ser_err)?;
            let answer = calls.answer(request.get().as_bytes()).await.unwrap_or_default();
            serde_json::from_str(&answer).map_err(|error| TransportError::deser_err(error, &answer))
        })
    }
}

fn parse(url: &str) -> Result<alloy::transports::http::reqwest::Url> {
    url.parse().with_context(|| format!("{url} is not a URL; it should look like http://127.0.0.1:8545"))
}

/// A registry's custom error says more than "execution reverted".
fn explain(what: &str, error: RpcError<TransportErrorKind>) -> anyhow::Error {
    let revert = error.as_error_resp().and_then(|response| response.as_revert_data());
    let Some(data) = revert else { return anyhow::Error::new(error).context(format!("{what} failed")) };
    if let Ok(refusal) = CryptletRegistryErrors::abi_decode(&data) {
        return anyhow::anyhow!("{what} was refused by the registry: {refusal:?}");
    }
    if let Ok(refusal) = CryptletPolicyErrors::abi_decode(&data) {
        return anyhow::anyhow!("{what} was refused by the policy: {refusal:?}");
    }
    match AdministratorsErrors::abi_decode(&data) {
        Ok(refusal) => anyhow::anyhow!("{what} was refused by the administrators' contract: {refusal:?}"),
        Err(_) => anyhow::Error::new(error).context(format!("{what} failed")),
    }
}
