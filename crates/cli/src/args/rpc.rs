//! Flags of the JSON-RPC server. Names follow geth, and anvil where geth has none.

use anyhow::Result;
use clap::Args;
use cryptlet_node::rpc::{CorsOrigins, Namespace, RpcConfig, RpcLimits, VirtualHosts, WebSocketConfig};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

/// Name of the socket in the data folder.
const IPC_NAME: &str = "cryptlet.ipc";
/// Bytes that the path of a socket may have (`sockaddr_un`).
const IPC_PATH_MAX: usize = 107;
/// Ether that one transaction may pay in fees on a network, unless the flags say otherwise (geth: `RPCTxFeeCap`).
const NETWORK_FEE_CAP: f64 = 1.0;

#[derive(Debug, Args)]
#[command(next_help_heading = "JSON-RPC")]
pub(crate) struct RpcArgs {
    /// Address the JSON-RPC server listens on (HTTP and WebSocket)
    #[arg(long = "http.addr", alias = "host", value_name = "IP", default_value = "127.0.0.1", value_parser = address)]
    pub(crate) http_addr: IpAddr,
    /// Port of the JSON-RPC server, also spelt --http.port; 0 takes a free one
    #[arg(long = "port", short = 'p', alias = "http.port", value_name = "PORT", default_value_t = 8545)]
    pub(crate) http_port: u16,
    /// What web3_clientVersion answers; Hardhat's network helpers want one that begins with "hardhat" or "anvil"
    #[arg(long, value_name = "TEXT")]
    client_version: Option<String>,
    /// Accepted for the sake of geth's users: HTTP is always on
    #[arg(long = "http", hide = true)]
    http: bool,
    /// Namespaces offered over HTTP, comma-separated, or "all" [default: all on a dev chain, else eth,net,web3,cryptlet]
    #[arg(long = "http.api", value_name = "LIST", value_delimiter = ',', value_parser = namespaces)]
    http_api: Option<Vec<Api>>,
    /// Origins of web pages that may call, comma-separated, or "*" [default: "*" on a dev chain, else none]
    #[arg(long = "http.corsdomain", alias = "allow-origin", value_name = "LIST", value_delimiter = ',')]
    http_corsdomain: Option<Vec<String>>,
    /// Let no web page call
    #[arg(long, conflicts_with = "http_corsdomain")]
    no_cors: bool,
    /// Names under which the node may be reached, comma-separated, or "*" [default: "*" on a dev chain, else localhost]
    #[arg(long = "http.vhosts", value_name = "LIST", value_delimiter = ',')]
    http_vhosts: Option<Vec<String>>,

    /// Accepted for the sake of geth's users: WebSockets are always on
    #[arg(long = "ws", hide = true)]
    ws: bool,
    /// Address for WebSockets [default: as for HTTP]
    #[arg(long = "ws.addr", value_name = "IP", value_parser = address)]
    ws_addr: Option<IpAddr>,
    /// Port for WebSockets [default: as for HTTP]
    #[arg(long = "ws.port", value_name = "PORT")]
    ws_port: Option<u16>,
    /// Namespaces offered over WebSocket [default: as over HTTP]
    #[arg(long = "ws.api", value_name = "LIST", value_delimiter = ',', value_parser = namespaces)]
    ws_api: Option<Vec<Api>>,
    /// Origins of web pages that may open a WebSocket [default: as for HTTP]
    #[arg(long = "ws.origins", value_name = "LIST", value_delimiter = ',')]
    ws_origins: Option<Vec<String>>,

    /// Unix socket to serve all namespaces on [default: cryptlet.ipc in the data folder, if one is given]
    #[arg(long = "ipcpath", alias = "ipc", value_name = "FILE")]
    ipcpath: Option<PathBuf>,
    /// Serve no Unix socket
    #[arg(long = "ipcdisable", conflicts_with = "ipcpath")]
    ipcdisable: bool,

