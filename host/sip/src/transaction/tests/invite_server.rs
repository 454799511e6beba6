//! INVITEs of peers: RFC 3261 §17.2.1, RFC 6026 §7.1, RFC 3261 §13.3.1.4.

use super::*;

fn invited(transport: Transport) -> (Bench, ServerId, Request) {
    let mut bench = Bench::new();
    bench.receive_from(incoming(Method::Invite, "z9hG4bKa"), peer(transport));
    let (server, invite) = bench.server();
    (bench, server, invite)
}

fn ack_of_2xx(to_tag: &str, branch: &str) -> Request {
    let mut ack = incoming(Method::Ack, branch);
    ack.headers.set(HeaderName::To, format!("<sip:us@example.com>;tag={to_tag}"));
    ack
}

#[test]
fn a_slow_user_gets_a_100_sent() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.at(100).receive(incoming(Method::Invite, "z9hG4bKa"));
    assert_eq!(bench.take(), [] as [&str; 0]);
    assert_eq!(bench.run_until(60_000), [(200, "send 100".to_owned())]);
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 100"], "a retransmission gets the latest response");
    bench.respond(server, answer(&invite, 180, "ours"));
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 180", "send 180"]);
}

#[test]
fn a_quick_user_makes_the_100_needless() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.at(199).respond(server, answer(&invite, 180, "ours"));
    bench.take();
    assert_eq!(bench.run_until(60_000), []);
}

#[test]
fn a_failure_is_repeated_until_its_ack() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.respond(server, answer(&invite, 486, "ours"));
    bench.take();
    let events = bench.run_until(5_000);
    assert_eq!(times_of(&events, "send 486"), [500, 1500, 3500], "timer G");
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 486"]);
    bench.receive(incoming(Method::Ack, "z9hG4bKa"));
    bench.receive(incoming(Method::Ack, "z9hG4bKa"));
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    assert_eq!(bench.take(), [] as [&str; 0]);
    assert_eq!((bench.run_until(9_999), bench.layer.servers()), (vec![], 1));
    assert_eq!((bench.run_until(10_000), bench.layer.servers()), (vec![], 0), "timer I");
}

#[test]
fn a_failure_without_ack_is_given_up() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.respond(server, answer(&invite, 486, "ours"));
    bench.take();
    let events = bench.run_until(100_000);
    let timer_g = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(times_of(&events, "send 486"), timer_g);
    assert_eq!((events.len(), bench.layer.servers()), (10, 0), "timer H");
}

#[test]
fn on_a_reliable_transport_a_failure_is_sent_once() {
    let (mut bench, server, invite) = invited(Transport::Tcp);
    bench.respond(server, answer(&invite, 486, "ours"));
    bench.take();
    assert_eq!((bench.run_until(31_999), bench.layer.servers()), (vec![], 1));
    bench.receive_from(incoming(Method::Ack, "z9hG4bKa"), peer(Transport::Tcp));
    assert_eq!((bench.take().len(), bench.layer.servers()), (0, 0));
}

#[test]
fn a_2xx_is_repeated_until_its_ack_on_every_transport() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut bench, server, invite) = invited(transport);
        bench.respond(server, answer(&invite, 200, "ours"));
        bench.take();
        let events = bench.run_until(4_000);
        assert_eq!(times_of(&events, "send 200"), [500, 1500, 3500]);
        bench.receive(ack_of_2xx("ours", "z9hG4bKack"));
        assert!(matches!(&bench.out[0], Output::Ack { server: acked, .. } if *acked == server));
        bench.receive(ack_of_2xx("ours", "z9hG4bKack2"));
        bench.receive(incoming(Method::Invite, "z9hG4bKa"));
        assert_eq!(bench.take(), ["ack"], "once; what comes again is absorbed");
        assert_eq!((bench.run_until(31_999), bench.layer.servers()), (vec![], 1));
        assert_eq!((bench.run_until(32_000), bench.layer.servers()), (vec![], 0), "timer L");
        bench.receive(ack_of_2xx("ours", "z9hG4bKack"));
        assert_eq!(bench.take(), ["stray ACK"]);
    }
}

#[test]
fn a_2xx_whose_ack_never_comes_is_reported() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.at(1_000).respond(server, answer(&invite, 200, "ours"));
    bench.take();
    let events = bench.run_until(100_000);
    let since = |times: Vec<u64>| times.iter().map(|at| at - 1_000).collect::<Vec<_>>();
    let expected = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(since(times_of(&events, "send 200")), expected);
    assert_eq!(since(times_of(&events, "no ack")), [32_000]);
    assert_eq!((events.len(), bench.layer.servers()), (11, 0));
}

#[test]
fn the_ack_of_another_dialog_stops_nothing() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.respond(server, answer(&invite, 200, "ours"));
    bench.take();
    let mut other_number = ack_of_2xx("ours", "z9hG4bK1");
    other_number.headers.set(HeaderName::CSeq, "4 ACK");
    let mut other_call = ack_of_2xx("ours", "z9hG4bK2");
    other_call.headers.set(HeaderName::CallId, "call-3");
    for ack in [other_number, other_call, ack_of_2xx("another", "z9hG4bK3")] {
        bench.receive(ack);
        assert_eq!(bench.take(), ["stray ACK"]);
    }
    assert_eq!(bench.run_until(500), [(500, "send 200".to_owned())]);
}

#[test]
fn an_answered_invite_takes_no_second_answer() {
    let (mut bench, server, invite) = invited(Transport::Udp);
    bench.respond(server, answer(&invite, 200, "ours"));
    let second = bench.layer.respond(bench.now, server, answer(&invite, 486, "ours"), &mut bench.out);
    assert_eq!(second, Err(RespondError::AlreadyAnswered));
    bench.run_until(100_000);
    let late = bench.layer.respond(bench.now, server, answer(&invite, 486, "ours"), &mut bench.out);
    assert_eq!(late, Err(RespondError::Unknown));
}
