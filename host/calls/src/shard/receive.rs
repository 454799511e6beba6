//! What comes from the network: dialogs and legs follow it at once, the guest hears of it as an event.

use super::actor::{Actor, CallRef, Origin, Queued};
use super::dialog::{Dialog, refreshes_target};
use super::failover::Trouble;
use super::leg::{ACK_TIME_MAX, Answerable, Leg, LegState, Owed, Progress, Sent};
use super::{LayerOutput, Output, Owner, Shard};
use crate::contract::*;
use crate::history::What;
use plugboard_sip::digest::{Challenge, best_for};
use plugboard_sip::message::{HeaderName, Headers, Message, Method, Request, Response, Status};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{self, ClientId, ServerId};
use plugboard_sip::transport::Destination;
use plugboard_sip::values::MaxForwards;
use std::cmp::Reverse;

/// Challenges that are answered on one request, in number: more than one when several proxies ask, or a nonce is stale.
const CHALLENGES_ANSWERED_MAX: usize = 4;
/// Redirection targets that a guest is told, in number.
const CONTACTS_MAX: usize = 16;

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
            for output in std::mem::take(&mut self.layer_outputs) {
                self.layer_said(now, output, out);
            }
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
        let named = request.headers.to_tag().and_then(|tag| self.dialogs.get(&tag).copied());
        let found = named.and_then(|(call, leg)| Some((call, leg, self.actors.get_mut(&call)?)));
        let Some((call, id, actor)) = found else {
            self.refuse(now, server, &request, Status::CALL_DOES_NOT_EXIST, out);
            return;
        };
        let live = actor.is_live();
        let verdict = match actor.leg_mut(id) {
            Some(_) if request.method != Method::Bye && request.headers.max_forwards() == Ok(MaxForwards(0)) => {
                Err(Status::TOO_MANY_HOPS) // RFC 7332: nothing may come of it
            }
            Some(leg) => receive_on(leg, &request, live),
            None => Err(Status::CALL_DOES_NOT_EXIST),
        };
        if let Err(status) = verdict {
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
        let event = Event::Request {
            leg: id,
            transaction,
            method: request.method.as_str().to_owned(),
            headers: visible(&request.headers),
            body: request.body.to_vec(),
        };
        let origin = Origin::Sip(request.headers.max_forwards().unwrap_or(MaxForwards::DEFAULT));
        actor.owed.push(Owed { id: transaction, leg: id, server, request, flow });
        self.servers.insert(server, (call, id, transaction));
        self.enqueue(now, call, Queued { origin, ..Queued::new(event) }, out);
        self.reschedule(now, call);
    }

    /// The peer's BYE ends the dialog at once (RFC 3261 §15.1.2): requests of the peer that still wait get a 487, and
    /// 2xx of the peer are acknowledged so that it stops repeating them.
    fn hung_up(&mut self, now: Time, call: CallRef, leg: LegId, out: &mut Vec<Output>) {
        self.acknowledge_all(now, call, leg, out);
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let waiting: Vec<TransactionId> =
            actor.owed.iter().filter(|owed| owed.leg == leg).map(|owed| owed.id).collect();
        if let Some(leg) = actor.leg_mut(leg) {
            leg.state = LegState::Over;
        }
        for id in waiting {
            self.answer_owed(now, call, id, Status::REQUEST_TERMINATED, out);
        }
    }

    fn acknowledged(&mut self, now: Time, server: ServerId, request: &Request, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.remove(&server) else { return };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.note(now, leg, false, What::Request(Method::Ack));
        if actor.is_live() {
            let (headers, body) = (visible(&request.headers), request.body.to_vec());
            let event = Event::Ack { leg, transaction, headers, body };
            self.enqueue(now, call, Queued::new(event), out);
        }
    }

    fn never_acknowledged(&mut self, now: Time, server: ServerId, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.remove(&server) else { return };
        if self.actors.get(&call).is_some_and(Actor::is_live) {
            let method = Method::Ack.as_str().to_owned();
            let event = Event::Failure { leg, transaction, method, reason: FailureReason::TimedOut };
            self.enqueue(now, call, Queued::new(event), out);
        }
    }

    fn cancelled(&mut self, now: Time, server: ServerId, out: &mut Vec<Output>) {
        let Some((call, leg, transaction)) = self.servers.get(&server).copied() else { return };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        actor.note(now, leg, false, What::Request(Method::Cancel));
        if actor.is_live() {
            let event = Event::Cancel { leg, transaction };
            self.enqueue(now, call, Queued::new(event), out);
        }
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
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let answerable = actor.sent.get(at).and_then(|sent| answerable(actor, sent, &response));
        let event = response_event(leg, transaction, &method, answerable.is_some(), &response);
        self.follow(now, client, owner, &response, answerable, out);
        if self.actors.get(&call).is_some_and(Actor::is_live) {
            let event = Event::Response(event);
            self.enqueue(now, call, Queued::new(event), out);
        }
        self.reschedule(now, call);
    }

    /// What a response means for its leg.
    fn follow(
        &mut self,
        now: Time,
        client: ClientId,
        owner: Owner,
        response: &Response,
        answerable: Option<Answerable>,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        let Some(at) = actor.sent.iter().position(|sent| sent.id == owner.transaction) else { return };
        let Some(sent) = actor.sent.get_mut(at) else { return };
        let (id, method) = (sent.leg, sent.request.method.clone());
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == id) else { return };
        let opening = method == Method::Invite && matches!(leg.state, LegState::Calling | LegState::Cancelled);
        if response.status.is_provisional() {
            if opening && response.status.code() > 100 && response.headers.to_tag().is_some() {
                leg.dialog = Dialog::from_response(response, &leg.target).or(leg.dialog.take());
            }
            return;
        }
        if response.status.is_success() && method == Method::Invite {
            sent.progress = Progress::Unacknowledged { client, give_up: now + ACK_TIME_MAX };
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
            Some(answerable) if !leg.is_released() && matches!(leg.state, LegState::Calling | LegState::Up) => {
                sent.progress = Progress::Challenged(Box::new(answerable));
                if opening {
                    leg.state = LegState::Challenged;
                }
                return;
            }
            _ => {}
        }
        actor.sent.swap_remove(at);
        if opening || method == Method::Bye {
            leg.state = LegState::Over;
        } else if response.status.is_success() {
            match (method == Method::Refer, &mut leg.dialog) {
                (true, _) => leg.notifies = true,
                (false, Some(dialog)) if refreshes_target(&method) => dialog.refresh(&response.headers),
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
            leg.dialog = Dialog::from_response(response, &leg.target).or(leg.dialog.take());
            leg.state = LegState::Up;
        } else if let Some(dialog) = &mut leg.dialog {
            dialog.refresh(&response.headers);
        }
        if leg.is_released() && opening {
            self.hang_up(now, call, id, out);
        } else if leg.state != LegState::Up {
            self.acknowledge_all(now, call, id, out);
        }
    }
}

