//! One call as an actor: its state, its legs, and the events that wait for it.

use super::leg::{Leg, LegState, Owed, Progress, Purpose, Sent};
use crate::contract::*;
use crate::history::{History, What};
use crate::logic::{Credentials, Logic};
use crate::stage::{LegView, View};
use crate::tenant::Tenant;
use plugboard_sip::message::{Method, Request};
use plugboard_sip::time::Time;
use plugboard_sip::values::MaxForwards;
use std::collections::VecDeque;
use std::sync::Arc;

/// Names one actor of a shard; never used again after the actor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallRef(pub(super) u64);

impl CallRef {
    /// No call.
    pub(super) const NONE: CallRef = CallRef(0);

    #[cfg(test)]
    pub(crate) fn for_test(number: u64) -> Self {
        Self(number)
    }
}

/// The bit that tells ids of received requests from those of sent ones.
const INCOMING: u32 = 1 << 31;
/// The bit that tells ids of the host's own requests.
const OWN: u32 = 1 << 30;

/// One call.
pub(super) struct Actor {
    pub tenant: Arc<Tenant>,
    pub key: CallKey,
    /// The version that the call is pinned to.
    pub logic: Arc<dyn Logic>,
    pub phase: Phase,
    /// What the guest returned last; lent to the job while one runs.
    pub state: Option<Vec<u8>>,
    /// The user that the call acts for.
    pub agent: Option<Arc<str>>,
    pub queue: VecDeque<Queued>,
    /// A job of this call is under way.
    pub running: bool,
    /// Breakdowns since the last committed event.
    pub breakdowns: u32,
    /// No event before this time: the last one broke down and is tried again then.
    pub retry_at: Option<Time>,
    pub legs: Vec<Leg>,
    pub sent: Vec<Sent>,
    pub owed: Vec<Owed>,
    pub exchanges: Vec<ExchangeId>,
    pub timers: Vec<(String, Time)>,
    pub next_leg: u32,
    pub incoming: u32,
    /// Legs that peers opened, in number.
    pub incoming_legs: u32,
    pub own: u32,
    pub next_transaction: u32,
    /// How many hops the requests may take that are being committed.
    pub hops: MaxForwards,
    pub history: History,
    pub since: Time,
    /// When the last event began.
    pub last_event: Time,
    /// Events that were begun, in number.
    pub begun: u64,
    /// The entry of this actor in the shard's schedule: when something is due, or earlier.
    pub wake: Option<Time>,
}

/// The life of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The guest decides.
    Live,
    /// The host had to end it; kept with its last good state, so that it can be reported, until the time is up.
    EndedByHost { reason: EndingReason, until: Time },
    /// The guest is done with it; the host sees the last BYEs and CANCELs through.
    Closing,
}

/// An event that waits.
pub(super) struct Queued {
    /// Shared with the journal.
    pub event: Arc<Event>,
    pub principal: Principal,
    pub origin: Origin,
}

/// What an event goes back to, beyond what the guest is told of it.
pub(super) enum Origin {
    /// An HTTP request, with the tenant and the version that were live when it came: it is theirs when the call that
    /// it waits for ends before it is heard.
    Http(Arc<Tenant>, Arc<dyn Logic>),
    /// A SIP request that could take this many hops more (RFC 3261 §20.22).
    Sip(MaxForwards),
    /// A response, a timer or the host itself.
    Other,
}

impl Queued {
    /// An event of the network, of time or of the host.
    pub fn new(event: Event) -> Self {
        Self { event: Arc::new(event), principal: Principal::Network, origin: Origin::Other }
    }

    /// How many hops the requests may take that come of it: one less than the request that caused it, so that a
    /// request which call logic brings back to where it came from dies out (RFC 7332). A BYE ends a dialog and cannot
    /// go round; what it causes must arrive.
    ///
    /// Max-Breadth (RFC 5393 §5) bounds how many branches a proxy may open at once. Here each request has one target,
    /// and `effects_per_event` bounds them.
    pub fn hops(&self) -> MaxForwards {
        match (&self.origin, &*self.event) {
            (_, Event::Request { method, .. }) if method == Method::Bye.as_str() => MaxForwards::DEFAULT,
            (Origin::Sip(MaxForwards(hops)), _) => MaxForwards(hops.saturating_sub(1)).min(MaxForwards::DEFAULT),
            (Origin::Http(..) | Origin::Other, _) => MaxForwards::DEFAULT,
        }
    }
}

impl Actor {
    pub fn new(tenant: Arc<Tenant>, key: CallKey, logic: Arc<dyn Logic>, since: Time) -> Self {
        Self {
            tenant,
            key,
            logic,
            phase: Phase::Live,
            state: None,
            agent: None,
            queue: VecDeque::new(),
            running: false,
            breakdowns: 0,
            retry_at: None,
            legs: Vec::new(),
            sent: Vec::new(),
            owed: Vec::new(),
            exchanges: Vec::new(),
            timers: Vec::new(),
            next_leg: 1,
            incoming: 0,
            incoming_legs: 0,
            own: 0,
            next_transaction: 1,
            hops: MaxForwards::DEFAULT,
            history: History::default(),
            since,
            last_event: since,
            begun: 0,
            wake: None,
        }
    }

    pub fn leg(&self, id: LegId) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    pub fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    pub fn sent_mut(&mut self, id: TransactionId) -> Option<&mut Sent> {
        self.sent.iter_mut().find(|sent| sent.id == id)
    }

    pub fn take_sent(&mut self, id: TransactionId) -> Option<Sent> {
        let at = self.sent.iter().position(|sent| sent.id == id)?;
        Some(take(&mut self.sent, at))
    }

