//! One SIP domain as the calls core sees it: who its users are, what it may use, where its requests go.

use crate::cache::{Cache, MemoryCache};
use crate::limits::Limits;
use crate::logic::Directory;
use crate::turns::Turns;
use plugboard_sip::uri::SipUri;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tenant. A change of configuration makes a new one: calls keep the one they began with, the cache is handed on.
pub struct Tenant {
    /// The SIP domain; names the tenant.
    pub domain: String,
    /// The bounds of its calls.
    pub limits: Limits,
    /// Its users.
    pub directory: Arc<dyn Directory>,
    /// Its cache.
    pub cache: Arc<dyn Cache>,
    /// Where requests outside a dialog go; none: to the host of the Request-URI.
    pub outbound_proxy: Option<SipUri>,
    /// Which of its events run now.
    pub turns: Turns,
    /// What happened.
    pub counters: TenantCounters,
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
    pub fn new(
        domain: String,
        limits: Limits,
        directory: Arc<dyn Directory>,
        outbound_proxy: Option<SipUri>,
    ) -> Arc<Self> {
        let cache = Arc::new(MemoryCache::new(limits.cache_bytes));
        let turns = Turns::new(limits.events_at_once);
        let counters = TenantCounters::default();
        Arc::new(Self { domain, limits, directory, cache, outbound_proxy, turns, counters })
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("domain", &self.domain).finish_non_exhaustive()
    }
}
