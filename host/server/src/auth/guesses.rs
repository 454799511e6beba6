//! Slows down whoever guesses PINs, by source and user, and by source alone. A user is never locked: the same user
//! from another source is not affected, so nobody can shut an honest user out from afar.
//!
//! After some wrong PINs a source has to wait, twice as long with each further one. While it waits its credentials are
//! not even looked at. An IPv6 source is its /64: the rest of the address is the guesser's to choose.

use plugboard_sip::time::Time;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wrong PINs that a source may try for one user before it has to wait, in number.
pub const FREE_PER_USER: u32 = 5;
/// Wrong PINs that a source may try for all users together before it has to wait, in number.
pub const FREE_PER_SOURCE: u32 = 50;
/// Longest wait, in milliseconds.
pub const WAIT_MS_MAX: u64 = 60_000;
/// Wrong PINs are forgotten this long after the last one, in milliseconds.
pub const FORGET_MS: u64 = 15 * 60 * 1_000;
/// Sources, and pairs of source and user, that are remembered, in number each; the ones idle longest make room.
pub const REMEMBERED_MAX: usize = 16_384;

/// The wrong PINs of late.
pub struct Guesses {
    hasher: RandomState,
    tables: Mutex<[Table; 2]>,
}

/// Who tries to be whom; names are kept as hashes, a guesser chooses how long they are.
#[derive(Clone, Copy)]
struct Keys {
    pair: u64,
    source: u64,
}

struct Table {
    free: u32,
    remembered_max: usize,
    entries: HashMap<u64, Entry>,
    by_last: BTreeSet<(Time, u64)>,
}

#[derive(Clone, Copy)]
struct Entry {
    wrong: u32,
    last: Time,
    wait_until: Time,
}

impl Guesses {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        let tables = [Table::new(FREE_PER_USER, REMEMBERED_MAX), Table::new(FREE_PER_SOURCE, REMEMBERED_MAX)];
        Self { hasher: RandomState::new(), tables: Mutex::new(tables) }
    }

    /// How long this source has to wait before it may try to be this user, in milliseconds; 0: not at all.
    pub fn wait_ms(&self, now: Time, source: IpAddr, realm: &str, user: &str) -> u64 {
        let Some(keys) = self.keys_if_any(source, realm, user) else { return 0 };
        let [pairs, sources] = &*self.lock();
        pairs.wait_ms(now, keys.pair).max(sources.wait_ms(now, keys.source))
    }

    /// A wrong PIN.
    pub fn wrong(&self, now: Time, source: IpAddr, realm: &str, user: &str) {
        let keys = self.keys(source, realm, user);
        let [pairs, sources] = &mut *self.lock();
        pairs.wrong(now, keys.pair);
        sources.wrong(now, keys.source);
    }

    /// The right PIN: the pair starts anew. The source does not: a guesser may have an account too.
    pub fn right(&self, source: IpAddr, realm: &str, user: &str) {
        let Some(keys) = self.keys_if_any(source, realm, user) else { return };
        let [pairs, _] = &mut *self.lock();
        pairs.remove(keys.pair);
    }

    /// The keys to look for; none while nothing is remembered, which is the rule.
    fn keys_if_any(&self, source: IpAddr, realm: &str, user: &str) -> Option<Keys> {
        let nothing = self.lock().iter().all(|table| table.entries.is_empty());
        (!nothing).then(|| self.keys(source, realm, user))
    }

    fn keys(&self, source: IpAddr, realm: &str, user: &str) -> Keys {
        let source = match source.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        };
        Keys { pair: self.hasher.hash_one((source, realm, user)), source: self.hasher.hash_one(source) }
    }

    fn lock(&self) -> MutexGuard<'_, [Table; 2]> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Guesses {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    fn new(free: u32, remembered_max: usize) -> Self {
        Self { free, remembered_max, entries: HashMap::new(), by_last: BTreeSet::new() }
    }

    fn wait_ms(&self, now: Time, key: u64) -> u64 {
        self.entries.get(&key).map_or(0, |entry| entry.wait_until.as_millis().saturating_sub(now.as_millis()))
    }

    fn wrong(&mut self, now: Time, key: u64) {
        let wrong = self.remove(key).filter(|entry| !entry.is_old(now)).map_or(0, |entry| entry.wrong);
        self.make_room(now);
        let wrong = wrong.saturating_add(1);
        let wait_ms = match wrong.checked_sub(self.free) {
            None | Some(0) => 0,
            Some(beyond) => 1_000u64.saturating_mul(2u64.saturating_pow(beyond - 1)).min(WAIT_MS_MAX),
        };
        let wait_until = Time::from_millis(now.as_millis().saturating_add(wait_ms));
        self.entries.insert(key, Entry { wrong, last: now, wait_until });
        self.by_last.insert((now, key));
    }

    fn make_room(&mut self, now: Time) {
        while let Some((_, key)) = self.by_last.first().copied() {
            let old = self.entries.get(&key).is_none_or(|entry| entry.is_old(now));
            if !old && self.entries.len() < self.remembered_max {
                break;
            }
            self.remove(key);
        }
    }

    fn remove(&mut self, key: u64) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.by_last.remove(&(entry.last, key));
        Some(entry)
    }
}

