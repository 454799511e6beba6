//! What DNS says of a next hop, and the order in which it is tried (RFC 2782, RFC 3403).

use super::Target;
use crate::transport::Transport;
use std::net::{IpAddr, SocketAddr};

/// A NAPTR record (RFC 3403 §4.1), as far as RFC 3263 uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones come first, and what comes first is used alone.
    pub order: u16,
    /// Lower ones come first within an order.
    pub preference: u16,
    /// `s` when the replacement has SRV records. Others mean nothing here.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// The name to ask next.
    pub replacement: String,
}

impl Naptr {
    /// The transport of what it names, when it can be followed.
    pub(super) fn transport(&self) -> Option<Transport> {
        const SERVICES: [(&str, Transport); 5] = [
            ("SIP+D2U", Transport::Udp),
            ("SIP+D2T", Transport::Tcp),
            ("SIPS+D2T", Transport::Tls),
            ("SIP+D2W", Transport::Ws), // RFC 7118 §5.3
            ("SIPS+D2W", Transport::Wss),
        ];
        let leads_on = self.flags.eq_ignore_ascii_case("s") && !matches!(&*self.replacement, "" | ".");
        let found =
            SERVICES.iter().find(|(service, _)| self.service.eq_ignore_ascii_case(service)).filter(|_| leads_on);
        found.map(|(_, transport)| *transport)
    }
}

/// An SRV record (RFC 2782) and the addresses of what it names; or a host without SRV records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Lower ones are tried first.
    pub priority: u16,
    /// Its share of the requests, against others of the same priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// Its addresses, in the order in which the resolver gave them.
    pub addresses: Vec<IpAddr>,
}

/// All that is known of a next hop. Made from DNS, good for as long as its records are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// The servers by transport, the best transport first.
    pub by_transport: Vec<(Transport, Vec<Server>)>,
}

impl Located {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_transport.iter().all(|(_, servers)| servers.iter().all(|server| server.addresses.is_empty()))
    }

    /// All targets, the one to try first in front. Servers of one priority are drawn by weight from `seed`.
    pub fn targets(&self, seed: u64) -> Vec<Target> {
        let mut draws = Draws(seed);
        let mut targets: Vec<Target> = Vec::new();
        for (transport, servers) in &self.by_transport {
            for server in in_order(servers, &mut draws) {
                let target = |ip: &IpAddr| Target { transport: *transport, address: SocketAddr::new(*ip, server.port) };
                for target in server.addresses.iter().map(target) {
                    if !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
        }
        targets
    }
}

/// The servers by priority, and within one priority drawn one after another, each with the chance of its weight among
/// those that are left (RFC 2782, "Weight"). One with weight 0 has a small chance, too.
fn in_order<'s>(servers: &'s [Server], draws: &mut Draws) -> Vec<&'s Server> {
    let mut left: Vec<&Server> = servers.iter().collect();
    left.sort_by_key(|server| (server.priority, server.weight));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|server| server.priority) {
        let peers = left.iter().take_while(|server| server.priority == priority);
        let total: u64 = peers.clone().map(|server| u64::from(server.weight)).sum();
        let drawn = draws.up_to(total);
        let mut sum = 0;
        let mut reaches = |server: &Server| {
            sum += u64::from(server.weight);
            sum >= drawn
        };
        let at = peers.into_iter().position(|server| reaches(server)).unwrap_or_default();
        ordered.push(left.remove(at));
    }
    ordered
}

/// Numbers by seed (splitmix64).
struct Draws(u64);

impl Draws {
    /// A number from 0 to `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % most.saturating_add(1)
    }
}
