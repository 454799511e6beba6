//! Work that gets what others leave of the processors: the compiler, and guests that take long.
//!
//! The compiler's threads are of the scheduling class `SCHED_IDLE` (sched(7)): whoever else of this process wakes up runs
//! at once, and a processor with such threads alone counts as free. Guests come by themselves and without end; their
//! threads are as nice as can be, and let others by all the time ([`Courtesy`]).
//!
//! Such a thread may be put off for long while it holds a lock. So these threads do nothing but that work, and whoever
//! wants it waits for them on a thread of its own.

use crate::allowance::processor_time;
use crate::courtesy::Courtesy;
use rustix::process::nice;
use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread::Builder;
use std::time::Duration;
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};

/// The niceness of guests that take long: the most there is.
const NICENESS: i32 = 19;

thread_local! {
    /// What the guests of this thread took in the background so far; none: they run on it like anything else.
    static TAKEN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Lets the guests that this work runs go on in the background, while this thread waits for them. Also gives the
/// processor time that they took there.
pub fn in_background<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let before = TAKEN.replace(Some(Duration::ZERO));
    let result = work();
    (result, TAKEN.replace(before).unwrap_or_default())
}

/// Does what runs code of a guest, where this thread wants that done.
pub(crate) fn guest<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let Some(taken) = TAKEN.get() else { return work() };
    let mut work = Some(work);
    let done = std::thread::scope(|scope| {
        let work = &mut work;
        let measured = move || {
            let _courtesy = give_way();
            work.take().map(|work| (work(), processor_time()))
        };
        let guest = Builder::new().name("guest-aside".to_owned()).spawn_scoped(scope, measured);
        guest.map(|guest| guest.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    match done {
        Ok(Some((result, took))) => {
            TAKEN.set(Some(taken + took));
            result
        }
        Ok(None) | Err(_) => work.take().expect("no thread took it")(),
    }
}

/// From now on this thread gets what others leave. Where that is refused the work is done all the same, in the way of
/// others, and nothing worse.
pub(crate) fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!(?error, "a thread in the background keeps its priority");
    }
}

/// From now on this thread is in nobody's way. Where that is refused, the same.
fn give_way() -> Option<Courtesy> {
    // The niceness is that of this thread alone, as Linux has it.
    if let Err(error) = nice(NICENESS) {
        tracing::debug!(%error, "a guest that takes long keeps its priority");
    }
    Courtesy::begin().inspect_err(|error| tracing::debug!(%error, "a guest that takes long lets nobody by")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The niceness of this thread, which proc(5) has as its 19th field.
    fn niceness() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux has it");
        let behind_the_name = stat.rsplit_once(')').expect("a name in brackets").1;
        behind_the_name.split_whitespace().nth(16).expect("as many fields").to_owned()
    }

    #[test]
    fn guests_alone_go_on_in_the_background_and_their_time_is_counted() {
        let usual = niceness();
        assert_ne!(usual, "19");
        assert_eq!(guest(niceness), usual, "nobody asked for it");
        let work = || {
            while processor_time() < Duration::from_millis(20) {}
            niceness()
        };
        let (seen, took) = in_background(|| [guest(work), niceness(), guest(work)]);
        assert_eq!(seen, ["19", &usual, "19"]);
        assert!(took >= Duration::from_millis(40), "{took:?}");
        assert_eq!(guest(niceness), usual, "and only for as long as was asked");
    }
}
