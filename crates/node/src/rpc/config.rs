//! What the server is started with. Every bound has its unit in its name.

use alloy::signers::local::PrivateKeySigner;
use jsonrpsee::Methods;
use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// A tip that does on most chains, in wei per gas.
const DEFAULT_TIP: u128 = 1_000_000_000;

/// How to serve JSON-RPC.
#[derive(Clone, Debug)]
pub struct RpcConfig {
    /// Where to listen, HTTP and WebSocket alike. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Which web pages may call.
    pub cors: CorsOrigins,
    /// Under which names the node may be reached.
    pub hosts: VirtualHosts,
    /// Which methods are offered over HTTP, and over WebSocket unless that has others.
    pub namespaces: BTreeSet<Namespace>,
    /// What is different for WebSockets.
    pub websocket: WebSocketConfig,
    /// Socket to listen on, with [`ipc_namespaces`](Self::ipc_namespaces).
    pub ipc: Option<PathBuf>,
    /// What is offered there: whoever can open the socket is the node's owner.
    pub ipc_namespaces: BTreeSet<Namespace>,
    /// Accounts the node signs for. Whoever reaches the port can spend from them: development only.
    pub insecure_accounts: Vec<PrivateKeySigner>,
    /// What `web3_clientVersion` answers instead of the node's own name and version.
    pub client_version: Option<String>,
    /// Runs tracers that clients write in JavaScript. A script can use up the node's memory and its stack: only for those who
    /// may end the node anyway.
    pub insecure_scripts: bool,
    /// What `admin_datadir` answers: where the chain is kept.
    pub datadir: Option<PathBuf>,
    /// Blocks between the head and `safe`, and between that and `finalized`. 0: what one producer has sealed is final.
    pub blocks_per_epoch: u64,
    /// Tip suggested when the last blocks give no guidance, in wei per gas.
    pub default_tip: u128,
    /// Methods of whoever starts the node, beside its own.
    pub extensions: Methods,
    /// Bounds.
    pub limits: RpcLimits,
}

impl RpcConfig {
    /// For a development node: all namespaces, any origin, and these unlocked accounts.
    pub fn insecure_dev(listen: SocketAddr, accounts: Vec<PrivateKeySigner>) -> Self {
        Self {
            listen,
            cors: CorsOrigins::Any,
            hosts: VirtualHosts::Any,
            namespaces: Namespace::ALL.into(),
            websocket: WebSocketConfig::default(),
            ipc: None,
            ipc_namespaces: Namespace::ALL.into(),
            insecure_accounts: accounts,
            client_version: None,
            insecure_scripts: true,
            datadir: None,
            blocks_per_epoch: 0,
            default_tip: DEFAULT_TIP,
            extensions: Methods::new(),
            limits: RpcLimits::default(),
        }
    }

    /// For a network node: what is safe to show to strangers.
    pub fn public(listen: SocketAddr) -> Self {
        Self {
            listen,
            cors: CorsOrigins::None,
            hosts: VirtualHosts::localhost(),
            namespaces: Namespace::PUBLIC.into(),
            websocket: WebSocketConfig::default(),
            ipc: None,
            ipc_namespaces: Namespace::PUBLIC.into_iter().chain([Namespace::Debug, Namespace::Txpool]).collect(),
            insecure_accounts: Vec::new(),
            client_version: None,
            insecure_scripts: false,
            datadir: None,
            blocks_per_epoch: 0,
            default_tip: DEFAULT_TIP,
            extensions: Methods::new(),
            limits: RpcLimits::default(),
        }
    }

    /// What is offered anywhere.
    pub(super) fn all_namespaces(&self) -> BTreeSet<Namespace> {
        let over_ipc = self.ipc_namespaces.iter().filter(|_| self.ipc.is_some());
        let over_websocket = self.websocket.namespaces.iter().flatten();
        self.namespaces.iter().chain(over_websocket).chain(over_ipc).copied().collect()
    }
}

/// What is different for WebSockets. By default nothing: same port, same methods, same origins.
#[derive(Clone, Debug, Default)]
pub struct WebSocketConfig {
    /// An address of their own.
    pub listen: Option<SocketAddr>,
    /// Methods of their own.
    pub namespaces: Option<BTreeSet<Namespace>>,
    /// Which web pages may open one.
    pub origins: Option<CorsOrigins>,
}

/// Names in the `Host` header under which the node may be reached (against DNS rebinding). Addresses always work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VirtualHosts {
    /// Any name.
    Any,
    /// These, without ports.
    List(Vec<String>),
}

impl VirtualHosts {
    /// geth's default.
    pub fn localhost() -> Self {
        Self::List(vec!["localhost".to_owned()])
    }
}

/// Origins of web pages that may call (CORS).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// No web page.
    #[default]
    None,
    /// Every web page.
    Any,
    /// These, as `scheme://host[:port]`.
    List(Vec<String>),
}

