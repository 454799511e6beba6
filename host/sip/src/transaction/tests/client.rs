//! Requests that we send: RFC 3261 §17.1, RFC 6026 §7.2.

use super::*;

#[test]
fn an_invite_that_nobody_answers() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    assert_eq!(bench.take(), ["send INVITE"]);
    let events = bench.run_until(100_000);
    assert_eq!(times_of(&events, "send INVITE"), [500, 1500, 3500, 7500, 15_500, 31_500], "timer A");
    assert_eq!(times_of(&events, "failed Timeout for 42"), [32_000], "timer B");
    assert_eq!((events.len(), bench.layer.clients()), (7, 0));
}

#[test]
fn another_request_that_nobody_answers() {
    let mut bench = Bench::new();
    bench.send(Method::Bye, Transport::Udp);
    bench.take();
    let events = bench.run_until(100_000);
    let timer_e = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times_of(&events, "send BYE"), timer_e);
    assert_eq!(times_of(&events, "failed Timeout for 42"), [32_000], "timer F");
    assert_eq!(bench.layer.clients(), 0);
}

#[test]
fn a_reliable_transport_does_the_retransmitting() {
    for method in [Method::Invite, Method::Bye] {
        let mut bench = Bench::new();
        bench.send(method, Transport::Tcp);
        bench.take();
        assert_eq!(bench.run_until(100_000), [(32_000, "failed Timeout for 42".to_owned())]);
    }
}

#[test]
fn a_provisional_response_stops_an_invite_and_slows_the_others() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.at(600).receive(answer(&invite, 180, "a"));
    bench.receive(answer(&invite, 183, "b"));
    assert_eq!(bench.take(), ["response 180 for 42", "response 183 for 42"]);
    assert_eq!(bench.run_until(3_600_000), [], "an INVITE may ring as long as it likes");

    let mut bench = Bench::new();
    bench.send(Method::Refer, Transport::Udp);
    let refer = bench.sent_request();
    bench.run_until(600);
    bench.receive(answer(&refer, 100, ""));
    bench.take();
    let events = bench.run_until(100_000);
    assert_eq!(times_of(&events, "send REFER"), [1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]);
    assert_eq!(times_of(&events, "failed Timeout for 42"), [32_000]);
}

#[test]
fn a_failure_of_an_invite_is_acknowledged_each_time_it_comes() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.at(1000).receive(answer(&invite, 486, "busy"));
    let ack = match transmitted(&bench.out[0]) {
        Some((to, Message::Request(ack))) if to == udp() => ack,
        other => panic!("no ACK but {other:?}"),
    };
    assert_eq!(bench.take(), ["send ACK", "response 486 for 42"]);
    assert_eq!(ack.headers.top_via(), invite.headers.top_via(), "the same branch");
    assert_eq!(ack.uri, invite.uri);
    assert_eq!(ack.headers.to_tag().as_deref(), Some("busy"));
    assert_eq!(ack.headers.cseq().map(|cseq| cseq.to_string()).as_deref(), Ok("7 ACK"));
    assert_eq!(ack.headers.get(&HeaderName::Route), invite.headers.get(&HeaderName::Route));

    bench.at(32_999).receive(answer(&invite, 486, "busy"));
    assert_eq!(bench.take(), ["send ACK"]);
    assert_eq!(bench.run_until(33_000), [], "timer D");
    assert_eq!(bench.layer.clients(), 0);
    bench.receive(answer(&invite, 486, "busy"));
    assert_eq!(bench.take(), ["stray 486"]);
}

#[test]
fn on_a_reliable_transport_a_final_response_ends_it() {
    for method in [Method::Invite, Method::Info] {
        let mut bench = Bench::new();
        bench.send(method, Transport::Tls);
        let request = bench.sent_request();
        bench.receive(answer(&request, 404, "a"));
        assert!(bench.take().contains(&"response 404 for 42".to_owned()));
        assert_eq!(bench.layer.clients(), 0);
    }
}

#[test]
fn a_response_that_comes_again_is_absorbed_for_t4() {
    let mut bench = Bench::new();
    bench.send(Method::Info, Transport::Udp);
    let info = bench.sent_request();
    for _ in 0..2 {
        bench.receive(answer(&info, 200, "a"));
    }
    assert_eq!(bench.take(), ["response 200 for 42"]);
    assert_eq!((bench.run_until(4_999), bench.layer.clients()), (vec![], 1));
    assert_eq!((bench.run_until(5_000), bench.layer.clients()), (vec![], 0), "timer K");
}

