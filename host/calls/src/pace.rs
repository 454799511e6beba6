//! Whether a tenant's guest takes long over its events. One that does has to run aside, where it keeps nobody waiting
//! who has other things to do; one that does not is quickest where its event came in.
//!
//! Only processor time tells, and only that of several events: by the clock an innocent guest takes long, too, when the
//! machine is busy, and now and then a single event does in any case. Asking for it costs two system calls an event, so
//! that is done at first, while nothing is known of a guest, and later only after an event took long by the clock.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An event that takes longer than this by the clock is reason to look closer.
const LONG: Duration = Duration::from_millis(2);
/// Events that are looked at together, in number.
const WINDOW: u32 = 16;
/// Processor time of so many events above which their guest takes long: 2.5 ms each, a hundred times what the built-in
/// controller needs.
const WINDOW_TIME: Duration = Duration::from_millis(40);
/// Windows in a row that must be quick until a guest that took long is trusted again, in number.
const PROBATION: u32 = 16;

/// How the events of one tenant went lately.
#[derive(Debug)]
pub struct Pace {
    lane: AtomicU8,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    events: u32,
    time: Duration,
    /// Windows before this one that were quick, in number.
    quick: u32,
}

/// What is to be done with the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lane {
    /// Run it where it came in.
    Here,
    /// The same, and take its processor time.
    Watched,
    /// Run it aside, and take its processor time.
    Aside,
}

impl Default for Pace {
    fn default() -> Self {
        Self { lane: AtomicU8::new(Lane::Watched as u8), window: Mutex::default() }
    }
}

impl Pace {
    /// Where the next event is to run.
    pub fn lane(&self) -> Lane {
        match self.lane.load(Relaxed) {
            0 => Lane::Here,
            1 => Lane::Watched,
            _ => Lane::Aside,
        }
    }

    /// An event that was not watched took so long by the clock.
    pub fn took_by_the_clock(&self, time: Duration) {
        if time > LONG {
            let _ = self.lane.compare_exchange(Lane::Here as u8, Lane::Watched as u8, Relaxed, Relaxed);
        }
    }

    /// An event that was watched took so much processor time.
    pub fn took(&self, processor_time: Duration) {
        // The guarded code cannot panic halfway.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.events += 1;
        window.time += processor_time;
        if window.time > WINDOW_TIME {
            *window = Window::default();
            self.lane.store(Lane::Aside as u8, Relaxed);
        } else if window.events >= WINDOW {
            let quick = window.quick + 1;
            *window = Window { quick, ..Window::default() };
            if self.lane() == Lane::Watched || quick >= PROBATION {
                *window = Window::default();
                self.lane.store(Lane::Here as u8, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(pace: &Pace, number: u32, time: Duration) {
        (0..number).for_each(|_| pace.took(time));
    }

    fn trusted() -> Pace {
        let pace = Pace::default();
        times(&pace, WINDOW, Duration::from_micros(20));
        pace
    }

    #[test]
    fn a_guest_of_which_nothing_is_known_is_watched_and_trusted_when_it_was_quick() {
        let pace = Pace::default();
        times(&pace, WINDOW - 1, LONG);
        assert_eq!(pace.lane(), Lane::Watched);
        times(&pace, 1, LONG);
        assert_eq!(pace.lane(), Lane::Here);
        let pace = Pace::default();
        pace.took(Duration::from_millis(50));
        assert_eq!(pace.lane(), Lane::Aside, "the first event was enough");
    }

    #[test]
    fn a_guest_that_had_to_wait_for_a_processor_is_watched_and_let_go_again() {
        let pace = trusted();
        pace.took_by_the_clock(LONG);
        assert_eq!(pace.lane(), Lane::Here);
        pace.took_by_the_clock(LONG * 100);
        times(&pace, WINDOW - 1, LONG / 10);
        assert_eq!(pace.lane(), Lane::Watched);
        times(&pace, 1, LONG * 5);
        assert_eq!(pace.lane(), Lane::Here, "one event is no habit");
    }

    #[test]
    fn a_guest_that_takes_long_runs_aside_until_it_has_been_quick_for_long() {
        let pace = trusted();
        pace.took_by_the_clock(Duration::from_millis(50));
        pace.took(Duration::from_millis(50));
        times(&pace, WINDOW * PROBATION - 1, LONG);
        assert_eq!(pace.lane(), Lane::Aside);
        times(&pace, 1, LONG);
        assert_eq!(pace.lane(), Lane::Here);
    }

    #[test]
    fn a_guest_on_probation_that_takes_long_again_begins_anew() {
        let pace = Pace::default();
        pace.took(Duration::from_millis(50));
        times(&pace, WINDOW * (PROBATION - 1), LONG);
        pace.took(Duration::from_millis(50));
        times(&pace, WINDOW * (PROBATION - 1), LONG);
        assert_eq!(pace.lane(), Lane::Aside);
    }
}
