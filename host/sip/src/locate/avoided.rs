//! Targets that failed a while ago, so that the next request tries others first (RFC 3263 §4.3, RFC 3261 §21.5.4).

use super::Target;
use crate::time::Time;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::time::Duration;

/// Targets that are avoided at once, in number.
pub const AVOIDED_MAX: usize = 1_024;
/// How long a target is avoided that did not say for how long. More than the 32 s (64 times T1) after which silence is
/// a failure: with less, a server that is gone would make the next call wait again as soon as one has waited.
pub const AVOID_TIME: Duration = Duration::from_secs(60);
/// The longest time that a target is avoided, whatever its Retry-After says.
pub const AVOID_TIME_MAX: Duration = Duration::from_secs(600);

/// The targets to avoid, each until its time.
#[derive(Debug)]
pub struct Avoided {
    until: HashMap<Target, Time, FixedState>,
}

impl Default for Avoided {
    fn default() -> Avoided {
        Avoided { until: HashMap::with_hasher(FixedState::default()) }
    }
}

impl Avoided {
    /// Avoids a target for a time, [`AVOID_TIME_MAX`] at most. When there is no room, the one that would be avoided
    /// for the shortest time is forgotten.
    pub fn avoid(&mut self, now: Time, target: Target, time: Duration) {
        if self.until.len() >= AVOIDED_MAX && !self.until.contains_key(&target) {
            self.until.retain(|_, until| *until > now);
            let soonest =
                self.until.iter().min_by_key(|(target, until)| (**until, **target)).map(|(target, _)| *target);
            if let Some(soonest) = soonest.filter(|_| self.until.len() >= AVOIDED_MAX) {
                self.until.remove(&soonest);
            }
        }
        self.until.insert(target, now + time.min(AVOID_TIME_MAX));
    }

    /// Puts those that are avoided behind the others, and keeps the order otherwise: when all are avoided, the best one
    /// is tried anyway.
    pub fn put_last(&self, now: Time, targets: &mut [Target]) {
        if !self.until.is_empty() {
            targets.sort_by_key(|target| self.is_avoided(now, target));
        }
    }

    /// Targets that are avoided now, in number.
    pub fn count(&self, now: Time) -> usize {
        self.until.values().filter(|until| **until > now).count()
    }

    fn is_avoided(&self, now: Time, target: &Target) -> bool {
        self.until.get(target).is_some_and(|until| *until > now)
    }
}
