//! JSON-RPC over a Unix socket.

use crate::support::{Served, number, serve};
use cryptlet_node::rpc::Namespace;
use serde_json::{Value, json};
use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

struct Socket {
    stream: BufReader<UnixStream>,
    _folder: tempfile::TempDir,
    path: PathBuf,
}

async fn socket(change: impl FnOnce(&mut cryptlet_node::rpc::RpcConfig)) -> (Served, Socket) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.ipc");
    let served = serve(|config| {
        config.ipc = Some(path.clone());
        config.namespaces = [Namespace::Eth].into();
        change(config);
    })
    .await;
    let stream = BufReader::new(UnixStream::connect(&path).await.unwrap());
    (served, Socket { stream, _folder: folder, path })
}

impl Socket {
    async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next document; `None` at the end.
    async fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        let read = tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap();
        (read > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.write(request.to_string().as_bytes()).await;
        let mut answer = self.read().await.unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }
}

#[tokio::test]
async fn the_owner_can_call_everything() {
    let (served, mut socket) = socket(|_| ()).await;
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x7a69");
    assert_eq!(served.error("evm_mine", json!([])).await.0, -32601);
    socket.call("evm_mine", json!([])).await;
    assert_eq!(served.height().await, 1);
    let mode = std::fs::metadata(&socket.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    served.stop().await;
    assert_eq!(socket.read().await, None);
    while socket.path.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn documents_may_follow_each_other_and_come_in_pieces() {
    let (_served, mut socket) = socket(|_| ()).await;
    let call = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "eth_blockNumber" }).to_string();
    socket.write(format!("{}{}\n  [{}]", call(1), call(2), call(3)).as_bytes()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let answer = socket.read().await.unwrap();
        ids.push(answer.get(0).unwrap_or(&answer)["id"].as_u64().unwrap());
    }
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    let call = call(4);
    socket.write(&call.as_bytes()[..20]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    socket.write(&call.as_bytes()[20..]).await;
    assert_eq!(socket.read().await.unwrap()["id"], 4);
}

#[tokio::test]
async fn subscriptions_are_told_and_end() {
    let (_served, mut socket) = socket(|_| ()).await;
    let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
    // The block may be told before the call that made it is answered.
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": [] });
    socket.write(request.to_string().as_bytes()).await;
    let (mut told, mut answered) = (None, false);
    while told.is_none() || !answered {
        let message = socket.read().await.unwrap();
        match message.get("method") {
            Some(_) => told = Some(message),
            // A second answer to the subscription would come here.
            None => {
                assert_eq!(message["result"], "0x0", "{message}");
                answered = true;
            }
        }
    }
    let told = told.unwrap();
    assert_eq!((&told["method"], &told["params"]["subscription"]), (&json!("eth_subscription"), &heads));
    assert_eq!(number(&told["params"]["result"]["number"]), 1);
    assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, true);
    assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, false);
}

#[tokio::test]
async fn what_is_no_json_or_does_not_end_is_refused_and_nobody_else_is_harmed() {
    let (served, mut socket) = socket(|config| config.limits.request_bytes_max = 10_000).await;
    socket.write(b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(socket.read().await.unwrap()["error"]["code"], -32700);
    assert_eq!(socket.read().await, None);
    let mut long = UnixStream::connect(&socket.path).await.unwrap();
    let _ = long.write_all(&[b'['; 20_000]).await;
    let mut answer = String::new();
    let _ = long.read_to_string(&mut answer).await;
    assert!(answer.contains("message too large"), "{answer}");
    assert_eq!(served.call("eth_chainId", json!([])).await, "0x7a69");
}

#[tokio::test]
async fn a_socket_in_use_is_not_taken_and_a_dead_one_is() {
    let (served, socket) = socket(|_| ()).await;
    let config = |path: PathBuf| {
        let mut config = cryptlet_node::rpc::RpcConfig::public(([127, 0, 0, 1], 0).into());
        config.ipc = Some(path);
        config
    };
    let taken = cryptlet_node::rpc::RpcServer::start(served.node.clone(), config(socket.path.clone())).await;
    assert!(taken.expect_err("in use").to_string().contains("another process listens there"));
    let dead = socket.path.with_file_name("dead.ipc");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    assert!(dead.exists());
    let server = cryptlet_node::rpc::RpcServer::start(served.node.clone(), config(dead.clone())).await.unwrap();
    assert_eq!(server.ipc_path(), Some(dead.as_path()));
    assert!(UnixStream::connect(&dead).await.is_ok());
}
