//! How long a guest may run: its deadline, in processor time. So a guest that loops is stopped in time, and one that had
//! to wait for a processor on a busy machine is not blamed for it.
//!
//! A guest cannot wait for anything, so by the clock it takes longer only while its thread has no processor. That is
//! bounded, too, by a time after which nobody would have anything of its answer.

use nix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// Longest time by the clock, unless twice the deadline is longer: well before an HTTP request has waited for 30 s, and
/// a SIP transaction for 32 s (RFC 3261 §17.1.1.2).
const BY_THE_CLOCK: Duration = Duration::from_secs(10);

/// The time that one event has, from its beginning in the host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    deadline: Duration,
    by_the_clock: Instant,
    /// The thread's processor time at which the event is over. Known from the first epoch on: reading it costs a
    /// system call, and nearly all events are done before.
    by_the_processor: Option<Duration>,
}

impl Allowance {
    /// An event that begins now.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { deadline, by_the_clock: Instant::now() + BY_THE_CLOCK.max(deadline * 2), by_the_processor: None }
    }

    /// The deadline, in milliseconds.
    pub(crate) fn deadline_ms(&self) -> u64 {
        u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether it is used up; asked on the event's thread.
    pub(crate) fn is_over(&mut self) -> bool {
        let used = processor_time();
        let limit = *self.by_the_processor.get_or_insert(used + self.deadline);
        used >= limit || Instant::now() >= self.by_the_clock
    }
}

/// The processor time that this thread has had. From the C library: rustix wants the kernel's vDSO, which is not there
/// under valgrind (`./just bench-count`).
pub fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_uses_it_up_in_processor_time() {
        let mut allowance = Allowance::new(Duration::from_millis(20));
        let begun = Instant::now();
        while !allowance.is_over() {}
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(20), "over after {took:?}");
        assert!(allowance.is_over());
    }

    #[test]
    fn a_thread_without_a_processor_has_longer_but_not_for_ever() {
        let mut allowance = Allowance::new(Duration::from_millis(20));
        allowance.by_the_processor = Some(Duration::MAX);
        let left = allowance.by_the_clock.saturating_duration_since(Instant::now());
        assert!(!allowance.is_over() && left > Duration::from_millis(20) * 100, "{left:?}");
        allowance.by_the_clock = Instant::now();
        assert!(allowance.is_over());
    }
}
