//! A component in the shadow of the live version: it sees the events of live calls, on a thread of its own, with a copy
//! of the state that each began with. What it would do is compared with what was done, and thrown away.
//!
//! No call waits for it. When it is slower than the calls are, events are dropped and counted.

use super::{Loaded, Stats};
use plugboard_calls::logic::Logic;
use plugboard_calls::shard::Finished;
use plugboard_engine::in_background;
use plugboard_journal::Kind;
use plugboard_journal::shadow::{Compared, Seen, compare};
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Events that wait for the comparison, in number.
const QUEUE_MAX: usize = 1_024;
/// What those may take, in bytes.
const QUEUE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Calls with a difference that are told in full, in number; the first ones.
const TOLD_MAX: usize = 10;
/// Calls with a difference that are told apart, in number; more are counted once for each event.
const CALLS_MAX: usize = 10_000;

/// A component in the shadow.
pub struct Shadow {
    id: String,
    component: String,
    since_unix_ms: u64,
    logic: Arc<dyn Logic>,
    stats: Box<dyn Fn() -> Stats + Send + Sync>,
    queue: SyncSender<Seen>,
    shared: Arc<Shared>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Shared {
    waiting_bytes: AtomicU64,
    findings: Mutex<Findings>,
}

/// What the comparison found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Events that were compared, in number.
    pub compared: u64,
    /// Those of which something else would have come, in number.
    pub different: u64,
    /// Those of them in which the component failed and the live version did not, in number.
    pub failed: u64,
    /// Calls with a difference, in number.
    pub calls_different: u64,
    /// Events that were not compared because chance decided them, in number.
    pub left_out: u64,
    /// Events that were not compared because the component did not take over the state, in number.
    pub refused: u64,
    /// Why not, the first time.
    pub refusal: Option<String>,
    /// Events that were dropped because too many waited, in number.
    pub dropped: u64,
    /// The first difference of each of the first calls that have one.
    pub first: Vec<Told>,
    calls: HashSet<String>,
}

/// A difference, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The call.
    pub key: String,
    /// Its event, and what is other, in lines.
    pub text: String,
}

impl Shadow {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(super) fn start(loaded: Loaded, component: String, since_unix_ms: u64) -> io::Result<Arc<Self>> {
        let Loaded { id, logic, stats, rest: _ } = loaded;
        let (queue, seen) = sync_channel(QUEUE_MAX);
        let shared = Arc::new(Shared::default());
        let (theirs, candidate) = (shared.clone(), logic.clone());
        let compare_all = move || theirs.run(&*candidate, &seen);
        std::thread::Builder::new().name("shadow".to_owned()).spawn(compare_all)?;
        Ok(Arc::new(Self { id, component, since_unix_ms, logic, stats, queue, shared, dropped: AtomicU64::new(0) }))
    }

    /// Takes a copy of a live event, or drops it when too many wait. `live`: the version that handled it.
    pub(super) fn see(&self, live: &dyn Logic, finished: &Finished) {
        let (record, state) = (finished.record().into_owned(), finished.state_before().map(<[u8]>::to_vec));
        let seen = Seen { record, state, schema: live.description().state_schema };
        let bytes = seen.bytes();
        let room = self.shared.waiting_bytes.fetch_add(bytes, Relaxed) + bytes <= QUEUE_BYTES_MAX;
        if !room || self.queue.try_send(seen).is_err() {
            self.shared.waiting_bytes.fetch_sub(bytes, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The hash that names the version.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 of the component, in hex.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// What it says it is.
    pub fn logic(&self) -> &Arc<dyn Logic> {
        &self.logic
    }

    /// Since when it sees live events, in milliseconds since the Unix epoch.
    pub fn since_unix_ms(&self) -> u64 {
        self.since_unix_ms
    }

    /// What happened to it so far.
    pub fn stats(&self) -> Stats {
        (self.stats)()
    }

    /// What the comparison found so far.
    pub fn findings(&self) -> Findings {
        let findings = self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Findings { dropped: self.dropped.load(Relaxed), ..findings }
    }
}

impl Shared {
    /// Compares until nobody can send any more.
    fn run(&self, candidate: &dyn Logic, seen: &Receiver<Seen>) {
        for seen in seen {
            let bytes = seen.bytes();
            let (compared, _) = in_background(|| compare(candidate, seen));
            self.waiting_bytes.fetch_sub(bytes, Relaxed);
            self.findings.lock().unwrap_or_else(PoisonError::into_inner).add(compared);
        }
    }
}

impl Findings {
    fn add(&mut self, compared: Compared) {
        let difference = match compared {
            Compared::Same => {
                self.compared += 1;
                return;
            }
            Compared::LeftOut => {
                self.left_out += 1;
                return;
            }
            Compared::Refused(why) => {
                self.refused += 1;
                self.refusal.get_or_insert(why);
                return;
            }
            Compared::Differs(difference) => difference,
        };
        self.compared += 1;
        self.different += 1;
        self.failed += u64::from(difference.kind == Kind::Failed);
        let is_new = self.calls.len() >= CALLS_MAX || self.calls.insert(difference.key.clone());
        self.calls_different += u64::from(is_new);
        if is_new && self.first.len() < TOLD_MAX {
            let text = difference.to_string();
            self.first.push(Told { key: difference.key, text });
        }
    }
}
