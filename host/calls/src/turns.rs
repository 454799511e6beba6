//! How many events of one tenant run at once. A tenant whose guest takes long waits for itself, not others for it.

use crate::shard::CallRef;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names a call in a process with several shards.
pub type Waiter = (u8, CallRef);

/// The turns of one tenant. Each call waits at most once, so the queue is bounded by the calls there are.
#[derive(Debug)]
pub struct Turns {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    at_once: usize,
    running: usize,
    waiting: VecDeque<Waiter>,
}

impl Turns {
    /// Lets `at_once` events run at once; at least one.
    pub fn new(at_once: usize) -> Self {
        Self { inner: Mutex::new(Inner { at_once: at_once.max(1), ..Inner::default() }) }
    }

    /// From now on lets so many run at once. When there are fewer than before, those that run end first; calls that
    /// wait already stay in the queue until a turn ends.
    pub fn resize(&self, at_once: usize) {
        self.lock().at_once = at_once.max(1);
    }

    /// Takes a turn for a call, or puts the call into the queue: then whoever ends a turn takes it on.
    pub fn enter(&self, call: Waiter) -> bool {
        let mut inner = self.lock();
        if inner.running < inner.at_once {
            inner.running += 1;
            true
        } else {
            inner.waiting.push_back(call);
            false
        }
    }

    /// Ends a turn. A call that waits gets it at once: whoever ended it must now run that one.
    pub fn leave(&self) -> Option<Waiter> {
        let mut inner = self.lock();
        let too_many = inner.running > inner.at_once;
        let next = if too_many { None } else { inner.waiting.pop_front() };
        if next.is_none() {
            inner.running = inner.running.saturating_sub(1);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // The guarded code cannot panic halfway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_may_run_waits_and_is_handed_the_next_turn() {
        let turns = Turns::new(2);
        let call = |n| (0, CallRef::for_test(n));
        assert!(turns.enter(call(1)) && turns.enter(call(2)));
        assert!(!turns.enter(call(3)));
        assert_eq!(turns.leave(), Some(call(3)));
        assert_eq!((turns.leave(), turns.leave()), (None, None));
        assert!(turns.enter(call(4)));
    }

    #[test]
    fn with_fewer_turns_than_before_those_that_run_end_first() {
        let turns = Turns::new(2);
        let call = |n| (0, CallRef::for_test(n));
        assert!(turns.enter(call(1)) && turns.enter(call(2)));
        turns.resize(1);
        assert!(!turns.enter(call(3)));
        assert_eq!(turns.leave(), None, "one still runs");
        assert_eq!(turns.leave(), Some(call(3)));
    }
}
