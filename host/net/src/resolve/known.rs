//! What earlier look-ups found.

use plugboard_sip::locate::{Located, NextHop};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Next hops that are known at once, in number.
pub const KNOWN_MAX: usize = 1_024;
/// How long what was found is taken as it is, whatever the TTL of its records.
pub const FRESH_TIME_MAX: Duration = Duration::from_secs(300);
/// How long it is better than nothing after that, when DNS does not answer.
pub const STALE_TIME_MAX: Duration = Duration::from_secs(3_600);

/// What is known, by next hop.
#[derive(Default)]
pub(super) struct Known {
    entries: HashMap<NextHop, Entry>,
}

struct Entry {
    located: Arc<Located>,
    good_until: Instant,
}

impl Known {
    /// Keeps what was found, and forgets what has been stale longest when there is no room.
    pub fn keep(&mut self, next_hop: NextHop, located: Arc<Located>, good_until: Instant) {
        if self.entries.len() >= KNOWN_MAX && !self.entries.contains_key(&next_hop) {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.good_until);
            if let Some(oldest) = oldest.map(|(next_hop, _)| next_hop.clone()) {
                self.entries.remove(&oldest);
            }
        }
        let good_until = good_until.min(Instant::now() + FRESH_TIME_MAX);
        self.entries.insert(next_hop, Entry { located, good_until });
    }

    /// What is known and good.
    pub fn fresh(&self, next_hop: &NextHop, now: Instant) -> Option<Arc<Located>> {
        let entry = self.entries.get(next_hop).filter(|entry| now < entry.good_until)?;
        Some(entry.located.clone())
    }

    /// What was good not long ago.
    pub fn stale(&self, next_hop: &NextHop, now: Instant) -> Option<Arc<Located>> {
        let entry = self.entries.get(next_hop).filter(|entry| now < entry.good_until + STALE_TIME_MAX)?;
        Some(entry.located.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugboard_sip::uri::SipUri;

    fn hop(number: usize) -> NextHop {
        let uri = SipUri::parse(&format!("sip:h{number}.example").as_str().into()).expect("a URI");
        NextHop::of(&uri).expect("served")
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let (mut known, now) = (Known::default(), Instant::now());
        let second = Duration::from_secs(1);
        known.keep(hop(1), Arc::default(), now + second);
        assert!(known.fresh(&hop(1), now).is_some());
        assert!(known.fresh(&hop(1), now + second).is_none());
        assert!(known.stale(&hop(1), now + second).is_some());
        assert!(known.stale(&hop(1), now + second + STALE_TIME_MAX).is_none());
        assert!(known.fresh(&hop(2), now).is_none());
    }

    #[test]
    fn the_table_has_its_bound() {
        let (mut known, now) = (Known::default(), Instant::now());
        for number in 0..=KNOWN_MAX {
            known.keep(hop(number), Arc::default(), now + Duration::from_millis(1 + number as u64));
        }
        assert_eq!(known.entries.len(), KNOWN_MAX);
        assert!(known.fresh(&hop(0), now).is_none(), "the one that was good for the shortest time");
    }
}
