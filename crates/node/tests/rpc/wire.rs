//! The protocol: errors, batches, bounds, origins.

use crate::support::{account, dev, http_client, serve};
use alloy::transports::http::reqwest;
use cryptlet_node::rpc::{CorsOrigins, Namespace, VirtualHosts};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn the_node_introduces_itself() {
    let served = dev().await;
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
    assert_eq!(served.call("net_version", json!([])).await, "31337");
    assert_eq!(served.call("net_listening", json!([])).await, true);
    assert_eq!(served.call("net_peerCount", json!([])).await, "0x0");
    assert_eq!(served.call("eth_syncing", json!([])).await, false);
    assert!(served.call("web3_clientVersion", json!([])).await.as_str().unwrap().starts_with("cryptlet/v"));
    let digest = served.call("web3_sha3", json!(["0x68656c6c6f20776f726c64"])).await;
    assert_eq!(digest, "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad");
}

#[tokio::test]
async fn an_unknown_method_is_32601_in_geths_words() {
    let served = dev().await;
    let (code, message) = served.error("eth_nonsense", json!([])).await;
    assert_eq!((code, message.as_str()), (-32601, "the method eth_nonsense does not exist/is not available"));
}

#[tokio::test]
async fn a_method_of_a_namespace_that_is_off_does_not_exist() {
    let served = serve(|config| config.namespaces = [Namespace::Eth].into()).await;
    assert_eq!(served.error("evm_mine", json!([])).await.0, -32601);
    assert_eq!(served.call("eth_blockNumber", json!([])).await, "0x0");
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_32602() {
    let served = dev().await;
    let address = "0x0000000000000000000000000000000000000001";
    for params in [json!([]), json!(["0x12", "latest"]), json!([address, "newest"]), json!([7])] {
        assert_eq!(served.error("eth_getBalance", params.clone()).await.0, -32602, "{params}");
    }
}

#[tokio::test]
async fn bad_json_is_32700_and_a_bad_request_32600() {
    let served = dev().await;
    assert_eq!(served.post("{\"jsonrpc\":").await["error"]["code"], -32700);
    assert_eq!(served.post("[{\"jsonrpc\":").await["error"]["code"], -32700);
    assert_eq!(served.post("{\"id\":1}").await["error"]["code"], -32600);
    assert_eq!(served.post("[]").await["error"]["code"], -32600);
}

#[tokio::test]
async fn a_batch_is_answered_in_order_each_request_for_itself() {
    let served = dev().await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" },
        { "jsonrpc": "2.0", "id": "two", "method": "eth_nonsense", "params": [] },
        { "jsonrpc": "2.0", "id": 3, "method": "eth_getBalance", "params": [] },
        { "jsonrpc": "2.0", "id": 4, "method": "eth_blockNumber", "params": [] },
    ]);
    let answers = served.post(batch.to_string()).await;
    let ids: Vec<_> = answers.as_array().unwrap().iter().map(|answer| answer["id"].clone()).collect();
    assert_eq!(ids, [json!(1), json!("two"), json!(3), json!(4)]);
    assert_eq!(answers[0]["result"], "0x7a69");
    assert_eq!(answers[1]["error"]["code"], -32601);
    assert_eq!(answers[2]["error"]["code"], -32602);
    assert_eq!(answers[3]["result"], "0x0");
}

#[tokio::test]
async fn bounds_on_batch_and_body_are_told() {
    let served = serve(|config| {
        config.limits.batch_requests_max = 2;
        config.limits.request_bytes_max = 1_000;
    })
    .await;
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_chainId" });
    let answer = served.post(Value::from(vec![request; 3]).to_string()).await;
    assert_eq!(answer[0]["error"], json!({ "code": -32600, "message": "batch too large" }));
    let client = http_client();
    let post = |body| client.post(served.url()).header("content-type", "application/json").body(body).send();
    let long = post(reqwest::Body::from("x".repeat(2_000))).await.unwrap();
    assert_eq!(long.status(), 413);
    assert!(long.text().await.unwrap().contains("at most 1000 bytes"));
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn json_that_is_nested_without_end_is_refused() {
    let served = dev().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let answer =
        served.post(format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":{deep}}}")).await;
    assert!(answer["error"]["code"].as_i64().unwrap() < 0, "{answer}");
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn web_pages_are_let_in_by_origin() {
    let served = serve(|config| config.cors = CorsOrigins::List(vec!["https://good.example".into()])).await;
    let preflight = |origin: &'static str| {
        let request = http_client().request(reqwest::Method::OPTIONS, served.url());
        request.header("origin", origin).header("access-control-request-method", "POST").send()
    };
    let header = |response: &reqwest::Response| {
        response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(&preflight("https://good.example").await.unwrap()).as_deref(), Some("https://good.example"));
    assert_eq!(header(&preflight("https://evil.example").await.unwrap()), None);

    let upgrade = http_client()
        .get(served.url())
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = upgrade.header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
}

