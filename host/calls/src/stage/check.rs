//! What a staged value must look like. A guest cannot put a line break, a field of the host's or a method of the
//! transaction layer on the wire.

use crate::contract::*;
use crate::limits::*;
use crate::shard::OWN_OPTION_TAGS;

/// The header fields that the host writes; a guest that stages one is told so.
const RESERVED: [&str; 20] = [
    "Via",
    "Route",
    "Record-Route",
    "Max-Forwards",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Content-Length",
    "Authorization",
    "Proxy-Authorization",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authentication-Info",
    "Proxy-Authentication-Info",
    "RAck",
    "RSeq",
    "Session-Expires",
    "Min-SE",
];

/// The compact forms of the reserved names (RFC 3261 §7.3.3).
const RESERVED_COMPACT: [&str; 7] = ["v", "f", "t", "i", "m", "l", "x"];

/// The header fields whose option tags are looked at, with the compact form of the first.
const OPTIONS: [&str; 3] = ["Supported", "k", "Require"];

pub(super) fn headers(headers: &[Header]) -> Result<(), StageError> {
    if headers.len() > HEADERS_MAX {
        return Err(StageError::OverQuota("headers_per_message"));
    }
    for Header { name, value } in headers {
        if !is_token(name) {
            return Err(StageError::Malformed(format!("header name {name:?} is not a token")));
        }
        if is_reserved(name) {
            return Err(StageError::Reserved(name.clone()));
        }
        if let Some(tag) = reserved_option(name, value) {
            return Err(StageError::Reserved(format!("{name}: {tag}")));
        }
        line(name, value)?;
    }
    Ok(())
}

/// An option tag of an extension that the host serves: whether it is asked for is the host's to say.
fn reserved_option<'v>(name: &str, value: &'v str) -> Option<&'v str> {
    if !OPTIONS.iter().any(|field| field.eq_ignore_ascii_case(name)) {
        return None;
    }
    let is_own = |tag: &&str| OWN_OPTION_TAGS.iter().any(|own| own.eq_ignore_ascii_case(tag));
    value.split(',').map(str::trim).find(is_own)
}

pub(super) fn method(method: &str) -> Result<(), StageError> {
    match method {
        "ACK" | "CANCEL" | "BYE" | "PRACK" => Err(StageError::Reserved(method.to_owned())),
        _ if is_token(method) && method.len() <= 32 => Ok(()),
        _ => Err(StageError::Malformed(format!("method {method:?} is not a token"))),
    }
}

pub(super) fn address(what: &str, address: &Address) -> Result<(), StageError> {
    if let Some(name) = &address.display_name {
        line(what, name)?;
    }
    sip_uri(what, &address.uri)
}

pub(super) fn sip_uri(what: &str, uri: &str) -> Result<(), StageError> {
    line(what, uri)?;
    let sip = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:"));
    match sip {
        Some(rest) if !rest.is_empty() && !uri.contains([' ', '<', '>', '"']) => Ok(()),
        _ => Err(StageError::Malformed(format!("{what}: {uri:?} is not a SIP URI"))),
    }
}

/// A value that stays on its line.
pub(super) fn line(what: &str, value: &str) -> Result<(), StageError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(StageError::Malformed(format!("{what} is longer than {VALUE_BYTES_MAX} bytes")));
    }
    if value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(StageError::Malformed(format!("{what} has a control character")));
    }
    Ok(())
}

pub(super) fn timer_name(name: &str) -> Result<(), StageError> {
    if name.is_empty() || name.len() > TIMER_NAME_BYTES_MAX {
        return Err(StageError::Malformed(format!("a timer name has 1 to {TIMER_NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

pub(super) fn cache_key(key: &str) -> Result<(), StageError> {
    if key.is_empty() || key.len() > CACHE_KEY_BYTES_MAX {
        return Err(StageError::Malformed(format!("a cache key has 1 to {CACHE_KEY_BYTES_MAX} bytes")));
    }
    Ok(())
}

pub(super) fn http_response(response: &HttpResponse) -> Result<(), StageError> {
    if !(200..=599).contains(&response.status) {
        return Err(StageError::Malformed(format!("status {} is not within 200 to 599", response.status)));
    }
    if response.headers.len() > HEADERS_MAX {
        return Err(StageError::OverQuota("headers_per_message"));
    }
    for Header { name, value } in &response.headers {
        if !is_token(name) {
            return Err(StageError::Malformed(format!("header name {name:?} is not a token")));
        }
        line(name, value)?;
        let own = ["connection", "content-length", "transfer-encoding", "date", "upgrade", "keep-alive"];
        if own.iter().any(|o| o.eq_ignore_ascii_case(name)) {
            return Err(StageError::Reserved(name.clone()));
        }
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().chain(&RESERVED_COMPACT).any(|r| r.eq_ignore_ascii_case(name))
}

/// RFC 3261 §25.1: token
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b))
}
