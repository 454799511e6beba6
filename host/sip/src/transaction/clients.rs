//! The client side of the layer: requests that we sent.

use std::mem;

use bytes::Bytes;

use crate::message::{Headers, Method, Request, Response};
use crate::time::Time;
use crate::transaction::branch::{Branches, Claim, Purpose};
use crate::transaction::client::{Cancel, Client};
use crate::transaction::config::max_message;
use crate::transaction::deadlines::{Deadlines, Scheduled};
use crate::transaction::derived;
use crate::transaction::machine::{ClientAction, ClientInput, ClientMachine};
use crate::transaction::non_invite_client::NonInviteClient;
use crate::transaction::table::Table;
use crate::transaction::{ClientId, Config, Counters, Output, SendError, SentBy, Stray, StrayReason, TimerValues};
use crate::transport::Destination;

/// All client transactions.
#[derive(Debug)]
pub(super) struct Clients<U> {
    table: Table<Client<U>>,
    deadlines: Deadlines,
    branches: Branches,
    acks: u64,
    timers: TimerValues,
    sent_by: Vec<SentBy>,
    /// The same as text.
    sent_by_texts: Vec<String>,
    /// Room that the machines' actions are collected in.
    actions: Vec<ClientAction>,
}

/// Which transaction a response is for.
enum Match {
    Own,
    Cancel,
}