#[test]
fn each_fork_of_a_2xx_is_reported_once_and_its_ack_repeated() {
    let mut bench = Bench::new();
    let client = bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.at(100).receive(answer(&invite, 200, "one"));
    bench.receive(answer(&invite, 200, "one"));
    bench.receive(answer(&invite, 200, "two"));
    assert_eq!(bench.take(), ["response 200 for 42", "response 200 for 42"], "no ACK yet to repeat");

    let mut ack = outgoing(Method::Ack);
    ack.headers.set(HeaderName::To, "<sip:bob@example.com>;tag=one");
    let elsewhere = Destination { remote: "192.0.2.10:5060".parse().expect("an address"), ..udp() };
    bench.layer.acknowledge(bench.now, client, "one", ack, elsewhere, &mut bench.out).expect("sent");
    bench.at(32_099).receive(answer(&invite, 200, "one"));
    bench.receive(answer(&invite, 200, "two"));
    let sent: Vec<_> = bench.out.drain(..).filter_map(|output| transmitted(&output)).collect();
    assert_eq!(sent.len(), 2, "the ACK for the fork that has one");
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0].0, elsewhere);
    let branch = |message: &Message| message.headers().top_via().ok()?.branch().cloned();
    assert_ne!(branch(&sent[0].1), invite.headers.top_via().expect("a Via").branch().cloned(), "a branch of its own");

    assert_eq!((bench.run_until(32_100), bench.layer.clients()), (vec![], 0), "timer M");
    bench.receive(answer(&invite, 200, "one"));
    assert_eq!(bench.take(), ["stray 200"]);
}

#[test]
fn an_invite_whose_2xx_came_takes_no_failure() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.receive(answer(&invite, 200, "one"));
    bench.receive(answer(&invite, 486, "two"));
    bench.receive(answer(&invite, 180, "two"));
    assert_eq!(bench.take(), ["response 200 for 42"]);
}

#[test]
fn a_2xx_behind_a_failure_is_not_lost() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    bench.receive(answer(&invite, 487, "one"));
    bench.receive(answer(&invite, 200, "two"));
    assert_eq!(bench.take(), ["send ACK", "response 487 for 42", "stray 200"]);
    assert_eq!(bench.layer.counters().strays, 1);
}

#[test]
fn a_transport_that_fails_ends_what_waits() {
    for method in [Method::Invite, Method::Bye] {
        let mut bench = Bench::new();
        let client = bench.send(method, Transport::Udp);
        bench.take();
        bench.layer.transport_failed(bench.now, client, &mut bench.out);
        bench.layer.transport_failed(bench.now, client, &mut bench.out);
        assert_eq!(bench.take(), ["failed Transport for 42"]);
        assert_eq!((bench.run_until(100_000), bench.layer.clients()), (vec![], 0));
    }
}

#[test]
fn only_a_response_to_our_via_and_method_is_ours() {
    let mut bench = Bench::new();
    bench.send(Method::Options, Transport::Udp);
    let options = bench.sent_request();
    let mut forged = options.clone();
    let via = options.headers.get_str(&HeaderName::Via).expect("a Via").to_owned();
    for other in [
        via.replace("us.example.com", "them.example.com"),
        via.replace(":5070", ""),
        via.replace("branch=z9hG4bKpbt", "branch=z9hG4bKpbtf"),
        via.replace(".", ".0"),
        via.replace("branch", "twig"),
    ] {
        forged.headers.set(HeaderName::Via, other.as_str());
        bench.receive(answer(&forged, 200, "a"));
        assert_eq!(bench.take(), ["stray 200"], "{other}");
    }
    let mut other_method = options.clone();
    other_method.headers.set(HeaderName::CSeq, "7 INFO");
    bench.receive(answer(&other_method, 200, "a"));
    assert_eq!(bench.take(), ["stray 200"]);
    bench.receive(answer(&options, 200, "a"));
    assert_eq!(bench.take(), ["response 200 for 42"]);
    assert_eq!(bench.layer.counters().strays, 6);
}

#[test]
fn what_cannot_be_sent_changes_nothing() {
    let mut bench = Bench::new();
    let mut refused = |request: Request, destination: Destination| {
        let result = bench.layer.send(bench.now, request, destination, 1, &mut bench.out);
        assert!(bench.out.is_empty());
        result.expect_err("refused")
    };
    assert_eq!(refused(outgoing(Method::Ack), udp()), SendError::WrongMethod);
    assert_eq!(refused(outgoing(Method::Cancel), udp()), SendError::WrongMethod);
    assert_eq!(refused(outgoing(Method::Bye), Destination { local: 1, ..udp() }), SendError::NoListener);
    let mut split = outgoing(Method::Bye);
    split.uri = Text::from("sip:h SIP/2.0\r\nEvil: 1");
    assert_eq!(refused(split, udp()), SendError::Malformed);
    let mut other = outgoing(Method::Bye);
    other.method = Method::Info;
    assert_eq!(refused(other, udp()), SendError::Malformed);
    let mut large = outgoing(Method::Message);
    large.body = Bytes::from(vec![b'x'; MAX_UDP_MESSAGE]);
    assert_eq!(refused(large, udp()), SendError::TooLarge);
    assert_eq!(bench.layer.clients(), 0);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut bench = Bench::new();
        for _ in 0..50 {
            bench.send(Method::Invite, Transport::Udp);
            bench.send(Method::Options, Transport::Udp);
        }
        bench.layer.poll(Time::from_millis(2000), &mut bench.out);
        bench.out
    };
    assert_eq!(run(), run());
}
