//! Phones of a call that is up and refer the other one elsewhere.

use super::*;
use plugboard_sdk::headers::find;
use plugboard_sdk::testkit::LegState;

const CAROL: u32 = 3;
const TO_CAROL: &str = "<sip:carol@example.com>";

/// The NOTIFYs that went to a leg: Subscription-State and first line.
fn notifies(effects: &[Effect], wanted: u32) -> Vec<(String, String)> {
    let notifies = effects.iter().filter_map(|effect| match effect {
        Effect::Request { leg, method, headers, body, .. } if *leg == wanted && method == "NOTIFY" => {
            assert!(find(headers, "Event").is_some_and(|event| event.starts_with("refer")));
            assert_eq!(find(headers, "Content-Type"), Some("message/sipfrag;version=2.0"));
            let state = find(headers, "Subscription-State").expect("a state").to_string();
            Some((state, text(body).trim_end().to_string()))
        }
        _ => None,
    });
    notifies.collect()
}

/// A phone refers the other one: the transaction of its REFER, and what was done.
fn refer(kit: &mut Kit<CallController>, leg: u32, headers: &[(&str, &str)]) -> (u32, Vec<Effect>) {
    kit.take_effects();
    let refer = kit.request(leg, "REFER", headers, b"");
    (refer, kit.take_effects())
}

#[test]
fn a_phone_transfers_the_other_one_and_hears_how_it_goes() {
    for (leg, other, asked_by) in [(ALICE, BOB, "calling"), (BOB, ALICE, "called")] {
        let mut kit = up();
        let headers = [("Refer-To", TO_CAROL), ("Referred-By", "<sip:me@example.com>")];
        let (refer, effects) = refer(&mut kit, leg, &headers);
        assert_eq!(kit.answer_to(refer), Some(202));
        assert_eq!(notifies(&effects, leg), [("active;expires=205".to_string(), "SIP/2.0 100 Trying".to_string())]);
        let (carol, invite, sent) = called(&effects);
        assert_eq!((carol, sent.target.as_str()), (CAROL, "sip:carol@example.com"));
        assert_eq!(find(&sent.headers, "Referred-By"), Some("<sip:me@example.com>"));
        assert_eq!(find(&sent.headers, "Replaces"), None);

        kit.respond(invite, 180, b"");
        let told = notifies(&kit.take_effects(), leg);
        assert!(told[0].0.starts_with("active") && told[0].1 == "SIP/2.0 180 Ringing", "{told:?}");
        kit.respond(invite, 200, &sdp("carol", 1, 8000));
        let effects = kit.take_effects();
        assert!(notifies(&effects, leg).is_empty(), "not before the two are joined");
        let (reinvite, _, offer) = requested(&effects, "INVITE");
        assert!(text(&offer).contains("m=audio 8000"));
        kit.respond(reinvite, 200, &sdp("other", 6, 6000));
        let effects = kit.take_effects();
        let over = ("terminated;reason=noresource".to_string(), "SIP/2.0 200 OK".to_string());
        assert_eq!(notifies(&effects, leg), [over]);
        assert_eq!(released(&effects), [(leg, String::new())]);
        kit.settle();
        let report = report(&mut kit);
        assert_eq!(report["transfers"][0]["asked_by"], asked_by);
        assert_eq!((&report["transfers"][0]["outcome"]["code"], &report["phase"]), (&200.into(), &"up".into()));

        kit.request(CAROL, "BYE", &[], b"");
        assert_eq!(released(&kit.take_effects()), [(other, String::new())]);
        kit.settle();
        assert_over(&mut kit, 200, asked_by);
    }
}

#[test]
fn a_target_that_refuses_leaves_the_call_as_it_was() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, BOB, &[("Refer-To", TO_CAROL)]);
    let (_, invite, sent) = called(&effects);
    assert_eq!(find(&sent.headers, "Referred-By"), Some("<sip:bob@example.com>"), "who refers is named anyway");
    kit.respond(invite, 486, b"");
    let effects = kit.take_effects();
    let over = ("terminated;reason=noresource".to_string(), "SIP/2.0 486 Busy Here".to_string());
    assert_eq!((notifies(&effects, BOB), released(&effects)), (vec![over], vec![]));
    assert_eq!(report(&mut kit)["phase"], "up");
    assert_eq!(kit.legs()[&BOB].state, LegState::Up);
    let (again, effects) = refer(&mut kit, BOB, &[("Refer-To", TO_CAROL)]);
    assert_eq!(kit.answer_to(again), Some(202), "it can be tried again");
    assert_eq!(event_of_notify(&effects), format!("refer;id={again}"), "RFC 3515 section 2.4.6");
}

