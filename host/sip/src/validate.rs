//! Whether a parsed message keeps the rules that every element must check (RFC 3261 §8.1.1, §8.2, §18.1.2).
//!
//! Not refused, because senders of RFC 2543 do it (RFC 4475 §3.4.1): no Max-Forwards, no From tag, no branch cookie.

mod unsupported;

pub use unsupported::{Served, Unsupported, unsupported};

use crate::cseq::CSeq;
use crate::message::{HeaderName, Headers, Method, Request, Response, Status};
use crate::name_addr::NameAddr;
use crate::uri;
use crate::values::MaxForwards;
use crate::via::{self, BRANCH_COOKIE, has_cookie};

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

/// Holds a request against the rules.
///
/// # Errors
/// With what to answer.
pub fn check_request(request: &Request) -> Result<(), Rejection> {
    let headers = &request.headers;
    check_request_uri(request)?;
    check_top_via(headers)?;
    let once = Once::find(headers);
    let Some(Mandatory { from, to, call_id, cseq }) = once.mandatory() else {
        return bad("Missing Or Repeated Header Field");
    };
    if once.other_repeated {
        return bad("Repeated Header Field");
    }
    if !is_address(from) || !is_address(to) {
        return bad("Bad From Or To");
    }
    if !is_call_id(call_id) {
        return bad("Bad Call-ID");
    }
    match read_cseq(cseq) {
        None => return bad("Bad CSeq"),
        Some(cseq) if cseq.method != request.method => return bad("CSeq Of Another Method"),
        Some(_) => {}
    }
    if once.max_forwards.is_some_and(|value| text(value).and_then(MaxForwards::read).is_none()) {
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
    let Ok(via) = headers.checked_via() else {
        return bad("Missing Or Bad Via");
    };
    if via.parts.version != "2.0" {
        return Err(Rejection { status: Status::VERSION_NOT_SUPPORTED, reason: "Version Not Supported" });
    }
    match via.branch {
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
    let mut vias = response.headers.elements(&HeaderName::Via);
    let via = vias.next().filter(|_| vias.next().is_none()).and_then(text).ok_or(Discard::Via)?;
    via::Parts::of(via).and_then(via::Parts::checked).map_err(|_| Discard::Via)?;
    let Mandatory { from, to, call_id, cseq } = Once::find(&response.headers).mandatory().ok_or(Discard::Header)?;
    let readable = is_address(from) && is_address(to) && is_call_id(call_id) && read_cseq(cseq).is_some();
    if readable { Ok(()) } else { Err(Discard::Header) }
}

/// The header fields that a message may have once at most, found in one pass.
#[derive(Default)]
struct Once<'a> {
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    call_id: Option<&'a [u8]>,
    cseq: Option<&'a [u8]>,
    max_forwards: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    event: Option<&'a [u8]>,
    expires: Option<&'a [u8]>,
    refer_to: Option<&'a [u8]>,
    referred_by: Option<&'a [u8]>,
    replaces: Option<&'a [u8]>,
    /// Whether one is there twice that each message must have.
    mandatory_repeated: bool,
    /// Whether one of the others is.
    other_repeated: bool,
}

/// What each message must have exactly once, next to Via (RFC 3261 §8.1.1).
struct Mandatory<'a> {
    from: &'a [u8],
    to: &'a [u8],
    call_id: &'a [u8],
    cseq: &'a [u8],
}

impl<'a> Once<'a> {
    fn find(headers: &'a Headers) -> Once<'a> {
        let mut once = Once::default();
        for (name, value) in headers.iter() {
            let (mandatory, other) = (&mut once.mandatory_repeated, &mut once.other_repeated);
            let (field, repeated) = match name {
                HeaderName::From => (&mut once.from, mandatory),
                HeaderName::To => (&mut once.to, mandatory),
                HeaderName::CallId => (&mut once.call_id, mandatory),
                HeaderName::CSeq => (&mut once.cseq, mandatory),
                HeaderName::MaxForwards => (&mut once.max_forwards, other),
                HeaderName::ContentType => (&mut once.content_type, other),
                HeaderName::ContentLength => (&mut once.content_length, other),
                HeaderName::Event => (&mut once.event, other),
                HeaderName::Expires => (&mut once.expires, other),
                HeaderName::ReferTo => (&mut once.refer_to, other),
                HeaderName::ReferredBy => (&mut once.referred_by, other),
                HeaderName::Replaces => (&mut once.replaces, other),
                _ => continue,
            };
            *repeated |= field.replace(value.as_bytes().trim_ascii()).is_some();
        }
        once
    }

    /// None when one is missing or repeated.
    fn mandatory(&self) -> Option<Mandatory<'a>> {
        let Once { from, to, call_id, cseq, mandatory_repeated, .. } = *self;
        let mandatory = Mandatory { from: from?, to: to?, call_id: call_id?, cseq: cseq? };
        (!mandatory_repeated).then_some(mandatory)
    }
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

fn is_address(value: &[u8]) -> bool {
    text(value).is_some_and(NameAddr::is_well_formed)
}

fn is_call_id(value: &[u8]) -> bool {
    text(value).is_some_and(|text| !text.is_empty())
}

fn read_cseq(value: &[u8]) -> Option<CSeq> {
    CSeq::read(text(value)?).ok()
}
