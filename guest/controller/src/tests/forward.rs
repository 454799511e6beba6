//! Requests between two phones that talk.

use super::*;

#[test]
fn a_hold_reaches_the_other_phone_and_its_answer_comes_back() {
    let mut kit = up();
    let hold = [&sdp("alice", 3, 4000)[..], b"a=sendonly\r\n"].concat();
    let asked = kit.request(ALICE, "INVITE", &[("User-Agent", "phone")], &hold);
    let (forwarded, headers, offer) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(plugboard_sdk::headers::find(&headers, "User-Agent"), Some("phone"));
    assert_eq!(offer, hold, "the called phone has seen version 2 of this session");
    assert!(kit.timers().contains_key("forward"));
    kit.respond(forwarded, 200, &sdp("bob", 6, 6002));
    assert!(!kit.timers().contains_key("forward"), "the next one has all of its time");
    let (status, _, answer) = answered(&kit.take_effects(), asked).expect("answered");
    assert_eq!(status, 200);
    assert_eq!(origin(&answer).version, 3, "the third description that the calling phone sees");
    assert!(text(&answer).contains("m=audio 6002"));
    kit.ack(asked, b"");
    assert_eq!(acknowledged(&kit.take_effects(), forwarded), Some(Vec::new()));
}

#[test]
fn an_unchanged_description_keeps_its_version() {
    let mut kit = up();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 2, 4000));
    let (forwarded, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(origin(&offer).version, 2);
    kit.respond(forwarded, 200, &sdp("bob", 5, 6000));
    let (_, _, answer) = answered(&kit.take_effects(), asked).expect("answered");
    assert_eq!(origin(&answer).version, 2);
}

#[test]
fn an_offerless_re_invite_gets_the_offer_back_and_its_answer_in_the_ack() {
    let mut kit = up();
    let asked = kit.request(BOB, "INVITE", &[], b"");
    let (forwarded, _, body) = requested(&kit.take_effects(), "INVITE");
    assert!(body.is_empty());
    kit.respond(forwarded, 200, &sdp("alice", 3, 4004));
    let (_, _, offer) = answered(&kit.take_effects(), asked).expect("answered");
    assert!(text(&offer).contains("m=audio 4004"));
    kit.ack(asked, &sdp("bob", 6, 6004));
    let answer = acknowledged(&kit.take_effects(), forwarded).expect("acknowledged");
    assert!(text(&answer).contains("m=audio 6004"));
    assert_eq!(origin(&answer).version, 3);
}

#[test]
fn other_methods_pass_with_headers_bodies_and_answers() {
    let mut kit = up();
    for (method, status) in
        [("INFO", 200), ("OPTIONS", 200), ("UPDATE", 200), ("MESSAGE", 415), ("NOTIFY", 200), ("FROBNICATE", 501)]
    {
        let headers =
            [("Content-Type", "application/x"), ("X-Own", "1"), ("Require", "100rel, x"), ("RAck", "1 1 INVITE")];
        let asked = kit.request(BOB, method, &headers, b"\xff\x00body");
        let (forwarded, headers, body) = requested(&kit.take_effects(), method);
        assert_eq!(body, b"\xff\x00body");
        let expected = [("Content-Type", "application/x"), ("X-Own", "1"), ("Require", "x")];
        assert_eq!(headers, expected.map(|(name, value)| plugboard_sdk::header(name, value)));
        kit.respond_with(forwarded, status, &[("X-Back", "2"), ("Content-Type", "a/b")], b"answer", &[]);
        let (code, headers, body) = answered(&kit.take_effects(), asked).expect("answered");
        assert_eq!((code, body.as_slice()), (status, b"answer".as_slice()));
        assert_eq!(headers[0].value, "2");
    }
}

#[test]
fn a_challenge_on_the_way_is_answered_and_one_that_cannot_be_is_not_passed_on() {
    let mut kit = up();
    let asked = kit.request(ALICE, "INFO", &[], b"");
    let (forwarded, ..) = requested(&kit.take_effects(), "INFO");
    kit.respond(forwarded, 407, b"");
    let Some(Effect::AnswerChallenge { transaction, .. }) = kit.take_effects().pop() else { panic!("answered") };
    kit.respond(transaction, 407, b"");
    assert_eq!(kit.answer_to(asked), Some(403));
}

