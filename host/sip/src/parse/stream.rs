//! Where a message ends in a stream (RFC 3261 §18.3): the seam for TCP and TLS.

use crate::parse::head::content_length;
use crate::parse::scan::{Next, Scanner, is_line_break};
use crate::parse::{Limits, ParseErrorKind};

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The beginning of a message: read more.
    Partial,
    /// Line breaks between messages (RFC 5626 §3.5.1), this many bytes: skip them. Four bytes ask for a pong.
    KeepAlive(usize),
    /// A message of this many bytes: parse them with [`crate::parse::parse_datagram`].
    Message(usize),
    /// No message, or one beyond the limits. Where the next one starts cannot be known: close the stream.
    Broken(ParseErrorKind),
}

/// Finds the first message in `buffer`. A message in a stream must have a Content-Length (RFC 3261 §18.3, §20.14);
/// one without it has no body here.
pub fn frame_stream(buffer: &[u8], limits: &Limits) -> Frame {
    let breaks = buffer.iter().take_while(|byte| is_line_break(**byte)).count();
    if breaks > 0 {
        return Frame::KeepAlive(breaks);
    }
    let mut scanner = Scanner::new(buffer);
    let mut next = scanner.line().map(|_start_line| Next::Bad);
    let mut length = None;
    loop {
        let read = if next.is_some() { scanner.position() } else { buffer.len() };
        if read > limits.head {
            return Frame::Broken(ParseErrorKind::HeadTooLarge);
        }
        match next {
            None => return Frame::Partial,
            Some(Next::End) => break,
            Some(Next::Field { name, value, .. }) if is_content_length(buffer.get(name.clone())) => {
                let number = buffer.get(value).and_then(content_length);
                if number.is_none() || length.is_some() {
                    return Frame::Broken(ParseErrorKind::ContentLength);
                }
                length = number;
            }
            Some(Next::Field { .. } | Next::Bad) => {}
        }
        next = scanner.next();
    }
    let size = scanner.position().saturating_add(length.unwrap_or(0));
    if size > limits.datagram {
        Frame::Broken(ParseErrorKind::MessageTooLarge)
    } else if size > buffer.len() {
        Frame::Partial
    } else {
        Frame::Message(size)
    }
}

fn is_content_length(name: Option<&[u8]>) -> bool {
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l"))
}
