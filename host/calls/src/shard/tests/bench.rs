//! The network, the phones and the clock for the tests of the shard.

use crate::contract::*;
use crate::history::{Passed, What};
use crate::limits::Limits;
use crate::logic::*;
use crate::shard::*;
use crate::stage::Stage;
use crate::tenant::Settings;
use plugboard_sip::digest::Secret;
use plugboard_sip::host::Host;
use plugboard_sip::locate::Target;
use plugboard_sip::message::{HeaderName, Message, Method, Request, Response, Status, Value};
use plugboard_sip::parse::{Limits as ParseLimits, parse_datagram};
use plugboard_sip::transaction::ClientId;
use plugboard_sip::transport::Transport;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

pub const CALLS_MAX: usize = 5;
pub type Outcome = Result<Option<Vec<u8>>, Breakdown>;
pub type Script = fn(&Context, Option<&[u8]>, &Event, &mut Stage) -> Outcome;

pub struct Bench {
    pub shard: Shard,
    pub tenant: Arc<Tenant>,
    pub now: Time,
    /// All that was sent, printed.
    pub everything: Vec<String>,
    logic: Arc<dyn Logic>,
    script: Script,
    pub out: Vec<Output>,
    sent: Vec<Message>,
    answers: Vec<u16>,
    bodies: Vec<String>,
    lookups: Vec<LookupId>,
    avoided: Vec<(String, Duration)>,
    last_sent: (String, Option<ClientId>),
    next_exchange: u64,
    branches: u32,
}

struct Scripted {
    script: Script,
    description: Description,
    migrates: Migrated,
}

/// What `migrate` answers.
type Migrated = Result<Vec<u8>, Breakdown>;

impl Logic for Scripted {
    fn description(&self) -> &Description {
        &self.description
    }

    fn route(&self, _: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        (stage, Ok(Routed::Call(CallKey::new(request.path.clone()).expect("a key"))))
    }

    fn handle(&self, context: &Context, state: Option<&[u8]>, event: &Event, mut stage: Stage) -> (Stage, Outcome) {
        let outcome = (self.script)(context, state, event, &mut stage);
        (stage, outcome)
    }

    fn migrate(&self, _: u32, _: &[u8]) -> Migrated {
        self.migrates.clone()
    }
}

fn scripted(script: Script, migrates: Migrated) -> Arc<dyn Logic> {
    let description =
        Description { name: "test".into(), version: "1".into(), http_prefix: "/".into(), state_schema: 1 };
    Arc::new(Scripted { script, description, migrates })
}

/// The only user, with her password.
pub struct Alice(pub &'static str);

impl Directory for Alice {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let identity = Identity { address_of_record: "sip:alice@example.com".into(), display_name: None };
        (name == "alice").then(|| Arc::new(UserRecord { name: name.into(), identity }))
    }

    fn credentials(&self, user: &str) -> Option<Credentials> {
        (user == "alice").then(|| Credentials { username: "alice".into(), secret: Secret::password(self.0) })
    }
}

fn settings(limits: Limits, session_expires_seconds: u32) -> Settings {
    Settings { limits: Arc::new(limits), session_expires_seconds, ..Settings::new(Arc::new(Alice("secret"))) }
}

impl Bench {
    pub fn new(script: Script) -> Self {
        Self::limited(script, Limits { calls: CALLS_MAX, ..Limits::default() })
    }

    pub fn limited(script: Script, limits: Limits) -> Self {
        let face = Face {
            transport: Transport::Udp,
            address: (Ipv4Addr::LOCALHOST, 5060).into(),
            host: Host::V4(Ipv4Addr::LOCALHOST),
            port: 5060,
        };
        let faces = Faces::new(vec![face]);
        let config = ShardConfig { index: 3, faces, timers: TimerValues::default(), seed: 11 };
        Self {
            shard: Shard::new(config),
            tenant: Tenant::new("example.com".into(), settings(limits, 0)),
            now: Time::from_millis(1_000_000),
            everything: Vec::new(),
            logic: scripted(script, Ok(Vec::new())),
            script,
            out: Vec::new(),
            sent: Vec::new(),
            answers: Vec::new(),
            bodies: Vec::new(),
            lookups: Vec::new(),
            avoided: Vec::new(),
            last_sent: Default::default(),
            next_exchange: 0,
            branches: 0,
        }
    }

