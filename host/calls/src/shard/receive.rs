//! What comes from the network: dialogs and legs follow it at once, the guest hears of it as an event.

use super::actor::{Actor, CallRef, Origin, Queued, add, take};
use super::credentials::Answerable;
use super::dialog::refreshes_target;
use super::failover::Trouble;
use super::leg::{ACK_TIME_MAX, Farewell, LegState, Owed, Progress, Purpose, Sent};
use super::told::{request_event, response_event, visible};
use super::{LayerOutput, Output, Owner, Shard, glare, session};
use crate::contract::*;
use crate::history::What;
use plugboard_sip::digest::{Challenge, best_for};
use plugboard_sip::message::{HeaderName, Headers, Message, Method, Request, Response, Status};
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{self, ClientId, ServerId};
use plugboard_sip::transport::Destination;
use plugboard_sip::values::MaxForwards;

/// A response, and what it answers.
pub(super) struct Matched<'a> {
    pub client: ClientId,
    pub owner: Owner,
    pub response: &'a Response,
    /// Its challenge, when that can be answered.
    pub answerable: Option<Answerable>,
}

impl Shard {
    /// Takes a message that was admitted ([`plugboard_sip::admit`]) and belongs to this shard
    /// ([`shard_of`](super::shard_of) its To tag or branch).
    pub fn receive(&mut self, now: Time, message: Message, source: Destination, out: &mut Vec<Output>) {
        if let Message::Request(request) = &message
            && self.answer_outside(request, source, out)
        {
            return;
        }
        self.layer.receive(now, message, source, &mut self.layer_outputs);
        self.pump(now, out);
    }

    /// Works through what the transaction layer said.
    pub(super) fn pump(&mut self, now: Time, out: &mut Vec<Output>) {
        while !self.layer_outputs.is_empty() {
            let room = std::mem::take(&mut self.layer_room);
            let mut outputs = std::mem::replace(&mut self.layer_outputs, room);
            outputs.drain(..).for_each(|output| self.layer_said(now, output, out));
            self.layer_room = outputs;
        }
    }

    pub(super) fn layer_said(&mut self, now: Time, output: LayerOutput<Owner>, out: &mut Vec<Output>) {
        match output {
            LayerOutput::Transmit { destination, bytes, client } => {
                out.push(Output::Transmit { destination, domain: None, bytes, client });
            }
            LayerOutput::Request { server, request, flow } => self.requested(now, server, request, flow, out),
            LayerOutput::Ack { server, request, .. } => self.acknowledged(now, server, &request, out),
            LayerOutput::Cancelled { server, .. } => self.cancelled(now, server, out),
            LayerOutput::Response { client, user, response } => self.responded(now, client, user, response, out),
            LayerOutput::Failed { user, reason, .. } => {
                if !self.send_elsewhere(now, user, Trouble::Silence, out) {
                    self.fail(now, user, reason.into(), out);
                }
            }
            LayerOutput::NoAck { server } => self.never_acknowledged(now, server, out),
            LayerOutput::Stray(stray) => self.stray(now, stray, out),
        }
    }

