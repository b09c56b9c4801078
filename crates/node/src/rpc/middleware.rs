//! What stands between the socket and the methods: which web pages may come in, and geth's words for what is not there.

use super::{
    config::CorsOrigins,
    error::{METHOD_NOT_FOUND, SERVER_ERROR},
};
use futures::future::{BoxFuture, Either, ready};
use jsonrpsee::{
    core::middleware::{Batch, Notification},
    server::{
        HttpBody, HttpRequest, HttpResponse, MethodCallback, MethodResponse, Methods, middleware::rpc::RpcServiceT,
    },
    types::{ErrorObjectOwned, Request},
};
use std::{
    task::{Context, Poll},
    time::Duration,
};

/// How a request came in; rides along as an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One request, one answer.
    Http,
    /// Lasting, so that subscriptions are possible.
    WebSocket,
}

/// Lets WebSockets in from allowed web pages only (browsers do not apply CORS to them), notes the transport, and ends
/// requests that take too long.
#[derive(Clone, Debug)]
pub(crate) struct Gate<S> {
    inner: S,
    origins: CorsOrigins,
    request_time_max: Duration,
}

/// Makes [`Gate`]s.
#[derive(Clone, Debug)]
pub(crate) struct GateLayer {
    /// Whose WebSockets are let in.
    pub(crate) origins: CorsOrigins,
    /// How long a request may take, its body included: whoever sends one byte a minute holds no place.
    pub(crate) request_time_max: Duration,
}

impl<S> tower::Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, origins: self.origins.clone(), request_time_max: self.request_time_max }
    }
}

impl<S, B> tower::Service<HttpRequest<B>> for Gate<S>
where
    S: tower::Service<HttpRequest<B>, Response = HttpResponse, Future: Send + 'static>,
{
    type Response = HttpResponse;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<HttpResponse, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let is_upgrade = header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket"));
        if is_upgrade && header("origin").is_some_and(|origin| !allows(&self.origins, origin)) {
            let refusal = refuse(403, "this node does not serve web pages of that origin\n");
            return Box::pin(async { Ok(refusal) });
        }
        let transport = if is_upgrade { Transport::WebSocket } else { Transport::Http };
        request.extensions_mut().insert(transport);
        let answer = tokio::time::timeout(self.request_time_max, self.inner.call(request));
        Box::pin(async { answer.await.unwrap_or_else(|_| Ok(refuse(408, "the request took too long\n"))) })
    }
}

/// May this web page call?
fn allows(origins: &CorsOrigins, origin: &str) -> bool {
    match origins {
        CorsOrigins::Any => true,
        CorsOrigins::None => false,
        CorsOrigins::List(list) => list.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin)),
    }
}

fn refuse(status: u16, words: &'static str) -> HttpResponse {
    HttpResponse::<()>::builder().status(status).body(HttpBody::from(words)).expect("only known statuses are given")
}

/// Answers calls of unknown methods, and subscriptions over HTTP, with geth's words.
#[derive(Clone, Debug)]
pub(crate) struct GethWords<S> {
    inner: S,
    methods: Methods,
}

impl<S> GethWords<S> {
    /// Around `inner`, which serves these methods.
    pub(crate) fn new(inner: S, methods: Methods) -> Self {
        Self { inner, methods }
    }

    fn refusal(&self, request: &Request<'_>) -> Option<ErrorObjectOwned> {
        match self.methods.method(request.method_name()) {
            None => {
                let name = request.method_name();
                let words = format!("the method {name} does not exist/is not available");
                Some(ErrorObjectOwned::owned(METHOD_NOT_FOUND, words, None::<()>))
            }
            Some(MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_))
                if request.extensions().get::<Transport>() == Some(&Transport::Http) =>
            {
                let words = "notifications not supported: subscriptions need a WebSocket connection (same port)";
                Some(ErrorObjectOwned::owned(SERVER_ERROR, words, None::<()>))
            }
            Some(_) => None,
        }
    }
}

impl<S> RpcServiceT for GethWords<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        > + Send
        + Sync
        + Clone
        + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        match self.refusal(&request) {
            Some(error) => Either::Left(ready(MethodResponse::error(request.id, error))),
            None => Either::Right(self.inner.call(request)),
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        // Batches are taken apart before they come here.
        self.inner.batch(batch)
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_whole() {
        let list = CorsOrigins::List(vec!["https://app.example".into()]);
        assert!(allows(&list, "https://APP.example"));
        assert!(!allows(&list, "https://app.example.evil"));
        assert!(!allows(&CorsOrigins::None, "https://app.example"));
        assert!(allows(&CorsOrigins::Any, "null"));
    }
}
