//! Where the clock's thread sleeps until something is due.

use super::lock;
use plugboard_sip::time::Time;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longest sleep: long enough that an idle host costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// An alarm clock with one sleeper.
#[derive(Debug)]
pub(super) struct Alarm {
    /// When the sleeper is to be up, in the milliseconds of [`Time`]. It changes with the lock below held.
    due: AtomicU64,
    woken: Mutex<bool>,
    rung: Condvar,
}

/// Nothing is due.
const NEVER: u64 = u64::MAX;

impl Default for Alarm {
    fn default() -> Self {
        Self { due: AtomicU64::new(NEVER), woken: Mutex::default(), rung: Condvar::new() }
    }
}

impl Alarm {
    /// Sees to it that the sleeper is up at `due` at the latest. Call it after the lock is free behind which the sleeper
    /// finds what is due: then an old value that is read here is one that the sleeper has yet to come back for.
    pub fn set(&self, due: Time) {
        let due = due.as_millis();
        if due < self.due.load(Relaxed) {
            let _guard = lock(&self.woken);
            self.due.fetch_min(due, Relaxed);
            self.rung.notify_one();
        }
    }

    /// Wakes the sleeper now.
    pub fn wake(&self) {
        *lock(&self.woken) = true;
        self.rung.notify_one();
    }

    /// Sleeps until the earliest time that was set, which is forgotten then. May return early.
    pub fn sleep(&self, until: impl Fn(Time) -> Duration) {
        let mut woken = lock(&self.woken);
        loop {
            let due = self.due.load(Relaxed);
            let wait = if due == NEVER { SLEEP_MAX } else { until(Time::from_millis(due)).min(SLEEP_MAX) };
            let mut over = std::mem::take(&mut *woken) || wait.is_zero();
            if !over {
                let (guard, timeout) = self.rung.wait_timeout(woken, wait).unwrap_or_else(PoisonError::into_inner);
                woken = guard;
                over = timeout.timed_out();
            }
            if over {
                self.due.store(NEVER, Relaxed);
                return;
            }
        }
    }
}
