//! Hosts that lie: what they say must become a fault, never an answer.

use super::*;
use crate::wire::{
    proto::{
        Answer, CryptletResult, Fault, InvokeRequest, InvokeResponse,
        secure_channel_server::{SecureChannel, SecureChannelServer},
    },
    raw,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_primitives::{CryptletRequest, InvocationMode};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// Says whatever it was told to say.
struct Liar(Box<dyn Fn() -> Result<InvokeResponse, Status> + Send + Sync>);

#[tonic::async_trait]
impl SecureChannel for Liar {
    async fn invoke(&self, _: Request<InvokeRequest>) -> Result<tonic::Response<InvokeResponse>, Status> {
        (self.0)().map(tonic::Response::new)
    }
}

fn client_of(pipes: mpsc::Sender<DuplexStream>) -> FabricClient {
    let options = ClientOptions { call_timeout: Duration::from_millis(2000), ..ClientOptions::default() };
    FabricClient::over(Dialler::over_pipes(pipes, &options), &options)
}

async fn hear(lie: impl Fn() -> Result<InvokeResponse, Status> + Send + Sync + 'static) -> FabricFault {
    let (pipes, incoming) = mpsc::channel(4);
    let server = tonic::transport::Server::builder().add_service(SecureChannelServer::new(Liar(Box::new(lie))));
    let incoming = ReceiverStream::new(incoming).map(Ok::<_, std::io::Error>);
    let serving = tokio::spawn(server.serve_with_incoming(incoming));
    let fault = client_of(pipes).invoke(invocation()).await.unwrap_err();
    serving.abort();
    fault
}

fn invocation() -> Invocation {
    Invocation {
        request: CryptletRequest {
            key: B256::repeat_byte(1),
            cryptletId: B256::repeat_byte(2),
            caller: Address::ZERO,
            codeDigest: B256::ZERO,
            inputHash: keccak256([]),
            anchorBlock: 1,
            anchorHash: B256::ZERO,
            policyVersion: 1,
        },
        input: Bytes::new(),
        sequence: 0,
        is_static: false,
        units_max: 1,
        output_bytes_max: 100,
        mode: InvocationMode::Live,
    }
}

fn answer(change: impl Fn(&mut Answer, &mut CryptletResult)) -> Result<InvokeResponse, Status> {
    let mut result = CryptletResult {
        request_hash: raw(invocation().request_hash()),
        registration_id: raw(B256::ZERO),
        key_epoch: 1,
        status: 0,
        output_hash: raw(B256::ZERO),
        units: 1,
        observed_at: 1,
        not_before: 1,
        expires: 2,
    };
    let mut answer = Answer { result: None, output: raw([0; 10]), signature: raw([1; 65]) };
    change(&mut answer, &mut result);
    answer.result = answer.result.or(Some(result));
    Ok(InvokeResponse { outcome: Some(Outcome::Answer(answer)) })
}

#[tokio::test]
async fn every_lie_is_a_fault_with_its_reason() {
    use UnavailableReason::*;
    type Lie = Box<dyn Fn() -> Result<InvokeResponse, Status> + Send + Sync>;
    let cases: Vec<(UnavailableReason, Lie)> = vec![
        (Malformed, Box::new(|| Ok(InvokeResponse { outcome: None }))),
        (Malformed, Box::new(|| answer(|_, result| result.request_hash = raw([1; 31])))),
        (Malformed, Box::new(|| answer(|_, result| result.registration_id = raw([])))),
        (Malformed, Box::new(|| answer(|_, result| result.status = 256))),
        (Malformed, Box::new(|| answer(|answer, _| answer.signature = raw([1; 64])))),
        (WrongRequest, Box::new(|| answer(|_, result| result.request_hash = raw([1; 32])))),
        (OverLimit, Box::new(|| answer(|answer, _| answer.output = raw([0; 101])))),
        (OverLimit, Box::new(|| answer(|answer, _| answer.output = raw(vec![0; 1 << 20])))),
        (
            Malformed,
            Box::new(|| {
                Ok(InvokeResponse { outcome: Some(Outcome::Fault(Fault { reason: 77, detail: String::new() })) })
            }),
        ),
        (
            NoInstance,
            Box::new(|| {
                Ok(InvokeResponse { outcome: Some(Outcome::Fault(Fault { reason: 2, detail: String::new() })) })
            }),
        ),
        (Overloaded, Box::new(|| Err(Status::resource_exhausted("busy")))),
        (HostUnreachable, Box::new(|| Err(Status::unavailable("away")))),
        (DeadlineExceeded, Box::new(|| Err(Status::deadline_exceeded("late")))),
        (Refused, Box::new(|| Err(Status::permission_denied("no")))),
        (Malformed, Box::new(|| Err(Status::unimplemented("what?")))),
        (Malformed, Box::new(|| Err(Status::internal("ouch")))),
    ];
    for (index, (expected, lie)) in cases.into_iter().enumerate() {
        let fault = hear(lie).await;
        assert_eq!(fault.reason, expected, "case {index}: {fault}");
    }
}

#[tokio::test]
async fn a_host_that_talks_garbage_or_nothing_is_a_fault() {
    use tokio::io::AsyncWriteExt;
    let (pipes, mut incoming) = mpsc::channel::<DuplexStream>(4);
    tokio::spawn(async move {
        while let Some(mut pipe) = incoming.recv().await {
            let _ = pipe.write_all(&[0xA5; 4096]).await;
        }
    });
    let fault = client_of(pipes).invoke(invocation()).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");

    let (pipes, mut incoming) = mpsc::channel::<DuplexStream>(4);
    tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Some(pipe) = incoming.recv().await {
            silent.push(pipe);
        }
    });
    let fault = client_of(pipes).invoke_within(invocation(), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::DeadlineExceeded, "{fault}");

    let (pipes, incoming) = mpsc::channel::<DuplexStream>(4);
    drop(incoming);
    let fault = client_of(pipes).invoke(invocation()).await.unwrap_err();
    assert_eq!(fault.reason, UnavailableReason::HostUnreachable, "{fault}");
    assert!(fault.detail.contains("stopped"), "{fault}");
}
