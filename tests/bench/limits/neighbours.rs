//! What a hostile tenant costs its neighbour: `./just bench-neighbours [PAIRS]`.
//!
//! Tenant A places calls at a steady rate. Tenant B runs a guest that never returns, and asks it for more than it may
//! have, all the time. The latency of A's requests is taken without B and with B, in turn, several times over; the
//! ratio of the two is what B costs. A request's latency counts from when it was due, so that a stall is not hidden by
//! the requests that it kept from being sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use plugboard_tests::busy::BusyPhone;
use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Server};

/// Calls of A per second.
const RATE: u32 = 100;
/// How long A calls, each time.
const SPAN: Duration = Duration::from_secs(20);
/// How long A calls before the first pair, unmeasured.
const WARM_UP: Duration = Duration::from_secs(3);
/// A's connections; a request takes the next one, so that one that is slow holds up no other.
const CONNECTIONS: usize = 10;
/// B's connections, each of which asks again as soon as it has its answer: more than B may have at work at once.
const HOSTILE_CONNECTIONS: usize = 16;

fn main() {
    let pairs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let place = Place::new("bench-neighbours");
    let phone = BusyPhone::start(&place);
    let user = "pin = \"1\"";
    let good = Domain::new("a.test").set("hosts", "[\"a.test\"]").proxy(phone.address).user("alice", user);
    let hostile = Domain::new("b.test").set("hosts", "[\"b.test\"]").controller(&guest("loops")).user("alice", user);
    let server = Server::start(&place, &[good, hostile]);

    calls(server.https, WARM_UP);
    println!("{RATE} calls/s, {} s each; latency of A's POST in ms", SPAN.as_secs());
    println!(
        "{:>5} {:>18} {:>18} {:>12} {:>12}",
        "pair", "alone p50 / p99", "with B p50 / p99", "ratio of p99", "B's answers"
    );
    let mut ratios = Vec::new();
    for pair in 1..=pairs {
        let alone = calls(server.https, SPAN);
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let hostile: Vec<_> = (0..HOSTILE_CONNECTIONS)
            .map(|n| {
                let (stop, answered, address) = (stop.clone(), answered.clone(), server.https);
                thread::spawn(move || trouble(address, n, &stop, &answered))
            })
            .collect();
        let beside = calls(server.https, SPAN);
        stop.store(true, Relaxed);
        hostile.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let ratio = beside.p99 / alone.p99;
        let of = |latency: &Latency| format!("{:.2} / {:.2}", latency.p50, latency.p99);
        println!("{pair:>5} {:>18} {:>18} {ratio:>12.2} {:>12}", of(&alone), of(&beside), answered.load(Relaxed));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    println!("events of B that waited for a turn: {}", server.metric("plugboard_limit_reached_total"));
}

/// In milliseconds.
struct Latency {
    p50: f64,
    p99: f64,
}

/// Places calls of A at its rate.
fn calls(https: SocketAddr, span: Duration) -> Latency {
    let begun = Instant::now();
    let pause = Duration::from_secs(1) / RATE;
    let lanes: Vec<_> = (0..CONNECTIONS)
        .map(|lane| {
            thread::spawn(move || {
                let mut connection = Connection::https(https).expect("it listens").host("a.test");
                let mut took = Vec::new();
                for turn in (lane as u32..).step_by(CONNECTIONS) {
                    let due = begun + pause * turn;
                    if due >= begun + span {
                        break;
                    }
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let path = format!("/callcontroller/alice/{turn}?resultCacheTime=0");
                    let answer = connection.send("POST", &path, &[], &[]).expect("it answers");
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    took.push(due.elapsed().as_secs_f64() * 1_000.0);
                }
                took
            })
        })
        .collect();
    let mut took: Vec<f64> = lanes.into_iter().flat_map(|lane| lane.join().expect("no panic")).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() as f64 * share) as usize).min(took.len() - 1)];
    Latency { p50: at(0.5), p99: at(0.99) }
}

/// Asks B's guest, which takes all the time it is given.
fn trouble(https: SocketAddr, n: usize, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut connection = Connection::https(https).expect("it listens").host("b.test");
    let mut turn = 0;
    while !stop.load(Relaxed) {
        turn += 1;
        // Every fourth is lost on `route` already.
        let path = if n.is_multiple_of(4) { "loop-route".to_owned() } else { format!("{n}-{turn}") };
        let answer = connection.send("POST", &format!("/callcontroller/{path}"), &[], &[]).expect("it answers");
        assert!((500..600).contains(&answer.status), "{}", answer.status);
        answered.fetch_add(1, Relaxed);
    }
}
