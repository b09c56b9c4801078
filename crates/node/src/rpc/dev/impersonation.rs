//! Sending as somebody whose key nobody has.

use super::{Dialect, Group, Registered};
use crate::{
    rpc::{Rpc, RpcError, accounts::build},
    types::PooledTransaction,
};
use alloy::{
    consensus::{SignableTransaction, TxEip4844Variant, TypedTransaction},
    rpc::types::TransactionRequest,
};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::impersonated_signature;
use jsonrpsee::{RpcModule, types::ErrorObjectOwned};

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Anvil | Dialect::Hardhat) {
        return Ok(());
    }
    group.offer_deed("impersonateAccount", |params, rpc| async move {
        let account = params.one()?;
        rpc.check_impersonation()?;
        match rpc.node.impersonation().allow(account) {
            true => Ok(()),
            false => Err(RpcError::LimitExceeded("too many accounts are impersonated already".to_owned()).into()),
        }
    })?;
    let is_hardhat = group.is(Dialect::Hardhat);
    group.offer("stopImpersonatingAccount", move |params, rpc| async move {
        let was_impersonated = rpc.node.impersonation().stop(params.one()?);
        // hardhat tells whether it was; anvil tells nothing.
        Ok(is_hardhat.then_some(was_impersonated))
    })?;
    group.offer_deed("autoImpersonateAccount", |params, rpc| async move {
        let is_everybody = params.one()?;
        rpc.check_impersonation()?;
        rpc.node.impersonation().set_everybody(is_everybody);
        Ok(())
    })?;
    if group.is(Dialect::Anvil) {
        group.refuse(
            "impersonateSignature",
            "it would make ecrecover lie in every later block, and the chain's record has no place for that. Impersonate the \
             account (anvil_impersonateAccount), or give the contract a code that takes the signature (anvil_setCode)",
        )?;
    }
    Ok(())
}

/// `eth_sendUnsignedTransaction`: anvil's way to send as anybody, named before or not.
pub(super) fn unsigned_methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    let registered = module.register_async_method("eth_sendUnsignedTransaction", |params, rpc, _| async move {
        let request: TransactionRequest = params.one()?;
        let from = request.from.ok_or_else(|| RpcError::invalid(r#"the transaction has no "from""#))?;
        Ok::<_, ErrorObjectOwned>(rpc.send_unsigned(from, request).await?)
    });
    registered.expect("it is the only one");
    module.remove_context()
}

impl Rpc {
    /// May this chain have transactions that nobody signed?
    fn check_impersonation(&self) -> Result<(), RpcError> {
        match self.node.spec().takes_dev_edits() {
            true => Ok(()),
            false => Err(crate::miner::MinerError::DevEditsNotTaken.into()),
        }
    }

    /// May this account send without a signature?
    pub(crate) fn is_impersonated(&self, account: Address) -> bool {
        self.node.impersonation().is_allowed(account)
    }

    /// Sends a transaction that nobody signed; what the request leaves open is filled in.
    pub(crate) async fn send_unsigned(&self, from: Address, request: TransactionRequest) -> Result<B256, RpcError> {
        self.check_impersonation()?;
        let _turn = self.unsigned_turn.lock().await;
        let transaction = unsigned(from, build(self.fill(from, request).await?)?)?;
        self.send_by(|| self.node.submit_impersonated(transaction)).await
    }
}

/// A transaction with the mark of its sender in the place of a signature.
pub(super) fn unsigned(from: Address, transaction: TypedTransaction) -> Result<PooledTransaction, RpcError> {
    let signature = impersonated_signature(from);
    Ok(match transaction {
        TypedTransaction::Legacy(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip2930(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip1559(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip7702(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844WithSidecar(tx)) => tx.into_signed(signature).into(),
        TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844(_)) => {
            return Err(RpcError::invalid("a blob transaction needs its blobs: the request has no sidecar"));
        }
    })
}
