//! `GET /metrics`, in plain HTTP/1.1, and nothing else: what Prometheus scrapes.

use anyhow::{Context, Result};
use cryptlet_node::{NodeHandle, metrics::METRICS_CONTENT_TYPE};
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

/// Scrapers at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 16;
/// Time of one connection, from its first byte to its end.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
const PATHS: [&str; 2] = ["/metrics", "/debug/metrics/prometheus"];

/// A running endpoint. It ends when this is dropped.
pub(crate) struct MetricsServer {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl MetricsServer {
    /// Starts to serve the node's metrics.
    pub(crate) async fn start(node: NodeHandle, listen: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot serve metrics on {listen}"))?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(node, listener));
        Ok(Self { address, _tasks: tasks })
    }

    /// Where Prometheus finds them.
    pub(crate) fn url(&self) -> String {
        format!("http://{}{}", self.address, PATHS[0])
    }
}

async fn serve(node: NodeHandle, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        while connections.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely; those come back.
                tracing::warn!(%error, "a connection for metrics could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let node = node.clone();
        connections.spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&node, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_TIME_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // A scraper that breaks off, or is too slow, gets nothing; nobody else is concerned.
            let _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await;
            drop(place);
        });
    }
}

fn answer(node: &NodeHandle, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !PATHS.contains(&request.uri().path()) {
        return text(StatusCode::NOT_FOUND, "only /metrics is served here\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n");
    }
    let mut response = Response::new(Full::from(node.metrics()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_CONTENT_TYPE));
    response
}

fn text(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(words));
    *response.status_mut() = status;
    response
}
