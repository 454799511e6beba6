//! A part of all calls, with the transactions and dialogs that belong to them.
//!
//! Whoever has something for a call tells the shard: a message ([`Shard::receive`]), an HTTP request
//! ([`Shard::http`]), the passing of time ([`Shard::poll`]). What the guest must decide waits in the call's queue;
//! [`Shard::next_ready`] and [`Shard::begin`] turn it into a [`Job`], which runs outside the shard so that a guest
//! that takes long holds up only its own call; [`Shard::finish`] commits it.
//!
//! The transaction layer and the dialogs follow the network at once, whatever the guest is doing. The guest hears of
//! it later, in order.

mod actor;
mod answer;
mod breakdown;
mod commit;
mod consultation;
mod credentials;
mod dialog;
mod face;
mod failover;
mod glare;
mod inspect;
mod job;
mod late;
mod leg;
mod marks;
mod moving;
mod outside;
mod own;
mod receive;
mod refers;
mod refresh;
mod release;
mod replaces;
mod schedule;
mod send;
mod session;
#[cfg(test)]
mod tests;
mod told;

pub(crate) use told::OWN_OPTION_TAGS;

pub use actor::CallRef;
pub use answer::{broken, over, plain};
pub use consultation::{OtherEnd, consultation};
pub use face::{Face, Faces, Way};
pub use inspect::{CallSummary, LegSummary};
pub use job::{Finished, Job};
pub use marks::{may_belong, shard_of};
pub use moving::{Move, MoveError, Moved};
pub use replaces::replaced_tag;

use crate::chance::Chance;
use crate::contract::*;
use crate::history::History;
use crate::limits::Limit;
use crate::logic::Logic;
use crate::tenant::Tenant;
use actor::{Actor, Origin, Phase, Queued};
use bytes::Bytes;
use foldhash::fast::RandomState;
use leg::Progress;
use marks::mark;
use plugboard_sip::host::Host;
use plugboard_sip::locate::{NextHop, Target};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{
    Config, FailureReason as LayerFailure, Layer, Output as LayerOutput, SentBy, ServerId, TableLimits, TimerValues,
};
use plugboard_sip::transport::Destination;
use schedule::Schedule;
use send::Waiting;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Actors of one shard, in number: calls that are up, and those whose last BYE is on its way.
pub const ACTORS_MAX: usize = 262_144;
/// Name look-ups of one shard under way, in number.
pub const LOOKUPS_MAX: usize = 4_096;
/// Calls remembered after they are over, per shard, in number, for the ladder.
pub const ENDED_MAX: usize = 256;

/// What a shard is made with.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is. The ids it puts on the wire carry it, so that answers find their way back.
    pub index: u8,
    /// Our addresses.
    pub faces: Faces,
    /// The base values of the SIP timers.
    pub timers: TimerValues,
    /// The shard's chance.
    pub seed: u64,
}

/// What is to be done outside, in this order. Nothing here was staged by an event that is not committed.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send these bytes. When that fails, say so with [`Shard::transport_failed`].
    Transmit {
        /// Where to.
        destination: Destination,
        /// Over TLS: who the peer must prove to be before it gets them. `None` for what follows from an earlier
        /// message and goes by its connection.
        domain: Option<Host>,
        /// The message.
        bytes: Bytes,
        /// The client transaction that is to know when it fails.
        client: Option<plugboard_sip::transaction::ClientId>,
    },
    /// Find the targets of a next hop that is a name, and say so with [`Shard::resolved`].
    Resolve {
        /// Comes back with the answer.
        lookup: LookupId,
        /// What to look up.
        next_hop: NextHop,
        /// Draws among servers by their weight.
        seed: u64,
    },
    /// A target that was looked up failed: others are to be tried before it for a while.
    Avoid {
        /// The target.
        target: Target,
        /// For how long.
        time: Duration,
    },
    /// Answer an HTTP request.
    HttpRespond {
        /// The request.
        exchange: ExchangeId,
        /// The answer.
        response: HttpResponse,
    },
}

/// Names a look-up under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId(u64);

