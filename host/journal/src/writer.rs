//! Takes records without waiting, and writes their lines on a thread of its own. What it cannot take in time it drops
//! and counts: the calls come first.

use crate::files::{Bounds, Folder, Tally};
use crate::line::{FORMAT, Line, Opening};
use crate::note::{self, Draft, Holds, Note, Notes};
use crate::queue::{Batch, Order, Queue, Taken};
use plugboard_calls::record::{Record, Settled};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of lines that wait to be written.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often the thread looks at the age of files.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// The journal of all tenants.
pub struct Journal {
    path: PathBuf,
    notes: Notes,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// Counts since start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that were written.
    pub written: AtomicU64,
    /// Events that were not, because too many waited.
    pub dropped: AtomicU64,
    /// Events that were not, because the disk refused.
    pub failed: AtomicU64,
    /// Bytes that the files hold.
    pub bytes: AtomicU64,
}

impl Counters {
    fn count(&self, Tally { written, failed }: Tally) {
        self.written.fetch_add(written, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
    }
}

impl Journal {
    /// A journal in this folder, with a folder for each tenant. `queue_max`: events that wait to be written, in
    /// number.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(path: &Path, bounds: Bounds, queue_max: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(queue_max, QUEUE_BYTES_MAX));
        let counters = Arc::new(Counters::default());
        let mut writer = Writer {
            path: path.to_owned(),
            bounds,
            counters: counters.clone(),
            tenants: HashMap::new(),
            failing: HashSet::new(),
        };
        let theirs = queue.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&theirs))?;
        Ok(Self { path: path.to_owned(), notes: Notes::default(), queue, counters, thread: Some(thread) })
    }

    /// Makes the line of a finished event, before that is committed. Those of one call must come in their order. None
    /// when it cannot be written.
    pub fn draft(&self, record: Record<'_>) -> Option<Draft> {
        self.written(self.notes.draft(record))
    }

    /// Takes note of an event that is settled now, or drops it when too many wait. Never blocks on the disk.
    pub fn note(&self, draft: Draft, settled: Settled) {
        let Some((note, line)) = self.written(self.notes.settle(draft, settled)) else { return };
        if !self.queue.push(note, &line) {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        note::give_back(line);
    }

    fn written<T>(&self, result: Result<T, serde_json::Error>) -> Option<T> {
        let failed = |error: &serde_json::Error| {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "an event cannot be written to the journal");
        };
        result.inspect_err(failed).ok()
    }

    /// Waits until what was noted so far is in the files; whether that came to pass in time.
    pub fn flush(&self, at_most: Duration) -> bool {
        let (sender, receiver) = sync_channel(1);
        self.queue.order(Order::Flush(sender));
        receiver.recv_timeout(at_most).is_ok()
    }

    /// Keeps within these bounds from now on.
    pub fn bound(&self, bounds: Bounds) {
        self.queue.order(Order::Bounds(bounds));
    }

    /// The folder of a tenant.
    pub fn folder(&self, domain: &str) -> PathBuf {
        self.path.join(domain)
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Journal {
    /// Writes what waits.
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was reported there
        }
    }
}

struct Writer {
    path: PathBuf,
    bounds: Bounds,
    counters: Arc<Counters>,
    tenants: HashMap<String, Files>,
    /// Whose journal could not be written when that was last tried, which was said then.
    failing: HashSet<String>,
}

/// Versions of a tenant whose opening is remembered, in number: more than there are at once.
const OPENED_MAX: usize = 64;

struct Files {
    folder: Folder,
    /// What the openings of this file told of each version.
    opened: HashMap<Arc<str>, Holds>,
}

impl Files {
    /// Writes the lines that a note is about, each whatever becomes of the others; the first error.
    fn write(&mut self, note: &Note, lines: &mut dyn Iterator<Item = &[u8]>, now: SystemTime) -> io::Result<()> {
        let (mut written, mut is_told) = (Ok(()), false);
        for line in lines {
            // What the first line found out holds for the others, as far as they come into the same file.
            let is_opened = is_told && !self.folder.is_at_beginning();
            let opening = if is_opened { Ok(None) } else { self.opening(note) };
            is_told = opening.is_ok();
            written = written.and(match opening {
                Ok(opening) => self.folder.write(opening.as_deref(), line, now), // which counts
                Err(error) => {
                    self.folder.fail();
                    Err(error)
                }
            });
        }
        written
    }

