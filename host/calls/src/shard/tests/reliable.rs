//! Reliable provisional responses (RFC 3262) and early dialogs.

use super::bench::{Bench, Outcome, sdp};
use super::caller;
use crate::contract::*;
use crate::stage::Stage;
use plugboard_sip::message::{HeaderName, Method, Request};
use std::time::Duration;

const RELIABLE: (HeaderName, &str) = (HeaderName::Require, "100rel");

/// Keeps the provisional statuses that it hears of as its state.
fn ears(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    let heard = state.map(<[u8]>::to_vec).unwrap_or_default();
    match event {
        Event::Response(response) if response.status < 200 => {
            let hidden = |field: &Header| field.name == "RSeq" || field.value.contains("100rel");
            assert!(!response.headers.iter().any(hidden), "{response:?}");
            Ok(Some([heard, format!(" {}", response.status).into_bytes()].concat()))
        }
        Event::Response(response) => {
            assert_ne!(response.method, "PRACK");
            caller(context, state, event, stage)
        }
        _ => caller(context, state, event, stage),
    }
}

fn heard(bench: &mut Bench) -> String {
    bench.arrive("GET", "/bob+sdp");
    bench.run();
    let body = bench.bodies().pop().unwrap_or_default();
    body.split_once(' ').map(|(_, heard)| heard.to_owned()).unwrap_or_default()
}

#[test]
fn a_reliable_response_is_acknowledged_in_its_order_and_told_once() {
    let mut bench = Bench::new(ears);
    let invite = bench.place("/bob+sdp");
    assert!(invite.headers.lists_token(&HeaderName::Supported, "100rel"));
    let ring = |bench: &mut Bench, status, rseq: &'static str| {
        bench.answer_with(&invite, status, b"", &[RELIABLE, (HeaderName::RSeq, rseq)]);
        bench
            .requests()
            .iter()
            .map(|r| r.headers.get_str(&HeaderName::RAck).unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(ring(&mut bench, 180, "7"), ["7 1 INVITE"]);
    assert_eq!(ring(&mut bench, 180, "7"), none, "repeated");
    assert_eq!(ring(&mut bench, 183, "9"), none, "the one before is missing");
    assert_eq!(ring(&mut bench, 182, "8"), ["8 1 INVITE"]);
    assert_eq!(ring(&mut bench, 183, "9"), ["9 1 INVITE"]);
    assert_eq!(heard(&mut bench), "180 182 183");
    bench.answer(&invite, 200, "OK", sdp());
    let ack = bench.request(Method::Ack);
    assert_eq!(ack.headers.get_str(&HeaderName::CSeq), Some("1 ACK"));
    bench.arrive("DELETE", "/bob+sdp");
    bench.run();
    let bye = bench.request(Method::Bye);
    assert_eq!(bye.headers.get_str(&HeaderName::CSeq), Some("5 BYE"), "behind three PRACKs");
}

#[test]
fn forks_count_apart_and_the_one_that_answers_is_the_dialog() {
    let mut bench = Bench::new(ears);
    let invite = bench.place("/bob+sdp");
    for (tag, rseq, contact) in [("one", "1", "<sip:one@127.0.0.1:5081>"), ("two", "500", "<sip:two@127.0.0.1:5082>")] {
        let fields = [RELIABLE, (HeaderName::RSeq, rseq), (HeaderName::Contact, contact)];
        bench.answer_fork(&invite, tag, 180, b"", &fields);
        let prack = bench.request(Method::Prack);
        assert_eq!(prack.headers.to_tag().as_deref(), Some(tag));
        assert_eq!(prack.uri, contact.trim_matches(['<', '>']));
        bench.answer(&prack, 200, "OK", b"");
    }
    // Each early dialog is its own: both may ask, and count their requests for themselves.
    for tag in ["one", "two"] {
        bench.phone_sends_as(&invite, tag, Method::Info, 1);
        assert_eq!(bench.responses(), [200], "{tag}");
    }
    bench.answer_fork(&invite, "one", 200, sdp(), &[(HeaderName::Contact, "<sip:one@127.0.0.1:5081>")]);
    assert_eq!(bench.request(Method::Ack).headers.to_tag().as_deref(), Some("one"));
    bench.phone_sends_as(&invite, "one", Method::Info, 2);
    assert_eq!(bench.responses(), [200]);
    bench.phone_sends_as(&invite, "two", Method::Info, 2);
    assert_eq!(bench.responses(), [481], "only one fork is talked to");
    bench.answer_fork(&invite, "two", 200, sdp(), &[(HeaderName::Contact, "<sip:two@127.0.0.1:5082>")]);
    let ended: Vec<_> = bench.requests().into_iter().map(|r| (r.method, r.uri.to_string())).collect();
    assert_eq!(ended, [(Method::Ack, "sip:two@127.0.0.1:5082".into()), (Method::Bye, "sip:two@127.0.0.1:5082".into())]);
}

#[test]
fn a_prack_is_challenged_and_answered_without_the_guest() {
    let mut bench = Bench::new(ears);
    let invite = bench.place("/bob+sdp");
    bench.answer_with(&invite, 183, sdp(), &[RELIABLE, (HeaderName::RSeq, "1")]);
    let prack = bench.request(Method::Prack);
    bench.challenge(&prack, "n1", false);
    let again = bench.request(Method::Prack);
    assert!(again.headers.contains(&HeaderName::ProxyAuthorization));
    assert_eq!(again.headers.get_str(&HeaderName::RAck), Some("1 1 INVITE"));
}

#[test]
fn without_an_offer_no_reliable_response_is_asked_for_and_an_unasked_one_is_as_any_other() {
    let mut bench = Bench::new(ears);
    let invite = bench.place("/bob");
    assert!(!invite.headers.lists_token(&HeaderName::Supported, "100rel"));
    bench.answer_with(&invite, 183, sdp(), &[RELIABLE, (HeaderName::RSeq, "1")]);
    assert!(bench.requests().is_empty());
}

#[test]
fn an_offer_in_an_early_dialog_waits_until_ours_has_its_answer() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob+sdp");
    bench.answer_with(&invite, 180, b"", &[RELIABLE, (HeaderName::RSeq, "1")]);
    bench.phone_sends(&invite, Method::Update, 1, sdp());
    assert_eq!(bench.responses(), [491]);
    bench.answer_with(&invite, 183, sdp(), &[RELIABLE, (HeaderName::RSeq, "2")]);
    bench.sent();
    bench.phone_sends(&invite, Method::Update, 2, sdp());
    assert_eq!(bench.responses(), [200]);
}

#[test]
fn a_prack_to_us_is_about_nothing() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.sent();
    bench.phone_sends_with(&invite, Method::Prack, 1, |prack: &mut Request| {
        prack.headers.push(HeaderName::RAck, "1 1 INVITE");
    });
    assert_eq!(bench.responses(), [481]);
}

#[test]
fn a_bye_whose_2xx_was_lost_ends_the_leg_and_its_invite() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 180, "Ringing", b"");
    bench.phone_sends(&invite, Method::Bye, 1, b"");
    let sent = bench.sent();
    assert_eq!(sent.len(), 2, "CANCEL and 200: {sent:?}");
    bench.pass(Duration::from_secs(40));
    assert!(bench.shard.is_empty());
}
