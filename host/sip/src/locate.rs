//! Finding the next hop (RFC 3263 §4), without asking anybody: what a URI says about the element that gets a request
//! first, which questions that leaves for DNS, and in which order what DNS says is tried.
//!
//! 1. [`NextHop::of`] a URI. When its host is an address, [`NextHop::target`] is all there is to know.
//! 2. Otherwise [`NextHop::search`] says what to ask, and [`NextHop::services`] what NAPTR records mean.
//! 3. The answers make a [`Located`], which can be kept; [`Located::targets`] orders it anew for each request, by seed.
//! 4. [`Avoided`] puts those last that failed a while ago.

mod avoided;
mod records;
#[cfg(test)]
mod tests;

pub use avoided::{AVOID_TIME, AVOID_TIME_MAX, AVOIDED_MAX, Avoided};
pub use records::{Located, Naptr, Server};

use crate::host::Host;
use crate::transport::Transport;
use crate::uri::SipUri;
use std::net::SocketAddr;

/// Targets that one request is sent to, one after another, in number. One that does not answer costs 64 times T1.
pub const TARGETS_MAX: usize = 8;

/// The element that a request is sent to first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// Whether the URI is `sips:`, so that nothing but TLS will do (RFC 3261 §26.2.2).
    pub secure: bool,
    /// The transport that the URI asks for.
    pub transport: Option<Transport>,
    /// Who the peer must prove to be over TLS: the host of the URI (RFC 5922 §7.3).
    pub domain: Host,
    /// Its host: the `maddr` of the URI, if it has one.
    pub host: Host,
    /// The port that the URI names.
    pub port: Option<u16>,
}

/// One address to send to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The transport.
    pub transport: Transport,
    /// The address.
    pub address: SocketAddr,
}

/// What to ask DNS about a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whether NAPTR records come first; [`NextHop::services`] makes of them what to ask in place of `services`.
    pub naptr: bool,
    /// The names to ask for SRV records, best first.
    pub services: Vec<Service>,
    /// Transport and port of the host's own addresses, which count when no service is known.
    pub otherwise: (Transport, u16),
}

/// A name that has SRV records, and the transport of what they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The transport.
    pub transport: Transport,
    /// The name, such as `_sip._udp.example.com`.
    pub name: String,
}

impl NextHop {
    /// From a URI. None when it wants a transport that is not served here.
    pub fn of(uri: &SipUri) -> Option<NextHop> {
        let named = uri.transport().map(|name| Transport::parse(name).ok_or(())).transpose().ok()?;
        let transport = match (uri.secure, named) {
            (true, Some(Transport::Udp)) => return None,
            // RFC 3261 §26.2.2: `sips:` with `transport=tcp` is TLS over TCP; RFC 7118 §5.2.2: with `ws` it is WSS.
            (true, Some(transport)) => Some(transport.secured()),
            (_, named) => named,
        };
        let host = match uri.params.get("maddr") {
            Some(maddr) => Host::parse(maddr).ok()?,
            None => uri.host.clone(),
        };
        Some(NextHop { secure: uri.secure, transport, domain: uri.host.clone(), host, port: uri.port })
    }

    /// Where it is when there is nothing to look up: its host is an address (RFC 3263 §4.1, §4.2).
    pub fn target(&self) -> Option<Target> {
        let (transport, port) = self.usual();
        self.host.address().map(|ip| Target { transport, address: SocketAddr::new(ip, port) })
    }

    /// What to ask DNS (RFC 3263 §4.1, §4.2), when we can send by `served`.
    pub fn search(&self, served: &[Transport]) -> Search {
        let otherwise = self.usual();
        // A name without a dot is one of this machine or network, and has no records of services.
        if !matches!(&self.host, Host::Name(name) if name.trim_end_matches('.').contains('.')) {
            return Search { naptr: false, services: Vec::new(), otherwise };
        }
        let service = |transport: Transport| {
            Some(Service { transport, name: format!("{}.{}", service_of(transport)?, self.host) })
        };
        match (self.port, self.transport) {
            (Some(_), _) => Search { naptr: false, services: Vec::new(), otherwise },
            (None, Some(transport)) => {
                Search { naptr: false, services: service(transport).into_iter().collect(), otherwise }
            }
            (None, None) => {
                let wanted: &[Transport] =
                    if self.secure { &[Transport::Tls] } else { &[Transport::Udp, Transport::Tcp] };
                let services = wanted.iter().filter(|wanted| served.contains(wanted)).filter_map(|one| service(*one));
                Search { naptr: true, services: services.collect(), otherwise }
            }
        }
    }

    /// The services that NAPTR records name, best first: of those that we can use the ones of the lowest order (RFC
    /// 3263 §4.1, RFC 3403 §4.1). Empty when none can be used.
    pub fn services(&self, mut records: Vec<Naptr>, served: &[Transport]) -> Vec<Service> {
        records.sort_by_key(|record| (record.order, record.preference));
        let usable = |record: &Naptr| {
            let transport =
                record.transport().filter(|one| served.contains(one) && (one.is_secure() || !self.secure))?;
            Some((record.order, Service { transport, name: record.replacement.clone() }))
        };
        let usable: Vec<(u16, Service)> = records.iter().filter_map(usable).collect();
        let lowest = usable.first().map(|(order, _)| *order);
        usable.into_iter().filter(|(order, _)| Some(*order) == lowest).map(|(_, service)| service).collect()
    }

    /// What is meant where the URI says nothing else.
    fn usual(&self) -> (Transport, u16) {
        let transport = self.transport.unwrap_or(if self.secure { Transport::Tls } else { Transport::Udp });
        (transport, self.port.unwrap_or(transport.default_port()))
    }
}

/// The service and protocol that a name of SRV records begins with (RFC 3263 §4.1). RFC 7118 has none for WebSocket
/// but what NAPTR records name.
fn service_of(transport: Transport) -> Option<&'static str> {
    match transport {
        Transport::Udp => Some("_sip._udp"),
        Transport::Tcp => Some("_sip._tcp"),
        Transport::Tls => Some("_sips._tcp"),
        Transport::Ws | Transport::Wss => None,
    }
}
