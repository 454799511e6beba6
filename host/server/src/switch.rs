//! The switch joins the pure core to the machine: it holds the shards, reads the sockets, keeps the time, runs the
//! guests, and lets out what was committed.
//!
//! A packet is read by one of a few threads that block in the socket. That thread admits it, gives it to its shard,
//! runs the event that comes of it through the guest, commits, and sends: nothing is handed on, and the lock of the
//! shard is not held while the guest runs. HTTP requests do the same on their own threads, timers on the clock's.

mod aside;
mod consultation;
mod drive;
mod entry;
mod inspect;
mod moving;
mod parking;
mod relay;
mod sockets;
mod streams;
mod targets;
mod threads;

pub use inspect::{Counters, LadderEntry};
pub use moving::MoveReport;
pub use plugboard_calls::shard::{CallSummary, LegSummary};
pub use sockets::is_advertisable;

use crate::deploy::Newcomers;
use aside::timed;
use parking::Alarm;
use plugboard_calls::chance::Chance;
use plugboard_calls::contract::*;
use plugboard_calls::limits::Limit;
use plugboard_calls::logic::{Logic, Routed};
use plugboard_calls::pace::Lane;
use plugboard_calls::shard::{self, Arrival, Shard, ShardConfig, broken, over, plain};
use plugboard_calls::stage::{Setting, Stage};
use plugboard_calls::tenant::Tenant;
use plugboard_calls::turns::Waiter;
use plugboard_journal::Journal;
use plugboard_net::clock::Clock;
use plugboard_net::resolve::Resolver;
use plugboard_net::streams::StreamLimits;
use plugboard_net::tls::Tls;
use plugboard_sip::flood::{Floods, SourceLimit};
use plugboard_sip::locate::Avoided;
use plugboard_sip::transaction::TimerValues;
use plugboard_sip::transport::Transport;
use relay::Relay;
use sockets::Sockets;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Shards, in number: calls are spread over them by key, so that threads rarely wait for one another.
const SHARDS: u8 = 8;
/// How long an HTTP request waits for the guest's answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the legs of ended calls get to see their BYEs answered at shutdown.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(3);

/// What a switch is started with.
#[derive(Clone, Debug, Default)]
pub struct SwitchConfig {
    /// The UDP addresses to bind; port 0 takes a free one.
    pub udp: Vec<SocketAddr>,
    /// The same for TCP.
    pub tcp: Vec<SocketAddr>,
    /// The same for TLS; none is bound without `certificates`.
    pub tls: Vec<SocketAddr>,
    /// The same for WebSocket (RFC 7118).
    pub ws: Vec<SocketAddr>,
    /// The same for WebSocket over TLS; none is bound without `certificates`.
    pub wss: Vec<SocketAddr>,
    /// The origins of pages that may connect by WebSocket; `*` for any.
    pub ws_origins: Vec<String>,
    /// What TLS shows and trusts.
    pub certificates: Option<Tls>,
    /// What connections may take.
    pub streams: StreamLimits,
    /// The host, or `host:port`, that Contact and Via say instead of the bound address.
    pub advertise: Option<String>,
    /// The same for single sockets, by the address that they are bound to as it stands above.
    pub advertise_at: Vec<(SocketAddr, String)>,
    /// What one source may send that belongs to no call.
    pub source_limit: SourceLimit,
    /// The base values of the SIP timers.
    pub timers: TimerValues,
    /// Who is asked for names; none: the name servers of the machine.
    pub name_servers: Vec<SocketAddr>,
}