/// A group of methods, named as in geth's `--http.api`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespace {
    /// `eth_`, with subscriptions.
    Eth,
    /// `net_`.
    Net,
    /// `web3_`.
    Web3,
    /// `personal_sign`.
    Personal,
    /// `txpool_`.
    Txpool,
    /// `cryptlet_`: records, registry, parked calls.
    Cryptlet,
    /// `evm_`: mining and time of development nodes.
    Evm,
    /// `anvil_`.
    Anvil,
    /// `hardhat_`.
    Hardhat,
    /// `debug_`.
    Debug,
    /// `trace_`: traces as OpenEthereum made them.
    Trace,
    /// `ots_`: what the block explorer Otterscan asks.
    Ots,
    /// `erigon_`.
    Erigon,
    /// `testing_`: blocks built for tests.
    Testing,
    /// `admin_`: about the node itself.
    Admin,
}

impl Namespace {
    /// What is safe to show to strangers.
    pub const PUBLIC: [Self; 4] = [Self::Eth, Self::Net, Self::Web3, Self::Cryptlet];

    /// Every namespace.
    pub const ALL: [Self; 15] = [
        Self::Eth,
        Self::Net,
        Self::Web3,
        Self::Personal,
        Self::Txpool,
        Self::Cryptlet,
        Self::Evm,
        Self::Anvil,
        Self::Hardhat,
        Self::Debug,
        Self::Trace,
        Self::Ots,
        Self::Erigon,
        Self::Testing,
        Self::Admin,
    ];

    /// As it stands before the underscore.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eth => "eth",
            Self::Net => "net",
            Self::Web3 => "web3",
            Self::Personal => "personal",
            Self::Txpool => "txpool",
            Self::Cryptlet => "cryptlet",
            Self::Evm => "evm",
            Self::Anvil => "anvil",
            Self::Hardhat => "hardhat",
            Self::Debug => "debug",
            Self::Trace => "trace",
            Self::Ots => "ots",
            Self::Erigon => "erigon",
            Self::Testing => "testing",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Namespace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|namespace| namespace.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|namespace| namespace.name()).collect();
            format!("there is no RPC namespace {text:?}; there are {}", known.join(", "))
        })
    }
}

/// Bounds of the server. The defaults survive abuse on a small machine.
#[derive(Clone, Copy, Debug)]
pub struct RpcLimits {
    /// Bytes of one request (a whole batch).
    pub request_bytes_max: u32,
    /// Bytes of one response.
    pub response_bytes_max: u32,
    /// Bytes of the responses of one batch (geth: `--rpc.batch-response-max-size`).
    pub batch_response_bytes_max: u32,
    /// Requests in one batch.
    pub batch_requests_max: u32,
    /// Connections at once, HTTP and WebSocket together.
    pub connections_max: u32,
    /// Subscriptions of one WebSocket connection.
    pub subscriptions_per_connection_max: u32,
    /// Messages that wait for one slow WebSocket reader.
    pub messages_per_connection_max: u32,
    /// Blocks that one `eth_getLogs` may look through.
    pub log_blocks_max: u64,
    /// Logs that one `eth_getLogs` may return.
    pub logs_max: usize,
    /// Filters installed at once.
    pub filters_max: usize,
    /// A filter nobody asked for this long is forgotten.
    pub filter_idle_max: Duration,
    /// Blocks of one `eth_feeHistory`.
    pub fee_history_blocks_max: u64,
    /// Simulations (calls, estimates) at once. They may wait for cryptlets, so there may be more than cores.
    pub simulations_max: usize,
    /// Traces, proofs and long searches at once. They keep a core busy.
    pub searches_max: usize,
    /// Calls of either kind that wait for a place.
    pub waiting_max: usize,
    /// Time of one simulation, cryptlets included, and of the wait for a place.
    pub call_time_max: Duration,
    /// Ether that a transaction handed in may pay in fees at most (geth: `--rpc.txfeecap`).
    pub transaction_fee_ether_max: Option<f64>,
    /// Time of one HTTP request, from its first byte to its answer.
    pub request_time_max: Duration,
    /// A connection on which no request begins, or its head does not end, for this long is closed.
    pub idle_time_max: Duration,
}

impl Default for RpcLimits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            request_bytes_max: 15 * 1024 * 1024,
            response_bytes_max: 64 * 1024 * 1024,
            batch_response_bytes_max: 25_000_000,
            batch_requests_max: 1_000,
            connections_max: 500,
            subscriptions_per_connection_max: 256,
            messages_per_connection_max: 512,
            log_blocks_max: 100_000,
            logs_max: 20_000,
            filters_max: 10_000,
            filter_idle_max: Duration::from_secs(5 * 60),
            fee_history_blocks_max: 1_024,
            simulations_max: 96,
            searches_max: cores * 2,
            waiting_max: 4_096,
            call_time_max: Duration::from_secs(30),
            transaction_fee_ether_max: None,
            request_time_max: Duration::from_secs(120),
            idle_time_max: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_read_by_its_name_and_a_wrong_one_is_told_the_right_ones() {
        assert_eq!("eth".parse(), Ok(Namespace::Eth));
        let error = "ethh".parse::<Namespace>().expect_err("no such namespace");
        assert!(error.contains("\"ethh\"") && error.contains("cryptlet"), "{error}");
    }
}
