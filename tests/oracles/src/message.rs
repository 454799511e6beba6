//! Messages: parse, judge, print, parse again.

use bytes::Bytes;
use plugboard_sip::admit::{RefusalReason, admit};
use plugboard_sip::parse::{Limits, parse_datagram};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::validate::{Served, unsupported};
use plugboard_sip::{HeaderName, Headers, Message, Method, Request, Response, Status, Text, Value};

/// What one header field can grow by when it is printed, in bytes: a compact name becomes long, LF becomes CRLF.
const FIELD_GROWTH: usize = 20;
/// What an answer can have beyond the fields of its request, in bytes: start line, received, rport, tag, length.
const ANSWER_OVERHEAD: usize = 512;

/// A datagram: parsing keeps every field, printing loses nothing, the verdict stays the same, and what is refused gets
/// an answer that can be read and goes to its sender.
pub fn message(data: &[u8]) {
    let datagram = Bytes::copy_from_slice(data);
    let verdict = admit(datagram.clone(), source(), &Limits::default());
    if let Err(refusal) = &verdict {
        check_answer(data, refusal.answer.as_ref());
    }
    let Ok(first) = parse_datagram(datagram, &Limits::default()) else { return };
    assert_eq!(first.headers().len(), fields_in(data), "a field was lost or made up");
    let printed = first.to_bytes();
    let second = parse_datagram(printed.clone(), &grown()).expect("what was printed can be parsed");
    assert_same(&first, &second);
    assert_eq!(second.to_bytes(), printed, "printing settles at once");
    let again = admit(printed, source(), &grown());
    assert_eq!(reason(&verdict), reason(&again), "the verdict is about the meaning, not the spelling");
    read_typed(&first);
    if let (Ok(_), Message::Request(request)) = (&verdict, &first) {
        check_response_to(request);
    }
}

/// The limits for a message that was printed: longer than the one that came.
pub(crate) fn grown() -> Limits {
    let Limits { datagram, head, headers, line, .. } = Limits::default();
    let growth = (headers + 1) * FIELD_GROWTH;
    Limits {
        datagram: datagram + growth,
        head: head + growth,
        headers: headers + 1,
        line: line + FIELD_GROWTH,
        ..Limits::default()
    }
}

/// Two messages mean the same: all is equal but Content-Length, which printing computes.
pub(crate) fn assert_same(one: &Message, two: &Message) {
    match (one, two) {
        (Message::Request(one), Message::Request(two)) => assert_eq!((&one.method, &one.uri), (&two.method, &two.uri)),
        (Message::Response(one), Message::Response(two)) => {
            assert_eq!((one.status, &one.reason), (two.status, &two.reason));
        }
        _ => panic!("a request became a response, or the other way round"),
    }
    assert_eq!(fields(one.headers()), fields(two.headers()));
    assert_eq!(one.body(), two.body());
}

pub(crate) fn source() -> Destination {
    let remote = "192.0.2.200:5099".parse().expect("an address");
    Destination { transport: Transport::Udp, remote, local: 0 }
}

fn fields(headers: &Headers) -> Vec<(&str, &Value)> {
    let all = headers.iter().filter(|(name, _)| **name != HeaderName::ContentLength);
    all.map(|(name, value)| (name.as_str(), value)).collect()
}

fn reason(verdict: &Result<Message, plugboard_sip::admit::Refusal>) -> Option<RefusalReason> {
    verdict.as_ref().err().map(|refusal| refusal.reason)
}

/// The number of header fields, counted another way than the parser does: lines of the head that do not begin with a
/// blank.
fn fields_in(data: &[u8]) -> usize {
    let begin = data.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(data.len());
    let lines = data.get(begin..).unwrap_or_default().split(|byte| *byte == b'\n').skip(1);
    let head = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|line| !line.is_empty());
    head.filter(|line| !matches!(line.first(), Some(b' ' | b'\t'))).count()
}

/// An answer to a refused request can be read, is a failure, goes back where the request came from, and is not much
/// longer than what caused it.
fn check_answer(data: &[u8], answer: Option<&(Destination, Bytes)>) {
    let Some((destination, bytes)) = answer else { return };
    assert_eq!(destination.remote.ip(), source().remote.ip(), "an answer goes to a third party");
    let bound = data.len() + FIELD_GROWTH * Limits::default().headers + ANSWER_OVERHEAD;
    assert!(bytes.len() <= bound, "{} bytes are answered with {}", data.len(), bytes.len());
    match parse_datagram(bytes.clone(), &grown()) {
        Ok(Message::Response(response)) => assert!(response.status.is_failure(), "{response:?}"),
        other => panic!("an answer that cannot be read: {other:?}"),
    }
}

/// The response to a request that was let through goes back along its Vias and keeps what it is matched by.
fn check_response_to(request: &Request) {
    let _ = unsupported(request, &Served::default());
    if request.method == Method::Ack {
        return;
    }
    let response = Response::to(request, Status::RINGING, "Ringing", "here");
    let parsed = parse_datagram(response.to_bytes(), &grown()).expect("a response can be parsed");
    let (asked, answered) = (&request.headers, parsed.headers());
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        assert!(asked.get_all(&name).eq(answered.get_all(&name)), "{name}");
    }
    let tag = asked.to_tag().unwrap_or_else(|| Text::from("here"));
    assert_eq!(answered.to_tag(), Some(tag));
}

/// Every typed view of what came: none panics, and what can be read survives being printed.
fn read_typed(message: &Message) {
    let headers = message.headers();
    let _ = (headers.cseq(), headers.max_forwards(), headers.call_id());
    for name in [HeaderName::From, HeaderName::To, HeaderName::Contact, HeaderName::Route, HeaderName::ReferTo] {
        headers.list(&name).for_each(|value| crate::name_addr(value.as_bytes()));
    }
    headers.list(&HeaderName::Via).for_each(|value| crate::via(value.as_bytes()));
    for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate, HeaderName::Authorization] {
        headers.get_all(&name).for_each(|value| crate::digest(value.as_bytes()));
    }
    if let Message::Request(request) = message {
        crate::uri(request.uri.as_bytes());
    }
}
