//! Transfers of a call that is up.

use super::*;

const TRANSFER: &str = "/callcontroller/alice/bob?action=Transfer&target=carol";
const CAROL: u32 = 3;

/// A call that is up, with the target called: the transaction of its INVITE.
fn transferring() -> (Kit<CallController>, u32) {
    let mut kit = up();
    let response = kit.http("POST", TRANSFER);
    assert_eq!((response.status, response.body.len()), (200, 0));
    let (leg, invite, sent) = called(&kit.take_effects());
    assert_eq!((leg, sent.target.as_str(), sent.body.len()), (CAROL, "sip:carol@example.com", 0));
    (kit, invite)
}

/// The target has answered: the transactions of its INVITE and of the re-INVITE of the called party.
fn answered_by_target() -> (Kit<CallController>, u32, u32, Vec<u8>) {
    let (mut kit, invite) = transferring();
    kit.respond(invite, 180, b"");
    kit.respond(invite, 200, &sdp("carol", 1, 8000));
    let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
    (kit, invite, reinvite, offer)
}

fn transfer_outcome(kit: &mut Kit<CallController>) -> plugboard_sdk::json::Value {
    report(kit)["transfers"][0]["outcome"]["code"].clone()
}

#[test]
fn the_target_takes_the_place_of_the_calling_party() {
    let (mut kit, invite, reinvite, offer) = answered_by_target();
    assert!(text(&offer).contains("m=audio 8000"));
    assert_eq!(origin(&offer).session, "alice 77", "the called phone sees the session that it knows");
    assert_eq!(origin(&offer).version, 3);
    assert!(kit.legs()[&ALICE].state == plugboard_sdk::testkit::LegState::Up, "the old call goes on");
    kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
    let effects = kit.take_effects();
    assert!(text(&acknowledged(&effects, invite).expect("acknowledged")).contains("m=audio 6000"));
    assert_eq!(acknowledged(&effects, reinvite), Some(Vec::new()));
    assert_eq!(released(&effects), [(ALICE, String::new())]);
    kit.settle();
    assert_eq!(transfer_outcome(&mut kit), 200);
    assert_eq!(report(&mut kit)["phase"], "up");

    kit.request(CAROL, "INFO", &[], b"");
    assert!(kit.take_effects().iter().any(|effect| matches!(effect, Effect::Request { leg: BOB, .. })));
    kit.request(BOB, "BYE", &[], b"");
    assert_eq!(released(&kit.take_effects())[0].0, CAROL);
    kit.settle();
    assert_over(&mut kit, 200, "called");
}

#[test]
fn a_target_that_refuses_leaves_the_call_as_it_was() {
    for code in [302, 404, 486, 603] {
        let (mut kit, invite) = transferring();
        kit.respond(invite, code, b"");
        assert!(released(&kit.take_effects()).is_empty());
        assert_eq!(transfer_outcome(&mut kit), code);
        assert_eq!(report(&mut kit)["phase"], "up");
        assert!(!kit.timers().contains_key("transfer"));
        assert_eq!(kit.http("POST", TRANSFER).status, 200, "it can be tried again");
    }
}

#[test]
fn a_target_that_does_not_answer_is_cancelled() {
    let mut kit = up();
    kit.http("POST", &format!("{TRANSFER}&timeout=15"));
    let (_, invite, _) = called(&kit.take_effects());
    kit.respond(invite, 180, b"");
    kit.advance(15_000);
    assert_eq!(released(&kit.take_effects())[0].0, CAROL);
    kit.settle();
    assert_eq!(transfer_outcome(&mut kit), 408);
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn requests_still_pass_between_the_old_phones_while_the_target_rings() {
    let (mut kit, _) = transferring();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
    kit.ack(asked, b"");
    assert_eq!(kit.answer_to(asked), Some(200));
}

#[test]
fn a_called_party_that_refuses_the_new_session_stays_with_the_old_call() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    kit.respond(reinvite, 488, b"");
    assert_eq!(released(&kit.take_effects()), [(CAROL, "SIP;cause=488;text=\"Not Acceptable Here\"".to_string())]);
    kit.settle();
    assert_eq!(transfer_outcome(&mut kit), 488);
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_called_party_that_is_gone_ends_the_call() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    kit.respond(reinvite, 481, b"");
    kit.settle();
    assert_over(&mut kit, 481, "called");
}

#[test]
fn the_old_session_is_restored_when_the_target_is_lost_on_the_way() {
    let (mut kit, _, reinvite, moved) = answered_by_target();
    kit.request(CAROL, "BYE", &[], b"");
    assert!(kit.take_effects().contains(&Effect::Cancel { transaction: reinvite }));
    kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
    let effects = kit.take_effects();
    assert!(acknowledged(&effects, reinvite).is_some());
    let (ask, _, body) = requested(&effects, "INVITE");
    assert!(body.is_empty(), "the calling party is asked for its session");
    kit.respond(ask, 200, &sdp("alice", 3, 4000));
    let (back, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert!(text(&offer).contains("m=audio 4000"));
    assert_eq!(origin(&offer).version, origin(&moved).version + 1);
    kit.respond(back, 200, &sdp("bob", 7, 6000));
    let effects = kit.take_effects();
    assert!(text(&acknowledged(&effects, ask).expect("acknowledged")).contains("m=audio 6000"));
    assert_eq!(transfer_outcome(&mut kit), 487);
    assert_eq!(report(&mut kit)["phase"], "up");
    assert!(kit.timers().keys().all(|name| name == "phase"), "{:?}", kit.timers());
}

#[test]
fn nothing_is_restored_when_the_called_party_did_not_move() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    kit.request(CAROL, "BYE", &[], b"");
    kit.respond(reinvite, 487, b"");
    assert_eq!(report(&mut kit)["phase"], "up");
    assert!(kit.open_requests().is_empty());
}

