//! Phones that take the place of one that talks (RFC 3891).

use super::*;
use plugboard_sdk::testkit::LegState;

#[test]
fn a_phone_takes_the_place_of_another() {
    for (replaced, other, by) in [(ALICE, BOB, "calling"), (BOB, ALICE, "called")] {
        let mut kit = up();
        kit.take_effects();
        let (leg, invite) = kit.replace(replaced, "sip:carol@example.com", &sdp("carol", 1, 8000));
        let (reinvite, headers, offer) = requested(&kit.take_effects(), "INVITE");
        assert!(text(&offer).contains("m=audio 8000"));
        assert_eq!(plugboard_sdk::headers::find(&headers, "Replaces"), None, "that was for us");
        assert_eq!(plugboard_sdk::headers::find(&headers, "Require"), None);
        kit.respond(reinvite, 200, &sdp("other", 2, 4000));
        let effects = kit.take_effects();
        let (status, _, body) = answered(&effects, invite).expect("answered");
        assert_eq!((status, text(&body).contains("m=audio 4000")), (200, true));
        assert_eq!(released(&effects), [(replaced, String::new())]);
        kit.ack(invite, b"");
        assert!(acknowledged(&kit.take_effects(), reinvite).is_some());
        kit.settle();
        assert_eq!(report(&mut kit)["phase"], "up");
        assert_eq!(report(&mut kit)["legs"][2]["party"], "sip:carol@example.com");

        kit.request(other, "INFO", &[], b"");
        assert!(
            kit.take_effects().iter().any(|effect| matches!(effect, Effect::Request { leg: to, .. } if *to == leg))
        );
        kit.request(leg, "BYE", &[], b"");
        assert_eq!(released(&kit.take_effects())[0].0, other);
        kit.settle();
        assert_over(&mut kit, 200, by);
    }
}

#[test]
fn a_session_that_the_other_phone_refuses_changes_nothing() {
    let mut kit = up();
    kit.take_effects();
    let (_, invite) = kit.replace(ALICE, "sip:carol@example.com", &sdp("carol", 1, 8000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 488, b"");
    assert_eq!(kit.answer_to(invite), Some(488));
    assert!(released(&kit.take_effects()).is_empty());
    assert_eq!(report(&mut kit)["legs"][2]["outcome"]["code"], 488);
    kit.request(ALICE, "INFO", &[], b"");
    assert!(kit.take_effects().iter().any(|effect| matches!(effect, Effect::Request { leg: BOB, .. })));
}

#[test]
fn nobody_is_replaced_while_something_else_is_going_on() {
    let mut kit = up();
    kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    let (_, invite) = kit.replace(ALICE, "sip:carol@example.com", &sdp("carol", 1, 8000));
    assert_eq!(kit.answer_to(invite), Some(491));
    let mut kit = up();
    kit.http("POST", &format!("{CALL}?action=transfer&target=carol"));
    let (_, invite) = kit.replace(BOB, "sip:carol@example.com", &sdp("carol", 1, 8000));
    assert_eq!(kit.answer_to(invite), Some(491));
}

#[test]
fn the_call_may_end_meanwhile() {
    let mut kit = up();
    let (_, invite) = kit.replace(ALICE, "sip:carol@example.com", &sdp("carol", 1, 8000));
    kit.http("DELETE", CALL);
    assert_eq!(kit.answer_to(invite), Some(487));
    kit.settle();
    kit.advance(crate::call::LINGER_MS);
    assert_over(&mut kit, 200, "request");
}

#[test]
fn a_newcomer_that_gives_up_while_it_is_accepted_changes_nothing() {
    for (body, answer) in [(sdp("carol", 1, 8000), None), (Vec::new(), Some("a=inactive"))] {
        let mut kit = up();
        kit.take_effects();
        let (leg, invite) = kit.replace(ALICE, "sip:carol@example.com", &body);
        let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
        kit.cancel(invite);
        assert!(kit.take_effects().contains(&Effect::Cancel { transaction: reinvite }));
        kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
        let effects = kit.take_effects();
        let acknowledged = acknowledged(&effects, reinvite).expect("bob is acknowledged");
        assert_eq!(answer.map(|answer| text(&acknowledged).contains(answer)), answer.map(|_| true));
        assert_eq!(acknowledged.is_empty(), answer.is_none());
        // Bob has a session with carol, and gets alice's back.
        let (offer, ..) = requested(&effects, "INVITE");
        assert_eq!(kit.leg_of(offer), Some(ALICE));
        kit.respond(offer, 200, &sdp("alice", 3, 4000));
        let (back, _, offered) = requested(&kit.take_effects(), "INVITE");
        assert_eq!((kit.leg_of(back), text(&offered).contains("m=audio 4000")), (Some(BOB), true));
        kit.respond(back, 200, &sdp("bob", 7, 6000));
        kit.settle();
        let report = report(&mut kit);
        assert_eq!((&report["phase"], &report["legs"][2]["outcome"]["code"]), (&"up".into(), &487.into()), "{report}");
        assert_eq!(kit.legs()[&leg].state, LegState::Over);
        assert_eq!([ALICE, BOB].map(|leg| kit.legs()[&leg].state), [LegState::Up, LegState::Up]);
    }
}

#[test]
fn a_newcomer_that_gives_up_in_time_changes_nothing() {
    let mut kit = up();
    let (_, invite) = kit.replace(ALICE, "sip:carol@example.com", &sdp("carol", 1, 8000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.cancel(invite);
    kit.respond(reinvite, 487, b"");
    assert!(released(&kit.take_effects()).is_empty());
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn nobody_is_transferred_while_a_newcomer_waits() {
    let mut kit = up();
    let (_, invite) = kit.replace(ALICE, "sip:carol@example.com", &sdp("carol", 1, 8000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(kit.http("POST", &format!("{CALL}?action=transfer&target=carol")).status, 409);
    let refer = kit.request(BOB, "REFER", &[("Refer-To", "<sip:carol@example.com>")], b"");
    assert_eq!(kit.answer_to(refer), Some(491));
    kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
    assert_eq!(kit.answer_to(invite), Some(200));
    let refer = kit.request(BOB, "REFER", &[("Refer-To", "<sip:carol@example.com>")], b"");
    assert_eq!(kit.answer_to(refer), Some(202));
}