    /// What must stand before the line of an event, if this file does not say it yet.
    fn opening(&mut self, note: &Note) -> io::Result<Option<Vec<u8>>> {
        if self.folder.is_at_beginning() || self.opened.len() > OPENED_MAX {
            self.opened.clear();
        }
        if self.opened.get(&note.version) == Some(&note.holds) {
            return Ok(None);
        }
        let opening = Opening {
            format: FORMAT,
            domain: note.tenant.domain.to_string(),
            version: Some(note.version.to_string()),
            limits: (*note.holds.limits).clone(),
            settings: (*note.holds.settings).clone(),
        };
        let line = serde_json::to_vec(&Line::Opening(opening))?;
        self.opened.insert(note.version.clone(), note.holds.clone());
        Ok(Some(line))
    }
}

impl Writer {
    fn run(&mut self, queue: &Queue) {
        let mut tidied = Instant::now();
        let mut batch = Batch::default();
        loop {
            match queue.take(&mut batch, TIDY_EVERY) {
                Taken::Work(orders) => {
                    batch.drain(|note, lines| self.events(note, lines));
                    self.flush();
                    orders.into_iter().for_each(|order| self.obey(order));
                }
                Taken::Nothing => {}
                Taken::Closed => return,
            }
            if tidied.elapsed() >= TIDY_EVERY {
                tidied = Instant::now();
                self.each(|files| files.folder.tidy(SystemTime::now()));
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Flush(done) => {
                let _ = done.send(()); // whoever asked may have given up
            }
            Order::Bounds(bounds) => {
                self.bounds = bounds;
                self.each(|files| files.folder.bound(bounds, SystemTime::now()));
            }
        }
    }

    /// Writes the lines that a note is about.
    fn events(&mut self, note: &Note, lines: &mut dyn Iterator<Item = &[u8]>) {
        let (now, domain) = (SystemTime::now(), &*note.tenant.domain);
        let written = match self.files(domain, now) {
            Ok(files) => files.write(note, lines, now),
            Err(error) => {
                self.counters.count(Tally { written: 0, failed: lines.count() as u64 });
                Err(error)
            }
        };
        if let Err(error) = written {
            self.complain(domain, &error);
        }
    }

    /// The files of a tenant.
    fn files(&mut self, domain: &str, now: SystemTime) -> io::Result<&mut Files> {
        if !self.tenants.contains_key(domain) {
            let folder = Folder::open(&self.path.join(folder_name(domain)?), self.bounds, now)?;
            self.tenants.insert(domain.to_owned(), Files { folder, opened: HashMap::new() });
        }
        self.tenants.get_mut(domain).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn flush(&mut self) {
        self.each(|files| files.folder.flush());
        let mut bytes = 0;
        for (domain, files) in &mut self.tenants {
            let tally = files.folder.take_tally();
            self.counters.count(tally);
            if tally.written > 0 && tally.failed == 0 {
                self.failing.remove(domain);
            }
            bytes += files.folder.bytes();
        }
        self.counters.bytes.store(bytes, Ordering::Relaxed);
    }

    fn each(&mut self, work: impl Fn(&mut Files) -> io::Result<()>) {
        let failure = |(domain, files): (&String, &mut Files)| Some((domain.clone(), work(files).err()?));
        let failures: Vec<_> = self.tenants.iter_mut().filter_map(failure).collect();
        for (domain, error) in failures {
            self.complain(&domain, &error);
        }
    }

    /// Once, until something can be written again.
    fn complain(&mut self, tenant: &str, error: &io::Error) {
        if self.failing.insert(tenant.to_owned()) {
            tracing::error!(tenant, folder = %self.path.display(), %error, "the journal cannot be written");
        }
    }
}

/// A domain as the name of a folder.
fn folder_name(domain: &str) -> io::Result<&str> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    let fits = domain.bytes().all(safe) && !domain.starts_with('.') && !domain.is_empty();
    fits.then_some(domain).ok_or_else(|| io::Error::other(format!("{domain:?} cannot name a folder")))
}