/// Why a switch does not start.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The address cannot be bound.
    #[error("cannot bind the SIP address {transport} {address}: {source}")]
    Bind {
        /// The transport.
        transport: Transport,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// `advertise` is not a host.
    #[error("[sip] advertise: {0:?} is not a host name or an address, with or without a port")]
    Advertise(String),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// All calls of the process, and the way to them.
pub struct Switch {
    shards: Vec<Mutex<Shard>>,
    sockets: Sockets,
    clock: Clock,
    alarm: Alarm,
    /// The turn at each socket of UDP.
    relays: Vec<Relay>,
    resolver: Resolver,
    /// Targets that failed a while ago.
    avoided: Mutex<Avoided>,
    runtime: tokio::runtime::Handle,
    waiting: Mutex<HashMap<ExchangeId, oneshot::Sender<HttpResponse>>>,
    next_exchange: AtomicU64,
    /// Spreads keys over shards, and makes seeds that nobody can guess.
    hasher: RandomState,
    counters: inspect::Live,
    /// What came that belongs to nothing. Taken with a shard's lock, never the other way round.
    floods: Mutex<Floods>,
    journal: OnceLock<Arc<Journal>>,
    /// No new calls are taken.
    draining: AtomicBool,
    stopping: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Switch {
    /// Binds the sockets and starts the threads. Must be called within a tokio runtime, which runs the look-ups.
    pub fn start(config: SwitchConfig) -> Result<Arc<Self>, SwitchError> {
        let sockets = Sockets::bind(&config)?;
        let relays = sockets.datagrams().iter().map(|_| Relay::new()).collect();
        let hasher = RandomState::new();
        let mut chance = Chance::new(hasher.hash_one("shards"));
        let shard = |index| {
            let (faces, timers, seed) = (sockets.faces().clone(), config.timers, chance.next_u64());
            Mutex::new(Shard::new(ShardConfig { index, faces, timers, seed }))
        };
        let switch = Arc::new(Self {
            shards: (0..SHARDS).map(shard).collect(),
            sockets,
            relays,
            clock: Clock::start(),
            alarm: Alarm::default(),
            resolver: Resolver::new(config.name_servers),
            avoided: Mutex::default(),
            runtime: tokio::runtime::Handle::current(),
            waiting: Mutex::default(),
            next_exchange: AtomicU64::new(1),
            hasher,
            counters: inspect::Live::default(),
            floods: Mutex::new(Floods::new(config.source_limit)),
            journal: OnceLock::new(),
            draining: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            threads: Mutex::default(),
        });
        threads::start(&switch)?;
        Ok(switch)
    }

    /// The addresses that were bound for a transport.
    pub fn addresses(&self, transport: Transport) -> Vec<SocketAddr> {
        self.sockets.addresses(transport)
    }

    /// Tells this journal of every event from now on. The first one counts.
    pub fn record_to(&self, journal: Arc<Journal>) {
        let _ = self.journal.set(journal);
    }

    /// What is told of every event, if there is one.
    pub fn journal(&self) -> Option<&Arc<Journal>> {
        self.journal.get()
    }

    /// Asks the tenant's logic about an HTTP request and waits for its answer: a call that is up keeps its version, any
    /// other takes the one that `newcomers` says. When the guest has no answer, the answer says so (500, 503, 504).
    pub async fn http(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        newcomers: &Newcomers,
        principal: Principal,
        request: HttpRequest,
    ) -> HttpResponse {
        let Some(_place) = Place::take(tenant) else {
            tenant.counters.limits.reached(Limit::ExchangesWaiting);
            return over(Limit::ExchangesWaiting);
        };
        let (logic, key) = match self.choose(tenant, newcomers, &principal, &request).await {
            Ok(chosen) => chosen,
            Err(answer) => return answer,
        };
        // A safe request (RFC 9110 §9.2.1) begins no call.
        if self.draining.load(Ordering::Acquire)
            && !matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS")
            && !self.knows(tenant, &key)
        {
            return plain(503, "the server is going down and takes no new calls", true);
        }
        let exchange = ExchangeId(self.next_exchange.fetch_add(1, Ordering::Relaxed));
        let (sender, mut receiver) = oneshot::channel();
        lock(&self.waiting).insert(exchange, sender);
        let _waits = Waits { switch: self, tenant, key: key.clone(), exchange };
        let index = self.shard_for(&tenant.domain, &key);
        let arrival = Arrival { tenant: tenant.clone(), logic, key, principal, exchange, request };
        self.with_shard(index, |shard, now, out| shard.http(now, arrival, out));
        // As a rule the guest has answered by now, and nothing has to wait.
        if let Ok(answer) = receiver.try_recv() {
            return answer;
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, receiver).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => plain(500, "the call controller has no answer", false),
            Err(_) => plain(504, "the call controller did not answer in time", false),
        }
    }

    /// Ends a call: the guest may say its last, then the host releases its legs. Whether there was such a call.
    pub fn end_call(self: &Arc<Self>, domain: &str, key: &CallKey, reason: EndingReason) -> bool {
        let index = self.shard_for(domain, key);
        self.with_shard(index, |shard, now, out| shard.end_call(now, domain, key, reason, out))
    }

    /// Ends all calls for which `which` says so.
    pub fn end_calls(self: &Arc<Self>, reason: EndingReason, which: impl Fn(&Tenant, &Arc<dyn Logic>) -> bool) {
        for index in 0..SHARDS {
            self.with_shard(index, |shard, now, out| shard.end_calls(now, reason, &which, out));
        }
    }

    /// Takes no new calls, waits for those that are up to end by themselves, ends what is left at the deadline, and
    /// stops the threads. Nothing can be asked of the switch afterwards.
    pub async fn drain(self: &Arc<Self>, deadline: Duration) {
        self.draining.store(true, Ordering::Release);
        self.wait_until_empty(deadline).await;
        self.end_calls(EndingReason::Shutdown, |_, _| true);
        self.wait_until_empty(FAREWELL_TIME_MAX).await;
        self.sockets.streams().stop().await;
        self.stopping.store(true, Ordering::Release);
        self.alarm.wake();
        self.relays.iter().for_each(Relay::call_all);
        let threads = std::mem::take(&mut *lock(&self.threads));
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join())));
        let _ = joined.await;
    }

    async fn wait_until_empty(&self, at_most: Duration) {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        let busy = || self.shards.iter().any(|shard| lock(shard).has_legs());
        let wait = async {
            while busy() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _ = tokio::time::timeout(at_most, wait).await;
    }

    /// The call that a request is about, and the version that it takes unless it is up. The live version says which
    /// call it is; a candidate says so itself of the new ones that fall to it.
    async fn choose(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        newcomers: &Newcomers,
        principal: &Principal,
        request: &HttpRequest,
    ) -> Result<(Arc<dyn Logic>, CallKey), HttpResponse> {
        let live = newcomers.live();
        let key = self.route(tenant, live, principal, request).await?;
        let chosen = newcomers.logic_for(&tenant.domain, &key);
        let key = match Arc::ptr_eq(chosen, live) || self.knows(tenant, &key) {
            true => key,
            false => self.route(tenant, chosen, principal, request).await?,
        };
        Ok((chosen.clone(), key))
    }

    /// Which call a request is about. A guest that takes long is asked with a turn and on a thread of its own.
    async fn route(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        logic: &Arc<dyn Logic>,
        principal: &Principal,
        request: &HttpRequest,
    ) -> Result<CallKey, HttpResponse> {
        if tenant.pace.lane() != Lane::Aside {
            return timed(&tenant.pace, || self.ask(tenant, &**logic, principal, request));
        }
        let (sender, receiver) = oneshot::channel();
        let (switch, of, logic) = (self.clone(), tenant.clone(), logic.clone());
        let (principal, request) = (principal.clone(), request.clone());
        let work = Box::new(move || {
            if !sender.is_closed() {
                let _ = sender.send(switch.ask(&of, &*logic, &principal, &request)); // the client may have gone
            }
        });
        match tenant.turns.enter(Waiter::Work(work)) {
            Some(waiter) => self.take_turn(tenant, waiter),
            None => tenant.counters.limits.reached(Limit::EventsAtOnce),
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, receiver).await {
            Ok(Ok(routed)) => routed,
            _ => Err(plain(504, "the call controller did not answer in time", false)),
        }
    }

    /// Asks the guest's `route`. It may read the tenant's users for it, and stage nothing.
    fn ask(
        &self,
        tenant: &Tenant,
        logic: &dyn Logic,
        principal: &Principal,
        request: &HttpRequest,
    ) -> Result<CallKey, HttpResponse> {
        let stage = Stage::new(Setting::of_route(tenant, logic, self.clock.now(), principal.clone()));
        let (mut stage, routed) = logic.route(&tenant.domain, request, stage);
        drive::write_log(&tenant.domain, None, stage.take_log());
        match routed {
            Ok(Routed::Call(key)) => Ok(key),
            Ok(Routed::Answer(answer)) => Err(answer),
            Err(breakdown) => {
                tenant.counters.broke_down(&breakdown);
                tracing::warn!(tenant = &*tenant.domain, %breakdown, "the controller could not route a request");
                Err(broken(&breakdown))
            }
        }
    }

    /// Whether there is such a call.
    fn knows(&self, tenant: &Tenant, key: &CallKey) -> bool {
        lock(&self.shards[usize::from(self.shard_for(&tenant.domain, key))]).knows(&tenant.domain, key)
    }

    fn shard_for(&self, domain: &str, key: &CallKey) -> u8 {
        (self.hasher.hash_one((domain, key)) % u64::from(SHARDS)) as u8
    }

    /// The shard that an id on the wire names. What is not ours goes to the same one each time, where nobody knows it.
    fn shard_of(&self, id: Option<&str>, otherwise: &[u8]) -> u8 {
        let ours = id.and_then(shard::shard_of).filter(|index| *index < SHARDS);
        ours.unwrap_or_else(|| (self.hasher.hash_one(otherwise) % u64::from(SHARDS)) as u8)
    }
}

/// One of the places that a tenant has for requests that wait for an answer.
struct Place<'t>(&'t Tenant);

impl<'t> Place<'t> {
    fn take(tenant: &'t Tenant) -> Option<Self> {
        let waiting = &tenant.counters.exchanges_waiting;
        waiting.add();
        let place = Self(tenant);
        (waiting.value() <= tenant.settings().limits.exchanges_waiting as u64).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.counters.exchanges_waiting.subtract();
    }
}

/// An exchange that waits for its answer. When it ends without one, because it took too long or because the client
/// went away, nothing is left of it.
struct Waits<'s> {
    switch: &'s Arc<Switch>,
    tenant: &'s Tenant,
    key: CallKey,
    exchange: ExchangeId,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if lock(&self.switch.waiting).remove(&self.exchange).is_some() {
            let Self { switch, tenant, key, exchange } = self;
            let index = switch.shard_for(&tenant.domain, key);
            switch.with_shard(index, |shard, now, _| shard.abandon(now, &tenant.domain, key, *exchange));
        }
    }
}

/// A lock that a panic elsewhere does not take down with it: the shard of a panicked thread may have lost an event,
/// the calls of all others go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
