//! What becomes of the calls of a version that new calls do not take any more: they keep it, until a deadline if the
//! operator sets one.

use std::fmt;
use std::time::{Duration, Instant};

/// Calls that a deadline could not move which are named, in number.
pub const NAMED_MAX: usize = 100;

/// What happens to the calls that are left when a version has drained for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long they have.
    pub after: Duration,
    /// What happens then.
    pub then: Then,
}

/// What happens to calls at the deadline of their version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// They keep it.
    Keep,
    /// They move to the live version; what it does not accept keeps the old one and is named.
    Migrate,
    /// They move to the live version; what it does not accept is ended by the host.
    MigrateOrEnd,
    /// The host ends them.
    End,
}

impl Then {
    /// What can be written.
    pub const WORDS: &str = "\"keep\", \"migrate\", \"migrate-or-end\" or \"end\"";

    /// From the word for it.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Keep, Self::Migrate, Self::MigrateOrEnd, Self::End].into_iter().find(|then| then.as_str() == word)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Migrate => "migrate",
            Self::MigrateOrEnd => "migrate-or-end",
            Self::End => "end",
        }
    }

    /// Whether calls are to be moved.
    pub(super) fn moves(self) -> bool {
        matches!(self, Self::Migrate | Self::MigrateOrEnd)
    }

    /// Whether what has not moved is ended.
    pub(super) fn ends(self) -> bool {
        matches!(self, Self::MigrateOrEnd | Self::End)
    }
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The drain of a version that is under way.
#[derive(Clone, Debug)]
pub struct Draining {
    /// When it is over, in milliseconds since the Unix epoch.
    pub deadline_unix_ms: u64,
    /// What happens then.
    pub then: Then,
    /// Calls that were not moved, by key, with the reason; the first of them.
    pub refused: Vec<(String, String)>,
    deadline: Instant,
    done: bool,
}

impl Draining {
    /// Begins now; none when the calls just keep their version.
    pub(super) fn begin(drain: Option<Drain>, now_unix_ms: u64) -> Option<Self> {
        let Drain { after, then } = drain.filter(|drain| drain.then != Then::Keep)?;
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let deadline_unix_ms = now_unix_ms.saturating_add(after_ms);
        Some(Self { deadline_unix_ms, then, refused: Vec::new(), deadline: Instant::now() + after, done: false })
    }

    /// Whether its deadline is over and nothing was done about it yet.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.done && self.deadline <= now
    }

    /// What was to be done is done; calls that stay are named.
    pub(super) fn finish(&mut self, refused: impl IntoIterator<Item = (String, String)>) {
        self.done = true;
        self.refused = refused.into_iter().take(NAMED_MAX).collect();
    }
}
