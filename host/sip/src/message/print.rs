//! Messages as they go on the wire, in one buffer.

use std::io::Write;

use bytes::Bytes;

use crate::message::{HeaderName, Headers, Request, Response};

/// Room for the start line's fixed parts and Content-Length, in bytes.
const FIXED_ROOM: usize = 64;

pub(super) fn request(request: &Request) -> Bytes {
    let start = request.method.as_str().len() + request.uri.len();
    let mut out = Vec::with_capacity(start + room_for(&request.headers) + request.body.len());
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.uri.as_bytes());
    out.extend_from_slice(b" SIP/2.0\r\n");
    finish(out, &request.headers, &request.body)
}

pub(super) fn response(response: &Response) -> Bytes {
    let mut out = Vec::with_capacity(response.reason.len() + room_for(&response.headers) + response.body.len());
    out.extend_from_slice(b"SIP/2.0 ");
    write_number(&mut out, usize::from(response.status.code()));
    out.push(b' ');
    out.extend(response.reason.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
    finish(out, &response.headers, &response.body)
}

fn room_for(headers: &Headers) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len() + 4).sum::<usize>() + FIXED_ROOM
}

fn finish(mut out: Vec<u8>, headers: &Headers, body: &Bytes) -> Bytes {
    for (name, value) in headers.iter().filter(|(name, _)| **name != HeaderName::ContentLength) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Content-Length: ");
    write_number(&mut out, body.len());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    Bytes::from(out)
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    write!(out, "{number}").expect("writing to a Vec cannot fail");
}
