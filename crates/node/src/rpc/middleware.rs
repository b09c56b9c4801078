//! What stands between jsonrpsee's WebSockets and the methods: geth's words for what is not there.

use super::{
    dispatch::{Offered, Transport, not_available},
    error::METHOD_NOT_FOUND,
};
use futures::future::{Either, ready};
use jsonrpsee::{
    core::middleware::{Batch, Notification},
    server::{MethodResponse, Methods, middleware::rpc::RpcServiceT},
    types::{ErrorObjectOwned, Request},
};

/// Answers calls of methods that are unknown or not offered with geth's words.
#[derive(Clone, Debug)]
pub(crate) struct GethWords<S> {
    inner: S,
    methods: Methods,
    offered: Offered,
}

impl<S> GethWords<S> {
    /// Around `inner`, which serves these methods.
    pub(super) fn new(inner: S, methods: Methods, offered: Offered) -> Self {
        Self { inner, methods, offered }
    }

    fn refusal(&self, request: &Request<'_>) -> Option<ErrorObjectOwned> {
        let name = request.method_name();
        match self.methods.method(name).filter(|_| self.offered.allows(Transport::WebSocket, name)) {
            None => Some(ErrorObjectOwned::owned(METHOD_NOT_FOUND, not_available(name), None::<()>)),
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
