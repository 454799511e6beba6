//! INVITE mode until both phones talk, and how it ends.

use super::*;
use plugboard_sdk::sdp::media_count;

#[test]
fn flow_iv_joins_two_phones_and_each_sees_its_own_session() {
    let mut kit = kit();
    assert_eq!(kit.http("POST", INVITE_CALL).status, 200);
    let (_, alice, invite) = called(&kit.take_effects());
    assert_eq!(media_count(&invite.body), 0, "the first offer has no media");
    let first = origin(&invite.body);
    kit.respond(alice, 180, b"");
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let effects = kit.take_effects();
    assert_eq!(acknowledged(&effects, alice), Some(Vec::new()));
    let (_, bob, invite) = called(&effects);
    assert_eq!((invite.target.as_str(), invite.body.len()), ("sip:bob@example.com", 0));

    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let effects = kit.take_effects();
    assert_eq!(acknowledged(&effects, bob), None, "the ACK waits for the answer");
    let (reinvite, headers, offer) = requested(&effects, "INVITE");
    assert_eq!(plugboard_sdk::headers::find(&headers, "Content-Type"), Some("application/sdp"));
    assert!(text(&offer).contains("m=audio 6000"));
    assert_eq!(origin(&offer), plugboard_sdk::sdp::Origin { version: first.version + 1, ..first });

    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    let effects = kit.take_effects();
    assert_eq!(acknowledged(&effects, reinvite), Some(Vec::new()));
    assert_eq!(acknowledged(&effects, bob), Some(sdp("alice", 2, 4000)));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_called_party_that_refuses_ends_the_calling_party_with_the_reason() {
    for (code, reason) in [(486, "Busy Here"), (603, "Decline"), (404, "Not Found")] {
        let mut kit = kit();
        kit.http("POST", INVITE_CALL);
        let (_, alice, _) = called(&kit.take_effects());
        kit.respond(alice, 200, &sdp("alice", 1, 0));
        let (_, bob, _) = called(&kit.take_effects());
        kit.respond(bob, code, b"");
        assert_eq!(released(&kit.take_effects()), [(ALICE, format!("SIP;cause={code};text=\"{reason}\""))]);
        kit.settle();
        assert_over(&mut kit, code, "called");
    }
}

#[test]
fn the_called_party_does_not_ring_for_ever() {
    let mut kit = kit();
    kit.http("POST", &format!("{INVITE_CALL}&timeout=20"));
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 180, b"");
    kit.advance(20_000);
    let legs: Vec<u32> = released(&kit.take_effects()).into_iter().map(|(leg, _)| leg).collect();
    assert_eq!(legs, [ALICE, BOB]);
    kit.settle();
    assert_over(&mut kit, 408, "timeout");
}

#[test]
fn an_offer_or_answer_without_description_is_not_acceptable() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 200, b"");
    kit.settle();
    assert_over(&mut kit, 488, "calling");
}

#[test]
fn a_refused_re_invite_ends_both_legs() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 488, b"");
    assert_eq!(released(&kit.take_effects()).len(), 2);
    kit.settle();
    assert_over(&mut kit, 488, "calling");
}

#[test]
fn a_challenged_re_invite_is_authorized() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 407, b"");
    let Some(Effect::AnswerChallenge { transaction, .. }) = kit.take_effects().pop() else { panic!("answered") };
    kit.respond(transaction, 200, &sdp("alice", 2, 4000));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_re_invite_that_meets_another_is_retried_and_the_phone_served_meanwhile() {
    for seed in 0..20 {
        let mut kit = seeded(seed);
        kit.http("POST", INVITE_CALL);
        let (_, alice, _) = called(&kit.take_effects());
        kit.respond(alice, 200, &sdp("alice", 1, 0));
        let (_, bob, _) = called(&kit.take_effects());
        kit.respond(bob, 200, &sdp("bob", 5, 6000));
        let (reinvite, _, first) = requested(&kit.take_effects(), "INVITE");
        let crossing = kit.request(ALICE, "INVITE", &[], &sdp("alice", 2, 4000));
        assert_eq!(kit.answer_to(crossing), Some(491));
        kit.respond(reinvite, 491, b"");
        let wait = kit.timers()["retry"] - kit.now();
        assert!((2100..=4000).contains(&wait) && wait.is_multiple_of(10), "{wait}");
        let again = kit.request(ALICE, "INVITE", &[], &sdp("alice", 2, 4000));
        assert_eq!(kit.answer_to(again), Some(200));
        kit.ack(again, b"");
        kit.take_effects();
        kit.advance(wait);
        let (reinvite, _, second) = requested(&kit.take_effects(), "INVITE");
        assert_eq!(origin(&second).version, origin(&first).version + 2, "a held answer lay between");
        kit.respond(reinvite, 200, &sdp("alice", 3, 4000));
        assert_eq!(report(&mut kit)["phase"], "up");
    }
}

#[test]
fn a_re_invite_that_always_meets_another_is_given_up() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    for _ in 0..=crate::join::TRIES_MAX {
        let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
        kit.respond(reinvite, 491, b"");
        kit.advance(4000);
    }
    kit.settle();
    assert_over(&mut kit, 491, "calling");
}

