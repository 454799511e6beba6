//! The start line (RFC 3261 §7.1, §7.2): single spaces, nothing around them.

use bytes::Bytes;

use crate::message::{Method, Status};
use crate::parse::{Limits, ParseErrorKind};
use crate::text::Text;

/// A start line.
pub(super) enum Start {
    Request { method: Method, uri: Text },
    Response { status: Status, reason: Text },
}

/// A start line that breaks the rules.
pub(super) struct BadStart {
    pub(super) kind: ParseErrorKind,
    /// The method, when it is a request that can be answered. Other protocols' requests are not.
    pub(super) method: Option<Method>,
}

pub(super) fn parse(line: Bytes, stray_cr: bool, limits: &Limits) -> Result<Start, BadStart> {
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        let status_line = if stray_cr { Err(ParseErrorKind::StartLine) } else { status_line(&line) };
        return status_line.map_err(|kind| BadStart { kind, method: None });
    }
    let method = first_word(&line);
    request_line(&line, limits)
        .and_then(|uri| {
            let method = method.clone().filter(|_| !stray_cr).ok_or(ParseErrorKind::StartLine)?;
            Ok(Start::Request { method, uri })
        })
        .map_err(|kind| BadStart { kind, method: method.filter(|_| memchr::memmem::find(&line, b"SIP/").is_some()) })
}

fn first_word(line: &Bytes) -> Option<Method> {
    let space = memchr::memchr(b' ', line)?;
    Method::parse(&Text::from_utf8(line.slice(..space))?)
}

/// The Request-URI of a request line. What it says is judged later.
fn request_line(line: &Bytes, limits: &Limits) -> Result<Text, ParseErrorKind> {
    let first = memchr::memchr(b' ', line).ok_or(ParseErrorKind::StartLine)?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first).ok_or(ParseErrorKind::StartLine)?;
    let uri = line.slice(first + 1..last);
    if uri.len() > limits.uri {
        return Err(ParseErrorKind::UriTooLong);
    }
    if line.len() > limits.line {
        return Err(ParseErrorKind::LineTooLong);
    }
    check_version(line.get(last + 1..).unwrap_or_default())?;
    if uri.is_empty() || uri.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
        return Err(ParseErrorKind::StartLine);
    }
    Text::from_utf8(uri).ok_or(ParseErrorKind::StartLine)
}

fn status_line(line: &Bytes) -> Result<Start, ParseErrorKind> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    check_version(parts.next().unwrap_or_default())?;
    let code = parts.next().ok_or(ParseErrorKind::StartLine)?;
    let reason = parts.next().unwrap_or_default();
    let status = match code {
        [hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            let digit = |byte: &u8| u16::from(byte - b'0');
            Status::new(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
        }
        _ => None,
    };
    let status = status.ok_or(ParseErrorKind::StatusCode)?;
    let reason = match reason {
        [] => Text::EMPTY,
        reason => Text::from_utf8(line.slice_ref(reason))
            .unwrap_or_else(|| Text::from(String::from_utf8_lossy(reason).into_owned())),
    };
    Ok(Start::Response { status, reason })
}

/// `SIP/2.0`, in any case (RFC 3261 §7.1).
fn check_version(version: &[u8]) -> Result<(), ParseErrorKind> {
    if version.eq_ignore_ascii_case(b"SIP/2.0") {
        return Ok(());
    }
    let numbers = version.get(..4).filter(|name| name.eq_ignore_ascii_case(b"SIP/")).and(version.get(4..));
    let well_formed = numbers.is_some_and(|numbers| {
        numbers.contains(&b'.') && numbers.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    });
    Err(if well_formed { ParseErrorKind::Version } else { ParseErrorKind::StartLine })
}
