//! Accepting connections: so many at once, and none that is silent for long.

use crate::metrics::{ConnectionGuard, Metrics};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use jsonrpsee::{
    core::BoxError,
    server::{HttpRequest, HttpResponse, StopHandle},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// Rest after a connection could not be accepted: out of descriptors, most likely, and those come back.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long somebody who is turned away may take to read that.
const TURN_AWAY_MAX: Duration = Duration::from_secs(1);

/// Bounds of all connections together.
#[derive(Clone, Debug)]
pub(super) struct ConnectionBounds {
    /// At once.
    pub(super) connections_max: usize,
    /// A connection on which no request begins, or its head does not end, for this long is closed.
    pub(super) idle_time_max: Duration,
    /// Where they are counted.
    pub(super) metrics: Arc<Metrics>,
}

/// Accepts connections and serves each with a service of its own, until told to stop.
pub(super) async fn accept<S>(
    listener: TcpListener,
    bounds: ConnectionBounds,
    stop: StopHandle,
    service: impl Fn() -> S,
) where
    S: tower::Service<HttpRequest<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send>,
    S: Clone + Send + 'static,
{
    let places = Arc::new(Semaphore::new(bounds.connections_max));
    let mut stopped = pin!(stop.clone().shutdown());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        match (accepted, places.clone().try_acquire_owned()) {
            (Ok((socket, _)), Ok(place)) => {
                let held = (place, bounds.metrics.connection());
                tokio::spawn(serve(socket, service(), bounds.idle_time_max, stop.clone(), held));
            }
            (Ok((socket, _)), Err(_)) => {
                tokio::spawn(tokio::time::timeout(TURN_AWAY_MAX, turn_away(socket)));
            }
            (Err(error), _) => {
                tracing::warn!(%error, "an RPC connection could not be accepted");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve<S>(
    socket: TcpStream,
    service: S,
    idle_max: Duration,
    stop: StopHandle,
    _held: (OwnedSemaphorePermit, ConnectionGuard),
) where
    S: tower::Service<HttpRequest<Incoming>, Response = HttpResponse, Error = BoxError, Future: Send>,
    S: Clone + Send + 'static,
{
    // Answers are small and whole: waiting for more to send with them only costs time.
    let _ = socket.set_nodelay(true);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(idle_max);
    let connection = builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.shutdown() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an RPC connection ended");
    }
}

async fn turn_away(mut socket: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\ncontent-length: 21\r\n\
        connection: close\r\n\r\ntoo many connections\n";
    // Whoever does not wait for it does not get it.
    let _ = socket.write_all(ANSWER).await;
    let _ = socket.shutdown().await;
}
