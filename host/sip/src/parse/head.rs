//! A message from its bytes. The first thing wrong decides the error; reading goes on as far as it can, so that a
//! request can be answered.

use bytes::Bytes;

use crate::message::{HeaderName, Headers, Message, Method, Request, Response, Value};
use crate::parse::scan::{Next, Scanner, unfold};
use crate::parse::start::{self, BadStart, Start};
use crate::parse::{Limits, ParseError, ParseErrorKind};
use crate::text::Text;

/// Room made for header fields at first: most messages have fewer.
const USUAL_HEADERS: usize = 16;

pub(super) fn parse(datagram: Bytes, limits: &Limits) -> Result<Message, ParseError> {
    let mut scanner = Scanner::new(&datagram);
    let begin = scanner.position();
    if begin == datagram.len() {
        return Err(ParseErrorKind::Empty.into());
    }
    let Some(line) = scanner.line() else { return Err(ParseErrorKind::StartLine.into()) };
    let start = start::parse(datagram.slice(line.range), line.stray_cr, limits);
    let mut fields = Fields::new();
    let too_large = datagram.len() > limits.datagram;
    if too_large {
        fields.fail(ParseErrorKind::MessageTooLarge);
    }
    let head_end = fields.read(&datagram, &mut scanner, begin, limits);
    let body = head_end.and_then(|end| fields.body(&datagram, end));
    let Fields { headers, error, .. } = fields;
    match (start, error, body) {
        (Ok(Start::Request { method, uri }), None, Some(body)) => {
            Ok(Message::Request(Request { method, uri, headers, body }))
        }
        (Ok(Start::Response { status, reason }), None, Some(body)) => {
            Ok(Message::Response(Response { status, reason, headers, body }))
        }
        (Err(BadStart { kind, method }), _, _) => {
            Err(kind.with_request(method.map(|method| readable(method, Text::EMPTY, headers))))
        }
        (Ok(start), error, _) => {
            let request = match start {
                Start::Request { method, uri } => Some(readable(method, uri, headers)),
                Start::Response { .. } => None,
            };
            Err(error.unwrap_or(ParseErrorKind::Unfinished).with_request(request))
        }
    }
}

fn readable(method: Method, uri: Text, headers: Headers) -> Request {
    Request { method, uri, headers, body: Bytes::new() }
}

/// The header fields read so far, and the first thing that was wrong.
struct Fields {
    headers: Headers,
    vias: usize,
    content_length: Option<usize>,
    error: Option<ParseErrorKind>,
}

impl Fields {
    fn new() -> Fields {
        let headers = Headers::with_capacity(USUAL_HEADERS);
        Fields { headers, vias: 0, content_length: None, error: None }
    }

    fn fail(&mut self, kind: ParseErrorKind) {
        self.error.get_or_insert(kind);
    }

    /// Reads up to the empty line, and says where the body starts; none when a limit or the end of the bytes was met
    /// before.
    fn read(&mut self, datagram: &Bytes, scanner: &mut Scanner<'_>, begin: usize, limits: &Limits) -> Option<usize> {
        loop {
            let Some(next) = scanner.next() else {
                let beyond = datagram.len() - begin > limits.head;
                self.fail(if beyond { ParseErrorKind::HeadTooLarge } else { ParseErrorKind::Unfinished });
                return None;
            };
            if scanner.position() - begin > limits.head {
                self.fail(ParseErrorKind::HeadTooLarge);
                return None;
            }
            match next {
                Next::End => return Some(scanner.position()),
                Next::Bad => self.fail(ParseErrorKind::Header),
                Next::Field { name, value, .. } if value.end - name.start > limits.line => {
                    self.fail(ParseErrorKind::LineTooLong);
                }
                Next::Field { name, value, folded } => {
                    if self.headers.len() == limits.headers {
                        self.fail(ParseErrorKind::TooManyHeaders);
                        return None;
                    }
                    let value = datagram.slice(value);
                    let value = if folded { Bytes::from(unfold(&value)) } else { value };
                    self.add(HeaderName::within(datagram, name), Value::from_parsed(value), limits);
                }
            }
        }
    }

    fn add(&mut self, name: Option<HeaderName>, value: Value, limits: &Limits) {
        match name {
            None => return self.fail(ParseErrorKind::Header),
            Some(HeaderName::Via) => {
                self.vias += 1 + memchr::memchr_iter(b',', value.as_bytes()).count();
                if self.vias > limits.vias {
                    return self.fail(ParseErrorKind::TooManyVias);
                }
            }
            Some(HeaderName::ContentLength) => {
                let length = content_length(value.as_bytes());
                if length.is_none() || self.content_length.is_some() {
                    self.fail(ParseErrorKind::ContentLength);
                }
                self.content_length = length;
            }
            Some(_) => {}
        }
        if let Some(name) = name {
            self.headers.push(name, value);
        }
    }

    /// The body, which starts at `start`; none when there is less of it than Content-Length says.
    fn body(&mut self, datagram: &Bytes, start: usize) -> Option<Bytes> {
        let body = datagram.slice(start..);
        match self.content_length {
            None => Some(body),
            Some(length) if length <= body.len() => Some(body.slice(..length)),
            Some(_) => {
                self.fail(ParseErrorKind::BodyTooShort);
                None
            }
        }
    }
}

/// The number in Content-Length; none when it is something else or too large to count.
pub(super) fn content_length(value: &[u8]) -> Option<usize> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}
