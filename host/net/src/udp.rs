//! UDP sockets. Each is read by a few threads that block in it, so that one datagram whose event takes long does not
//! hold up the next; whoever reads a datagram also handles it to its end, without handing it on.

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Largest datagram that UDP carries, in bytes.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Kernel buffers asked for, in bytes; the kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// How often a blocked reader looks whether it should stop.
const READ_WAIT: Duration = Duration::from_millis(500);

/// One bound UDP socket. Reading and sending work from any thread.
#[derive(Debug)]
pub struct UdpListener {
    socket: UdpSocket,
    address: SocketAddr,
}

impl UdpListener {
    /// Binds the address; port 0 takes a free one.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Best effort: a smaller buffer drops datagrams sooner, and SIP repeats them.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.bind(&address.into())?;
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(READ_WAIT))?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next datagram, or `None` when none came for half a second (look whether to stop, then call again).
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(Bytes, SocketAddr)>> {
        match self.socket.recv_from(buffer) {
            Ok((length, source)) => {
                let datagram = buffer.get(..length).map(Bytes::copy_from_slice).unwrap_or_default();
                Ok(Some((datagram, source)))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(None),
                // An ICMP error of an earlier send comes out here; the transaction's timers deal with the peer.
                io::ErrorKind::ConnectionRefused | io::ErrorKind::HostUnreachable => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// Sends one datagram.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        match self.socket.send_to(datagram, to) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                // Reports an earlier datagram's ICMP error, not this one's fate: this one was not sent, so once more.
                self.socket.send_to(datagram, to).map(drop)
            }
            other => other.map(drop),
        }
    }
}

/// The address under which a peer reaches a socket that is bound to `bound`: the bound one, or for a wildcard the one
/// that this machine would send from to `toward`. Sends nothing.
pub fn address_toward(bound: SocketAddr, toward: IpAddr) -> io::Result<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return Ok(bound);
    }
    let any: IpAddr = if toward.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let probe = UdpSocket::bind((any, 0))?;
    probe.connect((toward, 9))?;
    Ok(SocketAddr::new(probe.local_addr()?.ip(), bound.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_goes_from_one_to_the_other() {
        let a = UdpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let b = UdpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        a.send(b"hello", b.address()).expect("sent");
        let mut buffer = [0; 100];
        let (datagram, source) = b.receive(&mut buffer).expect("readable").expect("a datagram");
        assert_eq!((&datagram[..], source), (&b"hello"[..], a.address()));
    }

    #[test]
    fn a_send_to_a_closed_port_does_not_spoil_the_next() {
        let a = UdpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let b = UdpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
        let closed = UdpListener::bind("127.0.0.1:0".parse().expect("an address")).expect("bound").address();
        a.send(b"lost", closed).expect("sent");
        a.send(b"hello", b.address()).expect("sent");
        let mut buffer = [0; 100];
        assert!(b.receive(&mut buffer).expect("readable").is_some());
    }

    #[test]
    fn a_wildcard_is_reached_by_the_address_that_faces_the_peer() {
        let toward = address_toward("0.0.0.0:5060".parse().expect("an address"), "127.0.0.1".parse().expect("an ip"));
        assert_eq!(toward.expect("a route"), "127.0.0.1:5060".parse().expect("an address"));
    }
}
