//! One SIP domain as the calls core sees it: who its users are, what it may use, where its requests go.

use crate::cache::{Cache, MemoryCache};
use crate::limits::{Limit, LimitCounters, Limits};
use crate::logic::{Breakdown, Directory};
use crate::pace::Pace;
use crate::turns::Turns;
use arc_swap::{ArcSwap, Guard};
use plugboard_sip::bucket::Bucket;
use plugboard_sip::time::Time;
use plugboard_sip::uri::SipUri;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A tenant, for as long as it is configured. What its configuration says may change under its calls: see
/// [`Tenant::configure`].
pub struct Tenant {
    /// The SIP domain; names the tenant.
    pub domain: Arc<str>,
    /// Its cache.
    pub cache: Arc<dyn Cache>,
    /// Which of its events run now.
    pub turns: Turns,
    /// Whether its events take long.
    pub pace: Pace,
    /// What happened.
    pub counters: TenantCounters,
    /// Calls that came up lately.
    placed: Mutex<Bucket>,
    settings: ArcSwap<Settings>,
    removed: AtomicBool,
}

/// What the configuration says of a tenant, and is the host's business. Looked up anew at every event, so that a change
/// holds at once, for calls that are up, too. What the guest is told is part of its version instead
/// ([`Logic::settings`](crate::logic::Logic::settings)).
pub struct Settings {
    /// The bounds of its calls.
    pub limits: Arc<Limits>,
    /// Its users.
    pub directory: Arc<dyn Directory>,
    /// Where requests outside a dialog go; none: to the host of the Request-URI.
    pub outbound_proxy: Option<SipUri>,
    /// The session interval that calls ask for (RFC 4028), in seconds; 0: none.
    pub session_expires_seconds: u32,
}

/// The session interval that a tenant asks for unless its configuration says otherwise, in seconds (RFC 4028 §4).
pub const SESSION_EXPIRES_SECONDS: u32 = 1_800;

impl Settings {
    /// These users, and everything else as it is when the configuration says nothing of it.
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        let limits = Arc::new(Limits::default());
        Self { limits, directory, outbound_proxy: None, session_expires_seconds: SESSION_EXPIRES_SECONDS }
    }
}

/// Counts since start, for metrics.
#[derive(Debug, Default)]
pub struct TenantCounters {
    /// Calls that got their first state.
    pub calls_placed: Counter,
    /// Calls that are up.
    pub calls_up: Counter,
    /// Events that were committed.
    pub events_committed: Counter,
    /// Events of which nothing happened: trap, deadline, fault, limit.
    pub events_broken: Counter,
    /// Events dropped because the call's queue was full.
    pub events_dropped: Counter,
    /// Calls that the host had to end itself.
    pub calls_ended_by_host: Counter,
    /// HTTP requests that wait for the guest's answer.
    pub exchanges_waiting: Counter,
    /// How often each limit was reached.
    pub limits: LimitCounters,
}

impl TenantCounters {
    /// Counts an event of which nothing happens, and the limit that it met.
    pub fn broke_down(&self, breakdown: &Breakdown) {
        self.events_broken.add();
        if let Some(limit) = breakdown.limit() {
            self.limits.reached(limit);
        }
    }
}

/// A number that many threads count up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less, for gauges.
    pub fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The count.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tenant {
    /// A tenant with an empty cache in memory.
    pub fn new(domain: String, settings: Settings) -> Arc<Self> {
        let cache = Arc::new(MemoryCache::new(settings.limits.cache_bytes));
        let turns = Turns::new(settings.limits.events_at_once);
        let (counters, placed, removed) = (TenantCounters::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Self {
            domain: domain.into(),
            cache,
            turns,
            pace: Pace::default(),
            counters,
            settings: ArcSwap::from_pointee(settings),
            removed,
            placed,
        })
    }

    /// What its configuration says now. An event takes it once, so that it is the same for the whole event.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// From now on its configuration says this. Events that run go on with what they began with.
    pub fn configure(&self, settings: Settings) {
        self.cache.resize(settings.limits.cache_bytes);
        self.turns.resize(settings.limits.events_at_once);
        self.settings.store(Arc::new(settings));
    }

    /// It is configured no more: no request finds its calls any longer, and none is placed. End those that are up
    /// after this.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    /// Whether it was removed.
    pub fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Whether one more call may come up now; counts it when it may.
    ///
    /// # Errors
    /// With the limit that is in the way.
    pub(crate) fn place(&self, now: Time) -> Result<(), Limit> {
        let limits = &self.settings().limits;
        if self.counters.calls_up.value() >= limits.calls as u64 {
            return Err(Limit::Calls);
        }
        // The guarded code cannot panic halfway.
        let mut placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner);
        if placed.take(now, limits.call_rate()) { Ok(()) } else { Err(Limit::CallsPerSecond) }
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("domain", &self.domain).finish_non_exhaustive()
    }
}
