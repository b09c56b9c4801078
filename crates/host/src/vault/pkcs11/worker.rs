//! What the process of the vault does: lock its memory, open the token, answer until the host closes the channel.

use super::{
    token::Token,
    wire::{Ask, Told, receive, send},
};
use std::{
    io::{self, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process::ExitCode,
};

/// Runs as the process of a PKCS#11 vault. Call it first thing in `main`. Returns when the host closes the channel.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if even this fails.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.peer_addr().map_err(|_| io::Error::other("this command is started by a cryptlet host"))?;
    crate::forbid_core_dumps().map_err(io::Error::other)?;
    // SAFETY: changes nothing but whether pages may be swapped. Without the right to lock it all, the token's library still
    // locks its own.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    let Ask::Open { module, token, pin_file } = receive(&stream)? else {
        return Err(io::Error::other("the first request is not to open a token"));
    };
    let token = match Token::open(&module, &token, &pin_file) {
        Ok(token) => token,
        Err(fault) => return send(&stream, &Told::from(fault)),
    };
    send(&stream, &Told::Done)?;
    loop {
        let ask = receive(&stream)?;
        send(&stream, &token.answer(ask))?;
    }
}
