//! From bytes to a message (RFC 3261 §7, §18.3): framing, unfolding, header names, the body by its length.
//!
//! Liberal where nothing can be misread: compact names and names in any case, white space before the colon, folded
//! lines, lines that end in LF only, empty lines before the start line. Strict in the start line and in lengths.
//! What the header fields say is judged in [`crate::validate`].

mod error;
mod head;
mod limits;
mod scan;
mod start;
mod stream;

use bytes::Bytes;

pub use error::{ParseError, ParseErrorKind, Reply};
pub use limits::*;
pub use stream::{Frame, frame_stream};

use crate::message::Message;

/// Parses one datagram. A body longer than Content-Length says is cut to it (RFC 3261 §18.3); without Content-Length
/// the body is all that follows.
///
/// # Errors
/// When it is no SIP message, or one beyond the limits.
pub fn parse_datagram(datagram: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    head::parse(datagram, limits)
}

#[cfg(test)]
mod tests;
