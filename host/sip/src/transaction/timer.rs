//! Timers of the machines.

use std::time::Duration;

use crate::time::Time;
use crate::transaction::TimerValues;

/// The base values as every transaction carries them: in whole microseconds, 71 minutes at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timers {
    t1: u32,
    t2: u32,
    t4: u32,
}

impl From<TimerValues> for Timers {
    fn from(values: TimerValues) -> Timers {
        let microseconds = |value: Duration| u32::try_from(value.as_micros()).unwrap_or(u32::MAX);
        Timers { t1: microseconds(values.t1), t2: microseconds(values.t2), t4: microseconds(values.t4) }
    }
}

impl Timers {
    pub(super) fn t1(self) -> Duration {
        Duration::from_micros(self.t1.into())
    }

    pub(super) fn t2(self) -> Duration {
        Duration::from_micros(self.t2.into())
    }

    pub(super) fn t4(self) -> Duration {
        Duration::from_micros(self.t4.into())
    }

    /// How long a transaction waits for its answer: timers B, F, H, J, L and M, 64 times T1.
    pub(super) fn transaction_timeout(self) -> Duration {
        self.t1() * 64
    }
}

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