/// Whether a request fits its leg, and what it changes there.
fn receive_on(leg: &mut Leg, request: &Request, live: bool) -> Result<(), Status> {
    let gone = Err(Status::CALL_DOES_NOT_EXIST);
    let notify_after_bye = live && leg.notifies && request.method == Method::Notify;
    let open = match leg.state {
        LegState::Up | LegState::Leaving => true,
        LegState::Calling | LegState::Challenged | LegState::Cancelled => leg.dialog.is_some(),
        LegState::Over => notify_after_bye,
    };
    let Some(dialog) = leg.dialog.as_mut().filter(|_| open) else { return gone };
    let from_tag = request.headers.from_tag().unwrap_or_default();
    if from_tag != dialog.remote_tag || request.headers.get(&HeaderName::CallId) != Some(&leg.call_id) {
        return gone;
    }
    let number = request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
    if !dialog.accept_cseq(number) {
        return Err(Status::SERVER_INTERNAL_ERROR); // RFC 3261 §12.2.2: out of order
    }
    if refreshes_target(&request.method) {
        dialog.refresh(&request.headers);
    }
    if leg.state == LegState::Leaving && !matches!(request.method, Method::Bye | Method::Notify) {
        return gone;
    }
    if request.method == Method::Notify && ends_subscription(&request.headers) {
        leg.notifies = false;
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
    let credentials = actor.tenant.settings().directory.credentials(actor.agent.as_ref()?)?;
    let challenges = Challenge::parse_all(response.headers.get_all(&asked));
    let challenge = best_for(&challenges, &credentials.secret)?;
    let refused = sent.answered.contains(&challenge.realm) && !challenge.stale;
    let usable = !refused && sent.answered.len() < CHALLENGES_ANSWERED_MAX;
    usable.then(|| Answerable { challenge: challenge.clone(), field })
}

fn response_event(
    leg: LegId,
    transaction: TransactionId,
    method: &Method,
    answerable: bool,
    response: &Response,
) -> IncomingResponse {
    IncomingResponse {
        leg,
        transaction,
        method: method.as_str().to_owned(),
        status: response.status.code(),
        reason: response.reason.as_str().to_owned(),
        contacts: if response.status.is_redirection() { contacts(&response.headers) } else { Vec::new() },
        answerable,
        headers: visible(&response.headers),
        body: response.body.to_vec(),
    }
}

/// The URIs of the Contact fields, best first (RFC 3261 §8.1.3.4).
fn contacts(headers: &Headers) -> Vec<String> {
    let parse = |value: plugboard_sip::message::Value| NameAddr::parse(&value.to_text()?).ok();
    let mut found: Vec<NameAddr> = headers.list(&HeaderName::Contact).take(CONTACTS_MAX).filter_map(parse).collect();
    found.sort_by_key(|contact| Reverse(contact.priority()));
    found.iter().map(|contact| contact.uri.to_string()).collect()
}

/// The header fields that a guest may see.
fn visible(headers: &Headers) -> Vec<Header> {
    let shown = headers.iter().filter(|(name, _)| !is_hidden(name));
    shown.map(|(name, value)| Header { name: name.as_str().to_owned(), value: value.to_text_lossy().into() }).collect()
}

fn is_hidden(name: &HeaderName) -> bool {
    use HeaderName::*;
    matches!(
        name,
        Via | Route
            | RecordRoute
            | MaxForwards
            | From
            | To
            | CallId
            | CSeq
            | Contact
            | ContentLength
            | Authorization
            | ProxyAuthorization
            | WwwAuthenticate
            | ProxyAuthenticate
            | AuthenticationInfo
    )
}

impl From<transaction::FailureReason> for FailureReason {
    fn from(reason: transaction::FailureReason) -> Self {
        match reason {
            transaction::FailureReason::Timeout => FailureReason::TimedOut,
            transaction::FailureReason::Transport => FailureReason::Unreachable,
        }
    }
}
