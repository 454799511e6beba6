//! What a test does: it asks, answers, calls, waits and looks.

use std::collections::BTreeMap;

use super::desk::Desk;
use super::world::{Effect, Leg, LegState, Received, Sent, World};
use crate::controller::handle;
use crate::{
    CallKey, Context, Controller, EndingReason, Event, ExchangeId, FailureReason, Fault, Header, HttpArrival,
    HttpRequest, HttpResponse, Identity, IncomingAck, IncomingCancel, IncomingReplacement, IncomingRequest,
    IncomingResponse, LegId, Principal, Random, RequestFailure, Timestamp, TransactionId, codec,
};

/// A controller, its calls, and the network around them.
#[derive(Debug)]
pub struct Kit<C: Controller> {
    /// Who the next HTTP request comes from. Trusted at first.
    pub principal: Principal,
    /// Encoded states longer than this make the kit panic. 64 KiB at first.
    pub state_bytes_max: usize,
    domain: String,
    users: BTreeMap<String, Identity>,
    settings: BTreeMap<String, String>,
    cache: BTreeMap<String, (Vec<u8>, u64)>,
    calls: BTreeMap<String, Call>,
    current: String,
    now: u64,
    seeds: Random,
    next_exchange: u64,
    incarnations: u32,
    effects: Vec<Effect>,
    terminal: Option<Terminal<C>>,
}

type Terminal<C> = fn(&<C as Controller>::State) -> Option<String>;

#[derive(Debug, Default)]
struct Call {
    state: Option<Vec<u8>>,
    world: World,
    terminal: Option<String>,
    ended_by_host: Option<EndingReason>,
    incarnation: u32,
}

impl<C: Controller> Kit<C> {
    /// A tenant of this domain without users, at some time of day, with chance from a seed.
    pub fn new(domain: &str, seed: u64) -> Self {
        Self {
            principal: Principal::Trusted,
            state_bytes_max: 64 * 1024,
            domain: domain.to_string(),
            users: BTreeMap::new(),
            settings: BTreeMap::new(),
            cache: BTreeMap::new(),
            calls: BTreeMap::new(),
            current: String::new(),
            now: 1_259_114_103_000,
            seeds: Random::new(seed),
            next_exchange: 0,
            incarnations: 0,
            effects: Vec::new(),
            terminal: None,
        }
    }

    /// Adds a user, who can be found by name, by aliases and by address.
    pub fn user(&mut self, name: &str, display_name: &str, aliases: &[&str]) -> &mut Self {
        let address = format!("{name}@{}", self.domain);
        let display_name = (!display_name.is_empty()).then(|| display_name.to_string());
        let identity = Identity { address_of_record: format!("sip:{address}"), display_name };
        for known in aliases.iter().copied().chain([name, &address]) {
            self.users.insert(known.to_string(), identity.clone());
            self.users.insert(format!("{known}@{}", self.domain), identity.clone());
        }
        self
    }

    /// Sets what the operator tells the controller.
    pub fn setting(&mut self, name: &str, value: &str) -> &mut Self {
        self.settings.insert(name.to_string(), value.to_string());
        self
    }

    /// Says how to see the terminal status of a call in its state; the kit then checks that it never changes.
    pub fn watch(&mut self, terminal: Terminal<C>) -> &mut Self {
        self.terminal = Some(terminal);
        self
    }

    /// The key of the call that the phones are in.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// Milliseconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The state of the current call; none when it is over.
    pub fn state(&self) -> Option<C::State> {
        let bytes = self.calls.get(&self.current)?.state.as_deref()?;
        Some(codec::decode(C::SCHEMA, bytes).expect("the controller encoded it"))
    }

    /// The length of the encoded state of the current call, in bytes.
    pub fn state_bytes(&self) -> usize {
        self.calls.get(&self.current).and_then(|call| call.state.as_ref()).map_or(0, Vec::len)
    }

