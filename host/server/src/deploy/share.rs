//! Who takes new calls: the live version, and for a share of them a candidate.
//!
//! The share is of call keys, not of requests. A key has a place between 0 and 10,000 that depends on the candidate,
//! the tenant and the key alone, and the candidate takes the places below its share. So a key that went to it at 5 %
//! goes there at 20 %, too, also after a restart; and the next candidate is tried on other keys.

use super::Version;
use plugboard_calls::contract::CallKey;
use plugboard_calls::logic::Logic;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Places of call keys, in number.
const PLACES: u64 = 10_000;

/// A part of the new calls, in per cent: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u8);

impl Share {
    /// All of them.
    pub const ALL: Self = Self(100);

    /// A share of this many per cent, if that is 1 to 100.
    pub fn percent(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    /// In per cent.
    pub fn as_percent(self) -> u8 {
        self.0
    }

    /// Whether a key has its place within it.
    fn holds(self, component: &str, domain: &str, key: &CallKey) -> bool {
        let mut hash = Sha256::new();
        for part in [component, domain, key.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut first = [0; 8];
        first.iter_mut().zip(hash.finalize()).for_each(|(to, byte)| *to = byte);
        u64::from_be_bytes(first) % PLACES < u64::from(self.0) * (PLACES / 100)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// The call logic that calls take which are not up yet.
pub struct Newcomers {
    live: Arc<dyn Logic>,
    candidate: Option<Candidate>,
}

/// The call logic that takes a share of them.
pub(super) struct Candidate {
    pub(super) version: Arc<Version>,
    pub(super) share: Share,
}

impl Candidate {
    /// One that is given up takes none, even before it is taken away.
    fn takes(&self, domain: &str, key: &CallKey) -> bool {
        self.share.holds(self.version.component(), domain, key) && !self.version.health().is_given_up()
    }
}

impl Newcomers {
    pub(super) fn new(live: Arc<dyn Logic>, candidate: Option<Candidate>) -> Self {
        Self { live, candidate }
    }

    /// The live one, which says what call a request is about.
    pub fn live(&self) -> &Arc<dyn Logic> {
        &self.live
    }

    /// The one that takes a new call with this key.
    pub fn logic_for(&self, domain: &str, key: &CallKey) -> &Arc<dyn Logic> {
        match &self.candidate {
            Some(candidate) if candidate.takes(domain, key) => candidate.version.logic(),
            _ => &self.live,
        }
    }
}

impl From<Arc<dyn Logic>> for Newcomers {
    /// All calls go to this one.
    fn from(live: Arc<dyn Logic>) -> Self {
        Self::new(live, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(percent: u8, component: &str, domain: &str) -> Vec<usize> {
        let share = Share::percent(percent).expect("a share");
        let key = |n: usize| CallKey::new(format!("alice:bob:{n}")).expect("a key");
        (0..10_000).filter(|n| share.holds(component, domain, &key(*n))).collect()
    }

    #[test]
    fn a_key_stays_with_the_candidate_as_its_share_grows() {
        let mut before = Vec::new();
        for percent in [1, 5, 20, 50, 99, 100] {
            let now = taken(percent, "c", "example.com");
            assert!(before.iter().all(|key| now.contains(key)), "{percent} % lost a key");
            let expected = usize::from(percent) * 100;
            assert!(now.len().abs_diff(expected) <= 150, "{percent} % took {} of 10,000 keys", now.len());
            before = now;
        }
        assert_eq!(before.len(), 10_000, "100 % takes every key");
    }

    #[test]
    fn another_candidate_or_tenant_means_other_keys() {
        let one = taken(5, "c", "example.com");
        assert_ne!(one, taken(5, "d", "example.com"));
        assert_ne!(one, taken(5, "c", "example.net"));
        assert_eq!(one, taken(5, "c", "example.com"));
    }

    #[test]
    fn a_share_is_1_to_100_per_cent() {
        assert_eq!([0, 1, 100, 101].map(|n| Share::percent(n).is_some()), [false, true, true, false]);
    }
}
