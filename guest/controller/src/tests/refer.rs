//! REFER mode.

use super::*;

#[test]
fn a_call_is_placed_referred_and_left_alone() {
    let mut kit = kit();
    let response = kit.http("POST", CALL);
    assert_eq!((response.status, response.body.len()), (200, 0));
    let (leg, invite, sent) = called(&kit.take_effects());
    assert_eq!(sent.target, "sip:alice@example.com");
    assert_eq!(sent.from.display_name.as_deref(), Some("Alice"));
    assert!(text(&sent.body).contains("m=audio"));
    kit.respond(invite, 100, b"");
    kit.respond(invite, 407, b"");
    let Some(Effect::AnswerChallenge { transaction: invite, .. }) = kit.take_effects().pop() else {
        panic!("the challenge is answered")
    };
    kit.respond(invite, 100, b"");
    kit.respond(invite, 180, b"");
    kit.respond(invite, 200, sent.body.as_slice());
    let (refer, headers, _) = requested(&kit.take_effects(), "REFER");
    assert_eq!(headers[0].value, "\"Bob\" <sip:bob@example.com>");
    assert_eq!(headers[1].value, "\"Alice\" <sip:alice@example.com>");
    kit.respond(refer, 202, b"");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 Trying\r\n");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 180 Ringing\r\n");
    assert!(kit.take_effects().iter().any(|effect| matches!(effect, Effect::Release { .. })));
    kit.settle();
    assert_over(&mut kit, 202, "handed-over");
    let lines: Vec<String> = report(&mut kit)["lines"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["method"].as_str().unwrap_or_default(),
                line["status_line"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let expected = [
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 407 Proxy Authentication Required",
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 180 Ringing",
        "INVITE SIP/2.0 200 OK",
        "REFER SIP/2.0 202 Accepted",
        "NOTIFY SIP/2.0 100 Trying",
        "NOTIFY SIP/2.0 180 Ringing",
    ];
    assert_eq!(lines, expected);
}

/// A REFER call with this query, up to the INVITE.
fn placed(query: &str) -> (Kit<CallController>, u32, u32) {
    let mut kit = kit();
    assert_eq!(kit.http("POST", &format!("{CALL}{query}")).status, 200);
    let (leg, invite, _) = called(&kit.take_effects());
    (kit, leg, invite)
}

/// A REFER call with this query, up to the REFER: kit, leg, transaction and header fields of the REFER.
fn referred(query: &str) -> (Kit<CallController>, u32, u32, Vec<plugboard_sdk::Header>) {
    let (mut kit, leg, invite) = placed(query);
    kit.respond(invite, 200, &sdp("alice", 1, 4000));
    let (refer, headers, _) = requested(&kit.take_effects(), "REFER");
    (kit, leg, refer, headers)
}

#[test]
fn the_invite_carries_what_was_asked_for() {
    let mut kit = kit();
    kit.http("POST", "/callcontroller/alice/bob?agent=carol&subject=Lunch%20%26%20more&sipMethod=refer");
    let (_, _, invite) = called(&kit.take_effects());
    assert_eq!(invite.from.uri, "sip:carol@example.com");
    assert_eq!(invite.to.expect("To").uri, "sip:alice@example.com");
    let value = |name| plugboard_sdk::headers::find(&invite.headers, name).map(str::to_string);
    assert_eq!(value("Subject").as_deref(), Some("Lunch & more"));
    assert_eq!(value("Accept").as_deref(), Some("application/sdp"));
    assert_eq!(value("Content-Type").as_deref(), Some("application/sdp"));
    assert!(value("Allow").is_some_and(|allow| allow.contains("NOTIFY")));
}

#[test]
fn the_pin_of_a_conference_is_escaped_inside_the_refer_to() {
    let (_, _, _, headers) = referred("?confpin=12%2334");
    assert_eq!(headers[0].value, "\"Bob\" <sip:bob@example.com?X-ConfPin=12%2334>");
}

#[test]
fn a_second_challenge_ends_the_attempt() {
    let (mut kit, _, invite) = placed("");
    kit.respond(invite, 401, b"");
    let Some(Effect::AnswerChallenge { transaction, .. }) = kit.take_effects().pop() else { panic!("answered") };
    kit.respond(transaction, 401, b"");
    assert_over(&mut kit, 401, "calling");
}

#[test]
fn a_refer_is_authorized_once_too() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 407, b"");
    let Some(Effect::AnswerChallenge { transaction, .. }) = kit.take_effects().pop() else { panic!("answered") };
    kit.respond(transaction, 407, b"");
    assert_eq!(released(&kit.take_effects())[0].0, leg);
    kit.settle();
    assert_over(&mut kit, 407, "calling");
}

