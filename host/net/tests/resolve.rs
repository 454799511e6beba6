//! Finding servers by DNS (RFC 3263), with a name server on the loopback that tells the truth, lies or says nothing.

mod name_server;

use name_server::NameServer;
use plugboard_net::resolve::{LOOKUP_TIME_MAX, ResolveError, Resolver, SERVERS_MAX};
use plugboard_sip::locate::{Located, NextHop};
use plugboard_sip::transport::Transport;
use plugboard_sip::uri::SipUri;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const SERVED: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];
/// What a busy machine may take beyond the limits.
const GRACE: Duration = Duration::from_secs(20);

fn hop(uri: &str) -> NextHop {
    NextHop::of(&SipUri::parse(&uri.into()).expect("a URI")).expect("served")
}

/// The targets, in order.
fn targets(located: &Located) -> Vec<String> {
    located.targets(1).iter().map(|target| format!("{} {}", target.transport, target.address)).collect()
}

async fn locate(resolver: &Resolver, uri: &str) -> Result<Vec<String>, ResolveError> {
    let located: Arc<Located> = resolver.locate(&hop(uri), &SERVED).await?;
    Ok(targets(&located))
}

async fn found(resolver: &Resolver, uri: &str) -> Vec<String> {
    locate(resolver, uri).await.unwrap_or_else(|error| panic!("{uri}: {error}"))
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

/// A domain with everything: NAPTR for TLS and TCP, SRV for all, two servers each, and a web site.
fn domain(server: &NameServer) {
    server.naptr("full.example", 50, "SIPS+D2T", "_sips._tcp.full.example");
    server.naptr("full.example", 90, "SIP+D2U", "_sip._udp.full.example");
    server.srv("_sips._tcp.full.example", 10, 1, 5061, "a.full.example");
    server.srv("_sips._tcp.full.example", 20, 1, 5071, "b.full.example");
    server.srv("_sip._udp.full.example", 10, 1, 5060, "a.full.example");
    server.srv("_sip._udp.full.example", 20, 1, 5070, "b.full.example");
    server.srv("_sip._tcp.full.example", 20, 1, 5080, "b.full.example");
    server.a("a.full.example", address(1));
    server.a("b.full.example", address(2));
    server.a("full.example", address(80));
}

#[tokio::test]
async fn naptr_names_the_transport_srv_the_servers_and_a_their_addresses() {
    let server = NameServer::start();
    domain(&server);
    let resolver = Resolver::new(vec![server.address]);
    let tls = ["TLS 192.0.2.1:5061", "TLS 192.0.2.2:5071"];
    let all = [tls[0], tls[1], "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5070"];
    assert_eq!(found(&resolver, "sip:full.example").await, all);
    assert_eq!(found(&resolver, "sips:full.example").await, tls);
    assert_eq!(found(&resolver, "sip:full.example;transport=tcp").await, ["TCP 192.0.2.2:5080"]);
    assert_eq!(found(&resolver, "sip:full.example:5090").await, ["UDP 192.0.2.80:5090"], "a port is not asked for");
    assert_eq!(found(&resolver, "sip:a.full.example").await, ["UDP 192.0.2.1:5060"], "no services: its addresses");
    let udp_alone = resolver.locate(&hop("sip:x@FULL.example;user=phone"), &[Transport::Udp]).await.expect("found");
    assert_eq!(targets(&udp_alone), ["UDP 192.0.2.1:5060", "UDP 192.0.2.2:5070"], "what we cannot send is left out");
}

#[tokio::test]
async fn without_naptr_every_transport_that_has_services_is_used() {
    let server = NameServer::start();
    server.srv("_sip._tcp.plain.example", 1, 1, 5080, "a.plain.example");
    server.srv("_sip._udp.plain.example", 1, 1, 5060, "a.plain.example");
    server.srv("_sip._udp.plain.example", 0, 1, 5060, "gone.plain.example");
    server.a("a.plain.example", address(1));
    let resolver = Resolver::new(vec![server.address]);
    assert_eq!(found(&resolver, "sip:plain.example").await, ["UDP 192.0.2.1:5060", "TCP 192.0.2.1:5080"]);
}

#[tokio::test]
async fn what_is_known_is_not_asked_again() {
    let server = NameServer::start();
    domain(&server);
    let resolver = Resolver::new(vec![server.address]);
    assert!(resolver.known(&hop("sip:full.example")).is_none());
    let first = found(&resolver, "sip:full.example").await;
    let asked = server.asked();
    let known = resolver.known(&hop("sip:x@FULL.example")).expect("known in any case, whatever the user");
    assert_eq!(targets(&known), first);
    assert_eq!(server.asked(), asked);
    assert!(resolver.known(&hop("sip:full.example;transport=udp")).is_none());
}

#[tokio::test]
async fn a_domain_without_the_service_and_a_name_that_is_not_there_have_no_target() {
    let server = NameServer::start();
    server.srv("_sip._udp.closed.example", 0, 0, 0, ".");
    server.a("closed.example", address(80));
    let resolver = Resolver::new(vec![server.address]);
    for uri in ["sip:closed.example;transport=udp", "sip:gone.example"] {
        assert!(matches!(locate(&resolver, uri).await, Err(ResolveError::Failed { .. })), "{uri}");
    }
}

#[tokio::test]
async fn a_name_server_that_hangs_holds_nobody_up_for_long() {
    let server = NameServer::start();
    server.silent(true);
    let resolver = Resolver::new(vec![server.address]);
    let answer = timeout(LOOKUP_TIME_MAX + GRACE, locate(&resolver, "sip:full.example")).await.expect("an end");
    assert!(answer.is_err(), "{answer:?}");
    server.silent(false);
    domain(&server);
    assert_eq!(found(&resolver, "sip:full.example").await.len(), 4, "and it is asked again when it is back");
}

#[tokio::test]
async fn one_name_server_of_two_may_hang() {
    let (dead, live) = (NameServer::start(), NameServer::start());
    dead.silent(true);
    domain(&live);
    let resolver = Resolver::new(vec![dead.address, live.address]);
    assert_eq!(found(&resolver, "sip:a.full.example:5060").await, ["UDP 192.0.2.1:5060"]);
}

#[tokio::test]
async fn a_name_server_that_lies_costs_no_more_than_its_bounds() {
    let server = NameServer::start();
    for number in 0..(SERVERS_MAX as u16 + 10) {
        server.srv("_sip._udp.many.example", number, 1, 5_000 + number, "a.many.example");
    }
    server.a("a.many.example", address(1));
    server.naptr("loop.example", 1, "SIP+D2U", "loop.example");
    server.srv("_sip._udp.loop.example", 1, 1, 5060, "loop.example");
    let resolver = Resolver::new(vec![server.address]);
    let many = found(&resolver, "sip:many.example;transport=udp").await;
    assert_eq!(many.len(), SERVERS_MAX);
    assert_eq!(many[0], "UDP 192.0.2.1:5000", "the best priorities are kept");
    assert!(locate(&resolver, "sip:loop.example").await.is_err());
    server.garbage();
    let answer = timeout(LOOKUP_TIME_MAX + GRACE, locate(&resolver, "sip:other.example")).await.expect("an end");
    assert!(answer.is_err());
}
