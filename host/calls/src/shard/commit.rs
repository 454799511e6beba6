//! The commit of an event: what was staged becomes true, all of it, and then leaves.

use super::actor::{Actor, CallRef, Phase, Queued};
use super::answer;
use super::dialog::refreshes_target;
use super::job::{Finished, Subject};
use super::leg::{Farewell, Leg, LegState, Progress, Purpose, Sent};
use super::{Output, Owner, Shard};
use crate::contract::*;
use crate::effect::Effect;
use crate::limits::Limit;
use crate::logic::Breakdown;
use crate::record::Settled;
use crate::stage::Committed;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Method, Request, Status, Value};
use plugboard_sip::params::quote;
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::uri::SipUri;
use plugboard_sip::values::MaxForwards;
use std::time::Duration;

impl Shard {
    /// Takes a job back: commits what it staged, or deals with its breakdown. Says what became of it.
    pub fn finish(&mut self, now: Time, finished: Finished, out: &mut Vec<Output>) -> Settled {
        let Finished { subject, outcome, .. } = finished;
        let Subject { call, begun, state: state_before, queued, .. } = *subject;
        let Some(actor) = self.actors.get_mut(&call) else { return Settled::Overtaken };
        if actor.phase != begun {
            // The host ended the call while the guest was thinking.
            actor.state = state_before;
            self.decline(now, call, &queued.event, answer::busy("the call was ended"), out);
            return Settled::Overtaken;
        }
        let handled = outcome.is_ok();
        let outcome = outcome.and_then(|committed| admit(now, actor, state_before.is_none(), committed));
        match outcome {
            Ok(committed) => {
                self.commit(now, call, state_before, &queued, committed, out);
                Settled::Committed
            }
            Err(breakdown) => {
                actor.state = state_before;
                self.broke_down(now, call, queued, breakdown, out);
                if handled { Settled::Refused } else { Settled::Broken }
            }
        }
    }

    fn commit(
        &mut self,
        now: Time,
        call: CallRef,
        state_before: Option<Vec<u8>>,
        queued: &Queued,
        committed: Committed,
        out: &mut Vec<Output>,
    ) {
        let event = &*queued.event;
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let counters = &actor.tenant.counters;
        counters.events_committed.add();
        match (state_before.is_some(), committed.state.is_some()) {
            (false, true) => {
                counters.calls_placed.add();
                counters.calls_up.add();
            }
            (true, false) if actor.is_live() => counters.calls_up.subtract(),
            _ => {}
        }
        actor.breakdowns = 0;
        actor.state = committed.state;
        actor.hops = queued.hops();
        actor.next_leg = committed.next_leg;
        actor.next_transaction = actor.next_transaction.max(committed.next_transaction);
        if let Event::Ending(reason) = event
            && actor.state.is_some()
        {
            let reason = *reason;
            self.apply_all(now, call, committed.effects, out);
            self.end_by_host(now, call, reason, out);
            return;
        }
        let ignored = ignored_invite(event, &committed.effects);
        self.apply_all(now, call, committed.effects, out);
        self.settle_challenge(call, event);
        if let Some(transaction) = ignored {
            self.answer_owed(now, call, transaction, Status::NOT_ACCEPTABLE_HERE, out);
        }
        if self.actors.get(&call).is_some_and(|actor| actor.state.is_none()) {
            self.close(now, call, out);
        }
    }

    fn apply_all(&mut self, now: Time, call: CallRef, effects: Vec<Effect>, out: &mut Vec<Output>) {
        for effect in effects {
            self.apply(now, call, effect, out);
        }
        if let Some(actor) = self.actors.get_mut(&call) {
            actor.hops = MaxForwards::DEFAULT;
        }
    }

