//! One page over plain HTTP/1.1, and nothing else: a descriptor, or what Prometheus scrapes.

use crate::{
    error::HostError,
    server::{Server, listen, until_stopped},
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prost::bytes::Bytes;
use std::{convert::Infallible, fmt, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

/// Readers at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Time of one connection, from its first byte to its end.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Media type of metrics.
const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Where Prometheus looks, and where those look who are used to geth.
const METRICS_PATHS: &[&str] = &["/metrics", "/debug/metrics/prometheus"];

/// What a page is made from, each time it is asked for; `Err` says why it cannot be made now.
type Body = dyn Fn() -> Result<String, String> + Send + Sync;

/// A page.
#[derive(Clone)]
pub struct Page {
    /// Where it is; the first path is the one that people are told.
    pub paths: &'static [&'static str],
    /// Its media type.
    pub content_type: &'static str,
    /// What is on it.
    pub body: Arc<Body>,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Page {
    /// A page of metrics.
    pub fn metrics(body: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { paths: METRICS_PATHS, content_type: METRICS_CONTENT_TYPE, body: Arc::new(move || Ok(body())) }
    }

    /// Serves it, to whoever asks, until the server is stopped or dropped.
    pub async fn serve(self, address: SocketAddr) -> Result<Server, HostError> {
        let listener = listen(address).await?;
        let address = listener.local_addr().map_err(|source| HostError::Listen { address, source })?;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(self, listener, stopped));
        Ok(Server::of(address, stop, vec![serving]))
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !self.paths.contains(&request.uri().path()) {
            return text(StatusCode::NOT_FOUND, format!("only {} is served here\n", self.paths[0]));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n".to_owned());
        }
        match (self.body)() {
            Ok(body) => {
                let mut response = Response::new(Full::new(Bytes::from(body)));
                let kind = header::HeaderValue::from_static(self.content_type);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                tracing::error!(%error, page = self.paths[0], "cannot make a page");
                text(StatusCode::INTERNAL_SERVER_ERROR, "it cannot be made now\n".to_owned())
            }
        }
    }
}

async fn serve(page: Page, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let stream = tokio::select! {
            () = until_stopped(&mut stopped) => return,
            connection = listener.accept() => match connection {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let page = page.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = page.answer(&request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(REQUEST_BYTES_MAX)
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A reader that breaks off, or is too slow, gets nothing; nobody else is concerned.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