#[test]
fn a_challenged_bye_is_not_the_end_of_the_leg() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 180 Ringing");
    let (bye, sent) = kit.open_requests().pop().expect("a BYE");
    assert_eq!(sent.method, "BYE");
    kit.respond(bye, 407, b"");
    assert!(kit.state().is_some(), "the host repeats it with credentials");
    kit.settle();
    assert_over(&mut kit, 202, "handed-over");
}

#[test]
fn nobody_waits_for_the_answer_to_the_last_bye() {
    let terminated = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")];
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    kit.request(leg, "NOTIFY", &terminated, b"SIP/2.0 200 OK");
    assert_eq!(released(&kit.take_effects()), [(leg, String::new())]);
    assert_over(&mut kit, 200, "handed-over");

    // The response to the REFER is still to come, and is a line of the record.
    let (mut kit, leg, refer, _) = referred("");
    kit.request(leg, "NOTIFY", &terminated, b"SIP/2.0 200 OK");
    assert!(kit.state().is_some());
    kit.respond(refer, 202, b"");
    kit.settle();
    assert_over(&mut kit, 200, "handed-over");
    assert_eq!(report(&mut kit)["lines"].as_array().map(Vec::len), Some(3), "INVITE, NOTIFY, REFER");
}

#[test]
fn a_refused_invite_ends_the_call_with_its_status() {
    for code in [302, 404, 486, 503, 603] {
        let (mut kit, _, invite) = placed("");
        kit.respond_with(invite, code, &[], b"", &["sip:elsewhere@example.net"]);
        assert_over(&mut kit, code, "calling");
    }
}

#[test]
fn redirections_are_followed_when_allowed_without_loops_and_not_for_ever() {
    let (mut kit, _, mut invite) = placed("?isForwardingAllowed=TRUE");
    for hop in 1..=crate::ring::REDIRECTIONS_MAX {
        let next = format!("sip:hop{hop}@example.net");
        kit.respond_with(invite, 302, &[], b"", &["tel:+49", "sip:alice@example.com", &next]);
        let (_, transaction, sent) = called(&kit.take_effects());
        assert_eq!(sent.target, next);
        assert_eq!(sent.to.expect("To").uri, "sip:alice@example.com", "who was called stays in To");
        invite = transaction;
    }
    kit.respond_with(invite, 302, &[], b"", &["sip:one-too-many@example.net"]);
    assert_over(&mut kit, 302, "calling");

    let (mut kit, _, invite) = placed("?isForwardingAllowed=true");
    kit.respond_with(invite, 302, &[], b"", &["sip:ALICE@example.com"]);
    assert_over(&mut kit, 302, "calling");
}

