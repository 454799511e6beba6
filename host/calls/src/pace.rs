//! Whether a tenant's guest takes long over its events. One that does has to run aside, where it keeps nobody waiting
//! who has other things to do; one that does not is quickest where its event came in.
//!
//! Only processor time tells: by the clock an innocent guest takes long, too, when the machine is busy. Asking for it
//! costs two system calls an event, so that is done only after an event took long by the clock.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// An event that takes more processor time than this takes long. A hundred times what the built-in controller needs.
const LONG: Duration = Duration::from_millis(2);
/// Events whose processor time is taken after one took long by the clock, in number.
const WATCHED: u32 = 16;
/// Events in a row that must not take long until the guest is trusted again, in number.
const PROBATION: u32 = 256;

/// How the events of one tenant went lately.
#[derive(Debug, Default)]
pub struct Pace(AtomicU32);

/// What is to be done with the next event. Stands in the atomic as the number of events that must go well until the
/// guest is [`Lane::Here`] again; more than [`WATCHED`] of them for one that takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Run it where it came in.
    Here,
    /// The same, and take its processor time.
    Watched,
    /// Run it aside, and take its processor time.
    Aside,
}

impl Pace {
    /// Where the next event is to run.
    pub fn lane(&self) -> Lane {
        match self.0.load(Relaxed) {
            0 => Lane::Here,
            1..=WATCHED => Lane::Watched,
            _ => Lane::Aside,
        }
    }

    /// An event that was not watched took so long by the clock.
    pub fn took_by_the_clock(&self, time: Duration) {
        if time > LONG && self.lane() == Lane::Here {
            self.0.store(WATCHED, Relaxed);
        }
    }

    /// An event took so much processor time.
    pub fn took(&self, processor_time: Duration) {
        if processor_time > LONG {
            self.0.store(WATCHED + PROBATION, Relaxed);
        } else {
            // Two at once may count as one: nobody minds one more.
            self.0.store(self.0.load(Relaxed).saturating_sub(1), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_had_to_wait_for_a_processor_is_watched_and_let_go_again() {
        let pace = Pace::default();
        pace.took_by_the_clock(LONG);
        assert_eq!(pace.lane(), Lane::Here);
        pace.took_by_the_clock(LONG * 100);
        for _ in 0..WATCHED {
            assert_eq!(pace.lane(), Lane::Watched);
            pace.took(LONG / 10);
        }
        assert_eq!(pace.lane(), Lane::Here);
    }

    #[test]
    fn a_guest_that_takes_long_runs_aside_until_it_has_been_quick_for_long() {
        let pace = Pace::default();
        pace.took_by_the_clock(LONG * 10);
        pace.took(LONG * 10);
        for _ in 0..PROBATION {
            assert_eq!(pace.lane(), Lane::Aside);
            pace.took(LONG);
        }
        assert_eq!(pace.lane(), Lane::Watched);
        pace.took(LONG * 2);
        assert_eq!(pace.lane(), Lane::Aside);
    }
}
