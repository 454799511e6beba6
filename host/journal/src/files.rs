//! The files of one tenant's journal: named by the time of their first line, one after the other, the oldest removed
//! when there are too many bytes or too much time has passed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the journal of one tenant may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all its files.
    pub bytes_max: u64,
    /// How long a line is kept at least unless bytes run out; an eighth more at most.
    pub keep: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024, keep: Duration::from_secs(7 * 24 * 3_600) }
    }
}

/// Files that a full journal consists of, in number; one more is being written.
const FILES: u64 = 16;

/// The folder of one tenant's journal.
pub struct Folder {
    path: PathBuf,
    bounds: Bounds,
    current: Option<Current>,
    last_name: u64,
    closed_bytes: u64,
    tally: Tally,
}

struct Current {
    path: PathBuf,
    file: File,
    /// Bytes that the system has.
    written: u64,
    since: SystemTime,
    unwritten: Vec<u8>,
    /// Events in `unwritten`, in number.
    waiting: u64,
}

impl Current {
    fn bytes(&self) -> u64 {
        self.written + self.unwritten.len() as u64
    }
}

/// What became of events, in number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The system has them.
    pub written: u64,
    /// It would not take them.
    pub failed: u64,
}

impl Folder {
    /// Opens it; makes it if it is not there. Only its owner can read what is in it.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn open(path: &Path, bounds: Bounds, now: SystemTime) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let last_name = list(path)?.last().and_then(|file| number(file)).unwrap_or_default();
        let tally = Tally::default();
        let mut folder = Self { path: path.to_owned(), bounds, current: None, last_name, closed_bytes: 0, tally };
        folder.prune(now)?;
        Ok(folder)
    }

    /// Keeps within these bounds from now on.
    ///
    /// # Errors
    /// When what is too much cannot be removed.
    pub fn bound(&mut self, bounds: Bounds, now: SystemTime) -> Result<()> {
        self.bounds = bounds;
        self.prune(now)
    }

    /// Whether the next line begins a file, which must then be an opening.
    pub fn is_at_beginning(&self) -> bool {
        self.current.is_none()
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.closed_bytes + self.current.as_ref().map_or(0, Current::bytes)
    }

    /// What became of the events since it was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Counts an event that there is no line of.
    pub(crate) fn fail(&mut self) {
        self.tally.failed += 1;
    }

    /// Adds the line of an event, behind the opening that it needs; both without the line break, and both in one file.
    /// They are on their way to the disk after [`Self::flush`].
    ///
    /// # Errors
    /// When they cannot be written; see [`Self::flush`].
    pub fn write(&mut self, opening: Option<&[u8]>, line: &[u8], now: SystemTime) -> Result<()> {
        const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;
        let current = match &mut self.current {
            Some(current) => current,
            None => {
                let created = create(&self.path, self.last_name, now).inspect_err(|_| self.tally.failed += 1);
                let (path, file, number) = created?;
                self.last_name = number;
                let unwritten = Vec::new();
                self.current.insert(Current { path, file, written: 0, since: now, unwritten, waiting: 0 })
            }
        };
        for line in opening.into_iter().chain([line]) {
            current.unwritten.extend_from_slice(line);
            current.unwritten.push(b'\n');
        }
        current.waiting += 1;
        let full = current.bytes() >= self.bounds.bytes_max / FILES;
        if full || current.unwritten.len() > UNWRITTEN_BYTES_MAX {
            self.flush()?;
        }
        if full {
            self.close(now)?;
        }
        Ok(())
    }

    /// Hands to the system what was written.
    ///
    /// # Errors
    /// When it cannot be written: what waited is lost, the file ends where it ended before, and the next event begins
    /// another.
    pub fn flush(&mut self) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let waiting = std::mem::take(&mut current.waiting);
        let flushed = current.file.write_all(&current.unwritten);
        if flushed.is_ok() {
            self.tally.written += waiting;
            current.written = current.bytes();
            current.unwritten.clear();
        } else {
            self.tally.failed += waiting;
            self.give_up();
        }
        flushed
    }

    /// Ends the current file before the lines that only some of are in it; one without any goes.
    fn give_up(&mut self) {
        let Some(Current { path, file, written, .. }) = self.current.take() else { return };
        let cut = if written == 0 { std::fs::remove_file(path) } else { file.set_len(written) };
        if let Err(error) = cut {
            tracing::debug!(%error, "the end of a journal file stays as it is"); // a reader stops there
        }
        self.closed_bytes += written;
    }

    /// What the passing of time asks for: a file that has been open for long is closed, one that is too old removed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tidy(&mut self, now: SystemTime) -> Result<()> {
        let since = self.current.as_ref().map(|current| current.since);
        let open_long = since.is_some_and(|since| age(since, now) > self.bounds.keep / 8);
        if open_long { self.close(now) } else { self.prune(now) }
    }

    fn close(&mut self, now: SystemTime) -> Result<()> {
        self.flush()?;
        self.current = None;
        self.prune(now)
    }

    /// Removes the oldest closed files until what is left is within its bounds, the next file included.
    fn prune(&mut self, now: SystemTime) -> Result<()> {
        let mut files = list(&self.path)?;
        if self.current.is_some() {
            files.pop();
        }
        let sizes: Vec<u64> = files.iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).collect();
        let mut total: u64 = sizes.iter().sum();
        let room = self.bounds.bytes_max - self.bounds.bytes_max / FILES;
        for (file, size) in files.iter().zip(sizes) {
            let written = file.metadata().and_then(|meta| meta.modified()).unwrap_or(now);
            if total <= room && age(written, now) <= self.bounds.keep {
                break;
            }
            std::fs::remove_file(file)?;
            total -= size;
        }
        self.closed_bytes = total;
        Ok(())
    }
}

