//! The clock of deadlines: one thread that advances the engine's epoch while a guest runs, and sleeps while none does,
//! so that an idle host costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::Duration;

/// Length of an epoch: how often a running guest is asked whether its [`Allowance`](crate::allowance::Allowance) is
/// used up.
const TICK: Duration = Duration::from_millis(5);
/// How often the thread looks for a running guest as long as it finds none: nearly all events are over in a fraction of
/// that, and a look costs as much as one of them when there are few calls. A guest's first epoch is that late at most.
const LOOK: Duration = Duration::from_millis(20);
/// Looks in vain after which the thread goes to sleep; waking it costs a system call.
const IDLE_LOOKS: u32 = 10;

/// A running ticker; its thread ends when it is dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    parked: AtomicBool,
    stop: AtomicBool,
}

/// As long as one of these lives, epochs pass.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    /// Starts the thread.
    pub(crate) fn new(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("guest-deadlines".to_owned())
            .spawn(move || theirs.tick_until_stopped(&engine))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// A guest is about to run.
    pub(crate) fn enter(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.parked.load(SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    fn tick_until_stopped(&self, engine: &wasmtime::Engine) {
        let mut idle_looks = 0;
        while !self.stop.load(SeqCst) {
            let pause = if self.running.load(SeqCst) > 0 {
                idle_looks = 0;
                engine.increment_epoch();
                TICK
            } else {
                idle_looks += 1;
                if idle_looks > IDLE_LOOKS {
                    self.rest();
                    idle_looks = 0;
                }
                LOOK
            };
            thread::sleep(pause);
        }
    }

    /// Sleeps until a guest enters. It sees `parked`, or is seen here: both sides write before they read.
    fn rest(&self) {
        self.parked.store(true, SeqCst);
        while self.running.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
            thread::park();
        }
        self.parked.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Waits, without sleeping, for what the ticker's thread does in a moment.
    fn soon(what: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        while !what() {
            if begun.elapsed() > Duration::from_secs(10) {
                return false;
            }
            thread::yield_now();
        }
        true
    }

    #[test]
    fn it_rests_without_a_guest_and_wakes_for_one() {
        let ticker = Ticker::new(wasmtime::Engine::default()).expect("a thread");
        for _ in 0..2 {
            assert!(soon(|| ticker.shared.parked.load(SeqCst)), "it does not rest");
            let running = ticker.enter();
            assert!(soon(|| !ticker.shared.parked.load(SeqCst)), "it does not wake");
            drop(running);
        }
    }

    #[test]
    fn its_thread_ends_with_it() {
        let ticker = Ticker::new(wasmtime::Engine::default()).expect("a thread");
        let shared = Arc::downgrade(&ticker.shared);
        drop(ticker);
        assert!(soon(|| shared.upgrade().is_none()));
    }
}
