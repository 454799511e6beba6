//! What a version has done, counted without a lock.

use plugboard_calls::logic::Breakdown;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The counters of a version at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events handled, whatever their outcome.
    pub events: u64,
    /// Events that ended in each kind of [`Breakdown`], by its label.
    pub breakdowns: [(&'static str, u64); KINDS.len()],
    /// Instances made so far.
    pub instances_made: u64,
    /// Instances thrown away so far.
    pub instances_dropped: u64,
    /// Instances that there are, in number.
    pub instances: usize,
    /// Their linear memory, in bytes, as it was after the last event of each.
    pub memory_bytes: usize,
    /// Half of the events took at most this long.
    pub p50: Duration,
    /// 99 of 100 events took at most this long.
    pub p99: Duration,
}

/// The labels of [`Breakdown::kind`].
const KINDS: [&str; 5] = ["fault", "trap", "deadline", "limit", "busy"];

#[derive(Default)]
pub(crate) struct Counters {
    breakdowns: [AtomicU64; KINDS.len()],
    pub(crate) instances_made: AtomicU64,
    pub(crate) instances_dropped: AtomicU64,
    times: Histogram,
}

impl Counters {
    pub(crate) fn event<T>(&self, took: Duration, outcome: &Result<T, Breakdown>) {
        self.times.add(took);
        if let Err(breakdown) = outcome
            && let Some(at) = KINDS.iter().position(|kind| *kind == breakdown.kind())
        {
            self.breakdowns[at].fetch_add(1, Relaxed);
        }
    }

    /// The counts; what there is now, its instances know.
    pub(crate) fn read(&self) -> Stats {
        let times = self.times.read();
        Stats {
            events: times.iter().sum(),
            breakdowns: std::array::from_fn(|at| (KINDS[at], self.breakdowns[at].load(Relaxed))),
            instances_made: self.instances_made.load(Relaxed),
            instances_dropped: self.instances_dropped.load(Relaxed),
            instances: 0,
            memory_bytes: 0,
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
        }
    }
}

/// Times in buckets of a quarter of a power of two of nanoseconds, so a percentile is at most 25 % too high.
struct Histogram([AtomicU64; BUCKETS]);

/// Four for each power of two up to 2^34 ns, which is 17 s.
const BUCKETS: usize = 4 * 34;

impl Default for Histogram {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Histogram {
    fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0[bucket(nanos)].fetch_add(1, Relaxed);
    }

    fn read(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|at| self.0[at].load(Relaxed))
    }
}

/// Power of two, then the two bits below the highest one.
fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(4);
    let power = nanos.ilog2();
    let quarter = (nanos >> (power - 2)) & 3;
    (power as usize * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The upper end of a bucket, in nanoseconds.
fn upper_end(bucket: usize) -> u64 {
    let (power, quarter) = (bucket / 4, bucket as u64 % 4);
    ((4 + quarter + 1) << power) / 4
}

fn percentile(times: &[u64; BUCKETS], percent: u64) -> Duration {
    let wanted = (times.iter().sum::<u64>() * percent).div_ceil(100);
    let mut seen = 0;
    let found = times.iter().position(|count| {
        seen += count;
        *count > 0 && seen >= wanted
    });
    found.map_or(Duration::ZERO, |bucket| Duration::from_nanos(upper_end(bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_below_its_upper_end() {
        for nanos in [4, 5, 7, 8, 1_000, 1_023, 1_024, 5_000, 50_000_000, 16_000_000_000] {
            let end = upper_end(bucket(nanos));
            assert!(nanos < end && end <= nanos + nanos.div_ceil(4) + 1, "{nanos} has the upper end {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_and_breakdowns_are_counted() {
        let counters = Counters::default();
        for _ in 0..98 {
            counters.event(Duration::from_micros(5), &Ok(()));
        }
        counters.event(Duration::from_millis(50), &Err::<(), _>(Breakdown::Deadline(50)));
        counters.event(Duration::from_millis(50), &Err::<(), _>(Breakdown::Deadline(50)));
        let stats = counters.read();
        assert_eq!(stats.events, 100);
        assert!(stats.breakdowns.contains(&("deadline", 2)) && stats.breakdowns.contains(&("trap", 0)));
        assert!((5_000..=6_250).contains(&stats.p50.as_nanos()), "{:?}", stats.p50);
        assert!(stats.p99 >= Duration::from_millis(50), "{:?}", stats.p99);
    }
}
