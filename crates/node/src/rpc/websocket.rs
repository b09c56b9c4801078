//! Calls over WebSockets, which jsonrpsee serves: batches are taken apart, and every call is refused, answered over a fork and
//! counted as the [`Dispatcher`] does it for HTTP and IPC.

use super::{
    dispatch::{Dispatcher, Transport, in_geths_words, not_available, refusal},
    error::{INVALID_REQUEST, METHOD_NOT_FOUND, RESPONSE_TOO_LARGE},
    fork::call_over,
};
use jsonrpsee::{
    BatchResponseBuilder, MethodResponse,
    core::middleware::{Batch, BatchEntry, Notification},
    server::middleware::rpc::RpcServiceT,
    types::{Id, Request},
};
use std::{sync::Arc, time::Instant};

/// What stands between jsonrpsee's WebSockets and its methods.
#[derive(Clone, Debug)]
pub(super) struct WebSocketCalls<S> {
    inner: S,
    dispatcher: Arc<Dispatcher>,
}

impl<S> WebSocketCalls<S> {
    /// Around `inner`, which serves the dispatcher's methods.
    pub(super) fn new(inner: S, dispatcher: Arc<Dispatcher>) -> Self {
        Self { inner, dispatcher }
    }
}

impl<S> WebSocketCalls<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse> + Send + Sync + Clone + 'static,
{
    async fn answer(&self, request: Request<'_>) -> MethodResponse {
        let started = Instant::now();
        let dispatcher = &self.dispatcher;
        let known = dispatcher.methods.method_with_name(request.method_name()).map(|(name, _)| name);
        let is_offered = known.is_some_and(|name| dispatcher.offered.allows(Transport::WebSocket, name));
        if is_offered {
            dispatcher.readiness.wait_for(request.method_name()).await;
        }
        let answer = match &dispatcher.fork {
            _ if !is_offered => {
                let words = not_available(request.method_name());
                refusal(request.id, METHOD_NOT_FOUND, &words)
            }
            None => self.inner.call(request).await,
            Some(fork) => {
                let bytes_max = dispatcher.bounds.response_bytes_max;
                call_over(fork, &request, bytes_max, || self.inner.call(request.clone())).await
            }
        };
        let answer = in_geths_words(answer);
        let code = answer.as_error_code().unwrap_or_default();
        dispatcher.metrics.request_answered(known, code, started.elapsed());
        answer
    }
}

impl<S> RpcServiceT for WebSocketCalls<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse>,
    S: Send + Sync + Clone + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move { service.answer(request).await }
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let service = self.clone();
        async move {
            let bounds = service.dispatcher.bounds;
            let mut answers = BatchResponseBuilder::new_with_limit(usize::MAX);
            if batch.len() > bounds.batch_requests_max {
                let ids = batch.into_iter().filter_map(|entry| match entry {
                    Ok(BatchEntry::Call(request)) => Some(request.id.into_owned()),
                    _ => None,
                });
                let id = ids.take(1).next().unwrap_or(Id::Null);
                return batch_of(answers, refusal(id, INVALID_REQUEST, "batch too large"));
            }
            let (mut bytes, mut notified) = (0, false);
            for entry in batch {
                let answer = match entry {
                    Ok(BatchEntry::Call(request)) if bytes > bounds.batch_response_bytes_max => {
                        refusal(request.id, RESPONSE_TOO_LARGE, "response too large")
                    }
                    Ok(BatchEntry::Call(request)) => service.call(request).await,
                    Ok(BatchEntry::Notification(notification)) => {
                        notified = true;
                        service.notification(notification).await;
                        continue;
                    }
                    Err(broken) => {
                        let (error, id) = broken.into_parts();
                        MethodResponse::error(id, error)
                    }
                };
                bytes += answer.as_ref().len();
                if let Err(too_large) = answers.append(answer) {
                    return too_large;
                }
            }
            // JSON-RPC 2.0, section 6: nobody is answered who only notified; an empty batch is an invalid request.
            match answers.is_empty() && notified {
                true => MethodResponse::notification(),
                false => MethodResponse::from_batch(answers.finish()),
            }
        }
    }

    fn notification<'a>(&self, notification: Notification<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.notification(notification)
    }
}

fn batch_of(mut answers: BatchResponseBuilder, only: MethodResponse) -> MethodResponse {
    match answers.append(only) {
        Ok(()) => MethodResponse::from_batch(answers.finish()),
        Err(too_large) => too_large,
    }
}