#[test]
fn no_answer_is_cancelled_after_the_timeout() {
    let (mut kit, leg, invite) = placed("?timeout=30");
    kit.respond(invite, 180, b"");
    kit.advance(29_990);
    assert!(kit.take_effects().is_empty());
    kit.advance(10);
    assert_eq!(released(&kit.take_effects())[0].0, leg);
    kit.respond(invite, 487, b"");
    assert_over(&mut kit, 408, "timeout");
    assert_eq!(report(&mut kit)["legs"][0]["outcome"]["code"], 487);
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_hung_up() {
    let (mut kit, _, invite) = placed("?timeout=1");
    kit.advance(1000);
    kit.respond(invite, 200, &sdp("alice", 1, 4000));
    assert!(!kit.take_effects().iter().any(|effect| matches!(effect, Effect::Request { .. })), "no REFER");
    assert!(kit.state().is_some(), "the BYE is not answered yet");
    kit.settle();
    assert_over(&mut kit, 408, "timeout");
    assert_eq!(report(&mut kit)["legs"][0]["outcome"]["code"], 200, "the leg was answered all the same");
}

#[test]
fn a_refer_without_response_ends_after_32_seconds() {
    let (mut kit, ..) = referred("");
    kit.advance(crate::refer::NOTIFY_MS);
    assert_eq!(report(&mut kit)["outcome"]["reason"], "No response to REFER");
}

#[test]
fn silence_of_the_network_counts_as_408_or_503() {
    use plugboard_sdk::FailureReason::{Refused, TimedOut, Unreachable, Unresolved};
    for (reason, code) in [(TimedOut, 408), (Unreachable, 503), (Unresolved, 503), (Refused, 503)] {
        let (mut kit, _, invite) = placed("");
        kit.fail(invite, reason);
        assert_over(&mut kit, code, "calling");
        let (mut kit, _, refer, _) = referred("");
        kit.fail(refer, reason);
        kit.settle();
        assert_over(&mut kit, code, "calling");
        let lines = report(&mut kit)["lines"].as_array().expect("a list").clone();
        let last = lines.last().expect("a line");
        assert_eq!(last["method"], "REFER");
        assert!(last["status_line"].as_str().expect("text").starts_with(&format!("SIP/2.0 {code} ")));
    }
}

#[test]
fn a_refused_refer_releases_the_leg_and_is_the_outcome() {
    for code in [302, 405, 503, 603] {
        let (mut kit, leg, refer, _) = referred("");
        kit.respond(refer, code, b"");
        assert_eq!(released(&kit.take_effects())[0].0, leg);
        kit.settle();
        assert_over(&mut kit, code, "calling");
    }
}

#[test]
fn notify_bodies_decide_when_to_step_aside() {
    for (body, code, ended_by, reason) in [
        ("SIP/2.0 180 Ringing", 202, "handed-over", ""),
        ("SIP/2.0 183 Session Progress", 202, "handed-over", ""),
        ("SIP/2.0 200 OK", 200, "handed-over", ""),
        ("SIP/2.0 486 Busy Here", 486, "called", "SIP;cause=486;text=\"Busy Here\""),
        ("SIP/2.0 603 Decline", 603, "called", "SIP;cause=603;text=\"Decline\""),
    ] {
        let (mut kit, leg, refer, _) = referred("");
        kit.respond(refer, 202, b"");
        let notify = kit.request(leg, "NOTIFY", &NOTIFY, body.as_bytes());
        assert_eq!(kit.answer_to(notify), Some(200));
        assert_eq!(released(&kit.take_effects()), [(leg, reason.to_string())]);
        kit.settle();
        assert_over(&mut kit, code, ended_by);
    }
}

#[test]
fn a_terminated_subscription_ends_the_wait() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    let terminated = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")];
    kit.request(leg, "NOTIFY", &terminated, b"SIP/2.0 100 Trying");
    kit.settle();
    assert_over(&mut kit, 202, "handed-over");
}

#[test]
fn a_notify_may_overtake_the_response_to_the_refer() {
    let (mut kit, leg, refer, _) = referred("?timeout=100");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 Trying");
    kit.respond(refer, 202, b"");
    kit.advance(99_000);
    assert!(kit.state().is_some(), "the first NOTIFY counts");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 200 OK");
    kit.settle();
    assert_over(&mut kit, 200, "handed-over");
}

