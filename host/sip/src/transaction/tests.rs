//! The layer on a jumped clock.

mod bounds;
mod cancel;
mod client;
mod invite_server;
mod server;
mod transitions;

use std::net::SocketAddr;

use bytes::Bytes;

use super::*;
use crate::host::Host;
use crate::message::{HeaderName, Headers, Message, Method, Request, Response, Status};
use crate::parse::{Limits, parse_datagram};
use crate::text::Text;
use crate::time::Time;
use crate::transport::{Destination, Transport};

/// A layer, its clock, and what came out of it.
struct Bench {
    layer: Layer<u32>,
    now: Time,
    out: Vec<Output<u32>>,
}

fn config() -> Config {
    Config {
        timers: TimerValues::default(),
        sent_by: vec![SentBy { host: Host::parse(&"us.example.com".into()).expect("a host"), port: Some(5070) }],
        branch_prefix: Text::from_static("pb"),
        seed: [3; 16],
        limits: TableLimits::default(),
    }
}

fn peer(transport: Transport) -> Destination {
    Destination { transport, remote: "192.0.2.9:5062".parse().expect("an address"), local: 0 }
}

fn udp() -> Destination {
    peer(Transport::Udp)
}

impl Bench {
    fn new() -> Bench {
        Bench::with(config())
    }

    fn with(config: Config) -> Bench {
        Bench { layer: Layer::new(config), now: Time::from_millis(0), out: Vec::new() }
    }

    fn send(&mut self, method: Method, transport: Transport) -> ClientId {
        let request = outgoing(method);
        self.layer.send(self.now, request, peer(transport), 42, &mut self.out).expect("room")
    }

    fn receive(&mut self, message: impl Into<Message>) {
        self.receive_from(message, udp());
    }

    fn receive_from(&mut self, message: impl Into<Message>, source: Destination) {
        self.layer.receive(self.now, message.into(), source, &mut self.out);
    }

    fn respond(&mut self, server: ServerId, response: Response) {
        self.layer.respond(self.now, server, response, &mut self.out).expect("a transaction that waits");
    }

    fn at(&mut self, milliseconds: u64) -> &mut Bench {
        self.now = Time::from_millis(milliseconds);
        self
    }

    /// Jumps from deadline to deadline up to this time; the times at which something was sent, and what.
    fn run_until(&mut self, milliseconds: u64) -> Vec<(u64, String)> {
        let end = Time::from_millis(milliseconds);
        let mut events = Vec::new();
        while let Some(deadline) = self.layer.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.layer.poll(self.now, &mut self.out);
            let outputs = self.out.drain(..);
            events.extend(outputs.map(|output| (self.now.as_millis(), describe(&output))));
        }
        self.now = end;
        events
    }

    /// What came out since the last look.
    fn take(&mut self) -> Vec<String> {
        self.out.drain(..).map(|output| describe(&output)).collect()
    }

    /// The messages sent since the last look.
    fn sent(&mut self) -> Vec<Message> {
        let outputs = self.out.drain(..);
        outputs.filter_map(|output| transmitted(&output)).map(|(_, message)| message).collect()
    }

    fn sent_request(&mut self) -> Request {
        match self.sent().pop() {
            Some(Message::Request(request)) => request,
            other => panic!("no request was sent but {other:?}"),
        }
    }

    /// The server transaction of the latest request reported.
    fn server(&mut self) -> (ServerId, Request) {
        let found = self.out.drain(..).find_map(|output| match output {
            Output::Request { server, request, .. } => Some((server, request)),
            _ => None,
        });
        found.expect("a request was reported")
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Message {
        Message::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Message {
        Message::Response(response)
    }
}

fn transmitted<U>(output: &Output<U>) -> Option<(Destination, Message)> {
    match output {
        Output::Transmit { destination, bytes, .. } => {
            let message = parse_datagram(bytes.clone(), &Limits::default()).expect("we send what can be parsed");
            Some((*destination, message))
        }
        _ => None,
    }
}

/// An output in a few words.
fn describe(output: &Output<u32>) -> String {
    match output {
        Output::Transmit { .. } => match transmitted(output) {
            Some((_, Message::Request(request))) => format!("send {}", request.method),
            Some((_, Message::Response(response))) => format!("send {}", response.status),
            None => "send nothing".to_owned(),
        },
        Output::Request { request, .. } => format!("request {}", request.method),
        Output::Ack { .. } => "ack".to_owned(),
        Output::Cancelled { .. } => "cancelled".to_owned(),
        Output::Response { response, user, .. } => format!("response {} for {user}", response.status),
        Output::Failed { reason, user, .. } => format!("failed {reason:?} for {user}"),
        Output::NoAck { .. } => "no ack".to_owned(),
        Output::Stray(stray) => match &stray.reason {
            StrayReason::Response(response) => format!("stray {}", response.status),
            StrayReason::Ack(_) => "stray ACK".to_owned(),
            StrayReason::Refused(request) => format!("refused {}", request.method),
            StrayReason::Malformed => "malformed".to_owned(),
        },
    }
}

/// A request of ours, without Via.
fn outgoing(method: Method) -> Request {
    let mut request = Request::new(method.clone(), "sip:bob@example.com");
    request.headers.push(HeaderName::Route, "<sip:proxy.example.com;lr>");
    request.headers.push(HeaderName::From, "<sip:us@example.com>;tag=ours");
    request.headers.push(HeaderName::To, "<sip:bob@example.com>");
    request.headers.push(HeaderName::CallId, "call-1");
    request.headers.push(HeaderName::CSeq, format!("7 {method}"));
    request.headers.push(HeaderName::MaxForwards, "70");
    request
}

/// A request of a peer.
fn incoming(method: Method, branch: &str) -> Request {
    let mut request = Request::new(method.clone(), "sip:us@us.example.com");
    request.headers.push(HeaderName::Via, format!("SIP/2.0/UDP phone.example.com:5099;branch={branch}"));
    request.headers.push(HeaderName::From, "<sip:bob@example.com>;tag=theirs");
    request.headers.push(HeaderName::To, "<sip:us@example.com>");
    request.headers.push(HeaderName::CallId, "call-2");
    request.headers.push(HeaderName::CSeq, format!("3 {method}"));
    request
}

/// The peer's response to a request of ours.
fn answer(request: &Request, code: u16, to_tag: &str) -> Response {
    Response::to(request, Status::new(code).expect("a status"), "Reason", to_tag)
}

/// When each of these went out.
fn times_of(events: &[(u64, String)], what: &str) -> Vec<u64> {
    events.iter().filter(|(_, event)| event == what).map(|(at, _)| *at).collect()
}
