//! Phones that cannot do what they are asked first, and what the calling party hears while the other one rings.

use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};

use crate::invite::Call;

#[test]
fn a_phone_that_knows_no_refer_gets_the_call_in_invite_mode() {
    let place = Place::new("no-refer");
    let (calling, called) = (place.phone("refer_not_known").start(), place.phone("called").start());
    let domain = Domain::example().set("settings", "{ refer_fallback = \"invite\" }");
    let server = Server::start(&place, &[domain]);
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&path);
    let call = Call { place, server, path };
    call.await_talk();
    let json = call.server.json(&call.path);
    assert_eq!((&json["mode"], &json["fallbacks"][0]["to"]), (&"INVITE".into(), &"invite-mode".into()), "{json:#}");
    let lines = call.server.lines(&call.path);
    assert!(lines.iter().any(|line| line.status_line == "SIP/2.0 405 Method Not Allowed"), "{lines:?}");
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn a_phone_that_wants_media_in_an_offer_gets_some_on_hold() {
    let place = Place::new("wants-media");
    let (calling, called) = (place.phone("calling_wants_media").calls(2).start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let json = call.server.json(&call.path);
    let fallback = &json["fallbacks"][0];
    assert_eq!((&fallback["to"], &fallback["because"]["code"]), (&"offer-on-hold".into(), &488.into()), "{json:#}");
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

/// A server whose calls have early media.
fn early(place: &Place) -> Server {
    Server::start(place, &[Domain::example().set("settings", "{ early_media = true }")])
}

#[test]
fn the_calling_party_hears_what_the_called_one_plays_before_it_answers() {
    let place = Place::new("early");
    let (calling, called) = (place.phone("calling_offers").start(), place.phone("called_plays").start());
    let call = Call::start_at(early(&place), place, &calling, &called);
    calling.saw("m=audio 7000");
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn busy_after_early_media_ends_the_calling_party_with_the_reason() {
    let place = Place::new("early-busy");
    let (calling, called) = (place.phone("calling_offers").start(), place.phone("called_plays_busy").start());
    let call = Call::start_at(early(&place), place, &calling, &called);
    calling.saw("Reason: SIP;cause=486");
    calling.finish();
    called.finish();
    call.ended(486, "called");
}

#[test]
fn an_update_reaches_a_phone_that_knows_none_as_a_re_invite() {
    let place = Place::new("update");
    let (calling, called) = (place.phone("calling_moved").start(), place.phone("called_updates").start());
    let call = Call::start(place, &calling, &called);
    called.saw("UPDATE");
    calling.saw("m=audio 8000");
    call.await_talk();
    called.saw("1 UPDATE");
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}
