//! Phones and proxy on a wire that is a loop in memory, with a jumped clock.

use super::phone::{Line, PhoneConfig};
use super::proxy::Router;
use super::wire::{Datagrams, Element};
use bytes::Bytes;
use plugboard_sip::parse::{Limits, parse_datagram};
use plugboard_sip::{Destination, Time, Transport};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

const PROXY: ([u8; 4], u16) = ([127, 0, 0, 1], 5080);
const ALICE: ([u8; 4], u16) = ([127, 0, 0, 1], 5081);
const BOB: ([u8; 4], u16) = ([127, 0, 0, 1], 5082);
const CONTROLLER: ([u8; 4], u16) = ([127, 0, 0, 1], 5060);

struct Net {
    now: Time,
    router: Router,
    alice: Line,
    bob: Line,
    /// What reached the controller, whose part the test plays.
    arrived: Vec<String>,
}

impl Net {
    fn new() -> Self {
        let users = ["alice", "bob"].map(|name| (name.to_owned(), format!("{name}'s")));
        let phone = |name: &str, address: ([u8; 4], u16)| {
            let config = PhoneConfig {
                user: name.to_owned(),
                domain: "demo.test".to_owned(),
                password: format!("{name}'s"),
                proxy: PROXY.into(),
                bind: [127, 0, 0, 1].into(),
                ring: Duration::from_millis(400),
            };
            Line::new(config, address.into())
        };
        let router = Router::new(PROXY.into(), "demo.test", users);
        let (alice, bob) = (phone("alice", ALICE), phone("bob", BOB));
        Self { now: Time::from_millis(1_700_000_000_000), router, alice, bob, arrived: Vec::new() }
    }

    /// Both phones are registered.
    fn registered() -> Self {
        let mut net = Self::new();
        let mut out = Vec::new();
        net.alice.register(net.now, &mut out);
        net.run(ALICE, out);
        let mut out = Vec::new();
        net.bob.register(net.now, &mut out);
        net.run(BOB, out);
        assert!(net.alice.is_registered() && net.bob.is_registered());
        net
    }

    /// Delivers datagrams, and what comes of them, until nobody says anything.
    fn run(&mut self, from: ([u8; 4], u16), datagrams: Datagrams) {
        let mut queue: VecDeque<(SocketAddr, SocketAddr, Bytes)> =
            datagrams.into_iter().map(|(to, bytes)| (from.into(), to, bytes)).collect();
        for _ in 0..1000 {
            let Some((from, to, bytes)) = queue.pop_front() else { return };
            let source = Destination { transport: Transport::Udp, remote: from, local: 0 };
            let message = parse_datagram(bytes.clone(), &Limits::default()).expect("it was printed by us");
            let mut out = Vec::new();
            let element: &mut dyn Element = match to.port() {
                5080 => &mut self.router,
                5081 => &mut self.alice,
                5082 => &mut self.bob,
                _ => {
                    self.arrived.push(String::from_utf8_lossy(&bytes).into_owned());
                    continue;
                }
            };
            element.receive(self.now, message, source, &mut out);
            queue.extend(out.into_iter().map(|(next, bytes)| (to, next, bytes)));
        }
        panic!("they never stop talking");
    }

    /// The controller says something to alice's phone.
    fn say(&mut self, text: &str) {
        self.arrived.clear();
        let text = text.replace('\n', "\r\n");
        self.run(CONTROLLER, vec![(ALICE.into(), text.into_bytes().into())]);
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let mut out = Vec::new();
        self.alice.poll(self.now, &mut out);
        self.run(ALICE, out);
        let mut out = Vec::new();
        self.bob.poll(self.now, &mut out);
        self.run(BOB, out);
    }

    /// The start lines that reached the controller, or with a body the body.
    fn heard(&mut self) -> Vec<String> {
        let short = |message: String| {
            let (head, body) = message.split_once("\r\n\r\n").unwrap_or((&message, ""));
            let text = if head.starts_with("NOTIFY") { body } else { head };
            text.lines().next().unwrap_or_default().to_owned()
        };
        self.arrived.drain(..).map(short).collect()
    }

