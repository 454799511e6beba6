//! Requests of peers: RFC 3261 §17.2.2, §17.2.3, §18.2, RFC 3581.

use super::*;

#[test]
fn a_retransmission_is_absorbed_and_then_answered_from_memory() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Bye, "z9hG4bKa"));
    let (server, bye) = bench.server();
    bench.receive(incoming(Method::Bye, "z9hG4bKa"));
    assert_eq!(bench.take(), [] as [&str; 0]);
    bench.at(1_000).respond(server, answer(&bye, 200, "ours"));
    bench.at(32_999).receive(incoming(Method::Bye, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 200", "send 200"]);
    assert_eq!((bench.run_until(33_000), bench.layer.servers()), (vec![], 0), "timer J");
    assert_eq!(bench.layer.counters().retransmissions_absorbed, 2);
    bench.receive(incoming(Method::Bye, "z9hG4bKa"));
    assert_eq!(bench.take(), ["request BYE"], "what comes later is new");
}

#[test]
fn on_a_reliable_transport_the_answer_ends_it() {
    let mut bench = Bench::new();
    bench.receive_from(incoming(Method::Bye, "z9hG4bKa"), peer(Transport::Tcp));
    let (server, bye) = bench.server();
    bench.respond(server, answer(&bye, 200, "ours"));
    assert_eq!(bench.layer.servers(), 0);
}

#[test]
fn a_request_that_is_never_answered_is_forgotten_when_its_sender_has_given_up() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Info, "z9hG4bKa"));
    bench.take();
    assert_eq!((bench.run_until(31_999), bench.layer.servers()), (vec![], 1));
    assert_eq!((bench.run_until(32_000), bench.layer.servers()), (vec![], 0));
}

#[test]
fn a_provisional_response_is_repeated_for_a_retransmission() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Refer, "z9hG4bKa"));
    let (server, refer) = bench.server();
    bench.respond(server, answer(&refer, 100, ""));
    bench.receive(incoming(Method::Refer, "z9hG4bKa"));
    assert_eq!(bench.take(), ["send 100", "send 100"]);
}

#[test]
fn branch_sent_by_and_method_make_a_transaction() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Info, "z9hG4bKa"));
    bench.receive(incoming(Method::Info, "z9hG4bKb"));
    bench.receive(incoming(Method::Options, "z9hG4bKa"));
    let mut elsewhere = incoming(Method::Info, "z9hG4bKa");
    elsewhere.headers.set(HeaderName::Via, "SIP/2.0/UDP other.example.com:5099;branch=z9hG4bKa");
    bench.receive(elsewhere);
    let mut same = incoming(Method::Info, "z9hG4bKa");
    same.headers.set(HeaderName::Via, "SIP/2.0/UDP PHONE.example.com:5099;branch=z9hG4bKa");
    bench.receive(same);
    assert_eq!(bench.take(), ["request INFO", "request INFO", "request OPTIONS", "request INFO"]);
}

#[test]
fn requests_of_rfc_2543_are_matched_by_their_dialog() {
    let mut bench = Bench::new();
    let via = "SIP/2.0/UDP old.example.com;branch=1";
    let mut invite = incoming(Method::Invite, "x");
    invite.headers.set(HeaderName::Via, via);
    bench.receive(invite.clone());
    let (server, stamped) = bench.server();
    bench.receive(invite.clone());
    assert_eq!(bench.take(), [] as [&str; 0]);
    bench.respond(server, answer(&stamped, 486, "ours"));
    bench.receive(invite.clone());
    assert_eq!(bench.take(), ["send 486", "send 486"]);
    let mut ack = incoming(Method::Ack, "x");
    ack.headers.set(HeaderName::Via, via);
    ack.headers.set(HeaderName::To, "<sip:us@example.com>;tag=ours");
    bench.receive(ack);
    assert_eq!(bench.take(), [] as [&str; 0]);
    assert_eq!(bench.run_until(4_999), [], "acknowledged");
    let mut next = invite;
    next.headers.set(HeaderName::CSeq, "4 INVITE");
    bench.receive(next);
    assert_eq!(bench.take(), ["request INVITE"]);
}

