//! What is due in the sessions of legs (RFC 4028 §10): refreshes of ours, and the end of what nobody refreshed. The
//! guest hears of the end only.

use super::actor::{CallRef, Queued};
use super::leg::{Farewell, Leg, LegState, Progress, Purpose, Sent, cseq};
use super::outside::ALLOWED;
use super::session::Due;
use super::{Output, Owner, Shard};
use crate::contract::*;
use plugboard_sip::message::{HeaderName, Method, Response, Status};
use plugboard_sip::time::Time;
use std::time::Duration;

/// The wait before a refresh that failed is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(10);
/// The wait before a refresh that something is in the way of is tried again.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How often one request is repeated because its session interval was too small, in number.
const INTERVALS_REFUSED_MAX: u8 = 2;

impl Shard {
    /// Does what is due in the sessions of a call.
    pub(super) fn sessions_due(&mut self, now: Time, call: CallRef, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get(&call) else { return };
        let due = |leg: &Leg| Some((leg.id, leg.session.due(now).filter(|_| leg.state == LegState::Up)?));
        let due: Vec<(LegId, Due)> = actor.legs.iter().filter_map(due).collect();
        for (leg, due) in due {
            match due {
                Due::Refresh => self.refresh(now, call, leg, out),
                Due::End => self.session_ends(now, call, leg, out),
            }
        }
    }

    /// Refreshes a session: by UPDATE without a body when the peer takes it, otherwise by a re-INVITE with what was
    /// described last (RFC 4028 §7.4).
    fn refresh(&mut self, now: Time, call: CallRef, id: LegId, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        // An event under way may be about to send an INVITE: two at once would meet (RFC 3261 §14.1).
        let busy = actor.running || !actor.queue.is_empty() || actor.is_inviting(id);
        let transaction = actor.new_own();
        let Some(leg) = actor.leg_mut(id) else { return };
        let description = leg.description.clone().filter(|_| !leg.session.takes_update);
        if busy && description.is_some() {
            leg.session.refresh_at(now + BUSY_WAIT);
            return;
        }
        leg.session.refreshing();
        let method = if description.is_some() { Method::Invite } else { Method::Update };
        let Some((mut request, next_hop)) = leg.inside(method, None, Vec::new()) else { return };
        leg.session.ask(&mut request);
        request.headers.push(HeaderName::Allow, ALLOWED);
        if let Some(description) = description {
            request.headers.push(HeaderName::ContentType, "application/sdp");
            request.body = description;
        }
        let owner = Owner { call, transaction };
        self.start(now, owner, id, request, Some(next_hop), Purpose::Refresh, out);
    }

    /// Ends a leg whose session was not refreshed in time.
    fn session_ends(&mut self, now: Time, call: CallRef, id: LegId, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let transaction = actor.new_own();
        let headers = vec![Header { name: "Reason".into(), value: "SIP;cause=408;text=\"Session Expired\"".into() }];
        self.release(now, call, id, Farewell { headers, transaction }, out);
        if self.is_live(call) {
            let (method, reason) = (Method::Bye.as_str().to_owned(), FailureReason::SessionExpired);
            let event = Event::Failure { leg: id, transaction, method, reason };
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    /// What the final answer to a refresh means (RFC 4028 §10). The 2xx to a re-INVITE is acknowledged elsewhere.
    pub(super) fn refreshed(
        &mut self,
        now: Time,
        call: CallRef,
        sent: &Sent,
        response: &Response,
        out: &mut Vec<Output>,
    ) {
        let glare_wait = Duration::from_millis(2_100 + self.chance.next_u64() % 191 * 10);
        let Some(leg) = self.actors.get_mut(&call).and_then(|actor| actor.leg_mut(sent.leg)) else { return };
        match response.status {
            status if status.is_success() => {}
            // RFC 3261 §12.2.1.2: the dialog is gone.
            Status::CALL_DOES_NOT_EXIST | Status::REQUEST_TIMEOUT => self.session_ends(now, call, sent.leg, out),
            // RFC 3261 §14.1: 2.1 to 4 s in steps of 10 ms, because the Call-ID is ours.
            Status::REQUEST_PENDING => leg.session.refresh_at(now + glare_wait),
            Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED if leg.session.takes_update => {
                leg.session.takes_update = false;
                leg.session.refresh_at(now);
            }
            _ => leg.session.refresh_at(now + RETRY_WAIT),
        }
    }

    /// A refresh got no answer.
    pub(super) fn refresh_failed(
        &mut self,
        now: Time,
        call: CallRef,
        leg: LegId,
        reason: FailureReason,
        out: &mut Vec<Output>,
    ) {
        if reason == FailureReason::TimedOut {
            self.session_ends(now, call, leg, out); // RFC 3261 §12.2.1.2: as a 408
        } else if let Some(leg) = self.actors.get_mut(&call).and_then(|actor| actor.leg_mut(leg)) {
            leg.session.refresh_at(now + RETRY_WAIT);
        }
    }

    /// Repeats a request that got a 422 with the interval that is wanted (RFC 4028 §7.4). The guest does not hear of
    /// it. Whether it was repeated.
    pub(super) fn ask_for_more(&mut self, now: Time, owner: Owner, response: &Response, out: &mut Vec<Output>) -> bool {
        if response.status != Status::SESSION_INTERVAL_TOO_SMALL {
            return false;
        }
        let cnonce = self.cnonce();
        let Some(actor) = self.actors.get_mut(&owner.call) else { return false };
        let credentials = actor.credentials();
        let Some(at) = actor.sent.iter().position(|sent| sent.id == owner.transaction) else { return false };
        let Some(sent) = actor.sent.get_mut(at) else { return false };
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == sent.leg && !leg.is_released()) else {
            return false;
        };
        if sent.intervals_refused >= INTERVALS_REFUSED_MAX
            || !leg.session.ask_for_more(&mut sent.request, &response.headers)
        {
            return false;
        }
        sent.intervals_refused += 1;
        sent.progress = Progress::Resolving;
        sent.authorize(&mut leg.nonces, credentials.as_ref(), &cnonce);
        let cseq = cseq(leg.next_cseq(), &sent.request.method);
        sent.request.headers.set(HeaderName::CSeq, cseq);
        let next_hop = sent.next_hop.clone();
        self.dispatch_or_fail(now, owner, next_hop, out);
        true
    }
}