/// Which subscription a NOTIFY is about.
fn event_of_notify(effects: &[Effect]) -> String {
    let (_, headers, _) = requested(effects, "NOTIFY");
    find(&headers, "Event").expect("an Event").to_string()
}

#[test]
fn only_the_refers_after_the_first_have_an_id() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    assert_eq!(event_of_notify(&effects), "refer");
    let mut kit = up();
    refer(&mut kit, ALICE, &[("Refer-To", "<tel:1>")]);
    let (second, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    assert_eq!(event_of_notify(&effects), format!("refer;id={second}"), "the first was one, though refused");
}

/// A SUBSCRIBE about a REFER: its status, its Expires, and what the phone was told.
fn subscribe(
    kit: &mut Kit<CallController>,
    event: &str,
    expires: &str,
) -> (u16, Option<String>, Vec<(String, String)>) {
    kit.take_effects();
    let subscribe = kit.request(BOB, "SUBSCRIBE", &[("Event", event), ("Expires", expires)], b"");
    let effects = kit.take_effects();
    let (status, headers, _) = answered(&effects, subscribe).expect("an answer");
    (status, find(&headers, "Expires").map(str::to_string), notifies(&effects, BOB))
}

fn told(state: &str, line: &str) -> Vec<(String, String)> {
    vec![(state.to_string(), line.to_string())]
}

