//! Kamailio as registrar and challenging proxy, with two registered phones: the main job, as the document shows it.

use plugboard_tests::kamailio::{By, Hash, Kamailio};
use plugboard_tests::place::Place;
use plugboard_tests::server::Server;
use plugboard_tests::status::{document, lines, summary};
use plugboard_tests::wait::{SOON, until};

use crate::{hears, soft_phone};

const CALL: &str = "/callcontroller/alice/bob";

#[test]
fn refer_call_between_registered_soft_phones() {
    refer_call("kamailio", By::Udp, Hash::Md5);
}

#[test]
fn refer_call_by_tcp_with_sha_256() {
    refer_call("kamailio-tcp", By::Tcp, Hash::Sha256);
}

#[test]
fn refer_call_by_tls_with_sha_256() {
    refer_call("kamailio-tls", By::Tls, Hash::Sha256);
}

fn refer_call(name: &str, by: By, hash: Hash) {
    let place = Place::new(name);
    let kamailio = Kamailio::start_with(&place, by, hash);
    let phone = |user: &str, password: &str, ring: u64| {
        let phone = soft_phone(&place, kamailio.address(), user, password, ring);
        phone.register();
        until(&format!("{user} to be registered"), SOON, || phone.is_registered().then_some(()));
        phone
    };
    let (alice, bob) = (phone("alice", "wonderland", 100), phone("bob", "builder", 300));
    let server = Server::start_by(&place, by.name(), &[kamailio.domain()], &kamailio.sip(&place));
    server.place_call(CALL);

    let mut expected = vec![
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 407 Proxy Authentication Required",
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 180 Ringing",
        "INVITE SIP/2.0 200 OK",
        "REFER SIP/2.0 202 Accepted",
        "NOTIFY SIP/2.0 100 Trying",
        "NOTIFY SIP/2.0 180 Ringing",
    ];
    let told = || server.send("GET", CALL).text();
    until("the story to be told", SOON, || (lines(&told()).len() == expected.len()).then_some(()));
    let xml = told();
    let seen = lines(&xml);
    let mut story = summary(&seen);
    if by != By::Udp {
        // Responses and the requests of Kamailio come by two connections, and one may overtake the other.
        story.sort();
        expected.sort_unstable();
    }
    assert_eq!(story, expected);
    assert!(seen.iter().all(|line| line.call_id == seen[0].call_id), "one dialog: {xml}");
    assert_eq!(xml, document(&seen), "byte for byte but for times and Call-IDs");

    until("bob to talk to alice", SOON, || (bob.calls() == 1 && alice.calls() == 1).then_some(()));
    hears(&alice, &["INVITE", "ACK", "REFER", "BYE"]);
    hears(&bob, &["INVITE", "ACK"]);
    assert_eq!(server.await_outcome(CALL), (202, "handed-over".to_owned()));
    server.await_end(CALL);
    alice.hang_up();
    until("bob to be hung up on", SOON, || (bob.calls() == 0).then_some(()));
}

#[test]
fn invite_call_between_registered_phones_of_sipp() {
    invite_call("kamailio-invite", By::Udp);
}

#[test]
fn invite_call_by_tcp_along_two_record_routes() {
    invite_call("kamailio-invite-tcp", By::Tcp);
}

#[test]
fn invite_call_by_tls_along_two_record_routes() {
    invite_call("kamailio-invite-tls", By::Tls);
}

fn invite_call(name: &str, by: By) {
    let place = Place::new(name);
    let kamailio = Kamailio::start_with(&place, by, Hash::Md5);
    let calling = place.phone("calling_routed").at(registered(&place, &kamailio, "alice", "wonderland")).start();
    let called = place.phone("called_routed").at(registered(&place, &kamailio, "bob", "builder")).start();
    let server = Server::start_by(&place, by.name(), &[kamailio.domain()], &kamailio.sip(&place));
    server.place_call(&format!("{CALL}?sipMethod=INVITE"));
    server.await_json(CALL, "the call to be up", |json| json["phase"] == "up");
    server.hang_up(CALL);
    calling.finish();
    called.finish();
    assert_eq!(server.await_outcome(CALL).1, "request");
}

fn registered(place: &Place, kamailio: &Kamailio, user: &str, password: &str) -> std::net::SocketAddr {
    let address = place.port();
    kamailio.register(place, user, password, address);
    address
}
