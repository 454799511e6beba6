//! SIP messages as values (RFC 3261 §7).
//!
//! A parsed message shares the buffer of its datagram: header values and the body are slices of it. Values may hold
//! any bytes but line breaks, so what is not UTF-8 survives parsing and printing.

mod header_name;
mod headers;
mod method;
mod print;
mod status;
mod typed;
mod value;

use bytes::Bytes;

pub use header_name::HeaderName;
pub use headers::Headers;
pub use method::Method;
pub use status::Status;
pub use typed::HeaderError;
pub use value::{LineBreak, Value};

use crate::text::Text;

/// A request or a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// The header fields of either.
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }

    /// The body of either.
    pub fn body(&self) -> &Bytes {
        match self {
            Message::Request(request) => &request.body,
            Message::Response(response) => &response.body,
        }
    }

    /// The message as it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }
}

/// A request (RFC 3261 §7.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The Request-URI as it stands on the wire; [`crate::Uri::parse`] gives its parts.
    pub uri: Text,
    /// The header fields, in order. Content-Length among them is ignored when printing: it is computed.
    pub headers: Headers,
    /// The body, as bytes.
    pub body: Bytes,
}

impl Request {
    /// A request without header fields and body.
    pub fn new(method: Method, uri: impl Into<Text>) -> Request {
        Request { method, uri: uri.into(), headers: Headers::new(), body: Bytes::new() }
    }

    /// The request as it goes on the wire, with the Content-Length of its body.
    pub fn to_bytes(&self) -> Bytes {
        print::request(self, &[])
    }

    /// The same with the Via of these parts on top, which must hold no line break.
    pub(crate) fn to_bytes_below(&self, via: &[&str]) -> Bytes {
        print::request(self, via)
    }
}

/// A response (RFC 3261 §7.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: Status,
    /// The reason phrase; may be empty. Bytes that were not UTF-8 are replaced.
    pub reason: Text,
    /// The header fields, in order. Content-Length among them is ignored when printing: it is computed.
    pub headers: Headers,
    /// The body, as bytes.
    pub body: Bytes,
}

impl Response {
    /// A response without header fields and body.
    pub fn new(status: Status, reason: impl Into<Text>) -> Response {
        Response { status, reason: reason.into(), headers: Headers::new(), body: Bytes::new() }
    }

    /// The response to a request (RFC 3261 §8.2.6.2): Via, From, To, Call-ID and CSeq are the request's. The To tag is
    /// added unless the request has one already or the status is 100. Record-Route is copied into 101 to 299, which
    /// may set up a dialog (RFC 3261 §12.1.1).
    pub fn to(request: &Request, status: Status, reason: impl Into<Text>, to_tag: &str) -> Response {
        let mut response = Response::new(status, reason);
        response.headers = typed::response_headers(request, status, to_tag);
        response
    }

    /// The response as it goes on the wire, with the Content-Length of its body.
    pub fn to_bytes(&self) -> Bytes {
        print::response(self)
    }
}