    /// One effect. Ids were checked when it was staged; what the network has changed since then makes an effect void.
    fn apply(&mut self, now: Time, call: CallRef, effect: Effect, out: &mut Vec<Output>) {
        match effect {
            Effect::Call { leg, transaction, call_id, invite } => {
                self.open_leg(now, call, leg, transaction, call_id, invite, out);
            }
            Effect::Request { leg, transaction, method, headers, body } => {
                self.request_inside(now, call, leg, transaction, method, headers, body, out);
            }
            Effect::Ack { invite, headers, body } => self.acknowledge(now, call, invite, headers, body, out),
            Effect::AnswerChallenge { challenged, transaction } => {
                self.answer_challenge(now, call, challenged, transaction, out);
            }
            Effect::Cancel { invite } => self.cancel_reinvite(now, call, invite, out),
            Effect::Respond { transaction, status, reason, headers, body } => {
                self.respond(now, call, transaction, status, reason, headers, body, out);
            }
            Effect::Release { leg, transaction, headers } => {
                self.release(now, call, leg, Farewell { headers, transaction }, out);
            }
            Effect::HttpRespond { exchange, response } => self.answer_http(call, exchange, response, out),
            local => self.apply_local(now, call, local),
        }
    }

    /// The effects that touch nothing but the call's own tenant.
    fn apply_local(&mut self, now: Time, call: CallRef, effect: Effect) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        match effect {
            Effect::SetTimer { name, after_ms } => {
                let at = now + Duration::from_millis(after_ms);
                match actor.timers.iter_mut().find(|(n, _)| *n == name) {
                    Some(timer) => timer.1 = at,
                    None => actor.timers.push((name, at)),
                }
            }
            Effect::ClearTimer { name } => actor.timers.retain(|(n, _)| *n != name),
            Effect::ActAs { user } => actor.agent = Some(user.into()),
            Effect::CachePut { key, value, ttl_seconds } => {
                let expires = now + Duration::from_secs(u64::from(ttl_seconds));
                if actor.tenant.cache.put(&key, value, expires, now) > 0 {
                    actor.tenant.counters.limits.reached(Limit::CacheBytes);
                }
            }
            Effect::CacheRemove { key } => actor.tenant.cache.remove(&key),
            _ => {}
        }
    }

    #[allow(clippy::too_many_arguments)] // the fields of one effect
    fn open_leg(
        &mut self,
        now: Time,
        call: CallRef,
        id: LegId,
        transaction: TransactionId,
        call_id: String,
        invite: Invite,
        out: &mut Vec<Output>,
    ) {
        let local_tag = self.new_tag();
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if let Phase::EndedByHost { .. } = actor.phase {
            actor.phase = Phase::Live; // a new call under the key of the one that was ended
            actor.tenant.counters.calls_up.add();
        }
        let target = Text::from(invite.target);
        let mut leg = Leg::new(id, Value::from(call_id), target);
        leg.from = field(&invite.from, Some(&local_tag));
        leg.contact_user = contact_user(&invite.from);
        leg.local_tag = local_tag.clone();
        leg.to = match &invite.to {
            Some(to) => field(to, None),
            None => Value::from(["<", &*leg.target, ">"].concat()),
        };
        leg.session.wanted = actor.tenant.settings().session_expires_seconds;
        let mut request = leg.opening(invite.headers, invite.body);
        request.headers.push(HeaderName::Supported, Value::from_static("replaces"));
        if !request.body.is_empty() {
            // Without an offer of ours a reliable provisional response may carry one, whose answer the PRACK wants at
            // once (RFC 3262 §5). Call logic may have none yet, so none is asked for.
            request.headers.push(HeaderName::Supported, Value::from_static("100rel"));
        }
        leg.session.ask(&mut request);
        let next_hop = first_hop(&mut request, actor.tenant.settings().outbound_proxy.as_ref());
        actor.legs.reserve_exact(1); // most calls have one leg or two
        actor.legs.push(leg);
        self.dialogs.insert(local_tag, (call, id));
        self.start(now, Owner { call, transaction }, id, request, next_hop, Purpose::Guest, out);
    }

    #[allow(clippy::too_many_arguments)] // the fields of one effect
    fn request_inside(
        &mut self,
        now: Time,
        call: CallRef,
        leg: LegId,
        transaction: TransactionId,
        method: String,
        mut headers: Vec<Header>,
        body: Vec<u8>,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let usable = actor.leg_mut(leg).filter(|leg| leg.has_dialog());
        let made = usable.zip(Method::named(&method));
        let made = made.and_then(|(leg, method)| {
            leg.refers.to_peer(&mut headers);
            let (mut request, next_hop) = leg.inside(method, None, headers)?;
            if request.method == Method::Refer {
                leg.refers.sent(transaction, leg.local_cseq);
            }
            request.body = body.into();
            if refreshes_target(&request.method) {
                leg.session.ask(&mut request); // what refreshes the target refreshes the session (RFC 4028 §7.1)
            }
            Some((request, next_hop))
        });
        match made {
            Some((request, next_hop)) => {
                let owner = Owner { call, transaction };
                self.start(now, owner, leg, request, Some(next_hop), Purpose::Guest, out);
            }
            // The peer hung up in the meantime, or its target is no place to send to.
            None => {
                let event = Event::Failure { leg, transaction, method, reason: FailureReason::Unreachable };
                self.enqueue(now, call, Queued::new(event), out);
            }
        }
    }

    /// A challenge that the guest let pass is the end of its request, and of a leg that it was to open.
    fn settle_challenge(&mut self, call: CallRef, event: &Event) {
        // The challenge may come in while the event of a provisional response is under way: that one lets nothing pass.
        let Event::Response(response) = event else { return };
        if !response.answerable {
            return;
        }
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let ignored = |sent: &&mut Sent| matches!(sent.progress, Progress::Challenged(_));
        if actor.sent_mut(response.transaction).filter(ignored).is_some() {
            actor.take_sent(response.transaction);
            if let Some(leg) = actor.leg_mut(response.leg)
                && leg.state == LegState::Challenged
            {
                leg.state = LegState::Over;
            }
        }
    }
}

