//! The transaction layer under any list of operations, with a clock that jumps.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use plugboard_sip::parse::{Limits, parse_datagram};
use plugboard_sip::transaction::{
    ClientId, Config, Layer, Output, RespondError, SendError, SentBy, ServerId, TableLimits, TimerValues,
};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::{HeaderName, Headers, Host, Message, Method, Request, Response, Status, Text, Time};

use crate::message::grown;

/// Transactions on each side at a time, in number: few, so that the tables are full often.
const TABLE_MAX: usize = 4;
/// Operations that are read from one input, in number.
const OPERATIONS_MAX: usize = 400;
/// What one message or order may cause, in outputs: an answer, an acknowledgement, a CANCEL, a report.
const OUTPUTS_MAX: usize = 4;
/// Deadlines after the last operation until nothing is left, in number: each transaction has a dozen at most.
const DEADLINES_MAX: usize = 1_000;
/// Requests of the layer that can still be answered, in number.
const ANSWERABLE_MAX: usize = 16;

/// How long a request that is no INVITE waits for its answer: 64 times the T1 of the default timers.
const TIMER_F: Duration = Duration::from_secs(32);

const METHODS: [Method; 6] =
    [Method::Invite, Method::Options, Method::Bye, Method::Ack, Method::Cancel, Method::Register];
const STATUSES: [Status; 6] =
    [Status::TRYING, Status::RINGING, Status::OK, Status::BUSY_HERE, Status::REQUEST_TERMINATED, Status::DECLINE];

/// A list of operations, two bytes and more each. What comes out is the same each time; no request has two ends or
/// none; nothing is reported twice; an operation causes a bounded number of outputs; a poll does all that is due; the
/// tables keep their bounds; and in the end nothing is left.
pub fn layer(data: &[u8]) {
    assert_eq!(run(data), run(data), "the same operations, another result");
}

fn run(data: &[u8]) -> Vec<Output<u32>> {
    let mut world = World::new();
    let mut bytes = Reader(data);
    for _ in 0..OPERATIONS_MAX {
        let Some(operation) = bytes.next() else { break };
        world.operate(operation, &mut bytes);
    }
    world.finish();
    world.outputs
}

struct World {
    layer: Layer<u32>,
    now: Time,
    sent: u32,
    clients: Vec<(ClientId, Client)>,
    servers: BTreeMap<ServerId, Server>,
    /// Requests on the wire, latest last.
    answerable: Vec<Request>,
    /// All that came out.
    outputs: Vec<Output<u32>>,
}

/// What the user of the layer knows of a request that it sent.
#[derive(Default)]
struct Client {
    is_invite: bool,
    /// To tags of the 2xx.
    accepted: Vec<Text>,
    failed: bool,
}

/// What it knows of a request that came.
struct Server {
    request: Request,
    arrived: Time,
    status: Option<Status>,
    /// An ACK came, or none came in time.
    settled: bool,
    cancelled: bool,
}

