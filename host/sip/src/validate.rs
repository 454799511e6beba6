//! Whether a parsed message keeps the rules that every element must check (RFC 3261 §8.1.1, §8.2, §16.3, §18.1.2).

use crate::message::{Request, Response, Status};

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
    let _ = request;
    Ok(())
}

/// Holds a response against the rules.
///
/// # Errors
/// With why it must be dropped.
pub fn check_response(response: &Response) -> Result<(), Discard> {
    let _ = response;
    Ok(())
}

/// What a user agent serves; see [`unsupported`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Served<'a> {
    /// Option tags that a request may require.
    pub option_tags: &'a [&'a str],
    /// Media types, `type/subtype`, that the body of an INVITE may have.
    pub media_types: &'a [&'a str],
}

/// What a request asks for that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// The scheme of the Request-URI: 416 (RFC 3261 §8.2.2.1).
    Scheme,
    /// Option tags in Require: 420 with these in Unsupported (RFC 3261 §8.2.2.3).
    Extensions(Vec<String>),
    /// The media type of the body: 415 with Accept (RFC 3261 §8.2.3).
    MediaType,
    /// The encoding of the body: 415 with Accept-Encoding (RFC 3261 §8.2.3).
    ContentEncoding,
}

/// Looks for what a request asks for that is not served, in the order of RFC 3261 §8.2. Not for ACK and CANCEL, which
/// are not refused in this way.
pub fn unsupported(request: &Request, served: &Served<'_>) -> Option<Unsupported> {
    let _ = (request, served);
    None
}
