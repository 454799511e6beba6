//! Lines on their way out. A write for each would be a good part of what a request costs, and whoever reads the log
//! slowly would hold up the request; so what is said of every request gathers for a moment and is written together, by a
//! thread of its own. All else, and what warns of something, is written at once, with all that came before it.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line waits for others.
const COLLECT: Duration = Duration::from_millis(50);
/// Bytes of lines that wait; when there are more, whoever adds one writes them.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Who says something of every request.
const GATHERED: [&str; 2] = ["plugboard_server::api", "guest"];

/// Lines for `W`, in their order.
pub(super) struct Lines<W> {
    waiting: Mutex<Waiting>,
    first: Condvar,
    /// Where lines go, and the room of those that are just being written.
    out: Mutex<(W, Vec<u8>)>,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The thread that writes waits for the first line.
    idle: bool,
}

impl<W: Write> Lines<W> {
    pub fn new(out: W) -> Self {
        Self { waiting: Mutex::default(), first: Condvar::new(), out: Mutex::new((out, Vec::new())) }
    }

    /// Writes what waits. What cannot be written is lost: there is nowhere to tell of it.
    pub fn flush(&self) {
        let (out, lines) = &mut *lock(&self.out);
        std::mem::swap(lines, &mut lock(&self.waiting).lines);
        let _ = out.write_all(lines).and_then(|()| out.flush());
        lines.clear();
    }

    /// Writes what others add, for ever.
    pub fn write(&self) {
        loop {
            let mut waiting = lock(&self.waiting);
            while waiting.lines.is_empty() {
                waiting.idle = true;
                waiting = self.first.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.idle = false;
            drop(waiting);
            std::thread::sleep(COLLECT);
            self.flush();
        }
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut waiting = lock(&self.waiting);
        waiting.lines.extend_from_slice(line);
        if at_once || waiting.lines.len() > WAITING_BYTES_MAX {
            drop(waiting);
            self.flush();
        } else if std::mem::take(&mut waiting.idle) {
            self.first.notify_one();
        }
    }
}

/// Where events are written to.
pub(super) struct Out<W> {
    pub lines: Arc<Lines<W>>,
    /// No line waits, whatever it says.
    pub at_once: bool,
}

/// Where one event is written to.
pub(super) struct Line<'l, W> {
    lines: &'l Lines<W>,
    at_once: bool,
}

impl<W: Write> Write for Line<'_, W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.at_once);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'l, W: Write + 'l> MakeWriter<'l> for Out<W> {
    type Writer = Line<'l, W>;

    fn make_writer(&'l self) -> Self::Writer {
        Line { lines: &self.lines, at_once: true }
    }

    fn make_writer_for(&'l self, of: &Metadata<'_>) -> Self::Writer {
        let waits = *of.level() > Level::WARN && GATHERED.contains(&of.target());
        Line { lines: &self.lines, at_once: self.at_once || !waits }
    }
}

/// A panic elsewhere leaves the lines whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(20);

    /// Tells of each write.
    struct Told(Sender<String>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> (Lines<Told>, Receiver<String>) {
        let (sender, receiver) = channel();
        (Lines::new(Told(sender)), receiver)
    }

    #[test]
    fn lines_are_written_together_and_in_order() {
        let (lines, written) = lines();
        lines.add(b"one\n", false);
        lines.add(b"two\n", false);
        assert!(written.try_recv().is_err());
        lines.add(b"a warning\n", true);
        assert_eq!(written.try_recv().as_deref(), Ok("one\ntwo\na warning\n"));
        lines.add(b"three\n", false);
        lines.flush();
        assert_eq!(written.try_recv().as_deref(), Ok("three\n"));
    }

    #[test]
    fn there_is_a_bound_to_what_waits() {
        let (lines, written) = lines();
        lines.add(&vec![b'x'; WAITING_BYTES_MAX], false);
        assert!(written.try_recv().is_err());
        lines.add(b"\n", false);
        assert!(written.try_recv().is_ok());
    }

    #[test]
    fn a_line_does_not_wait_for_long() {
        let (lines, written) = lines();
        let (lines, theirs) = {
            let lines = Arc::new(lines);
            (lines.clone(), lines)
        };
        std::thread::spawn(move || theirs.write());
        for line in ["one\n", "two\n"] {
            while !lock(&lines.waiting).idle {
                std::thread::yield_now();
            }
            lines.add(b"a warning, while nothing waits\n", true);
            assert_eq!(written.recv_timeout(LONG).as_deref(), Ok("a warning, while nothing waits\n"));
            lines.add(line.as_bytes(), false);
            assert_eq!(written.recv_timeout(LONG).as_deref(), Ok(line));
        }
    }

    #[test]
    fn only_what_is_said_of_every_request_waits() {
        let waits = |say: fn()| {
            let (lines, written) = lines();
            let out = Out { lines: Arc::new(lines), at_once: false };
            tracing::subscriber::with_default(tracing_subscriber::fmt().with_writer(out).finish(), say);
            written.try_recv().is_err()
        };
        assert!(waits(|| tracing::info!(target: "guest", "the call is up")));
        assert!(waits(|| tracing::info!(target: GATHERED[0], "answered")));
        assert!(!waits(|| tracing::warn!(target: "guest", "something is wrong")));
        assert!(!waits(|| tracing::info!("deployed")));
    }
}
