//! The layer: both tables, driven as one.

use std::borrow::Borrow;

use crate::message::{Headers, Message, Request, Response};
use crate::time::Time;
use crate::transaction::clients::Clients;
use crate::transaction::servers::Servers;
use crate::transaction::{ClientId, Config, Counters, Output, RespondError, SendError, ServerId};
use crate::transport::Destination;

/// All transactions of one element. `U` is a tag of the user's, handed back with everything about a request.
#[derive(Debug)]
pub struct Layer<U> {
    clients: Clients<U>,
    servers: Servers,
    counters: Counters,
}

impl<U: Copy> Layer<U> {
    /// A layer without transactions.
    pub fn new(config: Config) -> Layer<U> {
        Layer { clients: Clients::new(&config), servers: Servers::new(&config), counters: Counters::default() }
    }

    /// Sends a request in a new client transaction (RFC 3261 §17.1). The layer adds the topmost Via.
    ///
    /// # Errors
    /// When the request cannot be sent; nothing has happened then.
    pub fn send(
        &mut self,
        now: Time,
        request: impl Borrow<Request>,
        destination: Destination,
        user: U,
        out: &mut Vec<Output<U>>,
    ) -> Result<ClientId, SendError> {
        let sent = self.clients.send(now, request.borrow(), destination, user, out);
        if sent == Err(SendError::TableFull) {
            self.counters.clients_refused += 1;
        }
        sent
    }

    /// Gives up an INVITE (RFC 3261 §9.1): the CANCEL goes out at once when a provisional response has come, otherwise
    /// with the first one. `headers` go on it, such as Reason. Nothing happens when the INVITE has its final response,
    /// is over, is no INVITE, or was cancelled before.
    ///
    /// Without a final response in 64 times T1 after the CANCEL the INVITE fails with a timeout.
    pub fn cancel(&mut self, now: Time, client: ClientId, headers: Headers, out: &mut Vec<Output<U>>) {
        self.clients.cancel(now, client, headers, out);
    }

    /// Sends the ACK of a 2xx with this To tag (RFC 3261 §13.2.2.4), and again for each retransmission of the 2xx that
    /// comes in 64 times T1. The layer adds the topmost Via. A later ACK for the same To tag takes the place of the
    /// earlier.
    ///
    /// # Errors
    /// When the ACK cannot be sent.
    pub fn acknowledge(
        &mut self,
        _now: Time,
        client: ClientId,
        to_tag: &str,
        ack: impl Borrow<Request>,
        destination: Destination,
        out: &mut Vec<Output<U>>,
    ) -> Result<(), SendError> {
        self.clients.acknowledge(client, to_tag, ack.borrow(), destination, out)
    }

    /// Takes a message that came from `source` and was checked ([`crate::admit::admit`]).
    pub fn receive(&mut self, now: Time, message: Message, source: Destination, out: &mut Vec<Output<U>>) {
        match message {
            Message::Request(request) => self.servers.receive(now, request, source, &mut self.counters, out),
            Message::Response(response) => self.clients.receive(now, response, source, &mut self.counters, out),
        }
    }

    /// Sends a response (RFC 3261 §17.2). [`Response::to`] makes one. A 2xx to an INVITE is sent again until its ACK
    /// comes (RFC 3261 §13.3.1.4).
    ///
    /// # Errors
    /// When the response cannot be sent; nothing has happened then.
    pub fn respond(
        &mut self,
        now: Time,
        server: ServerId,
        response: Response,
        out: &mut Vec<Output<U>>,
    ) -> Result<(), RespondError> {
        self.servers.respond(now, server, response, &mut self.counters, out)
    }

    /// Takes note that something of this transaction could not be sent (RFC 3261 §17.1.4).
    pub fn transport_failed(&mut self, now: Time, client: ClientId, out: &mut Vec<Output<U>>) {
        self.clients.transport_failed(now, client, &mut self.counters, out);
    }

    /// The client transaction that a response answers, over or not. None for one that somebody made up, as a
    /// [`StrayReason::Response`](super::StrayReason::Response) may be.
    pub fn answered_by(&self, response: &Response) -> Option<ClientId> {
        self.clients.answered_by(response)
    }

    /// Whether an INVITE is a retransmission, or a CANCEL is about an INVITE that came here.
    pub fn knows_invite(&self, request: &Request) -> bool {
        self.servers.knows_invite(request)
    }

    /// Does what is due: retransmits, gives up, forgets. After a long pause each transaction retransmits once, not once
    /// for each time that it missed.
    pub fn poll(&mut self, now: Time, out: &mut Vec<Output<U>>) {
        self.clients.poll(now, &mut self.counters, out);
        self.servers.poll(now, &mut self.counters, out);
    }

    /// When [`Layer::poll`] is wanted next; none when nothing waits. May be earlier than what is due, never later.
    pub fn next_deadline(&self) -> Option<Time> {
        let deadlines = [self.clients.earliest_deadline(), self.servers.earliest_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// How often something happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of client transactions.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// The number of server transactions.
    pub fn servers(&self) -> usize {
        self.servers.len()
    }
}
