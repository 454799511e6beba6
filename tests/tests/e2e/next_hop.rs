//! Finding the proxy by DNS (RFC 3263), and what happens when a server of it is dead.

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

use crate::name_server::NameServer;

const CALL: &str = "/callcontroller/alice/bob";

#[test]
fn the_proxy_is_found_by_its_services_and_a_dead_server_is_left_for_the_next() {
    let place = Place::new("next-hop");
    let (live, dead) = (place.phone("refer_answered").start(), place.port());
    let dns = NameServer::start();
    dns.naptr("pbx.test", 1, "SIP+D2T", "_sip._tcp.pbx.test");
    dns.naptr("pbx.test", 2, "SIP+D2U", "_sip._udp.pbx.test");
    dns.srv("_sip._tcp.pbx.test", 1, 1, dead.port(), "a.pbx.test");
    dns.srv("_sip._udp.pbx.test", 1, 1, live.address().port(), "a.pbx.test");
    let std::net::IpAddr::V4(ip) = place.ip() else { panic!("tests run on IPv4") };
    dns.a("a.pbx.test", ip);
    let sip = format!("tcp = \"{}\"\ndns = [\"{}\"]\n", place.port(), dns.address);
    let domain = Domain::example().set("outbound_proxy", "\"sip:pbx.test\"");
    let server = Server::start_with(&place, &[domain], &sip);
    server.place_call(CALL);
    live.finish();
    assert_eq!(server.await_outcome(CALL), (202, "handed-over".to_owned()));
    assert_eq!(
        server.metric("plugboard_sip_sent_elsewhere_total"),
        1.0,
        "of all requests of the call the INVITE alone"
    );
    assert_eq!(server.metric("plugboard_sip_targets_avoided"), 1.0);
}
