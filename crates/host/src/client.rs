//! The node's end of the wire. Whatever goes wrong with a call, be it the network, the host or what it says, becomes a
//! [`FabricFault`] with a reason that consensus knows and a detail for people.

mod connect;
mod fetch;
mod operator;
mod pool;

pub use fetch::fetch_descriptor;
pub use operator::{CryptletReport, HealthReport, InstanceReport, PackageReport, StatusReport};

use crate::{
    Clock, Entropy, SystemClock, SystemEntropy,
    descriptor::{Descriptor, SignedDescriptor},
    error::HostError,
    host::Host,
    identity::ClientIdentity,
    wire::{
        self,
        proto::{
            self, factory_client::FactoryClient, invoke_response::Outcome, secure_channel_client::SecureChannelClient,
        },
    },
};
use connect::{Dialler, Line};
use cryptlet_primitives::{FabricAnswer, FabricFault, Invocation, UnavailableReason};
use pool::Pool;
use std::{error::Error as _, path::Path, sync::Arc, time::Duration};
use tonic::{Code, Request, Status, transport::Channel};

/// Bytes of an answer besides its output.
const ENVELOPE_BYTES: usize = 4096;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Longest a call may take.
    pub call_timeout: Duration,
    /// Longest a connection may take to be made.
    pub connect_timeout: Duration,
    /// Longest pause between two attempts to connect. They begin short, double, and are jittered.
    pub reconnect_pause_max: Duration,
    /// For checking certificates.
    pub clock: Arc<dyn Clock>,
    /// For jitter.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            reconnect_pause_max: Duration::from_secs(2),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

/// A connection to a host, made when it is first needed and made again when it breaks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FabricClient {
    channel: Channel,
    line: Arc<Line>,
    call_timeout: Duration,
    /// If the fabric has several hosts: all of them. What is not a call goes to the first.
    pool: Option<Arc<Pool>>,
}

impl FabricClient {
    /// A client of the fabric that this descriptor describes, over TLS 1.3. Must be called within a tokio runtime.
    pub fn connect(
        descriptor: &SignedDescriptor,
        identity: &ClientIdentity,
        options: ClientOptions,
    ) -> Result<Self, HostError> {
        Self::connect_all(descriptor, std::slice::from_ref(identity), options)
    }

    /// The same for a fabric of several hosts, each of which has enrolled us: one identity of each host's authority.
    pub fn connect_all(
        descriptor: &SignedDescriptor,
        identities: &[ClientIdentity],
        options: ClientOptions,
    ) -> Result<Self, HostError> {
        let hosts = descriptor.descriptor.each_host();
        let missing = |host: &Descriptor| HostError::Setting {
            setting: "the client's identity",
            value: format!("without one for the host at {}", host.endpoints.join(", ")),
            expected: "it must hold a certificate for every host of the fabric; append the file that the host's operator makes \
                       with `cryptlet host enroll`",
        };
        let mut clients = Vec::with_capacity(hosts.len());
        for host in &hosts {
            let of_this_host =
                |identity: &&ClientIdentity| identity.ca_certificate.trim() == host.ca_certificate.trim();
            let identity = match identities.iter().find(of_this_host) {
                Some(identity) => identity,
                // The host itself says what is wrong with it.
                None if hosts.len() == 1 => identities.first().ok_or_else(|| missing(host))?,
                None => return Err(missing(host)),
            };
            clients.push((host.host_key, Self::over(Dialler::over_tls(host, identity, &options)?, &options)));
        }
        let first = clients.first().map(|(_, client)| client.clone()).ok_or_else(|| missing(&descriptor.descriptor))?;
        let pool = (clients.len() > 1).then(|| Arc::new(Pool::new(clients, &options)));
        Ok(Self { pool, ..first })
    }

    /// A client of each host of the fabric alone.
    pub fn hosts(&self) -> Vec<Self> {
        match &self.pool {
            Some(pool) => pool.clients().cloned().collect(),
            None => vec![self.clone()],
        }
    }

    /// A client of a host in this process: the same services, over a pipe. Must be called within a tokio runtime.
    pub fn in_process(host: &Host, options: ClientOptions) -> Self {
        Self::over(Dialler::over_pipes(host.serve_pipes(), &options), &options)
    }

    /// A client of a host on this machine, over its operators' socket. Must be called within a tokio runtime.
    pub fn over_socket(path: &Path, options: ClientOptions) -> Self {
        Self::over(Dialler::over_socket(path, &options), &options)
    }

    fn over(dialler: Dialler, options: &ClientOptions) -> Self {
        let line = dialler.line();
        Self { channel: dialler.into_channel(), line, call_timeout: options.call_timeout, pool: None }
    }

    /// Calls a cryptlet.
    pub async fn invoke(&self, invocation: Invocation) -> Result<FabricAnswer, FabricFault> {
        self.invoke_within(invocation, self.call_timeout).await
    }

