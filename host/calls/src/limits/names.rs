//! The list of limits: what each is called, and what whoever meets it is told.

use crate::tenant::Counter;

/// A bound of one tenant. The configuration, the metrics and the table in the README are held against this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each has its meaning in `Limits` and the README under its name
pub enum Limit {
    CallsPerSecond,
    Calls,
    ExchangesWaiting,
    EventsAtOnce,
    EventDeadline,
    Memory,
    StateBytes,
    EffectsPerEvent,
    BytesPerEvent,
    LegsPerCall,
    TransactionsPerCall,
    TimersPerCall,
    EventsQueuedPerCall,
    BreakdownsInARow,
    IdleCall,
    CacheBytes,
    BodyBytes,
}

impl Limit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::CallsPerSecond,
        Self::Calls,
        Self::ExchangesWaiting,
        Self::EventsAtOnce,
        Self::EventDeadline,
        Self::Memory,
        Self::StateBytes,
        Self::EffectsPerEvent,
        Self::BytesPerEvent,
        Self::LegsPerCall,
        Self::TransactionsPerCall,
        Self::TimersPerCall,
        Self::EventsQueuedPerCall,
        Self::BreakdownsInARow,
        Self::IdleCall,
        Self::CacheBytes,
        Self::BodyBytes,
    ];

    /// The key of its configuration, the label of its metric, and what errors call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CallsPerSecond => "calls_per_second",
            Self::Calls => "calls",
            Self::ExchangesWaiting => "exchanges_waiting",
            Self::EventsAtOnce => "events_at_once",
            Self::EventDeadline => "event_deadline_ms",
            Self::Memory => "memory_bytes",
            Self::StateBytes => "state_bytes",
            Self::EffectsPerEvent => "effects_per_event",
            Self::BytesPerEvent => "bytes_per_event",
            Self::LegsPerCall => "legs_per_call",
            Self::TransactionsPerCall => "transactions_per_call",
            Self::TimersPerCall => "timers_per_call",
            Self::EventsQueuedPerCall => "events_queued_per_call",
            Self::BreakdownsInARow => "breakdowns_in_a_row",
            Self::IdleCall => "idle_call_seconds",
            Self::CacheBytes => "cache_bytes",
            Self::BodyBytes => "body_bytes_max",
        }
    }

    /// The limit of this name, when it is one of a tenant.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.name() == name)
    }
}

/// How often each limit was reached, since start.
#[derive(Debug, Default)]
pub struct LimitCounters([Counter; Limit::ALL.len()]);

impl LimitCounters {
    /// A limit was reached.
    pub fn reached(&self, limit: Limit) {
        self.of(limit).add();
    }

    /// How often it was.
    pub fn count(&self, limit: Limit) -> u64 {
        self.of(limit).value()
    }

    fn of(&self, limit: Limit) -> &Counter {
        &self.0[limit as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_each_limit_once_and_at_its_number() {
        for (number, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, number);
            assert_eq!(Limit::named(limit.name()), Some(limit), "{}", limit.name());
        }
    }
}