#[test]
fn the_ack_of_a_2xx_may_have_the_branch_of_its_invite() {
    let mut bench = Bench::new();
    bench.receive(incoming(Method::Invite, "z9hG4bKa"));
    let (server, invite) = bench.server();
    bench.respond(server, answer(&invite, 200, "ours"));
    bench.take();
    bench.receive(incoming(Method::Ack, "z9hG4bKa"));
    assert_eq!(bench.take(), ["ack"]);
}

#[test]
fn responses_go_where_the_via_says() {
    let source: SocketAddr = "192.0.2.9:5062".parse().expect("an address");
    for (via, stamped, port) in [
        ("SIP/2.0/UDP 192.0.2.9", "SIP/2.0/UDP 192.0.2.9", 5060),
        ("SIP/2.0/UDP 192.0.2.9:5099", "SIP/2.0/UDP 192.0.2.9:5099", 5099),
        ("SIP/2.0/UDP 10.0.0.1:5099", "SIP/2.0/UDP 10.0.0.1:5099;received=192.0.2.9", 5099),
        ("SIP/2.0/UDP h;rport", "SIP/2.0/UDP h;rport=5062;received=192.0.2.9", 5062),
        ("SIP/2.0/UDP h;maddr=203.0.113.1", "SIP/2.0/UDP h;maddr=203.0.113.1;received=192.0.2.9", 5060),
    ] {
        let mut bench = Bench::new();
        let mut request = incoming(Method::Options, "x");
        request.headers.set(HeaderName::Via, format!("{via}, SIP/2.0/UDP next"));
        bench.receive(request);
        let (server, request) = bench.server();
        assert_eq!(request.headers.get_str(&HeaderName::Via), Some(format!("{stamped}, SIP/2.0/UDP next").as_str()));
        bench.respond(server, answer(&request, 200, "ours"));
        let (to, response) = bench.out.iter().find_map(transmitted).expect("a response");
        assert_eq!(to.remote, SocketAddr::new(source.ip(), port), "{via}");
        assert_eq!(response.headers().get(&HeaderName::Via), request.headers.get(&HeaderName::Via));
    }
    let mut bench = Bench::new();
    bench.receive_from(incoming(Method::Options, "z9hG4bKa"), peer(Transport::Tcp));
    let (server, request) = bench.server();
    bench.respond(server, answer(&request, 200, "ours"));
    assert_eq!(bench.out.iter().find_map(transmitted).map(|(to, _)| to), Some(peer(Transport::Tcp)));
}

#[test]
fn stateless_replies_repeat_themselves() {
    let mut request = incoming(Method::Options, "z9hG4bKa");
    request.headers.set(HeaderName::Via, "SIP/2.0/UDP h;rport;branch=z9hG4bKa");
    let reply = || stateless_reply(&request, udp(), Status::BAD_REQUEST, "Bad Request");
    let (to, bytes) = reply().expect("an answer");
    assert_eq!((to, Some(bytes.clone())), (udp(), reply().map(|(_, bytes)| bytes)));
    let Ok(Message::Response(response)) = parse_datagram(bytes, &Limits::default()) else { panic!("a response") };
    assert!(response.headers.to_tag().is_some());
    assert_eq!(response.headers.top_via().map(|via| via.rport()), Ok(Some(5062)));
    assert_eq!(stateless_reply(&incoming(Method::Ack, "z9hG4bKa"), udp(), Status::BAD_REQUEST, ""), None);
    request.headers.remove_all(&HeaderName::Via);
    assert_eq!(stateless_reply(&request, udp(), Status::BAD_REQUEST, ""), None);
}
