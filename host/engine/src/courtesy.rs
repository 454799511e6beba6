//! Manners of guests that run for long: their thread offers its processor to whoever waits for it, every 100 µs.
//!
//! A kernel need not let a thread in that wakes up where another one runs, however nice that one is: fair to both, it
//! may wait for the next tick of the clock, 4 ms with 250 Hz. What is offered (sched_yield(2)) it takes at once. A guest
//! offers nothing by itself, and no other thread can do it in its place, since that one would have to be let in first.
//! So a timer interrupts the guest's own thread, and the offer is made in the handler of its signal, as the runtime of
//! Go does it: with SIGURG, which does nothing where nobody waits for it.

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use nix::unistd::gettid;
use std::cell::RefCell;
use std::sync::OnceLock;
use std::thread::yield_now;
use std::time::Duration;

/// How long others wait for a processor with such a guest at most.
const PATIENCE: Duration = Duration::from_micros(100);

thread_local! {
    static TIMER: RefCell<Option<Timer>> = const { RefCell::new(None) };
}

/// From now on this thread lets others by, until [`end`]. Where that is refused it does not, and nothing worse.
pub(crate) fn begin() {
    TIMER.with_borrow_mut(|timer| {
        if timer.is_none() {
            *timer =
                start().inspect_err(|error| tracing::debug!(%error, "a guest that takes long lets nobody by")).ok();
        }
    });
}

/// The thread does something else now.
pub(crate) fn end() {
    TIMER.take();
}

/// A timer of this thread.
fn start() -> nix::Result<Timer> {
    let signal = SigevNotify::SigevThreadId { signal: Signal::SIGURG, thread_id: gettid().as_raw(), si_value: 0 };
    handle_signal()?;
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(signal))?;
    timer.set(Expiration::Interval(PATIENCE.into()), TimerSetTimeFlags::empty())?;
    Ok(timer)
}

/// Has the signal handled, once for the process.
fn handle_signal() -> nix::Result<()> {
    static HANDLED: OnceLock<nix::Result<()>> = OnceLock::new();
    *HANDLED.get_or_init(register)
}

#[allow(unsafe_code)]
fn register() -> nix::Result<()> {
    // SAFETY: what a handler does must be safe wherever it interrupts its thread (signal-safety(7)). This one makes one
    // system call, which takes no lock and leaves no trace but errno, which the registry puts back.
    let handled = unsafe { signal_hook_registry::register(Signal::SIGURG as i32, yield_now) };
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
        begin();
        assert!(!sleeps_through(900));
        begin();
        assert!(!sleeps_through(900), "and again");
        std::thread::scope(|scope| {
            let other = scope.spawn(|| sleeps_through(2));
            assert!(other.join().expect("no panic"));
        });
        end();
        assert!(sleeps_through(2));
    }
}
