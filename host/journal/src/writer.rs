//! Takes records without waiting, and writes them on a thread of its own. What it cannot take in time it drops and
//! counts: the calls come first.

use crate::files::{Bounds, Folder};
use crate::line::{Broken, EventLine, FORMAT, Line, Opening, Outcome, State};
use crate::mask;
use crate::queue::{Order, Queue, Taken};
use plugboard_calls::contract::{Event, Header};
use plugboard_calls::effect::Effect;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use plugboard_calls::record::{Record, Settled};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Bytes of bodies and states that wait to be written.
const QUEUE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Calls known to carry a secret, in number. When there are more, no state is described any more.
const SECRETIVE_MAX: usize = 100_000;
/// How often the thread looks at the age of files.
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// The journal of all tenants.
pub struct Journal {
    path: PathBuf,
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
    waiting_bytes: AtomicU64,
}

impl Journal {
    /// A journal in this folder, with a folder for each tenant. `queue_max`: events that wait to be written, in
    /// number.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(path: &Path, bounds: Bounds, queue_max: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::new(queue_max));
        let counters = Arc::new(Counters::default());
        let mut writer = Writer {
            path: path.to_owned(),
            bounds,
            counters: counters.clone(),
            tenants: HashMap::new(),
            secretive: HashSet::new(),
            buffer: Vec::new(),
            complained: false,
        };
        let theirs = queue.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&theirs))?;
        Ok(Self { path: path.to_owned(), queue, counters, thread: Some(thread) })
    }

    /// Takes note of a finished event, or drops it when too many wait. Never blocks on the disk.
    pub fn note(&self, record: Record, settled: Settled) {
        let size = size(&record);
        let waiting = &self.counters.waiting_bytes;
        let room = waiting.fetch_add(size, Ordering::Relaxed) + size <= QUEUE_BYTES_MAX;
        if !room || !self.queue.push((record, settled)) {
            waiting.fetch_sub(size, Ordering::Relaxed);
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
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
    /// Calls that were given a secret.
    secretive: HashSet<(String, String)>,
    /// Room for a line.
    buffer: Vec<u8>,
    complained: bool,
}

struct Files {
    folder: Folder,
    /// What the last opening told.
    opened: Option<(Limits, Arc<GuestSettings>)>,
}

impl Writer {
    fn run(&mut self, queue: &Queue) {
        let mut tidied = Instant::now();
        let mut batch = Vec::new();
        loop {
            match queue.take(&mut batch, TIDY_EVERY) {
                Taken::Work(orders) => {
                    batch.drain(..).for_each(|(record, settled)| self.event(record, settled));
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

    fn event(&mut self, record: Record, settled: Settled) {
        self.counters.waiting_bytes.fetch_sub(size(&record), Ordering::Relaxed);
        let holds = (record.limits.clone(), record.settings.clone());
        let line = self.line(record, settled);
        match self.write(line, holds) {
            Ok(()) => {
                self.counters.written.fetch_add(1, Ordering::Relaxed);
                self.complained = false;
            }
            Err(error) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                self.complain(&error);
            }
        }
    }

    fn line(&mut self, record: Record, settled: Settled) -> EventLine {
        let mut line = event_line(record, settled);
        let call = (line.domain.clone(), line.key.clone());
        if line.begins {
            self.secretive.remove(&call);
        }
        let over = matches!(line.outcome, Outcome::Committed { state: State::Over, .. });
        let has_secret = mask::event_line(&mut line) || self.secretive.contains(&call);
        let full = self.secretive.len() >= SECRETIVE_MAX;
        if has_secret || full {
            mask::state(&mut line);
        }
        if over {
            self.secretive.remove(&call);
        } else if has_secret && !full {
            self.secretive.insert(call);
        }
        line
    }

    fn write(&mut self, line: EventLine, holds: (Limits, Arc<GuestSettings>)) -> io::Result<()> {
        let now = SystemTime::now();
        let files = match self.tenants.entry(line.domain.clone()) {
            std::collections::hash_map::Entry::Occupied(files) => files.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                let folder = Folder::open(&self.path.join(folder_name(&line.domain)?), self.bounds, now)?;
                place.insert(Files { folder, opened: None })
            }
        };
        if files.folder.is_at_beginning() || files.opened.as_ref() != Some(&holds) {
            let (limits, settings) = (holds.0.clone(), (*holds.1).clone());
            let opening = Opening { format: FORMAT, domain: line.domain.clone(), limits, settings };
            files.folder.write(&serde_json::to_vec(&Line::Opening(opening))?, now)?;
            files.opened = Some(holds);
        }
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, &Line::Event(Box::new(line)))?;
        files.folder.write(&self.buffer, now)
    }

    fn flush(&mut self) {
        self.each(|files| files.folder.flush());
        let bytes = self.tenants.values().map(|files| files.folder.bytes()).sum();
        self.counters.bytes.store(bytes, Ordering::Relaxed);
    }

    fn each(&mut self, work: impl Fn(&mut Files) -> io::Result<()>) {
        let failures: Vec<io::Error> = self.tenants.values_mut().filter_map(|files| work(files).err()).collect();
        for error in failures {
            self.complain(&error);
        }
    }

    /// Once, until something can be written again.
    fn complain(&mut self, error: &io::Error) {
        if !self.complained {
            self.complained = true;
            tracing::error!(folder = %self.path.display(), %error, "the journal cannot be written");
        }
    }
}

/// The line of a record, with all that is in it.
pub(crate) fn event_line(record: Record, settled: Settled) -> EventLine {
    let Record {
        tenant,
        limits: _,
        settings: _,
        version,
        number,
        begins,
        context,
        call_id_host,
        agent,
        view,
        event,
        answers,
        outcome,
    } = record;
    let outcome = match (settled, outcome) {
        (Settled::Refused, _) => Outcome::Refused,
        (Settled::Overtaken, _) => Outcome::Overtaken,
        (_, Ok(committed)) => {
            let state = State::of(committed.state());
            Outcome::Committed { effects: committed.into_effects(), state }
        }
        (_, Err(breakdown)) => Outcome::Broken(Broken::from(&breakdown)),
    };
    EventLine {
        unix_ms: context.now_unix_ms,
        domain: tenant.domain.clone(),
        key: context.key.as_str().to_owned(),
        number,
        begins,
        version,
        seed: context.seed,
        principal: context.principal,
        ended_by_host: context.ended_by_host,
        agent,
        call_id_host: call_id_host.to_string(),
        view,
        answers,
        event: Arc::unwrap_or_clone(event),
        outcome,
    }
}

/// A domain as the name of a folder.
fn folder_name(domain: &str) -> io::Result<&str> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    let fits = domain.bytes().all(safe) && !domain.starts_with('.') && !domain.is_empty();
    fits.then_some(domain).ok_or_else(|| io::Error::other(format!("{domain:?} cannot name a folder")))
}

/// What of a record takes room, in bytes.
pub(crate) fn size(record: &Record) -> u64 {
    let event = match &*record.event {
        Event::Http { request, .. } => request.body.len(),
        Event::Request { body, .. } | Event::Ack { body, .. } | Event::Replacement { body, .. } => body.len(),
        Event::Response(response) => response.body.len(),
        Event::Cancel { .. } | Event::Failure { .. } | Event::Timer(_) | Event::Ending(_) => 0,
    };
    let values = record.answers.values.iter().filter_map(|answer| answer.value.as_ref()).map(Vec::len).sum::<usize>();
    let outcome = record.outcome.as_ref().map_or(0, |committed| {
        committed.state().map_or(0, <[u8]>::len) + committed.effects().iter().map(effect_size).sum::<usize>()
    });
    (RECORD_BYTES + event + values + outcome) as u64
}

fn effect_size(effect: &Effect) -> usize {
    let fields = |headers: &[Header]| headers.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>();
    match effect {
        Effect::Call { invite, .. } => invite.body.len() + fields(&invite.headers),
        Effect::Request { headers, body, .. }
        | Effect::Ack { headers, body, .. }
        | Effect::Respond { headers, body, .. } => body.len() + fields(headers),
        Effect::HttpRespond { response, .. } => response.body.len() + fields(&response.headers),
        Effect::CachePut { value, .. } => value.len(),
        _ => 0,
    }
}

/// What a record takes besides, roughly.
const RECORD_BYTES: usize = 2_048;