#[test]
fn a_cancelled_re_invite_is_cancelled_on_the_other_side() {
    let mut kit = up();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.cancel(asked);
    assert_eq!(kit.take_effects(), [Effect::Cancel { transaction: forwarded }]);
    kit.respond(forwarded, 487, b"");
    assert_eq!(kit.answer_to(asked), Some(487));
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_re_invite_that_is_never_answered_is_cancelled() {
    let mut kit = up();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 180, b"");
    kit.advance(crate::forward::INVITE_MS);
    assert!(kit.take_effects().contains(&Effect::Cancel { transaction: forwarded }));
    kit.settle();
    assert_eq!(kit.answer_to(asked), Some(487));
}

#[test]
fn crossing_re_invites_get_491_and_a_second_one_500() {
    let mut kit = up();
    let first = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let crossing = kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    assert_eq!(kit.answer_to(crossing), Some(491));
    let second = kit.request(ALICE, "INVITE", &[], &sdp("alice", 4, 4000));
    let (status, headers, _) = answered(&kit.take_effects(), second).expect("answered");
    let seconds: u64 = plugboard_sdk::headers::find(&headers, "Retry-After").expect("named").parse().expect("a number");
    assert_eq!((status, seconds <= 10), (500, true));
    let forwarded = kit.open_requests()[0].0;
    kit.respond(forwarded, 491, b"");
    assert_eq!(kit.answer_to(first), Some(491), "the phone that asked retries by its own clock");
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn an_invite_while_another_wants_its_ack_gets_491() {
    let mut kit = up();
    let first = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
    for leg in [ALICE, BOB] {
        let early = kit.request(leg, "INVITE", &[], &sdp("x", 9, 4000));
        assert_eq!(kit.answer_to(early), Some(491));
    }
    kit.ack(first, b"");
    kit.take_effects();
    kit.request(BOB, "INVITE", &[], &sdp("bob", 7, 6000));
    requested(&kit.take_effects(), "INVITE");
}

#[test]
fn answers_that_say_that_the_dialog_is_gone_end_the_call_and_others_do_not() {
    for code in [400, 403, 404, 486, 488, 500, 503, 603] {
        let mut kit = up();
        let asked = kit.request(ALICE, "INFO", &[], b"");
        let (forwarded, ..) = requested(&kit.take_effects(), "INFO");
        kit.respond(forwarded, code, b"");
        assert_eq!(kit.answer_to(asked), Some(code));
        assert_eq!(report(&mut kit)["phase"], "up", "{code}");
    }
    for code in [408, 481] {
        let mut kit = up();
        let asked = kit.request(ALICE, "INFO", &[], b"");
        let pending = kit.request(BOB, "MESSAGE", &[], b"");
        let forwarded = kit.open_requests()[0].0;
        kit.respond(forwarded, code, b"");
        assert_eq!(kit.answer_to(asked), Some(code));
        assert_eq!(kit.answer_to(pending), Some(487), "what is pending is answered");
        kit.settle();
        assert_over(&mut kit, code, "called");
    }
}

#[test]
fn a_request_that_cannot_be_delivered_is_answered() {
    use plugboard_sdk::FailureReason::{TimedOut, Unreachable};
    let mut kit = up();
    let asked = kit.request(ALICE, "INFO", &[], b"");
    let (forwarded, ..) = requested(&kit.take_effects(), "INFO");
    kit.fail(forwarded, Unreachable);
    assert_eq!(kit.answer_to(asked), Some(503));
    assert_eq!(report(&mut kit)["phase"], "up");
    let asked = kit.request(ALICE, "INFO", &[], b"");
    let (forwarded, ..) = requested(&kit.take_effects(), "INFO");
    kit.fail(forwarded, TimedOut);
    assert_eq!(kit.answer_to(asked), Some(408));
    kit.settle();
    assert_over(&mut kit, 408, "called");
}

#[test]
fn requests_under_way_are_bounded() {
    let mut kit = up();
    let asked: Vec<u32> = (0..=crate::forward::FORWARDS_MAX).map(|_| kit.request(ALICE, "INFO", &[], b"")).collect();
    assert!(asked[..crate::forward::FORWARDS_MAX].iter().all(|asked| kit.answer_to(*asked).is_none()));
    assert_eq!(kit.answer_to(asked[crate::forward::FORWARDS_MAX]), Some(500));
    kit.request(BOB, "BYE", &[], b"");
    assert!(asked[..crate::forward::FORWARDS_MAX].iter().all(|asked| kit.answer_to(*asked) == Some(487)));
}

#[test]
fn a_session_with_fewer_lines_is_filled_up_and_its_answer_cut() {
    let mut kit = up();
    let two = [&sdp("alice", 3, 4000)[..], b"m=video 4002 RTP/AVP 96\r\n"].concat();
    let asked = kit.request(ALICE, "INVITE", &[], &two);
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &[&sdp("bob", 6, 6000)[..], b"m=video 0 RTP/AVP 96\r\n"].concat());
    kit.ack(asked, b"");
    kit.take_effects();
    let asked = kit.request(BOB, "INVITE", &[], &sdp("bob", 7, 6000));
    let (forwarded, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(plugboard_sdk::sdp::media_count(&offer), 2);
    kit.respond(forwarded, 200, &two);
    let (_, _, answer) = answered(&kit.take_effects(), asked).expect("answered");
    assert_eq!(plugboard_sdk::sdp::media_count(&answer), 1);
}

#[test]
fn a_phone_that_never_acknowledges_ends_the_call() {
    let mut kit = up();
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
    kit.never_acknowledge(asked);
    assert_eq!(released(&kit.take_effects()).len(), 2);
    kit.settle();
    assert_over(&mut kit, 408, "calling");
}

#[test]
fn descriptions_that_are_no_offer_or_answer_pass_as_they_are() {
    let mut kit = up();
    let asked = kit.request(ALICE, "OPTIONS", &[], b"");
    let (forwarded, ..) = requested(&kit.take_effects(), "OPTIONS");
    kit.respond(forwarded, 200, &sdp("capable", 9, 1));
    assert_eq!(answered(&kit.take_effects(), asked).map(|(.., body)| body), Some(sdp("capable", 9, 1)));
    let asked = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4002));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(forwarded, 488, &sdp("capable", 9, 1));
    assert_eq!(answered(&kit.take_effects(), asked).map(|(.., body)| body), Some(sdp("capable", 9, 1)));
    kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    let (_, _, offer) = requested(&kit.take_effects(), "INVITE");
    assert_eq!(origin(&offer).version, 2, "what the calling phone has seen already");
}