impl World {
    fn new() -> World {
        let sent_by = vec![SentBy { host: Host::parse(&"us".into()).expect("a host"), port: Some(5060) }];
        let limits = TableLimits { clients: TABLE_MAX, servers: TABLE_MAX };
        let timers = TimerValues::default();
        let config = Config { timers, sent_by, branch_prefix: Text::EMPTY, seed: [3; 16], limits };
        World {
            layer: Layer::new(config),
            now: Time::from_millis(1_700_000_000_000),
            sent: 0,
            clients: Vec::new(),
            servers: BTreeMap::new(),
            answerable: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn operate(&mut self, operation: u8, bytes: &mut Reader<'_>) {
        let operand = bytes.next().unwrap_or_default();
        let mut out = Vec::new();
        let now = self.now;
        let flow = flow(operation);
        match operation % 10 {
            0 => self.layer.receive(now, Message::Request(incoming(operand, operation)), flow, &mut out),
            1 => {
                if let Some(response) = self.response(operand, operation >> 5) {
                    self.layer.receive(now, Message::Response(response), flow, &mut out);
                }
            }
            2 => return self.send(outgoing(operand, self.sent), flow),
            3 => return self.respond(operand, operation >> 5),
            4 => {
                if let Some((client, _)) = pick(&self.clients, operand) {
                    self.layer.cancel(now, *client, Headers::new(), &mut out);
                }
            }
            5 => {
                if let Some((client, _)) = pick(&self.clients, operand) {
                    self.layer.transport_failed(now, *client, &mut out);
                }
            }
            6 => self.acknowledge(operand, flow, &mut out),
            7 => {
                let pause = u64::from(operand) << (operation >> 4);
                self.now = now + Duration::from_millis(pause);
                return self.poll();
            }
            8 => return self.poll(),
            _ => {
                let raw = bytes.take(usize::from(operand) * 2);
                if let Ok(message) = parse_datagram(Bytes::copy_from_slice(raw), &Limits::default()) {
                    self.layer.receive(now, message, flow, &mut out);
                }
            }
        }
        self.heed(out, OUTPUTS_MAX);
    }

    fn send(&mut self, request: Request, flow: Destination) {
        let mut out = Vec::new();
        let is_invite = request.method == Method::Invite;
        let starts = !matches!(request.method, Method::Ack | Method::Cancel);
        let full = self.layer.clients() == TABLE_MAX;
        match self.layer.send(self.now, request, flow, self.sent, &mut out) {
            Ok(client) => {
                assert!(starts && !full);
                assert!(self.clients.iter().all(|(known, _)| *known != client), "an id is used twice");
                self.clients.push((client, Client { is_invite, ..Client::default() }));
                self.sent += 1;
            }
            Err(SendError::WrongMethod) => assert!(!starts),
            Err(SendError::TableFull) => assert!(full),
            Err(error) => panic!("a well-formed request is refused: {error}"),
        }
        self.heed(out, OUTPUTS_MAX);
    }

    fn respond(&mut self, operand: u8, tag: u8) {
        let chosen: Vec<ServerId> = self.servers.keys().copied().collect();
        let Some(id) = pick(&chosen, operand >> 3).copied() else { return };
        let status = STATUSES[usize::from(operand) % STATUSES.len()];
        self.answer(id, status, tag);
    }

    fn answer(&mut self, id: ServerId, status: Status, tag: u8) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let response = Response::to(&server.request, status, "Because", &format!("us{tag}"));
        let mut out = Vec::new();
        let answered = self.layer.respond(self.now, id, response, &mut out);
        match server.status.filter(|status| status.is_final()) {
            None if server.may_have_expired(self.now) && answered == Err(RespondError::Unknown) => {}
            None => assert_eq!(answered, Ok(()), "an open request takes its answer"),
            Some(_) => assert!(matches!(answered, Err(RespondError::AlreadyAnswered | RespondError::Unknown))),
        }
        if answered.is_ok() {
            server.status = Some(status);
        }
        self.heed(out, OUTPUTS_MAX);
    }

    fn acknowledge(&mut self, operand: u8, flow: Destination, out: &mut Vec<Output<u32>>) {
        let Some((id, client)) = pick(&self.clients, operand) else { return };
        let Some(tag) = client.accepted.last().cloned() else { return };
        let mut ack = request(Method::Ack, "them", "us", &tag, u32::from(operand));
        ack.headers.remove_all(&HeaderName::Via);
        self.layer.acknowledge(self.now, *id, &tag, ack, flow, out).expect("a well-formed ACK");
    }

    /// A response to a request of ours that is on the wire.
    fn response(&self, operand: u8, tag: u8) -> Option<Response> {
        let request = pick(&self.answerable, operand >> 3)?;
        let status = STATUSES[usize::from(operand) % STATUSES.len()];
        Some(Response::to(request, status, "Because", &format!("them{tag}")))
    }

    fn poll(&mut self) {
        let mut out = Vec::new();
        let bound = 2 * (self.layer.clients() + self.layer.servers());
        self.layer.poll(self.now, &mut out);
        self.heed(out, bound);
        assert!(self.layer.next_deadline().is_none_or(|due| due > self.now), "a poll does all that is due");
    }

    /// Ends all that is open, and waits until nothing is left.
    fn finish(&mut self) {
        let servers: Vec<ServerId> = self.servers.keys().copied().collect();
        for id in servers {
            self.answer(id, Status::DECLINE, 0);
        }
        let mut out = Vec::new();
        let bound = OUTPUTS_MAX * self.clients.len();
        for (client, _) in &self.clients {
            self.layer.cancel(self.now, *client, Headers::new(), &mut out);
        }
        self.heed(out, bound);
        for _ in 0..DEADLINES_MAX {
            let Some(due) = self.layer.next_deadline() else { break };
            self.now = self.now.max(due);
            self.poll();
        }
        assert_eq!(self.layer.next_deadline(), None, "the deadlines run out");
        assert_eq!((self.layer.clients(), self.layer.servers()), (0, 0), "something is left");
        let ended = |(_, client): &(ClientId, Client)| client.failed || !client.accepted.is_empty();
        assert!(self.clients.iter().all(ended), "a request without an end");
        let settled = |server: &Server| !server.awaits_ack() || server.settled;
        assert!(self.servers.values().all(settled), "nobody said what became of a 2xx");
    }

    /// Looks at what came out of one operation.
    fn heed(&mut self, out: Vec<Output<u32>>, bound: usize) {
        assert!(out.len() <= bound, "{} outputs: {out:?}", out.len());
        assert!(self.layer.clients() <= TABLE_MAX && self.layer.servers() <= TABLE_MAX);
        for output in &out {
            match output {
                Output::Transmit { bytes, .. } => self.transmitted(bytes),
                Output::Request { server, request, .. } => {
                    let new = Server {
                        request: request.clone(),
                        arrived: self.now,
                        status: None,
                        settled: false,
                        cancelled: false,
                    };
                    assert!(self.servers.insert(*server, new).is_none(), "an id is used twice");
                }
                Output::Ack { server, .. } | Output::NoAck { server } => {
                    let server = self.servers.get_mut(server).expect("of a request that was reported");
                    assert!(server.awaits_ack() && !server.settled, "the end of a 2xx is reported once");
                    server.settled = true;
                }
                Output::Cancelled { server, .. } => {
                    let server = self.servers.get_mut(server).expect("of a request that was reported");
                    let open = server.status.is_none_or(Status::is_provisional);
                    assert!(open && !server.cancelled && server.request.method == Method::Invite);
                    server.cancelled = true;
                }
                Output::Response { client, response, .. } => self.answered(*client, response),
                Output::Failed { client, .. } => {
                    let client = self.client(*client);
                    assert!(!client.failed && client.accepted.is_empty(), "a second end");
                    client.failed = true;
                }
                Output::Stray(_) => {}
            }
        }
        self.outputs.extend(out);
    }

    fn transmitted(&mut self, bytes: &Bytes) {
        match parse_datagram(bytes.clone(), &grown()).expect("what goes out can be read") {
            Message::Request(request) => {
                if self.answerable.len() == ANSWERABLE_MAX {
                    self.answerable.remove(0);
                }
                self.answerable.push(request);
            }
            Message::Response(_) => {}
        }
    }

    fn answered(&mut self, id: ClientId, response: &Response) {
        let client = self.client(id);
        assert!(!client.failed, "a response behind the end");
        if response.status.is_provisional() {
            assert!(client.accepted.is_empty(), "a provisional response behind a final one");
        } else if response.status.is_success() {
            let tag = response.headers.to_tag().unwrap_or_default();
            assert!(client.is_invite || client.accepted.is_empty(), "a second end");
            assert!(!client.accepted.contains(&tag), "a 2xx is reported once for each To tag");
            client.accepted.push(tag);
        } else {
            assert!(client.accepted.is_empty(), "a second end");
            client.failed = true;
        }
    }

    fn client(&mut self, id: ClientId) -> &mut Client {
        let found = self.clients.iter_mut().find(|(known, _)| *known == id);
        found.map(|(_, client)| client).expect("of a request that was sent")
    }
}

impl Server {
    /// Whether the sender of a request that is no INVITE has given up waiting (RFC 4320 §4.2).
    fn may_have_expired(&self, now: Time) -> bool {
        self.request.method != Method::Invite && now.since(self.arrived) >= TIMER_F
    }

