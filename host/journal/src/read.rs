//! Reads journals back.

use crate::files::list;
use crate::line::{EventLine, FORMAT, Line, Outcome, State};
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A recorded event with what held for it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The limits of its tenant at the time.
    pub limits: Arc<Limits>,
    /// Its settings at the time.
    pub settings: Arc<GuestSettings>,
    /// It.
    pub line: EventLine,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system does not give it.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no journal where one should be.
    #[error("{} holds no journal: name a file of JSON lines, or a folder of them", path.display())]
    Nothing {
        /// Where.
        path: PathBuf,
    },
    /// A line is none of a journal, or of one that a newer Plugboard wrote.
    #[error("{}:{line}: {why}", path.display())]
    Line {
        /// Where.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The files that a path means: itself, or those in it, or those of each tenant in it; oldest first.
///
/// # Errors
/// When there are none.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(io)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = list(path).map_err(io)?;
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(path).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        found.extend(list(folder).map_err(io)?);
    }
    if found.is_empty() { Err(ReadError::Nothing { path: path.to_owned() }) } else { Ok(found) }
}

/// The events of one file in their order. A last line without its end was cut off by a crash and is left out.
///
/// # Errors
/// With the first line that cannot be read.
pub fn events(path: &Path) -> Result<Vec<Recorded>, ReadError> {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    read.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut opened = HashMap::new();
    let mut events = Vec::new();
    for (n, line) in text[..whole].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let wrong = |why: String| ReadError::Line { path: path.to_owned(), line: n + 1, why };
        match serde_json::from_slice(line).map_err(|error| wrong(error.to_string()))? {
            Line::Opening(opening) if (1..=FORMAT).contains(&opening.format) => {
                opened.insert(opening.version, (Arc::new(opening.limits), Arc::new(opening.settings)));
            }
            Line::Opening(opening) => {
                return Err(wrong(format!("format {}, and this program knows 1 to {FORMAT}", opening.format)));
            }
            Line::Event(line) => {
                let holds = opened.get(&Some(line.version.clone())).or_else(|| opened.get(&None));
                let holds = holds.cloned().ok_or_else(|| wrong("an event before any opening".to_owned()))?;
                let (limits, settings) = holds;
                events.push(Recorded { limits, settings, line: *line });
            }
        }
    }
    Ok(events)
}

/// The events of the last calls of one tenant, from the beginning of the first of them on. There may be events of older
/// calls in between.
///
/// # Errors
/// As [`events`]; a folder that does not exist holds no calls.
pub fn last_calls(folder: &Path, calls: usize) -> Result<Vec<Recorded>, ReadError> {
    let files = match list(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(ReadError::Io { path: folder.to_owned(), source });
        }
        files => files.unwrap_or_default(),
    };
    let mut newest_first: Vec<Recorded> = Vec::new();
    let mut begun = 0;
    for file in files.iter().rev() {
        for recorded in events(file)?.into_iter().rev() {
            begun += usize::from(comes_up(&recorded.line));
            newest_first.push(recorded);
            if begun >= calls {
                newest_first.reverse();
                return Ok(newest_first);
            }
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

/// Whether a call begins with this event; a question about a call that nobody knows begins none.
pub(crate) fn comes_up(line: &EventLine) -> bool {
    line.begins && matches!(&line.outcome, Outcome::Committed { state, .. } if *state != State::Over)
}
