//! What phones send inside an INVITE-mode call, and what happens when two of them speak at once.

use std::time::Duration;

use plugboard_tests::place::Place;

use crate::invite::Call;

#[test]
fn requests_reach_the_other_side_and_their_answers_come_back() {
    let place = Place::new("inside");
    let (calling, called) = (place.phone("calling_busy_hands").start(), place.phone("called_busy_hands").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(200, "calling");
}

#[test]
fn crossing_offers_get_491_and_the_later_try_succeeds() {
    let place = Place::new("crossing");
    let (calling, called) = (place.phone("calling_crosses").start(), place.phone("called_crosses").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(200, "calling");
}

#[test]
fn offer_refused_with_491_is_tried_again_after_its_time() {
    let place = Place::new("not-now");
    let (calling, called) = (place.phone("calling_not_now").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish_within(Duration::from_secs(20));
    called.finish();
    call.ended(200, "request");
}
