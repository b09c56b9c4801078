//! HTTP: what comes in by `POST` is dispatched here; WebSocket upgrades go on to jsonrpsee.
//!
//! Which hosts, origins, methods and content types are let in is decided as geth does (`rpc/http.go`, `node/rpcstack.go`).

use super::{
    config::{CorsOrigins, VirtualHosts},
    dispatch::{Dispatcher, Transport},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as HttpBodyTrait, Bytes, Frame, Incoming, SizeHint},
    header::{self, HeaderMap, HeaderValue},
};
use jsonrpsee::{core::BoxError, server::HttpBody};
use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// Bytes of a request that are read for nothing but that its client hears why it was refused.
const REFUSED_BYTES_MAX: usize = 64 << 20;
/// How long.
const REFUSED_TIME_MAX: Duration = Duration::from_secs(10);

/// What decides about a request before it is read.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) origins: CorsOrigins,
    pub(super) websocket_origins: CorsOrigins,
    pub(super) hosts: VirtualHosts,
    /// Bytes of a request.
    pub(super) request_bytes_max: usize,
    /// From the first byte of a request to its answer: whoever sends one byte a minute holds no place.
    pub(super) request_time_max: Duration,
}

/// Serves HTTP on one address.
#[derive(Clone, Debug)]
pub(super) struct HttpService {
    pub(super) gate: Arc<Gate>,
    pub(super) dispatcher: Arc<Dispatcher>,
}

/// A response: our own, or jsonrpsee's to an upgrade.
#[derive(Debug)]
pub(super) enum Body {
    Whole(Full<Bytes>),
    Upgrade(HttpBody),
}

impl HttpBodyTrait for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Upgrade(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Upgrade(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Upgrade(body) => body.size_hint(),
        }
    }
}

/// What is to be done with a request.
enum Way {
    /// Answer this at once.
    Answer(Response<Body>),
    /// A WebSocket.
    Upgrade,
    /// Read and dispatch it.
    Dispatch,
}

