//! Chance by seed: a stream of numbers that is the same for the same seed. The seed comes from outside, so that a
//! simulation or a replay can give its own.

/// A generator (splitmix64). Good enough for tags, branches and seeds that must not repeat; the server seeds it from
/// the operating system.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A stream for this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Spreads the bits of a number (the finaliser of splitmix64).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
