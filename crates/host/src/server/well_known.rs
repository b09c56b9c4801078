//! `GET /.well-known/cryptlet-fabric`, in plain HTTP/1.1, and nothing else.

use crate::{DESCRIPTOR_PATH, host::Host};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prost::bytes::Bytes;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

const CONNECTIONS_MAX: usize = 64;
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_BYTES_MAX: usize = 16 * 1024;

pub(super) async fn serve(host: Host, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let stream = tokio::select! {
            () = super::until_stopped(&mut stopped) => return,
            connection = listener.accept() => match connection {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let host = host.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&host, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(REQUEST_BYTES_MAX)
                .timer(TokioTimer::new())
                .header_read_timeout(CONNECTION_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A peer that breaks off, or is too slow, gets no descriptor; nobody else is concerned.
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
            drop(place);
        });
    }
}

fn answer(host: &Host, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() != DESCRIPTOR_PATH {
        return text(StatusCode::NOT_FOUND, format!("only {DESCRIPTOR_PATH} is served here\n"));
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n".to_owned());
    }
    match host.descriptor() {
        Ok(descriptor) => {
            let mut response = Response::new(Full::new(Bytes::from(descriptor.to_json())));
            let json = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
        Err(error) => {
            tracing::error!(%error, "cannot make the descriptor");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the descriptor cannot be made now\n".to_owned())
        }
    }
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}
