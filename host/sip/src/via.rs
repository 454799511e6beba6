//! Via (RFC 3261 §20.42) with `rport` (RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::digits::Digits;
use crate::host::{Host, HostPart, push_address};
use crate::params::{self, Params};
use crate::text::{Text, is_token, split_before, split_once};
use crate::transport::Transport;

/// What a branch starts with that is unique (RFC 3261 §8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// Room for what most Vias have besides their parameters, and get when they are stamped, in bytes.
const USUAL_BYTES: usize = 80;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// The protocol version; `2.0`.
    pub version: Text,
    /// The transport as it came; may be one that is not served here.
    pub transport: Text,
    /// The host of sent-by.
    pub host: Host,
    /// The port of sent-by, when one is given.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `maddr`, `ttl` and others.
    pub params: Params,
}

/// A Via that breaks the grammar. The fault of whoever made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed Via")]
pub struct InvalidVia;

impl Via {
    /// Our own Via for a request: with the branch, and asking for `rport` (RFC 3581 §3).
    pub fn new(transport: Transport, host: Host, port: Option<u16>, branch: &str) -> Via {
        let mut params = Params::new();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Via { version: Text::from_static("2.0"), transport: Text::from_static(transport.as_str()), host, port, params }
    }

    /// Parses one Via value. White space may stand around each separator.
    ///
    /// # Errors
    /// When it breaks the grammar.
    pub fn parse(text: &Text) -> Result<Via, InvalidVia> {
        let Parts { version, transport, host, port, params } = Parts::of(text)?;
        Ok(Via {
            version: text.slice_of(version),
            transport: text.slice_of(transport),
            host: host.own(text),
            port,
            params: Params::parse_part(text, params).map_err(|_| InvalidVia)?,
        })
    }

    /// The `branch`.
    pub fn branch(&self) -> Option<&Text> {
        self.params.get("branch")
    }

    /// The `branch`, when it is one of RFC 3261: it begins with the cookie, and something follows.
    pub fn unique_branch(&self) -> Option<&Text> {
        self.branch().filter(|branch| is_unique(branch))
    }

    /// The address in `received`. IPv6 is read with and without brackets.
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.get("received")?;
        text.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The port in `rport`; none too when it has no value.
    pub fn rport(&self) -> Option<u16> {
        self.params.get("rport")?.parse().ok()
    }

    /// Notes where the request came from (RFC 3261 §18.2.1, RFC 3581 §4): `received` when the host of sent-by is
    /// another or `rport` is asked for, and the port in `rport` when that is there.
    pub fn stamp(&mut self, source: SocketAddr) {
        let asks_for_rport = self.params.contains("rport");
        if asks_for_rport {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        if wants_received(asks_for_rport, self.host.address(), source) {
            self.params.set("received", Some(&source.ip().to_string()));
        } else {
            self.params.remove("received");
        }
    }
}

/// A Via as it stands in a text, its parameters not looked into.
pub(crate) struct Parts<'a> {
    pub(crate) version: &'a str,
    pub(crate) transport: &'a str,
    pub(crate) host: HostPart<'a>,
    pub(crate) port: Option<u16>,
    pub(crate) params: &'a str,
}

/// A Via as it stands in a text whose parameters were read too.
pub(crate) struct Checked<'a> {
    pub(crate) parts: Parts<'a>,
    /// The `branch`.
    pub(crate) branch: Option<&'a str>,
    /// Whether there is an `rport`, with or without a value.
    pub(crate) asks_for_rport: bool,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Result<Parts<'a>, InvalidVia> {
        let (protocol, rest) = split_once(text, b'/').ok_or(InvalidVia)?;
        let (version, rest) = split_once(rest, b'/').ok_or(InvalidVia)?;
        let (protocol, version, rest) = (protocol.trim_ascii(), version.trim_ascii(), rest.trim_ascii());
        let blank = rest.bytes().position(|byte| matches!(byte, b' ' | b'\t')).ok_or(InvalidVia)?;
        let (transport, rest) = rest.split_at_checked(blank).ok_or(InvalidVia)?;
        if !protocol.eq_ignore_ascii_case("SIP") || !is_token(version.as_bytes()) || !is_token(transport.as_bytes()) {
            return Err(InvalidVia);
        }
        let (sent_by, params) = split_before(rest, b';');
        let (host, port) = HostPart::with_port(sent_by.trim_ascii()).map_err(|_| InvalidVia)?;
        Ok(Parts { version, transport, host, port, params })
    }

    /// The `branch`.
    pub(crate) fn branch(&self) -> Option<&'a str> {
        params::get(self.params, "branch")
    }

    /// Reads the parameters too.
    pub(crate) fn checked(self) -> Result<Checked<'a>, InvalidVia> {
        let (mut branch, mut asks_for_rport) = (None, false);
        for param in params::parts(self.params) {
            let (name, value) = param.map_err(|_| InvalidVia)?;
            if name.eq_ignore_ascii_case("branch") {
                branch.get_or_insert(value);
            }
            asks_for_rport |= name.eq_ignore_ascii_case("rport");
        }
        Ok(Checked { parts: self, branch: branch.flatten(), asks_for_rport })
    }
}

