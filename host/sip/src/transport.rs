//! Where messages go and come from.

use std::fmt;
use std::net::SocketAddr;

/// A transport protocol that SIP runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// UDP: datagrams, unreliable.
    Udp,
    /// TCP: a stream.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Transport {
    /// Whether the transport delivers by itself, so that transactions do not retransmit (RFC 3261 §17).
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Transport::Udp)
    }

    /// As it is written in Via: `UDP`, `TCP`, `TLS`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// The port that is meant when none is given (RFC 3261 §19.1.2).
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
        }
    }

    /// The transport of this name, in any case; none when it is not served here.
    pub fn parse(name: &str) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|transport| transport.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One path of messages: the peer's address as seen by one of our listeners. Where to send, and where something came
/// from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The protocol.
    pub transport: Transport,
    /// The peer.
    pub remote: SocketAddr,
    /// Which of our listeners, as an index into the sent-by list of the transaction layer.
    pub local: u8,
}