    /// An HTTP request; its event waits for [`Bench::run`].
    pub fn arrive(&mut self, method: &str, path: &str) {
        self.next_exchange += 1;
        let request =
            HttpRequest { method: method.into(), path: path.into(), query: None, headers: vec![], body: vec![] };
        let arrival = Arrival {
            tenant: self.tenant.clone(),
            logic: self.logic.clone(),
            key: CallKey::new(path.into()).expect("a key"),
            principal: Principal::Trusted,
            exchange: ExchangeId(self.next_exchange),
            request,
        };
        self.shard.http(self.now, arrival, &mut self.out);
        self.collect();
    }

    /// Runs all events that wait.
    pub fn run(&mut self) {
        while let Some(call) = self.shard.next_ready() {
            let job = self.shard.begin(self.now, call);
            self.run_from(job, call);
        }
        self.collect();
    }

    fn run_from(&mut self, mut job: Option<Job>, call: CallRef) {
        while let Some(begun) = job {
            self.shard.finish(self.now, begun.run(), &mut self.out);
            self.collect();
            job = self.shard.proceed(self.now, call);
        }
    }

    /// Another version with the same script, whose `migrate` answers this.
    pub fn version(&self, migrates: Migrated) -> Arc<dyn Logic> {
        scripted(self.script, migrates)
    }

    /// Requests that arrive from now on find this version live.
    pub fn go_live(&mut self, version: Arc<dyn Logic>) {
        self.logic = version;
    }

    /// Moves all calls to a version; which of them it accepted.
    pub fn move_calls(&mut self, to: &Arc<dyn Logic>) -> Vec<bool> {
        let mut accepted = Vec::new();
        for call in self.shard.calls_that(|_, logic| !Arc::ptr_eq(logic, to)) {
            let moved = self.shard.begin_move(call, to.clone()).expect("nothing runs").run();
            accepted.push(moved.refusal().is_none());
            self.finish_move(moved);
        }
        accepted
    }

    pub fn finish_move(&mut self, moved: Moved) {
        let call = moved.call();
        self.shard.finish_move(moved);
        let job = self.shard.proceed(self.now, call);
        self.run_from(job, call);
        self.run();
    }

    /// Places a call; its INVITE.
    pub fn place(&mut self, path: &str) -> Request {
        self.arrive("POST", path);
        self.run();
        self.request(Method::Invite)
    }

