//! Dialling: over TLS to one of the fabric's doors, or through a pipe; again after a pause when it fails.

use super::ClientOptions;
use crate::{
    Entropy,
    channel::{ALPN, Binding, ChannelProof},
    descriptor::Descriptor,
    error::HostError,
    identity::{ClientIdentity, certificate_der, private_key_der},
    server::HostTime,
};
use alloy_primitives::Address;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore, client::Resumption, pki_types::ServerName};
use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::mpsc,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint};

/// Bytes a pipe holds in each direction.
const PIPE_BYTES: usize = 256 * 1024;
/// First pause after a failure; doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    state: Mutex<LineState>,
}

#[derive(Debug, Default)]
struct LineState {
    failures: u32,
    not_before: Option<Instant>,
    trouble: Option<String>,
}

impl Line {
    /// The other end, for people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Why there is no connection, if there is none.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }
}

/// Makes connections.
#[derive(Clone, Debug)]
pub(super) struct Dialler {
    line: Arc<Line>,
    way: Way,
    pause_max: Duration,
    timeout: Duration,
    entropy: Arc<dyn Entropy>,
}

#[derive(Clone)]
enum Way {
    Tls { door: Arc<Door>, connector: TlsConnector },
    Pipe(mpsc::Sender<DuplexStream>),
    Socket(PathBuf),
}

/// A host as its descriptor describes it: where it is, and who must answer there.
#[derive(Debug)]
struct Door {
    endpoints: Vec<String>,
    host_key: Address,
    providers: Vec<u16>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tls { door, .. } => f.debug_tuple("Tls").field(door).finish(),
            Self::Pipe(_) => f.write_str("Pipe"),
            Self::Socket(path) => f.debug_tuple("Socket").field(path).finish(),
        }
    }
}

impl Dialler {
    pub(super) fn over_tls(
        descriptor: &Descriptor,
        identity: &ClientIdentity,
        options: &ClientOptions,
    ) -> Result<Self, HostError> {
        let connector = TlsConnector::from(Arc::new(tls_config(descriptor, identity, options)?));
        for endpoint in &descriptor.endpoints {
            host_of(endpoint)?;
        }
        let name = format!("the host at {}", descriptor.endpoints.join(", "));
        let door = Arc::new(Door {
            endpoints: descriptor.endpoints.clone(),
            host_key: descriptor.host_key,
            providers: descriptor.providers.clone(),
        });
        Ok(Self::new(name, Way::Tls { door, connector }, options))
    }

    pub(super) fn over_pipes(pipes: mpsc::Sender<DuplexStream>, options: &ClientOptions) -> Self {
        Self::new("the host in this process".to_owned(), Way::Pipe(pipes), options)
    }

    pub(super) fn over_socket(path: &Path, options: &ClientOptions) -> Self {
        Self::new(format!("the host behind {}", path.display()), Way::Socket(path.to_owned()), options)
    }

    fn new(name: String, way: Way, options: &ClientOptions) -> Self {
        Self {
            line: Arc::new(Line { name, state: Mutex::default() }),
            way,
            pause_max: options.reconnect_pause_max,
            timeout: options.connect_timeout,
            entropy: Arc::clone(&options.entropy),
        }
    }

    pub(super) fn line(&self) -> Arc<Line> {
        Arc::clone(&self.line)
    }

    /// A gRPC channel that dials when it is used and has no connection.
    pub(super) fn into_channel(self) -> Channel {
        // The name is never resolved: we dial ourselves, and speak TLS ourselves, so to tonic this is plain HTTP/2.
        Endpoint::from_static("http://cryptlet-fabric")
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
                let dialler = self.clone();
                async move { dialler.dial().await.map(TokioIo::new) }
            }))
    }

    async fn dial(&self) -> io::Result<Wire> {
        let not_before = self.line.state.lock().not_before;
        if let Some(not_before) = not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let dialled = match tokio::time::timeout(self.timeout, self.attempt()).await {
            Ok(dialled) => dialled,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no connection within {} ms", self.timeout.as_millis()),
            )),
        };
        let mut state = self.line.state.lock();
        match &dialled {
            Ok(_) => *state = LineState::default(),
            Err(error) => {
                let pause = self.pause(state.failures);
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(Instant::now() + pause);
                state.trouble = Some(format!("{} cannot be reached: {error}", self.line.name));
            }
        }
        dialled
    }

    async fn attempt(&self) -> io::Result<Wire> {
        let (door, connector) = match &self.way {
            Way::Pipe(pipes) => {
                let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
                let sent = pipes.send(theirs).await;
                return match sent {
                    Ok(()) => Ok(Wire::Pipe(ours)),
                    Err(_) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "the host has stopped")),
                };
            }
            Way::Socket(path) => return UnixStream::connect(path).await.map(Wire::Socket),
            Way::Tls { door, connector } => (door, connector),
        };
        let first = self.random() as usize % door.endpoints.len();
        let mut last = io::Error::other("the fabric has no endpoints");
        for endpoint in door.endpoints.iter().cycle().skip(first).take(door.endpoints.len()) {
            match dial_tls(endpoint, door, connector).await {
                Ok(stream) => return Ok(Wire::Tls(Box::new(stream))),
                Err(error) => last = io::Error::new(error.kind(), format!("{endpoint}: {error}")),
            }
        }
        Err(last)
    }

    /// Half to whole of a pause that doubles with each failure.
    fn pause(&self, failures: u32) -> Duration {
        let whole = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(self.pause_max);
        whole / 2 + (whole / 2).mul_f64(f64::from(self.random()) / f64::from(u32::MAX))
    }

    fn random(&self) -> u32 {
        let mut bytes = [0; 4];
        self.entropy.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

/// A connection at whose other end is the host that the descriptor names: its evidence says so, of this very connection.
async fn dial_tls(endpoint: &str, door: &Door, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let name = host_of(endpoint).map_err(io::Error::other)?;
    let stream = TcpStream::connect(endpoint).await?;
    stream.set_nodelay(true)?;
    let mut stream = connector.connect(name, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        let detail = "it does not speak cryptlet-fabric/1: it is no host, or one of another version";
        return Err(io::Error::new(io::ErrorKind::InvalidData, detail));
    }
    let binding = Binding::of(stream.get_ref().1)?;
    let proof = ChannelProof::receive(&mut stream).await?;
    proof.check(binding, door.host_key, &door.providers)?;
    Ok(stream)
}

fn host_of(endpoint: &str) -> Result<ServerName<'static>, HostError> {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host).map_err(|error| HostError::Tls(format!("endpoint {endpoint:?}: {error}")))
}

fn tls_config(
    descriptor: &Descriptor,
    identity: &ClientIdentity,
    options: &ClientOptions,
) -> Result<ClientConfig, HostError> {
    let tls = |error: &dyn ToString| HostError::Tls(error.to_string());
    let mut roots = RootCertStore::empty();
    // The descriptor is pinned, so its word on the authority counts, not the identity file's.
    roots.add(certificate_der(&descriptor.ca_certificate)?).map_err(|error| tls(&error))?;
    let certificate = certificate_der(&identity.certificate)?;
    let key = private_key_der(&identity.private_key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(HostTime(Arc::clone(&options.clock)));
    let mut config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| tls(&error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .map_err(|error| tls(&error))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Wire {
    Tls(Box<TlsStream<TcpStream>>),
    Pipe(DuplexStream),
    Socket(UnixStream),
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Pipe(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Pipe(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Pipe(stream) => Pin::new(stream).poll_flush(cx),
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Pipe(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