impl<'a> Checked<'a> {
    /// See [`Via::unique_branch`].
    pub(crate) fn unique_branch(&self) -> Option<&'a str> {
        self.branch.filter(|branch| is_unique(branch))
    }

    /// The text of the Via once it was stamped, as [`Via::stamp`] does it: without the way round by a typed one.
    pub(crate) fn stamped(&self, source: SocketAddr) -> String {
        let Parts { version, transport, host, port, params } = self.parts;
        let wants_received = wants_received(self.asks_for_rport, host.address(), source);
        let mut rport = self.asks_for_rport.then_some(source.port());
        let mut received = wants_received.then_some(source.ip());

        let mut out = String::with_capacity(USUAL_BYTES + params.len());
        ["SIP/", version, "/", transport, " "].iter().for_each(|part| out.push_str(part));
        host.push_to(&mut out);
        if let Some(port) = port {
            out.push(':');
            out.push_str(Digits::decimal(port).as_str());
        }
        for (name, value) in params::parts(params).map_while(Result::ok) {
            let is_received = name.eq_ignore_ascii_case("received");
            if is_received && !wants_received {
                continue;
            }
            out.push(';');
            out.push_str(name);
            if let Some(address) = received.take_if(|_| is_received) {
                out.push('=');
                push_address(&mut out, address);
            } else if let Some(port) = rport.take_if(|_| name.eq_ignore_ascii_case("rport")) {
                out.push('=');
                out.push_str(Digits::decimal(port).as_str());
            } else if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
        }
        if let Some(address) = received {
            out.push_str(";received=");
            push_address(&mut out, address);
        }
        out
    }
}

/// Whether `received` is to be there (RFC 3261 §18.2.1, RFC 3581 §4).
fn wants_received(asks_for_rport: bool, host: Option<IpAddr>, source: SocketAddr) -> bool {
    asks_for_rport || host != Some(source.ip())
}

/// Whether a branch is one of RFC 3261.
fn is_unique(branch: &str) -> bool {
    has_cookie(branch) && branch.len() > BRANCH_COOKIE.len()
}

/// Whether a branch begins with the cookie. The case does not matter: some write it in another.
pub(crate) fn has_cookie(branch: &str) -> bool {
    branch.get(..BRANCH_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(BRANCH_COOKIE))
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in ["SIP/", &self.version, "/", &self.transport, " "] {
            f.write_str(part)?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            f.write_str(":")?;
            f.write_str(Digits::decimal(port).as_str())?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(text: &str) -> Via {
        Via::parse(&text.into()).expect("well-formed")
    }

    #[test]
    fn spaces_anywhere() {
        let found = via("SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8");
        assert_eq!(found.to_string(), "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8");
        assert_eq!(via("SIP/2.0/UDP [::1] : 5070;rport").to_string(), "SIP/2.0/UDP [::1]:5070;rport");
    }

    #[test]
    fn what_is_no_via() {
        for bad in ["", "SIP/2.0/UDP", "SIP/2.0 host", "SIP/2.0/UDP h;;", "HTTP/2.0/UDP h", "SIP/2.0/UDP h x"] {
            assert_eq!(Via::parse(&bad.into()), Err(InvalidVia), "{bad}");
        }
    }

    #[test]
    fn a_branch_needs_more_than_the_cookie() {
        assert_eq!(via("SIP/2.0/UDP h;branch=z9hG4bK").unique_branch(), None);
        assert_eq!(via("SIP/2.0/UDP h;branch=1").unique_branch(), None);
        assert_eq!(via("SIP/2.0/UDP h;branch=Z9HG4bKx").unique_branch().map(Text::as_str), Some("Z9HG4bKx"));
    }

    #[test]
    fn stamping() {
        let source: SocketAddr = "192.0.2.7:1234".parse().expect("an address");
        for (text, expected) in [
            ("SIP/2.0/UDP 192.0.2.7", "SIP/2.0/UDP 192.0.2.7"),
            ("SIP/2.0/UDP 192.0.2.7;received=10.0.0.1", "SIP/2.0/UDP 192.0.2.7"),
            ("SIP/2.0/UDP 10.0.0.1;branch=1", "SIP/2.0/UDP 10.0.0.1;branch=1;received=192.0.2.7"),
            ("SIP/2.0/UDP 192.0.2.7;rport", "SIP/2.0/UDP 192.0.2.7;rport=1234;received=192.0.2.7"),
        ] {
            let mut found = via(text);
            found.stamp(source);
            assert_eq!(found.to_string(), expected);
            found.stamp(source);
            assert_eq!(found.to_string(), expected, "stamping twice changes nothing");
        }
    }

    #[test]
    fn a_text_is_stamped_as_the_typed_one_is() {
        for source in ["192.0.2.107:1234", "10.20.0.255:5", "[2001:db8::1]:65535"] {
            let source: SocketAddr = source.parse().expect("an address");
            for text in [
                "SIP/2.0/UDP 192.0.2.107",
                "SIP / 2.0 / TLS  Phone.example : 05060 ; x = \"a;b\" ;branch=z9hG4bK1",
                "SIP/2.0/UDP 10.20.0.255;received=1.2.3.4;branch=1;RECEIVED=x",
                "SIP/2.0/UDP 10.20.0.255;rport;Received;branch=1;received=x;rport=2",
                "SIP/2.0/UDP [2001:DB8:0::1]:5;received=1.2.3.4",
                "SIP/2.0/WS h;RPort=9;lr",
            ] {
                let mut typed = via(text);
                typed.stamp(source);
                let stamped = Parts::of(text).and_then(Parts::checked).map(|via| via.stamped(source));
                assert_eq!(stamped, Ok(typed.to_string()), "{text}");
            }
        }
    }
}
