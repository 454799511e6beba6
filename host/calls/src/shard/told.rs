//! What a guest is told of a SIP message: what the host keeps to itself is left out.

use crate::contract::*;
use plugboard_sip::message::{HeaderName, Headers, Method, Request, Response, Value};
use plugboard_sip::name_addr::NameAddr;
use std::cmp::Reverse;

/// Redirection targets that a guest is told, in number.
const CONTACTS_MAX: usize = 16;
/// The option tags that the host serves and asks for: reliable provisional responses (RFC 3262) and session timers
/// (RFC 4028).
pub(crate) const OWN_OPTION_TAGS: [&str; 2] = ["100rel", "timer"];

/// The event of a request that the peer of a leg sent.
pub(super) fn request_event(leg: LegId, transaction: TransactionId, request: &Request) -> Event {
    Event::Request {
        leg,
        transaction,
        method: request.method.as_str().to_owned(),
        headers: visible(&request.headers),
        body: request.body.to_vec(),
    }
}

/// What is told of a response to a request of ours.
pub(super) fn response_event(
    leg: LegId,
    transaction: TransactionId,
    method: &Method,
    answerable: bool,
    response: &Response,
) -> IncomingResponse {
    IncomingResponse {
        leg,
        transaction,
        method: method.as_str().to_owned(),
        status: response.status.code(),
        reason: response.reason.as_str().to_owned(),
        contacts: if response.status.is_redirection() { contacts(&response.headers) } else { Vec::new() },
        answerable,
        headers: visible(&response.headers),
        body: response.body.to_vec(),
    }
}

/// The URIs of the Contact fields, best first (RFC 3261 §8.1.3.4).
fn contacts(headers: &Headers) -> Vec<String> {
    let parse = |value: Value| NameAddr::parse(&value.to_text()?).ok();
    let mut found: Vec<NameAddr> = headers.list(&HeaderName::Contact).take(CONTACTS_MAX).filter_map(parse).collect();
    found.sort_by_key(|contact| Reverse(contact.priority()));
    found.iter().map(|contact| contact.uri.to_string()).collect()
}

/// The header fields that a guest may see.
pub(super) fn visible(headers: &Headers) -> Vec<Header> {
    headers.iter().filter(|(name, _)| !is_hidden(name)).filter_map(|(name, value)| field(name, value)).collect()
}

/// A header field as a guest sees it: without the option tags that are the host's. None when nothing else is in it.
fn field(name: &HeaderName, value: &Value) -> Option<Header> {
    let text = value.to_text_lossy();
    let is_own = |tag: &str| OWN_OPTION_TAGS.iter().any(|own| own.eq_ignore_ascii_case(tag.trim()));
    let has_own = matches!(name, HeaderName::Supported | HeaderName::Require) && text.split(',').any(is_own);
    let value = if has_own {
        let others: Vec<&str> = text.split(',').map(str::trim).filter(|tag| !is_own(tag)).collect();
        Some(others.join(", ")).filter(|others| !others.is_empty())?
    } else {
        text.into()
    };
    Some(Header { name: name.as_str().to_owned(), value })
}

fn is_hidden(name: &HeaderName) -> bool {
    use HeaderName::*;
    matches!(
        name,
        Via | Route
            | RecordRoute
            | MaxForwards
            | From
            | To
            | CallId
            | CSeq
            | Contact
            | ContentLength
            | Authorization
            | ProxyAuthorization
            | WwwAuthenticate
            | ProxyAuthenticate
            | AuthenticationInfo
            | RSeq
            | RAck
            | SessionExpires
            | MinSe
    )
}
