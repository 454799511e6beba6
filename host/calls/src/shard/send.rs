//! Requests on their way out: next hop, lookup, Contact, and what becomes of those that cannot be sent.

use super::actor::{CallRef, Queued, add};
use super::credentials::Answered;
use super::face::{Way, is_secure};
use super::failover::Road;
use super::leg::{LegState, Progress, Purpose, Sent, cseq};
use super::{Faces, LOOKUPS_MAX, LookupId, Output, Owner, Shard};
use crate::contract::*;
use crate::history::What;
use plugboard_sip::host::Host;
use plugboard_sip::locate::{NextHop, Target};
use plugboard_sip::message::{HeaderName, Headers, Method, Request};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::ClientId;
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::values::MaxForwards;

/// Largest request that goes by UDP when the peer may be reached by TCP, in bytes (RFC 3261 §18.1.1: the path's MTU is
/// not known).
const UDP_REQUEST_BYTES_MAX: usize = 1_300;
/// What a request gains on its way out at most, in bytes, besides our sent-by: start line, Via, Content-Length.
const VIA_BYTES: usize = 120;

/// What waits for the address of its next hop.
pub(super) enum Waiting {
    /// A request that starts a transaction.
    Request(Owner, NextHop),
    /// The ACK of a 2xx.
    Ack { client: ClientId, to_tag: Text, request: Box<Request>, next_hop: NextHop },
    /// A request whose answer nobody waits for. The layer repeats it until it has one.
    Nobody { request: Box<Request>, next_hop: NextHop },
}

impl Waiting {
    fn next_hop(&self) -> &NextHop {
        match self {
            Self::Request(_, next_hop) | Self::Ack { next_hop, .. } | Self::Nobody { next_hop, .. } => next_hop,
        }
    }
}

impl Shard {
    /// Starts a request of ours. Without a next hop it fails.
    #[allow(clippy::too_many_arguments)] // what is remembered of the request
    pub(super) fn start(
        &mut self,
        now: Time,
        owner: Owner,
        leg: LegId,
        mut request: Request,
        next_hop: Option<NextHop>,
        purpose: Purpose,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        if actor.hops != MaxForwards::DEFAULT {
            request.headers.set(HeaderName::MaxForwards, actor.hops.to_string());
        }
        let id = owner.transaction;
        let progress = Progress::Resolving;
        let sent = Sent {
            id,
            leg,
            request,
            next_hop: next_hop.clone(),
            progress,
            road: Road::default(),
            answered: Answered::default(),
            purpose,
            intervals_refused: 0,
        };
        add(&mut actor.sent, sent);
        self.dispatch_or_fail(now, owner, next_hop, out);
    }

    pub(super) fn dispatch_or_fail(
        &mut self,
        now: Time,
        owner: Owner,
        next_hop: Option<NextHop>,
        out: &mut Vec<Output>,
    ) {
        match next_hop {
            Some(next_hop) => self.dispatch(now, Waiting::Request(owner, next_hop), out),
            None => self.fail(now, owner, FailureReason::Unreachable, out),
        }
    }

    /// Sends what waits when its next hop is an address, or asks for its targets.
    pub(super) fn dispatch(&mut self, now: Time, waiting: Waiting, out: &mut Vec<Output>) {
        if let Some(target) = waiting.next_hop().target() {
            match self.destination(waiting.next_hop(), target) {
                Some(destination) => self.launch(now, waiting, destination, Road::default(), out),
                None => self.give_up(now, waiting, FailureReason::Unreachable, out),
            }
        } else if self.lookups.len() >= LOOKUPS_MAX {
            self.give_up(now, waiting, FailureReason::Refused, out);
        } else {
            self.next_lookup += 1;
            let lookup = LookupId(self.next_lookup);
            let (next_hop, seed) = (waiting.next_hop().clone(), self.chance.next_u64());
            self.lookups.insert(lookup, waiting);
            out.push(Output::Resolve { lookup, next_hop, seed });
        }
    }

    /// Takes the targets that a look-up found, the one to try first in front; none when it failed.
    pub fn resolved(&mut self, now: Time, lookup: LookupId, targets: &[Target], out: &mut Vec<Output>) {
        let Some(waiting) = self.lookups.remove(&lookup) else { return };
        let reached = targets.iter().filter_map(|target| {
            let destination = self.destination(waiting.next_hop(), *target)?;
            Some((*target, destination))
        });
        match Road::new(reached, self.way_of(&waiting)) {
            Some((first, road)) => self.launch(now, waiting, first, road, out),
            None => self.give_up(now, waiting, FailureReason::Unresolved, out),
        }
        self.pump(now, out);
    }

