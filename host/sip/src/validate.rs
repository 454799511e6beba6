//! Whether a parsed message keeps the rules that every element must check (RFC 3261 §8.1.1, §8.2, §18.1.2).
//!
//! Not refused, because senders of RFC 2543 do it (RFC 4475 §3.4.1): no Max-Forwards, no From tag, no branch cookie.

mod unsupported;

pub use unsupported::{Served, Unsupported, unsupported};

use crate::message::{HeaderName, Headers, Method, Request, Response, Status};
use crate::name_addr::NameAddr;
use crate::uri;
use crate::via::{BRANCH_COOKIE, has_cookie};

/// Why a request is refused. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {reason}")]
pub struct Rejection {
    /// The status to answer with.
    pub status: Status,
    /// The reason phrase to answer with.
    pub reason: &'static str,
}

/// Why a response is dropped. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Discard {
    /// Not exactly one Via value: it was meant for someone else (RFC 3261 §8.1.3.3).
    #[error("not exactly one Via")]
    Via,
    /// From, To, Call-ID or CSeq is missing, there twice, or malformed.
    #[error("missing or malformed header field")]
    Header,
}

/// The header fields that each message must have exactly once, next to Via (RFC 3261 §8.1.1).
const MANDATORY: [HeaderName; 4] = [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];

/// Further header fields that a message may have once at most.
const SINGLE: [HeaderName; 8] = [
    HeaderName::MaxForwards,
    HeaderName::ContentType,
    HeaderName::ContentLength,
    HeaderName::Event,
    HeaderName::Expires,
    HeaderName::ReferTo,
    HeaderName::ReferredBy,
    HeaderName::Replaces,
];

/// Holds a request against the rules.
///
/// # Errors
/// With what to answer.
pub fn check_request(request: &Request) -> Result<(), Rejection> {
    let headers = &request.headers;
    check_request_uri(request)?;
    check_top_via(headers)?;
    if !MANDATORY.iter().all(|name| headers.count(name) == 1) {
        return bad("Missing Or Repeated Header Field");
    }
    if SINGLE.iter().any(|name| headers.count(name) > 1) {
        return bad("Repeated Header Field");
    }
    if !are_addresses(headers) {
        return bad("Bad From Or To");
    }
    if headers.look(&HeaderName::CallId).is_err() {
        return bad("Bad Call-ID");
    }
    match headers.cseq() {
        Err(_) => return bad("Bad CSeq"),
        Ok(cseq) if cseq.method != request.method => return bad("CSeq Of Another Method"),
        Ok(_) => {}
    }
    if headers.contains(&HeaderName::MaxForwards) && headers.max_forwards().is_err() {
        return bad("Bad Max-Forwards");
    }
    if sets_remote_target(&request.method) && !headers.elements(&HeaderName::Contact).all(is_address) {
        return bad("Bad Contact");
    }
    Ok(())
}

/// The Request-URI is a URI, and one that may stand there: without headers (RFC 3261 §19.1.1, table 1).
fn check_request_uri(request: &Request) -> Result<(), Rejection> {
    match uri::Parts::of(&request.uri) {
        Ok(uri) if !uri.is_well_formed() => bad("Bad Request-URI"),
        Err(_) => bad("Bad Request-URI"),
        Ok(uri::Parts::Sip(uri)) if uri.headers.is_some() => bad("Headers In Request-URI"),
        Ok(_) => Ok(()),
    }
}

/// The topmost Via can be read, and its branch is not the bare cookie, which distinguishes nothing (RFC 4475 §3.2.1).
fn check_top_via(headers: &Headers) -> Result<(), Rejection> {
    let Some(via) = headers.via_parts().ok().filter(|via| via.is_well_formed()) else {
        return bad("Missing Or Bad Via");
    };
    if via.version != "2.0" {
        return Err(Rejection { status: Status::VERSION_NOT_SUPPORTED, reason: "Version Not Supported" });
    }
    match via.branch() {
        Some(branch) if has_cookie(branch) && branch.len() == BRANCH_COOKIE.len() => bad("Bad Branch"),
        _ => Ok(()),
    }
}

/// Whether the Contact of a request becomes the remote target of a dialog (RFC 3261 §12.2.1.1, RFC 6665, RFC 3311).
const fn sets_remote_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update | Method::Subscribe | Method::Notify | Method::Refer)
}

const fn bad(reason: &'static str) -> Result<(), Rejection> {
    Err(Rejection { status: Status::BAD_REQUEST, reason })
}

/// Holds a response against the rules.
///
/// # Errors
/// With why it must be dropped.
pub fn check_response(response: &Response) -> Result<(), Discard> {
    let headers = &response.headers;
    let one_via = headers.elements(&HeaderName::Via).take(2).count() == 1;
    if !one_via || !headers.via_parts().is_ok_and(|via| via.is_well_formed()) {
        return Err(Discard::Via);
    }
    let single = MANDATORY.iter().all(|name| headers.count(name) == 1);
    let readable = are_addresses(headers) && headers.look(&HeaderName::CallId).is_ok() && headers.cseq().is_ok();
    if single && readable { Ok(()) } else { Err(Discard::Header) }
}

/// Whether From and To are addresses.
fn are_addresses(headers: &Headers) -> bool {
    [HeaderName::From, HeaderName::To].iter().all(|name| headers.elements(name).next().is_some_and(is_address))
}

fn is_address(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(NameAddr::is_well_formed)
}