    /// Calls a cryptlet; the answer must come within `timeout`, which the host is told.
    pub async fn invoke_within(&self, invocation: Invocation, timeout: Duration) -> Result<FabricAnswer, FabricFault> {
        match &self.pool {
            Some(pool) => pool.invoke(&invocation, timeout).await,
            None => self.invoke_here(&invocation, timeout).await,
        }
    }

    /// Calls a cryptlet on this host.
    async fn invoke_here(&self, invocation: &Invocation, timeout: Duration) -> Result<FabricAnswer, FabricFault> {
        let bytes_max = invocation.output_bytes_max as usize + ENVELOPE_BYTES;
        let mut client = SecureChannelClient::new(self.channel.clone()).max_decoding_message_size(bytes_max);
        let request = timed(proto::InvokeRequest::from(invocation), timeout);
        let reply = self.within(timeout, client.invoke(request)).await?;
        read_answer(invocation, reply)
    }

    /// Has the factory create a Contract Cryptlet: an invocation like any other, by its own door.
    pub async fn create(&self, invocation: Invocation) -> Result<FabricAnswer, FabricFault> {
        let bytes_max = invocation.output_bytes_max as usize + ENVELOPE_BYTES;
        let mut client = FactoryClient::new(self.channel.clone()).max_decoding_message_size(bytes_max);
        let request = timed(proto::InvokeRequest::from(&invocation), self.call_timeout);
        let reply = self.within(self.call_timeout, client.create(request)).await?;
        read_answer(&invocation, reply)
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, FabricFault> {
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            // tonic's client keeps the deadline too; either may be first.
            Ok(Err(status)) if has_cause::<tonic::TimeoutExpired>(&status) => Err(self.too_late(timeout)),
            Ok(Err(status)) => Err(self.fault_of(&status)),
            Err(_) => Err(self.too_late(timeout)),
        }
    }

    /// The time is over: because there is no connection, or because there was no answer.
    fn too_late(&self, timeout: Duration) -> FabricFault {
        match self.line.trouble() {
            Some(trouble) => FabricFault::new(UnavailableReason::HostUnreachable, trouble),
            None => FabricFault::new(
                UnavailableReason::DeadlineExceeded,
                format!("{} did not answer within {} ms", self.line.name(), timeout.as_millis()),
            ),
        }
    }

    /// What a gRPC status means for a call.
    fn fault_of(&self, status: &Status) -> FabricFault {
        let reason = match status.code() {
            _ if is_transport(status) => UnavailableReason::HostUnreachable,
            Code::Unavailable => UnavailableReason::HostUnreachable,
            // tonic's server ends a call whose `grpc-timeout` has passed with either.
            Code::DeadlineExceeded | Code::Cancelled => UnavailableReason::DeadlineExceeded,
            Code::ResourceExhausted => UnavailableReason::Overloaded,
            // tonic's decoder, for a message longer than we read.
            Code::OutOfRange => UnavailableReason::OverLimit,
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::NotFound => UnavailableReason::Refused,
            _ => UnavailableReason::Malformed,
        };
        FabricFault::new(reason, format!("{}: {}", self.line.name(), describe(status)))
    }
}

/// The answer in a reply, if it is one to this call. Its signature is for the verifier, not for us.
fn read_answer(invocation: &Invocation, reply: proto::InvokeResponse) -> Result<FabricAnswer, FabricFault> {
    let malformed = |why: String| FabricFault::new(UnavailableReason::Malformed, why);
    let answer = match reply.outcome {
        Some(Outcome::Answer(answer)) => answer,
        Some(Outcome::Fault(fault)) => return Err(wire::fault(fault)),
        None => return Err(malformed("the host sent neither an answer nor a fault".to_owned())),
    };
    let answer = FabricAnswer::try_from(answer).map_err(|error| malformed(format!("the host's answer: {error}")))?;
    if answer.result.requestHash != invocation.request_hash() {
        let (given, asked) = (answer.result.requestHash, invocation.request_hash());
        let detail = format!("the host answered request {given}; the request is {asked}");
        return Err(FabricFault::new(UnavailableReason::WrongRequest, detail));
    }
    if answer.output.len() > invocation.output_bytes_max as usize {
        let detail =
            format!("the output has {} bytes; {} were paid for", answer.output.len(), invocation.output_bytes_max);
        return Err(FabricFault::new(UnavailableReason::OverLimit, detail));
    }
    Ok(answer)
}

fn timed<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request
}

/// Did the connection fail, rather than the host say no?
fn is_transport(status: &Status) -> bool {
    has_cause::<tonic::transport::Error>(status)
        || has_cause::<hyper::Error>(status)
        || has_cause::<tonic::ConnectError>(status)
}

fn has_cause<E: std::error::Error + 'static>(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<E>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// The status with all that caused it: the last cause is usually the one that helps.
fn describe(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    if text.is_empty() { format!("{:?}", status.code()) } else { text }
}

#[cfg(test)]
mod tests;
