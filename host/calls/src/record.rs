//! What a journal is told of a finished event: all that it takes to run the event again, and what came of it.

use crate::contract::{Context, Event};
use crate::guest_settings::GuestSettings;
use crate::limits::Limits;
use crate::logic::Breakdown;
use crate::stage::{Answers, Committed, View};
use crate::tenant::Tenant;
use std::borrow::Cow;
use std::sync::Arc;

/// A finished event; what is large in it is lent by the event, until the shard takes that back. Nothing in it is left out
/// yet: what a journal may not hold is the journal's to know.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Whose call it is.
    pub tenant: Arc<Tenant>,
    /// The bounds of its calls at the time.
    pub limits: Arc<Limits>,
    /// What the guest was told at the time.
    pub settings: Arc<GuestSettings>,
    /// The version of call logic that handled it.
    pub version: Arc<str>,
    /// Counts the events of a call without a gap; begins anywhere.
    pub number: u64,
    /// There was no state before: the first event of a call.
    pub begins: bool,
    /// What came with the event.
    pub context: Cow<'a, Context>,
    /// What stands behind the `@` of Call-IDs.
    pub call_id_host: Arc<str>,
    /// The user that the call was bound to.
    pub agent: Option<Arc<str>>,
    /// The ids that it could refer to.
    pub view: Cow<'a, View>,
    /// What happened.
    pub event: Arc<Event>,
    /// What the guest was told from outside the event.
    pub answers: Cow<'a, Answers>,
    /// What the guest made of it.
    pub outcome: Result<Cow<'a, Committed>, Cow<'a, Breakdown>>,
}

impl Record<'_> {
    /// The same with a copy of what was lent.
    pub fn into_owned(self) -> Record<'static> {
        Record {
            tenant: self.tenant,
            limits: self.limits,
            settings: self.settings,
            version: self.version,
            number: self.number,
            begins: self.begins,
            context: Cow::Owned(self.context.into_owned()),
            call_id_host: self.call_id_host,
            agent: self.agent,
            view: Cow::Owned(self.view.into_owned()),
            event: self.event,
            answers: Cow::Owned(self.answers.into_owned()),
            outcome: match self.outcome {
                Ok(committed) => Ok(Cow::Owned(committed.into_owned())),
                Err(breakdown) => Err(Cow::Owned(breakdown.into_owned())),
            },
        }
    }
}

/// What became of an event in [`Shard::finish`](crate::shard::Shard::finish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// All of it happened.
    Committed,
    /// The guest broke down: nothing of it happened.
    Broken,
    /// The guest handled it, but the tenant has no room for another call: nothing of it happened.
    Refused,
    /// The host ended the call in the meantime: nothing of it happened.
    Overtaken,
}
