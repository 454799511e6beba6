//! The turn at a socket, handed from thread to thread.
//!
//! Whoever has the turn reads. While it runs the event that came of a message it lends the turn, so that others may
//! read on; but waking a thread costs more than most events take, so nobody is called. When the event is done the
//! reader takes the turn back, as a rule untouched. One of the idle threads **watches**: a turn that is lent and not
//! taken back for a tick goes to it. That is for the first events of a guest that takes long, and for a reader that
//! has to wait for a processor; the later events of such a guest run aside.

use super::lock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often the watcher looks: a lent turn waits for at most two ticks.
const TICK: Duration = Duration::from_millis(5);
/// Ticks without a message after which the watcher sleeps until there is one.
const QUIET_TICKS: u32 = 20;
/// Longest sleep of the watcher: how soon it sees that it is to stop.
const SLEEP_MAX: Duration = Duration::from_millis(500);

/// The turn at one socket.
pub(super) struct Relay {
    /// Counts each time that the turn is lent or taken; odd: it is lent.
    turn: AtomicU64,
    /// Held by the watcher. The other idle threads wait here.
    watch: Mutex<()>,
    /// The watcher does not tick.
    asleep: AtomicBool,
    /// Whether the watcher is to wake up; rings when it is.
    woken: Mutex<bool>,
    bell: Condvar,
}

/// The right to read. Dropped, it is up for the watcher.
pub(super) struct Turn<'a>(&'a Relay);

/// A turn that is lent, and may be taken back.
pub(super) struct Lent<'a>(&'a Relay, u64);

impl Relay {
    /// A turn that nobody has yet.
    pub fn new() -> Self {
        Self {
            turn: AtomicU64::new(1),
            watch: Mutex::default(),
            asleep: AtomicBool::new(false),
            woken: Mutex::default(),
            bell: Condvar::new(),
        }
    }

    /// Waits for a turn; none when it is time to stop.
    pub fn wait(&self, stopping: impl Fn() -> bool) -> Option<Turn<'_>> {
        let _watcher = lock(&self.watch);
        let mut seen = self.turn.load(SeqCst);
        let mut quiet_ticks = 0;
        while !stopping() {
            self.tick(seen, quiet_ticks >= QUIET_TICKS);
            let turn = self.turn.load(SeqCst);
            let untouched = turn == seen;
            if untouched && is_lent(turn) && self.take(turn) {
                return Some(Turn(self));
            }
            quiet_ticks = if untouched { quiet_ticks + 1 } else { 0 };
            seen = turn;
        }
        None
    }

    /// One tick of the watcher, or a sleep until there is a message.
    fn tick(&self, seen: u64, sleep: bool) {
        let mut woken = lock(&self.woken);
        self.asleep.store(sleep, SeqCst);
        // Whoever lends the turn now sees that the watcher is asleep, or is seen here: both write before they read.
        if !sleep || self.turn.load(SeqCst) == seen {
            let time = if sleep { SLEEP_MAX } else { TICK };
            let stays_asleep = |woken: &mut bool| !*woken;
            woken = self.bell.wait_timeout_while(woken, time, stays_asleep).unwrap_or_else(PoisonError::into_inner).0;
        }
        self.asleep.store(false, SeqCst);
        *woken = false;
    }

    fn take(&self, turn: u64) -> bool {
        self.turn.compare_exchange(turn, turn + 1, SeqCst, SeqCst).is_ok()
    }

    fn lend(&self) -> u64 {
        let turn = self.turn.fetch_add(1, SeqCst) + 1;
        if self.asleep.load(SeqCst) {
            *lock(&self.woken) = true;
            self.bell.notify_one();
        }
        turn
    }
}

impl<'a> Turn<'a> {
    /// Lets others read.
    pub fn lend(self) -> Lent<'a> {
        let relay = self.0;
        std::mem::forget(self);
        Lent(relay, relay.lend())
    }
}

impl<'a> Lent<'a> {
    /// Takes the turn back, unless someone else has it.
    pub fn take_back(self) -> Option<Turn<'a>> {
        let Self(relay, turn) = self;
        relay.take(turn).then(|| Turn(relay))
    }
}

impl Drop for Turn<'_> {
    /// Also when its reader panics.
    fn drop(&mut self) {
        self.0.lend();
    }
}

const fn is_lent(turn: u64) -> bool {
    turn % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    const NEVER: fn() -> bool = || false;
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_turn_that_is_lent_is_taken_back_while_nobody_else_wants_it() {
        let relay = Relay::new();
        let turn = relay.wait(NEVER).expect("a turn");
        assert!(turn.lend().take_back().is_some());
    }

    #[test]
    fn a_turn_that_is_kept_lent_goes_to_the_watcher_and_to_nobody_twice() {
        let relay = Relay::new();
        let lent = relay.wait(NEVER).expect("a turn").lend();
        let second = relay.wait(NEVER).expect("the watcher steps in");
        assert!(lent.take_back().is_none());
        assert!(!is_lent(relay.turn.load(SeqCst)), "the second one has it");
        assert!(second.lend().take_back().is_some());
    }

    #[test]
    fn a_reader_that_panics_gives_its_turn_away() {
        let relay = Relay::new();
        let panicked = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let _turn = relay.wait(NEVER);
                panic!("on purpose");
            });
            reader.join().is_err()
        });
        assert!(panicked && relay.wait(NEVER).is_some());
    }

    #[test]
    fn a_watcher_that_sleeps_wakes_for_traffic() {
        let relay = Relay::new();
        let turn = relay.wait(NEVER).expect("a turn");
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let relay = &relay;
            scope.spawn(move || sender.send(relay.wait(NEVER).is_some()));
            let begun = Instant::now();
            while !relay.asleep.load(SeqCst) && begun.elapsed() < LONG {
                std::thread::yield_now();
            }
            let lent = turn.lend();
            assert_eq!(receiver.recv_timeout(LONG), Ok(true));
            assert!(lent.take_back().is_none());
        });
    }

    #[test]
    fn one_has_the_turn_at_a_time_and_it_is_never_lost() {
        const READS: u64 = 300;
        let (relay, having, reads) = (Relay::new(), AtomicU64::new(0), AtomicU64::new(0));
        let read = || {
            let over = || reads.load(SeqCst) >= READS;
            while let Some(mut turn) = relay.wait(over) {
                while !over() {
                    assert_eq!(having.fetch_add(1, SeqCst), 0);
                    let number = reads.fetch_add(1, SeqCst);
                    having.fetch_sub(1, SeqCst);
                    let lent = turn.lend();
                    if number % 8 == 0 {
                        std::thread::sleep(3 * TICK); // an event that takes long: another thread reads on
                    }
                    match lent.take_back() {
                        Some(again) => turn = again,
                        None => break,
                    }
                }
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(read))));
        assert!(reads.load(SeqCst) >= READS);
    }

    #[test]
    fn nobody_waits_for_a_turn_when_it_is_time_to_stop() {
        let relay = Relay::new();
        let _turn = relay.wait(NEVER);
        assert!(relay.wait(|| true).is_none());
    }
}
