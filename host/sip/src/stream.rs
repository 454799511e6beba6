//! Messages from a stream (RFC 3261 §18.3): TCP and TLS. What comes out is the same however the bytes were cut up on
//! their way. Over WebSocket each message comes by itself ([`message_of`]).

use bytes::{Bytes, BytesMut};

use crate::admit::{Refusal, RefusalReason, admit};
use crate::message::Message;
use crate::parse::{Frame, Limits, ParseErrorKind, frame_stream};
use crate::transport::Destination;

/// The answer to a [`Received::Ping`] (RFC 5626 §3.5.1).
pub const PONG: &[u8] = b"\r\n";
/// Line breaks that make a ping, in bytes: a double CRLF.
const PING_BYTES: usize = 4;

/// Takes the bytes of one connection and gives its messages.
#[derive(Debug)]
pub struct StreamReader {
    path: Destination,
    limits: Limits,
    buffer: BytesMut,
    /// Line breaks since the last message or ping, in bytes.
    breaks: usize,
    broken: bool,
}

/// What was found in a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A message that keeps the rules.
    Message(Message),
    /// A message that breaks them. Where the next one starts is known, so the stream goes on.
    Refused(Refusal),
    /// The peer wants to know whether we are there: send [`PONG`].
    Ping,
    /// Where the next message starts is not known, or this is no SIP: answer, if there is an answer, and close.
    Broken(Refusal),
}

impl StreamReader {
    /// A reader of the connection that is `path`.
    pub fn new(path: Destination, limits: Limits) -> StreamReader {
        StreamReader { path, limits, buffer: BytesMut::new(), breaks: 0, broken: false }
    }

    /// Adds what was read. Take all that [`StreamReader::next`] has before reading on: what is kept is then never more
    /// than one message of the largest size and these bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// What comes next; none when more must be read.
    #[allow(clippy::should_implement_trait)] // an iterator would say that it is over
    pub fn next(&mut self) -> Option<Received> {
        while !self.buffer.is_empty() {
            match frame_stream(&self.buffer, &self.limits) {
                Frame::Partial => return None,
                Frame::KeepAlive(breaks) => {
                    let taken = breaks.min(PING_BYTES - self.breaks);
                    let _ = self.buffer.split_to(taken);
                    self.breaks += taken;
                    if self.breaks == PING_BYTES {
                        self.breaks = 0;
                        return Some(Received::Ping);
                    }
                }
                Frame::Message(length) => {
                    self.breaks = 0;
                    let message = self.buffer.split_to(length).freeze();
                    return Some(self.admit(message));
                }
                Frame::Broken(kind) => {
                    let bytes = self.give_up();
                    let answer = admit(bytes, self.path, &self.limits).err().and_then(|refusal| refusal.answer);
                    return Some(Received::Broken(Refusal { reason: kind.into(), answer }));
                }
            }
        }
        None
    }

    /// Whether the beginning of a message has come and its end has not.
    pub fn is_inside_message(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn admit(&mut self, message: Bytes) -> Received {
        match admit(message, self.path, &self.limits) {
            Ok(message) => Received::Message(message),
            Err(refusal) if is_no_sip(&refusal) => {
                self.give_up();
                Received::Broken(refusal)
            }
            Err(refusal) => Received::Refused(refusal),
        }
    }

    fn give_up(&mut self) -> Bytes {
        self.broken = true;
        std::mem::take(&mut self.buffer).freeze()
    }
}

/// What a message of a WebSocket holds: one SIP message, with or without Content-Length (RFC 7118 §5.1), or a
/// keep-alive. None for line breaks that want no answer.
pub fn message_of(bytes: Bytes, path: Destination, limits: &Limits) -> Option<Received> {
    if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
        return (bytes.len() >= PING_BYTES).then_some(Received::Ping);
    }
    Some(match admit(bytes, path, limits) {
        Ok(message) => Received::Message(message),
        Err(refusal) if is_no_sip(&refusal) => Received::Broken(refusal),
        Err(refusal) => Received::Refused(refusal),
    })
}

