//! CANCEL: RFC 3261 §9.

use super::*;

fn reason() -> Headers {
    let mut headers = Headers::new();
    headers.push(HeaderName::new("Reason").expect("a name"), "SIP;cause=487");
    headers
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.layer.cancel(bench.now, client, reason(), &mut bench.out);
    assert_eq!(bench.take(), [] as [&str; 0]);
    bench.at(100).receive(answer(&invite, 100, ""));
    let cancel = match bench.out.iter().find_map(transmitted) {
        Some((to, Message::Request(cancel))) if to == udp() => cancel,
        other => panic!("no CANCEL but {other:?}"),
    };
    assert_eq!(bench.take(), ["response 100 for 42", "send CANCEL"]);
    assert_eq!(cancel.uri, invite.uri);
    for name in [HeaderName::Via, HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        assert_eq!(cancel.headers.get(&name), invite.headers.get(&name), "{name}");
    }
    assert_eq!(cancel.headers.get_str(&HeaderName::CSeq), Some("7 CANCEL"));
    assert_eq!(cancel.headers.get_str(&HeaderName::Reason), Some("SIP;cause=487"));

    bench.receive(answer(&cancel, 200, "x"));
    assert_eq!(bench.take(), [] as [&str; 0], "the answer to the CANCEL is the layer's");
    bench.receive(answer(&invite, 487, "x"));
    assert_eq!(bench.take(), ["send ACK", "response 487 for 42"]);
}

#[test]
fn a_cancel_that_nobody_answers_is_repeated_and_the_invite_given_up() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.at(10_000).receive(answer(&invite, 180, "x"));
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    assert_eq!(bench.take(), ["response 180 for 42", "send CANCEL"], "once");
    let events = bench.run_until(100_000);
    let since = |times: Vec<u64>| times.iter().map(|at| at - 10_000).collect::<Vec<_>>();
    let timer_e = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(since(times_of(&events, "send CANCEL")), timer_e);
    assert_eq!(since(times_of(&events, "failed Timeout for 42")), [32_000]);
    assert_eq!((events.len(), bench.layer.clients()), (11, 0));
}

#[test]
fn an_answered_cancel_without_487_ends_too() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.receive(answer(&invite, 180, "x"));
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    let cancel = bench.sent_request();
    bench.receive(answer(&cancel, 200, "x"));
    assert_eq!(bench.run_until(100_000), [(32_000, "failed Timeout for 42".to_owned())]);
}

#[test]
fn a_held_cancel_does_not_outlive_the_invite() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    let events = bench.run_until(100_000);
    assert_eq!(times_of(&events, "send CANCEL"), [] as [u64; 0]);
    assert_eq!(times_of(&events, "failed Timeout for 42"), [32_000]);
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_reported() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.receive(answer(&invite, 180, "x"));
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    let cancel = bench.sent_request();
    bench.receive(answer(&invite, 200, "x"));
    bench.receive(answer(&cancel, 200, "x"));
    assert_eq!(bench.take(), ["response 200 for 42"]);
    let events = bench.run_until(100_000);
    assert_eq!((events, bench.layer.clients()), (vec![], 0));
}

#[test]
fn nothing_to_cancel() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.receive(answer(&invite, 200, "x"));
    bench.take();
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    let bye = bench.send(Method::Bye, Transport::Udp);
    bench.layer.cancel(bench.now, bye, Headers::new(), &mut bench.out);
    bench.run_until(100_000);
    bench.layer.cancel(bench.now, client, Headers::new(), &mut bench.out);
    assert!(!bench.take().contains(&"send CANCEL".to_owned()));
}

#[test]
fn a_peer_cancels_its_invite() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    let (server, invite) = bench.server();
    bench.respond(server, answer(&invite, 180, "ours"));
    bench.take();
    let cancel = incoming(Method::Cancel, "z9hG4bKa");
    bench.receive(cancel.clone());
    let ok = match bench.out.iter().find_map(transmitted) {
        Some((_, Message::Response(ok))) => ok,
        other => panic!("no answer but {other:?}"),
    };
    assert_eq!(ok.headers.to_tag().as_deref(), Some("ours"));
    assert_eq!(ok.headers.get_str(&HeaderName::CSeq), Some("3 CANCEL"));
    assert_eq!(bench.take(), ["send 200", "cancelled"]);
    bench.receive(cancel);
    assert_eq!(bench.take(), ["send 200"], "a retransmission is answered again, and reported no more");
    bench.respond(server, answer(&invite, 487, "ours"));
    assert_eq!(bench.take(), ["send 487"]);
}

#[test]
fn a_cancel_too_late_or_for_nothing() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Cancel, "z9hG4bKnone"));
    assert_eq!(bench.take(), ["send 481"]);
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    let (server, invite) = bench.server();
    bench.respond(server, answer(&invite, 200, "ours"));
    bench.take();
    bench.receive(incoming(Method::Cancel, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 200"], "it has its final response");
}