impl HttpService {
    /// Answers a request; `upgrade` answers those that want a WebSocket.
    pub(super) async fn answer<F>(
        &self,
        request: Request<Incoming>,
        upgrade: impl FnOnce(Request<Incoming>) -> F,
    ) -> Result<Response<Body>, BoxError>
    where
        F: Future<Output = Result<Response<HttpBody>, BoxError>>,
    {
        let origin = self.allowed_origin(request.headers());
        let mut response = match self.way(&request) {
            Way::Answer(response) => {
                read_away(request).await;
                response
            }
            Way::Upgrade => upgrade(request).await?.map(Body::Upgrade),
            Way::Dispatch => {
                let answer = tokio::time::timeout(self.gate.request_time_max, self.dispatch(request));
                answer.await.unwrap_or_else(|_| plain(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"))
            }
        };
        if let Some(origin) = origin {
            let headers = response.headers_mut();
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        }
        Ok(response)
    }

    fn way(&self, request: &Request<Incoming>) -> Way {
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if !self.gate.hosts.allow(text(header::HOST)) {
            return Way::Answer(plain(StatusCode::FORBIDDEN, "invalid host specified\n"));
        }
        if text(header::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket")) {
            // Browsers do not apply CORS to WebSockets.
            return match text(header::ORIGIN).is_none_or(|origin| self.gate.websocket_origins.allow(origin)) {
                true => Way::Upgrade,
                false => {
                    let words = "this node does not serve web pages of that origin\n";
                    Way::Answer(plain(StatusCode::FORBIDDEN, words))
                }
            };
        }
        let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match *request.method() {
            Method::OPTIONS => Way::Answer(self.preflight(headers)),
            // Health checks of load balancers.
            Method::GET if length.unwrap_or_default() == 0 && request.uri().query().is_none() => {
                Way::Answer(match self.dispatcher.readiness.is_open() {
                    true => plain(StatusCode::OK, ""),
                    false => plain(StatusCode::SERVICE_UNAVAILABLE, "the chain is being prepared\n"),
                })
            }
            Method::POST if length.is_some_and(|length| length > self.gate.request_bytes_max as u64) => {
                Way::Answer(self.too_large())
            }
            Method::POST if text(header::CONTENT_TYPE).is_some_and(is_json) => Way::Dispatch,
            Method::POST => {
                let words = "invalid content type, only application/json is supported\n";
                Way::Answer(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, words))
            }
            _ => Way::Answer(plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")),
        }
    }

    async fn dispatch(&self, mut request: Request<Incoming>) -> Response<Body> {
        let body = match Limited::new(request.body_mut(), self.gate.request_bytes_max).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                read_away(request).await;
                return self.too_large();
            }
            Err(_) => return plain(StatusCode::BAD_REQUEST, "the request ended before its body\n"),
        };
        let answer = self.dispatcher.handle(&body, Transport::Http, None).await;
        let json = answer.map_or_else(Bytes::new, |answer| Bytes::from(answer.json));
        let mut response = Response::new(Body::Whole(Full::new(json)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    fn too_large(&self) -> Response<Body> {
        let words = format!("content length too large: at most {} bytes\n", self.gate.request_bytes_max);
        plain(StatusCode::PAYLOAD_TOO_LARGE, words)
    }

    fn preflight(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = plain(StatusCode::OK, "");
        if self.allowed_origin(headers).is_some() {
            let answer = response.headers_mut();
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET"));
            let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            let wanted = wanted.unwrap_or_else(|| HeaderValue::from_static("content-type"));
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        }
        response
    }

    /// What a browser is to be told, if a web page asks that may.
    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        match &self.gate.origins {
            CorsOrigins::Any => Some(HeaderValue::from_static("*")),
            origins => origins.allow(origin.to_str().ok()?).then(|| origin.clone()),
        }
    }
}

/// Reads what is left of a request that is refused. A connection that is closed while its client still writes is reset, and
/// the client is told of a broken pipe instead of what was wrong. A client that asks first (`Expect`) has nothing under way.
async fn read_away(mut request: Request<Incoming>) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut rest = Limited::new(request.body_mut(), REFUSED_BYTES_MAX);
    let all = async { while let Some(Ok(_)) = rest.frame().await {} };
    // Whoever takes longer, or sends more, is cut off as before.
    let _ = tokio::time::timeout(REFUSED_TIME_MAX, all).await;
}

impl CorsOrigins {
    /// May this web page call?
    pub(super) fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::List(list) => list.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin)),
        }
    }
}

impl VirtualHosts {
    /// May a request for this host come in? Addresses may: only names can be bent by whoever runs their DNS.
    fn allow(&self, host: Option<&str>) -> bool {
        let (Self::List(list), Some(host)) = (self, host) else { return true };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok()
            || list.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name))
    }
}

/// The types that geth takes, with whatever parameters.
fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    ["application/json", "application/json-rpc", "application/jsonrequest"]
        .iter()
        .any(|accepted| accepted.eq_ignore_ascii_case(kind))
}

fn plain(status: StatusCode, words: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Full::new(words.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let list = CorsOrigins::List(vec!["https://app.example".into()]);
        assert!(list.allow("https://APP.example"));
        assert!(!list.allow("https://app.example.evil"));
        assert!(!CorsOrigins::None.allow("https://app.example"));
        assert!(CorsOrigins::Any.allow("null"));
    }

    #[test]
    fn names_are_let_in_by_list_and_addresses_always() {
        let list = VirtualHosts::List(vec!["localhost".into()]);
        for host in ["localhost", "LOCALHOST:8545", "127.0.0.1:8545", "[::1]:8545", "10.0.0.7"] {
            assert!(list.allow(Some(host)), "{host}");
        }
        assert!(!list.allow(Some("evil.example:8545")));
        assert!(list.allow(None));
        assert!(VirtualHosts::Any.allow(Some("evil.example")));
        assert!(VirtualHosts::List(vec!["*".into()]).allow(Some("evil.example")));
    }

    #[test]
    fn content_types_are_read_without_their_parameters() {
        for accepted in ["application/json", "Application/JSON; charset=UTF-8", "application/json-rpc;x=y"] {
            assert!(is_json(accepted), "{accepted}");
        }
        assert!(!is_json("text/plain") && !is_json("application/jsonp"));
    }
}
