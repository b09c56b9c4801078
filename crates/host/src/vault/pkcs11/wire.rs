//! What a host and the process of its vault say to each other: length-prefixed postcard frames over a socket pair.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
};
use zeroize::{Zeroize, Zeroizing};

/// Longest frame, in bytes. Secrets are keys.
const FRAME_BYTES_MAX: usize = 64 << 10;

/// What a host asks.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// First of all: open this token and log in.
    Open { module: String, token: String, pin_file: String },
    /// The secret of this name.
    Secret { name: String },
    /// Keep a secret.
    Keep { name: String, secret: SecretBytes },
    /// The public key of the signing key of this name.
    Find { name: String },
    /// Make a signing key.
    Make { name: String },
    /// Sign a digest.
    Sign { name: String, digest: [u8; 32] },
}

/// What the process answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// Done.
    Done,
    /// The secret, if there is one.
    Secret(Option<SecretBytes>),
    /// The public key, SEC 1, uncompressed, if there is one.
    Key(Option<Vec<u8>>),
    /// `r ‖ s`, as the token gave it.
    Signature(Vec<u8>),
    /// It did not work.
    Refused {
        why: String,
        /// Trying again would count against the PIN.
        is_pin: bool,
    },
}

/// Bytes that are wiped when dropped.
#[derive(Serialize, Deserialize)]
pub(super) struct SecretBytes(pub(super) Vec<u8>);

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// Writes one frame.
pub(super) fn send(stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    // Long enough at once: a buffer that grows leaves copies of secrets behind.
    let mut frame = Zeroizing::new(vec![0; FRAME_BYTES_MAX + 4]);
    let used = postcard::to_slice(message, &mut frame[4..]).map_err(io::Error::other)?.len();
    let length = u32::try_from(used).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    let mut writer = stream;
    writer.write_all(&frame[..used + 4])
}

/// Reads one frame. The stream's own timeout is the deadline of each read.
pub(super) fn receive<M: DeserializeOwned>(stream: &UnixStream) -> io::Result<M> {
    let mut reader = stream;
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!("a frame of {length} bytes; at most {FRAME_BYTES_MAX} are read")));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    reader.read_exact(&mut frame)?;
    postcard::from_bytes(&frame).map_err(io::Error::other)
}
