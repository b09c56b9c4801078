//! What the node signs for its own accounts.

use crate::{
    rpc::{
        Rpc, RpcError,
        accounts::build,
        convert::{self, RpcReceipt, RpcTransaction},
    },
    service::SimulationRequest,
    types::Transaction,
};
use alloy::{
    consensus::{TxEnvelope, transaction::Recovered},
    eips::{BlockId, Encodable2718},
    rpc::types::TransactionRequest,
};
use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, Bytes, Signature, U256};
use jsonrpsee::proc_macros::rpc;
use serde::Serialize;

/// A signed transaction, raw and readable (geth: `SignTransactionResult`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SignedTransaction {
    raw: Bytes,
    tx: RpcTransaction,
}

/// A transaction that has everything but its signature (geth: `SignTransactionResult` of `eth_fillTransaction`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FilledTransaction {
    raw: Bytes,
    tx: TxEnvelope,
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthAccounts {
    #[method(name = "accounts", aliases = ["eth_requestAccounts"])]
    fn accounts(&self) -> Result<Vec<Address>, RpcError>;

    #[method(name = "sign")]
    fn sign(&self, address: Address, message: Bytes) -> Result<Bytes, RpcError>;

    #[method(name = "signTypedData_v4", aliases = ["eth_signTypedData", "eth_signTypedData_v3"])]
    fn sign_typed_data(&self, address: Address, data: TypedData) -> Result<Bytes, RpcError>;

    #[method(name = "signTransaction")]
    async fn sign_transaction(&self, request: TransactionRequest) -> Result<SignedTransaction, RpcError>;

    #[method(name = "fillTransaction")]
    async fn fill_transaction(&self, request: TransactionRequest) -> Result<FilledTransaction, RpcError>;

    #[method(name = "sendTransaction")]
    async fn send_transaction(&self, request: TransactionRequest) -> Result<B256, RpcError>;

    #[method(name = "sendTransactionSync")]
    async fn send_transaction_sync(
        &self,
        request: TransactionRequest,
        timeout_ms: Option<u64>,
    ) -> Result<RpcReceipt, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthAccountsServer for Rpc {
    fn accounts(&self) -> Result<Vec<Address>, RpcError> {
        let unlocked = self.accounts.addresses();
        let impersonated = self.node.impersonation().accounts();
        let impersonated = impersonated.into_iter().filter(|account| !unlocked.contains(account));
        Ok(unlocked.iter().copied().chain(impersonated).collect())
    }

    fn sign(&self, address: Address, message: Bytes) -> Result<Bytes, RpcError> {
        self.accounts.sign_message(address, &message)
    }

    fn sign_typed_data(&self, address: Address, data: TypedData) -> Result<Bytes, RpcError> {
        self.accounts.sign_typed_data(address, &data)
    }

    async fn sign_transaction(&self, request: TransactionRequest) -> Result<SignedTransaction, RpcError> {
        let from = sender(&request)?;
        let signed = self.accounts.sign_transaction(from, build(self.fill(from, request).await?)?)?;
        let raw = signed.encoded_2718().into();
        let shown = convert::pending(Recovered::new_unchecked(Transaction::from(signed), from));
        Ok(SignedTransaction { raw, tx: shown })
    }

    async fn fill_transaction(&self, request: TransactionRequest) -> Result<FilledTransaction, RpcError> {
        let filled = build(self.fill(sender(&request)?, request).await?)?;
        // As geth has it: an envelope that waits for its signature holds zeros.
        let tx = filled.into_envelope(Signature::new(U256::ZERO, U256::ZERO, false));
        Ok(FilledTransaction { raw: tx.encoded_2718().into(), tx })
    }

    async fn send_transaction(&self, request: TransactionRequest) -> Result<B256, RpcError> {
        let from = sender(&request)?;
        if self.is_impersonated(from) {
            return self.send_unsigned(from, request).await;
        }
        let _turn = self.accounts.lock(from).await?;
        let signed = self.accounts.sign_transaction(from, build(self.fill(from, request).await?)?)?;
        self.send(signed.encoded_2718().into()).await
    }

    async fn send_transaction_sync(
        &self,
        request: TransactionRequest,
        timeout_ms: Option<u64>,
    ) -> Result<RpcReceipt, RpcError> {
        self.receipt_of(self.send_transaction(request), timeout_ms).await
    }
}

impl Rpc {
    /// Fills in what the request leaves open: chain id, nonce, fees, gas.
    pub(crate) async fn fill(
        &self,
        from: Address,
        mut request: TransactionRequest,
    ) -> Result<TransactionRequest, RpcError> {
        self.fill_chain_id(&mut request)?;
        self.fill_fees(&mut request)?;
        if request.nonce.is_none() {
            request.nonce = Some(self.next_nonce(from)?);
        }
        if request.gas.is_none() {
            let call = SimulationRequest::new(request.clone(), BlockId::pending());
            request.gas = Some(self.estimate(call).await?);
        }
        Ok(request)
    }

    pub(crate) fn fill_chain_id(&self, request: &mut TransactionRequest) -> Result<(), RpcError> {
        let ours = self.node.spec().chain_id();
        match request.chain_id.replace(ours) {
            // geth's words.
            Some(given) if given != ours => {
                Err(RpcError::invalid(format!("chainId does not match node's (have={given}, want={ours})")))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn fill_fees(&self, request: &mut TransactionRequest) -> Result<(), RpcError> {
        let has_dynamic = request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some();
        if request.gas_price.is_some() {
            return match has_dynamic {
                true => Err(RpcError::invalid("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")),
                false => Ok(()),
            };
        }
        if self.head_header()?.0.base_fee_per_gas.is_none() {
            request.gas_price = Some(self.suggested_tip()?);
            return Ok(());
        }
        let base_fee = u128::from(self.next_base_fee()?);
        let tip = match (request.max_priority_fee_per_gas, request.max_fee_per_gas) {
            (Some(tip), _) => tip,
            (None, Some(cap)) => self.suggested_tip()?.min(cap),
            (None, None) => self.suggested_tip()?,
        };
        request.max_priority_fee_per_gas = Some(tip);
        let cap = *request.max_fee_per_gas.get_or_insert(base_fee * 2 + tip);
        if cap < tip {
            return Err(RpcError::invalid(format!("maxFeePerGas ({cap:#x}) < maxPriorityFeePerGas ({tip:#x})")));
        }
        Ok(())
    }
}

fn sender(request: &TransactionRequest) -> Result<Address, RpcError> {
    request.from.ok_or_else(|| RpcError::invalid(r#"the transaction has no "from""#))
}
