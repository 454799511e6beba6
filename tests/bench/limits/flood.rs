//! What a flood from one source costs the calls of others: `./just bench-flood [SECONDS]`.
//!
//! One source sends 50,000 datagrams a second, a third each of garbage, INVITEs and OPTIONS. Calls of other sources are
//! placed meanwhile at a steady rate, to a phone that is busy, so each call is an INVITE, its 486 and an ACK. Printed
//! for a time without the flood and one with it: calls asked and completed, the latency of the request, the server's
//! processor time and memory, and what its counters say became of the flood.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use plugboard_tests::busy::BusyPhone;
use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

/// Datagrams of the flood per second.
const FLOOD_RATE: u32 = 50_000;
/// Of the flood, sent without a pause.
const BATCH: u32 = 50;
/// Calls per second.
const CALL_RATE: u32 = 50;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(20);
    let span = Duration::from_secs(seconds);
    let place = Place::new("bench-flood");
    let phone = BusyPhone::start(&place);
    let domain = Domain::new("a.test").proxy(phone.address).user("alice", "pin = \"1\"");
    let mut server = Server::start(&place, &[domain]);
    let pid = server.process().id();
    measure(&server, pid, &phone, "warm-up", Duration::from_secs(3));
    measure(&server, pid, &phone, "alone", span);

    let stop = Arc::new(AtomicBool::new(false));
    let source = UdpSocket::bind((other_address(&place), 0)).expect("loopback has many addresses");
    let flooding = {
        let (stop, target) = (stop.clone(), server.sip);
        thread::spawn(move || flood(&source, target, &stop))
    };
    measure(&server, pid, &phone, "under the flood", span);
    stop.store(true, Relaxed);
    let (sent, took, answered) = flooding.join().expect("no panic");
    println!("flood: {sent} datagrams, {:.0} a second; {answered} were answered", sent as f64 / took.as_secs_f64());
    for reason in ["flood", "garbage", "stray_response", "stray_request", "no_dialog"] {
        let count = server.metric(&format!("plugboard_sip_refused_total{{reason=\"{reason}\"}}"));
        println!("  {reason:<15} {count:>9}");
    }
    println!("  {:<15} {:>9}", "read in all", server.metric("plugboard_sip_datagrams_received_total"));
    measure(&server, pid, &phone, "afterwards", span / 4);
}

/// Places calls at the rate, and prints a line about them.
fn measure(server: &Server, pid: u32, phone: &BusyPhone, name: &str, span: Duration) {
    let (called, processor) = (phone.calls(), processor_seconds(pid));
    let begun = Instant::now();
    let (mut connection, mut took) = (Connection::https(server.https).expect("it listens"), Vec::new());
    let mut asked = 0;
    while begun.elapsed() < span {
        thread::sleep((begun + Duration::from_secs(1) / CALL_RATE * asked).saturating_duration_since(Instant::now()));
        asked += 1;
        let at = Instant::now();
        let path = format!("/callcontroller/alice/{asked}?resultCacheTime=0");
        let answer = connection.send("POST", &path, &[], &[]).expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        took.push(at.elapsed().as_secs_f64() * 1_000.0);
    }
    let deadline = Instant::now() + Duration::from_secs(35);
    while phone.calls() - called < asked as usize && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() as f64 * share) as usize).min(took.len() - 1)];
    println!(
        "{name:<16} {asked:>5} asked, {:>5} completed; POST p50 {:.2} ms, p99 {:.2} ms; {:.0} % of a processor, {} MiB",
        phone.calls() - called,
        at(0.5),
        at(0.99),
        (processor_seconds(pid) - processor) / begun.elapsed().as_secs_f64() * 100.0,
        resident_kib(pid) / 1_024
    );
}

/// Sends until it is told to stop: how many, for how long, and how many answers came.
fn flood(socket: &UdpSocket, server: SocketAddr, stop: &AtomicBool) -> (u32, Duration, usize) {
    let answered = AtomicUsize::new(0);
    let begun = Instant::now();
    let mut sent = 0;
    thread::scope(|scope| {
        let listener = socket.try_clone().expect("a socket can be cloned");
        listener.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
        let answered = &answered;
        scope.spawn(move || {
            let mut buffer = [0; 2_000];
            while !stop.load(Relaxed) {
                answered.fetch_add(usize::from(listener.recv_from(&mut buffer).is_ok()), Relaxed);
            }
        });
        while !stop.load(Relaxed) {
            for _ in 0..BATCH {
                let message = match sent % 3 {
                    0 => b"no SIP at all\r\n\r\n".to_vec(),
                    1 => request("INVITE", sent),
                    _ => request("OPTIONS", sent),
                };
                let _ = socket.send_to(&message, server);
                sent += 1;
            }
            thread::sleep(
                (begun + Duration::from_secs(1) / FLOOD_RATE * sent).saturating_duration_since(Instant::now()),
            );
        }
    });
    (sent, begun.elapsed(), answered.into_inner())
}

fn request(method: &str, number: u32) -> Vec<u8> {
    let fields = format!(
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{number};rport\r\nMax-Forwards: 70\r\nFrom: <sip:x@example.com>;tag=1\r\n\
         To: <sip:y@example.com>\r\nCall-ID: flood-{number}\r\nCSeq: 1 {method}\r\nContact: <sip:x@192.0.2.1>\r\n"
    );
    format!("{method} sip:y@example.com SIP/2.0\r\n{fields}Content-Length: 0\r\n\r\n").into_bytes()
}

/// An address of this process that is not the one of its server and phones.
fn other_address(place: &Place) -> IpAddr {
    match place.ip() {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) ^ 0x0020_0080).into(),
        IpAddr::V6(_) => unreachable!("places are within 127.0.0.0/8"),
    }
}

/// User and system, so far.
fn processor_seconds(pid: u32) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = behind_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    fields.get(11..13).map_or(0.0, |times| times.iter().sum::<f64>() / TICKS_PER_SECOND)
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
