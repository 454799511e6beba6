//! How a version fares, and when that is bad enough to step back from it.
//!
//! Events are counted in windows of `events_min`. A version is given up as soon as so many calls have failed in a
//! window that their share of it is over `faults_percent` however the rest of it goes. A call counts once in a window,
//! however often its event is tried again: one poisonous call is no reason, whatever the figures say, and neither are
//! two. That the host had no room for an event is not the version's fault and counts for nothing.

use crate::config::RollbackConfig;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Fewer calls that failed are never a reason, in number.
pub const FAULTY_CALLS_MIN: usize = 3;

/// Counts of one version.
#[derive(Default)]
pub(super) struct Health {
    /// Events of this window; those that failed once more for the same call are left out.
    events: AtomicU32,
    /// The calls that failed in this window, by a hash. At most one for each event of the window.
    faulty: Mutex<HashSet<u64>>,
    given_up: AtomicBool,
    verdict: Mutex<Option<String>>,
}

impl Health {
    /// Begins anew: the version goes into service.
    pub(super) fn begin(&self) {
        self.renew(&mut self.faulty());
        self.given_up.store(false, Relaxed);
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// An event that the guest handled.
    pub(super) fn went_well(&self, rules: &RollbackConfig) {
        if self.events.fetch_add(1, Relaxed) + 1 >= rules.events_min {
            self.renew(&mut self.faulty());
        }
    }

    /// An event that it failed at. `call` tells calls apart.
    pub(super) fn failed(&self, rules: &RollbackConfig, call: u64, why: &dyn std::fmt::Display) {
        let mut faulty = self.faulty();
        if !faulty.insert(call) {
            return;
        }
        let events = self.events.fetch_add(1, Relaxed) + 1;
        let (calls, percent) = (faulty.len(), rules.faults_percent);
        let over = calls as u64 * 100 > u64::from(percent) * u64::from(rules.events_min);
        if percent > 0 && over && calls >= FAULTY_CALLS_MIN {
            let minimum = rules.events_min;
            let verdict =
                format!("{calls} calls failed within {events} events (allowed: {percent} % of {minimum}): {why}");
            self.verdict.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(verdict);
            self.given_up.store(true, Relaxed);
        } else if events >= rules.events_min {
            self.renew(&mut faulty);
        }
    }

    /// Whether it is bad enough. Cheap: asked for every new call.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Relaxed)
    }

    /// Why, in a line.
    pub(super) fn verdict(&self) -> Option<String> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn renew(&self, faulty: &mut HashSet<u64>) {
        faulty.clear();
        self.events.store(0, Relaxed);
    }

    fn faulty(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.faulty.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(faults_percent: u8, events_min: u32) -> RollbackConfig {
        RollbackConfig { faults_percent, events_min, ..RollbackConfig::default() }
    }

    #[test]
    fn more_faulty_calls_than_the_share_allows_are_enough_at_once() {
        let (health, rules) = (Health::default(), rules(5, 200));
        (0..10).for_each(|call| health.failed(&rules, call, &"trapped"));
        assert!(!health.is_given_up(), "10 of 200 are 5 %");
        health.failed(&rules, 10, &"trapped");
        assert!(health.is_given_up());
        let verdict = health.verdict().expect("one");
        assert_eq!(verdict, "11 calls failed within 11 events (allowed: 5 % of 200): trapped");
        health.begin();
        assert!(!health.is_given_up() && health.verdict().is_none());
    }

    #[test]
    fn one_poisonous_call_is_no_reason() {
        let (health, rules) = (Health::default(), rules(1, 10));
        for _ in 0..1_000 {
            health.failed(&rules, 1, &"trapped");
            health.failed(&rules, 2, &"trapped");
        }
        assert!(!health.is_given_up());
    }

    #[test]
    fn a_new_window_forgets_what_was_within_bounds() {
        let (health, rules) = (Health::default(), rules(5, 100));
        for window in 0..50 {
            (0..5).for_each(|call| health.failed(&rules, window * 5 + call, &"trapped"));
            (0..95).for_each(|_| health.went_well(&rules));
        }
        assert!(!health.is_given_up(), "always 5 %");
        (0..6).for_each(|call| health.failed(&rules, call, &"trapped"));
        assert!(health.is_given_up());
    }

    #[test]
    fn no_share_means_never() {
        let (health, rules) = (Health::default(), rules(0, 10));
        (0..1_000).for_each(|call| health.failed(&rules, call, &"trapped"));
        assert!(!health.is_given_up());
        assert!(health.faulty().len() < 10, "and nothing grows");
    }
}
