//! Our own addresses, and which of them a peer is shown. A face is one address of one socket, as peers reach it.

use plugboard_sip::host::Host;
use plugboard_sip::message::{HeaderName, Request};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::uri::SipUri;
use std::net::SocketAddr;

/// One way to be reached. Its place in the list of faces is the `local` of a [`Destination`].
#[derive(Clone, Debug)]
pub struct Face {
    /// The transport of the socket.
    pub transport: Transport,
    /// The address that the socket is reached at; decides which peers it suits.
    pub address: SocketAddr,
    /// What Via, Contact and Call-ID say: the address, or what the operator advertises instead.
    pub host: Host,
    /// The port that goes with it.
    pub port: u16,
}

impl Face {
    /// `host:port`, as Contact and Via carry it.
    pub fn sent_by(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The Contact that brings requests back to this face: the transport stands in it unless it is what a URI means
    /// without (RFC 3263 §4.1). `secure` is whether the dialog is of `sips:` (RFC 3261 §12.1.1).
    ///
    /// RFC 5630 §3.1.3 would rather have no `transport=tls`; without it the way back would not be by TLS.
    pub fn contact(&self, user: Option<&str>, secure: bool) -> String {
        let (scheme, transport) = match self.transport {
            Transport::Tls if secure => ("sips", ""),
            Transport::Tls => ("sip", ";transport=tls"),
            Transport::Tcp => ("sip", ";transport=tcp"),
            Transport::Udp => ("sip", ""),
        };
        let (user, at) = user.map_or(("", ""), |user| (user, "@"));
        format!("<{scheme}:{user}{at}{}{transport}>", self.sent_by())
    }
}

/// All faces; at most 255.
#[derive(Clone, Debug, Default)]
pub struct Faces(Vec<Face>);

impl Faces {
    /// The faces in the order of preference.
    pub fn new(mut faces: Vec<Face>) -> Self {
        faces.truncate(usize::from(u8::MAX));
        Self(faces)
    }

    /// All of them.
    pub fn all(&self) -> &[Face] {
        &self.0
    }

    /// The face at a place.
    pub fn get(&self, local: u8) -> Option<&Face> {
        self.0.get(usize::from(local))
    }

    /// The face that suits a peer: of its address family, on the loopback for a peer on the loopback and elsewhere
    /// for others, as far as there is one.
    pub fn toward(&self, transport: Transport, remote: SocketAddr) -> Option<Destination> {
        let suits = |face: &Face| face.transport == transport && face.address.is_ipv4() == remote.is_ipv4();
        let near = |face: &Face| face.address.ip().is_loopback() == remote.ip().is_loopback();
        let nearest = self.0.iter().position(|face| suits(face) && near(face));
        let local = nearest.or_else(|| self.0.iter().position(suits))?;
        Some(Destination { transport, remote, local: u8::try_from(local).ok()? })
    }
}

/// The element that a request is sent to first, before its name is looked up (RFC 3263 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The transport that the URI asks for, or that is meant when it asks for none.
    pub transport: Transport,
    /// Whether the URI asks for it.
    pub asked: bool,
    /// Who the peer must prove to be over TLS: the host of the URI (RFC 5922 §7.3).
    pub domain: Host,
    /// Its host.
    pub host: Host,
    /// Its port, or the transport's own.
    pub port: u16,
}

impl NextHop {
    /// From a URI. `None` when it wants a transport that is not served here.
    pub fn of(uri: &SipUri) -> Option<Self> {
        let named = uri.transport().map(|name| Transport::parse(name).ok_or(())).transpose().ok()?;
        let transport = match (uri.secure, named) {
            (true, Some(Transport::Udp)) => return None,
            (true, _) => Transport::Tls, // RFC 3261 §26.2.2: `sips:` with `transport=tcp` is TLS over TCP
            (false, Some(transport)) => transport,
            (false, None) => Transport::Udp,
        };
        let host = match uri.params.get("maddr") {
            Some(maddr) => Host::parse(maddr).ok()?,
            None => uri.host.clone(),
        };
        let (asked, domain) = (named.is_some() || uri.secure, uri.host.clone());
        Some(Self { transport, asked, domain, host, port: uri.port.unwrap_or(transport.default_port()) })
    }

    /// The same, by the transport of the way that the dialog came when it leads there and the URI asks for none: many
    /// phones leave it out of their Contact.
    pub fn along(self, way: Option<&Way>) -> Self {
        let Some(way) = way.filter(|way| !self.asked && way.leads_to(&self)) else { return self };
        let (transport, domain) = (way.destination.transport, way.next_hop.domain.clone());
        Self { transport, domain, port: way.destination.remote.port(), ..self }
    }

