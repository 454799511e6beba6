//! From a next hop to its servers (RFC 3263 §4): asks DNS for NAPTR, SRV, A and AAAA records. What they mean is decided
//! in [`plugboard_sip::locate`]. Resolvers hang, so each question and the whole have time limits of their own.
//!
//! Answers are kept twice: hickory keeps each for its TTL, and what they amount to for a next hop is kept here
//! ([`Resolver::known`]), so that a request to a known name waits for nothing.

mod known;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use known::Known;
use plugboard_sip::locate::{Located, Naptr, NextHop, Search, Server, Service};
use plugboard_sip::transport::Transport;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest time that finding one next hop may take, in all.
pub const LOOKUP_TIME_MAX: Duration = Duration::from_secs(4);
/// Longest time that one question may take, repetitions included.
pub const QUERY_TIME_MAX: Duration = Duration::from_millis(1_500);
/// NAPTR records of one name that are looked at, in number.
pub const NAPTR_MAX: usize = 32;
/// Services that NAPTR records name and that are followed, in number.
pub const SERVICES_MAX: usize = 8;
/// SRV records of one service that are followed, in number: those of the best priority.
pub const SERVERS_MAX: usize = 16;
/// Addresses of one server that are used, in number.
pub const ADDRESSES_MAX: usize = 8;

/// How long a name server may take before it is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(600);

/// Looks next hops up with the machine's resolver configuration, `/etc/hosts` included, or with given name servers.
#[derive(Default)]
pub struct Resolver {
    name_servers: Vec<SocketAddr>,
    /// Made at the first look-up, so that a machine without a resolver configuration can serve IP addresses.
    inner: OnceLock<Result<TokioResolver, String>>,
    known: Mutex<Known>,
}

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The machine's resolver configuration cannot be used.
    #[error("the resolver configuration of this machine cannot be used: {0}")]
    Configuration(String),
    /// The name servers say no, or do not answer sensibly.
    #[error("{host} could not be resolved: {reason}")]
    Failed {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No answer in time.
    #[error("{0} could not be resolved within {LOOKUP_TIME_MAX:?}")]
    TimedOut(String),
}

impl Resolver {
    /// Asks these name servers; none: those of the machine.
    pub fn new(name_servers: Vec<SocketAddr>) -> Self {
        Self { name_servers, ..Self::default() }
    }

    /// What is known of a next hop from an earlier look-up, while its records are good.
    pub fn known(&self, next_hop: &NextHop) -> Option<Arc<Located>> {
        self.table().fresh(next_hop, Instant::now())
    }

    /// Finds the servers of a next hop; at least one address. `served` are the transports that we can send by. When
    /// DNS does not answer, what was known before is good for a while longer.
    ///
    /// # Errors
    /// When there are none, or none are found in time.
    pub async fn locate(&self, next_hop: &NextHop, served: &[Transport]) -> Result<Arc<Located>, ResolveError> {
        let host = next_hop.host.to_string();
        let resolver = self
            .inner
            .get_or_init(|| build(&self.name_servers).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(|reason| ResolveError::Configuration(reason.clone()))?;
        let failure = match timeout(LOOKUP_TIME_MAX, find(resolver, next_hop, served)).await {
            Ok(Ok(found)) if !found.located.is_empty() => {
                let located = Arc::new(found.located);
                self.table().keep(next_hop.clone(), located.clone(), found.good_until);
                return Ok(located);
            }
            Ok(Ok(_)) => {
                return Err(ResolveError::Failed { host, reason: "it offers no service that we can use".into() });
            }
            Ok(Err(reason)) => ResolveError::Failed { host, reason },
            Err(_) => ResolveError::TimedOut(host),
        };
        self.table().stale(next_hop, Instant::now()).ok_or(failure)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn build(name_servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = if name_servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = name_servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    options.timeout = ASK_AGAIN_AFTER;
    options.attempts = 2;
    builder.build()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    NameServerConfig::new(address.ip(), true, vec![at_port(ConnectionConfig::udp()), at_port(ConnectionConfig::tcp())])
}

/// What was found, and how long it is good.
struct Found {
    located: Located,
    good_until: Instant,
}

/// Asks what [`NextHop::search`] says. The usual services are asked for at the same time as NAPTR records, which few
/// domains have.
async fn find(resolver: &TokioResolver, next_hop: &NextHop, served: &[Transport]) -> Result<Found, String> {
    let Search { naptr, services, otherwise } = next_hop.search(served);
    let named = async { if naptr { ask_naptr(resolver, next_hop, served).await } else { Vec::new() } };
    let (named, usual) = tokio::join!(named, join_all(services.iter().map(|service| ask_srv(resolver, service))));
    let answers = match named.is_empty() {
        true => usual,
        false => join_all(named.iter().map(|service| ask_srv(resolver, service))).await,
    };
    let answers: Vec<Servers> = answers.into_iter().flatten().collect();
    if !answers.is_empty() {
        return Ok(addresses_of(resolver, answers).await);
    }
    let (transport, port) = otherwise;
    let (addresses, good_until) = ask_addresses(resolver, &next_hop.host.to_string()).await?;
    let server = Server { priority: 0, weight: 0, port, addresses };
    Ok(Found { located: Located { by_transport: vec![(transport, vec![server])] }, good_until })
}

/// The services that NAPTR records name. Whatever goes wrong: none, which leaves the usual ones.
async fn ask_naptr(resolver: &TokioResolver, next_hop: &NextHop, served: &[Transport]) -> Vec<Service> {
    let Ok(answer) = ask(resolver, &format!("{}.", next_hop.host), RecordType::NAPTR).await else { return Vec::new() };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::NAPTR(naptr) => Some(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: text(&naptr.flags),
            service: text(&naptr.services),
            replacement: naptr.replacement.to_ascii(),
        }),
        _ => None,
    });
    let mut services = next_hop.services(records.take(NAPTR_MAX).collect(), served);
    services.truncate(SERVICES_MAX);
    services
}

