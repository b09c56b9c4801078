//! The server: HTTP and WebSocket on one port, bounded in every direction.

use super::{
    Rpc,
    config::{CorsOrigins, RpcConfig, RpcLimits},
    each_call::EachCall,
    listen::{self, ConnectionBounds},
    metered::Metered,
    methods,
    middleware::{GateLayer, GethWords},
};
use crate::service::NodeHandle;
use alloy_primitives::hex;
use jsonrpsee::{
    core::{RegisterMethodError, traits::IdProvider},
    server::{
        BatchRequestConfig, Methods, PingConfig, RandomStringIdProvider, Server, ServerConfig, ServerHandle,
        middleware::rpc::RpcServiceBuilder, stop_channel,
    },
    types::SubscriptionId,
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

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
    /// An origin is no header value.
    #[error("{0:?} is not an origin; write scheme://host[:port]")]
    Origin(String),
    /// An extension has a name that the node has already.
    #[error("an extension of JSON-RPC: {0}")]
    Extension(#[from] RegisterMethodError),
}

/// A running server. It ends when this is dropped or [`RpcServer::stop`] is called.
#[derive(Debug)]
pub struct RpcServer {
    address: SocketAddr,
    handle: ServerHandle,
}

impl RpcServer {
    /// Starts to serve `node`.
    pub async fn start(node: NodeHandle, config: RpcConfig) -> Result<Self, RpcStartError> {
        let listen_error = |source| RpcStartError::Listen { address: config.listen, source };
        let metrics = node.meters();
        let rpc = Rpc::new(node, config.insecure_accounts, config.limits);
        let mut methods = Methods::from(methods(&rpc, &config.namespaces));
        methods.merge(config.extensions)?;
        let (offered, counted) = (methods.clone(), methods.clone());
        let response_bytes_max = config.limits.response_bytes_max;
        let of_connections = metrics.clone();
        let rpc_middleware = RpcServiceBuilder::new()
            .layer_fn(move |inner| EachCall::new(inner, response_bytes_max))
            .layer_fn(move |inner| Metered::new(inner, counted.clone(), metrics.clone()))
            .layer_fn(move |inner| GethWords::new(inner, offered.clone()));
        let gate = GateLayer { origins: config.cors.clone(), request_time_max: config.limits.request_time_max };
        let services = Server::builder()
            .set_config(server_config(&config.limits))
            .set_http_middleware(tower::ServiceBuilder::new().layer(cors(&config.cors)?).layer(gate))
            .set_rpc_middleware(rpc_middleware)
            .to_service_builder();
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let (stop, handle) = stop_channel();
        let bounds = ConnectionBounds {
            connections_max: config.limits.connections_max as usize,
            idle_time_max: config.limits.idle_time_max,
            metrics: of_connections,
        };
        let of_connection = stop.clone();
        let service = move || services.clone().build(methods.clone(), of_connection.clone());
        tokio::spawn(listen::accept(listener, bounds, stop, service));
        Ok(Self { address, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: answers what was asked, then closes the connections.
    pub async fn stop(self) {
        if self.handle.stop().is_ok() {
            self.handle.stopped().await;
        }
    }
}

fn server_config(limits: &RpcLimits) -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(limits.request_bytes_max)
        .max_response_body_size(limits.response_bytes_max)
        .max_connections(limits.connections_max)
        .max_subscriptions_per_connection(limits.subscriptions_per_connection_max)
        .set_message_buffer_capacity(limits.messages_per_connection_max)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch_requests_max))
        .enable_ws_ping(PingConfig::new().ping_interval(Duration::from_secs(30)))
        .set_id_provider(QuantityIds(RandomStringIdProvider::new(16)))
        .build()
}

fn cors(origins: &CorsOrigins) -> Result<CorsLayer, RpcStartError> {
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
    Ok(match origins {
        CorsOrigins::None => layer.allow_origin(AllowOrigin::list([])),
        CorsOrigins::Any => layer.allow_origin(Any),
        CorsOrigins::List(list) if list.iter().any(|origin| origin == "*") => layer.allow_origin(Any),
        CorsOrigins::List(list) => {
            let parse = |origin: &String| origin.parse().map_err(|_| RpcStartError::Origin(origin.clone()));
            layer.allow_origin(AllowOrigin::list(list.iter().map(parse).collect::<Result<Vec<_>, _>>()?))
        }
    })
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
