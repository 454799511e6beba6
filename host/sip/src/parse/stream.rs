//! Where a message ends in a stream (RFC 3261 §18.3): the seam for TCP and TLS.

use crate::parse::head::content_length;
use crate::parse::scan::{Next, Scanner, is_line_break};
use crate::parse::{Limits, ParseErrorKind};
use crate::text::is_token;

/// What the first bytes of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The beginning of a message: read more.
    Partial,
    /// Line breaks between messages (RFC 5626 §3.5.1), this many bytes: skip them. Four bytes ask for a pong; when they
    /// arrive in pieces, so do they here.
    KeepAlive(usize),
    /// A message of this many bytes: parse them with [`crate::parse::parse_datagram`].
    Message(usize),
    /// No message, or one beyond the limits. Where the next one starts cannot be known: close the stream.
    Broken(ParseErrorKind),
}

/// Finds the first message in `buffer`. A message in a stream must have a Content-Length (RFC 3261 §18.3, §20.14);
/// one without it has no body here.
///
/// A head that others may read in another way is [`Frame::Broken`]: they could see another Content-Length in it, and
/// take for a body what would be a message here.
pub fn frame_stream(buffer: &[u8], limits: &Limits) -> Frame {
    let breaks = buffer.iter().take_while(|byte| is_line_break(**byte)).count();
    if breaks > 0 {
        return Frame::KeepAlive(breaks);
    }
    match read_head(buffer, limits) {
        Err(kind) => Frame::Broken(kind),
        Ok(None) => Frame::Partial,
        Ok(Some(Head { end, content_length })) => match end.saturating_add(content_length) {
            size if size > limits.datagram => Frame::Broken(ParseErrorKind::MessageTooLarge),
            size if size > buffer.len() => Frame::Partial,
            size => Frame::Message(size),
        },
    }
}

/// What counts of a head: both in bytes.
struct Head {
    end: usize,
    content_length: usize,
}

/// Reads a head; none when it does not end in the buffer.
fn read_head(buffer: &[u8], limits: &Limits) -> Result<Option<Head>, ParseErrorKind> {
    let mut scanner = Scanner::new(buffer);
    // What is not over yet is at least as long as the buffer.
    let check_limit = |scanner: &Scanner<'_>, is_over: bool| {
        let read = if is_over { scanner.position() } else { buffer.len() };
        if read > limits.head { Err(ParseErrorKind::HeadTooLarge) } else { Ok(()) }
    };
    let start_line = scanner.line();
    check_limit(&scanner, start_line.is_some())?;
    match start_line {
        None => return Ok(None),
        Some(line) if line.stray_cr => return Err(ParseErrorKind::StartLine),
        Some(_) => {}
    }
    let mut length = None;
    loop {
        let next = scanner.next();
        check_limit(&scanner, next.is_some())?;
        match next {
            None => return Ok(None),
            Some(Next::End) => {
                return Ok(Some(Head { end: scanner.position(), content_length: length.unwrap_or(0) }));
            }
            Some(Next::Bad) => return Err(ParseErrorKind::Header),
            Some(Next::Field { name, value, .. }) => {
                let name = buffer.get(name).filter(|name| is_token(name)).ok_or(ParseErrorKind::Header)?;
                if is_content_length(name) {
                    let number = buffer.get(value).and_then(content_length).filter(|_| length.is_none());
                    length = Some(number.ok_or(ParseErrorKind::ContentLength)?);
                }
            }
        }
    }
}

fn is_content_length(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l")
}