#[test]
fn an_update_passes_as_such_to_a_phone_that_takes_it_and_as_a_re_invite_to_others() {
    for (allow, expected) in [("INVITE, ACK, BYE, UPDATE", "UPDATE"), ("INVITE, ACK, BYE", "INVITE")] {
        let mut kit = kit();
        kit.http("POST", INVITE_CALL);
        let (_, alice, _) = called(&kit.take_effects());
        kit.respond_with(alice, 200, &[("Allow", allow)], &sdp("alice", 1, 0), &[]);
        let (_, bob, _) = called(&kit.take_effects());
        kit.respond(bob, 200, &sdp("bob", 5, 6000));
        let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
        kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
        kit.take_effects();

        let update = kit.request(BOB, "UPDATE", &[], &sdp("bob", 6, 6002));
        let (forwarded, _, offer) = requested(&kit.take_effects(), expected);
        assert!(text(&offer).contains("m=audio 6002"));
        if expected == "INVITE" {
            let crossing = kit.request(BOB, "INVITE", &[], &sdp("bob", 7, 6002));
            assert_eq!(kit.answer_to(crossing), Some(500), "one at a time");
            kit.respond(forwarded, 180, b"");
            assert_eq!(kit.answer_to(update), None);
            assert!(answered(&kit.take_effects(), update).is_none(), "an UPDATE does not ring");
        }
        kit.respond(forwarded, 200, &sdp("alice", 3, 4000));
        let effects = kit.take_effects();
        let (status, _, body) = answered(&effects, update).expect("answered");
        assert_eq!((status, text(&body).contains("m=audio 4000")), (200, true));
        assert_eq!(acknowledged(&effects, forwarded).is_some(), expected == "INVITE", "its answer was in the 2xx");
        let hold = kit.request(ALICE, "INVITE", &[], &sdp("alice", 4, 4000));
        assert_eq!(kit.answer_to(hold), None, "nothing is in the way any more");
    }
}

#[test]
fn an_answer_about_a_subscription_is_not_about_the_call() {
    for method in ["NOTIFY", "SUBSCRIBE"] {
        let mut kit = up();
        let asked = kit.request(BOB, method, &[("Event", "talk")], b"");
        let (forwarded, ..) = requested(&kit.take_effects(), method);
        kit.respond(forwarded, 481, b"");
        assert_eq!(kit.answer_to(asked), Some(481));
        let asked = kit.request(BOB, method, &[("Event", "talk")], b"");
        let (forwarded, ..) = requested(&kit.take_effects(), method);
        kit.fail(forwarded, FailureReason::TimedOut);
        assert_eq!(kit.answer_to(asked), Some(408));
        assert_eq!(report(&mut kit)["phase"], "up", "{method}");
    }
}