/// An HTTP request for a call.
pub struct Arrival {
    /// The tenant that was asked.
    pub tenant: Arc<Tenant>,
    /// The tenant's live version; a call in progress keeps its own.
    pub logic: Arc<dyn Logic>,
    /// What `route` answered.
    pub key: CallKey,
    /// Who asks.
    pub principal: Principal,
    /// Comes back with the answer.
    pub exchange: ExchangeId,
    /// The request.
    pub request: HttpRequest,
}

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// Requests of the network outside any dialog, answered without a call.
    pub requests_outside: u64,
    /// Of those, the ones that name a dialog which is not there.
    pub without_dialog: u64,
    /// Responses to nothing that we have sent.
    pub stray_responses: u64,
    /// ACKs and CANCELs of nothing, and requests for which there was no room.
    pub stray_requests: u64,
    /// 2xx to INVITEs that nobody waited for, of further forks or too late: acknowledged and ended with a BYE.
    pub forks_ended: u64,
    /// Requests that were sent on to another target because one failed.
    pub sent_elsewhere: u64,
}

/// What a client transaction belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Owner {
    call: CallRef,
    transaction: TransactionId,
}

/// A call that is over, for those who ask what happened.
struct Ended {
    summary: CallSummary,
    history: History,
}

/// A part of all calls.
pub struct Shard {
    index: u8,
    faces: Faces,
    layer: Layer<Owner>,
    /// What the layer said and nobody has looked at yet.
    layer_outputs: Vec<LayerOutput<Owner>>,
    /// Room for the same, used in turn.
    layer_room: Vec<LayerOutput<Owner>>,
    actors: HashMap<CallRef, Box<Actor>, RandomState>,
    by_key: HashMap<(Arc<str>, CallKey), CallRef, RandomState>,
    /// Dialogs by our tag.
    dialogs: HashMap<Text, (CallRef, LegId), RandomState>,
    servers: HashMap<ServerId, (CallRef, LegId, TransactionId), RandomState>,
    lookups: HashMap<LookupId, Waiting, RandomState>,
    ready: VecDeque<CallRef>,
    /// When which actor wants to be looked at.
    schedule: Schedule,
    chance: Chance,
    /// What stands behind the `@` of Call-IDs.
    call_id_host: Arc<str>,
    next_call: u64,
    next_lookup: u64,
    ended: VecDeque<Ended>,
    /// The dialogs of unwanted 2xx that were ended last: our tag and the peer's.
    unwanted: VecDeque<(Text, Text)>,
    counters: ShardCounters,
}

