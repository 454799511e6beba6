//! The phone's side of the transaction layer: calls in and out.

use super::PhoneConfig;
use super::call::{Call, Phase};
use crate::demo::wire::{Datagrams, Element};
use plugboard_sip::digest::{Challenge, Secret, answer, best_for};
use plugboard_sip::message::{Request, Response};
use plugboard_sip::transaction::{Config, Layer, Output, SentBy, ServerId, TableLimits, TimerValues};
use plugboard_sip::{Destination, HeaderName, Host, Message, Method, Status, Text, Time, Transport};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

/// What a request of ours was for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// Registration; whether it carries credentials already.
    Register { again: bool },
    /// The INVITE that opens this call.
    Invite { call: usize },
    /// A request whose answer does not matter.
    Other,
}

/// All that a phone knows.
pub struct Line {
    pub(super) config: PhoneConfig,
    pub(super) address: SocketAddr,
    pub(super) layer: Layer<Purpose>,
    pub(super) calls: Vec<Call>,
    is_registered: bool,
    registrations: u32,
    /// The requests that came, since somebody asked.
    pub(super) heard: Vec<String>,
    names: u32,
    salt: u64,
}

impl Line {
    /// A phone at `address` that has no calls.
    pub fn new(config: PhoneConfig, address: SocketAddr) -> Self {
        let salt = RandomState::new().hash_one(&config.user);
        let layer = Layer::new(Config {
            timers: TimerValues::default(),
            sent_by: vec![SentBy { host: Host::from(address.ip()), port: Some(address.port()) }],
            branch_prefix: Text::from(format!("{}-", config.user)),
            seed: u128::from(salt).to_be_bytes(),
            limits: TableLimits::default(),
        });
        let (calls, heard) = (Vec::new(), Vec::new());
        Self { config, address, layer, calls, is_registered: false, registrations: 0, heard, names: 0, salt }
    }

    /// Sends REGISTER.
    pub fn register(&mut self, now: Time, out: &mut Datagrams) {
        self.send_register(now, None, out);
    }

    /// Whether the registrar accepted us.
    pub fn is_registered(&self) -> bool {
        self.is_registered
    }

    /// Answered calls that have not ended.
    pub fn calls_up(&self) -> usize {
        self.calls.iter().filter(|call| call.phase == Phase::Up).count()
    }

    /// Ends every call that is up.
    pub fn hang_up(&mut self, now: Time, out: &mut Datagrams) {
        for index in 0..self.calls.len() {
            if self.calls.get(index).is_some_and(|call| call.phase == Phase::Up) {
                self.send_in_call(now, index, Method::Bye, |_| (), out);
                self.set_phase(index, Phase::Over);
            }
        }
    }

    /// Our Contact.
    pub(super) fn contact(&self) -> String {
        format!("sip:{}@{}", self.config.user, self.address)
    }

    /// Our address of record.
    pub(super) fn own_address(&self) -> String {
        format!("sip:{}@{}", self.config.user, self.config.domain)
    }

    /// A name that was not used before: a tag, a Call-ID, a cnonce.
    pub(super) fn fresh_name(&mut self) -> String {
        self.names += 1;
        format!("{:016x}{:x}", self.salt, self.names)
    }

    pub(super) fn set_phase(&mut self, index: usize, phase: Phase) {
        if let Some(call) = self.calls.get_mut(index) {
            call.phase = phase;
        }
    }

    /// Sends a request in the dialog of a call.
    pub(super) fn send_in_call(
        &mut self,
        now: Time,
        index: usize,
        method: Method,
        fill: impl FnOnce(&mut Request),
        out: &mut Datagrams,
    ) {
        let (contact, proxy) = (self.contact(), self.config.proxy);
        let Some(call) = self.calls.get_mut(index) else { return };
        let mut request = call.request(method, &contact);
        fill(&mut request);
        let destination = call.next_hop(proxy);
        let mut outputs = Vec::new();
        let _ = self.layer.send(now, request, destination, Purpose::Other, &mut outputs);
        self.work(now, outputs, out);
    }

