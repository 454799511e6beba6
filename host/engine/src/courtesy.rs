//! Manners of guests that run for long: their thread offers its processor to whoever waits for it, every 100 µs.
//!
//! A kernel need not let a thread in that wakes up where another one runs, however nice that one is: fair to both, it
//! may wait for the next tick of the clock, 4 ms with 250 Hz. What is offered (sched_yield(2)) it takes at once. A guest
//! offers nothing by itself, and no other thread can do it in its place, since that one would have to be let in first.
//! So a timer interrupts the guest's own thread, and the offer is made in the handler of its signal, as the runtime of
//! Go does it: with SIGURG, which does nothing where nobody waits for it.

use crate::allowance::processor_time;
use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use std::cell::Cell;
use std::sync::OnceLock;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// How long others wait for a processor with such a guest at most.
const PATIENCE: Duration = Duration::from_micros(100);
/// Part of a processor that the thread has for itself: one in so many. When it had less, others want all there are, and
/// it would have next to nothing.
const KEPT: u32 = 20;

thread_local! {
    static SHARE: Cell<Option<Share>> = const { Cell::new(None) };
}

/// As long as one of these lives, the thread that began it lets others by.
pub(crate) struct Courtesy {
    _timer: Timer,
}

impl Courtesy {
    /// For this thread.
    ///
    /// # Errors
    /// When the system has no timer for it.
    pub(crate) fn begin() -> nix::Result<Self> {
        let signal = SigevNotify::SigevThreadId { signal: Signal::SIGURG, thread_id: gettid().as_raw(), si_value: 0 };
        handle_signal()?;
        SHARE.set(Some(Share { begun: Instant::now(), had_before: processor_time() }));
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(signal))?;
        timer.set(Expiration::Interval(PATIENCE.into()), TimerSetTimeFlags::empty())?;
        Ok(Self { _timer: timer })
    }
}

/// What a thread had of a processor.
#[derive(Clone, Copy)]
struct Share {
    begun: Instant,
    had_before: Duration,
}

impl Share {
    fn is_fair(self) -> bool {
        processor_time().saturating_sub(self.had_before).saturating_mul(KEPT) >= self.begun.elapsed()
    }
}

/// What the handler does on the thread that it interrupts.
fn offer() {
    if SHARE.get().is_some_and(Share::is_fair) {
        yield_now();
    }
}

/// Has the signal handled, once for the process.
fn handle_signal() -> nix::Result<()> {
    static HANDLED: OnceLock<nix::Result<()>> = OnceLock::new();
    *HANDLED.get_or_init(register)
}

#[allow(unsafe_code)]
fn register() -> nix::Result<()> {
    // SAFETY: what a handler does must be safe wherever it interrupts its thread (signal-safety(7)). This one reads a
    // variable of the thread that needs no initialisation, and two clocks, and gives the processor away: it takes no
    // lock, allocates nothing, cannot panic, and leaves no trace but errno, which the registry puts back.
    let handled = unsafe { signal_hook_registry::register(Signal::SIGURG as i32, offer) };
    handled.map(drop).map_err(|error| error.raw_os_error().map_or(nix::Error::EINVAL, nix::Error::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

    fn sleeps_through(milliseconds: i64) -> bool {
        let time = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
        matches!(nanosleep(&time), NanosleepRelativeResult::Ok)
    }

    #[test]
    fn a_thread_is_interrupted_from_the_beginning_to_the_end_and_no_other_is() {
        assert!(sleeps_through(2));
        let courtesy = Courtesy::begin().expect("a timer");
        assert!(!sleeps_through(900));
        assert!(!sleeps_through(900), "and again");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| sleeps_through(2));
            assert!(other.join().expect("no panic"));
        });
        drop(courtesy);
        assert!(sleeps_through(2));
    }

    #[test]
    fn a_thread_that_had_little_keeps_its_processor() {
        let share = |ago| Share { begun: Instant::now() - ago, had_before: processor_time() };
        assert!(!share(Duration::from_secs(1)).is_fair());
        let busy = share(Duration::ZERO);
        while processor_time() - busy.had_before < Duration::from_millis(10) {}
        let fair_until = busy.begun + Duration::from_millis(10) * KEPT;
        assert!(busy.is_fair() || Instant::now() > fair_until);
    }
}
