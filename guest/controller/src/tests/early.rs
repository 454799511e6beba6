//! INVITE mode where the operator wants early media.

use super::*;
use plugboard_sdk::sdp::{Direction, media};

/// A call whose calling phone has answered with an offer of its own: the INVITE of the called one.
fn ringing() -> (Kit<CallController>, u32) {
    let mut kit = kit();
    kit.setting("early_media", "true");
    assert_eq!(kit.http("POST", INVITE_CALL).status, 200);
    let (_, alice, invite) = called(&kit.take_effects());
    assert!(invite.body.is_empty(), "the phone makes the first offer");
    kit.respond(alice, 200, &sdp("alice", 1, 4000));
    let effects = kit.take_effects();
    let held = media(&acknowledged(&effects, alice).expect("acknowledged"));
    assert_eq!((held.len(), held[0].direction), (1, Direction::Inactive));
    let (leg, bob, invite) = called(&effects);
    assert_eq!((leg, invite.body), (BOB, sdp("alice", 1, 4000)));
    (kit, bob)
}

/// The called phone plays something: the re-INVITE of the calling one.
fn playing() -> (Kit<CallController>, u32, u32) {
    let (mut kit, bob) = ringing();
    kit.respond(bob, 180, b"");
    assert!(kit.take_effects().is_empty(), "nothing to be heard yet");
    kit.respond(bob, 183, &sdp("bob", 5, 6000));
    let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert!(text(&offer).contains("m=audio 6000"));
    (kit, bob, reinvite)
}

#[test]
fn the_calling_phone_hears_what_the_called_one_plays_before_it_answers() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    assert_eq!(acknowledged(&kit.take_effects(), reinvite), Some(Vec::new()));
    assert_eq!(report(&mut kit)["phase"], "called");
    kit.take_effects();
    kit.respond(bob, 183, &sdp("bob", 5, 6000));
    assert!(kit.take_effects().is_empty(), "it knows");
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let effects = kit.take_effects();
    assert_eq!(acknowledged(&effects, bob), Some(Vec::new()));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Request { .. })), "both know all");
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn an_answer_may_come_in_the_provisional_response_alone() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    kit.respond(bob, 200, b"");
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn without_early_media_the_calling_phone_is_told_when_the_called_one_answers() {
    let (mut kit, bob) = ringing();
    kit.respond(bob, 180, b"");
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let effects = kit.take_effects();
    assert_eq!(acknowledged(&effects, bob), Some(Vec::new()), "nothing holds the ACK up");
    let (reinvite, ..) = requested(&effects, "INVITE");
    assert_eq!(report(&mut kit)["phase"], "joining");
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn another_fork_that_answers_is_what_the_calling_phone_gets() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(bob, 200, &sdp("bobs-other-phone", 1, 6100));
    let answered_first = kit.take_effects();
    assert!(acknowledged(&answered_first, bob).is_some());
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    let (again, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert!(text(&offer).contains("m=audio 6100"));
    kit.respond(again, 200, &sdp("alice", 3, 4000));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_phone_that_moves_its_media_is_brought_together_with_the_other_anew() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 200, &sdp("alice", 2, 4400));
    kit.respond(bob, 200, b"");
    let effects = kit.take_effects();
    let asked = effects.iter().find_map(|effect| match effect {
        Effect::Request { leg: ALICE, transaction, method, body, .. } if method == "INVITE" => {
            Some((*transaction, body.is_empty()))
        }
        _ => None,
    });
    let (asked, true) = asked.expect("alice is asked for an offer") else { panic!("without one of ours") };
    kit.respond(asked, 200, &sdp("alice", 3, 4400));
    let (told, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert!(text(&offer).contains("m=audio 4400"));
    kit.respond(told, 200, &sdp("bob", 6, 6000));
    assert!(text(&acknowledged(&kit.take_effects(), asked).expect("acknowledged")).contains("m=audio 6000"));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_calling_phone_that_refuses_early_media_is_asked_again_when_the_other_answers() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 488, b"");
    kit.respond(bob, 183, &sdp("bob", 5, 6000));
    assert!(kit.take_effects().is_empty(), "not while it rings");
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let (again, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(again, 200, &sdp("alice", 2, 4000));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_re_invite_that_meets_another_is_tried_again() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 491, b"");
    kit.advance(4_000);
    let (again, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(again, 200, &sdp("alice", 2, 4000));
    kit.respond(bob, 200, b"");
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn busy_after_early_media_reaches_the_calling_phone_as_a_reason() {
    let (mut kit, bob, reinvite) = playing();
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    kit.take_effects();
    kit.respond(bob, 486, b"");
    assert_eq!(released(&kit.take_effects()), [(ALICE, "SIP;cause=486;text=\"Busy Here\"".to_string())]);
    kit.settle();
    assert_over(&mut kit, 486, "called");
}

#[test]
fn the_calling_phone_may_hold_and_hang_up_meanwhile() {
    let (mut kit, bob, reinvite) = playing();
    let crossing = kit.request(ALICE, "INVITE", &[], &sdp("alice", 2, 4000));
    assert_eq!(kit.answer_to(crossing), Some(491));
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    let hold = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    assert_eq!(kit.answer_to(hold), Some(200));
    kit.ack(hold, b"");
    kit.take_effects();
    kit.respond(bob, 200, b"");
    let (_, _, body) = requested(&kit.take_effects(), "INVITE");
    assert!(body.is_empty(), "what alice was told meanwhile is mended");
    kit.request(ALICE, "BYE", &[], b"");
    kit.settle();
    assert_over(&mut kit, 200, "calling");
}

#[test]
fn a_phone_that_makes_no_offer_gets_the_usual_flow() {
    for (status, body) in [(488, None), (400, None), (200, Some(b""))] {
        let mut kit = kit();
        kit.setting("early_media", "true");
        kit.http("POST", INVITE_CALL);
        let (_, alice, _) = called(&kit.take_effects());
        kit.respond(alice, status, body.unwrap_or(b""));
        if status != 200 {
            let (_, alice, invite) = called(&kit.take_effects());
            assert!(!invite.body.is_empty());
            kit.respond(alice, 200, &sdp("alice", 1, 0));
            assert_eq!(report(&mut kit)["fallbacks"][0]["to"], "offer-without-media");
        }
        let (_, bob, invite) = called(&kit.take_effects());
        assert!(invite.body.is_empty());
        kit.respond(bob, 200, &sdp("bob", 5, 6000));
        let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
        kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
        assert_eq!(report(&mut kit)["phase"], "up");
    }
}

#[test]
fn nobody_rings_for_ever() {
    let (mut kit, bob) = ringing();
    kit.advance(180_000);
    kit.settle();
    assert_over(&mut kit, 408, "timeout");
    let (mut kit, again) = ringing();
    kit.respond(again, 200, &sdp("bob", 5, 6000));
    kit.advance(crate::join::JOIN_MS);
    kit.settle();
    kit.advance(crate::call::LINGER_MS);
    assert_over(&mut kit, 408, "timeout");
    assert_ne!(bob, 0);
}