    /// Lets time pass, in steps that hit every deadline.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.shard.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.shard.poll(self.now, &mut self.out);
            self.collect();
            self.run();
        }
        self.now = end;
    }

    /// The phone answers a request of ours.
    pub fn answer(&mut self, request: &Request, status: u16, reason: &str, body: &[u8]) {
        self.answer_as(request, "phone", status, reason, body);
    }

    pub fn answer_as(&mut self, request: &Request, tag: &str, status: u16, reason: &str, body: &[u8]) {
        let mut response = Response::to(request, Status::new(status).expect("a status"), reason, tag);
        response.headers.push(HeaderName::Contact, "<sip:bob@127.0.0.1:5080>");
        response.body = body.to_vec().into();
        self.receive(Message::Response(response));
    }

    /// A target says that it has no room, with this Retry-After.
    pub fn unavailable(&mut self, request: &Request, retry_after: Option<&str>) {
        let mut response = Response::to(request, Status::new(503).expect("a status"), "Service Unavailable", "p");
        if let Some(retry_after) = retry_after {
            response.headers.push(HeaderName::RetryAfter, retry_after);
        }
        self.receive(Message::Response(response));
    }

    /// The phone answers with further header fields.
    pub fn answer_with(&mut self, request: &Request, status: u16, body: &[u8], fields: &[(HeaderName, &str)]) {
        self.answer_fork(request, "phone", status, body, fields);
    }

    /// A fork answers with further header fields.
    pub fn answer_fork(
        &mut self,
        request: &Request,
        tag: &str,
        status: u16,
        body: &[u8],
        fields: &[(HeaderName, &str)],
    ) {
        let status = Status::new(status).expect("a status");
        let mut response = Response::to(request, status, status.default_reason(), tag);
        response.headers.push(HeaderName::Contact, "<sip:bob@127.0.0.1:5080>");
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            response.headers.set(name.clone(), *value);
        }
        if !body.is_empty() {
            response.headers.push(HeaderName::ContentType, "application/sdp");
        }
        response.body = body.to_vec().into();
        self.receive(Message::Response(response));
    }

    /// The tenant's calls ask for session timers.
    pub fn ask_for_sessions(&mut self, seconds: u32) {
        self.tenant.configure(settings(Limits { calls: CALLS_MAX, ..Limits::default() }, seconds));
    }

    /// A proxy challenges a request of ours.
    pub fn challenge(&mut self, request: &Request, nonce: &str, stale: bool) {
        let response = challenge(request, nonce, stale);
        self.receive(Message::Response(response));
    }

    /// A proxy says 100 and challenges, both before the guest hears of either.
    pub fn challenge_in_haste(&mut self, request: &Request, nonce: &str) {
        let trying = Response::to(request, Status::TRYING, "Trying", "");
        let source = Destination { transport: Transport::Udp, remote: (Ipv4Addr::LOCALHOST, 5080).into(), local: 0 };
        self.shard.receive(self.now, Message::Response(trying), source, &mut self.out);
        self.challenge(request, nonce, false);
    }

    /// The phone sends a request inside the dialog that an INVITE of ours opened.
    pub fn phone_sends(&mut self, invite: &Request, method: Method, cseq: u32, body: &[u8]) {
        self.phone_request(invite, "phone", method, cseq, body);
    }

    pub fn phone_sends_as(&mut self, invite: &Request, tag: &str, method: Method, cseq: u32) {
        self.phone_request(invite, tag, method, cseq, b"");
    }

    /// As [`Bench::phone_sends`], with something changed.
    pub fn phone_sends_with(&mut self, invite: &Request, method: Method, cseq: u32, change: impl FnOnce(&mut Request)) {
        let mut request = self.made_by_phone(invite, "phone", method, cseq, b"");
        change(&mut request);
        self.receive(Message::Request(request));
    }

    fn phone_request(&mut self, invite: &Request, tag: &str, method: Method, cseq: u32, body: &[u8]) {
        let request = self.made_by_phone(invite, tag, method, cseq, body);
        self.receive(Message::Request(request));
    }

    fn made_by_phone(&mut self, invite: &Request, tag: &str, method: Method, cseq: u32, body: &[u8]) -> Request {
        let field = |name| invite.headers.get(&name).cloned().unwrap_or_default();
        let mut request = Request::new(method.clone(), "sip:alice@127.0.0.1:5060");
        request.headers.push(HeaderName::Via, self.via());
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(HeaderName::From, with_tag(&field(HeaderName::To), tag));
        request.headers.push(HeaderName::To, field(HeaderName::From));
        request.headers.push(HeaderName::CallId, field(HeaderName::CallId));
        request.headers.push(HeaderName::CSeq, format!("{cseq} {method}"));
        request.headers.push(HeaderName::Contact, "<sip:bob@127.0.0.1:5080>");
        request.body = body.to_vec().into();
        request
    }

    /// A request of someone who is in no call.
    pub fn stranger(&mut self, method: &str, to_params: &str) {
        self.stranger_with(method, to_params, |_| {});
    }

    /// As [`Bench::stranger`], with something changed.
    pub fn stranger_with(&mut self, method: &str, to_params: &str, change: impl FnOnce(&mut Request)) {
        let request = self.made_by_stranger(method, to_params, change);
        self.receive(Message::Request(request));
    }

    /// A request of someone at another address.
    pub fn stranger_from(&mut self, remote: SocketAddr, method: &str, change: impl FnOnce(&mut Request)) {
        let request = self.made_by_stranger(method, "", change);
        let source = Destination { transport: Transport::Udp, remote, local: 0 };
        self.shard.receive(self.now, Message::Request(request), source, &mut self.out);
        self.collect();
        self.run();
    }

    fn made_by_stranger(&mut self, method: &str, to_params: &str, change: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request::new(Method::parse(&method.into()).expect("a method"), "sip:x@127.0.0.1");
        request.headers.push(HeaderName::Via, self.via());
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(HeaderName::From, "<sip:eve@example.org>;tag=e");
        request.headers.push(HeaderName::To, format!("<sip:x@127.0.0.1>{to_params}"));
        request.headers.push(HeaderName::CallId, "stranger");
        request.headers.push(HeaderName::CSeq, format!("1 {method}"));
        change(&mut request);
        request
    }

    pub fn end(&mut self, path: &str) -> bool {
        let key = CallKey::new(path.into()).expect("a key");
        let found = self.shard.end_call(self.now, "example.com", &key, EndingReason::Operator, &mut self.out);
        self.run();
        found
    }

    /// The resolver answers the look-up that is under way, with these addresses and ports.
    pub fn resolve(&mut self, targets: &[&str]) {
        let lookup = self.lookups.pop().expect("a look-up");
        let target = |at: &&str| Target { transport: Transport::Udp, address: at.parse().expect("an address") };
        let targets: Vec<Target> = targets.iter().map(target).collect();
        self.shard.resolved(self.now, lookup, &targets, &mut self.out);
        self.collect();
        self.run();
    }

    /// Whether the resolver is asked something.
    pub fn asks(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// The last message cannot be sent.
    pub fn fail_to_send(&mut self) {
        let client = self.last_sent.1.expect("of a client transaction");
        self.shard.transport_failed(self.now, client, &mut self.out);
        self.collect();
        self.run();
    }

    /// Where the last message went.
    pub fn went_to(&self) -> String {
        self.last_sent.0.clone()
    }

    /// Targets to be avoided, and for how long, since the last look.
    pub fn avoided(&mut self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.avoided)
    }

    /// Statuses of the HTTP answers since the last look.
    pub fn answers(&mut self) -> Vec<u16> {
        std::mem::take(&mut self.answers)
    }

    /// Bodies of the HTTP answers since the last look.
    pub fn bodies(&mut self) -> Vec<String> {
        std::mem::take(&mut self.bodies)
    }

    /// What was sent since the last look.
    pub fn sent(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.sent)
    }

    pub fn requests(&mut self) -> Vec<Request> {
        let requests = self.sent().into_iter().filter_map(|message| match message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        });
        requests.collect()
    }

    /// Statuses of the responses sent since the last look.
    pub fn responses(&mut self) -> Vec<u16> {
        let responses = self.sent().into_iter().filter_map(|message| match message {
            Message::Response(response) => Some(response.status.code()),
            Message::Request(_) => None,
        });
        responses.collect()
    }

    /// The one request of this method since the last look.
    pub fn request(&mut self, method: Method) -> Request {
        let sent = self.requests();
        let mut of_method = sent.iter().filter(|request| request.method == method);
        let request = of_method.next().unwrap_or_else(|| panic!("no {method} in {sent:?}"));
        assert!(of_method.next().is_none(), "more than one {method}");
        request.clone()
    }

    fn via(&mut self) -> String {
        self.branches += 1;
        format!("SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKphone{}", self.branches)
    }

    fn receive(&mut self, mut message: Message) {
        let source = Destination { transport: Transport::Udp, remote: (Ipv4Addr::LOCALHOST, 5080).into(), local: 0 };
        if let Some(other) = consultation(&message).and_then(|named| self.shard.other_end(&named, source)) {
            self.shard.name_other_end(&mut message, &other);
        }
        self.shard.receive(self.now, message, source, &mut self.out);
        self.collect();
        self.run();
    }

    fn collect(&mut self) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Transmit { bytes, destination, client, .. } => {
                    self.last_sent = (destination.remote.to_string(), client);
                    self.everything.push(String::from_utf8_lossy(&bytes).into_owned());
                    let message = parse_datagram(bytes, &ParseLimits::default()).expect("we send what can be read");
                    self.sent.push(message);
                }
                Output::HttpRespond { response, .. } => {
                    self.answers.push(response.status);
                    self.bodies.push(String::from_utf8_lossy(&response.body).into_owned());
                }
                Output::Resolve { lookup, .. } => self.lookups.push(lookup),
                Output::Avoid { target, time } => self.avoided.push((target.address.to_string(), time)),
            }
        }
    }
}

