//! A call moves to another version of its logic, between two of its events: the new version re-encodes a copy of the
//! state, and only if it accepts does the call change hands. What is refused stays where it was.

use super::Shard;
use super::actor::{Actor, CallRef};
use crate::contract::CallKey;
use crate::logic::{Breakdown, Logic};
use crate::tenant::Tenant;
use std::sync::Arc;

/// A move ready to be tried. While it is, no event of the call runs.
pub struct Move {
    call: CallRef,
    key: CallKey,
    from_schema: u32,
    to: Arc<dyn Logic>,
    state: Vec<u8>,
    state_bytes_max: usize,
}

/// A move that was tried; for [`Shard::finish_move`].
pub struct Moved {
    call: CallRef,
    /// The call.
    pub key: CallKey,
    to: Arc<dyn Logic>,
    outcome: Result<Vec<u8>, Breakdown>,
}

impl Move {
    /// Asks the new version. Takes as long as its `migrate` takes, within its deadline.
    pub fn run(self) -> Moved {
        let Self { call, key, from_schema, to, state, state_bytes_max } = self;
        let fits = |state: &Vec<u8>| state.len() <= state_bytes_max;
        let outcome = to.migrate(from_schema, &state);
        let outcome = outcome.and_then(|s| if fits(&s) { Ok(s) } else { Err(Breakdown::Limit("state_bytes")) });
        Moved { call, key, to, outcome }
    }
}

impl Moved {
    /// The call that it belongs to.
    pub fn call(&self) -> CallRef {
        self.call
    }

    /// Why the call stays where it was, if it does.
    pub fn refusal(&self) -> Option<&Breakdown> {
        self.outcome.as_ref().err()
    }
}

impl Shard {
    /// The live calls for which `which` says so, oldest first.
    pub fn calls_that(&self, which: impl Fn(&Tenant, &Arc<dyn Logic>) -> bool) -> Vec<CallRef> {
        let chosen = |actor: &Actor| actor.is_live() && which(&actor.tenant, &actor.logic);
        let of_actors = self.actors.iter().filter(|(_, actor)| chosen(actor));
        let mut calls: Vec<CallRef> = of_actors.map(|(call, _)| *call).collect();
        calls.sort_unstable();
        calls
    }

    /// Begins the move of a call, unless one of its events is running (try again then) or it is over.
    pub fn begin_move(&mut self, call: CallRef, to: Arc<dyn Logic>) -> Result<Move, MoveError> {
        let actor = self.actors.get_mut(&call).filter(|actor| actor.is_live()).ok_or(MoveError::Over)?;
        if actor.running {
            return Err(MoveError::Running);
        }
        let state = actor.state.clone().ok_or(MoveError::Over)?;
        actor.running = true;
        let from_schema = actor.logic.description().state_schema;
        let state_bytes_max = actor.tenant.settings().limits.state_bytes;
        Ok(Move { call, key: actor.key.clone(), from_schema, to, state, state_bytes_max })
    }

    /// Takes a move back: the call changes hands if the new version accepted its state. Ask [`Shard::proceed`] next,
    /// as after a job.
    pub fn finish_move(&mut self, moved: Moved) {
        let Some(actor) = self.actors.get_mut(&moved.call) else { return };
        if let Ok(state) = moved.outcome
            && actor.is_live()
        {
            actor.state = Some(state);
            actor.logic = moved.to;
        }
    }
}

/// Why a move cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// One of the call's events is being handled.
    #[error("an event of the call is being handled")]
    Running,
    /// There is no such call any more.
    #[error("the call is over")]
    Over,
}
