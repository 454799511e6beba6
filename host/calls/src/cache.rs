//! The tenant's cache: values with a time to live that outlive calls. Behind a trait, so that another store can
//! take its place; this one is in memory.

use foldhash::fast::RandomState;
use plugboard_sip::time::Time;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store of values that expire.
pub trait Cache: Send + Sync {
    /// The value, unless it has expired at `now`.
    fn get(&self, key: &str, now: Time) -> Option<Vec<u8>>;
    /// Writes a value. When the store is full the values nearest to their end make room; how many values it gave up
    /// that had not expired, the new one included when it is too large for the store.
    fn put(&self, key: &str, value: Vec<u8>, expires: Time, now: Time) -> usize;
    /// Removes a value.
    fn remove(&self, key: &str);
    /// From now on holds so many bytes at most. What is too much is given up at the next write. Nothing for a store
    /// whose bound is not ours.
    fn resize(&self, _bytes_max: usize) {}
}

/// A cache in memory, bounded in bytes (keys and values).
pub struct MemoryCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    bytes_max: usize,
    entries: HashMap<Arc<str>, (Vec<u8>, Time), RandomState>,
    by_end: BTreeSet<(Time, Arc<str>)>,
    bytes: usize,
}

impl MemoryCache {
    /// An empty cache that holds `bytes_max` bytes at most.
    pub fn new(bytes_max: usize) -> Self {
        Self { inner: Mutex::new(Inner { bytes_max, ..Inner::default() }) }
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

    fn put(&self, key: &str, value: Vec<u8>, expires: Time, now: Time) -> usize {
        let mut inner = self.lock();
        inner.remove(key);
        let size = key.len() + value.len();
        if size > inner.bytes_max {
            return 1;
        }
        let mut given_up = 0;
        while let Some((end, _)) = inner.by_end.first() {
            if *end > now && inner.bytes + size <= inner.bytes_max {
                break;
            }
            let Some((end, oldest)) = inner.by_end.pop_first() else { break };
            given_up += usize::from(end > now);
            inner.remove(&oldest);
        }
        inner.bytes += size;
        let key: Arc<str> = key.into();
        inner.by_end.insert((expires, key.clone()));
        inner.entries.insert(key, (value, expires));
        given_up
    }

    fn remove(&self, key: &str) {
        self.lock().remove(key);
    }

    fn resize(&self, bytes_max: usize) {
        self.lock().bytes_max = bytes_max;
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
        assert_eq!(cache.put("d", vec![0; 9], Time::from_millis(400), now), 1);
        assert_eq!(cache.bytes(), 30);
        assert_eq!(cache.get("b", now), None);
        assert!(["a", "c", "d"].iter().all(|k| cache.get(k, now).is_some()));
    }

    #[test]
    fn a_smaller_cache_gives_up_what_is_too_much_at_the_next_write() {
        let cache = MemoryCache::new(30);
        let now = Time::from_millis(0);
        for (key, end) in [("a", 300), ("b", 100), ("c", 200)] {
            cache.put(key, vec![0; 9], Time::from_millis(end), now);
        }
        cache.resize(20);
        assert_eq!(cache.bytes(), 30);
        cache.put("d", vec![0; 9], Time::from_millis(400), now);
        assert_eq!(cache.bytes(), 20);
        assert!(["a", "d"].iter().all(|key| cache.get(key, now).is_some()));
    }

    #[test]
    fn what_has_expired_makes_room_first_and_too_large_a_value_is_not_kept() {
        let cache = MemoryCache::new(30);
        cache.put("a", vec![0; 9], Time::from_millis(10), Time::from_millis(0));
        assert_eq!(cache.put("b", vec![0; 9], Time::from_millis(20), Time::from_millis(15)), 0);
        assert_eq!(cache.bytes(), 10);
        assert_eq!(cache.put("b", vec![0; 30], Time::from_millis(20), Time::from_millis(15)), 1);
        assert_eq!(cache.get("b", Time::from_millis(15)), None);
        assert_eq!(cache.bytes(), 0);
    }
}
