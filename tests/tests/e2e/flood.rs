//! A flood from one source: it is dropped and counted, and the calls of others go on as if there were none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

/// How long the flood lasts.
const SPAN: Duration = Duration::from_secs(2);
/// What a source may send at once that belongs to nothing, by default: ten seconds' worth of a hundred a second.
const BURST: usize = 1_000;

/// An address of this process that is not the one of its phones.
fn elsewhere(place: &Place) -> IpAddr {
    match place.ip() {
        IpAddr::V4(ip) => {
            let [_, second, rest @ ..] = ip.octets();
            Ipv4Addr::new(127, second | 0x20, rest[0], rest[1] ^ 0x80).into()
        }
        IpAddr::V6(_) => unreachable!("places are within 127.0.0.0/8"),
    }
}

fn request(method: &str, number: usize) -> Vec<u8> {
    let fields = format!(
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\n\
         To: <sip:y@example.com>\r\nCall-ID: flood-{number}\r\nCSeq: 1 {method}\r\nContact: <sip:x@192.0.2.1>\r\n"
    );
    format!("{method} sip:y@example.com SIP/2.0\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

/// Garbage, INVITEs, OPTIONS, and a response to nothing now and then; how many went out, and how many were answered.
fn flood(socket: &UdpSocket, server: SocketAddr) -> (usize, usize) {
    let begun = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut buffer = [0; 2_000];
    while begun.elapsed() < SPAN {
        let message = match sent % 4 {
            0 => b"no SIP at all\r\n\r\n".to_vec(),
            1 => request("INVITE", sent),
            2 => request("OPTIONS", sent),
            _ => request("BYE", sent),
        };
        sent += usize::from(socket.send_to(&message, server).is_ok());
        while socket.recv_from(&mut buffer).is_ok() {
            answered += 1;
        }
    }
    (sent, answered)
}

#[test]
fn a_flood_from_one_source_is_dropped_and_calls_go_on() {
    let place = Place::new("flood");
    let server = Server::start(&place, &[Domain::example()]);
    let (calling, called) = (place.phone("calling").start(), place.phone("called_hangs_up").start());
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    let socket = UdpSocket::bind((elsewhere(&place), 0)).expect("loopback has many addresses");
    socket.set_nonblocking(true).expect("a socket need not block");
    let target = server.sip;
    let flooding = std::thread::spawn(move || (flood(&socket, target), socket));

    server.place_call(&format!("{path}&sipMethod=invite"));
    called.finish();
    calling.finish();
    assert_eq!(server.await_outcome(&path).1, "called", "a call of another source goes up and down");

    let ((sent, answered), socket) = flooding.join().expect("no panic");
    let passed = BURST + 100 * (SPAN.as_secs() as usize + 3);
    assert!(sent > 2 * passed, "{sent} messages are no flood");
    assert!(answered <= passed, "{answered} of {sent} were answered");
    let dropped = until("the flood to be counted", SOON, || {
        let dropped = server.metric("plugboard_sip_refused_total{reason=\"flood\"}") as usize;
        (dropped > 0).then_some(dropped)
    });
    // What the system dropped, since nobody can read so fast, we never saw.
    assert!(dropped + passed <= sent + passed && dropped > 0, "{dropped} dropped of {sent}");

    // The source is not shut out for good, and one that behaves is answered at once.
    let peaceful = UdpSocket::bind((place.ip(), 0)).expect("a socket");
    for socket in [peaceful, socket] {
        socket.set_nonblocking(false).expect("a socket can block");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let mut buffer = [0; 2_000];
        until("an answer to OPTIONS", SOON, || {
            socket.send_to(&request("OPTIONS", 0), server.sip).expect("sent");
            let (length, _) = socket.recv_from(&mut buffer).ok()?;
            buffer[..length].starts_with(b"SIP/2.0 200").then_some(())
        });
    }
}
