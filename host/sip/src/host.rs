//! Hosts: names and addresses (RFC 3261 §25.1 `host`, `hostport`).

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::text::{ByteSet, Text, behind, byte_set, position};

/// The longest host name, in bytes (RFC 1035 §2.3.4, without the final dot).
pub const MAX_HOST_NAME: usize = 254;

/// A host: a name or an address.
#[derive(Clone, Debug, Eq)]
pub enum Host {
    /// A name, as it came; compares in any case.
    Name(Text),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address; in brackets when printed.
    V6(Ipv6Addr),
}

/// A host that breaks the grammar. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed host")]
pub struct InvalidHost;

impl Host {
    /// Parses a host.
    ///
    /// # Errors
    /// When it is neither an address nor made of what names may hold.
    pub fn parse(text: &Text) -> Result<Host, InvalidHost> {
        Host::parse_part(text, text)
    }

    fn parse_part(whole: &Text, part: &str) -> Result<Host, InvalidHost> {
        HostPart::of(part).map(|host| host.own(whole))
    }

    /// Parses `host` or `host:port`, both with white space around the colon.
    #[cfg(test)]
    fn parse_with_port(whole: &Text, part: &str) -> Result<(Host, Option<u16>), InvalidHost> {
        HostPart::with_port(part).map(|(host, port)| (host.own(whole), port))
    }

    /// The host as it prints.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Host::Name(name) => Cow::Borrowed(name),
            Host::V4(_) | Host::V6(_) => {
                let mut text = String::new();
                self.part().push_to(&mut text);
                Cow::Owned(text)
            }
        }
    }

    /// The address, when it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.part().address()
    }

    fn part(&self) -> HostPart<'_> {
        match self {
            Host::Name(name) => HostPart::Name(name),
            Host::V4(address) => HostPart::V4(*address),
            Host::V6(address) => HostPart::V6(*address),
        }
    }
}

/// A host as it stands in a text.
#[derive(Clone, Copy)]
pub(crate) enum HostPart<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostPart<'a> {
    fn of(part: &'a str) -> Result<HostPart<'a>, InvalidHost> {
        if let Some(inner) = behind(part, b'[') {
            let address = inner.strip_suffix(']').and_then(|inner| inner.parse().ok());
            return address.map(HostPart::V6).ok_or(InvalidHost);
        }
        let first = *part.as_bytes().first().ok_or(InvalidHost)?;
        if first.is_ascii_digit()
            && let Ok(address) = part.parse()
        {
            return Ok(HostPart::V4(address));
        }
        static NAME: ByteSet = byte_set!(is_name_byte);
        let well_formed = part.len() <= MAX_HOST_NAME && NAME.holds(part.as_bytes());
        if well_formed && first != b'.' && first != b'-' { Ok(HostPart::Name(part)) } else { Err(InvalidHost) }
    }

    /// `host` or `host:port`, both with white space around the colon.
    pub(crate) fn with_port(part: &'a str) -> Result<(HostPart<'a>, Option<u16>), InvalidHost> {
        // Brackets that stand elsewhere are no part of any host.
        let after_brackets = match behind(part, b'[').is_some() {
            true => part.bytes().rposition(|byte| byte == b']').map_or(0, |bracket| bracket + 1),
            false => 0,
        };
        let tail = part.get(after_brackets..).unwrap_or_default();
        let colon = position(tail.as_bytes(), b':').map(|at| after_brackets + at);
        let (host, port) = match colon.and_then(|colon| part.split_at_checked(colon)) {
            Some((host, port)) => (host, behind(port, b':')),
            None => (part, None),
        };
        let port = port.map(|port| parse_port(port.trim_ascii())).transpose()?;
        Ok((HostPart::of(host.trim_ascii())?, port))
    }

    /// Adds the host as it prints.
    pub(crate) fn push_to(self, out: &mut String) {
        match self {
            HostPart::Name(name) => out.push_str(name),
            HostPart::V4(address) => push_dotted(out, address),
            HostPart::V6(address) => out.push_str(&format!("[{address}]")),
        }
    }

    /// See [`Host::address`].
    pub(crate) fn address(self) -> Option<IpAddr> {
        match self {
            HostPart::Name(_) => None,
            HostPart::V4(address) => Some(IpAddr::V4(address)),
            HostPart::V6(address) => Some(IpAddr::V6(address)),
        }
    }

    /// The host, which shares the buffer of the text that it stands in.
    pub(crate) fn own(self, whole: &Text) -> Host {
        match self {
            HostPart::Name(name) => Host::Name(whole.slice_of(name)),
            HostPart::V4(address) => Host::V4(address),
            HostPart::V6(address) => Host::V6(address),
        }
    }
}

