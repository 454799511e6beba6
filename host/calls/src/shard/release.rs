//! What the host promises whatever the guest does: a leg that is let go ends in the network. An INVITE that is given
//! up is cancelled, a 2xx is acknowledged, a confirmed dialog gets its BYE.

use super::actor::{Actor, CallRef, Origin, Phase, Queued};
use super::leg::{Farewell, LegState, Owed, Progress, Purpose, Sent, push_all};
use super::{Arrival, Output, Owner, Shard, answer};
use crate::contract::*;
use crate::history::What;
use plugboard_sip::message::{Method, Request, Status};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// How long a call that the host had to end can be asked about.
const RECORD_KEPT: Duration = Duration::from_secs(180);

impl Shard {
    /// Lets a leg go, whatever its state. Only the first time counts.
    pub(super) fn release(&mut self, now: Time, call: CallRef, id: LegId, farewell: Farewell, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == id && leg.farewell.is_none()) else { return };
        let headers = farewell.headers.clone();
        leg.farewell = Some(farewell);
        match leg.state {
            LegState::Calling => {
                let opening = |sent: &&Sent| sent.leg == id && sent.request.method == Method::Invite;
                match actor.sent.iter().find(opening).map(|sent| (sent.id, &sent.progress)) {
                    Some((_, Progress::Pending(client))) => {
                        let client = *client;
                        leg.state = LegState::Cancelled;
                        actor.note(now, id, true, What::Request(Method::Cancel));
                        let mut reason = Request::new(Method::Cancel, Text::EMPTY);
                        push_all(&mut reason, headers);
                        self.layer.cancel(now, client, reason.headers, &mut self.layer_outputs);
                        self.pump(now, out);
                    }
                    // It has not left yet, so it never will.
                    Some((transaction, _)) => {
                        self.fail(now, Owner { call, transaction }, FailureReason::Unresolved, out);
                    }
                    None => leg.state = LegState::Over,
                }
            }
            LegState::Challenged => leg.state = LegState::Over,
            LegState::Up => self.hang_up(now, call, id, out),
            LegState::Offered => self.turn_down(now, call, id, out),
            LegState::Accepted => {} // its BYE waits for the ACK
            LegState::Cancelled | LegState::Leaving | LegState::Over => {}
        }
    }

    /// Refuses the INVITE of a peer that was to open a leg.
    fn turn_down(&mut self, now: Time, call: CallRef, id: LegId, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get(&call) else { return };
        let opening = |owed: &&Owed| owed.leg == id && owed.request.method == Method::Invite;
        if let Some(transaction) = actor.owed.iter().find(opening).map(|owed| owed.id) {
            self.answer_owed(now, call, transaction, Status::TEMPORARILY_UNAVAILABLE, out);
        }
    }

    /// Ends a confirmed dialog: ACK where one is owed, then BYE (RFC 3261 §15).
    pub(super) fn hang_up(&mut self, now: Time, call: CallRef, id: LegId, out: &mut Vec<Output>) {
        self.acknowledge_all(now, call, id, out);
        let Some(leg) = self.actors.get_mut(&call).and_then(|actor| actor.leg_mut(id)) else { return };
        let Farewell { headers, transaction } = leg.farewell.clone().unwrap_or_default();
        leg.state = LegState::Leaving;
        match leg.inside(Method::Bye, None, headers) {
            Some((bye, next_hop)) => {
                self.start(now, Owner { call, transaction }, id, bye, Some(next_hop), Purpose::Guest, out);
            }
            None => leg.state = LegState::Over, // its target is no place to send to: nothing can reach the peer
        }
    }

    /// Acknowledges every 2xx on a leg that waits for it, without a body: an answer is of no use to a dialog that ends.
    pub(super) fn acknowledge_all(&mut self, now: Time, call: CallRef, leg: LegId, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get(&call) else { return };
        let waits = |sent: &&Sent| sent.leg == leg && matches!(sent.progress, Progress::Unacknowledged { .. });
        let waiting: Vec<TransactionId> = actor.sent.iter().filter(waits).map(|sent| sent.id).collect();
        for invite in waiting {
            self.acknowledge(now, call, invite, Vec::new(), Vec::new(), out);
        }
    }

    /// Ends a call for a guest that cannot, or may not go on. Its last good state stays for a while, so that those who
    /// ask hear how it ended.
    pub(super) fn end_by_host(&mut self, now: Time, call: CallRef, reason: EndingReason, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if !actor.is_live() {
            return;
        }
        actor.tenant.counters.calls_ended_by_host.add();
        if actor.state.is_none() && !actor.running {
            self.close(now, call, out);
            return;
        }
        actor.tenant.counters.calls_up.subtract();
        actor.phase = Phase::EndedByHost { reason, until: now + RECORD_KEPT };
        self.clear_away(now, call, || answer::busy("the call was ended"), out);
        self.reschedule(now, call);
    }

    /// The guest is done with a call, or nobody will ask about it any more.
    pub(super) fn close(&mut self, now: Time, call: CallRef, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.phase = Phase::Closing;
        let unheard = unheard(actor);
        let name = (actor.tenant.domain.clone(), actor.key.clone());
        if self.by_key.get(&name) == Some(&call) {
            self.by_key.remove(&name);
        }
        self.clear_away(now, call, answer::unanswered, out);
        self.reschedule(now, call);
        for arrival in unheard {
            self.http(now, arrival, out);
        }
    }

    /// Answers what waits, stops the timers and lets every leg go.
    fn clear_away(&mut self, now: Time, call: CallRef, response: fn() -> HttpResponse, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.timers.clear();
        actor.retry_at = None;
        actor.queue.clear();
        let exchanges = std::mem::take(&mut actor.exchanges);
        let owed: Vec<TransactionId> = actor.owed.iter().map(|owed| owed.id).collect();
        let legs: Vec<LegId> = actor.legs.iter().map(|leg| leg.id).collect();
        for exchange in exchanges {
            out.push(Output::HttpRespond { exchange, response: response() });
        }
        for id in owed {
            self.answer_owed(now, call, id, Status::REQUEST_TERMINATED, out);
        }
        for leg in legs {
            let Some(actor) = self.actors.get_mut(&call) else { return };
            let farewell = Farewell { headers: Vec::new(), transaction: actor.new_transaction() };
            self.release(now, call, leg, farewell, out);
        }
    }
}

/// Takes the HTTP requests that no event has shown to the guest yet: they are about the key, not about the call that
/// ends under it.
fn unheard(actor: &mut Actor) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for Queued { event, principal, origin } in std::mem::take(&mut actor.queue) {
        let (Event::Http { exchange, request }, Origin::Http(tenant, logic)) = (Arc::unwrap_or_clone(event), origin)
        else {
            continue;
        };
        // One that is not open any more was given up by its sender.
        let Some(at) = actor.exchanges.iter().position(|open| *open == exchange) else { continue };
        actor.exchanges.swap_remove(at);
        arrivals.push(Arrival { tenant, logic, key: actor.key.clone(), principal, exchange, request });
    }
    arrivals
}
