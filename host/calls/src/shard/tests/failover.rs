//! What happens when a target does not take a request (RFC 3263 §4.3).

use super::bench::{Bench, sdp};
use super::*;
use plugboard_sip::locate::{AVOID_TIME, TARGETS_MAX};
use plugboard_sip::message::{HeaderName, Method, Request};

const NAMED: &str = "/bob@phones.example.com";

/// A call to a name with these targets; its first INVITE.
fn called(bench: &mut Bench, targets: &[&str]) -> Request {
    bench.arrive("POST", NAMED);
    bench.run();
    bench.resolve(targets);
    bench.request(Method::Invite)
}

fn branch(request: &Request) -> String {
    request.headers.top_via().expect("a Via").branch().expect("a branch").to_string()
}

#[test]
fn silence_and_broken_transports_send_the_request_elsewhere_unheard() {
    let mut bench = Bench::new(super::caller);
    let first = called(&mut bench, &["192.0.2.1:5060", "192.0.2.2:5060", "192.0.2.3:5070"]);
    assert_eq!(bench.went_to(), "192.0.2.1:5060");
    bench.pass(Duration::from_millis(31_900));
    bench.sent();
    bench.pass(Duration::from_millis(200)); // timer B
    let second = bench.request(Method::Invite);
    assert_eq!(bench.went_to(), "192.0.2.2:5060");
    assert_eq!(bench.avoided(), [("192.0.2.1:5060".to_owned(), AVOID_TIME)]);
    bench.fail_to_send();
    let third = bench.request(Method::Invite);
    assert_eq!(bench.went_to(), "192.0.2.3:5070");
    for name in [HeaderName::CSeq, HeaderName::CallId, HeaderName::From] {
        assert_eq!(first.headers.get(&name), third.headers.get(&name));
    }
    assert!(branch(&first) != branch(&second) && branch(&second) != branch(&third), "new transactions");
    bench.answer(&third, 200, "OK", sdp());
    bench.request(Method::Ack);
    assert_eq!(bench.shard.counters().sent_elsewhere, 2);
}

#[test]
fn a_503_is_avoided_for_as_long_as_it_says() {
    let mut bench = Bench::new(super::caller);
    let first = called(&mut bench, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench.answer(&first, 100, "Trying", b"");
    bench.unavailable(&first, Some("120 (busy);duration=3600"));
    let second = bench.requests();
    assert_eq!(second.iter().map(|one| one.method.as_str()).collect::<Vec<_>>(), ["ACK", "INVITE"]);
    assert_eq!(bench.avoided(), [("192.0.2.1:5060".to_owned(), Duration::from_secs(120))]);
    bench.unavailable(&second[1], None);
    assert_eq!(bench.avoided(), [("192.0.2.2:5060".to_owned(), AVOID_TIME)]);
    assert!(bench.shard.is_empty(), "the last 503 is what the guest hears");
}

#[test]
fn what_rings_is_not_tried_elsewhere() {
    let mut bench = Bench::new(super::caller);
    let invite = called(&mut bench, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench.answer(&invite, 180, "Ringing", b"");
    bench.unavailable(&invite, None);
    bench.request(Method::Ack);
    assert!(bench.shard.is_empty() && bench.avoided().is_empty());
}

#[test]
fn what_is_given_up_is_not_tried_elsewhere() {
    let mut bench = Bench::new(super::caller);
    called(&mut bench, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench.arrive("DELETE", NAMED);
    bench.run();
    bench.pass(Duration::from_secs(70));
    assert_eq!(bench.went_to(), "192.0.2.1:5060");
    assert!(bench.shard.is_empty());
}

#[test]
fn the_number_of_targets_has_its_bound() {
    let mut bench = Bench::new(super::caller);
    let targets: Vec<String> = (0..=TARGETS_MAX).map(|number| format!("192.0.2.1:{}", 6_000 + number)).collect();
    called(&mut bench, &targets.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 1..TARGETS_MAX {
        bench.fail_to_send();
        bench.request(Method::Invite);
    }
    assert_eq!(bench.went_to(), targets[TARGETS_MAX - 1]);
    bench.fail_to_send();
    assert!(bench.sent().is_empty() && bench.shard.is_empty());
}

#[test]
fn an_ack_whose_next_hop_is_not_found_goes_the_way_of_the_invite() {
    let mut bench = Bench::new(super::caller);
    let invite = bench.place("/bob");
    bench.answer_with(&invite, 200, sdp(), &[(HeaderName::Contact, "<sip:bob@gone.example>")]);
    bench.sent();
    bench.resolve(&[]);
    let ack = bench.request(Method::Ack);
    assert_eq!((&*ack.uri, bench.went_to().as_str()), ("sip:bob@gone.example", "127.0.0.1:5080"));
    bench.answer_with(&invite, 200, sdp(), &[(HeaderName::Contact, "<sip:bob@gone.example>")]);
    bench.request(Method::Ack);
}

#[test]
fn a_challenge_is_answered_to_who_made_it() {
    let mut bench = Bench::new(super::caller);
    let invite = called(&mut bench, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench.challenge(&invite, "n", false);
    bench.sent();
    bench.resolve(&["192.0.2.2:5060", "192.0.2.1:5060"]);
    assert_eq!(bench.went_to(), "192.0.2.1:5060");
    let again = bench.request(Method::Invite);
    bench.unavailable(&again, None);
    assert_eq!(bench.went_to(), "192.0.2.2:5060", "when it fails, the other is still there");
    assert!(!bench.asks());
}
