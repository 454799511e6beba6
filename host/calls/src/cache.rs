//! The tenant's cache: values with a time to live that outlive calls. Behind a trait, so that another store can
//! take its place; this one is in memory.

use foldhash::fast::RandomState;
use plugboard_sip::time::Time;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A store of values that expire.
pub trait Cache: Send + Sync {
    /// The value, unless it has expired at `now`.
    fn get(&self, key: &str, now: Time) -> Option<Vec<u8>>;
    /// Writes a value. When the store is full the values nearest to their end make room.
    fn put(&self, key: &str, value: Vec<u8>, expires: Time, now: Time);
    /// Removes a value.
    fn remove(&self, key: &str);
}

/// A cache in memory, bounded in bytes (keys and values).
pub struct MemoryCache {
    bytes_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<String, (Vec<u8>, Time), RandomState>,
    by_end: BTreeSet<(Time, String)>,
    bytes: usize,
}

impl MemoryCache {
    /// An empty cache that holds `bytes_max` bytes at most.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, inner: Mutex::default() }
    }

    /// Bytes of keys and values held, expired ones that nothing has swept yet included.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// A panic elsewhere cannot leave the maps half written in a way that matters more than losing the cache.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cache for MemoryCache {
    fn get(&self, key: &str, now: Time) -> Option<Vec<u8>> {
        self.lock().entries.get(key).filter(|(_, expires)| *expires > now).map(|(value, _)| value.clone())
    }

    fn put(&self, key: &str, value: Vec<u8>, expires: Time, now: Time) {
        let mut inner = self.lock();
        inner.remove(key);
        let size = key.len() + value.len();
        if size > self.bytes_max {
            return;
        }
        while let Some((end, _)) = inner.by_end.first() {
            if *end > now && inner.bytes + size <= self.bytes_max {
                break;
            }
            let Some((_, oldest)) = inner.by_end.pop_first() else { break };
            inner.remove(&oldest);
        }
        inner.bytes += size;
        inner.by_end.insert((expires, key.to_owned()));
        inner.entries.insert(key.to_owned(), (value, expires));
    }

    fn remove(&self, key: &str) {
        self.lock().remove(key);
    }
}

impl Inner {
    fn remove(&mut self, key: &str) {
        if let Some((key, (value, expires))) = self.entries.remove_entry(key) {
            self.bytes -= key.len() + value.len();
            self.by_end.remove(&(expires, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_until_its_end() {
        let cache = MemoryCache::new(1_000);
        cache.put("k", b"v".to_vec(), Time::from_millis(500), Time::from_millis(0));
        assert_eq!(cache.get("k", Time::from_millis(499)), Some(b"v".to_vec()));
        assert_eq!(cache.get("k", Time::from_millis(500)), None);
    }

    #[test]
    fn a_full_cache_gives_up_what_ends_first() {
        let cache = MemoryCache::new(30);
        let now = Time::from_millis(0);
        cache.put("a", vec![0; 9], Time::from_millis(300), now);
        cache.put("b", vec![0; 9], Time::from_millis(100), now);
        cache.put("c", vec![0; 9], Time::from_millis(200), now);
        assert_eq!(cache.bytes(), 30);
        cache.put("d", vec![0; 9], Time::from_millis(400), now);
        assert_eq!(cache.bytes(), 30);
        assert_eq!(cache.get("b", now), None);
        assert!(["a", "c", "d"].iter().all(|k| cache.get(k, now).is_some()));
    }

    #[test]
    fn what_has_expired_makes_room_first_and_too_large_a_value_is_not_kept() {
        let cache = MemoryCache::new(30);
        cache.put("a", vec![0; 9], Time::from_millis(10), Time::from_millis(0));
        cache.put("b", vec![0; 9], Time::from_millis(20), Time::from_millis(15));
        assert_eq!(cache.bytes(), 10);
        cache.put("b", vec![0; 30], Time::from_millis(20), Time::from_millis(15));
        assert_eq!(cache.get("b", Time::from_millis(15)), None);
        assert_eq!(cache.bytes(), 0);
    }
}
