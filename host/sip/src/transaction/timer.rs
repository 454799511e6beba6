//! A retransmission timer.

use std::time::Duration;

use crate::time::Time;

/// When a message is sent again, and how long after that the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resend {
    pub(super) at: Time,
    pub(super) interval: Duration,
}

impl Resend {
    /// First after `interval`, which is a millisecond at least: time must pass between two.
    pub(super) fn after(now: Time, interval: Duration) -> Resend {
        let interval = interval.max(Duration::from_millis(1));
        Resend { at: now + interval, interval }
    }

    /// The next one, after twice the interval but no more than `longest`.
    pub(super) fn doubled(self, now: Time, longest: Duration) -> Resend {
        Resend::after(now, self.interval.saturating_mul(2).min(longest))
    }
}
