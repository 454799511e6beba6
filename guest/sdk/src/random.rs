//! Chance from the seed of an event.

/// Numbers drawn from the seed that came with an event (SplitMix64). The same seed gives the same numbers, so a
/// replayed event decides the same.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` up to and including `high`; `low` when the range is empty.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low) {
            Some(width) if width < u64::MAX => low + self.next_u64() % (width + 1),
            Some(_) => self.next_u64(),
            None => low,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range_come_up_and_nothing_else() {
        let mut random = Random::new(1);
        let drawn: Vec<u64> = (0..200).map(|_| random.within(3, 5)).collect();
        assert!((3..=5).all(|value| drawn.contains(&value)));
        assert!(drawn.iter().all(|value| (3..=5).contains(value)));
        assert_eq!(Random::new(1).within(9, 2), 9);
    }
}
