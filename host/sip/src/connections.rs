//! Which connections there are, what may be sent on them, and how many there may be (RFC 3261 §18, RFC 5923).
//!
//! A message goes by the connection that leads where it is to go, and a new one is made when there is none. Over TLS
//! a request goes only by a connection whose peer has proven to be the domain that is meant (RFC 5922 §7.3).

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::fast::FixedState;

use crate::host::Host;
use crate::transport::{Destination, Transport};

/// Connections that peers made, at once, in number.
pub const ACCEPTED_MAX: usize = 4_096;
/// Connections that peers made from one address, at once, in number.
pub const PER_SOURCE_MAX: usize = 256;
/// Connections that we made, at once, in number. Peers cannot use them up.
pub const OPENED_MAX: usize = 4_096;
/// What may wait to be written on one connection, in bytes.
pub const QUEUED_BYTES_MAX: usize = 1024 * 1024;

/// How many connections there may be and what may wait on each. The default has the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// See [`ACCEPTED_MAX`].
    pub accepted: usize,
    /// See [`PER_SOURCE_MAX`].
    pub per_source: usize,
    /// See [`OPENED_MAX`].
    pub opened: usize,
    /// See [`QUEUED_BYTES_MAX`].
    pub queued_bytes: usize,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            accepted: ACCEPTED_MAX,
            per_source: PER_SOURCE_MAX,
            opened: OPENED_MAX,
            queued_bytes: QUEUED_BYTES_MAX,
        }
    }
}

/// Names a connection. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

/// Who made a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The peer.
    Accepted,
    /// We did. Over TLS the peer must prove to be this domain, or there is no connection.
    Opened(Option<Host>),
}

/// Why there is no room. [`Full::Queue`] is the peer's fault, which does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// See [`ACCEPTED_MAX`] and [`OPENED_MAX`].
    #[error("there are too many connections")]
    Connections,
    /// See [`PER_SOURCE_MAX`].
    #[error("there are too many connections from this address")]
    Source,
    /// See [`QUEUED_BYTES_MAX`].
    #[error("too much waits to be written on this connection")]
    Queue,
    /// The connection has ended.
    #[error("there is no such connection")]
    Gone,
}

/// The connections. `L` is the way to the task that serves one.
#[derive(Debug)]
pub struct Connections<L> {
    limits: ConnectionLimits,
    entries: HashMap<ConnectionId, Entry<L>, FixedState>,
    by_path: HashMap<Destination, Vec<ConnectionId>, FixedState>,
    per_source: HashMap<IpAddr, usize, FixedState>,
    opened: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry<L> {
    path: Destination,
    origin: Origin,
    queued: usize,
    link: L,
}

impl<L> Connections<L> {
    /// No connections.
    pub fn new(limits: ConnectionLimits) -> Connections<L> {
        let hasher = FixedState::default;
        Connections {
            limits,
            entries: HashMap::with_hasher(hasher()),
            by_path: HashMap::with_hasher(hasher()),
            per_source: HashMap::with_hasher(hasher()),
            opened: 0,
            next: 0,
        }
    }

    /// The number of connections.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// When there are too many; it is to be closed then.
    pub fn add(&mut self, path: Destination, origin: Origin, link: L) -> Result<ConnectionId, Full> {
        match origin {
            Origin::Opened(_) if self.opened >= self.limits.opened => return Err(Full::Connections),
            Origin::Opened(_) => self.opened += 1,
            Origin::Accepted if self.entries.len() - self.opened >= self.limits.accepted => {
                return Err(Full::Connections);
            }
            Origin::Accepted => {
                let source = self.per_source.entry(path.remote.ip()).or_default();
                if *source >= self.limits.per_source {
                    return Err(Full::Source);
                }
                *source += 1;
            }
        }
        self.next += 1;
        let id = ConnectionId(self.next);
        self.by_path.entry(path).or_default().push(id);
        self.entries.insert(id, Entry { path, origin, queued: 0, link });
        Ok(id)
    }

    /// The connection that leads there; the newest, when there are several. `domain` is who the peer must have proven
    /// to be, for a request over TLS. A phone in a browser has no certificate and cannot be connected to (RFC 7118 §5):
    /// when it is meant by its address, the connection that it made from there will do.
    pub fn find(&self, path: Destination, domain: Option<&Host>) -> Option<ConnectionId> {
        let is_browser =
            || path.transport == Transport::Wss && domain.and_then(Host::address) == Some(path.remote.ip());
        let suits = |id: &&ConnectionId| match self.entries.get(*id).map(|entry| &entry.origin) {
            Some(Origin::Opened(proven)) => domain.is_none() || proven.as_ref() == domain,
            Some(Origin::Accepted) => domain.is_none() || is_browser(),
            None => false,
        };
        self.by_path.get(&path)?.iter().rev().find(suits).copied()
    }

    /// Makes room for a message of this many bytes, and says whom to give it to.
    ///
    /// # Errors
    /// When too much waits already. A message that is larger than all that may wait has room when nothing waits.
    pub fn queue(&mut self, id: ConnectionId, bytes: usize) -> Result<&L, Full> {
        let entry = self.entries.get_mut(&id).ok_or(Full::Gone)?;
        if entry.queued > 0 && entry.queued.saturating_add(bytes) > self.limits.queued_bytes {
            return Err(Full::Queue);
        }
        entry.queued += bytes;
        Ok(&entry.link)
    }