    /// What was done since the last time this was asked.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        core::mem::take(&mut self.effects)
    }

    /// The legs of the current call by number, those of its whole life.
    pub fn legs(&self) -> BTreeMap<u32, Leg> {
        self.calls.get(&self.current).map(|call| call.world.legs.clone()).unwrap_or_default()
    }

    /// The requests of the controller that got no final response, by transaction.
    pub fn open_requests(&self) -> Vec<(u32, Sent)> {
        let call = self.calls.get(&self.current);
        let sent = call.into_iter().flat_map(|call| call.world.sent.iter());
        sent.filter(|(_, sent)| sent.answered.is_none()).map(|(id, sent)| (*id, sent.clone())).collect()
    }

    /// The requests of the phones that got no final response: transaction, leg, method.
    pub fn unanswered(&self) -> Vec<(u32, u32, String)> {
        let call = self.calls.get(&self.current);
        let received = call.into_iter().flat_map(|call| call.world.received.iter());
        let open = received.filter(|(_, request)| request.answered.is_none_or(|status| status < 200));
        open.map(|(id, request)| (*id, request.leg, request.method.clone())).collect()
    }

    /// The leg of a transaction of the current call, whoever sent the request.
    pub fn leg_of(&self, transaction: u32) -> Option<u32> {
        let world = &self.calls.get(&self.current)?.world;
        let sent = world.sent.get(&transaction).map(|sent| sent.leg);
        sent.or_else(|| world.received.get(&transaction).map(|request| request.leg))
    }

    /// The final response that a request of a phone got.
    pub fn answer_to(&self, transaction: u32) -> Option<u16> {
        let call = self.calls.get(&self.current)?;
        call.world.received.get(&transaction)?.answered.filter(|status| *status >= 200)
    }

    /// The names of the timers that are set in the current call, with the time they go off.
    pub fn timers(&self) -> BTreeMap<String, u64> {
        self.calls.get(&self.current).map(|call| call.world.timers.clone()).unwrap_or_default()
    }

    /// An HTTP request as a client writes it: `/path?query`.
    pub fn http(&mut self, method: &str, target: &str) -> HttpResponse {
        self.http_with(method, target, &[])
    }

    /// An HTTP request with header fields (names in lower case).
    ///
    /// # Panics
    /// When the event that it makes is a fault or leaves it unanswered.
    pub fn http_with(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> HttpResponse {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let request = HttpRequest {
            method: method.to_string(),
            path: path.to_string(),
            query: query.map(str::to_string),
            headers: headers.iter().map(|(name, value)| crate::header(name, *value)).collect(),
            body: Vec::new(),
        };
        let key = match self.route(&request) {
            Ok(key) => key.value,
            Err(response) => return response,
        };
        if method == "POST" {
            self.current = key.clone();
        }
        self.next_exchange += 1;
        let exchange = self.next_exchange;
        let call = self.calls.entry(key.clone()).or_default();
        if call.state.is_none() {
            self.incarnations += 1;
            *call = Call { incarnation: self.incarnations, ..Call::default() };
        }
        call.world.exchanges.insert(exchange, false);
        let arrival = HttpArrival { exchange: ExchangeId { value: exchange }, request };
        let principal = self.principal.clone();
        self.deliver(&key, principal, Event::Http(arrival)).expect("no fault");
        let answered = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Http { exchange: id, response } if *id == exchange => Some(response.clone()),
            _ => None,
        });
        answered.expect("the exchange was answered in its event")
    }

    /// Asks the controller which call a request is about.
    ///
    /// # Errors
    /// The controller's own answer, when it is about none.
    pub fn route(&self, request: &HttpRequest) -> Result<CallKey, HttpResponse> {
        C::route(&self.domain, request, &self.desk(&Call::default(), Principal::Network))
    }

    /// The network answers a request of the controller.
    pub fn respond(&mut self, transaction: u32, status: u16, body: &[u8]) {
        self.respond_with(transaction, status, &[], body, &[]);
    }

    /// The network answers with header fields and, for a 3xx, contacts. A body is SDP unless the header fields name
    /// another Content-Type.
    pub fn respond_with(
        &mut self,
        transaction: u32,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
        contacts: &[&str],
    ) {
        let Some(call) = self.calls.get_mut(&self.current) else { return };
        let opens = call.world.opens(transaction);
        let sent = call.world.sent.get_mut(&transaction).expect("the test answers what was sent");
        assert!(sent.answered.is_none(), "{transaction} was answered already");
        let (leg, method) = (sent.leg, sent.method.clone());
        if status >= 200 {
            sent.answered = Some(status);
            sent.owes_ack = method == "INVITE" && status < 300;
            settle(&mut call.world, leg, transaction, &method, opens, status);
        }
        let Some(sent) = call.world.sent.get_mut(&transaction) else { return };
        let answerable = matches!(status, 401 | 407) && !sent.authorized && call.world.agent.is_some();
        if answerable && method == "BYE" {
            // The host alone knows of a BYE, and repeats it with credentials by itself.
            (sent.answered, sent.authorized) = (None, true);
            if let Some(leg) = call.world.legs.get_mut(&leg) {
                leg.state = LegState::Leaving;
            }
        }
        let response = IncomingResponse {
            leg: LegId { value: leg },
            transaction: TransactionId { value: transaction },
            method,
            status,
            reason: crate::status::usual_reason(status).to_string(),
            contacts: contacts.iter().map(|contact| (*contact).to_string()).collect(),
            answerable,
            headers: with_type(headers, body),
            body: body.to_vec(),
        };
        self.network(Event::Response(response));
    }

    /// A request of the controller gets no response.
    pub fn fail(&mut self, transaction: u32, reason: FailureReason) {
        let Some(call) = self.calls.get_mut(&self.current) else { return };
        let opens = call.world.opens(transaction);
        let sent = call.world.sent.get_mut(&transaction).expect("the test fails what was sent");
        assert!(sent.answered.is_none(), "{transaction} was answered already");
        sent.answered = Some(0);
        let (leg, method) = (sent.leg, sent.method.clone());
        settle(&mut call.world, leg, transaction, &method, opens, 503);
        let (leg, transaction) = (LegId { value: leg }, TransactionId { value: transaction });
        self.network(Event::Failure(RequestFailure { leg, transaction, method, reason }));
    }

    /// A phone sends a request inside its dialog. A body is SDP unless the header fields name another Content-Type.
    pub fn request(&mut self, leg: u32, method: &str, headers: &[(&str, &str)], body: &[u8]) -> u32 {
        let Some(call) = self.calls.get_mut(&self.current) else { return 0 };
        let transaction = call.world.transaction();
        // What comes once the guest is done with the call the host answers by itself.
        let over = if method == "BYE" { 200 } else { 481 };
        let answered = call.state.is_none().then_some(over);
        let received = Received { leg, method: method.to_string(), answered };
        call.world.received.insert(transaction, received);
        if let Some(leg) = call.world.legs.get_mut(&leg).filter(|_| method == "BYE") {
            leg.state = LegState::Over;
            let world = &mut call.world;
            world.sent.values_mut().filter(|sent| world.received[&transaction].leg == sent.leg).for_each(|sent| {
                sent.owes_ack = false;
            });
        }
        self.network(Event::Request(IncomingRequest {
            leg: LegId { value: leg },
            transaction: TransactionId { value: transaction },
            method: method.to_string(),
            headers: with_type(headers, body),
            body: body.to_vec(),
        }));
        transaction
    }

    /// A phone calls to take the place of the one on a leg (RFC 3891): the new leg and the transaction of its INVITE.
    pub fn replace(&mut self, replaced: u32, from: &str, body: &[u8]) -> (u32, u32) {
        let Some(call) = self.calls.get_mut(&self.current) else { return (0, 0) };
        let transaction = call.world.transaction();
        let leg = call.world.open_from_outside(transaction, from, body);
        let from = crate::Address { display_name: None, uri: from.to_string() };
        self.network(Event::Replacement(IncomingReplacement {
            leg: LegId { value: leg },
            replaced: LegId { value: replaced },
            transaction: TransactionId { value: transaction },
            from,
            headers: with_type(&[("Replaces", "a;to-tag=b;from-tag=c"), ("Require", "replaces")], body),
            body: body.to_vec(),
        }));
        if let Some(call) = self.calls.get_mut(&self.current) {
            call.world.refuse_ignored(transaction);
        }
        (leg, transaction)
    }

    /// A phone acknowledges a 2xx that the controller sent to its INVITE.
    pub fn ack(&mut self, transaction: u32, body: &[u8]) {
        let Some(call) = self.calls.get(&self.current) else { return };
        let leg = call.world.received.get(&transaction).expect("the test acknowledges its own INVITE").leg;
        let (leg, transaction) = (LegId { value: leg }, TransactionId { value: transaction });
        self.network(Event::Ack(IncomingAck { leg, transaction, headers: with_type(&[], body), body: body.to_vec() }));
    }

    /// A phone never acknowledges a 2xx that the controller sent to its INVITE.
    pub fn never_acknowledge(&mut self, transaction: u32) {
        let Some(call) = self.calls.get(&self.current) else { return };
        let leg = call.world.received.get(&transaction).expect("the test leaves its own INVITE alone").leg;
        let (leg, transaction) = (LegId { value: leg }, TransactionId { value: transaction });
        let (method, reason) = ("ACK".to_string(), FailureReason::TimedOut);
        self.network(Event::Failure(RequestFailure { leg, transaction, method, reason }));
    }

    /// A phone gives up its INVITE. The host answers one that would open a leg (487).
    pub fn cancel(&mut self, transaction: u32) {
        let Some(call) = self.calls.get_mut(&self.current) else { return };
        let received = call.world.received.get_mut(&transaction).expect("the test cancels its own INVITE");
        let leg = received.leg;
        if let Some(opened) = call.world.legs.get_mut(&leg).filter(|leg| leg.transaction == transaction) {
            opened.state = LegState::Over;
            received.answered = Some(487);
        }
        let (leg, transaction) = (LegId { value: leg }, TransactionId { value: transaction });
        self.network(Event::Cancel(IncomingCancel { leg, transaction }));
    }

    /// The host ends the current call.
    pub fn end(&mut self, reason: EndingReason) {
        self.network(Event::Ending(reason));
        let state = self.calls.get(&self.current).map(|call| call.state.is_some());
        assert_ne!(state, Some(true), "a call that the host ends is over");
    }

    /// The host has ended the current call without the guest; the next event finds it so.
    pub fn ended_without_guest(&mut self, reason: EndingReason) {
        let Some(call) = self.calls.get_mut(&self.current) else { return };
        call.world.legs.values_mut().for_each(|leg| leg.state = LegState::Over);
        call.world.received.values_mut().for_each(|request| request.answered = Some(503));
        call.world.timers.clear();
        call.ended_by_host = Some(reason);
    }

    /// Whether [`Kit::ended_without_guest`] happened and the controller has not seen it yet.
    pub fn is_ended_by_host(&self) -> bool {
        self.calls.get(&self.current).is_some_and(|call| call.ended_by_host.is_some())
    }

    /// Lets time pass; the timers of the current call that are due go off, one after another.
    pub fn advance(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while let Some((name, at)) = self.timers().into_iter().min_by_key(|(_, at)| *at).filter(|(_, at)| *at <= until)
        {
            self.now = self.now.max(at);
            if let Some(call) = self.calls.get_mut(&self.current) {
                call.world.timers.remove(&name);
            }
            self.network(Event::Timer(name));
        }
        self.now = until;
    }

    /// Answers everything that a released leg still waits for: 487 to a cancelled INVITE, 200 to a BYE.
    pub fn settle(&mut self) {
        for (transaction, sent) in self.open_requests() {
            let cancelled = self.legs().get(&sent.leg).is_some_and(|leg| leg.state == LegState::Cancelled);
            match sent.method.as_str() {
                "BYE" => self.respond(transaction, 200, b""),
                "INVITE" if cancelled || sent.cancelled => self.respond(transaction, 487, b""),
                _ => {}
            }
        }
    }

    fn network(&mut self, event: Event) {
        let key = self.current.clone();
        if self.calls.get(&key).is_some_and(|call| call.state.is_some()) {
            self.deliver(&key, Principal::Network, event).expect("no fault");
        }
    }

    fn desk(&self, call: &Call, principal: Principal) -> Desk<'_> {
        Desk {
            world: call.world.clone(),
            effects: Vec::new(),
            users: &self.users,
            settings: &self.settings,
            cache: self.cache.clone(),
            principal,
            now: self.now,
            incarnation: call.incarnation,
        }
    }

    /// One event, with all that the kit checks.
    fn deliver(&mut self, key: &str, principal: Principal, event: Event) -> Result<(), Fault> {
        let seed = self.seeds.next_u64();
        let Some(call) = self.calls.get(key) else { return Ok(()) };
        let context = Context {
            key: CallKey { value: key.to_string() },
            domain: self.domain.clone(),
            now: Timestamp { unix_ms: self.now },
            principal: principal.clone(),
            seed,
            ended_by_host: call.ended_by_host,
        };
        let mut desk = self.desk(call, principal);
        let told = format!("{event:?}");
        // A client may place a new call over one that has ended.
        let replaceable = matches!(&event, Event::Http(arrival) if arrival.request.method == "POST");
        let state = handle::<C>(&context, call.state.as_deref(), event, &mut desk)?;
        let Desk { mut world, effects, cache, .. } = desk;
        let owing = world.sent.iter().find(|(_, sent)| sent.owes_ack && sent.answered == Some(0));
        assert!(owing.is_none(), "an ACK cannot be owed to silence");
        if state.is_none() {
            let debts = world.debts();
            assert!(debts.is_empty(), "the call ended after {told} and owes: {debts:?}");
            world.timers.clear();
        }
        let bytes = state.as_ref().map_or(0, Vec::len);
        assert!(bytes <= self.state_bytes_max, "a state of {bytes} bytes after {told}");
        self.cache = cache;
        self.effects.extend(effects);
        self.check_terminal(key, state.as_deref(), replaceable, &told);
        if let Some(call) = self.calls.get_mut(key) {
            *call = Call { state, world, ended_by_host: None, terminal: call.terminal.take(), ..*call };
        }
        Ok(())
    }

    fn check_terminal(&mut self, key: &str, state: Option<&[u8]>, replaceable: bool, told: &str) {
        let (Some(terminal), Some(state), Some(call)) = (self.terminal, state, self.calls.get_mut(key)) else { return };
        let status = terminal(&codec::decode(C::SCHEMA, state).expect("the controller encoded it"));
        if let (Some(before), false) = (&call.terminal, replaceable) {
            assert_eq!(status.as_ref(), Some(before), "a second terminal status after {told}");
        }
        call.terminal = status;
    }
}