#[test]
fn a_re_invite_of_the_called_party_that_meets_its_own_is_retried() {
    let (mut kit, invite, reinvite, _) = answered_by_target();
    let crossing = kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    assert_eq!(kit.answer_to(crossing), Some(491));
    kit.respond(reinvite, 491, b"");
    let served = kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &sdp("alice", 3, 4000));
    assert_eq!(kit.answer_to(served), Some(200));
    kit.ack(served, b"");
    kit.take_effects();
    kit.advance(4000);
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
    assert!(acknowledged(&kit.take_effects(), invite).is_some());
    assert_eq!(transfer_outcome(&mut kit), 200);
}

#[test]
fn a_target_that_answers_during_a_re_invite_waits_for_it() {
    let (mut kit, invite) = transferring();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(invite, 200, &sdp("carol", 1, 8000));
    assert!(!kit.take_effects().iter().any(|effect| matches!(effect, Effect::Request { .. })));
    kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
    kit.ack(asked, b"");
    kit.take_effects();
    kit.advance(4000);
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
    assert_eq!(transfer_outcome(&mut kit), 200);
}

#[test]
fn a_hang_up_of_an_old_phone_ends_everything() {
    for leg in [ALICE, BOB] {
        let (mut kit, _) = transferring();
        kit.request(leg, "BYE", &[], b"");
        assert_eq!(released(&kit.take_effects()).len(), 2);
        kit.settle();
        assert_over(&mut kit, 200, if leg == BOB { "called" } else { "calling" });
        assert_eq!(transfer_outcome(&mut kit), 487);
    }
}

#[test]
fn a_delete_ends_all_three() {
    let (mut kit, ..) = answered_by_target();
    assert_eq!(kit.http("DELETE", CALL).status, 200);
    assert_eq!(released(&kit.take_effects()).len(), 3);
    kit.settle();
    assert_over(&mut kit, 200, "request");
}

#[test]
fn a_transfer_wants_an_invite_mode_call_that_is_up_and_not_being_transferred() {
    let (mut kit, _) = transferring();
    assert_eq!(kit.http("POST", TRANSFER).status, 409);
    let mut kit = super::kit();
    kit.http("POST", INVITE_CALL);
    assert_eq!(kit.http("POST", TRANSFER).status, 409, "not up yet");
    let mut kit = super::kit();
    kit.http("POST", CALL);
    assert_eq!(kit.http("POST", TRANSFER).status, 409, "REFER mode");
    let mut kit = up();
    kit.http("DELETE", CALL);
    assert_eq!(kit.http("POST", TRANSFER).status, 404, "over");
    kit.settle();
    assert_over(&mut kit, 200, "request");
}

#[test]
fn transfers_of_one_call_are_bounded() {
    let mut kit = up();
    for _ in 2..crate::record::LEGS_MAX {
        assert_eq!(kit.http("POST", TRANSFER).status, 200);
        let (_, invite, _) = called(&kit.take_effects());
        kit.respond(invite, 486, b"");
    }
    assert_eq!(kit.http("POST", TRANSFER).status, 409);
}

#[test]
fn a_transferred_call_can_be_transferred_again() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
    kit.settle();
    kit.http("POST", "/callcontroller/alice/bob?action=transfer&target=dora@example.net");
    let (dora, invite, sent) = called(&kit.take_effects());
    assert_eq!(sent.target, "sip:dora@example.net");
    kit.respond(invite, 200, &sdp("dora", 1, 9000));
    let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(origin(&offer).version, 4);
    kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
    assert_eq!(released(&kit.take_effects())[0].0, CAROL);
    kit.settle();
    kit.request(dora, "BYE", &[], b"");
    kit.settle();
    assert_over(&mut kit, 200, "calling");
}

#[test]
fn what_waits_for_the_calling_party_is_answered_when_it_is_released() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    let asked = kit.request(BOB, "INFO", &[], b"");
    kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
    assert_eq!(kit.answer_to(asked), Some(487));
}

#[test]
fn a_target_that_answered_does_not_wait_for_its_ack_as_long_as_it_may_ring() {
    let (kit, ..) = answered_by_target();
    assert_eq!(kit.timers()["transfer"] - kit.now(), crate::join::JOIN_MS);
}

#[test]
fn a_called_party_that_moved_without_describing_itself_is_brought_back() {
    let (mut kit, _, reinvite, _) = answered_by_target();
    kit.respond(reinvite, 200, b"");
    let effects = kit.take_effects();
    assert_eq!(released(&effects)[0].0, CAROL);
    assert!(requested(&effects, "INVITE").2.is_empty(), "the calling party is asked for its session");
    assert_eq!(transfer_outcome(&mut kit), 488);
}
