//! The 49 messages of RFC 4475, byte for byte, against a running server: each gets what `verdicts.tsv` asks for, and
//! nobody else notices.

mod tcp;

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

/// The ports that the topmost Vias of the messages name, the first by naming none: answers go there.
const VIA_PORTS: [u16; 2] = [5060, 5050];
/// The longest answer, in bytes.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What becomes of the well-formed messages: these are for a registrar, a phone or a proxy, and none is for a call
/// controller. A response that nobody waits for gets nothing.
const ACCEPTED: [(&str, Option<u16>); 20] = [
    ("wsinv", Some(481)),
    ("intmeth", Some(501)),
    ("esc01", Some(404)),
    ("escnull", Some(405)),
    ("esc02", Some(501)),
    ("lwsdisp", Some(200)),
    ("longreq", Some(404)),
    ("dblreq", Some(405)),
    ("semiuri", Some(200)),
    ("transports", Some(200)),
    ("mpart01", Some(405)),
    ("unreason", None),
    ("noreason", None),
    ("regaut01", Some(405)),
    ("zeromf", Some(200)),
    ("cparam01", Some(405)),
    ("cparam02", Some(405)),
    ("regescrt", Some(405)),
    ("sdp01", Some(404)),
    ("inv2543", Some(404)),
];

/// What an answer must say beside its status.
const SAYS: [(u16, &str); 5] = [
    (200, "\r\nAccept: application/sdp"),
    (405, "\r\nAllow: INVITE"),
    (415, "\r\nAccept: application/sdp"),
    (420, "\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n"),
    (501, "\r\nAllow: INVITE"),
];

#[test]
fn every_message_of_rfc_4475_gets_what_it_deserves() {
    let place = Place::new("torture");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let server = Server::start(&place, &[Domain::example()]);
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite"));
    server.await_json(&path, "both phones to talk", |json| json["phase"] == "up");

    let mut peer = Peer::new(place.ip(), server.sip);
    let mut wrong = Vec::new();
    let verdicts = verdicts();
    for (name, verdict) in &verdicts {
        let message = fs::read(folder().join(name).with_extension("dat")).expect("a torture message");
        let allowed = allowed(name, verdict);
        let answers = peer.send(&message, !allowed.contains(&None));
        let code = answers.first().map(|answer| status(answer));
        let said = SAYS.iter().filter(|(status, _)| code == Some(*status)).all(|(_, says)| answers[0].contains(says));
        if answers.len() > 1 || !allowed.contains(&code) || !said {
            wrong.push(format!("{name}: {verdict}, allowed {allowed:?}, got {answers:#?}"));
        }
        let again = peer.send(&message, code.is_some());
        if again != answers {
            wrong.push(format!("{name}: sent again, it gets {again:#?} in place of {answers:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(verdicts.len(), 49);
    assert!(!server.log().contains("panicked"), "a thread panicked");

    assert_eq!(server.json(&path)["phase"], "up", "the call has not noticed");
    server.hang_up(&path);
    calling.finish();
    called.finish();
    assert_eq!(server.await_outcome(&path).1, "request");
    one_more_call(&place, &server);
}

fn one_more_call(place: &Place, server: &Server) {
    let (calling, called) = (place.phone("calling").start(), place.phone("called_hangs_up").start());
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite"));
    called.finish();
    calling.finish();
    assert_eq!(server.await_outcome(&path).1, "called");
}

/// What may come back, none for nothing.
fn allowed(name: &str, verdict: &str) -> Vec<Option<u16>> {
    let accepted = || ACCEPTED.iter().find(|(own, _)| *own == name).map(|(_, status)| *status);
    let number = |code: &str| Some(code.parse().expect("a status"));
    match verdict.split_once(' ') {
        Some(("reject", code)) => vec![number(code)],
        Some(("lenient", code)) => vec![number(code), Some(404), Some(405), Some(200)],
        None if verdict == "discard" => vec![None],
        None => vec![accepted().unwrap_or_else(|| panic!("{name} is accepted, and then?"))],
        Some(_) => panic!("{name}: what is {verdict}?"),
    }
}

fn verdicts() -> Vec<(String, String)> {
    let table = fs::read_to_string(folder().join("verdicts.tsv")).expect("the verdicts");
    let rows = table.lines().skip(1).map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        let [name, _, _, verdict] = columns[..] else { panic!("a row of four: {row}") };
        (name.to_owned(), verdict.to_owned())
    });
    rows.collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rfc4475")
}

fn status(answer: &str) -> u16 {
    let code = answer.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no response: {answer}"))
}

/// Where the messages come from, and where all answers to them arrive.
struct Peer {
    sockets: Vec<UdpSocket>,
    server: SocketAddr,
    probes: u32,
}

impl Peer {
    fn new(ip: IpAddr, server: SocketAddr) -> Self {
        let bind = |port| {
            let socket = UdpSocket::bind((ip, port)).expect("this process has an address of its own");
            socket.set_nonblocking(true).expect("a socket need not block");
            socket
        };
        Self { sockets: VIA_PORTS.map(bind).into(), server, probes: 0 }
    }

    /// Sends a message; what comes back. Waits for an answer when one is expected. Then asks whether the server is still
    /// there: it takes one datagram after the other, so behind its answer no other will come.
    fn send(&mut self, message: &[u8], is_answered: bool) -> Vec<String> {
        let mut answers = Vec::new();
        self.transmit(message);
        if is_answered {
            let deadline = std::time::Instant::now() + SOON;
            while answers.is_empty() && std::time::Instant::now() < deadline {
                answers = self.arrived();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
        self.probes += 1;
        let id = format!("probe-{}", self.probes);
        self.transmit(probe(&id).as_bytes());
        until("an answer to OPTIONS", SOON, || {
            answers.extend(self.arrived());
            let mine = answers.iter().position(|answer| answer.contains(&format!("Call-ID: {id}\r\n")))?;
            assert_eq!(status(&answers.remove(mine)), 200);
            Some(())
        });
        answers
    }

    fn transmit(&self, message: &[u8]) {
        let sent = self.sockets[0].send_to(message, self.server).expect("loopback takes datagrams");
        assert_eq!(sent, message.len());
    }

    /// What lies in the sockets.
    fn arrived(&self) -> Vec<String> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        let mut answers = Vec::new();
        for socket in &self.sockets {
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((size, from)) if from == self.server => {
                        answers.push(String::from_utf8_lossy(&buffer[..size]).into_owned());
                    }
                    Ok((_, from)) => panic!("a datagram from {from}"),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        answers
    }
}

fn probe(id: &str) -> String {
    format!(
        "OPTIONS sip:plugboard@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:probe@example.com>;tag=1\r\nTo: <sip:plugboard@127.0.0.1>\r\n\
         Call-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}