    /// A request inside a dialog (RFC 3261 §12.2.2).
    fn requested(&mut self, now: Time, server: ServerId, request: Request, flow: Destination, out: &mut Vec<Output>) {
        if request.headers.to_tag().is_none() {
            return self.replacing(now, server, request, flow, out); // nothing else comes this far
        }
        let named = request.headers.to_tag().and_then(|tag| self.dialogs.get(&tag).copied());
        let found = named.and_then(|(call, leg)| Some((call, leg, self.actors.get_mut(&call)?)));
        let Some((call, id, actor)) = found else {
            self.refuse(now, server, &request, Status::CALL_DOES_NOT_EXIST, out);
            return;
        };
        let live = actor.is_live();
        if let Err(status) = admit(actor, id, &request, live) {
            self.refuse(now, server, &request, status, out);
            return;
        }
        actor.note(now, id, false, What::Request(request.method.clone()));
        if request.method == Method::Bye {
            self.hung_up(now, call, id, out);
        }
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if !live {
            let status = if request.method == Method::Bye { Status::OK } else { Status::CALL_DOES_NOT_EXIST };
            self.refuse(now, server, &request, status, out);
            self.reschedule(now, call);
            return;
        }
        let transaction = actor.new_incoming();
        let mut event = request_event(id, transaction, &request);
        if let (Some(leg), Event::Request { method, headers, .. }) = (actor.leg_mut(id), &mut event) {
            if request.method == Method::Refer {
                leg.refers.came(transaction, request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default());
            }
            leg.refers.to_guest(method, headers);
        }
        let origin = Origin::Sip(request.headers.max_forwards().unwrap_or(MaxForwards::DEFAULT));
        let is_refresh = request.method == Method::Update && request.body.is_empty();
        add(&mut actor.owed, Owed { id: transaction, leg: id, server, request, flow });
        self.servers.insert(server, (call, id, transaction));
        if is_refresh {
            // RFC 3311 §5.2: without an offer it changes nothing that a guest knows of.
            self.respond(now, call, transaction, 200, String::new(), Vec::new(), Vec::new(), out);
            self.reschedule(now, call);
            return;
        }
        self.enqueue(now, call, Queued { origin, ..Queued::new(event) }, out);
        self.reschedule(now, call);
    }

    /// The peer's BYE ends the dialog at once (RFC 3261 §15.1.2): requests of the peer that still wait get a 487, and
    /// 2xx of the peer are acknowledged so that it stops repeating them. In an early dialog it means that every 2xx was
    /// lost on its way: the INVITE is given up.
    fn hung_up(&mut self, now: Time, call: CallRef, leg: LegId, out: &mut Vec<Output>) {
        self.acknowledge_all(now, call, leg, out);
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let waiting: Vec<TransactionId> =
            actor.owed.iter().filter(|owed| owed.leg == leg).map(|owed| owed.id).collect();
        let transaction = actor.new_own();
        match actor.leg_mut(leg) {
            Some(leg) if !leg.is_calling() => leg.state = LegState::Over,
            _ => self.release(now, call, leg, Farewell { headers: Vec::new(), transaction }, out),
        }
        for id in waiting {
            self.answer_owed(now, call, id, Status::REQUEST_TERMINATED, out);
        }
    }