#[tokio::test]
async fn a_request_that_never_ends_is_ended() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let served = serve(|config| {
        config.limits.request_time_max = Duration::from_millis(200);
        config.limits.idle_time_max = Duration::from_millis(200);
    })
    .await;
    let begun = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let silent = "POST / HTTP/1.1\r\n";
    for (sent, answered) in [(begun, "HTTP/1.1 408"), (silent, "")] {
        let mut socket = tokio::net::TcpStream::connect(served.address).await.unwrap();
        socket.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = vec![0; 12];
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut answer)).await.unwrap();
        assert_eq!(&String::from_utf8_lossy(&answer[..read.unwrap_or(0)]), answered);
    }
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn a_flood_of_calls_is_answered_or_told_to_wait_and_blocks_go_on() {
    let served = serve(|config| {
        config.limits.simulations_max = 2;
        config.limits.waiting_max = 4;
    })
    .await;
    // Code that loops until its gas is gone.
    let looping = json!([{ "data": "0x5b600056", "gas": "0x2faf080" }]);
    let calls = futures::future::join_all((0..40).map(|_| served.error("eth_call", looping.clone())));
    let sends = async {
        for _ in 0..5 {
            served.send(json!({ "from": account(0), "to": account(1) , "gas": "0x5208" })).await;
        }
    };
    let (answers, ()) = futures::join!(calls, sends);
    assert!(answers.iter().all(|(code, _)| [-32000, -32002].contains(code)), "{answers:?}");
    assert!(answers.iter().any(|(_, message)| message.contains("out of gas")), "{answers:?}");
    assert!(answers.iter().any(|(_, message)| message.contains("try again")), "{answers:?}");
    assert_eq!(served.height().await, 5);
}

#[tokio::test]
async fn more_connections_than_allowed_are_turned_away_and_there_is_room_again_when_some_end() {
    use tokio::{io::AsyncReadExt, net::TcpStream};
    let served = serve(|config| {
        config.limits.connections_max = 2;
        config.limits.idle_time_max = Duration::from_millis(300);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let mut third = TcpStream::connect(served.address).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), third.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 429") && answer.ends_with("too many connections\n"), "{answer}");
    // The silent ones are closed, and there is room.
    for socket in &mut silent {
        let mut buffer = [0; 16];
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut buffer)).await.unwrap();
        assert_eq!(read.unwrap_or(0), 0);
    }
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn a_server_that_is_stopped_answers_no_more() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x7a69");
    let address = served.address;
    tokio::time::timeout(Duration::from_secs(10), served.stop()).await.expect("it stops");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn methods_and_types_of_http_are_taken_as_geth_takes_them() {
    let served = dev().await;
    let client = http_client();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let post = |kind: &'static str| client.post(served.url()).header("content-type", kind).body(call).send();
    for kind in ["application/json", "application/json; charset=UTF-8", "application/json-rpc"] {
        let answer = post(kind).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        assert!(answer.text().await.unwrap().contains("0x7a69"), "{kind}");
    }
    assert_eq!(post("text/plain").await.unwrap().status(), 415);
    // A load balancer's health check.
    let healthy = client.get(served.url()).send().await.unwrap();
    assert_eq!((healthy.status().as_u16(), healthy.text().await.unwrap()), (200, String::new()));
    for method in [reqwest::Method::PUT, reqwest::Method::DELETE] {
        assert_eq!(client.request(method, served.url()).send().await.unwrap().status(), 405);
    }
}

#[tokio::test]
async fn names_that_are_not_listed_are_not_served() {
    let served = serve(|config| config.hosts = VirtualHosts::localhost()).await;
    let ask = |host: &'static str| {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
        let request = http_client().post(served.url()).header("content-type", "application/json");
        request.header("host", host).body(body).send()
    };
    assert_eq!(ask("evil.example").await.unwrap().status(), 403);
    assert_eq!(ask("localhost:8545").await.unwrap().status(), 200);
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn websockets_may_have_a_port_and_methods_of_their_own() {
    let served = serve(|config| {
        config.namespaces = [Namespace::Eth].into();
        // An address that is not that of HTTP, so that it gets a port of its own.
        config.websocket.listen = Some(([127, 0, 0, 2], 0).into());
        config.websocket.namespaces = Some([Namespace::Eth, Namespace::Net].into());
    })
    .await;
    assert_eq!(served.error("net_version", json!([])).await.0, -32601);
    let mut socket = served.web_socket().await;
    assert_eq!(socket.call("net_version", json!([])).await, "31337");
    assert_eq!(socket.answer("web3_clientVersion", json!([])).await["error"]["code"], -32601);
}

#[tokio::test]
async fn a_fee_that_must_be_a_mistake_is_refused() {
    let served = serve(|config| config.limits.transaction_fee_ether_max = Some(1.0)).await;
    let transfer = |price: &str| json!([{ "from": account(0), "to": account(1), "gas": "0x5208", "gasPrice": price }]);
    // 21,000 gas at 10^14 wei: 2.1 ether.
    let (code, words) = served.error("eth_sendTransaction", transfer("0x5af3107a4000")).await;
    assert_eq!((code, words.as_str()), (-32000, "tx fee (2.10 ether) exceeds the configured cap (1.00 ether)"));
    served.call("eth_sendTransaction", transfer("0x12a05f200")).await;
}
