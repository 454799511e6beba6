//! Streams: where one message ends and the next begins does not depend on how the bytes arrive.

use bytes::Bytes;
use plugboard_sip::HeaderName;
use plugboard_sip::parse::{Frame, Limits, ParseErrorKind, frame_stream, parse_datagram};

use crate::message::{assert_same, grown};

/// Into how many pieces a stream is cut at most: a reader looks at the beginning again with each.
const PIECES: usize = 64;

/// What a reader of a stream saw, in order.
#[derive(Debug, PartialEq)]
enum Seen {
    /// Line breaks between messages, this many bytes.
    Breaks(usize),
    Message(Bytes),
    Broken(ParseErrorKind),
    /// The stream ended, with this many bytes that are no message yet.
    Rest(usize),
}

/// A stream, whose first byte seeds how it is cut into pieces: the same comes out however it arrives, each frame is to
/// the byte what the parser takes for the message, and printed messages one behind another come out again.
pub fn stream(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    let whole = read([stream].into_iter(), &Limits::default());
    let pieces = read(cut(stream, *seed), &Limits::default());
    assert_eq!(whole, pieces, "pieces change what comes out");
    let mut printed = Vec::new();
    let mut messages = Vec::new();
    for frame in whole.iter().filter_map(|seen| if let Seen::Message(frame) = seen { Some(frame) } else { None }) {
        let parsed = match parse_datagram(frame.clone(), &Limits::default()) {
            Ok(parsed) => parsed,
            Err(error) => {
                assert!(is_about_one_message(error.kind), "framed and then refused: {}", error.kind);
                continue;
            }
        };
        assert_eq!(frame.len(), head_of(frame) + parsed.body().len(), "a frame is one message to the byte");
        assert!(parsed.headers().contains(&HeaderName::ContentLength) || parsed.body().is_empty());
        printed.extend_from_slice(&parsed.to_bytes());
        messages.push(parsed);
    }
    let again = read([printed.as_slice()].into_iter(), &grown());
    assert_eq!(again.len(), messages.len() + 1, "what was printed comes out as it went in");
    assert_eq!(again.last(), Some(&Seen::Rest(0)));
    for (seen, message) in again.iter().zip(&messages) {
        let Seen::Message(frame) = seen else { panic!("no message: {seen:?}") };
        assert_same(message, &parse_datagram(frame.clone(), &grown()).expect("what was printed can be parsed"));
    }
}

/// Reads a stream to its end, or to where it breaks.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Vec<Seen> {
    let (mut buffer, mut seen): (Vec<u8>, Vec<Seen>) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let taken = match frame_stream(&buffer, limits) {
                Frame::Partial => break,
                Frame::Broken(kind) => {
                    seen.push(Seen::Broken(kind));
                    return seen;
                }
                Frame::KeepAlive(breaks) => {
                    match seen.last_mut() {
                        Some(Seen::Breaks(before)) => *before += breaks,
                        _ => seen.push(Seen::Breaks(breaks)),
                    }
                    breaks
                }
                Frame::Message(size) => {
                    let message = buffer.get(..size).expect("a frame lies in the buffer");
                    seen.push(Seen::Message(Bytes::copy_from_slice(message)));
                    size
                }
            };
            assert!(taken > 0, "a frame of nothing would never end");
            buffer.drain(..taken);
        }
    }
    seen.push(Seen::Rest(buffer.len()));
    seen
}

/// The stream in pieces of pseudo-random length.
fn cut(stream: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let longest = 2 * (stream.len() / PIECES) as u32 + 1;
    let (mut rest, mut state) = (stream, u32::from(seed) | 1);
    std::iter::from_fn(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((state >> 16) % longest + 1) as usize;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Where the head of a message ends, found another way than the parser does.
fn head_of(message: &[u8]) -> usize {
    let ends = [&b"\r\n\r\n"[..], b"\n\r\n", b"\n\n"].map(|end| {
        let at = message.windows(end.len()).position(|window| window == end);
        at.map_or(message.len(), |at| at + end.len())
    });
    ends.into_iter().min().unwrap_or_default()
}

/// Whether an error leaves no doubt about where the message ends.
fn is_about_one_message(kind: ParseErrorKind) -> bool {
    use ParseErrorKind::*;
    matches!(kind, StartLine | Version | StatusCode | TooManyHeaders | TooManyVias | LineTooLong | UriTooLong)
}
