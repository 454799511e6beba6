//! REFER mode against sipp: what reaches the phone is asserted by the scenario, what GET says here.

use std::time::Duration;

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::sipp::Phone;

const CALL: &str = "/callcontroller/alice/bob";

/// A server whose only proxy is a phone with this scenario.
fn start(name: &str) -> (Place, Phone, Server) {
    let place = Place::new(name);
    let phone = place.phone(name).start();
    let server = Server::start(&place, &[Domain::example().proxy(phone.address())]);
    (place, phone, server)
}

#[test]
fn answered_with_notifications() {
    let (_place, phone, server) = start("refer_answered");
    server.place_call(&format!("{CALL}?subject=About%20lunch&confpin=99%261"));
    phone.saw("NOTIFY sip:");
    let messages = phone.messages();
    phone.finish();
    for expected in [
        "INVITE sip:alice@example.test SIP/2.0",
        "From: \"Alice\" <sip:alice@example.test>;tag=",
        "Subject: About lunch",
        "Refer-To: <sip:bob@example.test?X-ConfPin=99%261>",
        "Referred-By: \"Alice\" <sip:alice@example.test>",
    ] {
        assert!(messages.contains(expected), "no {expected:?} in\n{messages}");
    }
    server.await_lines(
        CALL,
        &[
            "INVITE SIP/2.0 180 Ringing",
            "INVITE SIP/2.0 200 OK",
            "REFER SIP/2.0 202 Accepted",
            "NOTIFY SIP/2.0 100 Trying",
            "NOTIFY SIP/2.0 180 Ringing",
        ],
    );
    assert_eq!(server.await_outcome(CALL), (202, "handed-over".to_owned()));
    server.await_end(CALL);
}

#[test]
fn answered_by_the_called_party_at_once() {
    let (_place, phone, server) = start("refer_finished");
    server.place_call(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL), (200, "handed-over".to_owned()));
}

#[test]
fn called_party_is_busy() {
    let (_place, phone, server) = start("refer_busy");
    server.place_call(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL).0, 486);
}

#[test]
fn refer_is_refused() {
    let (_place, phone, server) = start("refer_refused");
    server.place_call(CALL);
    phone.finish();
    server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing", "INVITE SIP/2.0 200 OK", "REFER SIP/2.0 603 Decline"]);
    assert_eq!(server.await_outcome(CALL), (603, "calling".to_owned()));
    server.await_end(CALL);
}

#[test]
fn phone_is_busy() {
    let (_place, phone, server) = start("busy");
    server.place_call(CALL);
    phone.finish();
    server.await_lines(CALL, &["INVITE SIP/2.0 100 Trying", "INVITE SIP/2.0 486 Busy Here"]);
    assert_eq!(server.await_outcome(CALL), (486, "calling".to_owned()));
    server.await_end(CALL);
}

#[test]
fn phone_is_not_answered() {
    let (_place, phone, server) = start("no_answer");
    server.place_call(&format!("{CALL}?timeout=1"));
    phone.finish();
    server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing", "INVITE SIP/2.0 487 Request Terminated"]);
    assert_eq!(server.await_outcome(CALL), (408, "timeout".to_owned()));
    server.await_end(CALL);
}

#[test]
fn deleted_while_it_rings() {
    let (_place, phone, server) = start("no_answer");
    server.place_call(CALL);
    phone.saw("SIP/2.0 180 Ringing");
    server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing"]);
    server.hang_up(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL), (487, "request".to_owned()));
    server.await_end(CALL);
}

#[test]
fn deleted_while_it_is_referred() {
    let (_place, phone, server) = start("refer_pending");
    server.place_call(CALL);
    phone.saw("SIP/2.0 100 Trying");
    server.await_json(CALL, "the NOTIFY", |json| json["lines"].to_string().contains("NOTIFY"));
    server.hang_up(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL).1, "request");
    server.await_end(CALL);
}

#[test]
fn answer_crosses_the_cancel() {
    let (_place, phone, server) = start("answer_crosses_cancel");
    server.place_call(CALL);
    phone.saw("SIP/2.0 180 Ringing");
    server.await_lines(CALL, &["INVITE SIP/2.0 180 Ringing"]);
    server.hang_up(CALL);
    phone.finish();
    assert_eq!(server.await_outcome(CALL), (487, "request".to_owned()));
    server.await_end(CALL);
}

#[test]
fn redirection_is_the_end_unless_it_is_allowed() {
    let place = Place::new("redirect");
    let phone = place.phone("redirect").key("contact", "sip:alice@127.0.0.1:9").start();
    let server = Server::start(&place, &[Domain::example().proxy(phone.address())]);
    server.place_call(CALL);
    phone.finish();
    server.await_lines(CALL, &["INVITE SIP/2.0 302 Moved Temporarily"]);
    assert_eq!(server.await_outcome(CALL), (302, "calling".to_owned()));
}

#[test]
fn redirection_is_followed_when_it_is_allowed() {
    let place = Place::new("redirect-allowed");
    let other = place.phone("refer_answered").start();
    let first = place.phone("redirect").key("contact", format!("sip:{}", other.user("alice"))).start();
    let server = Server::start(&place, &[Domain::example()]);
    let call = format!("/callcontroller/{}/bob?agent=alice", first.user("alice"));
    server.place_call(&format!("{call}&isForwardingAllowed=true"));
    first.finish();
    other.finish();
    server.await_lines(
        &call,
        &[
            "INVITE SIP/2.0 302 Moved Temporarily",
            "INVITE SIP/2.0 180 Ringing",
            "INVITE SIP/2.0 200 OK",
            "REFER SIP/2.0 202 Accepted",
            "NOTIFY SIP/2.0 100 Trying",
            "NOTIFY SIP/2.0 180 Ringing",
        ],
    );
    assert_eq!(server.await_outcome(&call).1, "handed-over");
}

#[test]
fn challenges_are_answered_on_invite_and_refer() {
    let (_place, phone, server) = start("refer_challenged");
    server.place_call(CALL);
    phone.finish();
    server.await_lines(
        CALL,
        &[
            "INVITE SIP/2.0 401 Unauthorized",
            "INVITE SIP/2.0 200 OK",
            "REFER SIP/2.0 401 Unauthorized",
            "REFER SIP/2.0 202 Accepted",
            "NOTIFY SIP/2.0 200 OK",
        ],
    );
}

#[test]
fn wrong_password_is_tried_once() {
    let (_place, phone, server) = start("wrong_password");
    server.place_call(CALL);
    phone.finish();
    server.await_lines(
        CALL,
        &[
            "INVITE SIP/2.0 100 Trying",
            "INVITE SIP/2.0 407 Proxy Authentication Required",
            "INVITE SIP/2.0 100 Trying",
            "INVITE SIP/2.0 407 Proxy Authentication Required",
        ],
    );
    assert_eq!(server.await_outcome(CALL), (407, "calling".to_owned()));
    server.await_end(CALL);
}

#[test]
fn phone_that_never_notifies_is_hung_up_on() {
    let (_place, phone, server) = start("refer_silent");
    server.place_call(CALL);
    phone.finish_within(Duration::from_secs(45));
    assert_eq!(server.await_outcome(CALL), (408, "timeout".to_owned()));
    server.await_end(CALL);
}

#[test]
fn record_goes_when_its_time_is_over() {
    let (_place, phone, server) = start("busy");
    server.place_call(&format!("{CALL}?resultCacheTime=1"));
    phone.finish();
    server.await_lines(CALL, &[]);
}
