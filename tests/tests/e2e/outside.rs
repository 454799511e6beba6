//! What comes from the network and belongs to no call: requests outside any dialog, responses to nothing, and the
//! addresses that RFC 5118 found implementations to stumble over; by UDP and TCP, over IPv4 and IPv6.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use plugboard_tests::busy::BusyPhone;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

/// A request, and what comes back: a status and a field of the answer, or nothing.
struct Case {
    what: &'static str,
    method: &'static str,
    uri: &'static str,
    /// In place of `Via: SIP/2.0/... SENT-BY;branch=...;rport`: what stands behind the transport, without the branch.
    sent_by: &'static str,
    /// Further fields, and then the body behind an empty line, if there is one.
    rest: &'static str,
    answer: Option<(u16, &'static str)>,
}

const PLAIN: Case = Case {
    what: "",
    method: "OPTIONS",
    uri: "sip:plugboard@example.com",
    sent_by: "192.0.2.1;rport",
    rest: "",
    answer: None,
};

const SDP: &str = "Content-Type: application/sdp\r\n\r\nv=0\r\no=- 1 1 IN IP6 2001:db8::20\r\ns=-\r\n\
                   t=0 0\r\nm=audio 6000 RTP/AVP 0\r\nc=IN IP6 2001:db8::20\r\nm=video 6024 RTP/AVP 31\r\nc=IN IP4 192.0.2.1\r\n";

/// RFC 3261 §8.2, §9.2, §11.2, §12.2.2, §15.1.2, §21.
const OUTSIDE: [Case; 15] = [
    Case { what: "a ping", answer: Some((200, "Allow: INVITE")), ..PLAIN },
    Case { what: "a ping that says what it takes", answer: Some((200, "Accept: application/sdp")), ..PLAIN },
    Case { what: "a ping at its last hop", rest: "Max-Forwards: 0\r\n", answer: Some((200, "Allow: ")), ..PLAIN },
    Case { what: "a call for nobody", method: "INVITE", answer: Some((404, "To: ")), ..PLAIN },
    Case { what: "no method that we know", method: "FROB", answer: Some((501, "Allow: INVITE")), ..PLAIN },
    Case { what: "a method of others", method: "REGISTER", answer: Some((405, "Allow: INVITE")), ..PLAIN },
    Case { what: "a telephone number", method: "INVITE", uri: "tel:+15551234", answer: Some((416, "To: ")), ..PLAIN },
    Case {
        what: "an extension that we lack",
        method: "INVITE",
        rest: "Require: frob, nitz\r\n",
        answer: Some((420, "Unsupported: frob, nitz")),
        ..PLAIN
    },
    Case {
        what: "a body that we cannot read",
        method: "INVITE",
        rest: "Content-Type: text/plain\r\n\r\nhello",
        answer: Some((415, "Accept: application/sdp")),
        ..PLAIN
    },
    Case { what: "the end of nothing", method: "BYE", answer: Some((481, "To: ")), ..PLAIN },
    Case { what: "a note about nothing", method: "INFO", answer: Some((481, "To: ")), ..PLAIN },
    Case { what: "news of nothing", method: "NOTIFY", rest: "Event: refer\r\n", answer: Some((481, "To: ")), ..PLAIN },
    Case { what: "a cancellation of nothing", method: "CANCEL", answer: Some((481, "To: ")), ..PLAIN },
    Case { what: "an acknowledgement of nothing", method: "ACK", ..PLAIN },
    Case { what: "no URI", uri: "sip:", answer: Some((400, "To: ")), ..PLAIN },
];

/// RFC 5118 §4, by its numbers.
const ADDRESSES: [Case; 12] = [
    Case { what: "4.1", uri: "sip:[2001:db8::10]", sent_by: "[2001:db8::9:1];rport", answer: Some((200, "")), ..PLAIN },
    Case { what: "4.2", method: "REGISTER", uri: "sip:2001:db8::10", answer: Some((400, "")), ..PLAIN },
    Case { what: "4.3", uri: "sip:[2001:db8::10:5070]", answer: Some((200, "")), ..PLAIN },
    Case { what: "4.4", uri: "sip:[2001:db8::10]:5070", answer: Some((200, "")), ..PLAIN },
    Case {
        what: "4.5 in brackets",
        method: "BYE",
        sent_by: "[2001:db8::9:1];received=[2001:db8::9:255];rport",
        answer: Some((481, "")),
        ..PLAIN
    },
    Case {
        what: "4.5 without",
        method: "BYE",
        sent_by: "[2001:db8::9:1];received=2001:db8::9:255;rport",
        answer: Some((481, "")),
        ..PLAIN
    },
    Case {
        what: "4.6, 4.8",
        method: "INVITE",
        uri: "sip:b@[2001:db8::10]",
        rest: SDP,
        answer: Some((404, "")),
        ..PLAIN
    },
    Case {
        what: "4.7",
        method: "INVITE",
        sent_by: "[2001:db8::9:1]:6050;rport",
        rest: "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781\r\n\
               Via: SIP/2.0/TCP [2001:db8::9:255];branch=z9hG4bK451jj;received=192.0.2.200\r\n\
               Record-Route: <sip:[2001:db8::9:1];lr>, <sip:192.0.2.1;lr>\r\n",
        answer: Some((404, "[2001:db8::9:255]")),
        ..PLAIN
    },
    Case {
        what: "4.9",
        method: "INVITE",
        sent_by: "[::ffff:192.0.2.10]:19823;rport",
        answer: Some((404, "")),
        ..PLAIN
    },
    Case { what: "4.10 three", uri: "sip:b@[2001:db8:::192.0.2.1]", answer: Some((400, "")), ..PLAIN },
    Case { what: "4.10 two", uri: "sip:b@[2001:db8::192.0.2.1]", answer: Some((200, "")), ..PLAIN },
    Case { what: "no address", uri: "sip:b@[2001:db8::10", answer: Some((400, "")), ..PLAIN },
];

/// A peer of the server.
enum Peer {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Peer {
    fn udp(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((server.ip(), 0)).expect("a socket");
        socket.connect(server).expect("the loopback has a way");
        socket.set_read_timeout(Some(SOON)).expect("a time");
        Self::Udp(socket)
    }

