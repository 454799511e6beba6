//! URIs (RFC 3261 §19.1). SIP and SIPS URIs are taken apart; any other is kept whole.
//!
//! Own parsing instead of rsip's, whose URIs are not safe to route by: 0.4 takes `sip:user;par=x@host` for the host
//! `user`, reads no IPv6 address, makes `tel:1` of `tel:+1`, refuses transports that it does not know, and passes over
//! what it cannot read at the end. Via and addresses stand on the same code there.

use std::fmt;

use crate::digits::Digits;
use crate::host::{Host, HostPart};
use crate::params::{self, Params};
use crate::text::{ByteSet, Text, byte_set, position, split_before, split_once};

/// A URI of any scheme.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`.
    Sip(SipUri),
    /// Any other, such as `tel:`, as it came.
    Other(Text),
}

/// A SIP or SIPS URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// Whether it is `sips`.
    pub secure: bool,
    /// The user part as it came, with its escapes; [`unescape`] gives the name.
    pub user: Option<Text>,
    /// The password as it came. RFC 3261 §19.1.1 advises against it.
    pub password: Option<Text>,
    /// The host.
    pub host: Host,
    /// The port, when one is given.
    pub port: Option<u16>,
    /// The parameters: `transport`, `lr`, `maddr`, `method` and others.
    pub params: Params,
    /// What stands behind the question mark, as it came.
    pub headers: Option<Text>,
}

/// A URI that breaks the grammar. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed URI")]
pub struct InvalidUri;

impl Uri {
    /// Parses a URI of any scheme.
    ///
    /// # Errors
    /// When there is no scheme, the text holds white space, quotes or angle brackets, or a SIP URI is malformed.
    pub fn parse(text: &Text) -> Result<Uri, InvalidUri> {
        Uri::parse_part(text, text)
    }

    pub(crate) fn parse_part(whole: &Text, part: &str) -> Result<Uri, InvalidUri> {
        Ok(match Parts::of(part)? {
            Parts::Sip(uri) => Uri::Sip(SipUri {
                secure: uri.secure,
                user: uri.user.map(|user| whole.slice_of(user)),
                password: uri.password.map(|password| whole.slice_of(password)),
                host: uri.host.own(whole),
                port: uri.port,
                params: Params::parse_part(whole, uri.params).map_err(|_| InvalidUri)?,
                headers: uri.headers.map(|headers| whole.slice_of(headers)),
            }),
            Parts::Other => Uri::Other(whole.slice_of(part)),
        })
    }

    /// The SIP URI, when it is one.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Uri::Sip(uri) => Some(uri),
            Uri::Other(_) => None,
        }
    }
}

impl SipUri {
    /// A URI without user, parameters and headers.
    pub fn new(host: Host) -> SipUri {
        SipUri { secure: false, user: None, password: None, host, port: None, params: Params::new(), headers: None }
    }

    /// Parses a SIP or SIPS URI.
    ///
    /// # Errors
    /// When it is malformed or of another scheme.
    pub fn parse(text: &Text) -> Result<SipUri, InvalidUri> {
        match Uri::parse(text)? {
            Uri::Sip(uri) => Ok(uri),
            Uri::Other(_) => Err(InvalidUri),
        }
    }

    /// The `transport` parameter.
    pub fn transport(&self) -> Option<&Text> {
        self.params.get("transport")
    }

    /// Whether it is a loose router (RFC 3261 §16.12.1.1).
    pub fn is_loose(&self) -> bool {
        self.params.contains("lr")
    }
}

/// A URI as it stands in a text.
pub(crate) enum Parts<'a> {
    Sip(SipParts<'a>),
    Other,
}

/// A SIP or SIPS URI as it stands in a text, its parameters not looked into.
pub(crate) struct SipParts<'a> {
    secure: bool,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: HostPart<'a>,
    port: Option<u16>,
    params: &'a str,
    pub(crate) headers: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Parts<'a>, InvalidUri> {
        static URI: ByteSet = byte_set!(is_uri_byte);
        let (scheme, rest) = split_once(text, b':').ok_or(InvalidUri)?;
        if !is_scheme(scheme) || rest.is_empty() || !URI.holds(rest.as_bytes()) {
            return Err(InvalidUri);
        }
        if scheme.eq_ignore_ascii_case("sip") {
            SipParts::behind_scheme(rest, false).map(Parts::Sip)
        } else if scheme.eq_ignore_ascii_case("sips") {
            SipParts::behind_scheme(rest, true).map(Parts::Sip)
        } else {
            Ok(Parts::Other)
        }
    }

    /// Whether the parameters can be read too.
    pub(crate) fn is_well_formed(&self) -> bool {
        match self {
            Parts::Sip(uri) => params::are_well_formed(uri.params),
            Parts::Other => true,
        }
    }
}