    /// The way that the dialog came for which something waits, when that goes there.
    fn way_of(&self, waiting: &Waiting) -> Option<&Way> {
        self.dialog_way(waiting).filter(|way| way.next_hop == *waiting.next_hop())
    }

    /// The way that the dialog came for which something waits.
    fn dialog_way(&self, waiting: &Waiting) -> Option<&Way> {
        let (call, leg) = match waiting {
            Waiting::Request(owner, _) => {
                let sent = self.actors.get(&owner.call)?.sent.iter().find(|sent| sent.id == owner.transaction)?;
                (owner.call, sent.leg)
            }
            Waiting::Ack { request, .. } | Waiting::Nobody { request, .. } => {
                *self.dialogs.get(&request.headers.from_tag()?)?
            }
        };
        self.actors.get(&call)?.leg(leg)?.way.as_ref()
    }

    /// Sends what waits on this path. A request may take the rest of the road later.
    fn launch(&mut self, now: Time, waiting: Waiting, first: Destination, road: Road, out: &mut Vec<Output>) {
        match waiting {
            Waiting::Request(owner, next_hop) => {
                let Some(actor) = self.actors.get_mut(&owner.call) else { return };
                let Some(sent) = actor.sent_mut(owner.transaction) else { return };
                sent.road = road;
                self.launch_request(now, owner, next_hop, first, out);
            }
            Waiting::Ack { client, to_tag, request, next_hop } => {
                let destination = self.for_ack(&request, first);
                // A failure costs no more than a lost ACK: the peer repeats its 2xx.
                let _ = self.layer.acknowledge(now, client, &to_tag, *request, destination, &mut self.layer_outputs);
                self.pump_to(now, destination, &next_hop.domain, out);
            }
            Waiting::Nobody { request, next_hop } => {
                let nobody = Owner { call: CallRef::NONE, transaction: TransactionId::default() };
                let _ = self.layer.send(now, *request, first, nobody, &mut self.layer_outputs);
                self.pump_to(now, first, &next_hop.domain, out);
            }
        }
    }

    /// The path to a target. A URI that asks for no transport may be reached by TCP where UDP is off.
    pub(super) fn destination(&self, next_hop: &NextHop, target: Target) -> Option<Destination> {
        let by_tcp = || {
            let any = next_hop.transport.is_none() && target.transport == Transport::Udp;
            self.faces.toward(Transport::Tcp, target.address).filter(|_| any)
        };
        self.faces.toward(target.transport, target.address).or_else(by_tcp)
    }