    /// Takes note that a message of this many bytes was written.
    pub fn written(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.queued = entry.queued.saturating_sub(bytes);
        }
    }

    /// Forgets a connection: nothing more is sent on it.
    pub fn remove(&mut self, id: ConnectionId) -> Option<L> {
        let Entry { path, origin, link, .. } = self.entries.remove(&id)?;
        if let Some(ids) = self.by_path.get_mut(&path) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_path.remove(&path);
            }
        }
        match origin {
            Origin::Opened(_) => self.opened -= 1,
            Origin::Accepted => {
                let source = path.remote.ip();
                match self.per_source.get_mut(&source) {
                    Some(number) if *number > 1 => *number -= 1,
                    _ => drop(self.per_source.remove(&source)),
                }
            }
        }
        Some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(accepted: usize, per_source: usize, opened: usize) -> Connections<&'static str> {
        Connections::new(ConnectionLimits { accepted, per_source, opened, queued_bytes: 100 })
    }

    fn path(transport: Transport, remote: &str) -> Destination {
        Destination { transport, remote: remote.parse().expect("an address"), local: 0 }
    }

    fn host(text: &str) -> Host {
        Host::parse(&text.into()).expect("a host")
    }

    #[test]
    fn a_connection_is_found_by_where_it_leads_while_it_is_up() {
        let mut table = table(9, 9, 9);
        let phone = path(Transport::Tcp, "192.0.2.1:5060");
        assert_eq!(table.find(phone, None), None);
        let first = table.add(phone, Origin::Opened(None), "a").expect("room");
        let second = table.add(phone, Origin::Accepted, "b").expect("room");
        assert_eq!(table.find(phone, None), Some(second), "the newest: the older may be half open");
        for other in [path(Transport::Tls, "192.0.2.1:5060"), path(Transport::Tcp, "192.0.2.1:5061")] {
            assert_eq!(table.find(other, None), None);
        }
        assert_eq!(table.remove(second), Some("b"));
        assert_eq!(table.find(phone, None), Some(first));
        assert_eq!((table.remove(first), table.find(phone, None), table.len()), (Some("a"), None, 0));
    }

    #[test]
    fn a_request_over_tls_goes_only_to_whom_it_is_meant_for() {
        let mut table = table(9, 9, 9);
        let peer = path(Transport::Tls, "192.0.2.1:5061");
        let inbound = table.add(peer, Origin::Accepted, "in").expect("room");
        assert_eq!(table.find(peer, Some(&host("a.example"))), None, "it has proven nothing");
        let a = table.add(peer, Origin::Opened(Some(host("a.example"))), "a").expect("room");
        assert_eq!(table.find(peer, Some(&host("A.Example"))), Some(a));
        assert_eq!(table.find(peer, Some(&host("b.example"))), None);
        table.remove(a);
        assert_eq!(table.find(peer, None), Some(inbound), "a response goes back the way the request came");
    }

    #[test]
    fn a_phone_in_a_browser_is_meant_by_its_address() {
        let mut table = table(9, 9, 9);
        let phone = path(Transport::Wss, "192.0.2.1:40000");
        let inbound = table.add(phone, Origin::Accepted, "in").expect("room");
        assert_eq!(table.find(phone, Some(&host("192.0.2.1"))), Some(inbound));
        for other in ["192.0.2.2", "a.example"] {
            assert_eq!(table.find(phone, Some(&host(other))), None, "{other}");
        }
    }

    #[test]
    fn peers_can_use_up_neither_our_connections_nor_those_of_others() {
        let mut table = table(3, 2, 1);
        let from = |remote: &str| path(Transport::Tcp, remote);
        let first = table.add(from("192.0.2.1:1"), Origin::Accepted, "").expect("room");
        table.add(from("192.0.2.1:2"), Origin::Accepted, "").expect("room");
        assert_eq!(table.add(from("192.0.2.1:3"), Origin::Accepted, ""), Err(Full::Source));
        table.add(from("192.0.2.2:1"), Origin::Accepted, "").expect("room");
        assert_eq!(table.add(from("192.0.2.3:1"), Origin::Accepted, ""), Err(Full::Connections));
        let ours = table.add(from("192.0.2.1:5060"), Origin::Opened(None), "").expect("room of its own");
        assert_eq!(table.add(from("192.0.2.2:5060"), Origin::Opened(None), ""), Err(Full::Connections));
        table.remove(first);
        table.remove(ours);
        table.add(from("192.0.2.1:3"), Origin::Accepted, "").expect("room again");
        table.add(from("192.0.2.2:5060"), Origin::Opened(None), "").expect("room again");
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_waited_for() {
        let mut table = table(1, 1, 1);
        let id = table.add(path(Transport::Tcp, "192.0.2.1:1"), Origin::Accepted, "link").expect("room");
        assert_eq!(table.queue(id, 60), Ok(&"link"));
        assert_eq!(table.queue(id, 41), Err(Full::Queue));
        assert_eq!(table.queue(id, 40), Ok(&"link"));
        table.written(id, 60);
        table.written(id, 40);
        assert_eq!(table.queue(id, 1000), Ok(&"link"), "one message always fits");
        table.remove(id);
        assert_eq!(table.queue(id, 1), Err(Full::Gone));
    }
}