    /// Its socket address, when the host is an address already.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.address().map(|ip| SocketAddr::new(ip, self.port))
    }
}

/// The way that the INVITE of a dialog went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What was looked up.
    pub next_hop: NextHop,
    /// What was found.
    pub destination: Destination,
}

impl Way {
    /// Whether a next hop whose URI asks for no transport is the one of this way. Its port may be the default of
    /// another transport then.
    fn leads_to(&self, next_hop: &NextHop) -> bool {
        let remote = self.destination.remote;
        let same_host = next_hop.host == self.next_hop.host || next_hop.host.address() == Some(remote.ip());
        let standard = self.destination.transport.default_port();
        let same_port = next_hop.port == remote.port()
            || (next_hop.port == next_hop.transport.default_port() && remote.port() == standard);
        same_host && same_port
    }
}

/// Whether a request is of a dialog of `sips:`: its Request-URI is one, or the first hop (RFC 3261 §8.1.1.8).
pub(super) fn is_secure(request: &Request) -> bool {
    let is_sips = |text: &str| text.trim_start_matches('<').get(..5).is_some_and(|s| s.eq_ignore_ascii_case("sips:"));
    let route = request.headers.list(&HeaderName::Route).next();
    is_sips(&request.uri) || route.and_then(|route| route.to_text()).is_some_and(|route| is_sips(&route))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugboard_sip::text::Text;

    fn hop(uri: &str) -> Option<NextHop> {
        NextHop::of(&SipUri::parse(&Text::from(uri)).expect("a URI"))
    }

    fn found(uri: &str) -> Option<String> {
        hop(uri).map(|hop| format!("{} {}:{} {}", hop.transport, hop.host, hop.port, hop.domain))
    }

    #[test]
    fn a_uri_says_where_and_how() {
        for (uri, expected) in [
            ("sip:a@h", Some("UDP h:5060 h")),
            ("sip:a@h;transport=TCP", Some("TCP h:5060 h")),
            ("sip:a@h;transport=tls", Some("TLS h:5061 h")),
            ("sips:a@h", Some("TLS h:5061 h")),
            ("sips:a@h:5071;transport=tcp", Some("TLS h:5071 h")),
            ("sips:a@h;maddr=192.0.2.1", Some("TLS 192.0.2.1:5061 h")),
            ("sips:a@h;transport=udp", None),
            ("sip:a@h;transport=sctp", None),
        ] {
            assert_eq!(found(uri).as_deref(), expected, "{uri}");
        }
    }

    #[test]
    fn a_contact_without_transport_is_reached_the_way_the_dialog_came() {
        let remote: SocketAddr = "192.0.2.1:5061".parse().expect("an address");
        let next_hop = hop("sip:p.example;transport=tls").expect("served");
        let way = Way { next_hop, destination: Destination { transport: Transport::Tls, remote, local: 0 } };
        let along = |uri: &str| {
            let hop = hop(uri).expect("served").along(Some(&way));
            format!("{} {}:{} {}", hop.transport, hop.host, hop.port, hop.domain)
        };
        assert_eq!(along("sip:p.example"), "TLS p.example:5061 p.example");
        assert_eq!(along("sip:a@192.0.2.1:5061"), "TLS 192.0.2.1:5061 p.example");
        assert_eq!(along("sip:a@192.0.2.1:5062"), "UDP 192.0.2.1:5062 192.0.2.1");
        assert_eq!(along("sip:p.example;transport=udp"), "UDP p.example:5060 p.example");
    }

    #[test]
    fn a_contact_leads_back_by_the_same_transport() {
        let face = |transport| Face {
            transport,
            address: "192.0.2.1:5060".parse().expect("an address"),
            host: Host::parse(&Text::from("h")).expect("a host"),
            port: 5060,
        };
        assert_eq!(face(Transport::Udp).contact(Some("a"), false), "<sip:a@h:5060>");
        assert_eq!(face(Transport::Tcp).contact(None, false), "<sip:h:5060;transport=tcp>");
        assert_eq!(face(Transport::Tls).contact(Some("a"), false), "<sip:a@h:5060;transport=tls>");
        assert_eq!(face(Transport::Tls).contact(Some("a"), true), "<sips:a@h:5060>");
    }
}
