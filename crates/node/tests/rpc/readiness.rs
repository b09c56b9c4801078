//! A server that listens before its chain is ready.

use crate::support::{Served, serve_closed};
use serde_json::json;
use std::{future::Future, pin::pin, time::Duration};

/// Whoever is let in is answered long before this.
const WHILE: Duration = Duration::from_millis(100);

/// Waits for `closed`, opens the server, and gives what `closed` became.
async fn waits_until_open<T>(served: &Served, closed: impl Future<Output = T>) -> T {
    let mut closed = pin!(closed);
    let early = tokio::time::timeout(WHILE, &mut closed).await;
    assert!(early.is_err(), "it was answered although the chain is not ready");
    served.open();
    closed.await
}

#[tokio::test]
async fn what_depends_on_the_chain_waits_and_the_rest_does_not() {
    let served = serve_closed().await;
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
    assert_eq!(served.call("net_version", json!([])).await, "31337");
    assert_eq!(served.error("eth_nothing", json!([])).await.0, -32601);
    let inside = served.inside().answer(br#"{"jsonrpc":"2.0","id":1,"method":"evm_mine","params":[]}"#).await;
    assert!(inside.unwrap().contains(r#""result""#));
    let height = waits_until_open(&served, served.height()).await;
    assert_eq!(height, 1, "whoever waited sees the chain as it was prepared");
}

#[tokio::test]
async fn so_it_is_over_a_web_socket() {
    let served = serve_closed().await;
    let mut socket = served.web_socket().await;
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x7a69");
    assert_eq!(waits_until_open(&served, socket.call("eth_blockNumber", json!([]))).await, "0x0");
}

#[tokio::test]
async fn a_health_check_is_told_the_truth() {
    let served = serve_closed().await;
    assert_eq!(served.health().await, 503);
    served.open();
    assert_eq!(served.health().await, 200);
}
