//! EIP-7610: no contract is created where there is storage, whoever creates it and whoever watches.

use crate::{
    cheat_replay::replays,
    support::{Served, account, dev, dev_under, logging, number},
};
use alloy_primitives::{Address, B256, U256};
use cryptlet_node::chain_spec::EthereumHardfork;
use serde_json::{Value, json};

/// Creates what its input says and keeps the address in slot 0.
const FACTORY: &str = "0x3660006000373660006000f060005500";

/// Gives an account storage and nothing else; in a block of its own, or in the one that comes next.
async fn give_storage(served: &Served, address: Address, is_sealed: bool) {
    served.call("anvil_setStorageAt", json!([address, "0x7", B256::with_last_byte(9)])).await;
    if is_sealed {
        served.call("evm_mine", json!([])).await;
    }
}

async fn is_untouched(served: &Served, address: Address) {
    assert_eq!(served.call("eth_getCode", json!([address, "latest"])).await, "0x");
    assert_eq!(served.call("eth_getTransactionCount", json!([address, "latest"])).await, "0x0");
    let slot = served.call("eth_getStorageAt", json!([address, "0x7", "latest"])).await;
    assert_eq!(slot, json!(B256::with_last_byte(9)));
}

fn code() -> String {
    logging(B256::repeat_byte(7))
}

#[tokio::test]
async fn a_transaction_creates_nothing_where_there_is_storage() {
    for is_sealed in [true, false] {
        let served = dev().await;
        let place = account(0).create(0);
        give_storage(&served, place, is_sealed).await;
        let create = json!({ "from": account(0), "data": code(), "gas": "0x7a120" });
        assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "latest"])).await, "0x0");
        let error = served.error("eth_call", json!([create, "latest"])).await;
        assert!(error.1.contains("collision"), "{error:?}");
        let receipt = served.send(create).await;
        // As with any collision, all gas is gone and the sender's nonce is used.
        assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x0"), &json!("0x7a120")));
        assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "latest"])).await, "0x1");
        is_untouched(&served, place).await;
        // Under the eyes of a tracer it is the same.
        let trace = served.call("debug_traceTransaction", json!([receipt["transactionHash"]])).await;
        assert_eq!((&trace["failed"], number_of(&trace["gas"])), (&json!(true), 500_000));
        assert_eq!(replays(&served), 1);
        served.stop().await;
    }
}

fn number_of(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| number(value))
}

#[tokio::test]
async fn a_contract_creates_nothing_where_there_is_storage() {
    for fork in [EthereumHardfork::Prague, EthereumHardfork::Amsterdam] {
        let served = dev_under(fork).await;
        let factory = Address::repeat_byte(0x64);
        served.call("anvil_setCode", json!([factory, FACTORY])).await;
        served.call("anvil_setNonce", json!([factory, "0x1"])).await;
        give_storage(&served, factory.create(1), true).await;
        for nonce in [1_u64, 2] {
            let create = json!({ "from": account(0), "to": factory, "data": code(), "gas": "0x1e8480" });
            let receipt = served.send(create).await;
            assert_eq!(receipt["status"], "0x1");
            let made = served.call("eth_getStorageAt", json!([factory, "0x0", "latest"])).await;
            // The first place is taken, the second is not; the nonce goes on either way.
            let expected = if nonce == 1 { U256::ZERO } else { factory.create(2).into_word().into() };
            assert_eq!(made, json!(B256::from(expected)), "{fork:?}");
            let after = served.call("eth_getTransactionCount", json!([factory, "latest"])).await;
            assert_eq!(number(&after), nonce + 1);
        }
        is_untouched(&served, factory.create(1)).await;
        assert_eq!(replays(&served), 1);
        served.stop().await;
    }
}

#[tokio::test]
async fn ether_that_came_early_keeps_nobody_from_creating() {
    let served = dev().await;
    let place = account(0).create(1);
    served.send(json!({ "from": account(0), "to": place, "value": "0x5" })).await;
    let receipt = served.send(json!({ "from": account(0), "data": code(), "gas": "0x7a120" })).await;
    assert_eq!((&receipt["status"], &receipt["contractAddress"]), (&json!("0x1"), &json!(place)));
    assert_eq!(served.call("eth_getBalance", json!([place, "latest"])).await, "0x5");
    assert_eq!(replays(&served), 0);
    served.stop().await;
}
