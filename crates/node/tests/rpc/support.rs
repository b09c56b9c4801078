//! A served dev chain, and clients that show every byte.

use alloy::transports::http::reqwest;
use alloy_primitives::{Address, B256, U256};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig, NodeHandle,
    chain_spec::{EthereumHardfork, dev_accounts, dev_genesis_at},
    rpc::{InsideCalls, RpcConfig, RpcServer},
    store::ChainStore,
};
use cryptlet_primitives::FabricLimits;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// What a client waits at most for something that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Served {
    pub(crate) node: NodeHandle,
    pub(crate) address: SocketAddr,
    pub(crate) websocket_address: SocketAddr,
    server: RpcServer,
    http: reqwest::Client,
}

/// A dev node with its ten unlocked accounts, no host, and blocks on arrival.
pub(crate) async fn dev() -> Served {
    serve(|_| ()).await
}

/// The same with changes to the server's configuration.
pub(crate) async fn serve(change: impl FnOnce(&mut RpcConfig)) -> Served {
    let chain = ChainStore::in_memory();
    let spec = Arc::new(ChainSpec::dev());
    let node = Node::start(NodeConfig::default(), spec, chain, Arc::new(NoFabric)).unwrap();
    serve_node(node, change).await
}

/// A dev node under the rules of another fork, without cryptlets.
pub(crate) async fn dev_under(fork: EthereumHardfork) -> Served {
    let spec = Arc::new(ChainSpec::from_genesis(dev_genesis_at(&FabricLimits::default(), fork)).unwrap());
    let node = Node::start(NodeConfig::default(), spec, ChainStore::in_memory(), Arc::new(NoFabric)).unwrap();
    serve_node(node, |_| ()).await
}

/// A client of HTTP. It wants a process that has chosen its cryptography, whether there is TLS or not.
pub(crate) fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Serves a node that runs already.
pub(crate) async fn serve_node(node: NodeHandle, change: impl FnOnce(&mut RpcConfig)) -> Served {
    let mut config = RpcConfig::insecure_dev(([127, 0, 0, 1], 0).into(), dev_accounts());
    change(&mut config);
    let server = RpcServer::start(node.clone(), config).await.unwrap();
    Served::over(node, server)
}

/// A dev node whose server is not open yet.
pub(crate) async fn serve_closed() -> Served {
    let node =
        Node::start(NodeConfig::default(), Arc::new(ChainSpec::dev()), ChainStore::in_memory(), Arc::new(NoFabric));
    let node = node.unwrap();
    let config = RpcConfig::insecure_dev(([127, 0, 0, 1], 0).into(), dev_accounts());
    let server = RpcServer::start_closed(node.clone(), config).await.unwrap();
    Served::over(node, server)
}

/// The address of a dev account.
pub(crate) fn account(index: usize) -> Address {
    dev_accounts()[index].address()
}

impl Served {
    fn over(node: NodeHandle, server: RpcServer) -> Self {
        Self {
            node,
            address: server.address(),
            websocket_address: server.websocket_address(),
            server,
            http: http_client(),
        }
    }

    /// Lets everybody in.
    pub(crate) fn open(&self) {
        self.server.open();
    }

    /// Past the door.
    pub(crate) fn inside(&self) -> InsideCalls {
        self.server.inside()
    }

