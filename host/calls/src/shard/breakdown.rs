//! When the guest breaks down: nothing of the event happens, whoever waits gets an honest answer, and a call whose
//! guest breaks down again and again is ended by the host.

use super::actor::{CallRef, Queued};
use super::{Output, Shard, answer};
use crate::contract::*;
use crate::limits::Limit;
use crate::logic::Breakdown;
use plugboard_sip::time::Time;
use std::time::Duration;

/// The wait before an event is tried again, the first time; it doubles with every breakdown in a row.
const RETRY_WAIT: Duration = Duration::from_millis(200);

impl Shard {
    /// A request has someone who waits and can ask again: it is answered. Anything else tells the guest something that
    /// it will not hear twice: it is tried again, a little later, on a fresh instance.
    pub(super) fn broke_down(
        &mut self,
        now: Time,
        call: CallRef,
        queued: Queued,
        breakdown: Breakdown,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.tenant.counters.broke_down(&breakdown);
        if actor.state.is_none() {
            // The call never came up.
            self.decline(now, call, &queued.event, answer::broken(&breakdown), out);
            if self.actors.get(&call).is_some_and(|actor| actor.queue.is_empty()) {
                self.close(now, call, out);
            }
            return;
        }
        match *queued.event {
            Event::Ending(reason) => self.end_by_host(now, call, reason, out),
            Event::Http { .. } | Event::Request { .. } | Event::Replacement { .. } => {
                self.decline(now, call, &queued.event, answer::broken(&breakdown), out);
                self.settle_after_request(now, call, &queued.event, out);
            }
            _ if !actor.is_live() => {}
            _ => {
                actor.breakdowns += 1;
                if actor.breakdowns >= actor.tenant.settings().limits.breakdowns_in_a_row {
                    actor.tenant.counters.limits.reached(Limit::BreakdownsInARow);
                    self.end_by_host(now, call, EndingReason::Faulty, out);
                    return;
                }
                actor.retry_at = Some(now + RETRY_WAIT * 2u32.saturating_pow(actor.breakdowns - 1));
                actor.queue.push_front(queued);
                self.reschedule(now, call);
            }
        }
    }

    /// A BYE that the guest could not take in has ended its leg all the same: a guest that does not know cannot be
    /// trusted with the rest of the call.
    fn settle_after_request(&mut self, now: Time, call: CallRef, event: &Event, out: &mut Vec<Output>) {
        if matches!(event, Event::Request { method, .. } if method == "BYE") {
            self.end_by_host(now, call, EndingReason::Faulty, out);
        }
    }
}
