//! The SIP sockets, and the faces under which peers reach them.

use super::{Switch, SwitchConfig, SwitchError, lock};
use bytes::Bytes;
use plugboard_calls::shard::{Face, Faces};
use plugboard_net::streams::{SendFailure, StreamHandler, Streams};
use plugboard_net::tcp;
use plugboard_net::udp::{UdpListener, address_toward};
use plugboard_sip::host::Host;
use plugboard_sip::text::Text;
use plugboard_sip::transport::{Destination, Transport};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// All sockets. Each listener has a number: those of UDP come first.
pub(super) struct Sockets {
    datagrams: Vec<UdpListener>,
    streams: Arc<Streams<Switch>>,
    /// The listeners of all but UDP until they are served, with their numbers.
    unserved: Mutex<Vec<(usize, TcpListener)>>,
    faces: Faces,
    /// What each listener is bound to.
    bound: Vec<(Transport, SocketAddr)>,
    /// The listener of each face.
    listener_of: Vec<usize>,
}

impl Sockets {
    pub fn bind(config: &SwitchConfig) -> Result<Self, SwitchError> {
        let advertised = Advertised::of(config)?;
        let mut sockets = Self {
            datagrams: Vec::new(),
            streams: Streams::new(config.streams, config.certificates.clone(), config.ws_origins.clone()),
            unserved: Mutex::default(),
            faces: Faces::default(),
            bound: Vec::new(),
            listener_of: Vec::new(),
        };
        let mut faces = Vec::new();
        let of = [
            (Transport::Udp, &config.udp),
            (Transport::Tcp, &config.tcp),
            (Transport::Tls, &config.tls),
            (Transport::Ws, &config.ws),
            (Transport::Wss, &config.wss),
        ];
        let served = of.into_iter().filter(|(transport, _)| config.certificates.is_some() || !transport.is_secure());
        let wanted =
            served.flat_map(|(transport, addresses)| addresses.iter().map(move |address| (transport, *address)));
        for (transport, address) in wanted {
            let failed = |source| SwitchError::Bind { transport, address, source };
            let bound = sockets.bind_one(transport, address).map_err(failed)?;
            for face in faces_of(transport, bound, advertised.at(transport, address)) {
                faces.push(face);
                sockets.listener_of.push(sockets.bound.len());
            }
            sockets.bound.push((transport, bound));
        }
        sockets.faces = Faces::new(faces);
        Ok(sockets)
    }

    fn bind_one(&mut self, transport: Transport, address: SocketAddr) -> io::Result<SocketAddr> {
        if transport == Transport::Udp {
            let listener = UdpListener::bind(address)?;
            let bound = listener.address();
            self.datagrams.push(listener);
            return Ok(bound);
        }
        let listener = tcp::listen(address)?;
        let bound = listener.local_addr()?;
        lock(&self.unserved).push((self.bound.len(), listener));
        Ok(bound)
    }

    /// Lets peers connect.
    pub fn serve(&self, switch: &Arc<Switch>) {
        for (number, listener) in std::mem::take(&mut *lock(&self.unserved)) {
            self.streams.serve(listener, number, switch);
        }
    }

    /// The sockets of UDP; the place in the list is the number of the listener.
    pub fn datagrams(&self) -> &[UdpListener] {
        &self.datagrams
    }

    pub fn streams(&self) -> &Streams<Switch> {
        &self.streams
    }

    pub fn faces(&self) -> &Faces {
        &self.faces
    }

    /// The addresses that were bound for a transport.
    pub fn addresses(&self, transport: Transport) -> Vec<SocketAddr> {
        self.bound.iter().filter(|(of, _)| *of == transport).map(|(_, address)| *address).collect()
    }

    /// The path on which something came: a later message to that peer leaves by the same socket.
    pub fn path(&self, listener: usize, remote: SocketAddr) -> Option<Destination> {
        let near = |local: &usize| self.face_is_near(*local, remote);
        let own = || (0..self.listener_of.len()).filter(|local| self.listener_of.get(*local) == Some(&listener));
        let local = own().find(near).or_else(|| own().next())?;
        let (transport, _) = *self.bound.get(listener)?;
        Some(Destination { transport, remote, local: u8::try_from(local).ok()? })
    }

    /// Sends a message; `domain` and the ticket are for [`Streams::send`].
    pub fn send(
        &self,
        switch: &Arc<Switch>,
        destination: Destination,
        domain: Option<Host>,
        bytes: Bytes,
        ticket: Option<<Switch as StreamHandler>::Ticket>,
    ) -> Result<(), SendFailure> {
        let number = self.listener_of.get(usize::from(destination.local)).copied().ok_or(SendFailure::NoConnection)?;
        if destination.transport == Transport::Udp {
            let listener = self.datagrams.get(number).ok_or(SendFailure::NoConnection)?;
            return listener.send(&bytes, destination.remote).map_err(|error| {
                tracing::debug!(peer = %destination.remote, %error, "a datagram could not be sent");
                SendFailure::Broken
            });
        }
        let own = self.bound.get(number).map(|(_, address)| address.ip()).filter(|ip| !ip.is_unspecified());
        self.streams.send(switch, destination, domain, own, bytes, ticket)
    }

    fn face_is_near(&self, local: usize, remote: SocketAddr) -> bool {
        let face = u8::try_from(local).ok().and_then(|local| self.faces.get(local));
        face.is_some_and(|face| face.address.ip().is_loopback() == remote.ip().is_loopback())
    }
}

