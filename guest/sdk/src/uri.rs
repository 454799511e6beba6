//! Addresses as header fields carry them, taken apart as far as a controller wants to know (RFC 3261 §19.1.1, §25.1:
//! `name-addr`, `addr-spec`).

use crate::percent;

/// The URI of a header field such as Refer-To or Referred-By, without the display name and the field's parameters.
/// None when there is none.
pub fn of_field(value: &str) -> Option<&str> {
    let value = value.trim();
    let quoted = value.strip_prefix('"').map(|rest| rest.len() - after_quotes(rest).len() + 1).unwrap_or(0);
    let (_, unquoted) = value.split_at_checked(quoted)?;
    let uri = match unquoted.split_once('<') {
        Some((_, rest)) => rest.split_once('>')?.0,
        // Without brackets, what follows a semicolon belongs to the field.
        None => unquoted.split(';').next()?,
    };
    Some(uri.trim()).filter(|uri| !uri.is_empty())
}

/// What stands behind the closing quotation mark.
fn after_quotes(text: &str) -> &str {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

/// A SIP or SIPS URI in its parts, each as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SipUri<'a> {
    /// `sip` or `sips`, in any case.
    pub scheme: &'a str,
    /// `alice@example.com:5060`: what stands between the scheme and the first parameter.
    pub address: &'a str,
    parameters: &'a str,
    headers: &'a str,
}

impl<'a> SipUri<'a> {
    /// Takes a URI apart; none when it is of another scheme or names no host.
    pub fn parse(uri: &'a str) -> Option<Self> {
        let (scheme, rest) = uri.split_once(':')?;
        if !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips") {
            return None;
        }
        // A user part may have a semicolon or question mark in it.
        let user = rest.find('@').map_or(0, |at| at + 1);
        let host = user + rest[user..].find([';', '?']).unwrap_or(rest.len() - user);
        let (parameters, headers) = rest[host..].split_once('?').unwrap_or((&rest[host..], ""));
        let named = host > user && !rest[..host].contains([' ', '<', '>', '"']);
        named.then_some(Self {
            scheme,
            address: &rest[..host],
            parameters: parameters.trim_start_matches(';'),
            headers,
        })
    }

    /// The value of a parameter; empty for one without a value.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.parameters.split(';').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The decoded value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<String> {
        let headers = percent::query(self.headers)?;
        headers.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The URI as a request can go to it: without headers, and without a `method` parameter (RFC 3261 §19.1.1, table 1).
    pub fn target(&self) -> String {
        let mut target = format!("{}:{}", self.scheme.to_ascii_lowercase(), self.address);
        for parameter in self.parameters.split(';').filter(|parameter| !parameter.is_empty()) {
            let name = parameter.split('=').next().unwrap_or(parameter);
            if !name.eq_ignore_ascii_case("method") {
                target.push(';');
                target.push_str(parameter);
            }
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uri_of_a_field_stands_in_brackets_or_alone() {
        assert_eq!(of_field("<sip:a@b;lr?x=y>;z=1"), Some("sip:a@b;lr?x=y"));
        assert_eq!(of_field("\"A \\\"<x>\\\"\" <sip:a@b>"), Some("sip:a@b"));
        assert_eq!(of_field("Alice <sip:a@b>"), Some("sip:a@b"));
        assert_eq!(of_field(" sip:a@b;tag=1"), Some("sip:a@b"));
        for bad in ["", "<sip:a@b", "\"x", "<>", "\"ü"] {
            assert_eq!(of_field(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_uri_is_taken_apart() {
        let uri =
            SipUri::parse("SIP:a;b@x:5070;transport=tcp;METHOD=BYE;lr?Replaces=1%3Bto-tag%3D2&X=%41").expect("fine");
        assert_eq!((uri.scheme, uri.address), ("SIP", "a;b@x:5070"));
        assert_eq!((uri.parameter("method"), uri.parameter("lr"), uri.parameter("x")), (Some("BYE"), Some(""), None));
        assert_eq!(uri.header("replaces").as_deref(), Some("1;to-tag=2"));
        assert_eq!(uri.target(), "sip:a;b@x:5070;transport=tcp;lr");
        assert_eq!(SipUri::parse("sips:x").map(|uri| uri.target()), Some("sips:x".to_string()));
        for bad in ["tel:+49", "a@b", "sip:", "sip:a@", "sip:;lr", "sip:a b@c"] {
            assert_eq!(SipUri::parse(bad), None, "{bad}");
        }
    }
}
