//! The accounts a development node signs for.

use super::error::RpcError;
use crate::types::PooledTransaction;
use alloy::{
    consensus::{SignableTransaction, TypedTransaction},
    rpc::types::TransactionRequest,
    signers::{SignerSync, local::PrivateKeySigner},
};
use alloy_dyn_abi::TypedData;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind};
use std::collections::BTreeMap;

/// Keys by address, in the order in which they were given.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    order: Vec<Address>,
    keys: BTreeMap<Address, Account>,
}

#[derive(Debug)]
struct Account {
    signer: PrivateKeySigner,
    /// Held from the choice of a nonce until the transaction is in the pool.
    sending: tokio::sync::Mutex<()>,
}

impl Accounts {
    /// Signs with these keys for whoever asks.
    pub(crate) fn new(signers: Vec<PrivateKeySigner>) -> Self {
        let order = signers.iter().map(PrivateKeySigner::address).collect();
        let account = |signer: PrivateKeySigner| (signer.address(), Account { signer, sending: Default::default() });
        Self { order, keys: signers.into_iter().map(account).collect() }
    }

    /// Addresses, in the order given.
    pub(crate) fn addresses(&self) -> &[Address] {
        &self.order
    }

    /// Holds back other transactions of this account until dropped, so that two do not get one nonce.
    pub(crate) async fn lock(&self, address: Address) -> Result<tokio::sync::MutexGuard<'_, ()>, RpcError> {
        Ok(self.account(address)?.sending.lock().await)
    }

    /// Signs a message as EIP-191 has it.
    pub(crate) fn sign_message(&self, address: Address, message: &[u8]) -> Result<Bytes, RpcError> {
        let signature = self.account(address)?.signer.sign_message_sync(message).map_err(RpcError::internal)?;
        Ok(signature.as_bytes().to_vec().into())
    }

    /// Signs typed data as EIP-712 has it.
    pub(crate) fn sign_typed_data(&self, address: Address, data: &TypedData) -> Result<Bytes, RpcError> {
        let account = self.account(address)?;
        let digest = data
            .eip712_signing_hash()
            .map_err(|error| RpcError::invalid(format!("the typed data cannot be hashed (EIP-712): {error}")))?;
        Ok(self.sign(account, &digest)?.as_bytes().to_vec().into())
    }

    /// Signs a transaction.
    pub(crate) fn sign_transaction(
        &self,
        address: Address,
        transaction: TypedTransaction,
    ) -> Result<PooledTransaction, RpcError> {
        let account = self.account(address)?;
        let signature = self.sign(account, &transaction.signature_hash())?;
        Ok(match transaction {
            TypedTransaction::Legacy(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip2930(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip1559(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip7702(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip4844(_) => {
                return Err(RpcError::refused(
                    "blob transactions are not signed by the node; sign yours and use eth_sendRawTransaction",
                ));
            }
        })
    }

    fn account(&self, address: Address) -> Result<&Account, RpcError> {
        // geth's words (`accounts.ErrUnknownAccount`), and what to do.
        self.keys.get(&address).ok_or_else(|| {
            RpcError::refused(format!("unknown account: the node has no key for {address}; see eth_accounts"))
        })
    }

    fn sign(&self, account: &Account, digest: &B256) -> Result<Signature, RpcError> {
        account.signer.sign_hash_sync(digest).map_err(RpcError::internal)
    }
}

/// Makes a transaction of a request whose gas, nonce, chain id and fees are filled in.
pub(crate) fn build(mut request: TransactionRequest) -> Result<TypedTransaction, RpcError> {
    if request.to.is_none() {
        request.to = Some(TxKind::Create);
    }
    request.trim_conflicting_keys();
    request.build_typed_tx().map_err(|request| {
        let (kind, missing) = match request.missing_keys() {
            Err((kind, missing)) => (format!("{kind:?}"), missing.join(", ")),
            Ok(kind) => (format!("{kind:?}"), "nothing that could be named".to_owned()),
        };
        RpcError::invalid(format!("not a complete {kind} transaction: missing {missing}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::{consensus::transaction::SignerRecoverable, sol_types::eip712_domain};
    use alloy_primitives::U256;
    use serde_json::json;

    fn accounts() -> (Accounts, PrivateKeySigner) {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(0x11)).expect("a valid key");
        (Accounts::new(vec![signer.clone()]), signer)
    }

    #[test]
    fn a_request_becomes_a_transaction_signed_by_its_account() {
        let (accounts, signer) = accounts();
        let request = TransactionRequest {
            from: Some(signer.address()),
            nonce: Some(3),
            gas: Some(21_000),
            max_fee_per_gas: Some(10),
            max_priority_fee_per_gas: Some(1),
            chain_id: Some(31337),
            value: Some(U256::from(5)),
            to: Some(Address::ZERO.into()),
            ..Default::default()
        };
        let signed = accounts.sign_transaction(signer.address(), build(request).expect("complete")).expect("signed");
        assert_eq!(signed.recover_signer().expect("recoverable"), signer.address());
    }

    #[test]
    fn an_incomplete_request_is_told_what_is_missing() {
        let error = build(TransactionRequest { gas_price: Some(1), ..Default::default() }).expect_err("no nonce");
        assert!(error.to_string().contains("nonce"), "{error}");
    }

    #[test]
    fn a_stranger_is_not_signed_for() {
        let error = accounts().0.sign_message(Address::ZERO, b"hello").expect_err("no key");
        assert!(error.to_string().starts_with("unknown account"), "{error}");
    }

    #[test]
    fn typed_data_is_signed_with_its_eip_712_digest() {
        let (accounts, signer) = accounts();
        let data: TypedData = serde_json::from_value(json!({
            "types": {
                "EIP712Domain": [{ "name": "name", "type": "string" }, { "name": "chainId", "type": "uint256" }],
                "Mail": [{ "name": "contents", "type": "string" }],
            },
            "primaryType": "Mail",
            "domain": { "name": "Test", "chainId": 31337 },
            "message": { "contents": "hello" },
        }))
        .expect("typed data");
        assert_eq!(data.domain, eip712_domain! { name: "Test", chain_id: 31337, });
        let signature = accounts.sign_typed_data(signer.address(), &data).expect("signed");
        let signature = Signature::from_raw(&signature).expect("65 bytes");
        let digest = data.eip712_signing_hash().expect("digest");
        assert_eq!(signature.recover_address_from_prehash(&digest).expect("recoverable"), signer.address());
    }
}
