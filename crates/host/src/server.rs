//! Listening: TLS 1.3 with client certificates, or pipes within the process; the same services behind both.

mod door;

pub(crate) use door::TlsDoor;

use crate::{
    Clock,
    error::HostError,
    host::Host,
    package::{CODE_BYTES_MAX, HEADER_BYTES_MAX, INTERFACE_BYTES_MAX, SOURCE_BYTES_MAX},
    pages::Page,
    service::{Caller, FabricService},
    wire::proto::{
        fabric_server::FabricServer, factory_server::FactoryServer, lookup_server::LookupServer,
        operations_server::OperationsServer, registration_server::RegistrationServer,
        secure_channel_server::SecureChannelServer,
    },
};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};
use std::{
    fs::Permissions,
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{ReceiverStream, UnixListenerStream},
};
use tonic::transport::server::Connected;

/// How long a stopped server waits for the calls under way.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Starting a container may mean compiling a large component. Calls have their own, shorter limit.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Connections that were accepted and wait to be served.
const ACCEPTED_MAX: usize = 16;
/// Silence after which the other side is asked whether it lives, and how long it may take to say so.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// A listening server. Dropping it stops it at once; [`stop`](Self::stop) lets calls under way end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn of(address: SocketAddr, stop: watch::Sender<bool>, tasks: Vec<JoinHandle<()>>) -> Self {
        Self { address, stop, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and waits a little for the calls under way.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(STOP_PATIENCE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Host {
    /// Serves nodes and operators over TLS 1.3; only certificates of this host's authority get in.
    pub async fn serve_tls(&self, address: SocketAddr) -> Result<Server, HostError> {
        self.tls()?;
        let listener = listen(address).await?;
        let address = listener.local_addr().map_err(|source| HostError::Listen { address, source })?;
        let (stop, stopped) = watch::channel(false);
        let (accepted, incoming) = mpsc::channel(ACCEPTED_MAX);
        let accepting = tokio::spawn(accept(listener, self.clone(), accepted, stopped.clone()));
        let incoming = ReceiverStream::new(incoming).map(Ok::<_, io::Error>);
        let serving = tokio::spawn(serve(self.clone(), incoming, stopped));
        tracing::info!(%address, "serving nodes over TLS 1.3");
        Ok(Server { address, stop, tasks: vec![accepting, serving] })
    }

    /// Serves the signed descriptor over plain HTTP, for all to read: its signature protects it.
    pub async fn serve_descriptor(&self, address: SocketAddr) -> Result<Server, HostError> {
        let host = self.clone();
        let body = move || host.descriptor().map(|signed| signed.to_json()).map_err(|error| error.to_string());
        let page = Page { paths: &[crate::DESCRIPTOR_PATH], content_type: "application/json", body: Arc::new(body) };
        let server = page.serve(address).await?;
        tracing::info!(address = %server.address(), path = crate::DESCRIPTOR_PATH, "serving the fabric's descriptor");
        Ok(server)
    }

    /// Serves the host's metrics over plain HTTP. They tell what it does to whoever can reach the port: keep it inside.
    pub async fn serve_metrics(&self, address: SocketAddr) -> Result<Server, HostError> {
        let host = self.clone();
        Page::metrics(move || host.metrics()).serve(address).await
    }

    /// Serves operators of this machine over a socket that only this user can open.
    pub fn serve_socket(&self, path: &Path) -> Result<Server, HostError> {
        let refused = |source| HostError::io("listen on", path, source);
        // One that a host left behind when it was killed.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(refused)?;
        let (stop, stopped) = watch::channel(false);
        let incoming = UnixListenerStream::new(listener)
            .map(|io| io.map(|io| Connection { io, caller: Caller::InProcess, _place: None }));
        let serving = tokio::spawn(serve(self.clone(), incoming, stopped));
        Ok(Server::of(SocketAddr::from(([0, 0, 0, 0], 0)), stop, vec![serving]))
    }

    /// A door for pipes: what is sent in is served as if it had come over the network. Closes with its sender.
    pub(crate) fn serve_pipes(&self) -> mpsc::Sender<DuplexStream> {
        let (sender, pipes) = mpsc::channel(ACCEPTED_MAX);
        let incoming = ReceiverStream::new(pipes)
            .map(|io| Ok::<_, io::Error>(Connection { io, caller: Caller::InProcess, _place: None }));
        let host = self.clone();
        tokio::spawn(async move {
            let (_never, stopped) = watch::channel(false);
            serve(host, incoming, stopped).await;
        });
        sender
    }
}

/// The services over any stream of connections: the one code path of network and pipe.
async fn serve<IO>(
    host: Host,
    incoming: impl Stream<Item = io::Result<Connection<IO>>> + Send + 'static,
    mut stopped: watch::Receiver<bool>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let config = host.config().clone();
    let (bytes_max, service) = (config.message_bytes_max(), FabricService::new(host));
    let package_bytes_max =
        (CODE_BYTES_MAX + HEADER_BYTES_MAX + INTERFACE_BYTES_MAX + SOURCE_BYTES_MAX) as usize + (2 << 20);
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(config.streams_per_connection_max)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .timeout(config.call_timeout.max(START_TIMEOUT))
        .add_service(SecureChannelServer::new(service.clone()).max_decoding_message_size(bytes_max))
        .add_service(FactoryServer::new(service.clone()).max_decoding_message_size(bytes_max))
        .add_service(LookupServer::new(service.clone()).max_decoding_message_size(4096))
        .add_service(RegistrationServer::new(service.clone()).max_decoding_message_size(package_bytes_max))
        .add_service(OperationsServer::new(service.clone()).max_decoding_message_size(4096))
        .add_service(FabricServer::new(service).max_decoding_message_size(4096));
    let stop = async move {
        // An error means that nobody is left to stop us; then only the end of `incoming` does.
        if stopped.wait_for(|is_stopped| *is_stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    if let Err(error) = server.serve_with_incoming_shutdown(incoming, stop).await {
        tracing::error!(%error, "the server ended");
    }
}

/// Accepts connections and shakes hands, each within its time and all within their number.
async fn accept(
    listener: TcpListener,
    host: Host,
    accepted: mpsc::Sender<Connection<tokio_rustls::server::TlsStream<TcpStream>>>,
    mut stopped: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(host.config().connections_max));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = tokio::select! {
            () = until_stopped(&mut stopped) => return,
            connection = listener.accept() => match connection {
                Ok(connection) => connection,
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (host, accepted, timeout) = (host.clone(), accepted.clone(), host.config().handshake_timeout);
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let connection = match tokio::time::timeout(timeout, door::open(&host, stream)).await {
                Ok(Ok(stream)) => Connection::of(stream, place),
                Ok(Err(error)) => return tracing::warn!(%address, %error, "refused a connection"),
                Err(_) => {
                    return tracing::warn!(%address, ?timeout, "a connection did not finish its handshake in time");
                }
            };
            if let Some(connection) = connection {
                let _ = accepted.send(connection).await;
            }
        });
    }
}

/// Ends when the server is told to stop, or dropped.
pub(crate) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, HostError> {
    TcpListener::bind(address).await.map_err(|source| HostError::Listen { address, source })
}

/// A connection, with who is at its other end.
#[derive(Debug)]
struct Connection<IO> {
    io: IO,
    caller: Caller,
    /// Given back when the connection closes.
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection<tokio_rustls::server::TlsStream<TcpStream>> {
    fn of(io: tokio_rustls::server::TlsStream<TcpStream>, place: OwnedSemaphorePermit) -> Option<Self> {
        let certificate = io.get_ref().1.peer_certificates()?.first()?;
        let caller = Caller::Certificate(certificate.as_ref().into());
        Some(Self { io, caller, _place: Some(place) })
    }
}

impl<IO> Connected for Connection<IO> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The host's clock, for checking certificates.
#[derive(Debug)]
pub(crate) struct HostTime(pub(crate) Arc<dyn Clock>);

impl TimeProvider for HostTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.unix_seconds())))
    }
}
