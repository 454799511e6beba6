//! The SIP sockets, and the faces under which peers reach them.

use super::{SwitchConfig, SwitchError};
use plugboard_calls::shard::{Face, Faces};
use plugboard_net::udp::{UdpListener, address_toward};
use plugboard_sip::host::Host;
use plugboard_sip::text::Text;
use plugboard_sip::transport::{Destination, Transport};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// All sockets.
pub(super) struct Sockets {
    listeners: Vec<UdpListener>,
    faces: Faces,
    /// The listener of each face.
    listener_of: Vec<usize>,
}

impl Sockets {
    pub fn bind(config: &SwitchConfig) -> Result<Self, SwitchError> {
        let advertised = config.advertise.as_deref().map(parse_advertise).transpose()?;
        let mut listeners = Vec::new();
        let mut faces = Vec::new();
        let mut listener_of = Vec::new();
        for address in &config.udp {
            let listener =
                UdpListener::bind(*address).map_err(|source| SwitchError::Bind { address: *address, source })?;
            for face in faces_of(listener.address(), advertised.as_ref()) {
                faces.push(face);
                listener_of.push(listeners.len());
            }
            listeners.push(listener);
        }
        Ok(Self { listeners, faces: Faces::new(faces), listener_of })
    }

    pub fn listeners(&self) -> &[UdpListener] {
        &self.listeners
    }

    pub fn faces(&self) -> &Faces {
        &self.faces
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(UdpListener::address).collect()
    }

    /// The path on which a datagram came: a later message to that peer leaves by the same socket.
    pub fn path(&self, listener: usize, remote: SocketAddr) -> Option<Destination> {
        let near = |local: &usize| self.face_is_near(*local, remote);
        let own = || (0..self.listener_of.len()).filter(|local| self.listener_of.get(*local) == Some(&listener));
        let local = own().find(near).or_else(|| own().next())?;
        Some(Destination { transport: Transport::Udp, remote, local: u8::try_from(local).ok()? })
    }

    pub fn send(&self, destination: Destination, bytes: &[u8]) -> io::Result<()> {
        let listener = self.listener_of.get(usize::from(destination.local)).and_then(|at| self.listeners.get(*at));
        match listener {
            Some(listener) => listener.send(bytes, destination.remote),
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn face_is_near(&self, local: usize, remote: SocketAddr) -> bool {
        let face = u8::try_from(local).ok().and_then(|local| self.faces.get(local));
        face.is_some_and(|face| face.address.ip().is_loopback() == remote.ip().is_loopback())
    }
}

/// The faces of one socket: its address, or for a wildcard the address towards the world and the loopback.
fn faces_of(bound: SocketAddr, advertised: Option<&(Host, Option<u16>)>) -> Vec<Face> {
    let face = |address: SocketAddr| {
        let advertised = advertised.filter(|_| !address.ip().is_loopback() || !bound.ip().is_unspecified());
        let (host, port) = match advertised {
            Some((host, port)) => (host.clone(), port.unwrap_or(address.port())),
            None => (host_of(address.ip()), address.port()),
        };
        Face { transport: Transport::Udp, address, host, port }
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

fn host_of(ip: IpAddr) -> Host {
    match ip {
        IpAddr::V4(ip) => Host::V4(ip),
        IpAddr::V6(ip) => Host::V6(ip),
    }
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
        let faces = faces_of("127.0.0.1:5060".parse().expect("an address"), None);
        assert_eq!(faces.iter().map(Face::sent_by).collect::<Vec<_>>(), ["127.0.0.1:5060"]);
    }

    #[test]
    fn a_wildcard_has_the_loopback_for_peers_there_whatever_is_advertised() {
        let advertised = (Host::parse(&Text::from("203.0.113.7")).expect("a host"), None);
        let faces = faces_of("0.0.0.0:5060".parse().expect("an address"), Some(&advertised));
        assert_eq!(faces.last().map(Face::sent_by).as_deref(), Some("127.0.0.1:5060"));
    }
}