    /// Run tracers that clients write in JavaScript. A script can use up the node's memory and end it [default: on a dev chain]
    #[arg(long = "rpc.insecure-scripts")]
    insecure_scripts: bool,
    /// Gas of one eth_call, eth_estimateGas or eth_simulateV1; 0 for no bound
    #[arg(long = "rpc.gascap", value_name = "GAS", default_value_t = 50_000_000)]
    gas_cap: u64,
    /// Time of one call, e.g. 5s or 500ms; 0 for five minutes
    #[arg(long = "rpc.evmtimeout", value_name = "TIME", default_value = "30s", value_parser = duration)]
    evm_timeout: Duration,
    /// Ether that a transaction sent over JSON-RPC may pay in fees; 0 for no bound [default: 0 on a dev chain, else 1]
    #[arg(long = "rpc.txfeecap", value_name = "ETHER")]
    tx_fee_cap: Option<f64>,
    /// Requests in one batch
    #[arg(long = "rpc.batch-request-limit", value_name = "N", default_value_t = RpcLimits::default().batch_requests_max)]
    batch_request_limit: u32,
    /// Bytes of the answers to one batch
    #[arg(long = "rpc.batch-response-max-size", value_name = "BYTES", default_value_t = RpcLimits::default().batch_response_bytes_max)]
    batch_response_max_size: u32,
    /// Blocks that one eth_getLogs looks through
    #[arg(long = "rpc.rangelimit", alias = "rpc.max-blocks-per-filter", value_name = "BLOCKS", default_value_t = RpcLimits::default().log_blocks_max)]
    range_limit: u64,
    /// Logs that one eth_getLogs returns
    #[arg(long = "rpc.max-logs-per-response", value_name = "N", default_value_t = RpcLimits::default().logs_max)]
    max_logs: usize,
    /// Connections at once
    #[arg(long = "rpc.max-connections", value_name = "N", default_value_t = RpcLimits::default().connections_max)]
    max_connections: u32,
    /// Megabytes of one request
    #[arg(long = "rpc.max-request-size", value_name = "MB", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_request_size: u32,
    /// Let a request be as long as it likes (4 GB)
    #[arg(long, conflicts_with = "max_request_size")]
    no_request_size_limit: bool,
    /// Megabytes of one answer
    #[arg(long = "rpc.max-response-size", value_name = "MB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    max_response_size: u32,
}

/// A namespace, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    One(Namespace),
    All,
}

impl RpcArgs {
    /// Where to listen for HTTP.
    pub(crate) fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.http_addr, self.http_port)
    }

    /// Gas of one simulation.
    pub(crate) fn gas_cap(&self) -> u64 {
        // Half of everything, as geth has it, so that sums do not overflow.
        if self.gas_cap == 0 { u64::MAX / 2 } else { self.gas_cap }
    }

    /// Milliseconds of one simulation.
    pub(crate) fn evm_timeout_ms(&self) -> u64 {
        let time = if self.evm_timeout.is_zero() { Duration::from_secs(300) } else { self.evm_timeout };
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    /// What the flags change of a configuration; `datadir` is where the user keeps the chain.
    pub(crate) fn configure(&self, defaults: RpcConfig, datadir: Option<&Path>) -> Result<RpcConfig> {
        let is_dev = !defaults.insecure_accounts.is_empty();
        let cors = match (&self.http_corsdomain, self.no_cors) {
            (Some(origins), _) => CorsOrigins::List(origins.clone()),
            (None, true) => CorsOrigins::None,
            (None, false) => defaults.cors,
        };
        let own_address = self.ws_addr.is_some() || self.ws_port.is_some();
        let websocket = WebSocketConfig {
            listen: own_address.then(|| {
                SocketAddr::new(self.ws_addr.unwrap_or(self.http_addr), self.ws_port.unwrap_or(self.http_port))
            }),
            namespaces: self.ws_api.as_deref().map(chosen),
            origins: self.ws_origins.clone().map(CorsOrigins::List),
        };
        let ether_max = self.tx_fee_cap.unwrap_or(if is_dev { 0.0 } else { NETWORK_FEE_CAP });
        Ok(RpcConfig {
            cors,
            client_version: self.client_version.clone(),
            insecure_scripts: defaults.insecure_scripts || self.insecure_scripts,
            hosts: self.http_vhosts.clone().map_or(defaults.hosts, VirtualHosts::List),
            namespaces: self.http_api.as_deref().map_or(defaults.namespaces, chosen),
            websocket,
            ipc: self.ipc_path(datadir),
            limits: RpcLimits {
                batch_requests_max: unless_zero(self.batch_request_limit),
                batch_response_bytes_max: unless_zero(self.batch_response_max_size),
                log_blocks_max: if self.range_limit == 0 { u64::MAX } else { self.range_limit },
                logs_max: self.max_logs,
                connections_max: self.max_connections,
                request_bytes_max: if self.no_request_size_limit {
                    u32::MAX
                } else {
                    self.max_request_size * 1024 * 1024
                },
                response_bytes_max: self.max_response_size * 1024 * 1024,
                call_time_max: Duration::from_millis(self.evm_timeout_ms()),
                transaction_fee_ether_max: (ether_max > 0.0).then_some(ether_max),
                ..defaults.limits
            },
            ..defaults
        })
    }

    fn ipc_path(&self, datadir: Option<&Path>) -> Option<PathBuf> {
        if self.ipcdisable {
            return None;
        }
        if let Some(path) = &self.ipcpath {
            // As geth: a mere name is one in the data folder.
            let in_datadir = datadir.filter(|_| path.components().count() == 1);
            return Some(in_datadir.map_or_else(|| path.clone(), |folder| folder.join(path)));
        }
        let path = datadir?.join(IPC_NAME);
        if path.as_os_str().len() > IPC_PATH_MAX {
            tracing::warn!(path = %path.display(), "too long a path for a socket: none is served; see --ipcpath");
            return None;
        }
        Some(path)
    }
}