    /// The header that answers a challenge, if the password does.
    pub(super) fn credentials(
        &mut self,
        response: &Response,
        method: &Method,
        uri: &str,
    ) -> Option<(HeaderName, String)> {
        let (asked, given) = match response.status.code() {
            401 => (HeaderName::WwwAuthenticate, HeaderName::Authorization),
            407 => (HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
            _ => return None,
        };
        let challenges = Challenge::parse_all(response.headers.get_all(&asked));
        let secret = Secret::password(self.config.password.clone());
        let challenge = best_for(&challenges, &secret)?;
        let cnonce = self.fresh_name();
        let value = answer(challenge, &secret, &self.config.user, method.as_str(), uri, b"", &cnonce, 1)?;
        Some((given, value))
    }

    fn send_register(&mut self, now: Time, credentials: Option<(HeaderName, String)>, out: &mut Datagrams) {
        self.registrations += 1;
        let again = credentials.is_some();
        let own = self.own_address();
        let mut request = Request::new(Method::Register, format!("sip:{}", self.config.domain));
        let headers = &mut request.headers;
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, format!("<{own}>;tag={:x}", self.salt));
        headers.push(HeaderName::To, format!("<{own}>"));
        headers.push(HeaderName::CallId, format!("register-{:016x}", self.salt));
        headers.push(HeaderName::CSeq, format!("{} REGISTER", self.registrations));
        headers.push(HeaderName::Contact, format!("<{}>", self.contact()));
        headers.push(HeaderName::Expires, "600");
        if let Some((name, value)) = credentials {
            headers.push(name, value);
        }
        let destination = Destination { transport: Transport::Udp, remote: self.config.proxy, local: 0 };
        let mut outputs = Vec::new();
        let _ = self.layer.send(now, request, destination, Purpose::Register { again }, &mut outputs);
        self.work(now, outputs, out);
    }

    /// Does what the layer says, and what follows from it.
    pub(super) fn work(&mut self, now: Time, outputs: Vec<Output<Purpose>>, out: &mut Datagrams) {
        for output in outputs {
            match output {
                Output::Transmit { destination, bytes, .. } => out.push((destination.remote, bytes)),
                Output::Request { server, request, .. } => self.on_request(now, server, &request, out),
                Output::Ack { .. } => self.heard.push("ACK".to_owned()),
                Output::Cancelled { server, .. } => self.on_cancelled(now, server, out),
                Output::Response { user, response, .. } => self.on_response(now, user, &response, out),
                Output::Failed { user, .. } => self.on_failure(now, user, out),
                Output::NoAck { .. } | Output::Stray(_) => {}
            }
        }
    }

    /// Answers a request; our Contact is added.
    pub(super) fn respond(&mut self, now: Time, server: ServerId, mut response: Response, out: &mut Datagrams) {
        response.headers.push(HeaderName::Contact, format!("<{}>", self.contact()));
        let mut outputs = Vec::new();
        let _ = self.layer.respond(now, server, response, &mut outputs);
        self.work(now, outputs, out);
    }

    fn on_response(&mut self, now: Time, purpose: Purpose, response: &Response, out: &mut Datagrams) {
        match purpose {
            Purpose::Register { again } => {
                let uri = format!("sip:{}", self.config.domain);
                self.is_registered |= response.status.is_success();
                if let Some(credentials) = self.credentials(response, &Method::Register, &uri).filter(|_| !again) {
                    self.send_register(now, Some(credentials), out);
                }
            }
            Purpose::Invite { call } => self.on_answer(now, call, response, out),
            Purpose::Other => {}
        }
    }

    fn on_failure(&mut self, now: Time, purpose: Purpose, out: &mut Datagrams) {
        if let Purpose::Invite { call } = purpose {
            self.on_refused(now, call, Status::REQUEST_TIMEOUT, Status::REQUEST_TIMEOUT.default_reason(), out);
        }
    }
}

impl Element for Line {
    fn receive(&mut self, now: Time, message: Message, source: Destination, out: &mut Datagrams) {
        let mut outputs = Vec::new();
        self.layer.receive(now, message, source, &mut outputs);
        self.work(now, outputs, out);
    }

    fn poll(&mut self, now: Time, out: &mut Datagrams) {
        self.answer_due_calls(now, out);
        if self.layer.next_deadline().is_some_and(|deadline| deadline <= now) {
            let mut outputs = Vec::new();
            self.layer.poll(now, &mut outputs);
            self.work(now, outputs, out);
        }
    }
}
