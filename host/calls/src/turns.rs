//! How many events of one tenant run at once. A tenant whose guest takes long waits for itself, not others for it.

use crate::shard::CallRef;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a turn is for.
pub enum Waiter {
    /// The events of a call, in a process with several shards.
    Call(u8, CallRef),
    /// Other work of the guest that takes long.
    Work(Box<dyn FnOnce() + Send>),
}

/// The turns of one tenant. Each call waits at most once, and each HTTP request, so the queue is bounded by the calls and
/// requests there are.
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

    /// Takes a turn and hands back what it is for, or puts that into the queue: then whoever ends a turn takes it on.
    pub fn enter(&self, waiter: Waiter) -> Option<Waiter> {
        let mut inner = self.lock();
        if inner.running < inner.at_once {
            inner.running += 1;
            Some(waiter)
        } else {
            inner.waiting.push_back(waiter);
            None
        }
    }

    /// Takes a turn for what has begun already, even where that is one too many for a moment.
    pub fn enter_anyway(&self) {
        self.lock().running += 1;
    }

    /// Ends a turn. What waits gets it at once: whoever ended it must now run that.
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

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(shard, call) => f.debug_tuple("Call").field(shard).field(call).finish(),
            Self::Work(_) => f.write_str("Work"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64) -> Waiter {
        Waiter::Call(0, CallRef::for_test(number))
    }

    /// Which call it is.
    fn number(waiter: Option<Waiter>) -> Option<CallRef> {
        waiter.map(|waiter| match waiter {
            Waiter::Call(_, call) => call,
            Waiter::Work(_) => CallRef::for_test(0),
        })
    }

    #[test]
    fn one_more_than_may_run_waits_and_is_handed_the_next_turn() {
        let turns = Turns::new(2);
        assert!(turns.enter(call(1)).is_some() && turns.enter(call(2)).is_some());
        assert!(turns.enter(call(3)).is_none() && turns.enter(Waiter::Work(Box::new(|| ()))).is_none());
        assert_eq!(number(turns.leave()), Some(CallRef::for_test(3)));
        assert_eq!(number(turns.leave()), Some(CallRef::for_test(0)), "the work");
        assert!(turns.leave().is_none() && turns.leave().is_none());
        assert!(turns.enter(call(4)).is_some());
    }

    #[test]
    fn with_fewer_turns_than_before_those_that_run_end_first() {
        let turns = Turns::new(1);
        assert!(turns.enter(call(1)).is_some());
        turns.enter_anyway();
        turns.resize(1);
        assert!(turns.enter(call(3)).is_none());
        assert!(turns.leave().is_none(), "one still runs");
        assert_eq!(number(turns.leave()), Some(CallRef::for_test(3)));
    }
}
