//! Token buckets: how often something may happen, with room for a burst.

use crate::time::Time;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, in times per second; 0: never again once the burst is used up.
    pub per_second: u32,
    /// At once after a rest, in times.
    pub burst: u32,
}

/// Tokens that were taken and have not grown back. A new bucket is full.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// In thousandths: what `per_second` tokens a second come to in a millisecond is a whole number of them.
    taken: u64,
    at: Time,
}

/// A token, in the unit of [`Bucket::taken`].
const TOKEN: u64 = 1_000;

impl Bucket {
    /// Takes a token; whether there was one.
    pub fn take(&mut self, now: Time, rate: Rate) -> bool {
        let fits = self.has(now, rate);
        if fits {
            self.taken += TOKEN;
        }
        fits
    }

    /// Whether there is a token.
    pub fn has(&mut self, now: Time, rate: Rate) -> bool {
        self.grow(now, rate);
        self.taken + TOKEN <= u64::from(rate.burst) * TOKEN
    }

    /// Whether it is full, and so the same as a new one.
    pub fn is_full(&mut self, now: Time, rate: Rate) -> bool {
        self.grow(now, rate);
        self.taken == 0
    }

    fn grow(&mut self, now: Time, rate: Rate) {
        let milliseconds = u64::try_from((now - self.at).as_millis()).unwrap_or(u64::MAX);
        self.taken = self.taken.saturating_sub(milliseconds.saturating_mul(u64::from(rate.per_second)));
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    fn takes(bucket: &mut Bucket, at: u64, times: usize) -> usize {
        (0..times).filter(|_| bucket.take(Time::from_millis(at), RATE)).count()
    }

    #[test]
    fn a_burst_goes_through_and_then_the_rate_holds() {
        let mut bucket = Bucket::default();
        assert_eq!(takes(&mut bucket, 5_000, 10), 3);
        assert_eq!(takes(&mut bucket, 5_099, 10), 0, "a token is back after 100 ms");
        assert_eq!(takes(&mut bucket, 5_100, 10), 1);
        let later: usize = (1..=1_000).map(|n| takes(&mut bucket, 5_100 + n * 10, 1)).sum();
        assert_eq!(later, 100, "in ten seconds");
    }

    #[test]
    fn a_rest_fills_it_up_to_the_burst_and_no_further() {
        let mut bucket = Bucket::default();
        assert!(bucket.is_full(Time::from_millis(0), RATE));
        assert_eq!(takes(&mut bucket, 0, 3), 3);
        assert!(!bucket.is_full(Time::from_millis(299), RATE) && bucket.is_full(Time::from_millis(300), RATE));
        assert_eq!(takes(&mut bucket, 1_000_000, 10), 3);
    }

    #[test]
    fn time_that_stands_still_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::default();
        assert_eq!(takes(&mut bucket, 1_000, 3), 3);
        assert_eq!(takes(&mut bucket, 500, 3) + takes(&mut bucket, 1_000, 3), 0);
    }
}
