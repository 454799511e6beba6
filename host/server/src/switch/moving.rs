//! Moves the calls of a tenant to another version of its logic, one by one, each between two of its events.

use super::{SHARDS, Switch};
use plugboard_calls::contract::CallKey;
use plugboard_calls::logic::Logic;
use plugboard_calls::shard::{CallRef, MoveError, Moved};
use plugboard_calls::tenant::Tenant;
use std::sync::Arc;
use std::time::Duration;

/// Times that a move is tried while an event of its call runs, in number.
const TRIES_MAX: u32 = 100;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// What became of the calls of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoveReport {
    /// Calls that changed hands.
    pub moved: Vec<CallKey>,
    /// Calls that stay where they are, and why.
    pub refused: Vec<(CallKey, String)>,
    /// Calls that had an event running whenever they were looked at, in number; they stay where they are.
    pub busy: usize,
}

impl Switch {
    /// Moves the calls for which `which` says so to this version, as far as its `migrate` accepts their state. Blocks;
    /// takes as long as all the calls of `migrate` take.
    pub fn move_calls(
        self: &Arc<Self>,
        to: &Arc<dyn Logic>,
        which: impl Fn(&Tenant, &Arc<dyn Logic>) -> bool,
    ) -> MoveReport {
        let mut report = MoveReport::default();
        for index in 0..SHARDS {
            let calls = self.enter(index, |shard, _| {
                shard.calls_that(|tenant, logic| !Arc::ptr_eq(logic, to) && which(tenant, logic))
            });
            for call in calls {
                match self.move_call(index, call, to) {
                    Ok((key, None)) => report.moved.push(key),
                    Ok((key, Some(refusal))) => report.refused.push((key, refusal)),
                    Err(MoveError::Running) => report.busy += 1,
                    Err(MoveError::Over) => {}
                }
            }
        }
        report
    }

    fn move_call(
        self: &Arc<Self>,
        index: u8,
        call: CallRef,
        to: &Arc<dyn Logic>,
    ) -> Result<(CallKey, Option<String>), MoveError> {
        for _ in 0..TRIES_MAX {
            let (begun, ready) = self.visit(index, |shard, _, _| shard.begin_move(call, to.clone()));
            ready.into_iter().for_each(|other| self.run(index, other));
            match begun {
                Ok(moving) => return Ok(self.finish_move(index, call, moving.run())),
                Err(MoveError::Running) => std::thread::sleep(PAUSE),
                Err(MoveError::Over) => return Err(MoveError::Over),
            }
        }
        Err(MoveError::Running)
    }

    fn finish_move(self: &Arc<Self>, index: u8, call: CallRef, moved: Moved) -> (CallKey, Option<String>) {
        let outcome = (moved.key.clone(), moved.refusal().map(ToString::to_string));
        let (job, ready) = self.visit(index, |shard, now, _| {
            shard.finish_move(moved);
            shard.proceed(now, call)
        });
        // What came for the call in the meantime is handled by whoever has the call now.
        match job.as_ref().map(|job| job.tenant().clone()) {
            Some(tenant) => {
                tenant.turns.enter_anyway();
                if self.run_from(&tenant, index, call, job, ready) {
                    self.pass_turn(&tenant);
                }
            }
            None => ready.into_iter().for_each(|other| self.run(index, other)),
        }
        outcome
    }
}
