//! Where the clock's thread sleeps until something is due.

use super::lock;
use plugboard_sip::time::Time;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Longest sleep: long enough that an idle host costs nothing.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// An alarm clock with one sleeper.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    due: Option<Time>,
    woken: bool,
}

impl Alarm {
    /// Sees to it that the sleeper is up at `due` at the latest.
    pub fn set(&self, due: Time) {
        let mut state = lock(&self.state);
        if state.due.is_none_or(|set| due < set) {
            state.due = Some(due);
            self.rung.notify_one();
        }
    }

    /// Wakes the sleeper now.
    pub fn wake(&self) {
        lock(&self.state).woken = true;
        self.rung.notify_one();
    }

    /// Sleeps until the earliest time that was set, which is forgotten then. May return early.
    pub fn sleep(&self, until: impl Fn(Time) -> Duration) {
        let mut state = lock(&self.state);
        loop {
            let wait = state.due.map_or(SLEEP_MAX, &until).min(SLEEP_MAX);
            if std::mem::take(&mut state.woken) || wait.is_zero() {
                state.due = None;
                return;
            }
            let (guard, timeout) = self.rung.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if timeout.timed_out() {
                state.due = None;
                return;
            }
        }
    }
}
