//! The server side of the layer: requests that peers sent.

use std::collections::HashMap;

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::message::{HeaderName, Method, Request, Response, Status};
use crate::text::Text;
use crate::time::Time;
use crate::transaction::config::max_message;
use crate::transaction::deadlines::{Deadlines, Scheduled};
use crate::transaction::keys::{Kept, ServerKey, ack_key};
use crate::transaction::machine::{ServerAction, ServerInput, ServerMachine};
use crate::transaction::reply::{response_destination, stateless_reply, stateless_tag};
use crate::transaction::table::Table;
use crate::transaction::{Config, Counters, Output, RespondError, ServerId, Stray, StrayReason, TimerValues};
use crate::transport::Destination;

/// All server transactions.
#[derive(Debug)]
pub(super) struct Servers {
    table: Table<Server>,
    by_key: HashMap<Kept, u64, FixedState>,
    /// INVITEs whose 2xx waits for its ACK, or had it.
    by_ack: HashMap<Kept, u64, FixedState>,
    deadlines: Deadlines,
    timers: TimerValues,
    /// Room that the machines' actions are collected in.
    actions: Vec<ServerAction>,
}

#[derive(Debug)]
struct Server {
    machine: ServerMachine,
    key: Kept,
    destination: Destination,
    /// The latest response; empty before the first.
    last: Bytes,
    invite: Option<Box<Invite>>,
    scheduled: Scheduled,
}

/// What is kept of an INVITE.
#[derive(Debug)]
struct Invite {
    /// The 100, until there is another response.
    trying: Option<Response>,
    /// The To tag of the latest response that had one: the CANCEL is answered with the same.
    to_tag: Option<Text>,
    ack_key: Option<Kept>,
    cancelled: bool,
}