impl<'a> SipParts<'a> {
    fn behind_scheme(rest: &'a str, secure: bool) -> Result<SipParts<'a>, InvalidUri> {
        // An unescaped @ can stand nowhere else (RFC 3261 §25.1), while ; and ? can be part of the user.
        let (userinfo, rest) = match split_once(rest, b'@') {
            Some((userinfo, rest)) => (Some(userinfo), rest),
            None => (None, rest),
        };
        if position(rest.as_bytes(), b'@').is_some() || userinfo.is_some_and(str::is_empty) {
            return Err(InvalidUri);
        }
        let (user, password) = match userinfo.and_then(|userinfo| split_once(userinfo, b':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (userinfo, None),
        };
        let (rest, headers) = match split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (hostport, params) = split_before(rest, b';');
        let (host, port) = HostPart::with_port(hostport).map_err(|_| InvalidUri)?;
        Ok(SipParts { secure, user, password, host, port, params, headers })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uri::Sip(uri) => uri.fmt(f),
            Uri::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                f.write_str(password)?;
            }
            f.write_str("@")?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            f.write_str(":")?;
            f.write_str(Digits::decimal(port).as_str())?;
        }
        self.params.fmt(f)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Uri {
        Uri::Sip(uri)
    }
}

/// Whether a scheme is of its form (RFC 3261 §25.1 `scheme`).
fn is_scheme(scheme: &str) -> bool {
    let mut bytes = scheme.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Liberal: what the grammar wants escaped is let through as long as nothing can be mistaken for the end of the URI.
const fn is_uri_byte(byte: u8) -> bool {
    !byte.is_ascii_control() && !matches!(byte, b' ' | b'"' | b'<' | b'>')
}

/// Replaces `%HH` by the bytes that they stand for. An escape that is none stays as it is; bytes that are not UTF-8
/// are replaced.
pub fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(hex_value(*high) << 4 | hex_value(*low));
                rest = tail;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Escapes what the user part of a URI may not hold unescaped (RFC 3261 §25.1 `user`).
pub fn escape_user(text: &str) -> String {
    escape(text, b"-_.!~*'()&=+$,;?/")
}

/// Escapes what the value of a header field in a URI may not hold unescaped (RFC 3261 §25.1 `hvalue`).
pub fn escape_header(text: &str) -> String {
    escape(text, b"-_.!~*'()[]/?:+$")
}

fn escape(text: &str, marks: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || marks.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip(text: &str) -> SipUri {
        SipUri::parse(&text.into()).expect("well-formed")
    }

    #[test]
    fn what_is_printed_is_what_came() {
        for text in [
            "sip:example.com",
            "sips:alice:secret@[2001:db8::1]:5061;transport=tls;lr",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
            "sip:user;par=u%40example.net@example.com",
            "sip:sips%3Auser%40example.com@example.net",
            "sip:+19725552222@gw1.example.net;unknownparam",
            "sip:bob@h;transport=UNKNOWN;method=NEW?X-ConfPin=1&Subject=a%20b",
            "tel:+1-201-555-0123;phone-context=example.com",
            "soap.beep://192.0.2.103:3002",
        ] {
            assert_eq!(Uri::parse(&text.into()).expect(text).to_string(), text);
        }
    }

    #[test]
    fn the_parts() {
        let uri = sip("SIPS:al%69ce:pw@Example.com:5062;lr;transport=tcp?Subject=x");
        assert!(uri.secure && uri.is_loose());
        assert_eq!(uri.user.as_deref().map(unescape).as_deref(), Some("alice"));
        assert_eq!(uri.password.as_deref(), Some("pw"));
        assert_eq!(uri.port, Some(5062));
        assert_eq!(uri.transport().map(Text::as_str), Some("tcp"));
        assert_eq!(uri.headers.as_deref(), Some("Subject=x"));
    }

    #[test]
    fn what_is_no_uri() {
        for bad in ["", "sip:", "alice", ":x", "1a:b", "sip:@h", "sip:a@b@c", "sip:a@", "sip:a b@h", "<sip:a@h>"] {
            assert_eq!(Uri::parse(&bad.into()), Err(InvalidUri), "{bad}");
        }
        for bad in ["sip:a@h;", "sip:a@h; lr", "sip:a@h:", "sip:a@h:99999", "sip:a@h\r\nX: y"] {
            assert_eq!(Uri::parse(&bad.into()), Err(InvalidUri), "{bad}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape("%75se%72%00"), "user\0");
        assert_eq!(unescape("%Z%45%"), "%ZE%");
        assert_eq!(unescape("%C3%BC%ff"), "\u{fc}\u{fffd}");
        assert_eq!(escape_user("a b@c%"), "a%20b%40c%25");
        assert_eq!(escape_header("a@b;to-tag=1&x"), "a%40b%3Bto-tag%3D1%26x");
        assert_eq!(unescape(&escape_user("J\u{fc}rgen #1")), "J\u{fc}rgen #1");
    }
}
