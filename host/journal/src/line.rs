//! What a line of the journal says. Each is a JSON object whose member `line` names its kind:
//!
//! - `opening`, before the first event of a version in each file, and again whenever it changes: the tenant, its limits,
//!   and what that version is told;
//! - `event`: one finished event of one call.
//!
//! ```sh
//! jq -c 'select(.line == "event") | [.key, .event, .outcome.committed.effects]' plugboard-data/journal/example.com/*
//! ```
//!
//! A body or cached value that is no UTF-8 is written as `{"base64": "..."}`. What is empty, false or none in an event or
//! effect is left out.

use plugboard_calls::contract::{EndingReason, Event, Principal};
use plugboard_calls::effect::Effect;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use plugboard_calls::logic::Breakdown;
use plugboard_calls::record::Record;
use plugboard_calls::stage::{Answers, View};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// The version of this format. Lines of 1 say what is empty, too, and are read like those of 2.
pub const FORMAT: u32 = 2;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// What holds for the lines of its version that follow.
    Opening(Opening),
    /// One event.
    Event(Box<EventLine>),
}

/// What holds for the lines of its version that follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// [`FORMAT`].
    pub format: u32,
    /// The tenant.
    pub domain: String,
    /// The version of call logic; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The tenant's limits.
    pub limits: Limits,
    /// What its call logic was told.
    #[serde(default, skip_serializing_if = "GuestSettings::is_empty")]
    pub settings: GuestSettings,
}

/// One finished event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventLine {
    /// The event's time, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// The tenant.
    pub domain: String,
    /// The call.
    pub key: String,
    /// Counts the events of a call without a gap; begins anywhere.
    pub number: u64,
    /// The call had no state before: it begins here.
    pub begins: bool,
    /// The version of call logic that handled it.
    pub version: String,
    /// The event's chance. In hexadecimal: JSON readers lose digits of numbers this large.
    #[serde(with = "hexadecimal")]
    pub seed: u64,
    /// Who caused it.
    pub principal: Principal,
    /// Why the host had ended the call before, if it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by_host: Option<EndingReason>,
    /// The user that the call was bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// What stands behind the `@` of Call-IDs.
    pub call_id_host: String,
    /// What the event could refer to.
    pub view: View,
    /// What the guest was told from outside the event.
    #[serde(default, skip_serializing_if = "Answers::is_empty")]
    pub answers: Answers,
    /// What happened.
    pub event: Event,
    /// What came of it.
    pub outcome: Outcome,
}

/// An [`EventLine`] as it is written, up to what came of the event: lent by the event.
#[derive(Serialize)]
pub(crate) struct Head<'a> {
    pub line: &'static str,
    pub unix_ms: u64,
    pub domain: &'a str,
    pub key: &'a str,
    pub number: u64,
    pub begins: bool,
    pub version: &'a str,
    #[serde(with = "hexadecimal")]
    pub seed: u64,
    pub principal: &'a Principal,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by_host: Option<EndingReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<&'a str>,
    pub call_id_host: &'a str,
    pub view: &'a View,
    #[serde(skip_serializing_if = "Answers::is_empty")]
    pub answers: &'a Answers,
    pub event: &'a Event,
}

impl<'a> Head<'a> {
    /// That of a record.
    pub fn of(record: &'a Record<'_>) -> Self {
        Self {
            line: "event",
            unix_ms: record.context.now_unix_ms,
            domain: &record.tenant.domain,
            key: record.context.key.as_str(),
            number: record.number,
            begins: record.begins,
            version: &record.version,
            seed: record.context.seed,
            principal: &record.context.principal,
            ended_by_host: record.context.ended_by_host,
            agent: record.agent.as_deref(),
            call_id_host: &record.call_id_host,
            view: &record.view,
            answers: &record.answers,
            event: &record.event,
        }
    }
}

/// What came of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All of it happened.
    Committed {
        /// In the order in which they were staged.
        effects: Vec<Effect>,
        /// The state that the call has now.
        state: State,
    },
    /// The guest broke down: nothing of it happened.
    Broken(Broken),
    /// There was no room for another call: nothing of it happened.
    Refused,
    /// The host ended the call in the meantime: nothing of it happened.
    Overtaken,
}

/// The state that an event left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// None: the call is over.
    Over,
    /// One with this hash (SHA-256, hexadecimal) and size in bytes.
    Kept {
        /// The hash.
        sha256: String,
        /// The size.
        bytes: usize,
    },
    /// One of a call that was given a secret: even a hash of it would help to guess the secret.
    Withheld,
}

/// How the guest broke down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// `fault`, `trap`, `deadline`, `limit` or `busy`.
    pub kind: String,
    /// For people.
    pub why: String,
}

impl State {
    /// What is written of a state.
    pub fn of(state: Option<&[u8]>) -> Self {
        match state {
            None => Self::Over,
            Some(state) => {
                let sha256 = in_hexadecimal(&Sha256::digest(state), &mut [0; 64]).to_owned();
                Self::Kept { sha256, bytes: state.len() }
            }
        }
    }
}

impl From<&Breakdown> for Broken {
    fn from(breakdown: &Breakdown) -> Self {
        Self { kind: breakdown.kind().to_owned(), why: breakdown.to_string() }
    }
}

impl Broken {
    /// Whether the machine had a part in it, so that it need not happen again.
    pub fn is_by_chance(&self) -> bool {
        matches!(self.kind.as_str(), "deadline" | "busy")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(super::in_hexadecimal(&number.to_be_bytes(), &mut [0; 16]))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        u64::from_str_radix(&String::deserialize(deserializer)?, 16).map_err(de::Error::custom)
    }
}

/// Bytes in lower-case hexadecimal digits, for which there must be room.
fn in_hexadecimal<'r>(bytes: &[u8], room: &'r mut [u8]) -> &'r str {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value & 15)];
    for (digits, byte) in room.as_chunks_mut().0.iter_mut().zip(bytes) {
        *digits = [digit(byte >> 4), digit(*byte)];
    }
    std::str::from_utf8(room).expect("digits are ASCII")
}
