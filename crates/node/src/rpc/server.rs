//! The server: HTTP and WebSocket, on one port or on two, and IPC; bounded in every direction.

use super::{
    Rpc,
    config::{Namespace, RpcConfig, RpcLimits, VirtualHosts},
    dispatch::{Dispatcher, MessageBounds, Offered},
    http::{Gate, HttpService},
    inside::InsideCalls,
    ipc::{IpcBounds, IpcSocket},
    listen::{self, ConnectionBounds},
    methods,
    readiness::Readiness,
    websocket::WebSocketCalls,
};
use crate::{fork::ForkCache, metrics::Metrics, service::NodeHandle};
use alloy_primitives::hex;
use jsonrpsee::{
    core::{RegisterMethodError, traits::IdProvider},
    server::{
        BatchRequestConfig, Methods, PingConfig, RandomStringIdProvider, Server, ServerConfig, ServerHandle,
        StopHandle, middleware::rpc::RpcServiceBuilder, stop_channel,
    },
    types::SubscriptionId,
};
use std::{
    collections::{BTreeSet, HashSet},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RpcStartError {
    /// The address is taken or not ours.
    #[error("cannot listen for JSON-RPC on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen for JSON-RPC on the socket {}: {source}; choose another with --ipcpath, or --ipcdisable", path.display())]
    Ipc {
        /// What was asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An extension has a name that the node has already.
    #[error("an extension of JSON-RPC: {0}")]
    Extension(#[from] RegisterMethodError),
}

/// A running server. It ends when this is dropped or [`RpcServer::stop`] is called.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    websocket_address: SocketAddr,
    ipc_path: Option<PathBuf>,
    handle: ServerHandle,
    readiness: Readiness,
    inside: InsideCalls,
}

impl RpcServer {
    /// Starts to serve `node`.
    pub async fn start(node: NodeHandle, config: RpcConfig) -> Result<Self, RpcStartError> {
        let server = Self::start_closed(node, config).await?;
        server.open();
        Ok(server)
    }

    /// Listens, and answers what does not depend on the chain; the rest waits until [`RpcServer::open`].
    pub async fn start_closed(node: NodeHandle, config: RpcConfig) -> Result<Self, RpcStartError> {
        let (metrics, fork) = (node.meters(), node.fork());
        let rpc = Rpc::new(node, &config);
        let offered = Offered::new(&rpc, &config);
        let mut methods = Methods::from(methods(&rpc, &config.all_namespaces()));
        methods.merge(config.extensions.clone())?;
        let (stop, handle) = stop_channel();
        let readiness = Readiness::default();
        let watch = Watch { metrics, fork, readiness: readiness.clone() };
        let endpoint = Endpoint::new(&config, methods, offered, watch, stop.clone());
        let inside = Dispatcher { readiness: Readiness::open_from_the_start(), ..endpoint.dispatcher() };

        let (listener, address) = bind(config.listen).await?;
        // Port 0 is another free one each time.
        let is_another = |wanted: &SocketAddr| *wanted != config.listen || wanted.port() == 0;
        let websocket = match config.websocket.listen.filter(is_another) {
            Some(wanted) => Some(bind(wanted).await?),
            None => None,
        };
        let ipc = match &config.ipc {
            Some(path) => Some(endpoint.bind_ipc(path).await?),
            None => None,
        };
        let ipc_path = ipc.as_ref().map(|socket| socket.path().to_owned());

        let websocket_address = websocket.as_ref().map_or(address, |(_, address)| *address);
        endpoint.clone().serve(listener);
        if let Some((listener, _)) = websocket {
            endpoint.clone().for_websockets(&config).serve(listener);
        }
        if let Some(socket) = ipc {
            endpoint.serve_ipc(socket);
        }
        Ok(Self { address, websocket_address, ipc_path, handle, readiness, inside: InsideCalls(Arc::new(inside)) })
    }

    /// The chain is ready: what waited is answered.
    pub fn open(&self) {
        self.readiness.open();
    }

    /// For those who make it ready.
    pub fn inside(&self) -> InsideCalls {
        self.inside.clone()
    }

    /// Where it listens for HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for WebSockets; mostly the same.
    pub fn websocket_address(&self) -> SocketAddr {
        self.websocket_address
    }

    /// Its socket, if it has one.
    pub fn ipc_path(&self) -> Option<&Path> {
        self.ipc_path.as_deref()
    }

    /// Ends it: answers what was asked, then closes the connections.
    pub async fn stop(self) {
        if self.handle.stop().is_ok() {
            self.handle.stopped().await;
        }
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), RpcStartError> {
    let error = |source| RpcStartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    Ok((listener, bound))
}

impl Offered {
    fn new(rpc: &Rpc, config: &RpcConfig) -> Self {
        let names = |namespaces: &BTreeSet<Namespace>| {
            let own = methods(rpc, namespaces);
            Arc::new(own.method_names().chain(config.extensions.method_names()).collect::<HashSet<_>>())
        };
        let http = names(&config.namespaces);
        let websocket = config.websocket.namespaces.as_ref().map_or_else(|| http.clone(), names);
        Self { http, websocket }
    }
}

/// Everything that serving an address takes.
#[derive(Clone)]
struct Endpoint {
    methods: Methods,
    offered: Offered,
    gate: Gate,
    limits: RpcLimits,
    connections: Arc<Semaphore>,
    watch: Watch,
    stop: StopHandle,
}

/// What sees every call.
#[derive(Clone)]
struct Watch {
    /// Counts it.
    metrics: Arc<Metrics>,
    /// Has it answered by the chain that was forked, if need be.
    fork: Option<Arc<ForkCache>>,
    /// Has it wait until the chain may be seen.
    readiness: Readiness,
}

impl Endpoint {
    fn new(config: &RpcConfig, methods: Methods, offered: Offered, watch: Watch, stop: StopHandle) -> Self {
        let limits = config.limits;
        let gate = Gate {
            origins: config.cors.clone(),
            websocket_origins: config.websocket.origins.clone().unwrap_or_else(|| config.cors.clone()),
            hosts: config.hosts.clone(),
            request_bytes_max: limits.request_bytes_max as usize,
            request_time_max: limits.request_time_max,
        };
        Self {
            methods,
            offered,
            gate,
            limits,
            connections: Arc::new(Semaphore::new(limits.connections_max as usize)),
            watch,
            stop,
        }
    }

    /// The same for an address of WebSockets: what comes in there over HTTP gets no more than they do.
    fn for_websockets(mut self, config: &RpcConfig) -> Self {
        self.offered.http = self.offered.websocket.clone();
        self.gate.origins = self.gate.websocket_origins.clone();
        // geth: hosts are checked for HTTP, origins for WebSockets.
        self.gate.hosts = if config.websocket.origins.is_some() { VirtualHosts::Any } else { self.gate.hosts };
        self
    }

    fn dispatcher(&self) -> Dispatcher {
        let bounds = MessageBounds {
            batch_requests_max: self.limits.batch_requests_max as usize,
            response_bytes_max: self.limits.response_bytes_max as usize,
            batch_response_bytes_max: self.limits.batch_response_bytes_max as usize,
        };
        Dispatcher {
            methods: self.methods.clone(),
            offered: self.offered.clone(),
            bounds,
            metrics: self.watch.metrics.clone(),
            fork: self.watch.fork.clone(),
            readiness: self.watch.readiness.clone(),
        }
    }

    fn serve(self, listener: TcpListener) {
        let dispatcher = Arc::new(self.dispatcher());
        let service = HttpService { gate: Arc::new(self.gate.clone()), dispatcher: dispatcher.clone() };
        let bounds = ConnectionBounds {
            places: self.connections.clone(),
            idle_time_max: self.limits.idle_time_max,
            metrics: self.watch.metrics.clone(),
        };
        let middleware = RpcServiceBuilder::new().layer_fn(move |inner| WebSocketCalls::new(inner, dispatcher.clone()));
        let websockets = Server::builder()
            .set_config(websocket_config(&self.limits))
            .set_rpc_middleware(middleware)
            .to_service_builder();
        let (methods, stop) = (self.methods, self.stop.clone());
        let websockets = move || websockets.clone().build(methods.clone(), stop.clone());
        tokio::spawn(listen::accept(listener, bounds, self.stop, service, websockets));
    }

    async fn bind_ipc(&self, path: &Path) -> Result<IpcSocket, RpcStartError> {
        IpcSocket::bind(path).await.map_err(|source| RpcStartError::Ipc { path: path.to_owned(), source })
    }

    fn serve_ipc(self, socket: IpcSocket) {
        let bounds = IpcBounds {
            connections_max: self.limits.connections_max as usize,
            request_bytes_max: self.limits.request_bytes_max as usize,
            subscriptions_max: self.limits.subscriptions_per_connection_max,
            notifications_max: self.limits.messages_per_connection_max as usize,
        };
        tokio::spawn(socket.serve(Arc::new(self.dispatcher()), bounds, Arc::new(subscription_ids()), self.stop));
    }
}

fn websocket_config(limits: &RpcLimits) -> ServerConfig {
    ServerConfig::builder()
        .ws_only()
        .max_request_body_size(limits.request_bytes_max)
        .max_response_body_size(limits.response_bytes_max)
        .max_connections(limits.connections_max)
        .max_subscriptions_per_connection(limits.subscriptions_per_connection_max)
        .set_message_buffer_capacity(limits.messages_per_connection_max)
        // `websocket` counts them, in geth's words.
        .set_batch_request_config(BatchRequestConfig::Unlimited)
        .enable_ws_ping(PingConfig::new().ping_interval(Duration::from_secs(30)))
        .set_id_provider(subscription_ids())
        .build()
}

fn subscription_ids() -> QuantityIds {
    QuantityIds(RandomStringIdProvider::new(16))
}

/// Subscription ids as Ethereum clients expect them: a hexadecimal string.
#[derive(Debug)]
struct QuantityIds(RandomStringIdProvider);

impl IdProvider for QuantityIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        match self.0.next_id() {
            SubscriptionId::Str(text) => SubscriptionId::Str(hex::encode_prefixed(text.as_bytes()).into()),
            number => number,
        }
    }
}