/// What a final response, or none ever, does to a leg.
fn settle(world: &mut World, id: u32, transaction: u32, method: &str, opens: bool, status: u16) {
    let success = (200..300).contains(&status);
    let Some(leg) = world.legs.get_mut(&id) else { return };
    match (leg.state, method) {
        (LegState::Leaving, "BYE") => leg.state = LegState::Over,
        (LegState::Calling, "INVITE") if opens => leg.state = if success { LegState::Up } else { LegState::Over },
        (LegState::Cancelled, "INVITE") if opens && !success => leg.state = LegState::Over,
        // A 2xx that crosses the CANCEL: the host acknowledges it and says BYE.
        (LegState::Cancelled, "INVITE") if opens => {
            leg.state = LegState::Leaving;
            world.send(id, "BYE", Vec::new());
        }
        _ => {}
    }
    // What is answered on a released leg the host acknowledges itself.
    let released = world.legs.get(&id).is_some_and(|leg| !matches!(leg.state, LegState::Calling | LegState::Up));
    if let Some(sent) = world.sent.get_mut(&transaction).filter(|_| released) {
        sent.owes_ack = false;
    }
}

fn with_type(headers: &[(&str, &str)], body: &[u8]) -> Vec<Header> {
    let mut headers: Vec<Header> = headers.iter().map(|(name, value)| crate::header(name, *value)).collect();
    if !body.is_empty() && crate::headers::find(&headers, "Content-Type").is_none() {
        headers.push(crate::header("Content-Type", crate::sdp::CONTENT_TYPE));
    }
    headers
}
