//! The bounds of what a tenant, its calls and their events may take. Each has a name ([`Limit`]) that its configuration
//! key, its metric and the answer of whoever meets it carry.

mod names;

pub use names::{Limit, LimitCounters};

use plugboard_sip::bucket::Rate;
use std::time::Duration;

/// The bounds that the calls core keeps. Those of time, memory and HTTP bodies are kept by the engine and the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Limits {
    /// Effects that one event may stage, in number.
    pub effects_per_event: usize,
    /// Bytes of header fields and bodies that one event may stage.
    pub bytes_per_event: usize,
    /// Largest state that `handle` may return, in bytes.
    pub state_bytes: usize,
    /// Legs of one call at once, in number.
    pub legs_per_call: usize,
    /// Requests of one call that wait for a final response at once, in number.
    pub transactions_per_call: usize,
    /// Timers of one call at once, in number.
    pub timers_per_call: usize,
    /// Events of one call that wait while another is handled, in number.
    pub events_queued_per_call: usize,
    /// Events of the tenant that run at once, in number.
    pub events_at_once: usize,
    /// Calls of the tenant that are up at once, in number.
    pub calls: usize,
    /// Calls that may come up in a second, in number; as many at once after a rest.
    pub calls_per_second: u32,
    /// HTTP requests of the tenant that wait for the guest's answer at once, in number.
    pub exchanges_waiting: usize,
    /// How long a call is kept that has no leg, timer or HTTP request and gets no event, in seconds.
    pub idle_call_seconds: u64,
    /// Bytes that the tenant's cache holds.
    pub cache_bytes: usize,
    /// Breakdowns in a row on one call after which the host ends it, in number.
    pub breakdowns_in_a_row: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            effects_per_event: 64,
            bytes_per_event: 256 * 1024,
            state_bytes: 64 * 1024,
            legs_per_call: 16,
            transactions_per_call: 64,
            timers_per_call: 16,
            events_queued_per_call: 64,
            events_at_once: 4,
            calls: 100_000,
            calls_per_second: 10_000,
            exchanges_waiting: 1_024,
            idle_call_seconds: 600,
            cache_bytes: 64 * 1024 * 1024,
            breakdowns_in_a_row: 3,
        }
    }
}

impl Limits {
    /// How often a call may come up.
    pub fn call_rate(&self) -> Rate {
        Rate { per_second: self.calls_per_second, burst: self.calls_per_second }
    }

    /// How long a call is kept that nothing can happen to but a request.
    pub fn idle_call_time(&self) -> Duration {
        Duration::from_secs(self.idle_call_seconds)
    }
}

/// Longest timer name, in bytes.
pub const TIMER_NAME_BYTES_MAX: usize = 64;
/// Longest time a timer may run, in milliseconds: a week.
pub const TIMER_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// Longest cache key, in bytes.
pub const CACHE_KEY_BYTES_MAX: usize = 1_024;
/// Longest life of a cache entry, in seconds.
pub const CACHE_TTL_SECONDS_MAX: u32 = 86_400;
/// Longest header value or URI that a guest may stage, in bytes.
pub const VALUE_BYTES_MAX: usize = 4_096;
/// Longest log line that is kept, in bytes.
pub const LOG_LINE_BYTES_MAX: usize = 1_024;
/// Log lines kept of one event, in number.
pub const LOG_LINES_MAX: usize = 32;
/// Answers from outside an event that are kept with it, in number.
pub const ANSWERS_MAX: usize = 64;
/// Cached values that are kept with an event which read them, in bytes.
pub const ANSWERS_BYTES_MAX: usize = 256 * 1024;
/// Header fields in one staged message, in number.
pub const HEADERS_MAX: usize = 64;
