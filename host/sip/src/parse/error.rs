//! Why bytes are no message, and what can still be answered.

use crate::message::{HeaderName, Method, Request, Status};

/// Bytes that are no message we serve. Always the peer's fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// How to answer, when it is a request that could be read far enough. Never for an ACK.
    pub reply: Option<Box<Reply>>,
}

/// The stateless answer that a request is owed although it could not be parsed;
/// [`crate::transaction::stateless_reply`] makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The status to answer with.
    pub status: Status,
    /// The reason phrase to answer with.
    pub reason: &'static str,
    /// What could be read of the request: its Via, From, To, Call-ID and CSeq among the header fields.
    pub request: Request,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but line breaks: a keep-alive (RFC 5626 §3.5.1).
    #[error("no message")]
    Empty,
    /// The first line is neither a request line nor a status line.
    #[error("malformed start line")]
    StartLine,
    /// The version is not SIP/2.0.
    #[error("unsupported version")]
    Version,
    /// The status code is not from 100 to 699.
    #[error("malformed status code")]
    StatusCode,
    /// A line of the head is no header field.
    #[error("malformed header field")]
    Header,
    /// The head does not end.
    #[error("the head does not end")]
    Unfinished,
    /// Content-Length is no number, or there are several.
    #[error("malformed Content-Length")]
    ContentLength,
    /// The body is shorter than Content-Length says.
    #[error("the body is shorter than Content-Length")]
    BodyTooShort,
    /// Larger than [`super::Limits::datagram`].
    #[error("message too large")]
    MessageTooLarge,
    /// The head is larger than [`super::Limits::head`].
    #[error("head too large")]
    HeadTooLarge,
    /// More header fields than [`super::Limits::headers`].
    #[error("too many header fields")]
    TooManyHeaders,
    /// More Via values than [`super::Limits::vias`].
    #[error("too many Via values")]
    TooManyVias,
    /// A header field longer than [`super::Limits::line`].
    #[error("header field too long")]
    LineTooLong,
    /// A Request-URI longer than [`super::Limits::uri`].
    #[error("Request-URI too long")]
    UriTooLong,
}

impl ParseErrorKind {
    /// The answer to a request that has this wrong with it.
    const fn answer(self) -> (Status, &'static str) {
        match self {
            ParseErrorKind::Empty | ParseErrorKind::StartLine => (Status::BAD_REQUEST, "Bad Start Line"),
            ParseErrorKind::StatusCode => (Status::BAD_REQUEST, "Bad Request"),
            ParseErrorKind::Version => (Status::VERSION_NOT_SUPPORTED, "Version Not Supported"),
            ParseErrorKind::Header => (Status::BAD_REQUEST, "Bad Header Field"),
            ParseErrorKind::Unfinished => (Status::BAD_REQUEST, "Unfinished Message"),
            ParseErrorKind::ContentLength => (Status::BAD_REQUEST, "Bad Content-Length"),
            ParseErrorKind::BodyTooShort => (Status::BAD_REQUEST, "Body Too Short"),
            ParseErrorKind::MessageTooLarge | ParseErrorKind::HeadTooLarge => {
                (Status::MESSAGE_TOO_LARGE, "Message Too Large")
            }
            ParseErrorKind::TooManyHeaders => (Status::BAD_REQUEST, "Too Many Header Fields"),
            ParseErrorKind::TooManyVias => (Status::TOO_MANY_HOPS, "Too Many Hops"),
            ParseErrorKind::LineTooLong => (Status::BAD_REQUEST, "Header Field Too Long"),
            ParseErrorKind::UriTooLong => (Status::REQUEST_URI_TOO_LONG, "Request-URI Too Long"),
        }
    }

    /// The error for what could be read of a message; `request` is none for a response.
    pub(super) fn with_request(self, request: Option<Request>) -> ParseError {
        let (status, reason) = self.answer();
        let reply = request
            .filter(|request| request.method != Method::Ack && request.headers.contains(&HeaderName::Via))
            .map(|request| Box::new(Reply { status, reason, request }));
        ParseError { kind: self, reply }
    }
}

impl From<ParseErrorKind> for ParseError {
    fn from(kind: ParseErrorKind) -> ParseError {
        ParseError { kind, reply: None }
    }
}