#[test]
fn a_phone_may_ask_for_less_time_and_for_more() {
    let mut kit = up();
    assert_eq!(subscribe(&mut kit, "refer", "60").0, 481, "it has referred nobody");
    let (_, effects) = refer(&mut kit, BOB, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    let trying = "SIP/2.0 100 Trying";
    let (status, expires, heard) = subscribe(&mut kit, "refer", "60");
    assert_eq!((status, expires.as_deref(), heard), (200, Some("60"), told("active;expires=60", trying)));
    let (status, expires, _) = subscribe(&mut kit, "Refer", "9999");
    assert_eq!((status, expires.as_deref()), (200, Some("60")), "no more than is left");
    for (event, expires, status) in [("refer;id=7", "60", 481), ("refer", "soon", 400)] {
        assert_eq!(subscribe(&mut kit, event, expires).0, status);
    }
    kit.respond(invite, 180, b"");
    assert_eq!(notifies(&kit.take_effects(), BOB).len(), 1, "it still hears");
    kit.advance(60_000);
    kit.respond(invite, 183, b"");
    assert_eq!(notifies(&kit.take_effects(), BOB)[0].0, "terminated;reason=timeout");
    kit.respond(invite, 486, b"");
    assert!(notifies(&kit.take_effects(), BOB).is_empty());
}

#[test]
fn a_phone_that_wants_to_hear_no_more_is_told_once_how_far_it_is() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, BOB, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    kit.respond(invite, 180, b"");
    let (status, expires, heard) = subscribe(&mut kit, "refer", "0");
    let last = told("terminated;reason=timeout", "SIP/2.0 180 Ringing");
    assert_eq!((status, expires.as_deref(), heard), (200, Some("0"), last));
    assert_eq!(subscribe(&mut kit, "refer", "60").0, 481);
    kit.respond(invite, 200, &sdp("carol", 1, 8000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("alice", 6, 6000));
    let effects = kit.take_effects();
    assert_eq!(
        (notifies(&effects, BOB), released(&effects)),
        (vec![], vec![(BOB, String::new())]),
        "the transfer goes on"
    );
}

#[test]
fn a_phone_may_hang_up_once_its_refer_was_accepted() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    let bye = kit.request(ALICE, "BYE", &[], b"");
    assert_eq!(kit.answer_to(bye), Some(200));
    assert!(released(&kit.take_effects()).is_empty(), "bob waits for carol");
    let hold = kit.request(BOB, "INVITE", &[], &sdp("bob", 6, 6000));
    let (status, _, body) = answered(&kit.take_effects(), hold).expect("answered");
    assert_eq!((status, text(&body).contains("a=inactive")), (200, true));
    kit.ack(hold, b"");
    kit.respond(invite, 200, &sdp("carol", 1, 8000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
    assert!(acknowledged(&kit.take_effects(), invite).is_some());
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn a_refusal_after_the_referrer_hung_up_ends_the_call_with_its_reason() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    kit.request(ALICE, "BYE", &[], b"");
    kit.take_effects();
    kit.respond(invite, 486, b"");
    assert_eq!(released(&kit.take_effects()), [(BOB, "SIP;cause=486;text=\"Busy Here\"".to_string())]);
    kit.settle();
    assert_over(&mut kit, 486, "calling");
}

#[test]
fn the_other_phone_may_hang_up_meanwhile() {
    let mut kit = up();
    refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    kit.request(BOB, "BYE", &[], b"");
    let legs: Vec<u32> = released(&kit.take_effects()).into_iter().map(|(leg, _)| leg).collect();
    assert_eq!(legs, [ALICE, CAROL]);
    kit.settle();
    assert_over(&mut kit, 200, "called");
}

#[test]
fn a_phone_that_wants_no_notify_gets_none() {
    let mut kit = up();
    let headers = [("Refer-To", TO_CAROL), ("Refer-Sub", "false"), ("Require", "norefersub")];
    let (refer, effects) = refer(&mut kit, ALICE, &headers);
    let (status, headers, _) = answered(&effects, refer).expect("answered");
    assert_eq!((status, find(&headers, "Refer-Sub")), (202, Some("false")));
    let (_, invite, _) = called(&effects);
    kit.respond(invite, 180, b"");
    kit.respond(invite, 486, b"");
    assert!(notifies(&[effects, kit.take_effects()].concat(), ALICE).is_empty());
}

#[test]
fn an_attended_transfer_takes_the_place_of_the_targets_call() {
    let mut kit = up();
    let to = "<sip:carol@example.com?Replaces=7%40192.0.2.9%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>";
    let (refer, effects) = refer(&mut kit, ALICE, &[("Refer-To", to)]);
    assert_eq!(kit.answer_to(refer), Some(202));
    let (_, invite, sent) = called(&effects);
    assert_eq!(sent.target, "sip:carol@example.com", "headers are not part of a Request-URI");
    assert_eq!(find(&sent.headers, "Replaces"), Some("7@192.0.2.9;to-tag=1;from-tag=2"));
    assert_eq!(find(&sent.headers, "Require"), Some("replaces"));
    assert_eq!(report(&mut kit)["transfers"][0]["attended"], true);
    kit.respond(invite, 481, b"");
    let over = ("terminated;reason=noresource".to_string(), "SIP/2.0 481 Call/Transaction Does Not Exist".to_string());
    assert_eq!(notifies(&kit.take_effects(), ALICE), [over]);
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn what_cannot_be_referred_is_refused_with_a_reason() {
    let refused = [
        (&[][..], 400),
        (&[("Refer-To", TO_CAROL), ("Refer-To", TO_CAROL)][..], 400),
        (&[("Refer-To", "<sip:carol@example.com")][..], 400),
        (&[("Refer-To", "<tel:+4930>")][..], 416),
        (&[("Refer-To", "<sip:carol@example.com;method=BYE>")][..], 403),
        (&[("Refer-To", "<sip:carol@example.com?Replaces=x>")][..], 400),
        (&[("Refer-To", "<sip:0900@example.com>")][..], 403),
        (&[("Refer-To", TO_CAROL), ("Require", "norefersub, tdialog")][..], 420),
    ];
    for (headers, status) in refused {
        let mut kit = up();
        let (refer, effects) = refer(&mut kit, ALICE, headers);
        let (answer, fields, _) = answered(&effects, refer).expect("answered");
        assert_eq!(answer, status, "{headers:?}");
        assert_eq!(find(&fields, "Unsupported"), (status == 420).then_some("tdialog"));
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Call { .. } | Effect::Request { .. })));
        assert_eq!(report(&mut kit)["transfers"], plugboard_sdk::json::json!([]));
    }
}

#[test]
fn the_operator_says_where_phones_may_transfer_to() {
    for (setting, inside, outside) in [
        (None, 202, 403),
        (Some("allow"), 202, 403),
        (Some("any"), 202, 202),
        (Some("deny"), 403, 403),
        (Some("yes"), 403, 403),
    ] {
        for (to, status) in [(TO_CAROL, inside), ("<sip:203@example.com>", inside), ("<sip:x@example.net>", outside)] {
            let mut kit = kit();
            if let Some(setting) = setting {
                kit.setting("phone_transfer", setting);
            }
            join(&mut kit);
            let (refer, _) = refer(&mut kit, BOB, &[("Refer-To", to)]);
            assert_eq!(kit.answer_to(refer), Some(status), "{setting:?} {to}");
        }
    }
    let mut kit = kit();
    kit.http("POST", &format!("{INVITE_CALL}&isForwardingAllowed=true"));
    talk(&mut kit);
    let (refer, _) = refer(&mut kit, BOB, &[("Refer-To", "<sip:x@example.net;transport=tcp>")]);
    assert_eq!(kit.answer_to(refer), Some(202), "who placed the call lets it go elsewhere");
}