impl PartialEq<HostPart<'_>> for Host {
    fn eq(&self, other: &HostPart<'_>) -> bool {
        match (self, other) {
            (Host::Name(one), HostPart::Name(two)) => one.eq_ignore_ascii_case(two),
            (Host::V4(one), HostPart::V4(two)) => one == two,
            (Host::V6(one), HostPart::V6(two)) => one == two,
            (Host::Name(_) | Host::V4(_) | Host::V6(_), _) => false,
        }
    }
}

/// Underscores are no part of the grammar but of many networks.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn parse_port(text: &str) -> Result<u16, InvalidHost> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().map_err(|_| InvalidHost) } else { Err(InvalidHost) }
}

/// Adds an address as it prints, without brackets.
pub(crate) fn push_address(out: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => push_dotted(out, address),
        IpAddr::V6(address) => out.push_str(&address.to_string()),
    }
}

fn push_dotted(out: &mut String, address: Ipv4Addr) {
    out.reserve("255.255.255.255".len());
    let mut digit = |digit: u8| out.push(char::from(digit));
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            digit(b'.');
        }
        if octet >= 100 {
            digit(b'0' + octet / 100);
        }
        if octet >= 10 {
            digit(b'0' + octet / 10 % 10);
        }
        digit(b'0' + octet % 10);
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Host {
        match address {
            IpAddr::V4(address) => Host::V4(address),
            IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Host) -> bool {
        match (self, other) {
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            (Host::V4(one), Host::V4(two)) => one == two,
            (Host::V6(one), Host::V6(two)) => one == two,
            (Host::Name(_) | Host::V4(_) | Host::V6(_), _) => false,
        }
    }
}

impl std::hash::Hash for Host {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self {
            Host::Name(name) => name.bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase())),
            Host::V4(address) => address.hash(state),
            Host::V6(address) => address.hash(state),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, Option<u16>), InvalidHost> {
        let whole = Text::from(text);
        Host::parse_with_port(&whole, &whole).map(|(host, port)| (host.to_string(), port))
    }

    #[test]
    fn hosts_with_ports() {
        assert_eq!(parse("Example.com"), Ok(("Example.com".into(), None)));
        assert_eq!(parse("192.0.2.1 : 5060"), Ok(("192.0.2.1".into(), Some(5060))));
        assert_eq!(parse("[2001:DB8::1]:65535"), Ok(("[2001:db8::1]".into(), Some(65535))));
        assert_eq!(parse("[::1]"), Ok(("[::1]".into(), None)));
        for bad in ["", "[::1", "::1", "a b", "a:65536", "a:", "a:+1", "-a", "a/b", "[::1]x", "[x]"] {
            assert_eq!(parse(bad), Err(InvalidHost), "{bad}");
        }
    }

    #[test]
    fn names_have_a_longest_length() {
        assert!(parse(&"a".repeat(MAX_HOST_NAME)).is_ok());
        assert_eq!(parse(&"a".repeat(MAX_HOST_NAME + 1)), Err(InvalidHost));
    }

    #[test]
    fn names_compare_in_any_case() {
        let host = |text: &str| Host::parse(&text.into()).expect("well-formed");
        assert_eq!(host("EXAMPLE.com"), host("example.COM"));
        assert_ne!(host("192.0.2.1"), host("example.com"));
    }
}