/// The files of a journal folder in the order in which they were written.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if number(&path).is_some() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A file is named by a number of 16 digits: milliseconds since the Unix epoch, or one more than the file before.
fn number(file: &Path) -> Option<u64> {
    let name = file.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    (name.len() == 16).then(|| name.parse().ok()).flatten()
}

fn create(folder: &Path, last: u64, now: SystemTime) -> Result<(PathBuf, File, u64)> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let number = u64::try_from(now).unwrap_or_default().max(last + 1);
    let path = folder.join(format!("{number:016}.jsonl"));
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
    Ok((path, file, number))
}

fn age(then: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes_max: 16 * 100, keep: Duration::from_secs(80) };

    #[test]
    fn the_oldest_goes_when_bytes_run_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("made");
        for n in 0..1_000 {
            folder.write(None, format!("{n:049}").as_bytes(), now).expect("written");
        }
        folder.flush().expect("written");
        let files = list(dir.path()).expect("readable");
        let size = |file: &PathBuf| file.metadata().expect("there").len();
        assert!(files.iter().map(size).sum::<u64>() <= BOUNDS.bytes_max && files.len() >= 14, "{files:?}");
        assert_eq!(folder.bytes(), files.iter().map(size).sum::<u64>());
        let last = std::fs::read_to_string(files.last().expect("one")).expect("text");
        assert!(last.ends_with("999\n"), "{last}");
        folder.bound(Bounds { bytes_max: BOUNDS.bytes_max / 2, ..BOUNDS }, now).expect("pruned");
        assert!(folder.bytes() <= BOUNDS.bytes_max / 2 && folder.bytes() > 0, "{}", folder.bytes());
    }

    #[test]
    fn what_is_too_old_goes_and_a_restart_begins_another_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("made");
        folder.write(None, b"one", now).expect("written");
        folder.tidy(now + Duration::from_secs(11)).expect("closed");
        assert!(folder.is_at_beginning());
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("opened");
        folder.write(None, b"two", now).expect("written");
        folder.flush().expect("written");
        assert_eq!(list(dir.path()).expect("readable").len(), 2);
        folder.tidy(now + Duration::from_secs(1_000)).expect("closed");
        assert_eq!(list(dir.path()).expect("readable").len(), 0);
    }

    #[test]
    fn what_the_disk_refuses_is_counted_and_leaves_no_file_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("made");
        folder.write(Some(b"opening"), b"one", now).expect("taken");
        let full = OpenOptions::new().write(true).open("/dev/full").expect("a disk that is full");
        folder.current.as_mut().expect("begun").file = full;
        folder.write(None, b"two", now).expect("taken");
        assert_eq!(folder.take_tally(), Tally::default());
        folder.flush().expect_err("refused");
        assert_eq!(folder.take_tally(), Tally { written: 0, failed: 2 });
        assert!(folder.is_at_beginning() && list(dir.path()).expect("readable").is_empty());
        folder.write(Some(b"opening"), b"three", now).expect("taken");
        folder.flush().expect("written");
        assert_eq!(folder.take_tally(), Tally { written: 1, failed: 0 });
        assert_eq!(folder.bytes(), "opening\nthree\n".len() as u64);
    }

    #[test]
    fn an_opening_and_what_it_opens_are_in_one_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("made");
        folder.write(Some(&[b'o'; 200]), b"one", now).expect("written");
        let files = list(dir.path()).expect("readable");
        let text = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect::<Vec<_>>();
        assert!(matches!(&text[..], [one] if one.ends_with("\none\n")), "{text:?}");
    }

    #[test]
    fn nobody_else_can_read_it_and_other_files_are_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal");
        let now = SystemTime::now();
        let mut folder = Folder::open(&path, BOUNDS, now).expect("made");
        folder.write(None, b"one", now).expect("written");
        std::fs::write(path.join("notes.txt"), "mine").expect("written");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&list(&path).expect("readable")[0])), (0o700, 0o600));
        folder.tidy(now + Duration::from_secs(1_000)).expect("pruned");
        assert!(path.join("notes.txt").exists());
    }
}
