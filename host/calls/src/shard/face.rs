//! Our own addresses, and which of them a peer is shown. A face is one address of one socket, as peers reach it.

use plugboard_sip::digits::Digits;
use plugboard_sip::host::Host;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Request};
use plugboard_sip::text::Text;
use plugboard_sip::transport::{Destination, Transport};
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
        [&*self.host.to_text(), ":", Digits::decimal(self.port).as_str()].concat()
    }

    /// The Contact that brings requests back to this face: the transport stands in it unless it is what a URI means
    /// without (RFC 3263 §4.1). `secure` is whether the dialog is of `sips:` (RFC 3261 §12.1.1).
    ///
    /// RFC 5630 §3.1.3 would rather have no `transport=tls`; without it the way back would not be by TLS. For the same
    /// reason there is a `transport=wss`, which RFC 7118 knows in Via only.
    pub fn contact(&self, user: Option<&str>, secure: bool) -> Text {
        let (scheme, transport) = match self.transport {
            Transport::Tls if secure => ("sips", ""),
            Transport::Tls => ("sip", ";transport=tls"),
            Transport::Tcp => ("sip", ";transport=tcp"),
            Transport::Udp => ("sip", ""),
            Transport::Wss if secure => ("sips", ";transport=ws"),
            Transport::Wss => ("sip", ";transport=wss"),
            Transport::Ws => ("sip", ";transport=ws"),
        };
        let (user, at) = user.map_or(("", ""), |user| (user, "@"));
        let (host, port) = (self.host.to_text(), Digits::decimal(self.port));
        Text::from(["<", scheme, ":", user, at, &host, ":", port.as_str(), transport, ">"].concat())
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

    /// The transports that there are faces for.
    pub fn transports(&self) -> Vec<Transport> {
        let mut transports: Vec<Transport> = self.0.iter().map(|face| face.transport).collect();
        transports.sort_unstable();
        transports.dedup();
        transports
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

/// The way that the INVITE of a dialog went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// What was looked up.
    pub next_hop: NextHop,
    /// What was found.
    pub destination: Destination,
}

impl Way {
    /// The next hop of a request inside the dialog, by the transport of this way when it leads there and the URI asks
    /// for no other: many phones leave it out of their Contact, and proxies say `ws` for WebSocket over TLS, too, because
    /// RFC 7118 §5 has no other word. A phone behind WebSocket has a Contact that names no place
    /// at all (RFC 7118): it is reached by the connection that the dialog came by, and no other.
    pub fn along(&self, next_hop: NextHop) -> NextHop {
        let nowhere = self.destination.transport.is_web_socket() && is_invalid(&next_hop.host);
        let fits = match next_hop.transport {
            None => true,
            Some(asked) => asked == Transport::Ws && self.destination.transport == Transport::Wss,
        };
        let same = fits && !next_hop.secure && next_hop != self.next_hop && self.leads_to(&next_hop);
        if !nowhere && !same {
            return next_hop;
        }
        let Destination { transport, remote, .. } = self.destination;
        let address = || Host::from(remote.ip());
        let host = if nowhere { address() } else { next_hop.host };
        // Who called us from nowhere is the other end of its connection.
        let domain = if is_invalid(&self.next_hop.domain) { address() } else { self.next_hop.domain.clone() };
        let (transport, port) = (Some(transport), Some(remote.port()));
        NextHop { secure: next_hop.secure, transport, domain, host, port }
    }

    /// Whether a next hop whose URI asks for no transport is the one of this way. Its port may be the default of
    /// another transport then.
    fn leads_to(&self, next_hop: &NextHop) -> bool {
        let remote = self.destination.remote;
        let same_host = next_hop.host == self.next_hop.host || next_hop.host.address() == Some(remote.ip());
        let port = next_hop.port.unwrap_or(Transport::Udp.default_port());
        let standard = self.destination.transport.default_port();
        let same_port = port == remote.port() || (port == Transport::Udp.default_port() && remote.port() == standard);
        same_host && same_port
    }
}

/// Whether a name is of the domain that never exists (RFC 2606 §2).
fn is_invalid(host: &Host) -> bool {
    let last = |name: &str| name.trim_end_matches('.').rsplit('.').next().map(str::to_ascii_lowercase);
    matches!(host, Host::Name(name) if last(name).as_deref() == Some("invalid"))
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
    use plugboard_sip::uri::SipUri;

    fn hop(uri: &str) -> Option<NextHop> {
        NextHop::of(&SipUri::parse(&Text::from(uri)).expect("a URI"))
    }

    fn way(uri: &str, transport: Transport, remote: &str) -> Way {
        let remote = remote.parse().expect("an address");
        Way { next_hop: hop(uri).expect("served"), destination: Destination { transport, remote, local: 0 } }
    }

    /// Transport, host and port as they are asked for, and who is to be proven.
    fn along(way: &Way, uri: &str) -> String {
        let hop = way.along(hop(uri).expect("served"));
        let transport = hop.transport.map_or("", Transport::as_str);
        format!("{transport} {}:{} {}", hop.host, hop.port.unwrap_or_default(), hop.domain)
    }

    #[test]
    fn a_contact_without_transport_is_reached_the_way_the_dialog_came() {
        let way = way("sip:p.example;transport=tls", Transport::Tls, "192.0.2.1:5061");
        assert_eq!(along(&way, "sip:p.example"), "TLS p.example:5061 p.example");
        assert_eq!(along(&way, "sip:a@192.0.2.1:5061"), "TLS 192.0.2.1:5061 p.example");
        assert_eq!(along(&way, "sip:a@192.0.2.1:5062"), " 192.0.2.1:5062 192.0.2.1");
        assert_eq!(along(&way, "sip:p.example;transport=udp"), "UDP p.example:0 p.example");
    }

    #[test]
    fn a_next_hop_that_was_found_by_its_services_is_found_by_them_again() {
        let way = way("sip:p.example", Transport::Tcp, "192.0.2.1:5060");
        assert_eq!(along(&way, "sip:p.example"), " p.example:0 p.example");
    }

    #[test]
    fn a_contact_that_names_no_place_is_behind_the_connection_of_the_dialog() {
        let way = way("sip:p.example;transport=wss", Transport::Wss, "192.0.2.1:443");
        assert_eq!(along(&way, "sip:a@df7jal23ls0d.Invalid;transport=ws"), "WSS 192.0.2.1:443 p.example");
        assert_eq!(along(&way, "sip:a@q.example;transport=ws"), "WS q.example:0 q.example");
        assert_eq!(along(&way, "sip:192.0.2.1:443;transport=ws;lr"), "WSS 192.0.2.1:443 p.example");
        let caller = self::way("sip:a@df7jal23ls0d.invalid;transport=ws", Transport::Wss, "192.0.2.7:40000");
        assert_eq!(along(&caller, "sip:a@df7jal23ls0d.invalid;transport=ws"), "WSS 192.0.2.7:40000 192.0.2.7");
        let way = self::way("sip:p.example;transport=tcp", Transport::Tcp, "192.0.2.1:5060");
        assert_eq!(along(&way, "sip:a@x.invalid;transport=ws"), "WS x.invalid:0 x.invalid");
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
        assert_eq!(face(Transport::Ws).contact(Some("a"), false), "<sip:a@h:5060;transport=ws>");
        assert_eq!(face(Transport::Wss).contact(Some("a"), true), "<sips:a@h:5060;transport=ws>");
    }
}
