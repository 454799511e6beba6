//! From a record to the line that is written of it. That is done where the event ran: what is recorded is at hand there,
//! and is lent. Only the bytes of the line go to the writer.
//!
//! A line is drafted before the event is committed, which takes apart what came of it, and says last what became of that:
//! the commit can still change it.

use crate::json;
use crate::line::{Broken, EventLine, Head, Outcome, State};
use crate::mask;
use plugboard_calls::contract::{Event, Header};
use plugboard_calls::effect::Effect;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use plugboard_calls::record::{Record, Settled};
use plugboard_calls::tenant::Tenant;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Calls known to carry a secret, in number. When there are more, no state is described any more.
const SECRETIVE_MAX: usize = 100_000;
/// Room for the line of an ordinary event, in bytes.
const LINE_BYTES: usize = 2_048;
/// Room that a thread keeps for its next line at most, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1_024;

thread_local! {
    /// The room of the last line, for the next: a thread queues one before it drafts another.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives back the room of a line that is queued.
pub(crate) fn give_back(mut line: Vec<u8>) {
    if line.capacity() <= KEPT_BYTES_MAX {
        line.clear();
        ROOM.set(line);
    }
}

/// What a line is written for.
pub(crate) struct Note {
    pub tenant: Arc<Tenant>,
    /// The version of call logic that handled the event.
    pub version: Arc<str>,
    pub holds: Holds,
}

impl PartialEq for Note {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tenant, &other.tenant) && self.version == other.version && self.holds == other.holds
    }
}

/// What holds for the lines of a version, and is told by an opening before them.
#[derive(Clone, PartialEq)]
pub(crate) struct Holds {
    pub limits: Arc<Limits>,
    pub settings: Arc<GuestSettings>,
}

/// The line of an event that is not settled yet.
pub struct Draft {
    note: Note,
    /// As it is when the event happens: JSON, masked, without an end.
    line: Vec<u8>,
    /// Where in the line it begins what came of the event.
    outcome: usize,
    /// The call, when it was given a secret and is over with this event.
    ends: Option<Call>,
}

/// A call: tenant and key.
type Call = (Arc<str>, String);

/// Makes notes, and knows which calls were given a secret.
#[derive(Default)]
pub(crate) struct Notes {
    secretive: Mutex<HashSet<Call>>,
}

impl Notes {
    /// The line of a finished event. Those of one call must be made in their order.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn draft(&self, mut record: Record<'_>) -> Result<Draft, serde_json::Error> {
        let mut line = ROOM.take();
        line.reserve(LINE_BYTES);
        let mut outcome = write_stateless(&mut line, &record)?;
        let has_secret = mask::may_name_secret(&line, &record.event) && mask::record(&mut record);
        if has_secret {
            line.clear();
            outcome = write_stateless(&mut line, &record)?;
        }
        let withheld = self.is_given_secret(&record, has_secret);
        let mut ends = None;
        if let Ok(committed) = &record.outcome {
            let state = match committed.state() {
                Some(_) if withheld => State::Withheld,
                state => State::of(state),
            };
            json::write(&mut line, &state)?;
            line.extend_from_slice(b"}}");
            ends = (withheld && state == State::Over).then(|| call(&record));
        }
        line.push(b'}');
        let Record { tenant, version, limits, settings, .. } = record;
        Ok(Draft { note: Note { tenant, version, holds: Holds { limits, settings } }, line, outcome, ends })
    }

    /// The note and the line of an event that is settled now.
    pub fn settle(&self, draft: Draft, settled: Settled) -> Result<(Note, Vec<u8>), serde_json::Error> {
        let Draft { note, mut line, outcome, ends } = draft;
        let other = match settled {
            Settled::Committed | Settled::Broken => None,
            Settled::Refused => Some(Outcome::Refused),
            Settled::Overtaken => Some(Outcome::Overtaken),
        };
        match (other, ends) {
            (None, None) => {}
            (None, Some(call)) => {
                self.secretive.lock().unwrap_or_else(PoisonError::into_inner).remove(&call);
            }
            (Some(other), _) => {
                line.truncate(outcome);
                json::write(&mut line, &other)?;
                line.push(b'}');
            }
        }
        Ok((note, line))
    }

    /// Whether the call of an event was given a secret by now.
    fn is_given_secret(&self, record: &Record<'_>, has_secret: bool) -> bool {
        // The guarded code cannot panic halfway.
        let mut secretive = self.secretive.lock().unwrap_or_else(PoisonError::into_inner);
        if !has_secret && secretive.is_empty() {
            return false;
        }
        let call = call(record);
        if record.begins {
            secretive.remove(&call);
        }
        let has_secret = has_secret || secretive.contains(&call);
        let full = secretive.len() >= SECRETIVE_MAX;
        if has_secret && !full {
            secretive.insert(call);
        }
        has_secret || full
    }
}

fn call(record: &Record<'_>) -> Call {
    (record.tenant.domain.clone(), record.context.key.as_str().to_owned())
}

/// Writes a line but for the state that the event left, and for the end. Where in it begins what came of the event.
fn write_stateless(line: &mut Vec<u8>, record: &Record<'_>) -> Result<usize, serde_json::Error> {
    json::write(line, &Head::of(record))?;
    line.pop(); // its closing brace: there is one member more
    line.extend_from_slice(b",\"outcome\":");
    let outcome = line.len();
    match &record.outcome {
        Ok(committed) => {
            line.extend_from_slice(b"{\"committed\":{\"effects\":");
            json::write(line, committed.effects())?;
            line.extend_from_slice(b",\"state\":");
        }
        Err(breakdown) => json::write(line, &Outcome::Broken(Broken::from(&**breakdown)))?,
    }
    Ok(outcome)
}

/// The line of a record, with all that is in it.
pub(crate) fn event_line(record: Record<'_>, settled: Settled) -> EventLine {
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
            Outcome::Committed { effects: committed.into_owned().into_effects(), state }
        }
        (_, Err(breakdown)) => Outcome::Broken(Broken::from(&*breakdown)),
    };
    let context = context.into_owned();
    EventLine {
        unix_ms: context.now_unix_ms,
        domain: tenant.domain.to_string(),
        key: context.key.as_str().to_owned(),
        number,
        begins,
        version: version.to_string(),
        seed: context.seed,
        principal: context.principal,
        ended_by_host: context.ended_by_host,
        agent: agent.map(|agent| agent.to_string()),
        call_id_host: call_id_host.to_string(),
        view: view.into_owned(),
        answers: answers.into_owned(),
        event: Arc::unwrap_or_clone(event),
        outcome,
    }
}

/// What of a record takes room, in bytes.
pub(crate) fn size(record: &Record<'_>) -> u64 {
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
