//! What a supervisor and its child processes say to each other: length-prefixed postcard frames over a socket pair, which the
//! child finds as its standard input. Every frame is bounded before it is read; a child is never trusted to keep a bound.

mod channel;
mod messages;

pub(crate) use channel::{Channel, FRAME_BYTES_MAX, WireError};
pub(crate) use messages::*;