impl Servers {
    pub(super) fn new(config: &Config) -> Servers {
        let [a, b, c, d, e, f, g, h, ..] = config.seed;
        let hasher = FixedState::with_seed(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        Servers {
            table: Table::new(config.limits.servers),
            by_key: HashMap::with_hasher(hasher.clone()),
            by_ack: HashMap::with_hasher(hasher),
            deadlines: Deadlines::default(),
            timers: config.timers,
            actions: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Time> {
        self.deadlines.earliest()
    }

    pub(super) fn receive<U>(
        &mut self,
        now: Time,
        mut request: Request,
        flow: Destination,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let (Ok(via), Ok(cseq)) = (request.headers.checked_via(), request.headers.cseq()) else {
            return stray(flow, StrayReason::Malformed, counters, out);
        };
        let Some(key) = ServerKey::of(&request, &via, &cseq) else {
            return stray(flow, StrayReason::Malformed, counters, out);
        };
        let known = self.by_key.get(key.as_bytes()).copied();
        if request.method == Method::Ack {
            return self.acknowledged(now, known, request, flow, counters, out);
        }
        if let Some(id) = known {
            counters.retransmissions_absorbed += 1;
            return self.step(now, id, ServerInput::Retransmission, None, counters, out);
        }
        let (stamped, destination) = (via.stamped(flow.remote), response_destination(&via, flow));
        request.headers.replace_first_in_list(&HeaderName::Via, stamped);
        if request.method == Method::Cancel {
            return self.cancelled(now, &key, request, destination, counters, out);
        }
        match self.insert(now, &key, &request, destination) {
            Some(id) => out.push(Output::Request { server: ServerId(id), request, flow }),
            None => self.refuse(request, flow, counters, out),
        }
    }

    /// Whether this INVITE, or the one that a CANCEL is about, has a transaction.
    pub(super) fn knows_invite(&self, request: &Request) -> bool {
        let (Ok(via), Ok(cseq)) = (request.headers.checked_via(), request.headers.cseq()) else { return false };
        ServerKey::of(request, &via, &cseq).is_some_and(|key| self.by_key.contains_key(key.of_cancelled().as_bytes()))
    }

    /// A new transaction; none when the table is full.
    fn insert(&mut self, now: Time, key: &ServerKey, request: &Request, destination: Destination) -> Option<u64> {
        let key = key.keep();
        let is_invite = request.method == Method::Invite;
        let invite = is_invite.then(|| {
            let trying = Response::to(request, Status::TRYING, Text::from_static("Trying"), "");
            Box::new(Invite { trying: Some(trying), to_tag: None, ack_key: None, cancelled: false })
        });
        let machine = ServerMachine::new(is_invite, now, self.timers, destination.transport.is_reliable());
        let scheduled = Scheduled::default();
        let server = Server { machine, key: key.clone(), destination, last: Bytes::new(), invite, scheduled };
        let id = self.table.insert(server)?;
        self.by_key.insert(key, id);
        self.schedule(id);
        Some(id)
    }

    fn refuse<U>(&self, request: Request, flow: Destination, counters: &mut Counters, out: &mut Vec<Output<U>>) {
        counters.servers_refused += 1;
        let answer = stateless_reply(&request, flow, Status::SERVICE_UNAVAILABLE, "Service Unavailable");
        if let Some((destination, bytes)) = answer {
            out.push(Output::Transmit { destination, bytes, client: None });
        }
        stray(flow, StrayReason::Refused(Box::new(request)), counters, out);
    }

    /// An ACK: of a failure, by the key of its INVITE, or of a 2xx, by its dialog.
    fn acknowledged<U>(
        &mut self,
        now: Time,
        known: Option<u64>,
        ack: Request,
        flow: Destination,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let by_dialog = || ack_key(&ack.headers).and_then(|key| self.by_ack.get(key.as_slice()).copied());
        match known.or_else(by_dialog) {
            Some(id) => self.step(now, id, ServerInput::Ack, Some((ack, flow)), counters, out),
            None => stray(flow, StrayReason::Ack(Box::new(ack)), counters, out),
        }
    }

    /// A CANCEL (RFC 3261 §9.2): answered here, and reported when its INVITE still waits.
    fn cancelled<U>(
        &mut self,
        now: Time,
        key: &ServerKey,
        request: Request,
        destination: Destination,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let invite_id = self.by_key.get(key.of_cancelled().as_bytes()).copied();
        let server = invite_id.and_then(|id| self.table.get_mut(id).map(|server| (id, server)));
        let (status, tag) = match &server {
            Some((_, server)) => (Status::OK, server.invite.as_ref().and_then(|invite| invite.to_tag.clone())),
            None => (Status::CALL_DOES_NOT_EXIST, None),
        };
        let tag = tag.unwrap_or_else(|| Text::from(stateless_tag(&request)));
        let waiting = server.and_then(|(id, server)| server.cancel().then_some(ServerId(id)));
        let response = Response::to(&request, status, Text::from_static(status.default_reason()), &tag);
        match self.insert(now, key, &request, destination) {
            Some(id) => {
                let answered = self.respond(now, ServerId(id), response, counters, out);
                debug_assert!(answered.is_ok(), "a new transaction takes its answer");
            }
            None => {
                out.push(Output::Transmit { destination, bytes: response.to_bytes(), client: None });
            }
        }
        if let Some(server) = waiting {
            out.push(Output::Cancelled { server, request });
        }
    }

    pub(super) fn respond<U>(
        &mut self,
        now: Time,
        id: ServerId,
        response: Response,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) -> Result<(), RespondError> {
        let server = self.table.get_mut(id.0).ok_or(RespondError::Unknown)?;
        if !server.machine.is_unanswered() {
            return Err(RespondError::AlreadyAnswered);
        }
        let bytes = response.to_bytes();
        if bytes.len() > max_message(server.destination.transport) {
            return Err(RespondError::TooLarge);
        }
        server.last = bytes;
        if let Some(invite) = &mut server.invite {
            invite.trying = None;
            invite.to_tag = response.headers.look_tag(&HeaderName::To).map(Text::from).or(invite.to_tag.take());
            if response.status.is_success() {
                invite.ack_key = ack_key(&response.headers).map(Kept::from);
            }
            if let Some(ack_key) = invite.ack_key.clone() {
                self.by_ack.insert(ack_key, id.0);
            }
        }
        self.step(now, id.0, ServerInput::of(response.status), None, counters, out);
        Ok(())
    }

    pub(super) fn poll<U>(&mut self, now: Time, counters: &mut Counters, out: &mut Vec<Output<U>>) {
        while let Some((at, id)) = self.deadlines.pop(now) {
            let Some(server) = self.table.get_mut(id) else { continue };
            if !server.scheduled.take(at) {
                continue;
            }
            if server.machine.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.step(now, id, ServerInput::Deadline, None, counters, out);
            } else {
                self.schedule(id);
            }
        }
    }

    /// Drives a machine, and does what it wants done. `ack` is there for [`ServerInput::Ack`].
    fn step<U>(
        &mut self,
        now: Time,
        id: u64,
        input: ServerInput,
        mut ack: Option<(Request, Destination)>,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let Some(server) = self.table.get_mut(id) else { return };
        let next = server.machine.step(now, input, &mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                ServerAction::SendTrying => server.last = server.trying(),
                ServerAction::SendLast => {}
                ServerAction::ReportAck => {
                    if let Some((request, flow)) = ack.take() {
                        out.push(Output::Ack { server: ServerId(id), request, flow });
                    }
                    continue;
                }
                ServerAction::ReportNoAck => {
                    out.push(Output::NoAck { server: ServerId(id) });
                    continue;
                }
            }
            if action == ServerAction::SendLast && matches!(input, ServerInput::Deadline | ServerInput::Retransmission)
            {
                counters.retransmissions_sent += 1;
            }
            let (destination, bytes) = (server.destination, server.last.clone());
            out.push(Output::Transmit { destination, bytes, client: None });
        }
        match next {
            Some(machine) => {
                server.machine = machine;
                self.schedule(id);
            }
            None => self.remove(id),
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(server) = self.table.remove(id) else { return };
        self.by_key.remove(&server.key);
        if let Some(ack_key) = server.invite.and_then(|invite| invite.ack_key)
            && self.by_ack.get(&ack_key) == Some(&id)
        {
            self.by_ack.remove(&ack_key);
        }
    }

    fn schedule(&mut self, id: u64) {
        if let Some(server) = self.table.get_mut(id) {
            let deadline = server.machine.next_deadline();
            self.deadlines.schedule(id, &mut server.scheduled, deadline);
        }
    }
}

impl Server {
    /// Notes that a CANCEL came; says whether the user is to hear of it.
    fn cancel(&mut self) -> bool {
        let unanswered = self.machine.is_unanswered();
        match &mut self.invite {
            Some(invite) if unanswered && !invite.cancelled => {
                invite.cancelled = true;
                true
            }
            _ => false,
        }
    }

    fn trying(&self) -> Bytes {
        let trying = self.invite.as_ref().and_then(|invite| invite.trying.as_ref());
        trying.map(Response::to_bytes).unwrap_or_default()
    }
}

fn stray<U>(flow: Destination, reason: StrayReason, counters: &mut Counters, out: &mut Vec<Output<U>>) {
    counters.strays += 1;
    out.push(Output::Stray(Stray { flow, reason }));
}
