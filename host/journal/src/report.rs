//! What a replay found, for people and for programs.

use crate::render;
use plugboard_calls::effect::Effect;
use serde::Serialize;
use std::fmt;

/// Differences that are told in full, in number; more are only counted.
pub const DIFFERENCES_MAX: usize = 1_000;

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Calls that were run from their beginning.
    pub calls: u64,
    /// Requests that no call came of, such as a look at one that nobody knows.
    pub requests_without_call: u64,
    /// Those of both in which something would have gone differently.
    pub calls_different: u64,
    /// Events in which the candidate failed and the recorded version had not.
    pub failures: u64,
    /// Calls of which an event is missing; compared up to there.
    pub calls_interrupted: u64,
    /// Calls that were passed over because they begin before the journal does.
    pub calls_without_beginning: u64,
    /// Events that were compared.
    pub events: u64,
    /// Events that were not, because chance or the host decided what came of them.
    pub events_left_out: u64,
    /// What differs, call by call: `DIFFERENCES_MAX` at most.
    pub differences: Vec<Difference>,
}

/// One event of which something else would have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In which way.
    pub kind: Kind,
    /// The tenant.
    pub domain: String,
    /// The call.
    pub key: String,
    /// The version that was recorded.
    pub version: String,
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// Which event of the call, counted from 1.
    pub number: u64,
    /// The events before it, one line each; the last few.
    pub before: Vec<String>,
    /// The event, in a line.
    pub event: String,
    /// What came of it, in lines.
    pub expected: Vec<String>,
    /// What would have come of it, in lines.
    pub got: Vec<String>,
    /// The effects that were committed.
    pub expected_effects: Vec<Effect>,
    /// The effects that would have been.
    pub got_effects: Vec<Effect>,
    /// What the candidate wanted to know and the journal cannot say; it was told: nothing.
    pub unknown: Vec<String>,
}

/// In which way an event differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Other effects, or the call goes on where it ended, or ends where it went on.
    Effects,
    /// Only the state differs.
    State,
    /// The request would have gone to another call, or been answered outright.
    Elsewhere,
    /// The candidate broke down where the recorded version did not.
    Failed,
    /// The recorded version broke down where the candidate does not.
    Recovered,
}

impl Report {
    /// Whether nothing would have gone differently.
    pub fn is_same(&self) -> bool {
        self.calls_different == 0
    }

    pub(crate) fn add(&mut self, difference: Difference, again: bool) {
        self.calls_different += u64::from(!again);
        self.failures += u64::from(difference.kind == Kind::Failed);
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }

    /// The counts in a line.
    pub fn summary(&self) -> String {
        let mut parts = vec![
            format!("{} calls and {} requests without a call", self.calls, self.requests_without_call),
            format!("{} events compared", self.events),
            format!("{} would have gone differently", self.calls_different),
        ];
        let further = [
            (self.failures, "events failed"),
            (self.calls_interrupted, "calls with a missing event, compared up to there"),
            (self.calls_without_beginning, "calls passed over: their beginning is not in the journal"),
            (self.events_left_out, "events not compared: chance or the host decided them"),
        ];
        parts.extend(further.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        parts.join("; ")
    }

    /// The first differences, each with its call, its event, and what is other; then the counts.
    pub fn text(&self, at_most: usize) -> String {
        let mut text = String::new();
        for difference in self.differences.iter().take(at_most) {
            text.push_str(&format!("{difference}\n"));
        }
        let more = self.differences.len().saturating_sub(at_most);
        if more > 0 {
            text.push_str(&format!("... and {more} differences more\n\n"));
        }
        text.push_str(&self.summary());
        text
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Effects => "something else happens",
            Kind::State => "the state differs",
            Kind::Elsewhere => "the request goes elsewhere",
            Kind::Failed => "the candidate FAILS",
            Kind::Recovered => "the candidate does not fail",
        };
        writeln!(f, "{} {}: {what}", self.domain, self.key)?;
        for event in &self.before {
            writeln!(f, "    {event}")?;
        }
        writeln!(f, "  > {}   (event {} of the call)", self.event, self.number)?;
        for line in render::compared(&self.expected, &self.got) {
            writeln!(f, "      {line}")?;
        }
        for question in &self.unknown {
            writeln!(f, "    the candidate asked {question}; the journal cannot say, so it was told: nothing")?;
        }
        Ok(())
    }
}
