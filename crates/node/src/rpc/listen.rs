//! Accepting connections: so many at once, and none that is silent for long.

use super::http::HttpService;
use crate::metrics::{ConnectionGuard, Metrics};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::{
    core::BoxError,
    server::{HttpBody, StopHandle},
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
    /// For those that are open at once.
    pub(super) places: Arc<Semaphore>,
    /// A connection on which no request begins, or its head does not end, for this long is closed.
    pub(super) idle_time_max: Duration,
    /// Where they are counted.
    pub(super) metrics: Arc<Metrics>,
}

/// Accepts connections until told to stop. `websockets` makes what answers an upgrade.
pub(super) async fn accept<S>(
    listener: TcpListener,
    bounds: ConnectionBounds,
    stop: StopHandle,
    service: HttpService,
    websockets: impl Fn() -> S + Clone + Send + Sync + 'static,
) where
    S: tower::Service<Request<Incoming>, Response = Response<HttpBody>, Error = BoxError, Future: Send>
        + Send
        + 'static,
{
    let mut stopped = pin!(stop.clone().shutdown());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => return,
        };
        match (accepted, bounds.places.clone().try_acquire_owned()) {
            (Ok((socket, _)), Ok(place)) => {
                let serving = Serving { service: service.clone(), websockets: websockets.clone(), stop: stop.clone() };
                let held = (place, bounds.metrics.connection());
                tokio::spawn(serving.serve(socket, bounds.idle_time_max, held));
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

struct Serving<F> {
    service: HttpService,
    websockets: F,
    stop: StopHandle,
}

impl<F, S> Serving<F>
where
    F: Fn() -> S + Sync + Send,
    S: tower::Service<Request<Incoming>, Response = Response<HttpBody>, Error = BoxError, Future: Send> + Send,
{
    async fn serve(self, socket: TcpStream, idle_max: Duration, _held: (OwnedSemaphorePermit, ConnectionGuard)) {
        // Answers are small and whole: waiting for more to send with them only costs time.
        let _ = socket.set_nodelay(true);
        let Self { service, websockets, stop } = &self;
        let answer = service_fn(|request| service.answer(request, |request| websockets().call(request)));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(idle_max);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), answer).with_upgrades());
        let ended = tokio::select! {
            ended = &mut connection => ended,
            () = stop.clone().shutdown() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "an RPC connection ended");
        }
    }
}

async fn turn_away(mut socket: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: text/plain\r\ncontent-length: 21\r\n\
        connection: close\r\n\r\ntoo many connections\n";
    // Whoever does not wait for it does not get it.
    let _ = socket.write_all(ANSWER).await;
    let _ = socket.shutdown().await;
}
