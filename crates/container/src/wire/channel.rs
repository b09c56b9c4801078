//! A stream of bounded frames, with deadlines.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{SendFlags, send},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes before a frame: its length, little-endian.
const PREFIX_BYTES: usize = 4;
/// Longest frame anyone may write, in bytes. Long things (code) travel behind a frame, as raw bytes.
pub(crate) const FRAME_BYTES_MAX: usize = crate::engine::INPUT_BYTES_MAX + (64 << 10);

/// Why nothing could be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the other side closed the channel")]
    Closed,
    #[error("nothing came before the deadline")]
    Deadline,
    #[error("a frame of {bytes} bytes; at most {bytes_max} may come here")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("a frame that is no message: {0}")]
    Undecodable(postcard::Error),
    #[error("the channel failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        match error.kind() {
            UnexpectedEof | BrokenPipe | ConnectionReset => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: Arc<UnixStream>,
    buffer: Vec<u8>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self { stream: Arc::new(stream), buffer: Vec::new() }
    }

    /// The end a child process was started with: its standard input.
    pub(crate) fn inherited() -> io::Result<Self> {
        let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        stream.peer_addr()?; // Fails on anything but a connected socket: a person typed the command.
        Ok(Self::new(stream))
    }

    /// Another handle on the same channel, for sending. A locked-in process may not duplicate descriptors.
    pub(crate) fn share(&self) -> Self {
        Self { stream: Arc::clone(&self.stream), buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        self.buffer.clear();
        self.buffer.extend_from_slice(&[0; PREFIX_BYTES]);
        let frame = postcard::to_extend(message, std::mem::take(&mut self.buffer)).map_err(WireError::Undecodable)?;
        self.buffer = frame;
        let bytes = self.buffer.len() - PREFIX_BYTES;
        if bytes > FRAME_BYTES_MAX {
            return Err(WireError::TooLong { bytes, bytes_max: FRAME_BYTES_MAX });
        }
        let prefix = u32::try_from(bytes).expect("bounded above").to_le_bytes();
        self.buffer[..PREFIX_BYTES].copy_from_slice(&prefix);
        let sent = (&*self.stream).write_all(&self.buffer);
        self.forget_large_buffer();
        sent.map_err(WireError::from)
    }

    /// Sends bytes as they are, behind the frame that announced how many.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        (&*self.stream).write_all(bytes).map_err(WireError::from)
    }

    /// Sends bytes as they are to a side that may not be reading, and gives up at the deadline.
    pub(crate) fn send_until(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<(), WireError> {
        while !bytes.is_empty() {
            self.wait_for(PollFlags::OUT, deadline)?;
            match send(&*self.stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
        Ok(())
    }

    /// A frame of a program: four bytes of length, big-endian, and so many bytes.
    pub(crate) fn receive_frame(&mut self, bytes_max: usize, deadline: Instant) -> Result<Vec<u8>, WireError> {
        let mut prefix = [0; PREFIX_BYTES];
        self.read_exact(&mut prefix, Some(deadline))?;
        let bytes = u32::from_be_bytes(prefix) as usize;
        if bytes > bytes_max {
            return Err(WireError::TooLong { bytes, bytes_max });
        }
        self.receive_raw(bytes, Some(deadline))
    }

    /// The next message, of at most this many bytes. Without a deadline it waits for ever.
    pub(crate) fn receive<M: DeserializeOwned>(
        &mut self,
        bytes_max: usize,
        deadline: Option<Instant>,
    ) -> Result<M, WireError> {
        let mut prefix = [0; PREFIX_BYTES];
        self.read_exact(&mut prefix, deadline)?;
        let bytes = u32::from_le_bytes(prefix) as usize;
        if bytes > bytes_max.min(FRAME_BYTES_MAX) {
            return Err(WireError::TooLong { bytes, bytes_max });
        }
        let mut frame = std::mem::take(&mut self.buffer);
        frame.resize(bytes, 0);
        let outcome = self.read_exact(&mut frame, deadline);
        self.buffer = frame;
        outcome?;
        let message = postcard::from_bytes(&self.buffer).map_err(WireError::Undecodable);
        self.forget_large_buffer();
        message
    }

    /// Bytes as they are, as many as a frame announced. The caller has checked the number.
    pub(crate) fn receive_raw(&mut self, bytes: usize, deadline: Option<Instant>) -> Result<Vec<u8>, WireError> {
        let mut raw = vec![0; bytes];
        self.read_exact(&mut raw, deadline)?;
        Ok(raw)
    }

    /// Is there nothing to read, and the other side still there? What holds for a child that has nothing to do.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut polled = [PollFd::new(&*self.stream, PollFlags::IN | PollFlags::RDHUP)];
        matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0))
    }

    fn read_exact(&mut self, mut wanted: &mut [u8], deadline: Option<Instant>) -> Result<(), WireError> {
        while !wanted.is_empty() {
            if let Some(deadline) = deadline {
                self.wait_for(PollFlags::IN, deadline)?;
            }
            match (&*self.stream).read(wanted) {
                Ok(0) => return Err(WireError::Closed),
                Ok(bytes) => wanted = &mut wanted[bytes..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait_for(&self, readiness: PollFlags, deadline: Instant) -> Result<(), WireError> {
        loop {
            let left = deadline.checked_duration_since(Instant::now()).unwrap_or(Duration::ZERO);
            let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut polled = [PollFd::new(&*self.stream, readiness)];
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) if Instant::now() >= deadline => return Err(WireError::Deadline),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(WireError::Io(error.into())),
            }
        }
    }

    /// One large call must not hold its memory for ever, nor leave its bytes behind.
    fn forget_large_buffer(&mut self) {
        if self.buffer.capacity() > 256 << 10 {
            self.buffer = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = UnixStream::pair().unwrap();
        (Channel::new(one), Channel::new(other))
    }

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let (mut one, mut other) = pair();
        one.send(&("hello", 7u64)).unwrap();
        assert_eq!(other.receive::<(String, u64)>(100, None).unwrap(), ("hello".into(), 7));
        assert!(other.is_quiet());
    }

    #[test]
    fn a_frame_over_its_bound_is_refused_before_it_is_read() {
        let (mut one, mut other) = pair();
        one.send_raw(&u32::MAX.to_le_bytes()).unwrap();
        assert!(matches!(other.receive::<u8>(100, None), Err(WireError::TooLong { .. })));
    }

    #[test]
    fn silence_ends_at_the_deadline_and_a_closed_channel_at_once() {
        let (one, mut other) = pair();
        let soon = Some(Instant::now() + Duration::from_millis(5));
        assert!(matches!(other.receive::<u8>(100, soon), Err(WireError::Deadline)));
        drop(one);
        assert!(!other.is_quiet());
        assert!(matches!(other.receive::<u8>(100, soon), Err(WireError::Closed)));
    }
}
