//! Whole calls through the core: a shard and the built-in controller, run natively so that what is measured is the
//! core's own, among phones that say what those of the bench say (`../phones`). What the server does besides (sockets,
//! HTTP, the sandbox, the writing of the journal) is left out.

use crate::guest;
use bytes::Bytes;
use plugboard_calls::contract::*;
use plugboard_calls::logic::{Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::shard::{Arrival, CallRef, Face, Faces, Output, Shard, ShardConfig};
use plugboard_calls::stage::{Setting, Stage};
use plugboard_calls::tenant::{Settings, Tenant};
use plugboard_controller::CallController;
use plugboard_simulation::native::Native;
use plugboard_sip::admit::admit;
use plugboard_sip::host::Host;
use plugboard_sip::parse::Limits;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::TimerValues;
use plugboard_sip::transport::{Destination, Transport};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

const DOMAIN: &str = "example.com";
const AGENT: &str = "u1";
const AGENT_ADDRESS: &str = "u1@example.com";
const SDP: &str = "v=0\r\no=u 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\n";
/// The phones that call and those that are called.
const CALLING: u16 = 5080;
const CALLED: u16 = 5081;

/// A shard, and the phones of all its calls.
pub struct Exchange {
    shard: Shard,
    tenant: Arc<Tenant>,
    logic: Arc<dyn Logic>,
    now: Time,
    out: Vec<Output>,
    /// What reached the phones and none has answered yet.
    sent: Vec<(Destination, Bytes)>,
    calls: u64,
    branches: u64,
}

/// A conversation in INVITE mode.
pub struct Held {
    /// The INVITE of the calling phone, whose dialog its BYE is in.
    invite: Bytes,
    phone: Destination,
}

impl Default for Exchange {
    /// The controller runs natively.
    fn default() -> Self {
        Self::new(Arc::new(Native::<CallController>::default()))
    }
}

impl Exchange {
    /// The controller runs as the server runs it: in the sandbox.
    ///
    /// # Panics
    /// When there is no component, or it does not compile.
    pub fn sandboxed() -> Self {
        Self::new(guest::version())
    }

    fn new(logic: Arc<dyn Logic>) -> Self {
        let address = (Ipv4Addr::LOCALHOST, 5060).into();
        let face =
            Face { transport: Transport::Udp, address, host: Host::V4(Ipv4Addr::LOCALHOST), port: address.port() };
        let config = ShardConfig { index: 0, faces: Faces::new(vec![face]), timers: TimerValues::default(), seed: 7 };
        let limits = Arc::new(plugboard_calls::limits::Limits { calls_per_second: u32::MAX, ..Default::default() });
        Self {
            shard: Shard::new(config),
            tenant: Tenant::new(DOMAIN.to_owned(), Settings { limits, ..Settings::new(Arc::new(Agent)) }),
            logic,
            now: Time::from_millis(1_700_000_000_000),
            out: Vec::new(),
            sent: Vec::new(),
            calls: 0,
            branches: 0,
        }
    }

    /// A call in REFER mode from its POST to the 200 of the BYE: 12 messages.
    ///
    /// # Panics
    /// When the core does not send what it should.
    pub fn refer(&mut self) {
        self.post("REFER");
        let invite = self.next("INVITE");
        self.answer(&invite, "180 Ringing", "");
        self.answer(&invite, "200 OK", SDP);
        self.next("ACK");
        let refer = self.next("REFER");
        self.answer(&refer, "202 Accepted", "");
        let fields = |state: &str| format!("Event: refer\r\nSubscription-State: {state}\r\n");
        self.ask(&invite, 1, "NOTIFY", &fields("active;expires=60"), "SIP/2.0 100 Trying\r\n");
        self.next("SIP/2.0 200");
        self.ask(&invite, 2, "NOTIFY", &fields("terminated;reason=noresource"), "SIP/2.0 200 OK\r\n");
        self.next("SIP/2.0 200");
        let bye = self.next("BYE");
        self.answer(&bye, "200 OK", "");
        assert!(self.sent.is_empty(), "the call is over");
    }

    /// A call in INVITE mode (RFC 3725 flow IV) until both phones are joined: 11 messages.
    ///
    /// # Panics
    /// When the core does not send what it should.
    pub fn join(&mut self) -> Held {
        self.post("INVITE");
        let calling = self.next("INVITE");
        self.answer(&calling, "180 Ringing", "");
        self.answer(&calling, "200 OK", SDP);
        self.next("ACK");
        let called = self.next("INVITE");
        self.answer(&called, "180 Ringing", "");
        self.answer(&called, "200 OK", SDP);
        let again = self.next("INVITE");
        self.answer(&again, "200 OK", SDP);
        self.next("ACK");
        self.next("ACK");
        let (phone, invite) = calling;
        Held { invite, phone }
    }

    /// The calling phone hangs up: 4 messages.
    ///
    /// # Panics
    /// When the core does not send what it should.
    pub fn hang_up(&mut self, held: &Held) {
        let Held { invite, phone } = held;
        self.ask(&(*phone, invite.clone()), 1, "BYE", "", "");
        self.next("SIP/2.0 200");
        let bye = self.next("BYE");
        self.answer(&bye, "200 OK", "");
        assert!(self.sent.is_empty(), "the call is over");
    }

    /// Lets time pass, with all that is due in it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.shard.poll(self.now, &mut self.out);
            self.work();
        }
        self.now = end;
    }

    fn post(&mut self, mode: &str) {
        self.calls += 1;
        let n = self.calls;
        let request = HttpRequest {
            method: "POST".to_owned(),
            path: format!("/callcontroller/u{n}%40127.0.0.1%3A{CALLING}/v{n}%40127.0.0.1%3A{CALLED}"),
            query: Some(format!("agent={AGENT}&sipMethod={mode}")),
            headers: vec![Header { name: "user-agent".to_owned(), value: "drive.py".to_owned() }],
            body: Vec::new(),
        };
        let stage = Stage::new(Setting::of_route(&self.tenant, &*self.logic, self.now, Principal::Trusted));
        let (_, routed) = self.logic.route(DOMAIN, &request, stage);
        let Ok(Routed::Call(key)) = routed else { panic!("no call: {routed:?}") };
        let (tenant, logic, principal) = (self.tenant.clone(), self.logic.clone(), Principal::Trusted);
        let arrival = Arrival { tenant, logic, key, principal, exchange: ExchangeId(n), request };
        self.shard.http(self.now, arrival, &mut self.out);
        self.work();
    }

    /// Runs the events that wait, as the server does.
    fn work(&mut self) {
        self.let_out();
        while let Some(call) = self.shard.next_ready() {
            self.run(call);
        }
    }

    fn run(&mut self, call: CallRef) {
        let mut job = self.shard.begin(self.now, call);
        while let Some(begun) = job {
            let finished = begun.run();
            assert!(finished.breakdown().is_none(), "{:?}", finished.breakdown());
            self.shard.finish(self.now, finished, &mut self.out);
            self.let_out();
            job = self.shard.proceed(self.now, call);
        }
    }

    fn let_out(&mut self) {
        for output in self.out.drain(..) {
            match output {
                Output::Transmit { destination, bytes, .. } => self.sent.push((destination, bytes)),
                Output::HttpRespond { response, .. } => assert_eq!(response.status, 200),
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    /// The message that has reached a phone and begins like this.
    fn next(&mut self, start: &str) -> (Destination, Bytes) {
        let found = self.sent.iter().position(|(_, bytes)| bytes.starts_with(start.as_bytes()));
        found.map(|at| self.sent.remove(at)).unwrap_or_else(|| panic!("no {start} in {:?}", self.sent))
    }

    fn answer(&mut self, (phone, request): &(Destination, Bytes), status: &str, body: &str) {
        let port = phone.remote.port();
        let mut answer = format!("SIP/2.0 {status}\r\n");
        for line in lines(request) {
            if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
                let untagged = line.starts_with("To:") && !line.contains(";tag=");
                answer.extend([line, if untagged { ";tag=4711U17" } else { "" }, "\r\n"]);
            }
        }
        answer += &format!("Contact: <sip:127.0.0.1:{port}>\r\n{}", content(body));
        self.receive(*phone, answer);
    }

    /// A request of the phone in the dialog of an INVITE that it got.
    fn ask(&mut self, (phone, invite): &(Destination, Bytes), cseq: u32, method: &str, fields: &str, body: &str) {
        self.branches += 1;
        let (branch, port) = (self.branches, phone.remote.port());
        let field = |name: &str| lines(invite).find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let contact = field("Contact: <").trim_end_matches('>');
        let request = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK-4711-{branch}-5\r\n\
             Max-Forwards: 70\r\nFrom:{};tag=4711U17\r\nTo:{}\r\nCall-ID:{}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:127.0.0.1:{port}>\r\n{fields}{}",
            field("To:"),
            field("From:"),
            field("Call-ID:"),
            content(body),
        );
        self.receive(*phone, request);
    }

    fn receive(&mut self, phone: Destination, message: String) {
        let message = admit(Bytes::from(message), phone, &Limits::default()).expect("a good message");
        self.shard.receive(self.now, message, phone, &mut self.out);
        self.work();
    }
}

/// The end of the head, and the body.
fn content(body: &str) -> String {
    let kind = match body {
        "" => "",
        SDP => "Content-Type: application/sdp\r\n",
        _ => "Content-Type: message/sipfrag\r\n",
    };
    format!("{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn lines(message: &Bytes) -> impl Iterator<Item = &str> {
    message.split(|byte| *byte == b'\n').map(|line| std::str::from_utf8(line).unwrap_or_default().trim_end())
}

/// The agent is the only user: phones are called by their addresses.
struct Agent;

impl Directory for Agent {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let known = [AGENT, AGENT_ADDRESS].contains(&name);
        let identity = Identity { address_of_record: format!("sip:{AGENT_ADDRESS}"), display_name: None };
        known.then(|| Arc::new(UserRecord { name: AGENT.to_owned(), identity }))
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}
