//! Counts calls and their time, by method.

use crate::metrics::Metrics;
use jsonrpsee::{
    MethodResponse, Methods,
    core::middleware::{Batch, Notification},
    server::middleware::rpc::RpcServiceT,
    types::Request,
};
use std::{sync::Arc, time::Instant};

/// Counts what passes.
#[derive(Clone, Debug)]
pub(crate) struct Metered<S> {
    inner: S,
    methods: Methods,
    metrics: Arc<Metrics>,
}

impl<S> Metered<S> {
    /// Around `inner`, which serves these methods.
    pub(crate) fn new(inner: S, methods: Methods, metrics: Arc<Metrics>) -> Self {
        Self { inner, methods, metrics }
    }
}

impl<S> RpcServiceT for Metered<S>
where
    S: RpcServiceT<
            MethodResponse = MethodResponse,
            BatchResponse = MethodResponse,
            NotificationResponse = MethodResponse,
        >,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let method = self.methods.method_with_name(request.method_name()).map(|(name, _)| name);
        let (metrics, started) = (self.metrics.clone(), Instant::now());
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            metrics.request_answered(method, answer.as_error_code().unwrap_or_default(), started.elapsed());
            answer
        }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.batch(batch)
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}
