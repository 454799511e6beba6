//! Waiting with a deadline.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the tests give something that should happen at once.
pub const SOON: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(15);

/// Asks `probe` again and again until it has an answer.
///
/// # Panics
/// When there is none within `limit`, naming `what` was awaited.
pub fn until<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        sleep(POLL);
    }
}

/// Asks `probe` for as long as `span` and panics, naming `what`, as soon as it is false.
pub fn throughout(what: &str, span: Duration, mut probe: impl FnMut() -> bool) {
    let deadline = Instant::now() + span;
    while Instant::now() < deadline {
        assert!(probe(), "{what} did not last {span:?}");
        sleep(POLL);
    }
}
