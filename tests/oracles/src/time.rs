//! Work that grows with the size of the input, and not faster.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Oracle;

/// What an oracle may take for any input, of processor time. Generous: sanitizers slow it down.
const BASE: Duration = Duration::from_millis(200);
/// What it may take for each byte on top. An oracle that looks at 64 KiB byte by byte for each byte takes far more.
const PER_BYTE: Duration = Duration::from_micros(20);
/// How often an oracle is tried: a cache can be cold once, but hardly each time.
const TRIES: usize = 4;

/// Runs an oracle and holds it to a time in proportion to its input. Depends on the machine: for fuzzing, not for tests
/// that must pass everywhere.
///
/// # Panics
/// When it takes longer, or the oracle panics.
pub fn in_time(oracle: Oracle, data: &[u8]) {
    let bound = BASE + PER_BYTE * u32::try_from(data.len()).unwrap_or(u32::MAX);
    let elapsed = || {
        let begun = processor_time();
        oracle(data);
        processor_time().saturating_sub(begun)
    };
    let fast = (0..TRIES).any(|_| elapsed() <= bound);
    assert!(fast, "{} bytes take longer than {bound:?}", data.len());
}

/// What this thread has used. Not what a clock on the wall says: other programs may have the processor meanwhile.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
