//! What the calls core needs from call logic and from a tenant's directory, as traits: the engine implements the
//! first with wasmtime, tests implement it natively; the server implements the second from its configuration.

use crate::contract::*;
use crate::guest_settings::GuestSettings;
use crate::limits::Limit;
use crate::shard::Finished;
use crate::stage::Stage;
use plugboard_sip::digest::Secret;
use std::sync::Arc;

/// One version of call logic. Every event of a call goes to the version that the call is pinned to.
pub trait Logic: Send + Sync {
    /// What the component said it is when it was deployed.
    fn description(&self) -> &Description;

    /// What tells this version from others, for records.
    fn version_id(&self) -> Arc<str> {
        let Description { name, version, .. } = self.description();
        format!("{name} {version}").into()
    }

    /// What the operator tells it: a part of the version, so the same for as long as it lives.
    fn settings(&self) -> Arc<GuestSettings> {
        Arc::default()
    }

    /// Which call a request is about, or the answer to give at once.
    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>);

    /// One event of one call. The stage comes back with what was staged, whatever the outcome; only
    /// [`Stage::seal`] turns it into something that can be committed.
    fn handle(
        &self,
        context: &Context,
        state: Option<&[u8]>,
        event: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>);

    /// Told of each event of its calls once that has run, before it is committed. For counting and comparing: nothing
    /// that is done here can change what comes of the event.
    fn observed(&self, _: &Finished) {}

    /// Re-encodes a state that another version wrote.
    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown>;
}

/// The outcome of [`Logic::route`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// The call that the request is about.
    Call(CallKey),
    /// Answered outright.
    Answer(HttpResponse),
}

/// Why call logic produced nothing. Whatever it is, nothing that was staged happens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breakdown {
    /// The guest said so itself; its instance is still good.
    #[error("guest fault: {0}")]
    Fault(Fault),
    /// The guest crashed; the message names the trap.
    #[error("guest trapped: {0}")]
    Trap(String),
    /// The guest did not return within the event deadline.
    #[error("guest missed its deadline of {0} ms")]
    Deadline(u64),
    /// The guest broke a limit; its name.
    #[error("guest went over {0}")]
    Limit(&'static str),
    /// No instance could be had: the host is at its own limit.
    #[error("no room to run the guest: {0}")]
    Busy(&'static str),
}

impl Breakdown {
    /// The metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fault(_) => "fault",
            Self::Trap(_) => "trap",
            Self::Deadline(_) => "deadline",
            Self::Limit(_) => "limit",
            Self::Busy(_) => "busy",
        }
    }

    /// The tenant's limit that it comes of, if it does.
    pub fn limit(&self) -> Option<Limit> {
        match self {
            Self::Deadline(_) => Some(Limit::EventDeadline),
            Self::Limit(name) => Limit::named(name),
            Self::Fault(_) | Self::Trap(_) | Self::Busy(_) => None,
        }
    }
}

/// A tenant's users. Secrets come out only for the host's own digest answers.
pub trait Directory: Send + Sync {
    /// A user by name, alias or address; the key by which the other methods know it.
    fn find(&self, name: &str) -> Option<Arc<UserRecord>>;
    /// What answers SIP challenges for this user, if anything does.
    fn credentials(&self, user: &str) -> Option<Credentials>;
}

/// A directory entry without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UserRecord {
    /// The user's name in the directory; [`Principal::User`] carries it.
    pub name: String,
    /// What the guest may know.
    pub identity: Identity,
}

/// What answers a SIP challenge for a user.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The digest username.
    pub username: String,
    /// The password or its hashes; redacted when printed.
    pub secret: Secret,
}

/// A guest's text on one line, for a log: control characters become spaces.
pub fn one_line(text: String) -> String {
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}