/// What Via and Contact say in place of addresses.
struct Advertised {
    everywhere: Option<(Host, Option<u16>)>,
    /// Of the sockets with something of their own.
    own: Vec<(SocketAddr, (Host, Option<u16>))>,
}

impl Advertised {
    fn of(config: &SwitchConfig) -> Result<Self, SwitchError> {
        let own = config.advertise_at.iter().map(|(address, text)| Ok((*address, parse_advertise(text)?)));
        let everywhere = config.advertise.as_deref().map(parse_advertise).transpose()?;
        Ok(Self { everywhere, own: own.collect::<Result<_, _>>()? })
    }

    /// What a socket says that is configured as `address`. A port that all advertise is that of UDP and TCP, which share
    /// one by custom; the others keep their own.
    fn at(&self, transport: Transport, address: SocketAddr) -> Option<(Host, Option<u16>)> {
        if let Some((_, own)) = self.own.iter().find(|(of, _)| *of == address) {
            return Some(own.clone());
        }
        let (host, port) = self.everywhere.clone()?;
        Some((host, port.filter(|_| matches!(transport, Transport::Udp | Transport::Tcp))))
    }
}

/// The faces of one socket: its address, or for a wildcard the address towards the world and the loopback.
fn faces_of(transport: Transport, bound: SocketAddr, advertised: Option<(Host, Option<u16>)>) -> Vec<Face> {
    let face = |address: SocketAddr| {
        let shown = !address.ip().is_loopback() || !bound.ip().is_unspecified();
        let advertised = advertised.clone().filter(|_| shown);
        let (host, port) = match advertised {
            Some((host, port)) => (host, port.unwrap_or(address.port())),
            None => (Host::from(address.ip()), address.port()),
        };
        Face { transport, address, host, port }
    };
    if !bound.ip().is_unspecified() {
        return vec![face(bound)];
    }
    // Addresses of the documentation ranges (RFC 5737, RFC 3849) stand for the rest of the world; nothing is sent.
    let (world, loopback): (IpAddr, IpAddr) = if bound.is_ipv4() {
        (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::LOCALHOST.into())
    } else {
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(), Ipv6Addr::LOCALHOST.into())
    };
    let outward = address_toward(bound, world).ok().filter(|address| !address.ip().is_loopback());
    outward.into_iter().chain([SocketAddr::new(loopback, bound.port())]).map(face).collect()
}

/// Whether this can stand in Via and Contact: `host` or `host:port`.
pub fn is_advertisable(text: &str) -> bool {
    parse_advertise(text).is_ok()
}

/// `host` or `host:port`; an IPv6 address in brackets.
fn parse_advertise(text: &str) -> Result<(Host, Option<u16>), SwitchError> {
    let wrong = || SwitchError::Advertise(text.to_owned());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && (!host.contains(':') || host.ends_with(']')) => {
            (host, Some(port.parse().map_err(|_| wrong())?))
        }
        _ => (text, None),
    };
    Ok((Host::parse(&Text::from(host)).map_err(|_| wrong())?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised_is_a_host_with_or_without_a_port() {
        let parsed = |text| parse_advertise(text).map(|(host, port)| (host.to_string(), port)).ok();
        assert_eq!(parsed("203.0.113.7"), Some(("203.0.113.7".into(), None)));
        assert_eq!(parsed("sip.example.com:5070"), Some(("sip.example.com".into(), Some(5070))));
        assert_eq!(parsed("[2001:db8::1]:5070"), Some(("[2001:db8::1]".into(), Some(5070))));
        assert_eq!(parsed("[2001:db8::1]"), Some(("[2001:db8::1]".into(), None)));
        for wrong in ["", "host:port", "a b", "host:70000"] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_bound_address_is_the_face_of_its_socket() {
        let faces = faces_of(Transport::Tcp, "127.0.0.1:5060".parse().expect("an address"), None);
        assert_eq!(faces.iter().map(Face::sent_by).collect::<Vec<_>>(), ["127.0.0.1:5060"]);
    }

    #[test]
    fn a_wildcard_has_the_loopback_for_peers_there_whatever_is_advertised() {
        let advertised = (Host::parse(&Text::from("203.0.113.7")).expect("a host"), None);
        let faces = faces_of(Transport::Udp, "0.0.0.0:5060".parse().expect("an address"), Some(advertised));
        assert_eq!(faces.last().map(Face::sent_by).as_deref(), Some("127.0.0.1:5060"));
    }

    #[test]
    fn an_advertised_port_is_that_of_udp_and_tcp_and_a_socket_may_have_its_own() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let config = SwitchConfig {
            advertise: Some("pbx.example.com:5070".to_owned()),
            advertise_at: vec![(address("192.0.2.1:5081"), "phone.example.com:443".to_owned())],
            ..SwitchConfig::default()
        };
        let advertised = Advertised::of(&config).expect("hosts");
        for (transport, socket, expected) in [
            (Transport::Udp, "192.0.2.1:5061", "pbx.example.com:5070"),
            (Transport::Tcp, "192.0.2.1:5061", "pbx.example.com:5070"),
            (Transport::Tls, "192.0.2.1:5061", "pbx.example.com:5061"),
            (Transport::Wss, "192.0.2.1:5081", "phone.example.com:443"),
        ] {
            let faces = faces_of(transport, address(socket), advertised.at(transport, address(socket)));
            assert_eq!(faces.iter().map(Face::sent_by).collect::<Vec<_>>(), [expected]);
        }
    }
}
