//! Phones in browsers (SIP over WebSocket, RFC 7118): behind Kamailio, which Plugboard reaches by WebSocket, too, and at
//! Plugboard's own sockets.

use plugboard_tests::by_hand::{ByHand, ORIGIN, TurnedAway, field, session};
use plugboard_tests::kamailio::{By, Hash, Kamailio};
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

use crate::invite::Call;

const CALL: &str = "/callcontroller/alice/bob";

/// Kamailio, phones in browsers that are registered there, and Plugboard.
fn registered<const N: usize>(name: &str, by: By, users: [(&str, &str); N]) -> (Place, Kamailio, [ByHand; N], Server) {
    let place = Place::new(name);
    let kamailio = Kamailio::start_with(&place, by, Hash::Md5);
    let phones = users.map(|(user, password)| {
        let mut phone = ByHand::connect(user, by.name(), kamailio.web_address(), place.ip());
        phone.register("example.test", password);
        phone
    });
    let server = Server::start_by(&place, by.name(), &[kamailio.domain()], &kamailio.sip(&place));
    (place, kamailio, phones, server)
}

const ALICE: (&str, &str) = ("alice", "wonderland");
const BOB: (&str, &str) = ("bob", "builder");
const CAROL: (&str, &str) = ("carol", "singer");

/// Has Plugboard connect two phones in INVITE mode: their INVITEs.
fn connect(server: &Server, path: &str, calling: &mut ByHand, called: &mut ByHand) -> [String; 2] {
    server.place_call(&format!("{path}?sipMethod=INVITE"));
    let first = calling.request("INVITE");
    calling.answer(&first, "180 Ringing", "");
    calling.answer(&first, "200 OK", &session(None));
    calling.request("ACK");

    let second = called.request("INVITE");
    called.answer(&second, "180 Ringing", "");
    called.answer(&second, "200 OK", &session(Some(7000)));
    let offer = calling.request("INVITE");
    assert!(offer.contains("m=audio 7000"), "{offer}");
    calling.answer(&offer, "200 OK", &session(Some(6000)));
    calling.request("ACK");
    let ack = called.request("ACK");
    assert!(ack.contains("m=audio 6000"), "{ack}");
    server.await_json(path, "the call to be up", |json| json["phase"] == "up");
    [first, second]
}

#[test]
fn invite_call_between_phones_in_browsers() {
    invite_call("web-invite", By::Ws);
}

#[test]
fn invite_call_between_phones_in_browsers_by_tls() {
    invite_call("web-invite-tls", By::Wss);
}

fn invite_call(name: &str, by: By) {
    let (_place, _kamailio, [mut alice, mut bob], server) = registered(name, by, [ALICE, BOB]);
    let [_, invite] = connect(&server, CALL, &mut alice, &mut bob);
    bob.send(&invite, "BYE", "", "");
    bob.response(200);
    let bye = alice.request("BYE");
    alice.answer(&bye, "200 OK", "");
    assert_eq!(server.await_outcome(CALL), (200, "called".to_owned()));
    server.await_end(CALL);
}

