//! A phone that does what the test says, one message after another, in any number of dialogs. It speaks UDP, or is one in
//! a browser and speaks SIP over WebSocket (RFC 7118): then it is reached by the connection that it made and no other, for
//! its Contact names no place.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};

use plugboard_sip::Value;
use plugboard_sip::digest::{Challenge, Secret, answer, best_for};
use socket2::{Domain, Socket, Type};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

use crate::http::{PATIENCE, Stream, patient, secured};
use crate::place::Place;

/// The page that a phone in a browser came with.
pub const ORIGIN: &str = "https://phone.example.test";

/// A phone that is connected, or can be called.
pub struct ByHand {
    line: Line,
    user: String,
    /// As Via names it: transport and host.
    via: String,
    contact: String,
    /// Requests that it sent, in number.
    sent: u32,
}

enum Line {
    Web(Box<WebSocket<Box<dyn Stream>>>),
    /// Who spoke last, and what was received, so that what is repeated is passed over.
    Udp(UdpSocket, Option<SocketAddr>, HashSet<String>),
}

/// Why there is no connection: the HTTP status of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway(pub u16);

impl ByHand {
    /// A phone that can be called by UDP.
    pub fn listen(user: &str, place: &Place) -> Self {
        let socket = UdpSocket::bind(place.port()).expect("the port is free");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time is given");
        let address = socket.local_addr().expect("it is bound");
        Self {
            line: Line::Udp(socket, None, HashSet::new()),
            user: user.to_owned(),
            via: format!("UDP {address}"),
            contact: format!("sip:{user}@{address}"),
            sent: 0,
        }
    }

    /// Its user, where it can be called: `name@ip:port`.
    pub fn user(&self) -> &str {
        self.contact.trim_start_matches("sip:")
    }

    /// A phone in a browser that connects to `server` by `ws` or `wss`, from this address of ours.
    ///
    /// # Panics
    /// When the server does not want it.
    pub fn connect(user: &str, transport: &str, server: SocketAddr, from: IpAddr) -> Self {
        Self::try_connect(user, transport, server, from, ORIGIN).expect("it is welcome")
    }

