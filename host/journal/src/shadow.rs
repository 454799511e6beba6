//! Compares what came of a live event with what other call logic makes of it: with the event, the view and the answers of
//! the live one, and a copy of the state that the call had before. What the candidate would have done is thrown away.
//!
//! Each event is compared for itself, so a difference does not make those that follow worthless. What the candidate
//! wants to know and the live version did not is asked of the tenant, after the event. What it writes to the cache
//! nobody sees, not even itself.

use crate::line::{EventLine, Outcome};
use crate::mask;
use crate::note::{event_line, size};
use crate::read::Recorded;
use crate::replay::{Comparison, Options, Running};
use crate::report::Difference;
use crate::rerun::World;
use plugboard_calls::contract::CallKey;
use plugboard_calls::logic::Logic;
use plugboard_calls::record::{Record, Settled};

/// A live event that has run.
pub struct Seen {
    /// The event and what came of it.
    pub record: Record<'static>,
    /// The state that the call had before.
    pub state: Option<Vec<u8>>,
    /// The schema of that state.
    pub schema: u32,
}

impl Seen {
    /// What of it takes room, roughly, in bytes.
    pub fn bytes(&self) -> u64 {
        size(&self.record) + self.state.as_ref().map_or(0, Vec::len) as u64
    }
}

/// What a comparison found.
#[derive(Debug)]
pub enum Compared {
    /// The candidate does the same.
    Same,
    /// It does something else, or fails.
    Differs(Box<Difference>),
    /// Chance decided what came of the event; it was not compared.
    LeftOut,
    /// The candidate does not take over the state; why, in a line. The event was not compared.
    Refused(String),
}

/// Runs the event through the candidate and compares. Takes as long as the candidate takes, within its deadline. A state
/// of another schema goes through the candidate's `migrate` first.
pub fn compare(candidate: &dyn Logic, seen: Seen) -> Compared {
    let Seen { record, state, schema } = seen;
    let (tenant, limits, settings) = (record.tenant.clone(), record.limits.clone(), record.settings.clone());
    let settled = if record.outcome.is_ok() { Settled::Committed } else { Settled::Broken };
    let recorded = Recorded { limits, settings, line: event_line(record, settled) };
    if matches!(&recorded.line.outcome, Outcome::Broken(broken) if broken.is_by_chance()) {
        return Compared::LeftOut;
    }
    let Some(key) = CallKey::new(recorded.line.key.clone()) else { return Compared::LeftOut };
    let state = match state {
        Some(state) if schema != candidate.description().state_schema => match candidate.migrate(schema, &state) {
            Ok(state) => Some(state),
            Err(breakdown) => return Compared::Refused(breakdown.to_string()),
        },
        state => state,
    };
    let (world, told) = (World::beside(tenant), told(&recorded.line));
    let comparison = Comparison { candidate, options: Options::default(), world: &world };
    match comparison.event(&recorded, &told, &key, &mut Running::before(&told, state)) {
        None => Compared::Same,
        Some(difference) => Compared::Differs(Box::new(difference)),
    }
}

/// The event without what nobody may be told.
fn told(line: &EventLine) -> EventLine {
    let mut line = line.clone();
    mask::event_line(&mut line);
    line
}
