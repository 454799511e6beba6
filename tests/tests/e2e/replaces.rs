//! Phones that take the place of another one in an INVITE-mode call, by an INVITE with Replaces (RFC 3891), against sipp.

use std::net::{SocketAddr, UdpSocket};

use plugboard_tests::place::Place;

use crate::invite::Call;

#[test]
fn a_phone_takes_the_place_of_the_calling_one_and_the_call_goes_on() {
    let place = Place::new("replaces");
    let (calling, called) = (place.phone("calling").start(), place.phone("transferred").start());
    let carol = place.port();
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let carol = call.place.phone("takes_over").at(carol).key("replaces", calling.replaces());
    let carol = carol.toward(call.server.sip).start();
    calling.finish();
    let json = call.server.await_json(&call.path, "the third leg", |json| json["legs"][2]["state"] == "up");
    assert_eq!((&json["phase"], &json["legs"][0]["state"]), (&"up".into(), &"over".into()), "{json:#}");
    call.server.hang_up(&call.path);
    carol.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn to_a_stranger_the_call_does_not_exist() {
    let place = Place::new("replaces-stranger");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let dialog = called.replaces();
    // Where the call has called nobody; and a dialog that is not there.
    let elsewhere = UdpSocket::bind("127.0.0.2:0").and_then(|socket| socket.local_addr()).expect("a free port");
    for (from, replaces) in [(elsewhere, dialog.clone()), (call.place.port(), dialog.replace(";to-tag=", ";to-tag=x"))]
    {
        refused(&call, from, &replaces);
    }
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

fn refused(call: &Call, from: SocketAddr, replaces: &str) {
    let phone = call.place.phone("takes_over_refused").at(from).key("replaces", replaces);
    phone.toward(call.server.sip).start().finish();
}
