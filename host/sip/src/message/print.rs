//! Messages as they go on the wire, in one buffer of just their size.

use std::borrow::Cow;

use bytes::Bytes;

use crate::digits::Digits;
use crate::message::{HeaderName, Headers, Request, Response};

/// The parts of `via`, when there are any, make a Via above the other header fields.
pub(super) fn request(request: &Request, via: &[&str]) -> Bytes {
    let start = [request.method.as_str(), " ", &request.uri, " SIP/2.0\r\n"];
    let [name, end] = if via.is_empty() { ["", ""] } else { ["Via: ", "\r\n"] };
    message(&[&start, &[name], via, &[end]], &request.headers, &request.body)
}

pub(super) fn response(response: &Response) -> Bytes {
    let status = Digits::decimal(response.status.code());
    let reason = match memchr::memchr2(b'\r', b'\n', response.reason.as_bytes()) {
        None => Cow::Borrowed(response.reason.as_str()),
        Some(_) => Cow::Owned(response.reason.replace(['\r', '\n'], " ")),
    };
    let start = ["SIP/2.0 ", status.as_str(), " ", &reason, "\r\n"];
    message(&[&start], &response.headers, &response.body)
}

/// `start` is all that stands above the header fields.
fn message(start: &[&[&str]], headers: &Headers, body: &Bytes) -> Bytes {
    let fields = || headers.iter().filter(|(name, _)| **name != HeaderName::ContentLength);
    let length = Digits::decimal(body.len() as u64);
    let end: [&[u8]; 4] = [b"Content-Length: ", length.as_str().as_bytes(), b"\r\n\r\n", body];
    let start = || start.iter().copied().flatten();
    let start_size: usize = start().map(|part| part.len()).sum();
    let end_size: usize = end.iter().map(|part| part.len()).sum();
    let fields_size: usize = fields().map(|(name, value)| name.as_str().len() + value.as_bytes().len() + 4).sum();

    let mut out = Vec::with_capacity(start_size + fields_size + end_size);
    start().for_each(|part| out.extend_from_slice(part.as_bytes()));
    for (name, value) in fields() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    end.iter().for_each(|part| out.extend_from_slice(part));
    Bytes::from(out)
}