    /// The same with the page of another origin.
    ///
    /// # Errors
    /// When the server says no.
    pub fn try_connect(
        user: &str,
        transport: &str,
        server: SocketAddr,
        from: IpAddr,
        origin: &'static str,
    ) -> Result<Self, TurnedAway> {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of ours");
        socket.connect(&server.into()).expect("somebody listens");
        let stream: TcpStream = socket.into();
        patient(&stream).expect("a time is given");
        let secure = transport == "wss";
        let stream: Box<dyn Stream> =
            if secure { Box::new(secured(stream).expect("a handshake")) } else { Box::new(stream) };
        let mut request = format!("{transport}://{server}/").into_client_request().expect("a URI");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("sip"));
        request.headers_mut().insert("Origin", HeaderValue::from_static(origin));
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(Self {
                line: Line::Web(Box::new(socket)),
                user: user.to_owned(),
                via: format!("{} df7jal23ls0d.invalid", transport.to_uppercase()),
                contact: format!("sip:{user}@df7jal23ls0d.invalid;transport=ws"),
                sent: 0,
            }),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(refusal))) => {
                Err(TurnedAway(refusal.status().as_u16()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Registers with this password.
    pub fn register(&mut self, domain: &str, password: &str) {
        let uri = format!("sip:{domain}");
        let own = format!("<sip:{}@{domain}>", self.user);
        let send = |phone: &mut Self, credentials: &str| {
            let fields = format!("From: {own};tag=register\r\nTo: {own}\r\nCall-ID: register-{}\r\n", phone.user);
            phone.write("REGISTER", &uri, &format!("{fields}Expires: 600\r\n{credentials}"), "");
            phone.next()
        };
        let refusal = send(self, "");
        let challenges = Challenge::parse_all([&Value::from(field(&refusal, "WWW-Authenticate").to_owned())]);
        let secret = Secret::password(password);
        let challenge = best_for(&challenges, &secret).expect("a challenge");
        let proof = answer(challenge, &secret, &self.user, "REGISTER", &uri, b"", "cnonce", 1).expect("a proof");
        let answer = send(self, &format!("Authorization: {proof}\r\n"));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    }

    /// The next message, which is a request of this method.
    pub fn request(&mut self, method: &str) -> String {
        let message = self.next();
        assert!(message.starts_with(&format!("{method} sip")), "{method}, not {message}");
        message
    }

    /// The next message, which is a response of this status.
    pub fn response(&mut self, status: u16) -> String {
        let message = self.next();
        assert!(message.starts_with(&format!("SIP/2.0 {status} ")), "{status}, not {message}");
        message
    }

    /// Answers a request with this session, or none.
    pub fn answer(&mut self, request: &str, status: &str, session: &str) {
        let copied = |name: &'static str| fields(request, name).map(move |value| format!("{name}: {value}\r\n"));
        let mut head: String =
            ["Via", "Record-Route", "From", "Call-ID", "CSeq"].into_iter().flat_map(copied).collect();
        let to = field(request, "To");
        let tag = if to.contains("tag=") { String::new() } else { format!(";tag={}", self.user) };
        head.push_str(&format!("To: {to}{tag}\r\n"));
        self.finish(&format!("SIP/2.0 {status}\r\n{head}"), session);
    }

    /// Sends a request inside the dialog that an INVITE to it opened.
    pub fn send(&mut self, invite: &str, method: &str, more: &str, body: &str) {
        let uri = between(field(invite, "Contact")).to_owned();
        let (from, to, call_id) = (field(invite, "To"), field(invite, "From"), field(invite, "Call-ID"));
        let routes: String = fields(invite, "Record-Route").map(|value| format!("Route: {value}\r\n")).collect();
        let head = format!("{routes}From: {from};tag={}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n{more}", self.user);
        self.write(method, &uri, &head, body);
    }

    /// Calls a URI with these header fields and this session, and acknowledges the 200. Gives that back.
    pub fn call(&mut self, uri: &str, more: &str, session: &str) -> String {
        let own = format!("From: <sip:{}@example.test>;tag={}\r\nCall-ID: by-{}\r\n", self.user, self.user, self.user);
        self.write("INVITE", uri, &format!("{own}To: <{uri}>\r\n{more}"), session);
        let mut response = self.next();
        while response.starts_with("SIP/2.0 1") {
            response = self.next();
        }
        assert!(response.starts_with("SIP/2.0 200 "), "{response}");
        self.sent -= 1; // the ACK has the number of its INVITE
        let target = between(field(&response, "Contact")).to_owned();
        self.write("ACK", &target, &format!("{own}To: {}\r\n", field(&response, "To")), "");
        response
    }

    fn write(&mut self, method: &str, uri: &str, head: &str, body: &str) {
        self.sent += 1;
        let (via, sent, user) = (&self.via, self.sent, &self.user);
        let start = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{user}{method}{sent}\r\n\
             Max-Forwards: 70\r\nCSeq: {sent} {method}\r\n{head}"
        );
        self.finish(&start, body);
    }

    /// Sends a message that wants its last header fields.
    fn finish(&mut self, head: &str, body: &str) {
        let kind = match body {
            "" => "",
            _ if body.starts_with("v=0") => "Content-Type: application/sdp\r\n",
            _ => "Content-Type: message/sipfrag;version=2.0\r\n",
        };
        let (contact, length) = (&self.contact, body.len());
        let text = format!("{head}Contact: <{contact}>\r\n{kind}Content-Length: {length}\r\n\r\n{body}");
        match &mut self.line {
            Line::Web(socket) => socket.send(Message::text(text)).expect("the connection is up"),
            Line::Udp(socket, peer, _) => {
                socket.send_to(text.as_bytes(), peer.expect("it was called")).expect("loopback takes it");
            }
        }
    }

    /// The next message.
    fn next(&mut self) -> String {
        loop {
            match &mut self.line {
                Line::Web(socket) => {
                    let message = socket.read().unwrap_or_else(|error| panic!("{} hears nothing: {error}", self.user));
                    let text = String::from_utf8_lossy(&message.into_data()).into_owned();
                    if text.contains("SIP/2.0") {
                        return text;
                    }
                }
                Line::Udp(socket, peer, heard) => {
                    let mut buffer = [0; 65_535];
                    let received = socket.recv_from(&mut buffer);
                    let (length, from) =
                        received.unwrap_or_else(|error| panic!("{} hears nothing: {error}", self.user));
                    *peer = Some(from);
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    if heard.insert(text.clone()) {
                        return text;
                    }
                }
            }
        }
    }
}

/// The first header field of this name.
///
/// # Panics
/// When there is none.
pub fn field<'m>(message: &'m str, name: &str) -> &'m str {
    fields(message, name).next().unwrap_or_else(|| panic!("no {name} in {message}"))
}

fn fields<'m>(message: &'m str, name: &str) -> impl Iterator<Item = &'m str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

/// What stands in angle brackets.
fn between(value: &str) -> &str {
    value.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value, |(uri, _)| uri)
}

/// A session with audio at this port, or without any.
pub fn session(port: Option<u16>) -> String {
    let media = port.map(|port| format!("m=audio {port} RTP/AVP 0\r\n")).unwrap_or_default();
    let version = 1 + u8::from(port.is_some());
    format!("v=0\r\no=web 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}")
}
