//! Messages and transactions.

use bytes::Bytes;
use plugboard_sip::admit::admit;
use plugboard_sip::digest::{self, Challenge, Secret, best_for};
use plugboard_sip::host::Host;
use plugboard_sip::message::{HeaderName, Message, Method, Request, Response, Status, Value};
use plugboard_sip::parse::Limits;
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{Config, Layer, Output, SentBy, TableLimits, TimerValues};
use plugboard_sip::transport::{Destination, Transport};
use std::net::{Ipv4Addr, SocketAddr};

const SDP: &str = "v=0\r\no=u 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0 8 101\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";
/// Longer than any timer: what was handled before is forgotten.
const AGE_MS: u64 = 60_000;

fn peer() -> Destination {
    let remote = SocketAddr::new(Ipv4Addr::new(192, 0, 2, 7).into(), 5060);
    Destination { transport: Transport::Udp, remote, local: 0 }
}

/// The 200 OK of a phone to our INVITE.
pub fn response_datagram() -> Bytes {
    let head = "SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKpb3.t1f.0123456789abcdef;rport=5060;received=192.0.2.1\r\n\
        From: \"Alice\" <sip:alice@example.com>;tag=pb3.5f0c3a9b2d\r\n\
        To: <sip:bob@example.com>;tag=8321234356\r\n\
        Call-ID: 0123456789abcdef0123456789abcdef@192.0.2.1\r\n\
        CSeq: 1 INVITE\r\n\
        Contact: <sip:bob@192.0.2.7:5060>\r\n\
        Allow: INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, OPTIONS\r\n\
        Supported: replaces, timer\r\n\
        User-Agent: phone 1.0\r\n\
        Content-Type: application/sdp\r\n";
    Bytes::from(format!("{head}Content-Length: {}\r\n\r\n{SDP}", SDP.len()))
}

/// Parses and checks that 200 OK.
///
/// # Panics
/// When it is refused.
pub fn admitted() -> Message {
    thread_local!(static DATAGRAM: Bytes = response_datagram());
    DATAGRAM.with(|datagram| admit(datagram.clone(), peer(), &Limits::default())).expect("a good message")
}

/// An INVITE of ours, but for its Via.
pub(crate) fn invite() -> Request {
    let mut request = Request::new(Method::Invite, "sip:bob@example.com");
    for (name, value) in [
        (HeaderName::MaxForwards, "70"),
        (HeaderName::From, "\"Alice\" <sip:alice@example.com>;tag=pb3.5f0c3a9b2d"),
        (HeaderName::To, "<sip:bob@example.com>"),
        (HeaderName::CallId, "0123456789abcdef0123456789abcdef@192.0.2.1"),
        (HeaderName::CSeq, "1 INVITE"),
        (HeaderName::Contact, "<sip:alice@192.0.2.1:5060>"),
        (HeaderName::Supported, "replaces, norefersub"),
        (HeaderName::ContentType, "application/sdp"),
    ] {
        request.headers.push(name, value);
    }
    request.body = Bytes::from_static(SDP.as_bytes());
    request
}

/// The bytes of a request.
pub fn serialised(request: &Request) -> Bytes {
    request.to_bytes()
}

/// A transaction layer that lives through one transaction after the other.
pub struct Transactions {
    layer: Layer<u8>,
    now: Time,
    bye: Bytes,
    count: u32,
}

impl Transactions {
    /// An empty layer.
    #[allow(clippy::new_without_default)] // nobody wants it to be one
    pub fn new() -> Self {
        let sent_by = SentBy { host: Host::from(std::net::IpAddr::from([192, 0, 2, 1])), port: Some(5060) };
        let layer = Layer::new(Config {
            timers: TimerValues::default(),
            sent_by: vec![sent_by],
            branch_prefix: Text::from("pb3."),
            seed: [7; 16],
            limits: TableLimits::default(),
        });
        let bye = Bytes::from_static(
            b"BYE sip:alice@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;rport;branch=z9hG4bK@@@@@@@@\r\n\
            Max-Forwards: 70\r\nFrom: <sip:bob@example.com>;tag=8321234356\r\n\
            To: \"Alice\" <sip:alice@example.com>;tag=pb3.5f0c3a9b2d\r\n\
            Call-ID: 0123456789abcdef0123456789abcdef@192.0.2.1\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        );
        Self { layer, now: Time::from_millis(1), bye, count: 0 }
    }

    /// An INVITE, its 180 and its 200.
    ///
    /// # Panics
    /// When the layer does not report both.
    pub fn client(&mut self) {
        let mut out = Vec::new();
        let request = invite();
        self.layer.send(self.now, request.clone(), peer(), 0, &mut out).expect("sent");
        let via = out.iter().find_map(|output| match output {
            Output::Transmit { bytes, .. } => via_of(bytes),
            _ => None,
        });
        for status in [Status::RINGING, Status::OK] {
            let mut response = Response::to(&request, status, status.default_reason(), "8321234356");
            response.headers.insert_first(HeaderName::Via, via.clone().expect("a Via"));
            self.layer.receive(self.now, Message::Response(response), peer(), &mut out);
        }
        assert_eq!(out.iter().filter(|output| matches!(output, Output::Response { .. })).count(), 2);
        self.grow_old();
    }

    /// A BYE of the peer and its 200.
    ///
    /// # Panics
    /// When the layer does not report the one and send the other.
    pub fn server(&mut self) {
        self.count += 1;
        let text = String::from_utf8_lossy(&self.bye).replace("@@@@@@@@", &format!("{:08x}", self.count));
        let message = admit(Bytes::from(text), peer(), &Limits::default()).expect("a good message");
        let mut out = Vec::new();
        self.layer.receive(self.now, message, peer(), &mut out);
        let Some(Output::Request { server, request, .. }) = out.pop() else { panic!("no request") };
        let response = Response::to(&request, Status::OK, "OK", "");
        self.layer.respond(self.now, server, response, &mut out).expect("answered");
        assert!(matches!(out.last(), Some(Output::Transmit { .. })));
        self.grow_old();
    }

    fn grow_old(&mut self) {
        self.now = Time::from_millis(self.now.as_millis() + AGE_MS);
        self.layer.poll(self.now, &mut Vec::new());
    }
}

fn via_of(bytes: &Bytes) -> Option<Value> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Via: ")).map(Value::from)
}

/// Answers a challenge (SHA-256, qop=auth).
///
/// # Panics
/// When there is no answer to it.
pub fn challenge_answered() -> String {
    let field = r#"Digest realm="example.com", nonce="4c2f9b1e7a", qop="auth", algorithm=SHA-256"#;
    let secret = Secret::password("secret");
    let challenges = Challenge::parse_all(&[Value::from(field)]);
    let challenge = best_for(&challenges, &secret).expect("one that can be answered");
    digest::answer(challenge, &secret, "alice", "INVITE", "sip:bob@example.com", b"", "0a4f113b", 1).expect("a proof")
}