/// The INVITE of a peer that wants to open a leg, when its event has left it without a word.
fn ignored_invite(event: &Event, effects: &[Effect]) -> Option<TransactionId> {
    let Event::Replacement { transaction, .. } = event else { return None };
    let answers =
        |effect: &Effect| matches!(effect, Effect::Respond { transaction: answered, .. } if answered == transaction);
    (!effects.iter().any(answers)).then_some(*transaction)
}

/// Whether a call may come up at all, now that the guest wants it to.
fn admit(now: Time, actor: &Actor, new: bool, committed: Committed) -> Result<Committed, Breakdown> {
    if new && committed.state.is_some() {
        actor.tenant.place(now).map_err(|limit| Breakdown::Limit(limit.name()))?;
    }
    Ok(committed)
}

/// The first hop of a request outside a dialog (RFC 3261 §8.1.2): the tenant's proxy, or the target itself. A proxy
/// that is a loose router is named in a Route, any other is simply sent to.
fn first_hop(request: &mut Request, proxy: Option<&SipUri>) -> Option<NextHop> {
    match proxy {
        Some(proxy) => {
            if proxy.is_loose() {
                request.headers.insert_first(HeaderName::Route, format!("<{proxy}>"));
            }
            NextHop::of(proxy)
        }
        None => NextHop::of(&SipUri::parse(&request.uri).ok()?),
    }
}

/// An address as From and To carry it.
fn field(address: &Address, tag: Option<&str>) -> Value {
    let name = address.display_name.as_ref().map(|name| quote(name) + " ").unwrap_or_default();
    let [tag_is, tag] = tag.map_or(["", ""], |tag| [";tag=", tag]);
    Value::from([&*name, "<", &*address.uri, ">", tag_is, tag].concat())
}

fn contact_user(address: &Address) -> Option<Text> {
    SipUri::parse(&Text::from(&*address.uri)).ok()?.user
}
