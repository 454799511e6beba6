//! What phones and proxies do to the dialogs of an INVITE-mode call that call logic never hears of, against sipp.

use std::net::IpAddr;
use std::time::Duration;

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

use crate::invite::Call;
use crate::name_server::NameServer;

/// How long half a session may take: 45 s, and more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(80);
/// What every phone of a call sees.
const ANYTHING: &str = "INVITE";

/// A call between two phones that a client ends, once each of `awaited` was seen by its phone.
fn talks(name: &str, domain: Domain, calling: (&str, &str), called: (&str, &str)) -> Call {
    let place = Place::new(name);
    let phones = [calling, called].map(|(scenario, awaited)| (place.phone(scenario).start(), awaited));
    let server = Server::start(&place, &[domain]);
    let call = Call::start_at(server, place, &phones[0].0, &phones[1].0);
    for (phone, awaited) in &phones {
        phone.saw_within(awaited, PATIENCE);
    }
    call.await_talk();
    call.server.hang_up(&call.path);
    phones.into_iter().for_each(|(phone, _)| phone.finish());
    call.ended(200, "request");
    call
}

#[test]
fn a_phone_that_rings_reliably_gets_a_prack_for_each_ring() {
    talks("prack", Domain::example(), ("calling_rings_reliably", "RAck: 72"), ("called", ANYTHING));
}

/// RFC 3261 §13.2.2.4
#[test]
fn of_two_forks_that_answer_the_first_has_the_call() {
    let call = talks("forks", Domain::example(), ("calling", ANYTHING), ("called_forks", "BYE sip:a@"));
    assert_eq!(call.server.metric("plugboard_sip_forks_ended_total"), 1.0);
}

#[test]
fn challenges_are_answered_inside_a_dialog() {
    talks("challenged-inside", Domain::example(), ("calling_asks_who", "Authorization: "), ("called", ANYTHING));
}

#[test]
fn a_strict_router_is_served_and_a_target_that_moves_is_followed() {
    let (calling, called) = (("calling_moved", "m=audio 8000"), ("called_strictly_routed", "CSeq: 1 ACK"));
    talks("strict", Domain::example(), calling, called);
}

/// RFC 7332
#[test]
fn what_is_brought_across_has_one_hop_less() {
    let (calling, called) = (("calling_counts_hops", "483 Too Many Hops"), ("called_counts_hops", "Max-Forwards: 4"));
    talks("hops", Domain::example(), calling, called);
}

fn short_sessions() -> Domain {
    Domain::example().set("session_expires_seconds", "90")
}

#[test]
fn a_session_is_refreshed_by_us_after_the_phone_wanted_a_longer_one() {
    talks("refresher", short_sessions(), ("calling", ANYTHING), ("called_counts_time", "UPDATE sip:"));
}

#[test]
fn a_session_is_refreshed_by_the_phone_but_not_for_too_short() {
    talks("refreshed", short_sessions(), ("calling_refreshes", "CSeq: 2 UPDATE"), ("called", ANYTHING));
}

/// RFC 3263 §4.3, RFC 3261 §21.5.4
#[test]
fn a_server_without_room_is_left_for_the_next_and_for_as_long_as_it_says() {
    let place = Place::new("no-room");
    let (full, live) = (place.phone("no_room").start(), place.phone("refer_answered").start());
    let IpAddr::V4(ip) = place.ip() else { panic!("tests run on IPv4") };
    let dns = NameServer::start();
    dns.srv("_sip._udp.pbx.test", 1, 1, full.address().port(), "a.pbx.test");
    dns.srv("_sip._udp.pbx.test", 2, 1, live.address().port(), "a.pbx.test");
    dns.a("a.pbx.test", ip);
    let domain = Domain::example().set("outbound_proxy", "\"sip:pbx.test\"");
    let server = Server::start_with(&place, &[domain], &format!("dns = [\"{}\"]\n", dns.address));
    let call = "/callcontroller/alice/bob";
    server.place_call(call);
    full.finish();
    live.finish();
    assert_eq!(server.await_outcome(call), (202, "handed-over".to_owned()));
    assert_eq!(server.metric("plugboard_sip_targets_avoided"), 1.0);
}
