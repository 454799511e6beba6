//! What an operator may look at: which calls there are, and their messages.

use super::Shard;
use super::actor::{Actor, Phase};
use super::leg::LegState;
use crate::contract::{CallKey, EndingReason, LegId};
use crate::history::History;
use crate::logic::Logic;
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use std::sync::Arc;

/// One call, as an operator sees it.
#[derive(Clone)]
pub struct CallSummary {
    /// The tenant's domain.
    pub domain: Arc<str>,
    /// The call.
    pub key: CallKey,
    /// What tells the version it is pinned to from others. Not the version itself: a call that is remembered must not
    /// keep a version in memory that is gone.
    pub version: Arc<str>,
    /// When it was placed.
    pub since: Time,
    /// When it was over, if it is.
    pub ended: Option<Time>,
    /// Why the host had to end it, if it had to.
    pub ended_by_host: Option<EndingReason>,
    /// Its legs, in the order in which they were called.
    pub legs: Vec<LegSummary>,
    /// Size of the guest's state, in bytes.
    pub state_bytes: usize,
}

/// One leg, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegSummary {
    /// The leg.
    pub id: LegId,
    /// The URI that was called.
    pub target: Text,
    /// `calling`, `early`, `up`, `leaving` or `over`.
    pub state: &'static str,
    /// Its Call-ID.
    pub call_id: Text,
}

impl Shard {
    /// The calls of this shard that are not over.
    pub fn calls(&self, now: Time) -> Vec<CallSummary> {
        self.actors.values().filter(|actor| !actor.legs.is_empty()).map(|actor| summary(actor, now)).collect()
    }

    /// The messages of the last call under this key, over or not.
    pub fn history(&self, domain: &str, key: &CallKey, now: Time) -> Option<(CallSummary, History)> {
        let same = |summary: &CallSummary| *summary.domain == *domain && summary.key == *key;
        let up = self.actors.iter().filter(|(_, a)| *a.tenant.domain == *domain && a.key == *key && !a.legs.is_empty());
        if let Some((_, actor)) = up.max_by_key(|(call, _)| **call) {
            return Some((summary(actor, now), actor.history.clone()));
        }
        let ended = self.ended.iter().rev().find(|ended| same(&ended.summary))?;
        Some((ended.summary.clone(), ended.history.clone()))
    }

    /// Whether there is a call under this key.
    pub fn knows(&self, domain: &str, key: &CallKey) -> bool {
        self.by_key.contains_key(&(domain.into(), key.clone()))
    }

    /// Calls that are pinned to a version and not over, in number.
    pub fn calls_on(&self, logic: &Arc<dyn Logic>) -> usize {
        self.actors.values().filter(|actor| actor.is_live() && Arc::ptr_eq(&actor.logic, logic)).count()
    }

    /// Actors of this shard, in number: calls up and calls whose last messages are on their way.
    pub fn len(&self) -> usize {
        self.actors.len()
    }

    /// Whether nothing is left to do.
    pub fn is_empty(&self) -> bool {
        self.actors.is_empty()
    }

    /// Whether any leg is still up, or on its way up or down.
    pub fn has_legs(&self) -> bool {
        self.actors.values().any(|actor| actor.legs.iter().any(|leg| leg.state != LegState::Over))
    }

    /// Counts since start.
    pub fn counters(&self) -> super::ShardCounters {
        self.counters
    }

    /// Counts of the transaction layer since start.
    pub fn transaction_counters(&self) -> plugboard_sip::transaction::Counters {
        self.layer.counters()
    }
}

pub(super) fn summary(actor: &Actor, now: Time) -> CallSummary {
    let leg_summary = |leg: &super::leg::Leg| LegSummary {
        id: leg.id,
        target: leg.target.clone(),
        state: state_name(leg.state, leg.dialog.is_some()),
        call_id: leg.call_id.to_text().unwrap_or_else(|| Text::from(&*leg.call_id.to_text_lossy())),
    };
    let (ended_by_host, over) = match actor.phase {
        Phase::Live => (None, false),
        Phase::EndedByHost { reason, .. } => (Some(reason), true),
        Phase::Closing => (None, true),
    };
    CallSummary {
        domain: actor.tenant.domain.clone(),
        key: actor.key.clone(),
        version: actor.logic.version_id(),
        since: actor.since,
        ended: over.then_some(now),
        ended_by_host,
        legs: actor.legs.iter().map(leg_summary).collect(),
        state_bytes: actor.state.as_ref().map_or(0, Vec::len),
    }
}

fn state_name(state: LegState, dialog: bool) -> &'static str {
    match state {
        LegState::Calling | LegState::Challenged if dialog => "early",
        LegState::Offered => "early",
        LegState::Calling | LegState::Challenged => "calling",
        LegState::Cancelled | LegState::Leaving => "leaving",
        LegState::Accepted | LegState::Up => "up",
        LegState::Over => "over",
    }
}