/// The SRV records of one service.
struct Servers {
    transport: Transport,
    servers: Vec<(Server, String)>,
    good_until: Instant,
}

/// Asks for SRV records. None when there are none; an empty list when the domain says that it has no such service
/// (RFC 2782, "Target").
async fn ask_srv(resolver: &TokioResolver, service: &Service) -> Option<Servers> {
    let name = format!("{}.", service.name.trim_end_matches('.'));
    let answer = ask(resolver, &name, RecordType::SRV).await.ok()?;
    let records = answer.answers().iter().filter_map(|record| match &record.data {
        RData::SRV(srv) => Some(srv),
        _ => None,
    });
    let mut records: Vec<_> = records.collect();
    if records.is_empty() {
        return None;
    }
    records.sort_by_key(|srv| srv.priority);
    let server = |srv: &&hickory_resolver::proto::rr::rdata::SRV| {
        let server = Server { priority: srv.priority, weight: srv.weight, port: srv.port, addresses: Vec::new() };
        (server, srv.target.to_ascii())
    };
    let leads_somewhere = |srv: &&&hickory_resolver::proto::rr::rdata::SRV| !srv.target.is_root();
    let servers = records.iter().filter(leads_somewhere).take(SERVERS_MAX).map(server).collect();
    Some(Servers { transport: service.transport, servers, good_until: answer.valid_until() })
}

/// Asks for the addresses of all servers at the same time. One that has none is left out.
async fn addresses_of(resolver: &TokioResolver, answers: Vec<Servers>) -> Found {
    let mut found = Found { located: Located::default(), good_until: Instant::now() + known::FRESH_TIME_MAX };
    for Servers { transport, servers, good_until } in answers {
        found.good_until = found.good_until.min(good_until);
        let asked = join_all(servers.iter().map(|(_, name)| ask_addresses(resolver, name))).await;
        let mut known = Vec::new();
        for ((server, _), addresses) in servers.into_iter().zip(asked) {
            if let Ok((addresses, good_until)) = addresses {
                found.good_until = found.good_until.min(good_until);
                known.push(Server { addresses, ..server });
            }
        }
        found.located.by_transport.push((transport, known));
    }
    found
}

async fn ask(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Lookup, String> {
    match timeout(QUERY_TIME_MAX, resolver.lookup(name, kind)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

async fn ask_addresses(resolver: &TokioResolver, name: &str) -> Result<(Vec<IpAddr>, Instant), String> {
    match timeout(QUERY_TIME_MAX, resolver.lookup_ip(name)).await {
        Ok(Ok(answer)) => Ok((answer.iter().take(ADDRESSES_MAX).collect(), answer.valid_until())),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
