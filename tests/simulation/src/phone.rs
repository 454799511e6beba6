//! A phone with moods: it rings, answers or not, hangs up, holds, follows REFERs, all by seed. Its SIP is the same
//! transaction layer that the host uses, so that it repeats what the network loses.

use crate::habits::Habits;
use crate::network::Datagram;
use bytes::Bytes;
use plugboard_calls::chance::Chance;
use plugboard_sip::admit::admit;
use plugboard_sip::host::Host;
use plugboard_sip::message::{HeaderName, Message, Method, Request, Response, Status, Value};
use plugboard_sip::parse::Limits;
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{Config, Layer, Output, SentBy, ServerId, TableLimits, TimerValues};
use plugboard_sip::transport::{Destination, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Where Plugboard is.
pub const PLUGBOARD: ([u8; 4], u16) = ([127, 0, 0, 1], 5060);

/// How long a phone rings.
const RINGS_MAX: Duration = Duration::from_secs(120);
/// How often a phone refreshes a session that it is to refresh: of 90 s in this world.
const REFRESH: Duration = Duration::from_secs(40);

/// A phone.
pub struct Phone {
    address: SocketAddr,
    layer: Layer<usize>,
    dialogs: Vec<Dialog>,
    agenda: BTreeMap<(Time, u64), Act>,
    acts: u64,
    chance: Chance,
    outputs: Vec<Output<usize>>,
}

/// One dialog, in which the phone was called.
struct Dialog {
    state: State,
    invite: Request,
    server: ServerId,
    tag: String,
    target: Text,
    cseq: u32,
    habits: Habits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ringing,
    Up,
    Leaving,
    Over,
}

/// What a phone means to do with one of its dialogs.
#[derive(Clone, Debug)]
enum Act {
    Ring,
    /// Repeats a reliable 180 that no PRACK has come for.
    RingAgain,
    Answer,
    Refuse(u16),
    HangUp,
    Send(Method),
    /// Refreshes the session, and will do so again.
    Refresh,
    Notify(&'static str, bool),
}

impl Phone {
    /// A phone at a port of the loopback.
    pub fn new(port: u16, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut key = [0; 16];
        key[..8].copy_from_slice(&chance.next_u64().to_le_bytes());
        let layer = Layer::new(Config {
            timers: TimerValues::default(),
            sent_by: vec![SentBy { host: Host::V4([127, 0, 0, 1].into()), port: Some(port) }],
            branch_prefix: Text::from("phone"),
            seed: key,
            limits: TableLimits::default(),
        });
        let address = ([127, 0, 0, 1], port).into();
        Self { address, layer, dialogs: Vec::new(), agenda: BTreeMap::new(), acts: 0, chance, outputs: Vec::new() }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Dialogs that are not over.
    pub fn open(&self) -> usize {
        self.dialogs.iter().filter(|dialog| dialog.state != State::Over).count()
    }

    /// Calls that it got.
    pub fn called(&self) -> usize {
        self.dialogs.len()
    }

    /// When it wants to do something.
    pub fn next_deadline(&mut self) -> Option<Time> {
        let agenda = self.agenda.first_key_value().map(|((time, _), _)| *time);
        self.layer.next_deadline().into_iter().chain(agenda).min()
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now: Time, datagram: &Datagram) -> Vec<Datagram> {
        let source = Destination { transport: Transport::Udp, remote: datagram.from, local: 0 };
        let admitted = admit(datagram.bytes.clone(), source, &Limits::default());
        let message = admitted.unwrap_or_else(|refusal| panic!("Plugboard sent what is refused: {refusal:?}"));
        if let Message::Response(response) = &message {
            assert_ne!(response.status.code(), 400, "Plugboard refused what a phone sent");
        }
        self.layer.receive(now, message, source, &mut self.outputs);
        self.work(now)
    }

    /// Does what is due.
    pub fn poll(&mut self, now: Time) -> Vec<Datagram> {
        self.layer.poll(now, &mut self.outputs);
        while let Some(first) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, number), act) = first.remove_entry();
            self.act(now, (number >> 32) as usize, act);
        }
        self.work(now)
    }

    fn work(&mut self, now: Time) -> Vec<Datagram> {
        let mut sent = Vec::new();
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Transmit { destination, bytes, .. } => sent.push(self.datagram(destination, bytes)),
                    Output::Request { server, request, .. } => self.requested(now, server, request),
                    Output::Cancelled { server, .. } => self.cancelled(now, server),
                    Output::Response { user, response, .. } if response.status.is_final() => self.left(user),
                    Output::Failed { user, .. } => self.left(user),
                    Output::NoAck { server } => self.not_acknowledged(now, server),
                    _ => {}
                }
            }
        }
        sent
    }

    fn datagram(&self, destination: Destination, bytes: Bytes) -> Datagram {
        Datagram { from: self.address, to: destination.remote, bytes }
    }

    fn requested(&mut self, now: Time, server: ServerId, request: Request) {
        let Some(tag) = request.headers.to_tag() else {
            self.called_by(now, server, request);
            return;
        };
        let Some(at) = self.dialogs.iter().position(|dialog| dialog.tag == *tag && dialog.state != State::Over) else {
            self.respond(now, server, &request, 481, "");
            return;
        };
        match request.method {
            Method::Bye => {
                self.dialogs[at].state = State::Over;
                self.respond(now, server, &request, 200, "");
            }
            Method::Refer => self.referred(now, at, server, &request),
            Method::Prack => {
                let dialog = &mut self.dialogs[at];
                dialog.habits.acknowledged(&request, &dialog.invite);
                self.respond(now, server, &request, 200, "");
            }
            _ => {
                let status = if self.one_in(12) { 488 } else { 200 };
                self.respond(now, server, &request, status, "");
            }
        }
    }

    fn called_by(&mut self, now: Time, server: ServerId, invite: Request) {
        let at = self.dialogs.len();
        let tag = format!("p{}x{at}", self.address.port());
        let contact = invite.headers.addresses(&HeaderName::Contact).ok().and_then(|all| all.into_iter().next());
        let target = Text::from(contact.map(|contact| contact.uri.to_string()).expect("a Contact in an INVITE"));
        let habits = Habits::new(&invite, &mut self.chance);
        self.dialogs.push(Dialog { state: State::Ringing, invite, server, tag, target, cseq: 0, habits });
        if !self.one_in(5) {
            self.plan(now, at, 50, Act::Ring);
        }
        // No phone rings for ever: when all that it sends is lost, nobody else can end it.
        self.agenda.insert((now + RINGS_MAX, (at as u64) << 32), Act::Refuse(480));
        match self.chance.next_u64() % 20 {
            0 | 1 => self.plan(now, at, 3_000, Act::Refuse(486)),
            2 => self.plan(now, at, 3_000, Act::Refuse(603)),
            3 => self.plan(now, at, 3_000, Act::Refuse(480)),
            4 | 5 => {} // nobody is there
            6 | 7 => self.plan(now, at, 0, Act::Answer),
            _ => self.plan(now, at, 8_000, Act::Answer),
        }
    }

    fn referred(&mut self, now: Time, at: usize, server: ServerId, request: &Request) {
        match self.chance.next_u64() % 10 {
            0 => self.respond(now, server, request, 603, ""),
            1 => self.respond(now, server, request, 202, ""), // and never a NOTIFY
            mood => {
                self.respond(now, server, request, 202, "");
                self.plan(now, at, 100, Act::Notify("SIP/2.0 100 Trying", false));
                let (last, after) = match mood {
                    2 => ("SIP/2.0 486 Busy Here", 3_000),
                    3 => ("SIP/2.0 180 Ringing", 3_000),
                    _ => ("SIP/2.0 200 OK", 9_000),
                };
                self.plan(now, at, after, Act::Notify(last, true));
            }
        }
    }

    fn act(&mut self, now: Time, at: usize, act: Act) {
        let state = self.dialogs[at].state;
        match (act, state) {
            (Act::RingAgain, State::Ringing) if self.dialogs[at].habits.gave_up() => {
                self.act(now, at, Act::Refuse(504)); // RFC 3262 §3
            }
            (Act::RingAgain, State::Ringing) if !self.dialogs[at].habits.waits() => {}
            (Act::Ring | Act::RingAgain, State::Ringing) => self.answer_invite(now, at, 180, false),
            (Act::Answer, State::Ringing) if self.dialogs[at].habits.waits() => self.plan(now, at, 1_000, Act::Answer),
            (Act::Answer, State::Ringing) => {
                self.answer_invite(now, at, 200, true);
                self.dialogs[at].state = State::Up;
                self.plan_life(now, at);
            }
            (Act::Refuse(status), State::Ringing) => {
                self.answer_invite(now, at, status, false);
                self.dialogs[at].state = State::Over;
            }
            (Act::HangUp, State::Up) => {
                self.dialogs[at].state = State::Leaving;
                self.send(now, at, Method::Bye, None);
            }
            (Act::Send(method), State::Up) => self.send(now, at, method, None),
            (Act::Refresh, State::Up) => {
                let method = self.dialogs[at].habits.refresh_method();
                self.send(now, at, method, None);
                let number = self.number(at);
                self.agenda.insert((now + REFRESH, number), Act::Refresh);
            }
            (Act::Notify(body, last), State::Up) => self.send(now, at, Method::Notify, Some((body, last))),
            _ => {} // the dialog has moved on
        }
    }

    /// What happens in a call that is up.
    fn plan_life(&mut self, now: Time, at: usize) {
        if self.one_in(2) {
            self.plan(now, at, 60_000, Act::HangUp);
        }
        for method in [Method::Info, Method::Invite, Method::Invite, Method::Options, Method::Update] {
            if self.one_in(3) {
                self.plan(now, at, 40_000, Act::Send(method));
            }
        }
    }

    fn answer_invite(&mut self, now: Time, at: usize, status: u16, body: bool) {
        let dialog = &self.dialogs[at];
        let (server, invite, tag) = (dialog.server, dialog.invite.clone(), dialog.tag.clone());
        let body = if body { self.sdp() } else { String::new() };
        self.respond_with(now, server, &invite, status, &tag, body);
    }

    fn respond(&mut self, now: Time, server: ServerId, request: &Request, status: u16, tag: &str) {
        let carries = request.method == Method::Invite && status == 200;
        let body = if carries { self.sdp() } else { String::new() };
        self.respond_with(now, server, request, status, tag, body);
    }

    fn respond_with(&mut self, now: Time, server: ServerId, request: &Request, status: u16, tag: &str, body: String) {
        let status = Status::new(status).expect("a status");
        let mut response = Response::to(request, status, status.default_reason(), tag);
        response.headers.push(HeaderName::Contact, self.contact());
        self.observe_habits(now, request, &mut response);
        if !body.is_empty() {
            response.headers.push(HeaderName::ContentType, "application/sdp");
            response.body = body.into();
        }
        let _ = self.layer.respond(now, server, response, &mut self.outputs); // over, when it was cancelled
    }

    /// What the phone's habits put on a response, and make it do next.
    fn observe_habits(&mut self, now: Time, request: &Request, response: &mut Response) {
        let call_id = request.headers.get(&HeaderName::CallId);
        let of_call = |dialog: &Dialog| dialog.invite.headers.get(&HeaderName::CallId) == call_id;
        let Some(at) = self.dialogs.iter().rposition(of_call) else { return };
        let habits = &mut self.dialogs[at].habits;
        if response.status == Status::RINGING && habits.rings_reliably() {
            if let Some(wait) = habits.ring(response) {
                let number = self.number(at);
                self.agenda.insert((now + wait, number), Act::RingAgain);
            }
        } else if response.status.is_success() && matches!(request.method, Method::Invite | Method::Update) {
            let opening = request.headers.to_tag().is_none();
            if let Some(wait) = habits.answer(request, response).filter(|_| opening) {
                let number = self.number(at);
                self.agenda.insert((now + wait, number), Act::Refresh);
            }
        }
    }

    fn cancelled(&mut self, now: Time, server: ServerId) {
        let Some(at) = self.dialogs.iter().position(|dialog| dialog.server == server) else { return };
        if self.dialogs[at].state == State::Ringing {
            self.answer_invite(now, at, 487, false);
            self.dialogs[at].state = State::Over;
        }
    }

    /// RFC 3261 §13.3.1.4: a dialog whose 2xx is never acknowledged is ended.
    fn not_acknowledged(&mut self, now: Time, server: ServerId) {
        let found = self.dialogs.iter().position(|dialog| dialog.server == server && dialog.state == State::Up);
        if let Some(at) = found {
            self.dialogs[at].state = State::Leaving;
            self.send(now, at, Method::Bye, None);
        }
    }

    /// A request of the phone in dialog `at` is done; a BYE ends the dialog whatever was answered.
    fn left(&mut self, at: usize) {
        if let Some(dialog) = self.dialogs.get_mut(at)
            && dialog.state == State::Leaving
        {
            dialog.state = State::Over;
        }
    }

    fn send(&mut self, now: Time, at: usize, method: Method, notify: Option<(&'static str, bool)>) {
        let contact = self.contact();
        let offers = method == Method::Invite || (method == Method::Update && self.one_in(2));
        let body = if offers { self.sdp() } else { String::new() };
        let dialog = &mut self.dialogs[at];
        dialog.cseq += 1;
        let field = |name| dialog.invite.headers.get(&name).cloned().unwrap_or_default();
        let mut request = Request::new(method.clone(), &dialog.target);
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(HeaderName::From, with_tag(&field(HeaderName::To), &dialog.tag));
        request.headers.push(HeaderName::To, field(HeaderName::From));
        request.headers.push(HeaderName::CallId, field(HeaderName::CallId));
        request.headers.push(HeaderName::CSeq, format!("{} {method}", dialog.cseq));
        request.headers.push(HeaderName::Contact, contact);
        dialog.habits.ask(&mut request);
        if let Some((body, last)) = notify {
            request.headers.push(HeaderName::Event, "refer");
            let state = if last { "terminated;reason=noresource" } else { "active;expires=60" };
            request.headers.push(HeaderName::SubscriptionState, state);
            request.headers.push(HeaderName::ContentType, "message/sipfrag");
            request.body = Bytes::from_static(body.as_bytes());
        } else if !body.is_empty() {
            request.headers.push(HeaderName::ContentType, "application/sdp");
            request.body = body.into();
        }
        let destination = Destination { transport: Transport::Udp, remote: PLUGBOARD.into(), local: 0 };
        let user = if method == Method::Bye { at } else { usize::MAX };
        let client = self.layer.send(now, request, destination, user, &mut self.outputs).expect("room");
        let _ = client;
    }

    fn plan(&mut self, now: Time, at: usize, within_ms: u64, act: Act) {
        let delay = if within_ms == 0 { 0 } else { self.chance.next_u64() % within_ms };
        let number = self.number(at);
        self.agenda.insert((now + Duration::from_millis(delay), number), act);
    }

    /// Tells the acts of dialog `at` apart.
    fn number(&mut self, at: usize) -> u64 {
        self.acts += 1;
        (at as u64) << 32 | self.acts
    }

    fn one_in(&mut self, of: u64) -> bool {
        self.chance.next_u64().is_multiple_of(of)
    }

    fn contact(&self) -> String {
        format!("<sip:{}>", self.address)
    }

    fn sdp(&self) -> String {
        format!(
            "v=0\r\no=- {0} {0} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n",
            self.address.port()
        )
    }
}

fn with_tag(value: &Value, tag: &str) -> String {
    format!("{};tag={tag}", value.as_str().unwrap_or_default())
}
