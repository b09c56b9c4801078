//! A batch is its calls, one after the other: whatever stands below sees single calls only.

use futures::future::BoxFuture;
use jsonrpsee::{
    BatchResponseBuilder, MethodResponse,
    core::middleware::{Batch, BatchEntry, Notification},
    server::middleware::rpc::RpcServiceT,
    types::Request,
};

/// Takes batches apart and puts their answers together, within the bound of a response.
#[derive(Clone, Debug)]
pub(crate) struct EachCall<S> {
    inner: S,
    response_bytes_max: usize,
}

impl<S> EachCall<S> {
    /// Around `inner`.
    pub(crate) fn new(inner: S, response_bytes_max: u32) -> Self {
        Self { inner, response_bytes_max: response_bytes_max as usize }
    }
}

impl<S> RpcServiceT for EachCall<S>
where
    S: RpcServiceT<MethodResponse = MethodResponse, NotificationResponse = MethodResponse>,
    S: Send + Sync + Clone + 'static,
{
    type MethodResponse = MethodResponse;
    type BatchResponse = MethodResponse;
    type NotificationResponse = MethodResponse;

    fn call<'a>(&self, request: Request<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        self.inner.call(request)
    }

    fn batch<'a>(&self, batch: Batch<'a>) -> impl Future<Output = MethodResponse> + Send + 'a {
        let (inner, response_bytes_max) = (self.inner.clone(), self.response_bytes_max);
        async move {
            let mut answers = BatchResponseBuilder::new_with_limit(response_bytes_max);
            let mut notified = false;
            for entry in batch {
                let answer: BoxFuture<'_, MethodResponse> = match entry {
                    Ok(BatchEntry::Call(request)) => Box::pin(inner.call(request)),
                    Ok(BatchEntry::Notification(notification)) => {
                        notified = true;
                        inner.notification(notification).await;
                        continue;
                    }
                    Err(broken) => {
                        let (error, id) = broken.into_parts();
                        Box::pin(std::future::ready(MethodResponse::error(id, error)))
                    }
                };
                if let Err(too_large) = answers.append(answer.await) {
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
