//! Requests that follow from an INVITE: the ACK of its failure and its CANCEL.

use bytes::Bytes;

use crate::cseq::CSeq;
use crate::message::{HeaderName, Headers, Message, Method, Request, Response};
use crate::parse::{Limits, parse_datagram};
use crate::text::Text;
use crate::values::MaxForwards;

/// The INVITE is ours, however long it has become.
const UNLIMITED: Limits = Limits {
    datagram: usize::MAX,
    head: usize::MAX,
    headers: usize::MAX,
    vias: usize::MAX,
    uri: usize::MAX,
    line: usize::MAX,
};

/// The ACK of a 3xx to 6xx (RFC 3261 §17.1.1.3). `invite` is what was sent.
pub(super) fn failure_ack(invite: &Bytes, response: &Response) -> Option<Bytes> {
    let mut ack = derived(&read(invite)?, Method::Ack);
    if let Some(to) = response.headers.get(&HeaderName::To) {
        ack.headers.set(HeaderName::To, to.clone());
    }
    Some(ack.to_bytes())
}

/// The CANCEL of an INVITE (RFC 3261 §9.1), with further header fields of the user's. `invite` is what was sent.
pub(super) fn cancel(invite: &Bytes, headers: Headers) -> Option<Bytes> {
    let mut cancel = derived(&read(invite)?, Method::Cancel);
    let own: Vec<HeaderName> = cancel.headers.iter().map(|(name, _)| name.clone()).collect();
    cancel.headers.extend(headers.into_iter().filter(|(name, _)| !own.contains(name)));
    Some(cancel.to_bytes())
}

/// What was sent, as a message again.
fn read(sent: &Bytes) -> Option<Request> {
    match parse_datagram(sent.clone(), &UNLIMITED) {
        Ok(Message::Request(request)) => Some(request),
        Ok(Message::Response(_)) | Err(_) => None,
    }
}

/// What both have of the INVITE: Request-URI, topmost Via, Route, From, To, Call-ID and the number in CSeq.
fn derived(invite: &Request, method: Method) -> Request {
    let mut request = Request::new(method.clone(), Text::clone(&invite.uri));
    if let Some(via) = invite.headers.list(&HeaderName::Via).next() {
        request.headers.push(HeaderName::Via, via);
    }
    for (name, value) in invite.headers.iter() {
        if matches!(name, HeaderName::Route | HeaderName::From | HeaderName::To | HeaderName::CallId) {
            request.headers.push(name.clone(), value.clone());
        }
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    request.headers.push(HeaderName::CSeq, CSeq { number, method }.to_string());
    request.headers.push(HeaderName::MaxForwards, MaxForwards::DEFAULT.to_string());
    request
}