/// A first line that is none of SIP, of what cannot be answered either: another protocol, or the body of a message
/// whose Content-Length was missing.
fn is_no_sip(refusal: &Refusal) -> bool {
    let start = matches!(refusal.reason, RefusalReason::Parse(ParseErrorKind::StartLine | ParseErrorKind::StatusCode));
    start && refusal.answer.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::MAX_HEAD;
    use crate::transport::Transport;

    fn reader() -> StreamReader {
        let remote = "192.0.2.9:40000".parse().expect("an address");
        StreamReader::new(Destination { transport: Transport::Tcp, remote, local: 0 }, Limits::default())
    }

    fn options(sequence: u32, fields: &str) -> String {
        format!(
            "OPTIONS sip:h SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{sequence}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@h>;tag=1\r\nTo: <sip:h>\r\nCall-ID: 1\r\nCSeq: {sequence} OPTIONS\r\n{fields}\r\n"
        )
    }

    fn all(reader: &mut StreamReader) -> Vec<Received> {
        std::iter::from_fn(|| reader.next()).collect()
    }

    fn sequences(received: &[Received]) -> Vec<u32> {
        let sequence = |one: &Received| match one {
            Received::Message(message) => message.headers().cseq().expect("a CSeq").number,
            other => panic!("no message: {other:?}"),
        };
        received.iter().map(sequence).collect()
    }

    #[test]
    fn however_the_bytes_are_cut_up_the_messages_are_the_same() {
        let text = options(1, "Content-Length: 3\r\n") + "abc" + &options(2, "l: 0\r\n") + &options(3, "");
        for size in [1, 2, 3, 7, 100, text.len()] {
            let mut reader = reader();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                reader.push(piece);
                found.extend(all(&mut reader));
            }
            assert_eq!(sequences(&found), [1, 2, 3], "pieces of {size}");
            assert!(!reader.is_inside_message());
        }
    }

    #[test]
    fn a_double_line_break_is_a_ping_however_it_comes() {
        let mut reader = reader();
        for (bytes, pings) in [("\r\n", 0), ("\r\n", 1), ("\r\n\r", 0), ("\n", 1), ("\r\n\r\n\r\n\r\n", 2)] {
            reader.push(bytes.as_bytes());
            assert_eq!(all(&mut reader), vec![Received::Ping; pings], "{bytes:?}");
        }
        reader.push(("\r\n".to_owned() + &options(1, "") + "\r\n").as_bytes());
        assert_eq!(sequences(&all(&mut reader)), [1], "single ones around a message ask for nothing");
    }

    #[test]
    fn a_message_that_is_only_wrong_is_answered_and_the_next_is_read() {
        let mut reader = reader();
        let wrong = options(1, "l: 3\r\n").replace("1 OPTIONS", "1 INVITE") + "abc";
        reader.push((wrong + &options(2, "")).as_bytes());
        let found = all(&mut reader);
        assert!(matches!(&found[0], Received::Refused(refusal) if refusal.answer.is_some()), "{found:?}");
        assert_eq!(sequences(&found[1..]), [2]);
    }

    #[test]
    fn what_cannot_be_framed_is_answered_when_it_can_be_and_nothing_is_read_after_it() {
        let cases = [
            (options(1, "Content-Length: x\r\n"), true),
            (options(1, "Content-Length: 3\r\nl: 4\r\n"), true),
            (options(1, "Content-Length: 70000\r\n"), true),
            (options(1, &format!("X: {}\r\n", "y".repeat(MAX_HEAD))), true),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), false),
            ("\u{16}\u{3}\u{1}".to_owned() + &"x".repeat(MAX_HEAD), false),
        ];
        for (text, answered) in cases {
            let mut reader = reader();
            reader.push((text.clone() + &options(2, "")).as_bytes());
            let found = all(&mut reader);
            let [Received::Broken(refusal)] = &found[..] else { panic!("{found:?}") };
            assert_eq!(refusal.answer.is_some(), answered, "{text}");
            reader.push(options(3, "").as_bytes());
            assert_eq!(all(&mut reader), [], "{text}");
        }
    }

    #[test]
    fn a_body_without_a_length_is_not_taken_for_a_message() {
        let mut reader = reader();
        reader.push((options(1, "") + "v=0\r\n\r\n").as_bytes());
        let found = all(&mut reader);
        assert_eq!(sequences(&found[..1]), [1]);
        assert!(matches!(&found[1], Received::Broken(refusal) if refusal.answer.is_none()), "{found:?}");
    }

    #[test]
    fn a_message_of_a_web_socket_is_one_of_sip_or_a_keep_alive() {
        let path = reader().path;
        let of = |text: &str| message_of(Bytes::from(text.to_owned()), path, &Limits::default());
        assert!(matches!(of(&options(1, "")), Some(Received::Message(_))), "without Content-Length");
        assert_eq!(of("\r\n\r\n"), Some(Received::Ping));
        assert_eq!(of("\r\n"), None);
        assert!(matches!(of("hello"), Some(Received::Broken(_))));
    }
}
