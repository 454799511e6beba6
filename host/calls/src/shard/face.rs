//! Our own addresses, and which of them a peer is shown. A face is one address of one socket, as peers reach it.

use plugboard_sip::host::Host;
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
        let suits =
            |face: &&(usize, &Face)| face.1.transport == transport && face.1.address.is_ipv4() == remote.is_ipv4();
        let near = |face: &&(usize, &Face)| face.1.address.ip().is_loopback() == remote.ip().is_loopback();
        let all: Vec<(usize, &Face)> = self.0.iter().enumerate().collect();
        let found = all.iter().filter(suits).find(near).or_else(|| all.iter().find(suits))?;
        Some(Destination { transport, remote, local: u8::try_from(found.0).ok()? })
    }
}

/// The element that a request is sent to first, before its name is looked up (RFC 3263 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The transport that the URI asks for.
    pub transport: Transport,
    /// Its host.
    pub host: Host,
    /// Its port, or the transport's own.
    pub port: u16,
}

impl NextHop {
    /// From a URI. `None` when it wants a transport that is not served here.
    pub fn of(uri: &SipUri) -> Option<Self> {
        let transport = match uri.transport() {
            Some(name) => Transport::parse(name)?,
            None if uri.secure => Transport::Tls,
            None => Transport::Udp,
        };
        let host = match uri.params.get("maddr") {
            Some(maddr) => Host::parse(maddr).ok()?,
            None => uri.host.clone(),
        };
        Some(Self { transport, host, port: uri.port.unwrap_or(transport.default_port()) })
    }

    /// Its socket address, when the host is an address already.
    pub fn address(&self) -> Option<SocketAddr> {
        self.host.address().map(|ip| SocketAddr::new(ip, self.port))
    }
}
