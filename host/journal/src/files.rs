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
}

struct Current {
    file: File,
    bytes: u64,
    since: SystemTime,
    unwritten: Vec<u8>,
}

impl Folder {
    /// Opens it; makes it if it is not there. Only its owner can read what is in it.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn open(path: &Path, bounds: Bounds, now: SystemTime) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let mut folder = Self { path: path.to_owned(), bounds, current: None, last_name: 0, closed_bytes: 0 };
        folder.last_name = list(path)?.last().and_then(|file| number(file)).unwrap_or_default();
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
        self.closed_bytes + self.current.as_ref().map_or(0, |current| current.bytes)
    }

    /// Adds a line, without the line break. It is on its way to the disk after [`Self::flush`].
    ///
    /// # Errors
    /// When it cannot be written; the file is given up and the next line begins another.
    pub fn write(&mut self, line: &[u8], now: SystemTime) -> Result<()> {
        const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;
        let current = match &mut self.current {
            Some(current) => current,
            None => {
                let (file, number) = create(&self.path, self.last_name, now)?;
                self.last_name = number;
                self.current.insert(Current { file, bytes: 0, since: now, unwritten: Vec::new() })
            }
        };
        current.unwritten.extend_from_slice(line);
        current.unwritten.push(b'\n');
        current.bytes += line.len() as u64 + 1;
        let full = current.bytes >= self.bounds.bytes_max / FILES;
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
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let written = current.file.write_all(&current.unwritten);
        current.unwritten.clear();
        if written.is_err() {
            self.closed_bytes += current.bytes;
            self.current = None;
        }
        written
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

fn create(folder: &Path, last: u64, now: SystemTime) -> Result<(File, u64)> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let number = u64::try_from(now).unwrap_or_default().max(last + 1);
    let path = folder.join(format!("{number:016}.jsonl"));
    Ok((OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?, number))
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
            folder.write(format!("{n:049}").as_bytes(), now).expect("written");
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
        folder.write(b"one", now).expect("written");
        folder.tidy(now + Duration::from_secs(11)).expect("closed");
        assert!(folder.is_at_beginning());
        let mut folder = Folder::open(dir.path(), BOUNDS, now).expect("opened");
        folder.write(b"two", now).expect("written");
        folder.flush().expect("written");
        assert_eq!(list(dir.path()).expect("readable").len(), 2);
        folder.tidy(now + Duration::from_secs(1_000)).expect("closed");
        assert_eq!(list(dir.path()).expect("readable").len(), 0);
    }

    #[test]
    fn nobody_else_can_read_it_and_other_files_are_left_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal");
        let now = SystemTime::now();
        let mut folder = Folder::open(&path, BOUNDS, now).expect("made");
        folder.write(b"one", now).expect("written");
        std::fs::write(path.join("notes.txt"), "mine").expect("written");
        let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&list(&path).expect("readable")[0])), (0o700, 0o600));
        folder.tidy(now + Duration::from_secs(1_000)).expect("pruned");
        assert!(path.join("notes.txt").exists());
    }
}