    /// What a load balancer is told.
    pub(crate) async fn health(&self) -> u16 {
        self.http.get(self.url()).send().await.unwrap().status().as_u16()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server, not the node.
    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    /// Posts these bytes as JSON.
    pub(crate) async fn post(&self, body: impl Into<String>) -> Value {
        let request = self.http.post(self.url()).header("content-type", "application/json").body(body.into());
        let response = tokio::time::timeout(PATIENCE, request.send()).await.unwrap().unwrap();
        serde_json::from_str(&response.text().await.unwrap()).unwrap()
    }

    /// The whole answer to one request.
    pub(crate) async fn answer(&self, method: &str, params: Value) -> Value {
        self.post(json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()).await
    }

    /// The result of a request that must succeed.
    pub(crate) async fn call(&self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params.clone()).await;
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].take()
    }

    /// Code and message of a request that must fail.
    pub(crate) async fn error(&self, method: &str, params: Value) -> (i64, String) {
        let answer = self.answer(method, params.clone()).await;
        let error = answer.get("error").unwrap_or_else(|| panic!("{method} {params} went through: {answer}"));
        (error["code"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    /// Sends a transaction from an unlocked account and returns its receipt, which must be there at once.
    pub(crate) async fn send(&self, transaction: Value) -> Value {
        let hash = self.call("eth_sendTransaction", json!([transaction])).await;
        let receipt = self.call("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["transactionHash"], hash);
        receipt
    }

    /// Height of the chain.
    pub(crate) async fn height(&self) -> u64 {
        number(&self.call("eth_blockNumber", json!([])).await)
    }

    pub(crate) async fn web_socket(&self) -> WebSocket {
        let socket = TcpStream::connect(self.websocket_address).await.unwrap();
        let mut client = soketto::handshake::Client::new(socket.compat(), "localhost", "/");
        let response = client.handshake().await.unwrap();
        assert!(matches!(response, soketto::handshake::ServerResponse::Accepted { .. }), "{response:?}");
        let (sender, receiver) = client.into_builder().finish();
        WebSocket { sender, receiver, notifications: Vec::new() }
    }
}

/// A WebSocket that keeps notifications until they are asked for.
pub(crate) struct WebSocket {
    sender: soketto::Sender<Compat<TcpStream>>,
    receiver: soketto::Receiver<Compat<TcpStream>>,
    notifications: Vec<Value>,
}

impl WebSocket {
    pub(crate) async fn answer(&mut self, method: &str, params: Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        self.sender.send_text(request.to_string()).await.unwrap();
        self.sender.flush().await.unwrap();
        loop {
            let message = self.receive().await;
            if message.get("id") == Some(&json!(7)) {
                return message;
            }
            self.notifications.push(message);
        }
    }

    /// Sends a message as it stands, and returns what comes next that is no notification.
    pub(crate) async fn message(&mut self, message: &Value) -> Value {
        self.sender.send_text(message.to_string()).await.unwrap();
        self.sender.flush().await.unwrap();
        loop {
            let message = self.receive().await;
            if message.get("method").is_none() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        let mut answer = self.answer(method, params).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// What the next notification of this subscription tells.
    pub(crate) async fn told(&mut self, subscription: &Value) -> Value {
        loop {
            let found = self.notifications.iter().position(|told| told["params"]["subscription"] == *subscription);
            if let Some(position) = found {
                let mut told = self.notifications.remove(position);
                let method = told["method"].as_str().unwrap();
                assert!(["eth_subscription", "debug_subscription"].contains(&method), "{method}");
                return told["params"]["result"].take();
            }
            let message = self.receive().await;
            self.notifications.push(message);
        }
    }

    /// Has a notification of this subscription come that nobody has asked for yet?
    pub(crate) fn was_told(&self, subscription: &Value) -> bool {
        self.notifications.iter().any(|told| told["params"]["subscription"] == *subscription)
    }

    async fn receive(&mut self) -> Value {
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, self.receiver.receive_data(&mut bytes)).await.unwrap().unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }
}

/// A hexadecimal quantity as a number.
pub(crate) fn number(quantity: &Value) -> u64 {
    let text = quantity.as_str().unwrap_or_else(|| panic!("not a quantity: {quantity}"));
    let digits = text.strip_prefix("0x").unwrap_or_else(|| panic!("not a quantity: {quantity}"));
    assert!(digits == "0" || !digits.starts_with('0'), "a quantity has no leading zeros: {quantity}");
    u64::from_str_radix(digits, 16).unwrap()
}

/// A hexadecimal quantity as a big number.
pub(crate) fn big(quantity: &Value) -> U256 {
    quantity.as_str().unwrap().parse().unwrap()
}

pub(crate) fn hash(value: &Value) -> B256 {
    value.as_str().unwrap().parse().unwrap()
}

/// Creation code that reverts with these bytes.
pub(crate) fn reverting(output: &[u8]) -> String {
    let length = u8::try_from(output.len()).unwrap();
    let mut code = vec![0x60, length, 0x60, 0x0c, 0x60, 0x00, 0x39, 0x60, length, 0x60, 0x00, 0xfd];
    code.extend(output);
    alloy_primitives::hex::encode_prefixed(code)
}

/// Creation code that logs the number 42 under this topic, stores 42 in slot 0, and leaves a contract that does nothing.
pub(crate) fn logging(topic: B256) -> String {
    let mut code = vec![0x60, 0x2a, 0x60, 0x00, 0x52, 0x7f];
    code.extend(topic);
    code.extend([0x60, 0x20, 0x60, 0x00, 0xa1]);
    code.extend([0x60, 0x2a, 0x60, 0x00, 0x55]);
    code.extend([0x60, 0x01, 0x60, 0x20, 0xf3]);
    alloy_primitives::hex::encode_prefixed(code)
}