    fn tcp(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(SOON)).expect("a time");
        Self::Tcp(stream)
    }

    fn transport(&self) -> &'static str {
        match self {
            Self::Udp(_) => "UDP",
            Self::Tcp(_) => "TCP",
        }
    }

    fn send(&mut self, message: &str) {
        match self {
            Self::Udp(socket) => drop(socket.send(message.as_bytes()).expect("sent")),
            Self::Tcp(stream) => stream.write_all(message.as_bytes()).expect("sent"),
        }
    }

    /// Sends a message and then a ping, and waits for the answer to that: messages take effect in their order. What
    /// came before it.
    fn ask(&mut self, message: &str, number: usize) -> String {
        self.send(message);
        let ping = format!("ping-{}-{number}", self.transport());
        self.send(&request(&PLAIN, self.transport(), &ping));
        let mut got = String::new();
        let mut buffer = [0; 65_535];
        loop {
            let length = match self {
                Self::Udp(socket) => socket.recv(&mut buffer),
                Self::Tcp(stream) => stream.read(&mut buffer),
            };
            let length = length.unwrap_or_else(|error| panic!("{error} after {message}\ngot {got}"));
            assert_ne!(length, 0, "closed after {message}\ngot {got}");
            got.push_str(&String::from_utf8_lossy(&buffer[..length]));
            if let Some((_, rest)) = got.split_once(&format!("Call-ID: {ping}\r\n"))
                && rest.contains("\r\n\r\n")
            {
                let before = got.rfind("SIP/2.0 200").expect("a ping is answered");
                return got[..before].to_owned();
            }
        }
    }
}

