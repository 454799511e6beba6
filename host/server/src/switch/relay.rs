//! The turn at a socket, handed from thread to thread.
//!
//! Whoever has the turn reads. While it runs the event that came of a message it lends the turn, so that others may
//! read on; but waking a thread costs more than most events take, so nobody is called. When the event is done the
//! reader takes the turn back, as a rule untouched. The clock's thread **watches**: for a turn that is lent and not
//! taken back from one look to the next it calls one of the idle threads. That is for the first events of a guest that
//! takes long, and for a reader that has to wait for a processor; the later events of such a guest run aside.

use super::lock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// Looks without a message after which the watcher may rest until there is one.
const QUIET_LOOKS: u32 = 10;

/// The turn at one socket.
pub(super) struct Relay {
    /// Counts each time that the turn is lent or taken; odd: it is lent.
    turn: AtomicU64,
    /// The watcher rests.
    unwatched: AtomicBool,
    /// Whether an idle thread is called to take the turn; they wait for the bell.
    called: Mutex<bool>,
    bell: Condvar,
}

/// The right to read. Dropped, it goes to an idle thread.
pub(super) struct Turn<'a>(&'a Relay);

/// A turn that is lent, and may be taken back.
pub(super) struct Lent<'a>(&'a Relay, u64);

/// Who watches over turns that are lent.
pub(super) struct Watcher<'a> {
    relays: &'a [Relay],
    /// The turns at the last look.
    seen: Vec<u64>,
    quiet_looks: u32,
}

impl Relay {
    /// A turn that nobody has yet; whoever waits first gets it.
    pub fn new() -> Self {
        let (turn, called) = (AtomicU64::new(1), Mutex::new(true));
        Self { turn, unwatched: AtomicBool::new(false), called, bell: Condvar::new() }
    }

    /// Waits for a turn; none when it is time to stop, see [`Relay::call_all`].
    pub fn wait(&self, stopping: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut called = lock(&self.called);
        while !stopping() {
            let turn = self.turn.load(SeqCst);
            if std::mem::take(&mut *called) && is_lent(turn) && self.take(turn) {
                return Some(Turn(self));
            }
            called =
                self.bell.wait_while(called, |called| !*called && !stopping()).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Has all who wait look whether it is time to stop.
    pub fn call_all(&self) {
        let _called = lock(&self.called);
        self.bell.notify_all();
    }

    fn call_one(&self) {
        *lock(&self.called) = true;
        self.bell.notify_one();
    }

    fn take(&self, turn: u64) -> bool {
        self.turn.compare_exchange(turn, turn + 1, SeqCst, SeqCst).is_ok()
    }

    fn lend(&self) -> u64 {
        self.turn.fetch_add(1, SeqCst) + 1
    }
}

impl<'a> Turn<'a> {
    /// Lets others read. `wake`: the watcher, where it rests.
    pub fn lend(self, wake: impl FnOnce()) -> Lent<'a> {
        let relay = self.0;
        std::mem::forget(self);
        let turn = relay.lend();
        if relay.unwatched.load(SeqCst) {
            wake();
        }
        Lent(relay, turn)
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
        self.0.call_one();
    }
}

impl<'a> Watcher<'a> {
    /// Watches over these.
    pub fn new(relays: &'a [Relay]) -> Self {
        Self { relays, seen: vec![0; relays.len()], quiet_looks: 0 }
    }

    /// Looks once. A turn that is lent as it was the last time is given to an idle thread; when there is none, to the
    /// first that is.
    pub fn look(&mut self) {
        self.quiet_looks = self.quiet_looks.saturating_add(1);
        for (relay, seen) in self.relays.iter().zip(&mut self.seen) {
            let turn = relay.turn.load(SeqCst);
            if is_lent(turn) && turn == *seen {
                relay.call_one();
            }
            if is_lent(turn) || turn != *seen {
                self.quiet_looks = 0;
            }
            *seen = turn;
        }
    }

