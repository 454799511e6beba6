//! Calls over TCP and TLS with a phone that writes bytes: what goes by which connection, and what a connection that
//! misbehaves can do.

#[path = "../../net/tests/name_server/mod.rs"]
mod name_server;
mod transports_phone;
mod transports_web;

use name_server::NameServer;
use plugboard_net::streams::StreamLimits;
use plugboard_server::switch::SwitchConfig;
use plugboard_sip::connections::ConnectionLimits;
use plugboard_sip::transport::Transport;
use std::time::Duration;
use transports_phone::{Authority, Bench, LISTENERS, Link};

/// A call that the phone answers and that an operator ends: all of it by one connection.
async fn up_and_down(bench: &Bench, transport: Transport, target: &str) {
    let phones = bench.listen(transport).await;
    let call = bench.place(&target.replace("PORT", &phones.port().to_string()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    assert!(invite.starts_with("INVITE sip"), "{invite}");
    let own = bench.address(transport);
    let via = format!("Via: SIP/2.0/{transport} {own};branch=");
    assert!(invite.contains(&via), "{via} in {invite}");
    let parameter = transport.as_str().to_ascii_lowercase();
    let contact = match target.starts_with("sips:") {
        true => format!("Contact: <sips:alice@{own}>\r\n"),
        false => format!("Contact: <sip:alice@{own};transport={parameter}>\r\n"),
    };
    assert!(invite.contains(&contact), "{contact} in {invite}");
    phone.answer(&invite, "180 Ringing", "").await;
    phone.answer(&invite, "200 OK", &format!("Contact: <{}>\r\n", phones.contact(target))).await;
    phone.request("ACK").await;
    phone.send_inside(&invite, "INFO", 1).await;
    assert!(phone.message().await.starts_with("SIP/2.0 200 "), "the answer comes back where the request went");
    bench.hang_up(&call).await;
    let bye = phone.request("BYE").await;
    phone.answer(&bye, "200 OK", "").await;
    bench.await_no_calls().await;
    assert!(phones.nobody_else().await, "one connection for the whole call");
    assert_eq!(bench.switch.counters().connections_opened, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_tcp_is_one_connection() {
    let bench = Bench::start(SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Tcp, "sip:bob@127.0.0.1:PORT;transport=tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_ipv6() {
    let bench = Bench::start_on("[::1]:0", SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Tcp, "sip:bob@[::1]:PORT;transport=tcp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_tls_is_one_connection() {
    let bench = Bench::start(SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Tls, "sip:bob@127.0.0.1:PORT;transport=tls").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_sips_is_over_tls() {
    let bench = Bench::start(SwitchConfig::default()).await;
    up_and_down(&bench, Transport::Tls, "sips:bob@127.0.0.1:PORT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_somebody_else_gets_nothing() {
    let bench = Bench::start(SwitchConfig::default()).await;
    // The phone's certificate is of 127.0.0.1 and ::1, not of localhost.
    let phones = bench.listen(Transport::Tls).await;
    bench.place(&format!("sips:bob@localhost:{}", phones.port()));
    assert!(phones.handshake_fails().await);
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_nobody_vouches_for_gets_nothing() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen_as(Transport::Tls, &Authority::new()).await;
    bench.place(&format!("sips:bob@127.0.0.1:{}", phones.port()));
    assert!(phones.handshake_fails().await);
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_client_ca_who_connects_needs_a_certificate() {
    let bench = Bench::start_mutual().await;
    let mut known = bench.connect_tls(true).await;
    known.write(&Link::options(1)).await;
    assert!(known.message().await.starts_with("SIP/2.0 200 "));
    let mut unknown = bench.connect_tls(false).await;
    unknown.write(&Link::options(1)).await;
    assert_eq!(unknown.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_wants_a_certificate_of_ours_gets_it() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen_mutual().await;
    bench.place(&format!("sips:bob@127.0.0.1:{}", phones.port()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    phone.answer(&invite, "486 Busy Here", "").await;
    phone.request("ACK").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_connects_anew_is_answered_there() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen(Transport::Tcp).await;
    bench.place(&format!("sip:bob@127.0.0.1:{};transport=tcp", phones.port()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    phone.answer(&invite, "200 OK", &format!("Contact: <{}>\r\n", phones.contact("sip:"))).await;
    phone.request("ACK").await;
    let mut other = bench.connect(Transport::Tcp).await;
    other.send_inside(&invite, "BYE", 1).await;
    assert!(other.message().await.starts_with("SIP/2.0 200 "));
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_is_made_again_for_the_next_request() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen(Transport::Tcp).await;
    let call = bench.place(&format!("sip:bob@127.0.0.1:{};transport=tcp", phones.port()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    // Without transport in its Contact: it is reached the way the dialog came.
    let contact = format!("Contact: <sip:bob@127.0.0.1:{}>\r\n", phones.port());
    phone.answer(&invite, "200 OK", &contact).await;
    phone.request("ACK").await;
    drop(phone);
    bench.await_connections(0).await;
    bench.hang_up(&call).await;
    let mut phone = phones.accept().await;
    let bye = phone.request("BYE").await;
    phone.answer(&bye, "200 OK", "").await;
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_for_udp_goes_by_tcp() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen(Transport::Tcp).await;
    let call = bench.place(&format!("sip:large@127.0.0.1:{}", phones.port()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    assert!(invite.len() > 1_300 && invite.contains("Via: SIP/2.0/TCP "), "{invite}");
    phone.answer(&invite, "200 OK", &format!("Contact: <{}>\r\n", phones.contact("sip:"))).await;
    phone.request("ACK").await;
    bench.hang_up(&call).await;
    let bye = phone.request("BYE").await;
    phone.answer(&bye, "200 OK", "").await;
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_goes_by_udp_to_who_takes_no_tcp() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    bench.place(&format!("sip:large@{}", phone.local_addr().expect("bound")));
    let mut buffer = vec![0; 65_535];
    let received = tokio::time::timeout(transports_phone::PATIENCE, phone.recv(&mut buffer)).await;
    let invite = String::from_utf8_lossy(&buffer[..received.expect("in time").expect("readable")]).into_owned();
    assert!(invite.starts_with("INVITE ") && invite.contains("Via: SIP/2.0/UDP "), "{invite}");
    assert!(!invite.contains("transport=tcp"), "{invite}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_listens_the_call_fails_at_once() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen(Transport::Tcp).await;
    let port = phones.port();
    drop(phones);
    bench.place(&format!("sip:bob@127.0.0.1:{port};transport=tcp"));
    bench.await_no_calls().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_however_the_bytes_are_cut_up() {
    let bench = Bench::start(SwitchConfig::default()).await;
    for transport in LISTENERS {
        let mut phone = bench.connect(transport).await;
        phone.write(&(Link::options(1) + &Link::options(2))).await;
        for sequence in [1, 2] {
            let answer = phone.message().await;
            assert!(answer.starts_with("SIP/2.0 200 ") && answer.contains(&format!("CSeq: {sequence} ")), "{answer}");
        }
        for byte in Link::options(3).as_bytes() {
            phone.write_bytes(&[*byte]).await;
        }
        assert!(phone.message().await.contains("CSeq: 3 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_line_break_is_answered_by_one() {
    let bench = Bench::start(SwitchConfig::default()).await;
    for transport in LISTENERS {
        let mut phone = bench.connect(transport).await;
        phone.write("\r\n\r\n").await;
        assert_eq!(phone.exactly(2).await, "\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_sip_is_closed_and_what_cannot_be_framed_is_answered_first() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let mut phone = bench.connect(Transport::Tcp).await;
    phone.write("GET / HTTP/1.1\r\nHost: plugboard\r\n\r\n").await;
    assert_eq!(phone.rest().await, "");
    let mut phone = bench.connect(Transport::Tcp).await;
    phone.write(&Link::options(1).replace("Content-Length: 0", "Content-Length: many")).await;
    let said = phone.rest().await;
    assert!(said.starts_with("SIP/2.0 400 "), "{said}");
    assert_eq!(bench.switch.counters().connections_cut_off, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_and_then_silence_is_cut_off() {
    let short = Duration::from_millis(200);
    let streams = StreamLimits { message_time: short, handshake_time: short, ..StreamLimits::default() };
    let bench = Bench::start(SwitchConfig { streams, ..SwitchConfig::default() }).await;
    let mut phone = bench.connect(Transport::Tcp).await;
    phone.write(&Link::options(1)[..60]).await;
    assert_eq!(phone.rest().await, "");
    let mut silent = bench.connect_plain(Transport::Tls).await;
    assert_eq!(silent.rest().await, "", "no handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_and_one_in_use_is_not() {
    let streams = StreamLimits { idle_time: Duration::from_millis(400), ..StreamLimits::default() };
    let bench = Bench::start(SwitchConfig { streams, ..SwitchConfig::default() }).await;
    let mut phone = bench.connect(Transport::Tcp).await;
    for sequence in 1..=4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        phone.write(&Link::options(sequence)).await;
        assert!(phone.message().await.starts_with("SIP/2.0 200 "));
    }
    assert_eq!(phone.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_so_many_connections_and_no_more() {
    let connections = ConnectionLimits { per_source: 2, ..ConnectionLimits::default() };
    let streams = StreamLimits { connections, ..StreamLimits::default() };
    let bench = Bench::start(SwitchConfig { streams, ..SwitchConfig::default() }).await;
    let mut phones = vec![bench.connect(Transport::Tcp).await, bench.connect(Transport::Tcp).await];
    bench.await_connections(2).await;
    assert_eq!(bench.connect(Transport::Tcp).await.rest().await, "");
    phones.pop();
    bench.await_connections(1).await;
    let mut phone = bench.connect(Transport::Tcp).await;
    phone.write(&Link::options(1)).await;
    assert!(phone.message().await.starts_with("SIP/2.0 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_takes_long_holds_up_nobody_else() {
    let bench = Bench::start(SwitchConfig::default()).await;
    let phones = bench.listen(Transport::Tcp).await;
    bench.place(&format!("sip:bob@127.0.0.1:{};transport=tcp", phones.port()));
    let mut phone = phones.accept().await;
    let invite = phone.request("INVITE").await;
    phone.answer(&invite, "200 OK", &format!("Contact: <{}>\r\n", phones.contact("sip:"))).await;
    phone.request("ACK").await;
    // The guest of this bench thinks about a MESSAGE for a second.
    phone.send_inside(&invite, "MESSAGE", 1).await;
    phone.write(&Link::options(7)).await;
    let first = phone.message().await;
    assert!(first.contains("CSeq: 7 OPTIONS"), "the same connection is read on: {first}");
    assert!(phone.message().await.contains("CSeq: 1 MESSAGE"));
}

/// A name with a closed port, a server that wants to be left alone, and one that answers, in this order.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_is_left_for_the_next_and_avoided_for_a_while() {
    let dns = NameServer::start();
    let bench = Bench::start(SwitchConfig { name_servers: vec![dns.address], ..SwitchConfig::default() }).await;
    let closed = bench.listen(Transport::Tcp).await.port();
    let (busy, live) = (bench.listen(Transport::Tcp).await, bench.listen(Transport::Tcp).await);
    for (priority, port) in [closed, busy.port(), live.port()].into_iter().enumerate() {
        dns.srv("_sip._tcp.three.example", priority as u16, 1, port, "a.three.example");
    }
    dns.a("a.three.example", [127, 0, 0, 1].into());
    bench.place("sip:bob@three.example;transport=tcp");
    let mut phone = busy.accept().await;
    let unwanted = phone.request("INVITE").await;
    phone.answer(&unwanted, "503 Service Unavailable", "Retry-After: 300\r\n").await;
    let mut phone = live.accept().await;
    let invite = phone.request("INVITE").await;
    assert_eq!(call_id(&invite), call_id(&unwanted));
    phone.answer(&invite, "200 OK", &format!("Contact: <{}>\r\n", live.contact("sip:"))).await;
    phone.request("ACK").await;
    let counters = bench.switch.counters();
    assert_eq!((counters.requests_sent_elsewhere, counters.targets_avoided), (2, 2));
    let call = bench.place("sip:carol@three.example;transport=tcp");
    let second = phone.request("INVITE").await;
    assert_ne!(call_id(&second), call_id(&invite), "another call, straight to the server that answers");
    assert_eq!(bench.switch.counters().requests_sent_elsewhere, 2);
    phone.answer(&second, "486 Busy Here", "").await;
    phone.request("ACK").await;
    bench.hang_up("sip:bob@three.example;transport=tcp").await;
    let bye = phone.request("BYE").await;
    phone.answer(&bye, "200 OK", "").await;
    bench.hang_up(&call).await;
    bench.await_no_calls().await;
}

fn call_id(message: &str) -> &str {
    message.lines().find(|line| line.starts_with("Call-ID:")).expect("a Call-ID")
}
