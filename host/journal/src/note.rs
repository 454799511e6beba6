//! From a record to the line that is written of it. That is done where the event ran: what is recorded is at hand there,
//! and is given back to the allocator by the thread that got it. Only the bytes of the line go to the writer.

use crate::line::{Broken, EventLine, Line, Outcome, State};
use crate::mask;
use plugboard_calls::contract::{Event, Header};
use plugboard_calls::effect::Effect;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use plugboard_calls::record::{Record, Settled};
use plugboard_calls::tenant::Tenant;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Calls known to carry a secret, in number. When there are more, no state is described any more.
const SECRETIVE_MAX: usize = 100_000;
/// Room for the line of an ordinary event, in bytes.
const LINE_BYTES: usize = 2_048;

/// What a line is written for.
pub(crate) struct Note {
    pub tenant: Arc<Tenant>,
    /// The version of call logic that handled the event.
    pub version: String,
    pub holds: Holds,
}

/// What holds for the lines of a version, and is told by an opening before them.
#[derive(PartialEq)]
pub(crate) struct Holds {
    pub limits: Limits,
    pub settings: Arc<GuestSettings>,
}

/// Makes notes, and knows which calls were given a secret.
#[derive(Default)]
pub(crate) struct Notes {
    /// By tenant and key.
    secretive: Mutex<HashSet<(String, String)>>,
}

impl Notes {
    /// The note of a finished event, and its line: JSON, masked, without an end. Those of one call must be made in their
    /// order.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn make(&self, record: Record, settled: Settled) -> serde_json::Result<(Note, Vec<u8>)> {
        let tenant = record.tenant.clone();
        let holds = Holds { limits: record.limits.clone(), settings: record.settings.clone() };
        let mut line = event_line(record, settled);
        let version = line.version.clone();
        if self.is_given_secret(&mut line) {
            mask::state(&mut line);
        }
        let mut bytes = Vec::with_capacity(LINE_BYTES);
        serde_json::to_writer(&mut bytes, &Line::Event(Box::new(line)))?;
        Ok((Note { tenant, version, holds }, bytes))
    }

    /// Masks the event, and says whether its call was given a secret by now.
    fn is_given_secret(&self, line: &mut EventLine) -> bool {
        let has_secret = mask::event_line(line);
        // The guarded code cannot panic halfway.
        let mut secretive = self.secretive.lock().unwrap_or_else(PoisonError::into_inner);
        if !has_secret && secretive.is_empty() {
            return false;
        }
        let call = (line.domain.clone(), line.key.clone());
        if line.begins {
            secretive.remove(&call);
        }
        let has_secret = has_secret || secretive.contains(&call);
        let full = secretive.len() >= SECRETIVE_MAX;
        if matches!(line.outcome, Outcome::Committed { state: State::Over, .. }) {
            secretive.remove(&call);
        } else if has_secret && !full {
            secretive.insert(call);
        }
        has_secret || full
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
        version: version.to_string(),
        seed: context.seed,
        principal: context.principal,
        ended_by_host: context.ended_by_host,
        agent: agent.map(|agent| agent.to_string()),
        call_id_host: call_id_host.to_string(),
        view,
        answers,
        event: Arc::unwrap_or_clone(event),
        outcome,
    }
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
