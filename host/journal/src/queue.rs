//! Between those who note and the one who writes. A note costs a lock held for nanoseconds and wakes nobody while the
//! writer is at work or collects: it comes for what gathered, all at once.

use crate::files::Bounds;
use crate::note::Note;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the writer lets notes gather: the longest that a note waits for the file on a machine that is not busy.
const COLLECT: Duration = Duration::from_millis(50);

/// Room that is kept for the lines of a batch, in bytes.
const ROOM_BYTES: usize = 1024 * 1024;

/// Notes that wait, at most `notes_max` of them, and their lines of at most so many bytes.
pub(crate) struct Queue {
    notes_max: usize,
    bytes_max: usize,
    inner: Mutex<Inner>,
    wake: Condvar,
}

/// Lines that gathered. They stand behind one another in one buffer: it is used again and again, so nothing is
/// allocated here that another thread gives back.
#[derive(Default)]
pub(crate) struct Batch {
    /// Each with the number of lines that it is about: as a rule that is like the line before.
    notes: Vec<(Note, usize)>,
    lengths: Vec<usize>,
    lines: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    batch: Batch,
    /// What the writer is to do once it has written the notes.
    orders: Vec<Order>,
    /// The writer sleeps until the first note.
    idle: bool,
    closed: bool,
}

/// What the writer is to do besides.
pub(crate) enum Order {
    /// Say when what was noted before is written.
    Flush(SyncSender<()>),
    /// Keep within these bounds.
    Bounds(Bounds),
}

/// What the writer comes back with.
pub(crate) enum Taken {
    /// Notes to write, and then orders to follow.
    Work(Vec<Order>),
    /// Nothing came for as long as it would wait.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Queue {
    pub fn new(notes_max: usize, bytes_max: usize) -> Self {
        Self { notes_max, bytes_max, inner: Mutex::default(), wake: Condvar::new() }
    }

    /// Adds a note and its line; whether there was room.
    pub fn push(&self, note: Note, line: &[u8]) -> bool {
        let mut inner = self.lock();
        let Batch { notes, lengths, lines } = &mut inner.batch;
        let room = lengths.len() < self.notes_max && lines.len() + line.len() <= self.bytes_max;
        if room {
            match notes.last_mut() {
                Some((last, count)) if *last == note => *count += 1,
                _ => notes.push((note, 1)),
            }
            lengths.push(line.len());
            lines.extend_from_slice(line);
        }
        if std::mem::take(&mut inner.idle) {
            drop(inner);
            self.wake.notify_one();
        }
        room
    }

    /// Adds an order. There are few: whoever gives one waits for it, or is the operator.
    pub fn order(&self, order: Order) {
        self.lock().orders.push(order);
        self.wake.notify_one();
    }

    /// Nothing will be added any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Waits for notes, at most so long, and lets a few gather; they come in `batch`, which must be empty and whose room
    /// is used for those to come.
    pub fn take(&self, batch: &mut Batch, at_most: Duration) -> Taken {
        let mut inner = self.lock();
        let until = Instant::now() + at_most;
        while inner.batch.notes.is_empty() && inner.orders.is_empty() && !inner.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            inner.idle = true;
            inner =
                self.wake.wait_timeout(inner, left).map_or_else(|poisoned| poisoned.into_inner().0, |woken| woken.0);
            inner.idle = false;
        }
        let until = Instant::now() + COLLECT;
        while inner.orders.is_empty() && !inner.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner =
                self.wake.wait_timeout(inner, left).map_or_else(|poisoned| poisoned.into_inner().0, |woken| woken.0);
        }
        std::mem::swap(&mut inner.batch, batch);
        let orders = std::mem::take(&mut inner.orders);
        if inner.closed && batch.notes.is_empty() && orders.is_empty() { Taken::Closed } else { Taken::Work(orders) }
    }

    /// A panic elsewhere leaves the list whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Hands out each note with its lines, and is empty then.
    pub fn drain(&mut self, mut each: impl FnMut(&Note, &mut dyn Iterator<Item = &[u8]>)) {
        let mut rest = self.lines.as_slice();
        let mut lines = self.lengths.drain(..).map(|length| {
            let (line, behind) = rest.split_at(length.min(rest.len()));
            rest = behind;
            line
        });
        for (note, count) in self.notes.drain(..) {
            let mut of_note = lines.by_ref().take(count);
            each(&note, &mut of_note);
            of_note.for_each(drop); // none is taken for one of the next note
        }
        drop(lines);
        self.lines.clear();
        self.lines.shrink_to(ROOM_BYTES);
    }
}
