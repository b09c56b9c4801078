//! From a call to the transaction it would be. Nobody has signed it: its signature is all zeros, as geth has it.

use super::SequenceError;
use crate::types::{Header, Transaction};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy},
    rpc::types::TransactionRequest,
};
use alloy_primitives::{Bytes, Signature, TxKind, U256};

/// What a call may leave open and the sequence knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) chain_id: u64,
    pub(super) nonce: u64,
    /// Gas limit of the transaction.
    pub(super) gas: u64,
}

/// The transaction; its type follows from the fields that are set (EIP-1559 if none says otherwise).
pub(super) fn transaction(
    call: TransactionRequest,
    header: &Header,
    defaults: Defaults,
) -> Result<Transaction, SequenceError> {
    check(&call, defaults.chain_id)?;
    let Defaults { chain_id, nonce, gas: gas_limit } = defaults;
    let input: Bytes = call.input.into_input().unwrap_or_default();
    let (to, value) = (call.to.unwrap_or(TxKind::Create), call.value.unwrap_or_default());
    let max_fee_per_gas = call.max_fee_per_gas.unwrap_or_default();
    let max_priority_fee_per_gas = call.max_priority_fee_per_gas.unwrap_or_default();
    let gas_price = call.gas_price.unwrap_or_default();
    let access_list = call.access_list.clone().unwrap_or_default();
    let unsigned = Signature::new(U256::ZERO, U256::ZERO, false);
    let called = |what: &str| {
        let missing = || SequenceError::InvalidCall(format!("missing \"to\" in {what} transaction"));
        to.into_to().ok_or_else(missing)
    };
    if let Some(authorization_list) = call.authorization_list {
        let to = called("set-code")?;
        let tx = TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            authorization_list,
            input,
        };
        return Ok(tx.into_signed(unsigned).into());
    }
    if let Some(blob_versioned_hashes) = call.blob_versioned_hashes {
        let tx = TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: called("blob")?,
            value,
            access_list,
            blob_versioned_hashes,
            max_fee_per_blob_gas: call.max_fee_per_blob_gas.unwrap_or_default(),
            input,
        };
        return Ok(tx.into_signed(unsigned).into());
    }
    let has_base_fee = header.base_fee_per_gas.is_some();
    Ok(match call.access_list {
        Some(_) if call.gas_price.is_some() || !has_base_fee => {
            TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }
                .into_signed(unsigned)
                .into()
        }
        _ if call.gas_price.is_some() || !has_base_fee => {
            TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input }
                .into_signed(unsigned)
                .into()
        }
        _ => TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            input,
        }
        .into_signed(unsigned)
        .into(),
    })
}

/// Does the call contradict itself, or the chain? The words are geth's.
fn check(call: &TransactionRequest, chain_id: u64) -> Result<(), SequenceError> {
    let fail = |why: String| Err(SequenceError::InvalidCall(why));
    if call.input.unique_input().is_err() {
        return fail(
            r#"both "data" and "input" are set and not equal. Please use "input" to pass transaction call data"#.into(),
        );
    }
    if call.gas_price.is_some() && (call.max_fee_per_gas.is_some() || call.max_priority_fee_per_gas.is_some()) {
        return fail("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".into());
    }
    match call.chain_id {
        Some(given) if given != chain_id => {
            fail(format!("chainId does not match node's (have={given}, want={chain_id})"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::consensus::Typed2718;
    use alloy_primitives::{Address, address, b256};

    /// The chain of ethereum/execution-apis.
    const CHAIN_ID: u64 = 0xc72dd9d5e883e;
    const FROM: Address = address!("c000000000000000000000000000000000000000");
    const TO: Address = address!("c100000000000000000000000000000000000000");

    fn made(call: TransactionRequest, nonce: u64, gas: u64) -> Result<Transaction, SequenceError> {
        let header = Header { base_fee_per_gas: Some(0), ..Default::default() };
        transaction(call, &header, Defaults { chain_id: CHAIN_ID, nonce, gas })
    }

    #[test]
    fn transactions_have_the_hashes_that_geth_gives_them() {
        // Of `tests/eth_simulateV1`: eth-send-should-produce-logs, simple-validation-fulltx (both), blobs.
        let transfer = |value: u64| TransactionRequest::default().from(FROM).to(TO).value(U256::from(value));
        let plain = made(transfer(1_000), 0, 50_000_000).expect("a transaction");
        assert_eq!(*plain.tx_hash(), b256!("f1c5abb08809ef760f87aeabe7a87284c60797192dab6d2f0d26c27c9c038e9d"));
        let paying = TransactionRequest { max_fee_per_gas: Some(16), ..transfer(10_000_000_000) };
        let paying = made(paying, 0, 50_000_000).expect("a transaction");
        assert_eq!(*paying.tx_hash(), b256!("c2df7444d2b0604cdfaa20cad5855422b575d8d2ec02868ed9eb45eb20490f66"));
        let creation = made(TransactionRequest::default(), 0, 50_000_000).expect("a transaction");
        assert_eq!(*creation.tx_hash(), b256!("aab6995ceb3fb6183ef81e8cdaa904e2c96f3907215d19771607e47dec9f8c14"));
        let blob = TransactionRequest {
            to: Some(address!("c200000000000000000000000000000000000000").into()),
            max_fee_per_gas: Some(16),
            max_fee_per_blob_gas: Some(10),
            blob_versioned_hashes: Some(vec![b256!(
                "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014"
            )]),
            ..Default::default()
        };
        let blob = made(blob, 0, 50_000_000).expect("a transaction");
        assert_eq!(*blob.tx_hash(), b256!("6dd302137bafa6817cdd92b1157be1eb7b884b32e9bcab7f4084ee4c05a5dba3"));
    }

    #[test]
    fn the_type_follows_from_the_fields() {
        let of = |call| made(call, 0, 21_000).expect("a transaction").ty();
        assert_eq!(of(TransactionRequest::default()), 2);
        assert_eq!(of(TransactionRequest { gas_price: Some(1), ..Default::default() }), 0);
        let with_list =
            TransactionRequest { gas_price: Some(1), access_list: Some(Default::default()), ..Default::default() };
        assert_eq!(of(with_list), 1);
        let set_code =
            TransactionRequest { to: Some(TO.into()), authorization_list: Some(Vec::new()), ..Default::default() };
        assert_eq!(of(set_code), 4);
    }

    #[test]
    fn contradictions_are_refused() {
        let both_fees = TransactionRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..Default::default() };
        let other_chain = TransactionRequest { chain_id: Some(1), ..Default::default() };
        let blob_creation = TransactionRequest { blob_versioned_hashes: Some(Vec::new()), ..Default::default() };
        for (call, words) in [
            (both_fees, "both gasPrice and"),
            (other_chain, "chainId does not match node's (have=1,"),
            (blob_creation, "missing \"to\" in blob"),
        ] {
            let error = made(call, 0, 21_000).expect_err("a contradiction").to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
