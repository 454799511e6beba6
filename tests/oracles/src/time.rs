//! Work that grows with the size of the input, and not faster.

use std::time::{Duration, Instant};

use crate::Oracle;

/// What an oracle may take for any input. Generous: sanitizers and other programs slow it down.
const BASE: Duration = Duration::from_millis(200);
/// What it may take for each byte on top. An oracle that looks at 64 KiB byte by byte for each byte takes far more.
const PER_BYTE: Duration = Duration::from_micros(20);
/// How often an oracle is tried: another program can take the processor away once, but hardly each time.
const TRIES: usize = 4;

/// Runs an oracle and holds it to a time in proportion to its input. Depends on the machine: for fuzzing, not for tests
/// that must pass everywhere.
///
/// # Panics
/// When it takes longer, or the oracle panics.
pub fn in_time(oracle: Oracle, data: &[u8]) {
    let bound = BASE + PER_BYTE * u32::try_from(data.len()).unwrap_or(u32::MAX);
    let elapsed = || {
        let begun = Instant::now();
        oracle(data);
        begun.elapsed()
    };
    let fast = (0..TRIES).any(|_| elapsed() <= bound);
    assert!(fast, "{} bytes take longer than {bound:?}", data.len());
}