    /// Rests with `sleep`, which ends when whoever lends a turn wakes the watcher, unless messages came of late.
    pub fn rest(&self, sleep: impl FnOnce()) {
        if self.quiet_looks < QUIET_LOOKS {
            return;
        }
        let unwatched = |is: bool| self.relays.iter().for_each(|relay| relay.unwatched.store(is, SeqCst));
        unwatched(true);
        // Whoever lends a turn now sees that nobody watches, or is seen here: both write before they read.
        if self.relays.iter().zip(&self.seen).all(|(relay, seen)| relay.turn.load(SeqCst) == *seen) {
            sleep();
        }
        unwatched(false);
    }
}

const fn is_lent(turn: u64) -> bool {
    turn % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread::{Scope, sleep};
    use std::time::Duration;

    const NEVER: fn() -> bool = || false;
    const LONG: Duration = Duration::from_secs(20);
    const NOBODY: fn() = || ();

    /// Says when a thread that waits gets a turn; it keeps it for good.
    fn waits<'s>(scope: &'s Scope<'s, '_>, relay: &'s Relay) -> Receiver<()> {
        let (sender, receiver) = channel();
        scope.spawn(move || {
            let turn = relay.wait(NEVER);
            assert!(turn.is_some());
            let _ = sender.send(());
            std::mem::forget(turn);
        });
        receiver
    }

    #[test]
    fn a_turn_that_is_lent_is_taken_back_while_nobody_else_wants_it() {
        let relay = Relay::new();
        let turn = relay.wait(NEVER).expect("a turn");
        assert!(turn.lend(NOBODY).take_back().is_some());
    }

    #[test]
    fn a_turn_that_is_kept_lent_goes_to_an_idle_thread_and_to_nobody_twice() {
        let relays = [Relay::new()];
        let [relay] = &relays;
        let lent = relay.wait(NEVER).expect("a turn").lend(NOBODY);
        let mut watcher = Watcher::new(&relays);
        watcher.look();
        std::thread::scope(|scope| {
            let second = waits(scope, relay);
            assert!(second.try_recv().is_err(), "one look is not enough");
            watcher.look();
            assert_eq!(second.recv_timeout(LONG), Ok(()));
        });
        assert!(lent.take_back().is_none());
        assert!(!is_lent(relay.turn.load(SeqCst)), "the second one has it");
    }

    #[test]
    fn who_has_nobody_to_give_a_turn_to_gives_it_to_the_first_that_comes() {
        let relays = [Relay::new()];
        let [relay] = &relays;
        let lent = relay.wait(NEVER).expect("a turn").lend(NOBODY);
        let mut watcher = Watcher::new(&relays);
        (0..2).for_each(|_| watcher.look());
        assert!(relay.wait(NEVER).is_some());
        assert!(lent.take_back().is_none());
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
    fn a_watcher_rests_when_nothing_comes_and_is_woken_by_what_does() {
        let relays = [Relay::new()];
        let [relay] = &relays;
        let (mut turn, mut watcher) = (relay.wait(NEVER).expect("a turn"), Watcher::new(&relays));
        let rests = |watcher: &Watcher<'_>| {
            let mut rested = false;
            watcher.rest(|| rested = true);
            rested
        };
        turn = turn.lend(|| panic!("it does not rest")).take_back().expect("untouched");
        watcher.look();
        assert!(!rests(&watcher));
        (0..QUIET_LOOKS).for_each(|_| watcher.look());
        assert!(rests(&watcher));
        let mut woken = false;
        watcher.rest(|| {
            let _ = turn.lend(|| woken = true);
        });
        assert!(woken);
        assert!(!rests(&watcher), "it has not looked at what came");
    }

    #[test]
    fn one_has_the_turn_at_a_time_and_it_is_never_lost() {
        const READS: u64 = 300;
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let relays = [Relay::new()];
        let ([relay], having, reads) = (&relays, AtomicU64::new(0), AtomicU64::new(0));
        let over = || reads.load(SeqCst) >= READS;
        let read = || {
            while let Some(mut turn) = relay.wait(over) {
                while !over() {
                    assert_eq!(having.fetch_add(1, SeqCst), 0);
                    let number = reads.fetch_add(1, SeqCst);
                    having.fetch_sub(1, SeqCst);
                    let lent = turn.lend(NOBODY);
                    if number % 8 == 0 {
                        sleep(5 * LOOK_EVERY); // an event that takes long: another thread reads on
                    }
                    match lent.take_back() {
                        Some(again) => turn = again,
                        None => break,
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(read)));
            let mut watcher = Watcher::new(&relays);
            while !over() {
                sleep(LOOK_EVERY);
                watcher.look();
            }
            relay.call_all();
        });
        assert!(reads.load(SeqCst) >= READS);
    }

    #[test]
    fn who_waits_for_a_turn_is_called_when_it_is_time_to_stop() {
        let (relay, stopping) = (Relay::new(), AtomicBool::new(false));
        let _turn = relay.wait(NEVER);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| relay.wait(|| stopping.load(SeqCst)).is_none());
            stopping.store(true, SeqCst);
            relay.call_all();
            assert!(waiting.join().is_ok_and(|stopped| stopped));
        });
    }
}
