//! The same messages by TCP. What is told apart by the end of a datagram is told apart by Content-Length here (RFC 3261
//! §18.3), so a few of them are others: the list says which.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use plugboard_tests::busy::BusyPhone;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

use crate::{allowed, folder, probe, verdicts};

/// What comes back where it is not what comes back by UDP.
const BY_TCP: [(&str, &[u16]); 3] = [
    // The second request is no junk behind the first, it is the next one.
    ("dblreq", &[405, 404]),
    // It is not whole: most of its body is still to come.
    ("clerr", &[]),
    // It ends where its header does, as there is no Content-Length; what it has of a body is no message, so that is
    // the end of the connection.
    ("inv2543", &[404]),
];

#[test]
fn every_message_of_rfc_4475_gets_what_it_deserves_by_tcp() {
    let place = Place::new("torture-tcp");
    let (phone, sip) = (BusyPhone::start(&place), place.port());
    let domain = Domain::example().proxy(phone.address);
    let server = Server::start_at(&place, &[domain], &[sip], &format!("tcp = \"{sip}\"\n"));
    let mut wrong = Vec::new();
    for (name, verdict) in verdicts() {
        let mut message = fs::read(folder().join(&name).with_extension("dat")).expect("a torture message");
        if name == "baddn" {
            message.extend(b"\r\n"); // the end of its header, which it leaves to the end of the datagram
        }
        let got = statuses(sip, &message, name != "clerr");
        let fits = match BY_TCP.iter().find(|(own, _)| *own == name) {
            Some((_, expected)) => got == *expected,
            None => got.len() <= 1 && allowed(&name, &verdict).contains(&got.first().copied()),
        };
        if !fits {
            wrong.push(format!("{name}: {verdict}, got {got:?}"));
        }
        let before = phone.calls();
        server.place_call("/callcontroller/alice/bob?resultCacheTime=0");
        until("the call after it to be refused", SOON, || (phone.calls() > before).then_some(()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!server.log().contains("panicked"), "a thread panicked");
}

/// Sends a message on a connection of its own, and behind it a question that is answered last, unless the message is
/// not over before. The statuses of what comes back until that answer, or until the server closes the connection.
fn statuses(server: SocketAddr, message: &[u8], is_over: bool) -> Vec<u16> {
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a time");
    stream.write_all(message).expect("sent");
    if !is_over {
        stream.shutdown(std::net::Shutdown::Write).expect("a connection can be half closed");
    } else if let Err(error) = stream.write_all(probe("the-last").replace("/UDP ", "/TCP ").as_bytes()) {
        // It had enough of us already.
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    }
    let mut got = String::new();
    let mut buffer = [0; 65_535];
    while !got.contains("Call-ID: the-last\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) => return all(&got),
            Ok(length) => got.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all(&got),
            Err(error) => panic!("{error}: neither an answer nor an end, only {got}"),
        }
    }
    let mut statuses = all(&got);
    assert_eq!(statuses.pop(), Some(200), "the last one is the answer to the question");
    statuses
}

fn all(got: &str) -> Vec<u16> {
    let lines = got.lines().filter_map(|line| line.strip_prefix("SIP/2.0 "));
    lines.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}