fn challenge(request: &Request, nonce: &str, stale: bool) -> Response {
    let mut response = Response::to(request, Status::new(407).expect("a status"), "Proxy Authentication", "proxy");
    let stale = if stale { ", stale=true" } else { "" };
    let challenge = format!("Digest realm=\"example.com\", nonce=\"{nonce}\", qop=\"auth\"{stale}");
    response.headers.push(HeaderName::ProxyAuthenticate, challenge);
    response
}

/// Calls the user of a path, with a session description when that ends in `+sdp`.
pub fn invite(path: &str) -> Invite {
    let user = path.trim_start_matches('/');
    let (user, offers) = user.strip_suffix("+sdp").map_or((user, false), |user| (user, true));
    let target = if user.contains('@') { format!("sip:{user}") } else { format!("sip:{user}@127.0.0.1:5080") };
    let from = Address { display_name: Some("Alice".into()), uri: "sip:alice@example.com".into() };
    let headers = if offers { vec![header("Content-Type", "application/sdp")] } else { vec![] };
    Invite { target, to: None, from, headers, body: if offers { sdp().to_vec() } else { vec![] } }
}

pub fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

pub fn sdp() -> &'static [u8] {
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
}

pub fn line(passed: &Passed) -> String {
    let arrow = if passed.outgoing { '>' } else { '<' };
    match &passed.what {
        What::Request(method) => format!("{arrow} {method}"),
        What::Response(status, method) => format!("{arrow} {} {method}", status.code()),
    }
}

fn with_tag(value: &Value, tag: &str) -> String {
    format!("{};tag={tag}", value.as_str().unwrap_or_default())
}
