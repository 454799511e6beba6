//! Header fields and the short answers that guests give over HTTP.

use crate::{Header, HttpResponse};

/// One header field.
pub fn header(name: &str, value: impl Into<String>) -> Header {
    Header { name: name.into(), value: value.into() }
}

/// The first header field of this name, in any case (RFC 3261 §7.3.1).
pub fn find<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}

/// The value of a header field without its parameters: what stands before the first semicolon.
pub fn without_parameters(value: &str) -> &str {
    // Values are short: looking at each byte is cheaper than setting up the search of `split`.
    let end = value.bytes().position(|byte| byte == b';').unwrap_or(value.len());
    value[..end].trim()
}

/// An HTTP response with a one-line reason as `text/plain`; an empty reason makes an empty body without a type.
pub fn text(status: u16, reason: &str) -> HttpResponse {
    if reason.is_empty() {
        return HttpResponse { status, headers: Vec::new(), body: Vec::new() };
    }
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).chain(['\n']).collect();
    HttpResponse { status, headers: vec![header("content-type", "text/plain; charset=utf-8")], body: line.into_bytes() }
}

/// A Reason header field for the CANCEL or BYE of a leg (RFC 3326 §2).
pub fn reason(status: u16, phrase: &str) -> Header {
    let phrase: String = phrase.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect();
    header("Reason", format!("SIP;cause={status};text=\"{phrase}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_and_cannot_break_its_quotes() {
        assert_eq!(text(404, "no\r\nuser").body, b"no  user\n");
        assert_eq!(reason(486, "Busy \"Here\"\r\n").value, "SIP;cause=486;text=\"Busy Here\"");
    }

    #[test]
    fn names_are_found_in_any_case() {
        let headers = [header("content-type", "application/sdp")];
        assert_eq!(find(&headers, "Content-Type"), Some("application/sdp"));
        assert_eq!(find(&headers, "Event"), None);
    }

    #[test]
    fn a_value_ends_at_its_parameters() {
        assert_eq!(without_parameters("refer ;id=2;x"), "refer");
        assert_eq!(without_parameters("application/sdp"), "application/sdp");
        assert_eq!(without_parameters(";"), "");
    }
}
