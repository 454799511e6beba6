//! Floods: how much one source may send that belongs to nothing here.
//!
//! The rule. What belongs to a call costs its source nothing: a proxy that carries everyone's calls is never slowed, and
//! who sends in its name cannot slow it either. Everything else, a request outside any dialog or what is no message at
//! all, is looked at and answered as often as the source's [`SourceLimit`] allows: one without credentials, a ping, a
//! call that went astray are answered like any other, as they come in ones and twos. Beyond that a source is not
//! answered, and as long as it keeps on, what cannot belong to a call by its looks is not even read. Nobody is told:
//! an answer would make us part of a flood that somebody else pays for.
//!
//! A source is an IPv4 address or an IPv6 network of 64 bits. UDP lets anyone claim any of them, so all sources together
//! may have [`ALL_SOURCES`] times what one may.

use crate::bucket::{Bucket, Rate};
use crate::time::Time;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Sources that are told apart at once, in number; any more share what one may have.
pub const SOURCES_MAX: usize = 65_536;
/// What all sources together may have, as a multiple of what one may.
pub const ALL_SOURCES: u32 = 20;
/// How much of it may come at once after a rest, in seconds of its rate.
pub const BURST_SECONDS: u32 = 10;
/// How often the table is searched for sources that have been quiet, when it is full.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What one source may send in a second that belongs to no call, in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLimit(pub u32);

impl Default for SourceLimit {
    fn default() -> Self {
        Self(100)
    }
}

/// Who sent how much that belongs to nothing.
#[derive(Debug)]
pub struct Floods {
    of_one: Rate,
    of_all: Rate,
    sources: HashMap<Source, Bucket, RandomState>,
    /// Of all sources that have no room in the table.
    others: Bucket,
    all: Bucket,
    swept: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl Floods {
    /// No source has sent anything.
    pub fn new(SourceLimit(per_second): SourceLimit) -> Self {
        let rate = |per_second: u32| Rate { per_second, burst: per_second.saturating_mul(BURST_SECONDS) };
        Self {
            of_one: rate(per_second),
            of_all: rate(per_second.saturating_mul(ALL_SOURCES)),
            sources: HashMap::default(),
            others: Bucket::default(),
            all: Bucket::default(),
            swept: Time::default(),
        }
    }

    /// Whether a source has used up what it may send that belongs to nothing.
    pub fn is_flooding(&mut self, now: Time, source: IpAddr) -> bool {
        let own = match self.sources.get_mut(&Source::of(source)) {
            Some(bucket) => bucket.has(now, self.of_one),
            None => self.sources.len() < SOURCES_MAX || self.others.has(now, self.of_one),
        };
        !own || !self.all.has(now, self.of_all)
    }

    /// Counts something of a source that belongs to nothing. Whether it is to be answered.
    pub fn admit(&mut self, now: Time, source: IpAddr) -> bool {
        let rate = self.of_one;
        self.bucket(now, Source::of(source)).take(now, rate) && self.all.take(now, self.of_all)
    }

    fn bucket(&mut self, now: Time, source: Source) -> &mut Bucket {
        let full = self.sources.len() >= SOURCES_MAX;
        if full && now - self.swept >= SWEEP_EVERY {
            self.swept = now;
            self.sources.retain(|_, bucket| !bucket.is_full(now, self.of_one));
        }
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            return &mut self.others;
        }
        self.sources.entry(source).or_default()
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn admitted(floods: &mut Floods, at: u64, source: &str, times: usize) -> usize {
        (0..times).filter(|_| floods.admit(Time::from_millis(at), ip(source))).count()
    }

    #[test]
    fn a_source_has_its_burst_and_its_rate_and_others_do_not_notice() {
        let mut floods = Floods::new(SourceLimit(10));
        let now = Time::from_millis(0);
        assert!(!floods.is_flooding(now, ip("192.0.2.1")));
        assert_eq!(admitted(&mut floods, 0, "192.0.2.1", 50_000), 100);
        assert!(floods.is_flooding(now, ip("192.0.2.1")) && !floods.is_flooding(now, ip("192.0.2.2")));
        assert_eq!(admitted(&mut floods, 0, "192.0.2.2", 1), 1);
        assert_eq!(admitted(&mut floods, 1_000, "192.0.2.1", 50_000), 10);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_a_mapped_address_is_that_of_ipv4() {
        let mut floods = Floods::new(SourceLimit(1));
        assert_eq!(admitted(&mut floods, 0, "2001:db8::1", 20), 10);
        assert_eq!(admitted(&mut floods, 0, "2001:db8::ffff:2", 20), 0);
        assert_eq!(admitted(&mut floods, 0, "2001:db8:0:1::1", 20), 10, "another network");
        assert_eq!(admitted(&mut floods, 0, "192.0.2.1", 20), 10);
        assert_eq!(admitted(&mut floods, 0, "::ffff:192.0.2.1", 20), 0);
    }

    #[test]
    fn sources_without_number_are_bounded_in_memory_and_together() {
        let mut floods = Floods::new(SourceLimit(10));
        let all = (0..200_000u32).filter(|n| floods.admit(Time::from_millis(0), IpAddr::V4((*n).into()))).count();
        assert_eq!(all, 10 * 20 * 10, "twenty times what one may have at once");
        assert_eq!(floods.sources.len(), SOURCES_MAX);
        assert!(floods.is_flooding(Time::from_millis(0), ip("198.51.100.1")), "one that was never heard of, too");
        // All of them have been quiet for long enough to be forgotten.
        assert_eq!(admitted(&mut floods, 60_000, "198.51.100.1", 200), 100);
        assert_eq!(floods.sources.len(), 1);
    }
}
