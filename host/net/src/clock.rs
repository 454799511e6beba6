//! The clock that events are stamped with.

use plugboard_sip::time::Time;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch that never go backwards: the wall clock is read once, at start, and the
/// monotonic clock counts from there. A step of the wall clock moves no timer.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_unix: Duration,
}

impl Clock {
    /// A clock that starts now. A machine whose clock stands before 1970 counts from 1970.
    pub fn start() -> Self {
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_unix }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        let passed = self.started_unix + self.started.elapsed();
        Time::from_millis(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }

    /// How long it is until `time`; nothing when it has passed.
    pub fn until(&self, time: Time) -> Duration {
        time.since(self.now())
    }
}