fn chosen(list: &[Api]) -> BTreeSet<Namespace> {
    let each = |api: &Api| match api {
        Api::One(namespace) => vec![*namespace],
        Api::All => Namespace::ALL.to_vec(),
    };
    list.iter().flat_map(each).collect()
}

fn unless_zero(bound: u32) -> u32 {
    if bound == 0 { u32::MAX } else { bound }
}

fn namespaces(text: &str) -> Result<Api, String> {
    match text.trim() {
        "all" => Ok(Api::All),
        name => name.parse().map(Api::One),
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        text => text.parse().map_err(|_| "not an IP address".to_owned()),
    }
}

/// Go's way of writing durations, one unit at a time: `500ms`, `5s`, `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) =
        text.split_at(text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| "not a time; write e.g. 5s or 500ms".to_owned())?;
    let seconds = match unit {
        "ms" => number / 1_000.0,
        "s" | "" => number,
        "m" => number * 60.0,
        _ => return Err(format!("{unit:?} is no unit of time; use ms, s or m")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        rpc: RpcArgs,
    }

    fn configured(flags: &[&str], datadir: Option<&str>) -> RpcConfig {
        let rpc = Flags::try_parse_from([&["node"], flags].concat()).expect("flags").rpc;
        rpc.configure(RpcConfig::public(rpc.listen()), datadir.map(Path::new)).expect("a configuration")
    }

    #[test]
    fn a_network_node_is_careful_by_default() {
        let config = configured(&[], None);
        assert_eq!((config.cors, config.hosts), (CorsOrigins::None, VirtualHosts::localhost()));
        assert_eq!(config.namespaces, Namespace::PUBLIC.into());
        assert_eq!(config.limits.transaction_fee_ether_max, Some(1.0));
        assert_eq!((config.ipc, config.websocket.listen), (None, None));
    }

    #[test]
    fn geths_flags_are_understood() {
        let flags = [
            "--http",
            "--http.addr",
            "localhost",
            "--http.port",
            "9000",
            "--http.api",
            "eth,debug",
            "--http.corsdomain",
            "https://a.example,https://b.example",
            "--http.vhosts",
            "*",
            "--ws",
            "--ws.port",
            "9001",
            "--ws.api",
            "all",
            "--ws.origins",
            "*",
            "--rpc.gascap",
            "0",
            "--rpc.evmtimeout",
            "500ms",
            "--rpc.txfeecap",
            "0",
            "--rpc.batch-request-limit",
            "5",
            "--ipcpath",
            "node.ipc",
        ];
        let config = configured(&flags, Some("/data"));
        assert_eq!(config.listen.to_string(), "127.0.0.1:9000");
        assert_eq!(config.namespaces, [Namespace::Eth, Namespace::Debug].into());
        let origins = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
        assert_eq!(config.cors, CorsOrigins::List(origins));
        assert_eq!(config.websocket.listen.map(|address| address.to_string()).as_deref(), Some("127.0.0.1:9001"));
        assert_eq!(config.websocket.namespaces, Some(Namespace::ALL.into()));
        assert_eq!(config.limits.call_time_max, Duration::from_millis(500));
        assert_eq!((config.limits.transaction_fee_ether_max, config.limits.batch_requests_max), (None, 5));
        assert_eq!(config.ipc.as_deref(), Some(Path::new("/data/node.ipc")));
    }

    #[test]
    fn the_socket_is_in_the_data_folder_unless_told_otherwise() {
        assert_eq!(configured(&[], Some("/data")).ipc.as_deref(), Some(Path::new("/data/cryptlet.ipc")));
        assert_eq!(configured(&["--ipcdisable"], Some("/data")).ipc, None);
        let long = format!("/{}", "x".repeat(200));
        assert_eq!(configured(&[], Some(&long)).ipc, None);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for flags in [["--http.api", "ethh"], ["--rpc.evmtimeout", "5 parsecs"], ["--http.addr", "somewhere"]] {
            assert!(Flags::try_parse_from([&["node"][..], &flags].concat()).is_err(), "{flags:?}");
        }
    }
}