    fn awaits_ack(&self) -> bool {
        self.request.method == Method::Invite && self.status.is_some_and(Status::is_success)
    }
}

/// The bytes of an input.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<u8> {
        self.take(1).first().copied()
    }

    /// So many bytes, or as many as there are.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn pick<T>(items: &[T], operand: u8) -> Option<&T> {
    items.get(usize::from(operand).checked_rem(items.len())?)
}

fn flow(operation: u8) -> Destination {
    let transport = if operation & 0x80 == 0 { Transport::Udp } else { Transport::Tcp };
    Destination { transport, remote: "192.0.2.1:5060".parse().expect("an address"), local: 0 }
}

/// A request of a peer. A few branches, numbers and tags, so that requests meet; one branch is of RFC 2543.
fn incoming(operand: u8, operation: u8) -> Request {
    let method = METHODS[usize::from(operand) % METHODS.len()].clone();
    let (branch, number) = (operand >> 3 & 7, operand >> 6);
    let to_tag = if operation & 0x40 == 0 { "" } else { "us0" };
    let mut request = request(method, "us", "them", to_tag, u32::from(number));
    let cookie = if branch == 0 { "" } else { "z9hG4bK" };
    request.headers.set(HeaderName::Via, format!("SIP/2.0/UDP them;branch={cookie}{branch}"));
    request
}

/// A request of ours.
fn outgoing(operand: u8, number: u32) -> Request {
    let method = METHODS[usize::from(operand) % METHODS.len()].clone();
    let mut request = request(method, "them", "us", "", number);
    request.headers.remove_all(&HeaderName::Via);
    request
}

fn request(method: Method, to: &str, from: &str, to_tag: &str, number: u32) -> Request {
    let mut request = Request::new(method.clone(), format!("sip:{to}"));
    let tag = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    request.headers.push(HeaderName::Via, "SIP/2.0/UDP them");
    request.headers.push(HeaderName::From, format!("<sip:{from}>;tag={from}"));
    request.headers.push(HeaderName::To, format!("<sip:{to}>{tag}"));
    request.headers.push(HeaderName::CallId, "call");
    request.headers.push(HeaderName::CSeq, format!("{number} {method}"));
    request
}