    fn acknowledged(&mut self, now: Time, server: ServerId, request: &Request, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.remove(&server) else { return };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.note(now, leg, false, What::Request(Method::Ack));
        self.settle_accepted(now, call, leg, out);
        if self.is_live(call) {
            let (headers, body) = (visible(&request.headers), request.body.to_vec());
            let event = Event::Ack { leg, transaction, headers, body };
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    fn never_acknowledged(&mut self, now: Time, server: ServerId, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.remove(&server) else { return };
        self.settle_accepted(now, call, leg, out);
        if self.is_live(call) {
            let method = Method::Ack.as_str().to_owned();
            let event = Event::Failure { leg, transaction, method, reason: FailureReason::TimedOut };
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    /// The 2xx that opened a peer's leg has its ACK, or will never have it: now a BYE may be sent.
    fn settle_accepted(&mut self, now: Time, call: CallRef, id: LegId, out: &mut Vec<Output>) {
        let leg = self.actors.get_mut(&call).and_then(|actor| actor.leg_mut(id));
        let Some(leg) = leg.filter(|leg| leg.state == LegState::Accepted) else { return };
        leg.state = LegState::Up;
        if leg.is_released() {
            self.hang_up(now, call, id, out);
        }
    }

    /// The peer gave up its INVITE. One that was to open a leg is over with it; another one is the guest's to answer.
    fn cancelled(&mut self, now: Time, server: ServerId, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.get(&server).copied() else { return };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.note(now, leg, false, What::Request(Method::Cancel));
        if actor.leg(leg).is_some_and(|leg| leg.state == LegState::Offered) {
            self.answer_owed(now, call, transaction, Status::REQUEST_TERMINATED, out);
        }
        if self.is_live(call) {
            let event = Event::Cancel { leg, transaction };
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    /// A response to a request of ours.
    fn responded(&mut self, now: Time, client: ClientId, owner: Owner, response: Response, out: &mut Vec<Output>) {
        let Owner { call, transaction } = owner;
        let waits = |sent: &&Sent| sent.id == transaction && !matches!(sent.progress, Progress::Unacknowledged { .. });
        let Some(actor) = self.actors.get_mut(&call) else {
            self.unwanted_2xx(now, client, None, &response, out);
            return;
        };
        let Some(at) = actor.sent.iter().position(|sent| waits(&sent)) else {
            self.unwanted_2xx(now, client, None, &response, out);
            return;
        };
        let Some((leg, method)) = actor.sent.get(at).map(|sent| (sent.leg, sent.request.method.clone())) else {
            return;
        };
        actor.note(now, leg, false, What::Response(response.status, method.clone()));
        if let Some(trouble) = actor.sent.get_mut(at).and_then(|sent| sent.road.heard(&response))
            && self.send_elsewhere(now, owner, trouble, out)
        {
            return;
        }
        if self.ask_for_more(now, owner, &response, out) {
            return;
        }
        if response.status.is_provisional() && !self.take_provisional(now, owner, &response, out) {
            return;
        }
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(sent) = actor.sent.iter().find(|sent| sent.id == transaction) else { return };
        let purpose = sent.purpose;
        let matched = Matched { client, owner, answerable: answerable(actor, sent, &response), response: &response };
        if purpose != Purpose::Guest {
            self.own_responded(now, matched, out);
            self.reschedule(now, call);
            return;
        }
        let event = response_event(leg, transaction, &method, matched.answerable.is_some(), &response);
        self.follow(now, matched, out);
        if self.is_live(call) {
            let event = Event::Response(event);
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    /// What a response means for its leg.
    fn follow(&mut self, now: Time, matched: Matched<'_>, out: &mut Vec<Output>) {
        let Matched { client, owner, response, answerable } = matched;
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        let Some(at) = actor.sent.iter().position(|sent| sent.id == owner.transaction) else { return };
        let Some(sent) = actor.sent.get_mut(at) else { return };
        let (id, method) = (sent.leg, sent.request.method.clone());
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == id) else { return };
        let opening = method == Method::Invite && matches!(leg.state, LegState::Calling | LegState::Cancelled);
        if response.status.is_provisional() {
            if opening && response.status.code() > 100 {
                leg.early(response);
            }
            return;
        }
        if response.status.is_success() && method == Method::Invite {
            sent.progress = Progress::Unacknowledged { client, give_up: now + ACK_TIME_MAX };
            leg.described(&sent.request.headers, &sent.request.body);
            self.invite_accepted(now, owner.call, id, opening, response, out);
            return;
        }
        match answerable {
            // Nobody but the host knows of a BYE, so it answers the challenge itself.
            Some(answerable) if method == Method::Bye => {
                sent.progress = Progress::Challenged(Box::new(answerable));
                self.answer_challenge(now, owner.call, owner.transaction, owner.transaction, out);
                return;
            }
            Some(answerable) if !leg.is_released() && (leg.state == LegState::Calling || leg.has_dialog()) => {
                sent.progress = Progress::Challenged(Box::new(answerable));
                if opening {
                    leg.state = LegState::Challenged;
                }
                return;
            }
            _ => {}
        }
        let sent = take(&mut actor.sent, at);
        if opening || method == Method::Bye {
            leg.state = LegState::Over;
        } else if response.status.is_success() {
            match method {
                Method::Refer => leg.refers.accepted(sent.id),
                Method::Update => {
                    leg.described(&sent.request.headers, &sent.request.body);
                    leg.take_2xx(now, response);
                }
                _ => {}
            }
        }
    }

    /// A 2xx to an INVITE: the dialog is confirmed, or its target refreshed. On a leg that was let go the host sees
    /// to the ACK and the BYE.
    fn invite_accepted(
        &mut self,
        now: Time,
        call: CallRef,
        id: LegId,
        opening: bool,
        response: &Response,
        out: &mut Vec<Output>,
    ) {
        let Some(leg) = self.actors.get_mut(&call).and_then(|actor| actor.leg_mut(id)) else { return };
        if opening {
            leg.confirm(response);
            leg.take_session(now, response);
        } else {
            leg.take_2xx(now, response);
        }
        if leg.is_released() && opening {
            self.hang_up(now, call, id, out);
        } else if !matches!(leg.state, LegState::Accepted | LegState::Up) {
            self.acknowledge_all(now, call, id, out);
        }
    }
}

/// Whether a request fits its leg and what is under way there, and what it changes on the leg.
fn admit(actor: &mut Actor, id: LegId, request: &Request, live: bool) -> Result<(), Status> {
    let leg = actor.leg_mut(id).ok_or(Status::CALL_DOES_NOT_EXIST)?;
    let gone = Err(Status::CALL_DOES_NOT_EXIST);
    let open = match leg.state {
        LegState::Up | LegState::Accepted | LegState::Offered => true,
        LegState::Leaving => matches!(request.method, Method::Bye | Method::Notify),
        LegState::Calling | LegState::Challenged | LegState::Cancelled => leg.dialog.is_some(),
        LegState::Over => live && leg.refers.are_open() && request.method == Method::Notify,
    };
    let same_call = request.headers.get(&HeaderName::CallId) == Some(&leg.call_id);
    let from_tag = request.headers.from_tag().unwrap_or_default();
    let Some(dialog) = leg.dialog_with(&from_tag).filter(|_| same_call) else { return gone };
    let number = request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
    if !dialog.accept_cseq(number) {
        return Err(Status::SERVER_INTERNAL_ERROR); // RFC 3261 §12.2.2: out of order
    }
    // None of our provisional responses is reliable, so there is none for a PRACK (RFC 3262 §3).
    if !open || request.method == Method::Prack {
        return gone;
    }
    if request.method != Method::Bye && request.headers.max_forwards() == Ok(MaxForwards(0)) {
        return Err(Status::TOO_MANY_HOPS); // RFC 7332: nothing may come of it
    }
    if refreshes_target(&request.method) && session::is_too_small(&request.headers) {
        return Err(Status::SESSION_INTERVAL_TOO_SMALL);
    }
    if let Some(status) = glare::verdict(actor, id, request) {
        return Err(status);
    }
    let Some(leg) = actor.leg_mut(id) else { return gone };
    leg.session.note_allowed(&request.headers);
    if let Some(dialog) = leg.dialog_with(&from_tag).filter(|_| refreshes_target(&request.method)) {
        dialog.refresh(&request.headers);
    }
    if request.method == Method::Notify && ends_subscription(&request.headers) {
        leg.refers.ended(request.headers.get_str(&HeaderName::Event).unwrap_or_default());
    }
    Ok(())
}

/// RFC 6665 §4.1.3: `terminated`
fn ends_subscription(headers: &Headers) -> bool {
    let state = headers.get_str(&HeaderName::SubscriptionState).unwrap_or_default();
    state.split(';').next().is_some_and(|state| state.trim().eq_ignore_ascii_case("terminated"))
}

/// The challenge of a 401 or 407 that the agent's credentials can answer, unless they were refused already.
fn answerable(actor: &Actor, sent: &Sent, response: &Response) -> Option<Answerable> {
    let (asked, field) = match response.status.code() {
        401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
        407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        _ => return None,
    };
    let credentials = actor.credentials()?;
    let challenges = Challenge::parse_all(response.headers.get_all(&asked));
    let challenge = best_for(&challenges, &credentials.secret)?;
    let answerable = Answerable { challenge: challenge.clone(), field };
    sent.answered.may_answer(&answerable).then_some(answerable)
}

impl From<transaction::FailureReason> for FailureReason {
    fn from(reason: transaction::FailureReason) -> Self {
        match reason {
            transaction::FailureReason::Timeout => FailureReason::TimedOut,
            transaction::FailureReason::Transport => FailureReason::Unreachable,
        }
    }
}
