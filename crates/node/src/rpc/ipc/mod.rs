//! JSON-RPC over a Unix socket, for the owner of the node: JSON documents one after the other, in both directions.
//! Requests of one connection are answered as they are done, not in their order.

mod frames;

use super::dispatch::{Answer, Dispatcher, Session, Transport};
use frames::{FrameError, Frames};
use jsonrpsee::{
    core::server::{BoundedSubscriptions, MethodSink},
    server::{ConnectionId, IdProvider, StopHandle},
};
use serde_json::value::RawValue;
use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

/// Requests of one connection that run at once; more wait in the socket.
const IN_FLIGHT_MAX: usize = 64;
/// Answers that wait for one reader.
const ANSWERS_MAX: usize = 16;
/// A reader that takes nothing for this long is given up.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the rest of a broken stream is read.
const LINGER: Duration = Duration::from_millis(200);
/// Connections have numbers of their own, far above those of WebSockets.
const FIRST_CONNECTION: usize = 1 << 40;

/// Bounds of IPC connections.
#[derive(Clone, Debug)]
pub(super) struct IpcBounds {
    /// At once.
    pub(super) connections_max: usize,
    /// Bytes of one message.
    pub(super) request_bytes_max: usize,
    /// Subscriptions of one connection.
    pub(super) subscriptions_max: u32,
    /// Notifications that wait for one reader.
    pub(super) notifications_max: usize,
}

/// A socket that is listened on. Its file goes with it.
#[derive(Debug)]
pub(super) struct IpcSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl IpcSocket {
    /// Listens on this path; only the owner of the process may connect. A file that a dead node left is replaced.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        if path.exists() {
            if UnixStream::connect(path).await.is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens there"));
            }
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { listener, path: path.to_owned() };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Where it listens.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Serves connections until told to stop.
    pub(super) async fn serve(
        self,
        dispatcher: Arc<Dispatcher>,
        bounds: IpcBounds,
        id_provider: Arc<dyn IdProvider>,
        stop: StopHandle,
    ) {
        let places = Arc::new(Semaphore::new(bounds.connections_max));
        let mut stopped = pin!(stop.clone().shutdown());
        for number in FIRST_CONNECTION.. {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stopped => return,
            };
            match (accepted, places.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let connection = Connection {
                        dispatcher: dispatcher.clone(),
                        bounds: bounds.clone(),
                        id: ConnectionId(number),
                        id_provider: id_provider.clone(),
                    };
                    tokio::spawn(connection.serve(stream, stop.clone(), place));
                }
                (Ok(_), Err(_)) => tracing::warn!(path = %self.path.display(), "too many IPC connections"),
                (Err(error), _) => {
                    tracing::warn!(%error, "an IPC connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Drop for IpcSocket {
    fn drop(&mut self) {
        // If it is gone already, that is as well.
        let _ = std::fs::remove_file(&self.path);
    }
}

struct Connection {
    dispatcher: Arc<Dispatcher>,
    bounds: IpcBounds,
    id: ConnectionId,
    id_provider: Arc<dyn IdProvider>,
}

impl Connection {
    async fn serve(self, stream: UnixStream, stop: StopHandle, _place: OwnedSemaphorePermit) {
        let (reader, writer) = stream.into_split();
        let (notify, notifications) = mpsc::channel(self.bounds.notifications_max);
        let (answer, answers) = mpsc::channel(ANSWERS_MAX);
        let session = Arc::new(Session {
            id: self.id,
            sink: MethodSink::new(notify),
            subscriptions: BoundedSubscriptions::new(self.bounds.subscriptions_max),
            id_provider: self.id_provider.clone(),
        });
        let mut writing = pin!(write(writer, answers, notifications));
        tokio::select! {
            () = self.read(reader, session, answer) => {}
            () = &mut writing => return,
            () = stop.shutdown() => return,
        }
        // Everything that was asked is answered; what is still on its way goes out.
        let _ = tokio::time::timeout(Duration::from_millis(200), writing).await;
    }

    /// Reads messages and has each answered, until the other side is done or wrong.
    async fn read(&self, mut reader: OwnedReadHalf, session: Arc<Session>, answers: mpsc::Sender<Answer>) {
        let places = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
        let mut frames = Frames::new(self.bounds.request_bytes_max);
        let mut running = JoinSet::new();
        loop {
            match frames.next() {
                Ok(Some(message)) => {
                    let Ok(place) = places.clone().acquire_owned().await else { break };
                    let (dispatcher, session, answers) = (self.dispatcher.clone(), session.clone(), answers.clone());
                    while running.try_join_next().is_some() {}
                    running.spawn(async move {
                        let _place = place;
                        if let Some(answer) = dispatcher.handle(&message, Transport::Ipc, Some(&session)).await {
                            // Whoever has gone needs no answer.
                            let _ = answers.send(answer).await;
                        }
                    });
                }
                Ok(None) => match reader.read_buf(frames.buffer()).await {
                    Ok(read) if read > 0 => {}
                    _ => break,
                },
                Err(error) => {
                    let _ = answers.send(refuse(error, self.bounds.request_bytes_max)).await;
                    // Closing on what was sent and not read would take the answer away from whoever has not read it yet.
                    let _ = tokio::time::timeout(LINGER, tokio::io::copy(&mut reader, &mut tokio::io::sink())).await;
                    break;
                }
            }
        }
        running.join_all().await;
    }
}

/// Writes answers, and notifications between them.
async fn write(
    mut writer: OwnedWriteHalf,
    mut answers: mpsc::Receiver<Answer>,
    mut notifications: mpsc::Receiver<Box<RawValue>>,
) {
    loop {
        let (json, sent) = tokio::select! {
            biased;
            answer = answers.recv() => match answer {
                Some(answer) => (answer.json, answer.sent),
                None => return,
            },
            Some(notification) = notifications.recv() => {
                (String::from(Box::<str>::from(notification)), Vec::new())
            }
        };
        let line = json + "\n";
        let written = tokio::time::timeout(WRITE_TIME_MAX, writer.write_all(line.as_bytes())).await;
        let is_written = matches!(written, Ok(Ok(())));
        sent.into_iter().for_each(|sent| sent.notify(is_written));
        if !is_written {
            return;
        }
    }
}

fn refuse(error: FrameError, bytes_max: usize) -> Answer {
    let (code, words) = match error {
        FrameError::NotJson => (super::error::PARSE_ERROR, "parse error: neither an object nor an array".to_owned()),
        FrameError::TooLong => (super::error::INVALID_REQUEST, format!("message too large: at most {bytes_max} bytes")),
    };
    let json = serde_json::json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code, "message": words } });
    Answer { json: json.to_string(), sent: Vec::new() }
}