    pub fn take_owed(&mut self, id: TransactionId) -> Option<Owed> {
        let at = self.owed.iter().position(|owed| owed.id == id)?;
        Some(take(&mut self.owed, at))
    }

    pub fn new_transaction(&mut self) -> TransactionId {
        self.next_transaction += 1;
        TransactionId(self.next_transaction - 1)
    }

    /// What answers challenges in the name of its agent, if anything does.
    pub fn credentials(&self) -> Option<Credentials> {
        self.tenant.settings().directory.credentials(self.agent.as_deref()?)
    }

    /// An id for a request of the peer. From a range of its own, so that it cannot meet those that a job under way
    /// gives out.
    pub fn new_incoming(&mut self) -> TransactionId {
        self.incoming += 1;
        TransactionId(INCOMING | self.incoming)
    }

    /// An id for a leg that a peer opens, likewise.
    pub fn new_incoming_leg(&mut self) -> LegId {
        self.incoming_legs += 1;
        LegId(LegId::INCOMING | self.incoming_legs)
    }

    /// An id for a request that the host sends of its own accord; likewise from a range of its own.
    pub fn new_own(&mut self) -> TransactionId {
        self.own += 1;
        TransactionId(OWN | self.own)
    }

    /// Whether an INVITE is in progress inside the dialog of a leg, in either direction (RFC 3261 §14.1).
    pub fn is_inviting(&self, leg: LegId) -> bool {
        self.inviting().any(|(on, _)| on == leg)
    }

    /// The INVITEs in progress inside dialogs.
    fn inviting(&self) -> impl Iterator<Item = (LegId, TransactionId)> {
        let invite = |request: &Request| request.method == Method::Invite;
        let ours = self.sent.iter().filter(move |sent| invite(&sent.request)).map(|sent| (sent.leg, sent.id));
        let theirs = self.owed.iter().filter(move |owed| invite(&owed.request)).map(|owed| (owed.leg, owed.id));
        ours.chain(theirs)
    }

    pub fn note(&mut self, now: Time, leg: LegId, outgoing: bool, what: What) {
        self.history.note(now, leg, outgoing, what);
    }

    /// Whether events of the network and of timers still go to the guest.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// Whether an event of it is under way, or waits for nothing but its turn.
    pub fn has_work(&self) -> bool {
        self.running || (!self.queue.is_empty() && self.retry_at.is_none())
    }

    /// Whether every leg is over and nothing is owed to anyone.
    pub fn is_settled(&self) -> bool {
        !self.running
            && self.queue.is_empty()
            && self.owed.is_empty()
            && self.exchanges.is_empty()
            && self.legs.iter().all(|leg| leg.state == LegState::Over)
    }

    /// The next time at which something is due by itself.
    pub fn next_due(&self) -> Option<Time> {
        let timers = self.timers.iter().map(|(_, at)| *at);
        let acks = self.sent.iter().filter_map(|sent| match sent.progress {
            Progress::Unacknowledged { give_up, .. } => Some(give_up),
            _ => None,
        });
        let end = match self.phase {
            Phase::EndedByHost { until, .. } => Some(until),
            _ => None,
        };
        let up = self.legs.iter().filter(|leg| leg.state == LegState::Up);
        let sessions = up.filter_map(|leg| leg.session.next_due());
        timers.chain(acks).chain(end).chain(self.retry_at).chain(sessions).chain(self.idle_until()).min()
    }

    /// When the call is given up, if nothing can happen to it any more but a request that names it.
    pub fn idle_until(&self) -> Option<Time> {
        let is_idle = self.is_live() && self.timers.is_empty() && self.is_settled();
        is_idle.then(|| self.last_event + self.tenant.settings().limits.idle_call_time())
    }

    /// What an event may refer to.
    pub fn view(&self, event: &Event) -> View {
        let leg_view = |leg: &Leg| LegView { id: leg.id, dialog: leg.has_dialog(), released: leg.is_released() };
        let mut view = View {
            legs: self.legs.iter().filter(|leg| leg.state != LegState::Over).map(leg_view).collect(),
            owed: self.owed.iter().map(|owed| owed.id).collect(),
            exchanges: self.exchanges.iter().copied().collect(),
            pending: self.sent.len(),
            timers: self.timers.len(),
            inviting: self.inviting().collect(),
            next_leg: self.next_leg,
            incoming_legs: self.incoming_legs,
            next_transaction: self.next_transaction,
            ..View::default()
        };
        for sent in self.sent.iter().filter(|sent| sent.purpose == Purpose::Guest) {
            match &sent.progress {
                Progress::Unacknowledged { .. } => view.unacknowledged.push(sent.id),
                Progress::Pending(_) | Progress::Resolving if self.is_reinvite(sent) => view.cancellable.push(sent.id),
                Progress::Challenged(_) if is_answer_to(event, sent.id) => view.challenged.push((sent.id, sent.leg)),
                _ => {}
            }
        }
        view
    }

    fn is_reinvite(&self, sent: &Sent) -> bool {
        sent.request.method == Method::Invite && self.leg(sent.leg).is_some_and(|leg| leg.state == LegState::Up)
    }
}

/// Adds to one of the short lists of a call: as a rule the only element, and all that room is made for. There are many
/// calls, and most of them wait.
pub(super) fn add<T>(list: &mut Vec<T>, element: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(element);
}

/// Takes from such a list. One that is empty keeps no room.
pub(super) fn take<T>(list: &mut Vec<T>, at: usize) -> T {
    let element = list.swap_remove(at);
    if list.is_empty() {
        *list = Vec::new();
    }
    element
}

fn is_answer_to(event: &Event, id: TransactionId) -> bool {
    matches!(event, Event::Response(response) if response.transaction == id)
}