    /// Alice's phone takes a call of the controller; returns her To with its tag.
    fn call_alice(&mut self) -> String {
        self.say(&request("INVITE", "", 1, ""));
        assert_eq!(self.heard(), ["SIP/2.0 180 Ringing"]);
        self.pass(Duration::from_millis(399));
        assert!(self.heard().is_empty(), "it rings for 400 ms");
        self.pass(Duration::from_millis(1));
        let answer = self.arrived.first().cloned().unwrap_or_default();
        assert!(answer.starts_with("SIP/2.0 200 OK") && answer.contains("m=audio"), "{answer}");
        let tag = answer
            .split("\r\nTo: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next())
            .and_then(|to| to.split(";tag=").nth(1));
        let tag = format!(";tag={}", tag.expect("a 200 has a To tag"));
        self.say(&request("ACK", &tag, 1, ""));
        tag
    }
}

fn request(method: &str, to_tag: &str, sequence: u32, extra: &str) -> String {
    format!(
        "{method} sip:alice@127.0.0.1:5081 SIP/2.0\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{method}{sequence};rport\n\
         Max-Forwards: 70\nFrom: <sip:reception@demo.test>;tag=c1\nTo: <sip:alice@demo.test>{to_tag}\nCall-ID: one\n\
         CSeq: {sequence} {method}\nContact: <sip:plugboard@127.0.0.1:5060>\n{extra}Content-Length: 0\n\n"
    )
}

#[test]
fn registration_takes_the_right_password() {
    Net::registered();
    let mut net = Net::new();
    net.router = Router::new(PROXY.into(), "demo.test", [("alice".to_owned(), "other".to_owned())]);
    let mut out = Vec::new();
    net.alice.register(net.now, &mut out);
    net.run(ALICE, out);
    assert!(!net.alice.is_registered());
}

#[test]
fn call_is_answered_after_the_ring_and_ended_by_bye() {
    let mut net = Net::registered();
    let tag = net.call_alice();
    assert_eq!(net.alice.calls_up(), 1);
    net.say(&request("BYE", &tag, 2, ""));
    assert_eq!(net.heard(), ["SIP/2.0 200 OK"]);
    assert_eq!(net.alice.calls_up(), 0);
    net.say(&request("INFO", &tag, 3, ""));
    assert_eq!(net.heard(), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn cancelled_call_is_answered_487() {
    let mut net = Net::registered();
    net.say(&request("INVITE", "", 1, ""));
    let cancel = request("CANCEL", "", 1, "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1");
    net.say(&cancel);
    assert_eq!(net.heard(), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
}

#[test]
fn refer_is_followed_through_the_challenging_proxy_and_reported() {
    let mut net = Net::registered();
    let tag = net.call_alice();
    net.say(&request("REFER", &tag, 2, "Refer-To: <sip:bob@demo.test?X-ConfPin=7>\n"));
    let heard = net.heard();
    assert_eq!(heard, ["SIP/2.0 202 Accepted", "SIP/2.0 100 Trying", "SIP/2.0 180 Ringing"]);
    net.pass(Duration::from_millis(400));
    assert_eq!(net.heard(), ["SIP/2.0 200 OK"]);
    assert_eq!((net.alice.calls_up(), net.bob.calls_up()), (2, 1));
    assert_eq!(net.router.challenged(), 3, "two registrations and the INVITE");
    let mut out = Vec::new();
    net.alice.hang_up(net.now, &mut out);
    net.run(ALICE, out);
    assert_eq!((net.alice.calls_up(), net.bob.calls_up()), (0, 0), "the BYE took the recorded route");
}

#[test]
fn refer_to_nobody_is_reported_as_not_found() {
    let mut net = Net::registered();
    let tag = net.call_alice();
    net.say(&request("REFER", &tag, 2, "Refer-To: <sip:nobody@demo.test>\n"));
    assert_eq!(net.heard(), ["SIP/2.0 202 Accepted", "SIP/2.0 100 Trying", "SIP/2.0 404 Not Found"]);
}