impl Shard {
    /// A shard without calls.
    pub fn new(config: ShardConfig) -> Self {
        let mut chance = Chance::new(config.seed);
        let mut seed = [0; 16];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&chance.next_u64().to_le_bytes());
        }
        let sent_by = |face: &Face| SentBy { host: face.host.clone(), port: Some(face.port) };
        let layer = Layer::new(Config {
            timers: config.timers,
            sent_by: config.faces.all().iter().map(sent_by).collect(),
            branch_prefix: Text::from(mark(config.index)),
            seed,
            limits: TableLimits::default(),
        });
        let call_id_host = config.faces.all().first().map(|face| face.host.to_string()).unwrap_or_default();
        Self {
            index: config.index,
            call_id_host: call_id_host.into(),
            faces: config.faces,
            layer,
            layer_outputs: Vec::new(),
            layer_room: Vec::new(),
            actors: HashMap::default(),
            by_key: HashMap::default(),
            dialogs: HashMap::default(),
            servers: HashMap::default(),
            lookups: HashMap::default(),
            ready: VecDeque::new(),
            schedule: Schedule::default(),
            chance,
            next_call: 0,
            next_lookup: 0,
            ended: VecDeque::new(),
            unwanted: VecDeque::new(),
            counters: ShardCounters::default(),
        }
    }

    /// Takes an HTTP request. Its answer comes as [`Output::HttpRespond`], now or later, exactly once.
    pub fn http(&mut self, now: Time, arrival: Arrival, out: &mut Vec<Output>) {
        let Arrival { tenant, logic, key, principal, exchange, request } = arrival;
        if tenant.is_removed() {
            // It was removed while the request was on its way here.
            out.push(Output::HttpRespond { exchange, response: answer::busy("the tenant was removed") });
            return;
        }
        let name = (tenant.domain.clone(), key);
        let call = match self.by_key.get(&name) {
            Some(call) => *call,
            None if self.actors.len() >= ACTORS_MAX => {
                out.push(Output::HttpRespond { exchange, response: answer::busy("too many calls") });
                return;
            }
            None => self.admit(now, tenant.clone(), name, logic.clone()),
        };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if actor.phase != Phase::Live && same_schema(&*actor.logic, &*logic) {
            // What is left of a call that the host ended is reported by the logic that is live now.
            actor.logic = logic.clone();
        }
        actor.exchanges.push(exchange);
        let event = Arc::new(Event::Http { exchange, request });
        self.enqueue(now, call, Queued { event, principal, origin: Origin::Http(tenant, logic) }, out);
    }

    /// Forgets an HTTP request whose sender has gone or was told that it took too long.
    pub fn abandon(&mut self, now: Time, domain: &str, key: &CallKey, exchange: ExchangeId) {
        let Some(call) = self.by_key.get(&(domain.into(), key.clone())).copied() else { return };
        if let Some(actor) = self.actors.get_mut(&call) {
            actor.exchanges.retain(|open| *open != exchange);
            self.reschedule(now, call);
        }
    }

    /// The tenant of a call.
    pub fn tenant_of(&self, call: CallRef) -> Option<&Arc<Tenant>> {
        self.actors.get(&call).map(|actor| &actor.tenant)
    }

    /// Does what is due: retransmissions, timers of calls, limits of time.
    pub fn poll(&mut self, now: Time, out: &mut Vec<Output>) {
        self.layer.poll(now, &mut self.layer_outputs);
        self.pump(now, out);
        while let Some(call) = self.schedule.pop(now) {
            if let Some(actor) = self.actors.get_mut(&call) {
                actor.wake = None;
                self.actor_due(now, call, out);
                self.reschedule(now, call);
            }
        }
    }

    /// When [`Shard::poll`] is wanted next. May be earlier than what is due, never later.
    pub fn next_deadline(&mut self) -> Option<Time> {
        self.layer.next_deadline().into_iter().chain(self.schedule.earliest()).min()
    }

    /// A call that has an event waiting and none running; each is named once.
    pub fn next_ready(&mut self) -> Option<CallRef> {
        self.ready.pop_front()
    }

    /// Says that a message could not be sent.
    pub fn transport_failed(&mut self, now: Time, client: plugboard_sip::transaction::ClientId, out: &mut Vec<Output>) {
        self.layer.transport_failed(now, client, &mut self.layer_outputs);
        self.pump(now, out);
    }

    /// Says that there is no connection on which a message could be sent: nothing of it has left. What went by TCP
    /// only for its size goes by UDP then (RFC 3261 §18.1.1).
    pub fn connection_refused(
        &mut self,
        now: Time,
        client: plugboard_sip::transaction::ClientId,
        out: &mut Vec<Output>,
    ) {
        self.layer.transport_failed(now, client, &mut self.layer_outputs);
        for output in std::mem::take(&mut self.layer_outputs) {
            match output {
                LayerOutput::Failed { user, reason: LayerFailure::Transport, .. }
                    if self.send_by_udp(now, user, out) => {}
                other => self.layer_said(now, other, out),
            }
        }
        self.pump(now, out);
    }

    /// Ends a call: the guest hears `ending` and may say its last, then the host releases what is left. Whether there
    /// was such a call.
    pub fn end_call(
        &mut self,
        now: Time,
        domain: &str,
        key: &CallKey,
        reason: EndingReason,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(call) = self.by_key.get(&(domain.into(), key.clone())).copied() else { return false };
        self.end(now, call, reason, out);
        true
    }

    /// Ends all calls for which `which` says so.
    pub fn end_calls(
        &mut self,
        now: Time,
        reason: EndingReason,
        which: impl Fn(&Tenant, &Arc<dyn Logic>) -> bool,
        out: &mut Vec<Output>,
    ) {
        for call in self.calls_that(which) {
            self.end(now, call, reason, out);
        }
    }

    fn end(&mut self, now: Time, call: CallRef, reason: EndingReason, out: &mut Vec<Output>) {
        let event = Event::Ending(reason);
        self.enqueue(now, call, Queued::new(event), out);
    }

    fn admit(&mut self, now: Time, tenant: Arc<Tenant>, name: (Arc<str>, CallKey), logic: Arc<dyn Logic>) -> CallRef {
        self.next_call += 1;
        let call = CallRef(self.next_call);
        self.actors.insert(call, Box::new(Actor::new(tenant, name.1.clone(), logic, now)));
        self.by_key.insert(name, call);
        call
    }

    /// Whether the events of a call still go to its guest.
    fn is_live(&self, call: CallRef) -> bool {
        self.actors.get(&call).is_some_and(|actor| actor.is_live())
    }

    /// Puts an event into its call's queue, or gives the answer of a host that has no room for it.
    fn enqueue(&mut self, now: Time, call: CallRef, queued: Queued, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let full = || actor.queue.len() >= actor.tenant.settings().limits.events_queued_per_call;
        if answer::may_be_declined(&queued.event) && full() {
            actor.tenant.counters.events_dropped.add();
            actor.tenant.counters.limits.reached(Limit::EventsQueuedPerCall);
            self.decline(now, call, &queued.event, over(Limit::EventsQueuedPerCall), out);
            return;
        }
        actor.queue.push_back(queued);
        if !actor.running && actor.queue.len() == 1 && actor.retry_at.is_none() {
            self.ready.push_back(call);
        }
    }

    /// What an actor wanted to be woken for.
    fn actor_due(&mut self, now: Time, call: CallRef, out: &mut Vec<Output>) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if let Phase::EndedByHost { until, .. } = actor.phase
            && until <= now
        {
            self.close(now, call, out);
            return;
        }
        if actor.idle_until().is_some_and(|until| until <= now) {
            actor.tenant.counters.limits.reached(Limit::IdleCall);
            actor.tenant.counters.calls_up.subtract();
            self.close(now, call, out);
            return;
        }
        if actor.retry_at.is_some_and(|at| at <= now) {
            actor.retry_at = None;
            if !actor.running && !actor.queue.is_empty() {
                self.ready.push_back(call);
            }
        }
        let overdue =
            |sent: &leg::Sent| matches!(sent.progress, Progress::Unacknowledged { give_up, .. } if give_up <= now);
        if actor.sent.iter().any(overdue) {
            self.end_by_host(now, call, EndingReason::Unacknowledged, out);
            return;
        }
        self.sessions_due(now, call, out);
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let mut fired: Vec<(Time, String)> = Vec::new();
        actor.timers.retain_mut(|(name, at)| {
            let due = *at <= now;
            if due {
                fired.push((*at, std::mem::take(name)));
            }
            !due
        });
        fired.sort();
        for (_, name) in fired {
            let event = Event::Timer(name);
            self.enqueue(now, call, Queued::new(event), out);
        }
    }

    /// Keeps the schedule in step with what an actor waits for, and forgets the actor when nothing is left of it.
    fn reschedule(&mut self, now: Time, call: CallRef) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        if actor.has_work() {
            return; // what it waits for is about to change: `proceed` asks again once the event is over
        }
        // An actor that is to be looked at earlier stays so, and is put where it belongs then: most timers are set anew
        // before they go off.
        if let Some(due) = actor.next_due().filter(|due| actor.wake.is_none_or(|wake| *due < wake)) {
            if let Some(before) = actor.wake.replace(due) {
                self.schedule.remove(before, call);
            }
            self.schedule.insert(due, call);
        }
        if actor.phase == Phase::Closing && actor.is_settled() {
            self.forget(now, call);
        }
    }

    fn forget(&mut self, now: Time, call: CallRef) {
        let Some(actor) = self.actors.remove(&call) else { return };
        if let Some(wake) = actor.wake {
            self.schedule.remove(wake, call);
        }
        for leg in &actor.legs {
            self.dialogs.remove(&leg.local_tag);
        }
        if !actor.legs.is_empty() {
            while self.ended.len() >= ENDED_MAX {
                self.ended.pop_front();
            }
            self.ended.push_back(Ended { summary: inspect::summary(&actor, now), history: actor.history });
        }
    }
}

fn same_schema(one: &dyn Logic, other: &dyn Logic) -> bool {
    one.description().state_schema == other.description().state_schema
        && one.description().name == other.description().name
}