#[test]
fn either_phone_may_hang_up_before_they_are_joined() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    kit.take_effects();
    kit.request(ALICE, "BYE", &[], b"");
    assert_eq!(released(&kit.take_effects())[0].0, BOB, "the called phone is cancelled");
    kit.settle();
    assert_over(&mut kit, 487, "calling");
}

#[test]
fn a_bye_of_either_phone_ends_the_other_leg() {
    for (leg, other, ended_by) in [(ALICE, BOB, "calling"), (BOB, ALICE, "called")] {
        let mut kit = up();
        let bye = kit.request(leg, "BYE", &[("Reason", "Q.850;cause=16")], b"");
        assert_eq!(kit.answer_to(bye), Some(200));
        assert_eq!(released(&kit.take_effects()), [(other, "Q.850;cause=16".to_string())]);
        kit.settle();
        assert_over(&mut kit, 200, ended_by);
    }
}

#[test]
fn byes_that_cross_end_the_call_once() {
    let mut kit = up();
    kit.request(ALICE, "BYE", &[], b"");
    let crossing = kit.request(BOB, "BYE", &[], b"");
    assert_eq!(kit.answer_to(crossing), Some(200));
    assert_over(&mut kit, 200, "calling");
}

#[test]
fn a_delete_ends_a_call_that_is_up() {
    let mut kit = up();
    assert_eq!(kit.http("DELETE", CALL).status, 200);
    assert_eq!(released(&kit.take_effects()).len(), 2);
    kit.settle();
    assert_over(&mut kit, 200, "request");
}

#[test]
fn a_second_call_is_refused_while_one_is_up() {
    let mut kit = up();
    for query in ["?sipMethod=INVITE", "?sipMethod=REFER"] {
        assert_eq!(kit.http("POST", &format!("{CALL}{query}")).status, 409);
    }
    kit.http("DELETE", CALL);
    assert_eq!(kit.http("POST", INVITE_CALL).status, 200, "the old one is on its way out");
}

#[test]
fn the_called_phone_gets_the_conference_pin_as_a_header() {
    let mut kit = kit();
    kit.http("POST", &format!("{INVITE_CALL}&confpin=1234&subject=s"));
    let (_, alice, invite) = called(&kit.take_effects());
    assert_eq!(plugboard_sdk::headers::find(&invite.headers, "X-ConfPin"), None);
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, _, invite) = called(&kit.take_effects());
    assert_eq!(plugboard_sdk::headers::find(&invite.headers, "X-ConfPin"), Some("1234"));
    assert_eq!(plugboard_sdk::headers::find(&invite.headers, "Subject"), None, "only the first INVITE");
}

#[test]
fn phones_that_are_gone_are_noticed() {
    let mut kit = up();
    kit.advance(crate::up::PROBE_MS);
    let probes = kit.open_requests();
    assert_eq!(probes.iter().map(|(_, sent)| sent.method.as_str()).collect::<Vec<_>>(), ["OPTIONS", "OPTIONS"]);
    kit.respond(probes[0].0, 405, b"");
    assert_eq!(report(&mut kit)["phase"], "up", "any answer is a sign of life");
    kit.respond(probes[1].0, 481, b"");
    kit.settle();
    assert_over(&mut kit, 481, "called");
}

#[test]
fn a_phone_that_is_not_in_the_call_any_more_is_not_missed() {
    for late in [408, 481] {
        let mut kit = up();
        kit.advance(crate::up::PROBE_MS);
        let probe = kit.open_requests()[0].0;
        assert_eq!(kit.leg_of(probe), Some(ALICE));
        kit.take_effects();
        kit.http("POST", &format!("{CALL}?action=transfer&target=carol"));
        let (_, carol, _) = called(&kit.take_effects());
        kit.respond(carol, 200, &sdp("carol", 1, 8000));
        let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
        kit.respond(reinvite, 200, &sdp("bob", 6, 6000));
        assert_eq!(released(&kit.take_effects()), [(ALICE, String::new())]);
        kit.respond(probe, late, b"");
        assert!(released(&kit.take_effects()).is_empty());
        assert_eq!(report(&mut kit)["phase"], "up", "{late}");
    }
}

#[test]
fn a_referrer_that_has_hung_up_is_not_missed() {
    let mut kit = up();
    kit.advance(crate::up::PROBE_MS);
    let probe = kit.open_requests()[0].0;
    kit.request(ALICE, "REFER", &[("Refer-To", "<sip:carol@example.com>")], b"");
    kit.request(ALICE, "BYE", &[], b"");
    kit.respond(probe, 481, b"");
    assert_eq!(report(&mut kit)["phase"], "transferring");
}

#[test]
fn a_held_call_is_small() {
    let mut kit = up();
    let hold = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
    kit.ack(hold, b"");
    assert!(kit.state_bytes() < 1024, "{} bytes", kit.state_bytes());
}

#[test]
fn every_moment_of_setup_has_its_timer() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    let (_, alice, _) = called(&kit.take_effects());
    assert!(kit.timers().contains_key("phase"));
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    assert!(kit.timers().contains_key("phase"));
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    kit.advance(crate::join::JOIN_MS);
    kit.settle();
    kit.advance(crate::call::LINGER_MS);
    assert_over(&mut kit, 408, "timeout");
}
