//! Messages as they go on the wire, in one buffer of just their size.

use std::borrow::Cow;

use bytes::Bytes;

use crate::digits::Digits;
use crate::message::{HeaderName, Headers, Request, Response};

/// `via` stands above the other header fields.
pub(super) fn request(request: &Request, via: Option<&str>) -> Bytes {
    let via = via.map_or(["", "", ""], |via| ["Via: ", via, "\r\n"]);
    let [method, uri] = [request.method.as_str(), request.uri.as_str()];
    let start = [method, " ", uri, " SIP/2.0\r\n", via[0], via[1], via[2]];
    message(&start.map(str::as_bytes), &request.headers, &request.body)
}

pub(super) fn response(response: &Response) -> Bytes {
    let status = Digits::decimal(response.status.code());
    let reason = match memchr::memchr2(b'\r', b'\n', response.reason.as_bytes()) {
        None => Cow::Borrowed(response.reason.as_str()),
        Some(_) => Cow::Owned(response.reason.replace(['\r', '\n'], " ")),
    };
    let start = ["SIP/2.0 ", status.as_str(), " ", &reason, "\r\n"];
    message(&start.map(str::as_bytes), &response.headers, &response.body)
}

/// `start` is all that stands above the header fields.
fn message(start: &[&[u8]], headers: &Headers, body: &Bytes) -> Bytes {
    let fields = || headers.iter().filter(|(name, _)| **name != HeaderName::ContentLength);
    let length = Digits::decimal(body.len() as u64);
    let end: [&[u8]; 4] = [b"Content-Length: ", length.as_str().as_bytes(), b"\r\n\r\n", body];
    let size_of = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum::<usize>();
    let fields_size: usize = fields().map(|(name, value)| name.as_str().len() + value.as_bytes().len() + 4).sum();

    let mut out = Vec::with_capacity(size_of(start) + fields_size + size_of(&end));
    start.iter().for_each(|part| out.extend_from_slice(part));
    for (name, value) in fields() {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    end.iter().for_each(|part| out.extend_from_slice(part));
    Bytes::from(out)
}