/// Alice is in two calls and connects the other two: the proxy brings Carol the INVITE that replaces hers.
#[test]
fn an_attended_transfer_finds_the_other_phone_by_the_proxy() {
    let users = [ALICE, BOB, CAROL];
    let (_place, _kamailio, [mut alice, mut bob, mut carol], server) = registered("web-attended", By::Ws, users);
    let second = "/callcontroller/alice/carol";
    let [consulting, asked] = connect(&server, second, &mut alice, &mut carol);
    let [talking, _] = connect(&server, CALL, &mut alice, &mut bob);

    let ours = |invite: &str| field(invite, "From").rsplit_once("tag=").expect("a tag").1.to_owned();
    let dialog = format!("{}%3Bto-tag%3D{}", field(&consulting, "Call-ID").replace('@', "%40"), ours(&consulting));
    let refer_to = format!("Refer-To: <sip:carol@example.test?Replaces={dialog}%3Bfrom-tag%3Dalice>\r\n");
    alice.send(&talking, "REFER", &refer_to, "");
    alice.response(202);
    let trying = alice.request("NOTIFY");
    alice.answer(&trying, "200 OK", "");

    let invite = carol.request("INVITE");
    let expected = format!("{};to-tag=carol;from-tag={}", field(&asked, "Call-ID"), ours(&asked));
    assert_eq!(field(&invite, "Replaces"), expected);
    carol.answer(&invite, "200 OK", &session(Some(8000)));
    let offer = bob.request("INVITE");
    assert!(offer.contains("m=audio 8000"), "{offer}");
    bob.answer(&offer, "200 OK", &session(Some(7000)));
    bob.request("ACK");
    carol.request("ACK");
    let done = alice.request("NOTIFY");
    assert!(done.contains("SIP/2.0 200 OK"), "{done}");
    alice.answer(&done, "200 OK", "");
    let bye = alice.request("BYE");
    alice.answer(&bye, "200 OK", "");

    carol.send(&asked, "BYE", "", "");
    carol.response(200);
    let bye = alice.request("BYE");
    assert_eq!(field(&bye, "Call-ID"), field(&consulting, "Call-ID"));
    alice.answer(&bye, "200 OK", "");
    assert_eq!(server.await_outcome(second), (200, "called".to_owned()));
    server.await_json(CALL, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    server.hang_up(CALL);
    for phone in [&mut bob, &mut carol] {
        let bye = phone.request("BYE");
        phone.answer(&bye, "200 OK", "");
    }
    server.await_end(CALL);
}

#[test]
fn refer_call_with_a_phone_in_a_browser_first() {
    refer_call("web-refer", By::Ws);
}

#[test]
fn refer_call_with_a_phone_in_a_browser_first_by_tls() {
    refer_call("web-refer-tls", By::Wss);
}

fn refer_call(name: &str, by: By) {
    let (_place, _kamailio, [mut alice], server) = registered(name, by, [ALICE]);
    server.place_call(CALL);
    let invite = alice.request("INVITE");
    alice.answer(&invite, "200 OK", &session(Some(6000)));
    alice.request("ACK");
    let refer = alice.request("REFER");
    assert_eq!(field(&refer, "Refer-To"), "<sip:bob@example.test>");
    alice.answer(&refer, "202 Accepted", "");
    let active = "Event: refer\r\nSubscription-State: active;expires=60\r\n";
    alice.send(&invite, "NOTIFY", active, "SIP/2.0 180 Ringing\r\n");
    alice.response(200);
    let bye = alice.request("BYE");
    alice.answer(&bye, "200 OK", "");
    assert_eq!(server.await_outcome(CALL).1, "handed-over");
    server.await_end(CALL);
}

#[test]
fn a_phone_in_a_browser_takes_the_place_of_another() {
    takes_over("web-replaces", "ws");
}

#[test]
fn a_phone_in_a_browser_takes_the_place_of_another_by_tls() {
    takes_over("web-replaces-tls", "wss");
}

/// A phone that connects to Plugboard itself: everything goes by that connection, there is no other.
fn takes_over(name: &str, transport: &str) {
    let place = Place::new(name);
    let (calling, called) = (place.phone("calling_moved").start(), place.phone("called").start());
    let web = place.port();
    let sip = format!("{transport} = \"{web}\"\nws_origins = [{ORIGIN:?}]\n");
    let server = Server::start_with(&place, &[Domain::example()], &sip);
    let ip = place.ip();
    let call = Call::start_at(server, place, &calling, &called);
    call.await_talk();

    let stranger = ByHand::try_connect("eve", transport, web, ip, "https://evil.example");
    assert_eq!(stranger.err(), Some(TurnedAway(403)), "a page that is not welcome");
    let mut carol = ByHand::connect("carol", transport, web, ip);
    let fields = format!("Replaces: {}\r\nRequire: replaces\r\n", called.replaces());
    let answer = carol.call(&format!("sip:bob@{web};transport=ws"), &fields, &session(Some(8000)));
    assert!(answer.contains("m=audio 6000"), "{answer}");
    called.finish();
    call.await_talk();
    call.hang_up_by_hand(calling, &mut carol);
}