impl Entry {
    fn is_old(&self, now: Time) -> bool {
        now.as_millis().saturating_sub(self.last.as_millis()) > FORGET_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::from_millis(1_000_000 + ms)
    }

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn guess(guesses: &Guesses, times: u32, source: IpAddr, user: &str) {
        for _ in 0..times {
            guesses.wrong(at(0), source, "r", user);
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let guesses = Guesses::new();
        let wait = || guesses.wait_ms(at(0), source(1), "r", "alice");
        guess(&guesses, FREE_PER_USER, source(1), "alice");
        assert_eq!(wait(), 0);
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, WAIT_MS_MAX, WAIT_MS_MAX] {
            guess(&guesses, 1, source(1), "alice");
            assert_eq!(wait(), expected);
        }
        assert_eq!(guesses.wait_ms(at(WAIT_MS_MAX), source(1), "r", "alice"), 0);
    }

    #[test]
    fn nobody_is_locked_out_from_afar() {
        let guesses = Guesses::new();
        guess(&guesses, FREE_PER_USER + 3, source(1), "alice");
        assert_eq!(guesses.wait_ms(at(0), source(2), "r", "alice"), 0, "another source");
        assert_eq!(guesses.wait_ms(at(0), source(1), "r", "bob"), 0, "another user");
        assert_eq!(guesses.wait_ms(at(0), source(1), "other", "alice"), 0, "another tenant");
    }

    #[test]
    fn a_source_that_tries_many_users_waits_for_all_of_them() {
        let guesses = Guesses::new();
        for n in 0..=FREE_PER_SOURCE {
            guess(&guesses, 1, source(1), &n.to_string());
        }
        assert_eq!(guesses.wait_ms(at(0), source(1), "r", "never tried"), 1_000);
        guesses.right(source(1), "r", "own account");
        assert_eq!(guesses.wait_ms(at(0), source(1), "r", "never tried"), 1_000);
    }

    #[test]
    fn the_right_pin_and_time_make_good() {
        let guesses = Guesses::new();
        guess(&guesses, FREE_PER_USER, source(1), "alice");
        guesses.right(source(1), "r", "alice");
        guess(&guesses, FREE_PER_USER, source(1), "alice");
        assert_eq!(guesses.wait_ms(at(0), source(1), "r", "alice"), 0);
        guesses.wrong(at(FORGET_MS + 1), source(1), "r", "alice");
        assert_eq!(guesses.wait_ms(at(FORGET_MS + 1), source(1), "r", "alice"), 0);
    }

    #[test]
    fn an_ipv6_source_is_its_network() {
        let guesses = Guesses::new();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        guess(&guesses, FREE_PER_USER + 1, address("2001:db8::1"), "alice");
        assert_eq!(guesses.wait_ms(at(0), address("2001:db8::ffff"), "r", "alice"), 1_000);
        assert_eq!(guesses.wait_ms(at(0), address("2001:db8:0:1::1"), "r", "alice"), 0);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Table::new(1, 2);
        for key in 0..3 {
            table.wrong(at(key), key);
        }
        assert_eq!((table.entries.len(), table.by_last.len()), (2, 2));
        assert!(table.entries.contains_key(&1) && table.entries.contains_key(&2));
    }
}