#[test]
fn a_notify_of_another_package_is_refused_and_not_recorded() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    let lines = report(&mut kit)["lines"].as_array().map(Vec::len);
    let notify = kit.request(leg, "NOTIFY", &[("Event", "presence")], b"x");
    assert_eq!(kit.answer_to(notify), Some(489));
    assert_eq!(report(&mut kit)["lines"].as_array().map(Vec::len), lines);
}

#[test]
fn a_phone_that_never_notifies_is_released_after_32_seconds() {
    let (mut kit, _, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    kit.advance(31_990);
    assert!(kit.state().is_some_and(|state| !state.0.is_ended()));
    kit.advance(10);
    kit.settle();
    assert_over(&mut kit, 408, "timeout");
    assert_eq!(report(&mut kit)["outcome"]["reason"], "No NOTIFY from the calling party");
}

#[test]
fn the_calling_phone_may_hang_up_at_any_moment() {
    let (mut kit, leg, refer, _) = referred("");
    kit.request(leg, "BYE", &[], b"");
    assert_over(&mut kit, 487, "calling");
    let _ = refer;
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    let bye = kit.request(leg, "BYE", &[], b"");
    assert_eq!(kit.answer_to(bye), Some(200));
    assert_over(&mut kit, 202, "handed-over");
}

#[test]
fn byes_may_cross_and_notifications_may_follow() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 202, b"");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 180 Ringing");
    let late = kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 200 OK");
    assert_eq!(kit.answer_to(late), Some(200));
    let bye = kit.request(leg, "BYE", &[], b"");
    assert_eq!(kit.answer_to(bye), Some(200));
    assert_over(&mut kit, 202, "handed-over");
    let lines = report(&mut kit)["lines"].as_array().expect("a list").clone();
    assert_eq!(lines.last().expect("a line")["status_line"], "SIP/2.0 200 OK");
}

#[test]
fn what_else_the_phone_asks_is_answered_locally() {
    let (mut kit, leg, _, _) = referred("");
    for (method, body, code) in [
        ("OPTIONS", Vec::new(), 200),
        ("INVITE", sdp("alice", 2, 4000), 200),
        ("INVITE", Vec::new(), 200),
        ("UPDATE", sdp("alice", 3, 4000), 200),
        ("INFO", b"x".to_vec(), 480),
        ("FROBNICATE", Vec::new(), 405),
    ] {
        let asked = kit.request(leg, method, &[], &body);
        assert_eq!(kit.answer_to(asked), Some(code), "{method}");
        let (_, _, answer) = answered(&kit.take_effects(), asked).expect("answered");
        if matches!(method, "INVITE" | "UPDATE") {
            let media = plugboard_sdk::sdp::media(&answer);
            assert_eq!(media[0].direction, plugboard_sdk::sdp::Direction::Inactive);
        }
    }
}

#[test]
fn the_end_does_not_wait_for_silent_phones() {
    let (mut kit, leg, refer, _) = referred("");
    kit.respond(refer, 603, b"");
    kit.advance(crate::call::LINGER_MS);
    assert_over(&mut kit, 603, "calling");
    let _ = leg;
}

#[test]
fn a_new_post_replaces_a_refer_call_in_progress() {
    let (mut kit, leg, invite) = placed("");
    assert_eq!(kit.http("POST", &format!("{CALL}?subject=again")).status, 200);
    let effects = kit.take_effects();
    assert_eq!(released(&effects)[0].0, leg);
    let (second, second_invite, _) = called(&effects);
    assert_ne!(second, leg);
    kit.respond(invite, 487, b"");
    let shown = report(&mut kit);
    assert_eq!(shown["subject"], "again");
    assert_eq!(shown["lines"].as_array().map(Vec::len), Some(0), "the record begins anew");
    kit.respond(second_invite, 486, b"");
    assert_over(&mut kit, 486, "calling");
}
