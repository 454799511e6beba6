//! Phones of an INVITE-mode call that refer the other one elsewhere (RFC 3515), against sipp.

use plugboard_tests::by_hand::{ByHand, field, session};
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::sipp::Phone;

use crate::invite::Call;

/// A call whose phones may transfer anywhere; `target` is where they do.
fn call(place: Place, calling: &Phone, called: &Phone) -> Call {
    let domain = Domain::example().set("settings", "{ phone_transfer = \"any\" }");
    Call::start_at(Server::start(&place, &[domain]), place, calling, called)
}

#[test]
fn a_phone_transfers_the_other_one_and_hears_how_it_goes() {
    let place = Place::new("refers");
    let target = place.phone("target_referred").start();
    let called = place.phone("called_refers").key("target", target.user("carol")).start();
    let calling = place.phone("calling_moved").start();
    let call = call(place, &calling, &called);
    called.finish();
    let json =
        call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    assert_eq!((&json["transfers"][0]["asked_by"], &json["phase"]), (&"called".into(), &"up".into()), "{json:#}");
    call.server.hang_up(&call.path);
    calling.finish();
    target.finish();
    call.ended(200, "request");
}

#[test]
fn a_busy_target_leaves_the_call_as_it_was() {
    let place = Place::new("refers-busy");
    let target = place.phone("busy").start();
    let called = place.phone("called_refers_refused").key("target", target.user("carol")).start();
    let calling = place.phone("calling").start();
    let call = call(place, &calling, &called);
    target.finish();
    call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 486);
    called.saw("SIP/2.0 486 Busy Here");
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn a_phone_may_leave_at_once_and_hear_nothing() {
    let place = Place::new("refers-leaves");
    let target = place.phone("target_left").start();
    let called = place.phone("called_refers_and_leaves").key("target", target.user("carol")).start();
    let calling = place.phone("calling_moved").start();
    let call = call(place, &calling, &called);
    called.finish();
    call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    call.server.hang_up(&call.path);
    calling.finish();
    target.finish();
    call.ended(200, "request");
}

/// A Refer-To as phones write it in an attended transfer.
fn attended(target: &Phone) -> String {
    format!("{}?Replaces=consultation%3Bto-tag%3Dthere%3Bfrom-tag%3Dhere&Require=replaces", target.user("carol"))
}

#[test]
fn an_attended_transfer_names_the_call_that_it_replaces() {
    let place = Place::new("refers-attended");
    let target = place.phone("target_attended").start();
    let called = place.phone("called_refers_and_leaves").key("target", attended(&target)).start();
    let calling = place.phone("calling_moved").start();
    let call = call(place, &calling, &called);
    called.finish();
    let json =
        call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    assert_eq!(json["transfers"][0]["attended"], true);
    call.server.hang_up(&call.path);
    calling.finish();
    target.finish();
    call.ended(200, "request");
}

#[test]
fn an_attended_transfer_that_fails_after_the_phone_left_ends_the_call() {
    let place = Place::new("refers-unknown");
    let target = place.phone("target_without_that_call").start();
    let called = place.phone("called_refers_and_leaves").key("target", attended(&target)).start();
    let calling = place.phone("calling").start();
    let call = call(place, &calling, &called);
    called.finish();
    target.finish();
    calling.saw("Reason: SIP;cause=481");
    calling.finish();
    call.ended(481, "called");
}

/// A phone in two calls of ours connects the people in them: it names the dialog that it has with us, of which the
/// phone at the other end has never heard.
#[test]
fn an_attended_transfer_joins_two_calls_of_ours() {
    let place = Place::new("refers-consultation");
    let mut carol = ByHand::listen("carol", &place);
    let consulting = place.phone("calling").start();
    let domain = Domain::example().set("settings", "{ phone_transfer = \"any\" }");
    let server = Server::start(&place, &[domain]);
    let second = format!("/callcontroller/{}/{}?agent=alice", consulting.user("alice"), carol.user());
    server.place_call(&format!("{second}&sipMethod=invite"));
    let asked = carol.request("INVITE");
    carol.answer(&asked, "200 OK", &session(Some(7000)));
    carol.request("ACK");
    server.await_json(&second, "the second call", |json| json["phase"] == "up");

    // The other line of alice.
    let dialog = consulting.replaces().replace(';', "%3B").replace('=', "%3D").replace('@', "%40");
    let refer_to = format!("plugboard@{}?Replaces={dialog}&Require=replaces", server.sip);
    let called = place.phone("called_refers").key("target", refer_to).start();
    let calling = place.phone("calling_moved").start();
    let call = Call::start_at(server, place, &calling, &called);
    let invite = carol.request("INVITE");
    let ours = field(&asked, "From").rsplit_once("tag=").expect("a tag").1;
    let expected = format!("{};to-tag=carol;from-tag={ours}", field(&asked, "Call-ID"));
    assert_eq!((field(&invite, "Replaces"), field(&invite, "Require")), (expected.as_str(), "replaces"));
    carol.answer(&invite, "180 Ringing", "");
    carol.answer(&invite, "200 OK", &session(Some(8000)));
    carol.request("ACK");
    carol.send(&asked, "BYE", "", "");
    carol.response(200);

    consulting.finish();
    called.finish();
    assert_eq!(call.server.await_outcome(&second), (200, "called".to_owned()));
    let json =
        call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    assert_eq!((&json["transfers"][0]["attended"], &json["phase"]), (&true.into(), &"up".into()), "{json:#}");
    call.hang_up_by_hand(calling, &mut carol);
}

#[test]
fn each_refer_has_its_own_subscription_which_the_phone_may_end() {
    let place = Place::new("refers-twice");
    let mut carol = ByHand::listen("carol", &place);
    let called = place.phone("called_refers_twice").key("target", carol.user()).start();
    let calling = place.phone("calling_moved").start();
    let call = call(place, &calling, &called);
    let first = carol.request("INVITE");
    carol.answer(&first, "486 Busy Here", "");
    carol.request("ACK");
    let second = carol.request("INVITE");
    called.saw("terminated;reason=timeout");
    carol.answer(&second, "200 OK", &session(Some(8000)));
    carol.request("ACK");
    called.finish();
    call.await_talk();
    call.hang_up_by_hand(calling, &mut carol);
}