#[test]
fn one_transfer_at_a_time() {
    let mut kit = up();
    refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (crossing, _) = refer(&mut kit, BOB, &[("Refer-To", TO_CAROL)]);
    assert_eq!(kit.answer_to(crossing), Some(491));
    assert_eq!(kit.http("POST", &format!("{CALL}?action=transfer&target=carol")).status, 409);
}

#[test]
fn a_notify_that_is_challenged_is_authorized_and_one_that_is_refused_the_last() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    let (notify, ..) = requested(&effects, "NOTIFY");
    kit.respond(notify, 401, b"");
    let Some(Effect::AnswerChallenge { challenged, transaction }) = kit.take_effects().pop() else {
        panic!("answered")
    };
    assert_eq!(challenged, notify);
    kit.respond(transaction, 481, b"");
    kit.respond(invite, 180, b"");
    assert!(notifies(&kit.take_effects(), ALICE).is_empty());
    assert_eq!(report(&mut kit)["phase"], "transferring");
}

#[test]
fn an_open_re_invite_of_the_referrer_ends_without_it() {
    // Its phone has not answered yet when the referrer hangs up, has accepted it, or was not told to stop in time.
    for accepted in [false, true] {
        for status in [200, 487] {
            let mut kit = up();
            let hold = kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
            let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
            if accepted {
                kit.respond(forwarded, 200, &sdp("bob", 6, 6000));
            }
            let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
            let (_, invite, _) = called(&effects);
            kit.request(ALICE, "BYE", &[], b"");
            let effects = kit.take_effects();
            if accepted {
                assert!(acknowledged(&effects, forwarded).is_some());
            } else {
                assert_eq!(kit.answer_to(hold), Some(487));
                assert!(effects.contains(&Effect::Cancel { transaction: forwarded }));
                kit.respond(forwarded, status, if status == 200 { &b"v=0"[..] } else { b"" });
                assert_eq!(acknowledged(&kit.take_effects(), forwarded).is_some(), status == 200);
            }
            kit.respond(invite, 200, &sdp("carol", 1, 8000));
            let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
            assert_eq!((kit.leg_of(reinvite), text(&offer).contains("m=audio 8000")), (Some(BOB), true));
            kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
            assert!(acknowledged(&kit.take_effects(), invite).is_some());
            assert_eq!(report(&mut kit)["phase"], "up");
        }
    }
}

#[test]
fn a_target_waits_for_the_end_of_the_referrers_re_invite() {
    let mut kit = up();
    kit.request(ALICE, "INVITE", &[], &sdp("alice", 3, 4000));
    let (forwarded, ..) = requested(&kit.take_effects(), "INVITE");
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    kit.request(ALICE, "BYE", &[], b"");
    kit.respond(invite, 200, &sdp("carol", 1, 8000));
    kit.respond(forwarded, 487, b"");
    kit.take_effects();
    kit.advance(4_000);
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("bob", 7, 6000));
    assert!(acknowledged(&kit.take_effects(), invite).is_some());
    assert_eq!(report(&mut kit)["phase"], "up");
}

#[test]
fn the_referrer_hears_that_the_call_ended_first() {
    for by_phone in [true, false] {
        let mut kit = up();
        refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
        if by_phone {
            kit.request(BOB, "BYE", &[], b"");
        } else {
            kit.http("DELETE", CALL);
        }
        let effects = kit.take_effects();
        let over = ("terminated;reason=noresource".to_string(), "SIP/2.0 487 Request Terminated".to_string());
        assert_eq!(notifies(&effects, ALICE), [over]);
        let is_notify = |effect: &Effect| matches!(effect, Effect::Request { method, .. } if method == "NOTIFY");
        let is_farewell = |effect: &Effect| matches!(effect, Effect::Release { leg: ALICE, .. });
        assert!(effects.iter().position(is_notify) < effects.iter().position(is_farewell), "{effects:?}");
    }
}

#[test]
fn the_last_notify_is_authorized_too() {
    let mut kit = up();
    let (_, effects) = refer(&mut kit, ALICE, &[("Refer-To", TO_CAROL)]);
    let (_, invite, _) = called(&effects);
    kit.respond(invite, 486, b"");
    let (notify, ..) = requested(&kit.take_effects(), "NOTIFY");
    kit.respond(notify, 407, b"");
    assert!(matches!(kit.take_effects()[..], [Effect::AnswerChallenge { challenged, .. }] if challenged == notify));
    assert_eq!(report(&mut kit)["phase"], "up");
}