fn request(case: &Case, transport: &str, id: &str) -> String {
    let Case { method, uri, sent_by, rest, .. } = case;
    let (fields, body) = rest.split_once("\r\n\r\n").map_or((*rest, ""), |(fields, body)| (fields, body));
    let fields = if body.is_empty() { fields.to_owned() } else { format!("{fields}\r\n") };
    let hops = if fields.contains("Max-Forwards:") { "" } else { "Max-Forwards: 70\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} {sent_by};branch=z9hG4bK{id}\r\n{fields}{hops}\
         From: <sip:peer@example.com>;tag=p\r\nTo: <sip:plugboard@example.com>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:peer@192.0.2.1>\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A server at an IPv4 and an IPv6 address, by UDP and TCP, and a phone to call.
fn start(place: &Place) -> (Server, BusyPhone, [SocketAddr; 2]) {
    let (phone, v4, v6) = (BusyPhone::start(place), place.port(), Place::port_of_ipv6());
    let domain = Domain::example().proxy(phone.address);
    let server = Server::start_at(place, &[domain], &[v4, v6], &format!("tcp = [\"{v4}\", \"{v6}\"]\n"));
    (server, phone, [v4, v6])
}

fn one_more_call(server: &Server, phone: &BusyPhone) {
    let before = phone.calls();
    server.place_call("/callcontroller/alice/bob?resultCacheTime=0");
    until("the call to be refused", SOON, || (phone.calls() > before).then_some(()));
}

fn hold_against(place: &Place, cases: &[Case]) -> Server {
    let (server, phone, addresses) = start(place);
    let peers = addresses.into_iter().flat_map(|address| [Peer::udp(address), Peer::tcp(address)]);
    for (way, mut peer) in peers.enumerate() {
        for (number, case) in cases.iter().enumerate() {
            let transport = peer.transport();
            let answer = peer.ask(&request(case, transport, &format!("{way}-{number}-{}", case.method)), number);
            let said = |text: &str| {
                let status = answer.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
                (answer.matches("SIP/2.0 ").count() >= 1 && answer.contains(text)).then_some(status).flatten()
            };
            match case.answer {
                Some((status, text)) => assert_eq!(said(text), Some(status), "{} by {transport}: {answer}", case.what),
                None => assert_eq!(answer, "", "{} by {transport}", case.what),
            }
        }
        one_more_call(&server, &phone);
    }
    assert!(!server.log().contains("panicked"), "a thread panicked");
    server
}

#[test]
fn requests_outside_any_dialog_are_answered_properly() {
    let place = Place::new("outside");
    let server = hold_against(&place, &OUTSIDE);
    let refused = |reason: &str| server.metric(&format!("plugboard_sip_refused_total{{reason=\"{reason}\"}}"));
    assert_eq!(refused("garbage"), 4.0, "the URI that is none, by each way");
    assert_eq!(refused("flood"), 0.0);
}

#[test]
fn addresses_of_ipv6_are_understood() {
    let place = Place::new("ipv6");
    hold_against(&place, &ADDRESSES);
}

#[test]
fn what_only_claims_to_belong_to_a_call_is_dropped_and_counted() {
    let place = Place::new("spoofed");
    let (server, phone, addresses) = start(&place);
    for mut peer in addresses.into_iter().flat_map(|address| [Peer::udp(address), Peer::tcp(address)]) {
        let transport = peer.transport();
        let fields = "From: <sip:a@b>;tag=00aaaaaaaaaaaaaaaa\r\nTo: <sip:c@d>;tag=x\r\nCall-ID: nobodys\r\n";
        let ok = format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/{transport} {};branch=z9hG4bK00aaaaaaaaaaaaaaaaaa\r\n{fields}CSeq: 1 INVITE\r\n\
             Contact: <sip:victim@192.0.2.66>\r\nContent-Length: 0\r\n\r\n",
            server.sip
        );
        assert_eq!(peer.ask(&ok, 1), "", "no ACK and no BYE to wherever a stranger says");
        let in_dialog = request(&Case { method: "BYE", ..PLAIN }, transport, "spoofed");
        let in_dialog = in_dialog.replace("To: <sip:plugboard@example.com>", "To: <sip:c@d>;tag=00aaaaaaaaaaaaaaaa");
        assert!(peer.ask(&in_dialog, 2).starts_with("SIP/2.0 481 "), "a dialog that is not there");
        assert_eq!(peer.ask(&request(&Case { method: "ACK", ..PLAIN }, transport, "ack"), 3), "");
    }
    for reason in ["stray_response", "stray_request", "no_dialog"] {
        let name = format!("plugboard_sip_refused_total{{reason=\"{reason}\"}}");
        assert_eq!(server.metric(&name), 4.0, "{reason}: one by each way");
    }
    one_more_call(&server, &phone);
}