    pub(super) fn launch_request(
        &mut self,
        now: Time,
        owner: Owner,
        next_hop: NextHop,
        mut destination: Destination,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        let Some(sent) = actor.sent.iter_mut().find(|sent| sent.id == owner.transaction) else { return };
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == sent.leg) else { return };
        sent.road.by_udp = None;
        if leg.takes_tcp != Some(false)
            && let Some(by_tcp) = for_its_size(&self.faces, &sent.request, destination)
        {
            leg.takes_tcp = Some(true);
            sent.road.by_udp = Some(std::mem::replace(&mut destination, by_tcp));
        }
        if sent.request.method == Method::Invite {
            leg.way = Some(Way { next_hop: next_hop.clone(), destination });
        }
        self.transmit(now, owner, destination, &next_hop.domain, out);
    }

    fn transmit(&mut self, now: Time, owner: Owner, destination: Destination, domain: &Host, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        let Some(sent) = actor.sent.iter_mut().find(|sent| sent.id == owner.transaction) else { return };
        let leg = actor.legs.iter().find(|leg| leg.id == sent.leg);
        if carries_contact(&sent.request.method)
            && let Some(face) = self.faces.get(destination.local)
        {
            let user = leg.and_then(|leg| leg.contact_user.as_deref());
            sent.request.headers.set(HeaderName::Contact, face.contact(user, is_secure(&sent.request)));
        }
        let (leg, method) = (sent.leg, sent.request.method.clone());
        match self.layer.send(now, &sent.request, destination, owner, &mut self.layer_outputs) {
            Ok(client) => {
                sent.progress = Progress::Pending(client);
                actor.note(now, leg, true, What::Request(method));
                self.pump_to(now, destination, domain, out);
            }
            Err(_) => self.fail(now, owner, FailureReason::Refused, out),
        }
    }

    /// As [`Shard::pump`], and what leaves for this destination is for this domain alone.
    pub(super) fn pump_to(&mut self, now: Time, to: Destination, to_domain: &Host, out: &mut Vec<Output>) {
        let before = out.len();
        self.pump(now, out);
        for output in out.iter_mut().skip(before).filter(|_| to.transport.is_secure()) {
            if let Output::Transmit { destination, domain, .. } = output
                && *destination == to
            {
                *domain = Some(to_domain.clone());
            }
        }
    }

    /// Sends by UDP what went by TCP for its size and found nobody there. Whether it did.
    pub(super) fn send_by_udp(&mut self, now: Time, owner: Owner, out: &mut Vec<Output>) -> bool {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return false };
        let Some(sent) = actor.sent.iter_mut().find(|sent| sent.id == owner.transaction) else { return false };
        let Some(destination) = sent.road.by_udp.take() else { return false };
        let Some(leg) = actor.legs.iter_mut().find(|leg| leg.id == sent.leg) else { return false };
        leg.takes_tcp = Some(false);
        if leg.state == LegState::Cancelled && sent.request.method == Method::Invite {
            return false; // given up before it left
        }
        if sent.request.method == Method::Invite
            && let Some(way) = &mut leg.way
        {
            way.destination = destination;
        }
        let domain = sent.next_hop.as_ref().map(|next_hop| next_hop.domain.clone());
        let Some(domain) = domain else { return false };
        self.transmit(now, owner, destination, &domain, out);
        true
    }

    /// The path of an ACK of a 2xx. It cannot be tried again by UDP, so for its size it changes only to a peer that
    /// has taken something by TCP.
    fn for_ack(&self, ack: &Request, destination: Destination) -> Destination {
        let owner = ack.headers.from_tag().and_then(|tag| self.dialogs.get(&tag));
        let leg = owner.and_then(|(call, id)| self.actors.get(call)?.legs.iter().find(|leg| leg.id == *id));
        let takes_tcp = leg.is_some_and(|leg| leg.takes_tcp == Some(true));
        for_its_size(&self.faces, ack, destination).filter(|_| takes_tcp).unwrap_or(destination)
    }

    fn give_up(&mut self, now: Time, waiting: Waiting, reason: FailureReason, out: &mut Vec<Output>) {
        match waiting {
            Waiting::Request(owner, _) => self.fail(now, owner, reason, out),
            // Whoever waits for an ACK repeats its 2xx, and nothing is looked up again for that: better by the way that
            // the INVITE went than by none.
            Waiting::Ack { .. } => {
                if let Some(destination) = self.dialog_way(&waiting).map(|way| way.destination) {
                    self.launch(now, waiting, destination, Road::default(), out);
                }
            }
            Waiting::Nobody { .. } => {} // as if it had been lost
        }
    }

    /// A request of ours got no response and will get none (RFC 3261 §8.1.3.1).
    pub(super) fn fail(&mut self, now: Time, owner: Owner, reason: FailureReason, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&owner.call) else { return };
        let Some(sent) = actor.take_sent(owner.transaction) else { return };
        if sent.purpose != Purpose::Guest {
            self.own_failed(now, owner.call, &sent, reason, out);
            self.reschedule(now, owner.call);
            return;
        }
        if let Some(leg) = actor.leg_mut(sent.leg) {
            let opening = sent.request.method == Method::Invite && leg.is_calling();
            if opening || sent.request.method == Method::Bye {
                leg.state = LegState::Over;
            }
        }
        if actor.is_live() {
            let method = sent.request.method.as_str().to_owned();
            let event = Event::Failure { leg: sent.leg, transaction: sent.id, method, reason };
            self.enqueue(now, owner.call, Queued::new(event), out);
        }
        self.reschedule(now, owner.call);
    }

    /// The guest's ACK of a 2xx to an INVITE (RFC 3261 §13.2.2.4): CSeq number and credentials are the INVITE's.
    pub(super) fn acknowledge(
        &mut self,
        now: Time,
        call: CallRef,
        invite: TransactionId,
        headers: Vec<Header>,
        body: Vec<u8>,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let unacknowledged = |sent: &&mut Sent| matches!(sent.progress, Progress::Unacknowledged { .. });
        if actor.sent_mut(invite).filter(unacknowledged).is_none() {
            return; // the leg was released in the meantime, with an ACK of the host
        }
        let Some(sent) = actor.take_sent(invite) else { return };
        let Progress::Unacknowledged { client, .. } = sent.progress else { return };
        let Some(leg) = actor.leg_mut(sent.leg) else { return };
        let number = sent.request.headers.cseq().ok().map(|cseq| cseq.number);
        let to_tag = leg.dialog.as_ref().map(|dialog| dialog.remote_tag.clone());
        let Some(((mut request, next_hop), to_tag)) = leg.inside(Method::Ack, number, headers).zip(to_tag) else {
            return;
        };
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in sent.request.headers.get_all(&name) {
                request.headers.push(name.clone(), value.clone());
            }
        }
        request.body = body.into();
        leg.described(&request.headers, &request.body);
        actor.note(now, sent.leg, true, What::Request(Method::Ack));
        self.dispatch(now, Waiting::Ack { client, to_tag, request: Box::new(request), next_hop }, out);
    }

    /// Repeats a challenged request with the credentials of the call's agent (RFC 3261 §22.2).
    pub(super) fn answer_challenge(
        &mut self,
        now: Time,
        call: CallRef,
        challenged: TransactionId,
        transaction: TransactionId,
        out: &mut Vec<Output>,
    ) {
        let cnonce = self.cnonce();
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let credentials = actor.credentials();
        let Some(mut sent) = actor.take_sent(challenged) else { return };
        let progress = std::mem::replace(&mut sent.progress, Progress::Resolving);
        let Progress::Challenged(answerable) = progress else { return };
        let Some(leg) = actor.leg_mut(sent.leg) else { return };
        sent.answered.answer(*answerable);
        sent.authorize(&mut leg.nonces, credentials.as_ref(), &cnonce);
        let request = &mut sent.request;
        let number = leg.next_cseq();
        request.headers.set(HeaderName::CSeq, cseq(number, &request.method));
        if request.method == Method::Refer {
            leg.refers.sent(transaction, number);
        }
        if leg.state == LegState::Challenged {
            leg.state = LegState::Calling;
        }
        let next_hop = sent.next_hop.clone();
        add(&mut actor.sent, Sent { id: transaction, ..sent });
        self.dispatch_or_fail(now, Owner { call, transaction }, next_hop, out);
    }

    pub(super) fn cnonce(&mut self) -> String {
        format!("{:016x}", self.chance.next_u64())
    }

    /// Cancels an INVITE inside a dialog (RFC 3261 §9.1).
    pub(super) fn cancel_reinvite(&mut self, now: Time, call: CallRef, invite: TransactionId, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if let Some(Sent { progress: Progress::Pending(client), leg, road, .. }) = actor.sent_mut(invite) {
            let (client, leg) = (*client, *leg);
            road.end();
            actor.note(now, leg, true, What::Request(Method::Cancel));
            self.layer.cancel(now, client, Headers::new(), &mut self.layer_outputs);
            self.pump(now, out);
        }
    }
}

/// The path by TCP for a request that is too large for UDP (RFC 3261 §18.1.1), when we have TCP.
fn for_its_size(faces: &Faces, request: &Request, destination: Destination) -> Option<Destination> {
    if destination.transport != Transport::Udp {
        return None;
    }
    let by_tcp = faces.toward(Transport::Tcp, destination.remote)?;
    let sent_by = faces.get(destination.local)?.sent_by().len();
    let contact = if carries_contact(&request.method) { sent_by } else { 0 };
    let fields = request.headers.iter().map(|(name, value)| name.as_str().len() + value.as_bytes().len() + 4);
    let size = request.uri.len() + fields.sum::<usize>() + request.body.len() + sent_by + contact + VIA_BYTES;
    (size > UDP_REQUEST_BYTES_MAX).then_some(by_tcp)
}

/// The requests whose Contact becomes or refreshes the peer's target, or must be there (RFC 3261 §20, table 2; RFC
/// 3515 §2.2; RFC 6665 §8.2).
fn carries_contact(method: &Method) -> bool {
    matches!(
        method,
        Method::Invite | Method::Update | Method::Refer | Method::Subscribe | Method::Notify | Method::Options
    )
}