impl<U: Copy> Clients<U> {
    pub(super) fn new(config: &Config) -> Clients<U> {
        Clients {
            table: Table::new(config.limits.clients),
            deadlines: Deadlines::default(),
            branches: Branches::new(&config.branch_prefix, config.seed),
            acks: 0,
            timers: config.timers,
            sent_by: config.sent_by.clone(),
            sent_by_texts: config.sent_by.iter().map(SentBy::to_string).collect(),
            actions: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn earliest_deadline(&self) -> Option<Time> {
        self.deadlines.earliest()
    }

    pub(super) fn send(
        &mut self,
        now: Time,
        request: &Request,
        destination: Destination,
        user: U,
        out: &mut Vec<Output<U>>,
    ) -> Result<ClientId, SendError> {
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return Err(SendError::WrongMethod);
        }
        let id = self.table.next_id().ok_or(SendError::TableFull)?;
        let proof = self.branches.proof(Purpose::Transaction, id);
        let branch = self.branches.make(Purpose::Transaction, id, proof);
        let bytes = self.finish(request, destination, &branch)?;
        out.push(Output::Transmit { destination, bytes: bytes.clone(), client: Some(ClientId(id)) });
        let is_invite = request.method == Method::Invite;
        self.table.insert(Client {
            machine: ClientMachine::new(is_invite, now, self.timers, destination.transport.is_reliable()),
            user,
            method: request.method.clone(),
            proof,
            destination,
            bytes,
            invite: is_invite.then(Box::default),
            scheduled: Scheduled::default(),
        });
        self.schedule(id);
        Ok(ClientId(id))
    }

    /// The bytes of a request, with our Via on top (RFC 3261 §8.1.1.7), which asks for `rport` (RFC 3581 §3).
    fn finish(&self, request: &Request, destination: Destination, branch: &str) -> Result<Bytes, SendError> {
        let cseq = request.headers.cseq().map_err(|_| SendError::Malformed)?;
        let unsafe_uri = request.uri.bytes().any(|byte| byte == b' ' || byte.is_ascii_control());
        if cseq.method != request.method || request.uri.is_empty() || unsafe_uri {
            return Err(SendError::Malformed);
        }
        let sent_by = self.sent_by_texts.get(usize::from(destination.local)).ok_or(SendError::NoListener)?;
        let via = ["SIP/2.0/", destination.transport.as_str(), " ", sent_by, ";branch=", branch, ";rport"];
        let bytes = request.to_bytes_below(&via);
        if bytes.len() > max_message(destination.transport) { Err(SendError::TooLarge) } else { Ok(bytes) }
    }

    pub(super) fn cancel(&mut self, now: Time, client: ClientId, headers: Headers, out: &mut Vec<Output<U>>) {
        let Some(entry) = self.table.get_mut(client.0) else { return };
        let unanswered = entry.machine.invite().is_some_and(|machine| machine.is_unanswered());
        if let Some(invite) = entry.invite.as_mut().filter(|_| unanswered)
            && matches!(invite.cancel, Cancel::NotWanted)
        {
            invite.cancel = Cancel::Held(headers);
            self.send_held_cancel(now, client.0, out);
            self.schedule(client.0);
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        client: ClientId,
        to_tag: &str,
        ack: &Request,
        destination: Destination,
        out: &mut Vec<Output<U>>,
    ) -> Result<(), SendError> {
        if ack.method != Method::Ack {
            return Err(SendError::WrongMethod);
        }
        let proof = self.branches.proof(Purpose::Ack, self.acks);
        let bytes = self.finish(ack, destination, &self.branches.make(Purpose::Ack, self.acks, proof))?;
        self.acks += 1;
        let invite = self.table.get_mut(client.0).and_then(|entry| entry.invite.as_mut());
        let accepted = invite.and_then(|invite| invite.accepted.iter_mut().find(|one| one.to_tag == to_tag));
        if let Some(accepted) = accepted {
            accepted.ack = Some((destination, bytes.clone()));
        }
        out.push(Output::Transmit { destination, bytes, client: None });
        Ok(())
    }

    pub(super) fn receive(
        &mut self,
        now: Time,
        response: Response,
        source: Destination,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let input = ClientInput::of(response.status);
        match self.find(&response) {
            Some((id, Match::Own)) => self.step(now, id, input, Some(response), counters, out),
            Some((id, Match::Cancel)) => {
                self.step_cancel(now, id, input, counters, out);
                self.schedule(id);
            }
            None => {
                counters.strays += 1;
                out.push(Output::Stray(Stray { flow: source, reason: StrayReason::Response(Box::new(response)) }));
            }
        }
    }

    /// RFC 3261 §17.1.3, §18.1.2: branch, sent-by and the method in CSeq.
    fn find(&self, response: &Response) -> Option<(u64, Match)> {
        let via = response.headers.via_parts().ok()?;
        let Claim { transaction: id, proof } = self.branches.read(via.branch()?)?;
        let client = self.table.get(id).filter(|client| client.proof == proof)?;
        let sent_by = self.sent_by.get(usize::from(client.destination.local))?;
        if sent_by.host != via.host || sent_by.port != via.port {
            return None;
        }
        let cancel = client.invite.as_ref().map(|invite| &invite.cancel);
        match response.headers.cseq().ok()?.method {
            method if method == client.method => Some((id, Match::Own)),
            Method::Cancel if matches!(cancel, Some(Cancel::Sent { .. })) => Some((id, Match::Cancel)),
            _ => None,
        }
    }

    /// The transaction that a response answers, over or not.
    pub(super) fn answered_by(&self, response: &Response) -> Option<ClientId> {
        self.branches.proven_transaction(response.headers.branch().ok()??).map(ClientId)
    }

    pub(super) fn transport_failed(
        &mut self,
        now: Time,
        client: ClientId,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        self.step(now, client.0, ClientInput::TransportError, None, counters, out);
    }

    pub(super) fn poll(&mut self, now: Time, counters: &mut Counters, out: &mut Vec<Output<U>>) {
        while let Some((at, id)) = self.deadlines.pop(now) {
            let Some(client) = self.table.get_mut(id) else { continue };
            if !client.scheduled.take(at) {
                continue;
            }
            if client.machine.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.step(now, id, ClientInput::Deadline, None, counters, out);
            }
            if self.table.get(id).and_then(Client::cancel_deadline).is_some_and(|deadline| deadline <= now) {
                self.step_cancel(now, id, ClientInput::Deadline, counters, out);
            }
            self.schedule(id);
        }
    }

    /// Drives the machine of a request, and does what it wants done.
    fn step(
        &mut self,
        now: Time,
        id: u64,
        input: ClientInput,
        mut response: Option<Response>,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let Some(client) = self.table.get_mut(id) else { return };
        let next = client.machine.step(now, input, &mut self.actions);
        for action in self.actions.drain(..) {
            client.perform(ClientId(id), action, &mut response, counters, out);
        }
        // A 2xx behind a failure: another branch of a fork answered too late to be cancelled.
        if let Some(response) = response.filter(|response| client.invite.is_some() && response.status.is_success()) {
            counters.strays += 1;
            let reason = StrayReason::Response(Box::new(response));
            out.push(Output::Stray(Stray { flow: client.destination, reason }));
        }
        match next {
            Some(machine) => {
                client.machine = machine;
                client.forget();
                self.send_held_cancel(now, id, out);
                self.schedule(id);
            }
            None => {
                self.table.remove(id);
            }
        }
    }

    /// Drives the CANCEL of an INVITE. The user hears nothing of it: what counts is what becomes of the INVITE, which
    /// ends by itself when nothing more comes.
    fn step_cancel(
        &mut self,
        now: Time,
        id: u64,
        input: ClientInput,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        let Some(client) = self.table.get_mut(id) else { return };
        let Some(Cancel::Sent { machine, bytes }) = client.invite.as_mut().map(|invite| &mut invite.cancel) else {
            return;
        };
        *machine = machine.and_then(|machine| machine.step(now, input, &mut self.actions));
        for action in mem::take(&mut self.actions) {
            if action == ClientAction::Retransmit {
                counters.retransmissions_sent += 1;
                let (destination, bytes) = (client.destination, bytes.clone());
                out.push(Output::Transmit { destination, bytes, client: None });
            }
        }
    }

    /// Sends the CANCEL that was held back, when it may go now (RFC 3261 §9.1).
    fn send_held_cancel(&mut self, now: Time, id: u64, out: &mut Vec<Output<U>>) {
        let Some(client) = self.table.get_mut(id) else { return };
        let proceeding = client.machine.invite().is_some_and(|machine| machine.is_proceeding());
        let Some(invite) = client.invite.as_mut().filter(|_| proceeding) else { return };
        match mem::replace(&mut invite.cancel, Cancel::NotWanted) {
            Cancel::Held(headers) => {
                let Some(bytes) = derived::cancel(&client.bytes, headers) else { return };
                let reliable = client.destination.transport.is_reliable();
                let machine = Some(NonInviteClient::new(now, self.timers, reliable));
                out.push(Output::Transmit { destination: client.destination, bytes: bytes.clone(), client: None });
                invite.cancel = Cancel::Sent { machine, bytes };
                if let Some(machine) = client.machine.step(now, ClientInput::Cancelled, &mut self.actions) {
                    client.machine = machine;
                }
            }
            other => invite.cancel = other,
        }
    }

    fn schedule(&mut self, id: u64) {
        if let Some(client) = self.table.get_mut(id) {
            let deadlines = [client.machine.next_deadline(), client.cancel_deadline()];
            let earliest = deadlines.into_iter().flatten().min();
            self.deadlines.schedule(id, &mut client.scheduled, earliest);
        }
    }
}
