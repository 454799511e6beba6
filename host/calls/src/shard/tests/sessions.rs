//! Session timers (RFC 4028) and UPDATE (RFC 3311).

use super::bench::{Bench, Outcome, sdp};
use super::caller;
use crate::contract::*;
use crate::stage::Stage;
use plugboard_sip::message::{HeaderName, Message, Method, Request};
use std::time::Duration;

/// A call whose INVITE asked for a session of 1,800 s, and got this Session-Expires and Allow.
fn up(
    script: fn(&Context, Option<&[u8]>, &Event, &mut Stage) -> Outcome,
    expires: &str,
    allow: &str,
) -> (Bench, Request) {
    let mut bench = Bench::new(script);
    bench.ask_for_sessions(1_800);
    let invite = bench.place("/bob+sdp");
    assert_eq!(invite.headers.get_str(&HeaderName::SessionExpires), Some("1800"));
    assert!(invite.headers.lists_token(&HeaderName::Supported, "timer"));
    bench.answer_with(&invite, 200, sdp(), &[(HeaderName::SessionExpires, expires), (HeaderName::Allow, allow)]);
    bench.request(Method::Ack);
    (bench, invite)
}

fn fields(bench: &mut Bench) -> Vec<(u16, String, String)> {
    let field = |response: &plugboard_sip::message::Response, name| {
        response.headers.get_str(&name).unwrap_or_default().to_owned()
    };
    let sent = bench.sent().into_iter().filter_map(|message| match message {
        Message::Response(r) => {
            Some((r.status.code(), field(&r, HeaderName::SessionExpires), field(&r, HeaderName::RetryAfter)))
        }
        Message::Request(_) => None,
    });
    sent.collect()
}

/// Ends the call when its session does; never hears of a refresh.
fn listener(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    match event {
        Event::Failure { leg, method, reason, .. } => {
            assert_eq!((*leg, method.as_str(), *reason), (LegId(1), "BYE", FailureReason::SessionExpired));
            stage.release(LegId(1), vec![]).expect("staged");
            Ok(None)
        }
        Event::Request { method, .. } if method == "UPDATE" => panic!("an UPDATE without offer is the host's"),
        Event::Response(response) => {
            assert!(!matches!(response.method.as_str(), "UPDATE" | "PRACK"), "not the guest's: {response:?}");
            assert!(
                response.headers.iter().all(|field| !field.name.contains("Session") && !field.value.contains("timer"))
            );
            caller(context, state, event, stage)
        }
        _ => caller(context, state, event, stage),
    }
}

#[test]
fn a_session_is_refreshed_by_update_at_half_time_again_and_again() {
    let (mut bench, _) = up(listener, "1800;refresher=uac", "INVITE, UPDATE");
    for _ in 0..3 {
        bench.pass(Duration::from_secs(899));
        assert!(bench.sent().is_empty());
        bench.pass(Duration::from_secs(1));
        let update = bench.request(Method::Update);
        assert!(update.body.is_empty());
        assert_eq!(update.headers.get_str(&HeaderName::SessionExpires), Some("1800;refresher=uac"));
        bench.answer_with(&update, 200, b"", &[(HeaderName::SessionExpires, "1800;refresher=uac")]);
    }
    assert_eq!(bench.shard.calls(bench.now).len(), 1);
}

#[test]
fn without_update_the_session_is_refreshed_by_a_re_invite_with_what_was_described() {
    let (mut bench, invite) = up(listener, "1800;refresher=uac", "INVITE");
    bench.pass(Duration::from_secs(900));
    let again = bench.request(Method::Invite);
    assert_eq!((again.body.as_ref(), invite.body.as_ref()), (sdp(), sdp()));
    assert_eq!(again.headers.get_str(&HeaderName::ContentType), Some("application/sdp"));
    // While it is under way the phone's own INVITE meets it.
    bench.phone_sends(&invite, Method::Invite, 1, sdp());
    assert!(bench.responses().contains(&491));
    bench.answer_with(&again, 200, sdp(), &[(HeaderName::SessionExpires, "1800;refresher=uac")]);
    bench.request(Method::Ack);
    bench.phone_sends(&invite, Method::Info, 2, b"");
    assert_eq!(bench.responses(), [200]);
}

#[test]
fn a_phone_that_no_more_takes_update_is_refreshed_by_re_invite_and_a_491_is_tried_again() {
    let (mut bench, _) = up(listener, "1800;refresher=uac", "UPDATE");
    bench.pass(Duration::from_secs(900));
    let update = bench.request(Method::Update);
    bench.answer(&update, 501, "Not Implemented", b"");
    bench.pass(Duration::ZERO);
    let invite = bench.request(Method::Invite);
    bench.answer(&invite, 491, "Request Pending", b"");
    bench.sent();
    bench.pass(Duration::from_millis(2_050));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_secs(2));
    let again = bench.requests().into_iter().find(|request| request.method == Method::Invite).expect("tried again");
    bench.answer_with(&again, 200, sdp(), &[(HeaderName::SessionExpires, "1800;refresher=uac")]);
    bench.request(Method::Ack);
}

#[test]
fn a_session_that_nobody_refreshes_ends_with_a_bye_and_the_guest_hears_of_it() {
    let (mut bench, _) = up(listener, "1800;refresher=uas", "INVITE");
    bench.pass(Duration::from_secs(1_767));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_secs(1));
    let bye = bench.request(Method::Bye);
    assert!(bye.headers.get_str(&HeaderName::Reason).is_some_and(|reason| reason.contains("408")));
    bench.answer(&bye, 200, "OK", b"");
    assert!(bench.shard.is_empty());
}

#[test]
fn a_refresh_that_says_the_dialog_is_gone_or_that_gets_no_answer_ends_the_leg() {
    for answered in [true, false] {
        let (mut bench, _) = up(listener, "90;refresher=uac", "UPDATE");
        bench.pass(Duration::from_secs(45));
        let update = bench.request(Method::Update);
        if answered {
            bench.answer(&update, 481, "Call Does Not Exist", b"");
        } else {
            bench.pass(Duration::from_secs(33));
        }
        let methods: Vec<Method> = bench.requests().into_iter().map(|request| request.method).collect();
        assert!(methods.contains(&Method::Bye), "{methods:?}");
        bench.pass(Duration::from_secs(40));
        assert!(bench.shard.is_empty());
    }
}

#[test]
fn the_peers_refresh_is_answered_by_the_host_and_keeps_the_session() {
    let (mut bench, invite) = up(listener, "1800;refresher=uas", "UPDATE");
    for cseq in 1..4 {
        bench.pass(Duration::from_secs(900));
        bench.phone_sends_with(&invite, Method::Update, cseq, |update| {
            update.headers.push(HeaderName::Supported, "timer");
            update.headers.push(HeaderName::SessionExpires, "1800;refresher=uac");
        });
        assert_eq!(fields(&mut bench), [(200, "1800;refresher=uac".into(), String::new())]);
    }
    bench.phone_sends_with(&invite, Method::Update, 5, |update| {
        update.headers.push(HeaderName::Supported, "timer");
        update.headers.push(HeaderName::SessionExpires, "30");
    });
    let Some(Message::Response(refusal)) = bench.sent().pop() else { panic!("no response") };
    assert_eq!((refusal.status.code(), refusal.headers.get_str(&HeaderName::MinSe)), (422, Some("90")));
    bench.pass(Duration::from_secs(1_768));
    bench.request(Method::Bye);
}

#[test]
fn a_re_invite_of_the_peer_that_the_guest_accepts_refreshes_the_session_too() {
    let (mut bench, invite) = up(caller, "1800;refresher=uas", "UPDATE");
    bench.pass(Duration::from_secs(1_000));
    bench.phone_sends_with(&invite, Method::Invite, 1, |invite| {
        invite.headers.push(HeaderName::Supported, "timer");
        invite.headers.push(HeaderName::SessionExpires, "600;refresher=uac");
        invite.body = sdp().into();
    });
    let answer = fields(&mut bench).pop();
    assert_eq!(answer, Some((200, "600;refresher=uac".into(), String::new())));
    bench.phone_sends(&invite, Method::Ack, 1, b"");
    bench.pass(Duration::from_secs(500));
    assert!(bench.requests().is_empty());
    bench.pass(Duration::from_secs(68));
    bench.request(Method::Bye);
}

#[test]
fn a_422_is_followed_by_the_host_and_the_guest_hears_of_the_answer_only() {
    let mut bench = Bench::new(listener);
    bench.ask_for_sessions(90);
    let invite = bench.place("/bob+sdp");
    bench.answer_with(&invite, 422, b"", &[(HeaderName::MinSe, "3600")]);
    let again = bench.request(Method::Invite);
    assert_eq!(again.headers.get_str(&HeaderName::SessionExpires), Some("3600"));
    assert_eq!(again.headers.get_str(&HeaderName::MinSe), Some("3600"));
    assert_eq!(again.headers.get_str(&HeaderName::CSeq), Some("2 INVITE"));
    bench.answer_with(&again, 200, sdp(), &[(HeaderName::SessionExpires, "3600;refresher=uac")]);
    assert_eq!(bench.request(Method::Ack).headers.get_str(&HeaderName::CSeq), Some("2 ACK"));
    bench.pass(Duration::from_secs(1_800));
    bench.request(Method::Invite);
}

#[test]
fn a_call_that_is_given_up_while_a_422_is_followed_does_not_ring() {
    let mut bench = Bench::new(caller);
    bench.ask_for_sessions(90);
    bench.arrive("POST", "/bob@phones.example");
    bench.run();
    bench.resolve(&["192.0.2.1:5060"]);
    let invite = bench.request(Method::Invite);
    bench.answer_with(&invite, 422, b"", &[(HeaderName::MinSe, "3600")]);
    assert!(bench.requests().iter().all(|request| request.method == Method::Ack));
    bench.arrive("DELETE", "/bob@phones.example");
    bench.run();
    bench.resolve(&["192.0.2.1:5060"]);
    assert!(bench.requests().is_empty(), "nobody waits for the answer");
    assert!(bench.shard.is_empty());
}

#[test]
fn a_422_again_and_again_is_not_followed_for_ever() {
    let mut bench = Bench::new(caller);
    bench.ask_for_sessions(90);
    let mut invite = bench.place("/bob");
    for min_se in ["100", "200"] {
        bench.answer_with(&invite, 422, b"", &[(HeaderName::MinSe, min_se)]);
        invite = bench.request(Method::Invite);
    }
    bench.answer_with(&invite, 422, b"", &[(HeaderName::MinSe, "300")]);
    assert!(bench.requests().iter().all(|request| request.method == Method::Ack));
    assert!(bench.shard.is_empty(), "the guest was told, and gave up");
}

/// Leaves the peer's INVITEs and UPDATEs unanswered, and sends an UPDATE or INVITE with an offer at an INFO.
fn slow(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    let keep = Ok(state.map(<[u8]>::to_vec));
    match event {
        Event::Request { method, .. } if matches!(method.as_str(), "INVITE" | "UPDATE") => keep,
        Event::Response(response) if response.status >= 300 => keep,
        Event::Request { transaction, method, body, .. } if method == "INFO" => {
            let typed = vec![super::header("Content-Type", "application/sdp")];
            let method = String::from_utf8_lossy(body).into_owned();
            stage.request(LegId(1), method, typed, sdp().to_vec()).expect("staged");
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            keep
        }
        _ => caller(context, state, event, stage),
    }
}

#[test]
fn offers_that_meet_are_refused_by_the_host() {
    let offer = |bench: &mut Bench, invite: &Request, method: Method, cseq: u32| {
        bench.phone_sends(invite, method, cseq, sdp());
        fields(bench).into_iter().rfind(|(status, ..)| *status > 100)
    };
    // Its own request still waits: 500 with Retry-After (RFC 3311 §5.2, RFC 3261 §14.2).
    for first in [Method::Invite, Method::Update] {
        let (mut bench, invite) = up(slow, "", "UPDATE");
        assert_eq!(offer(&mut bench, &invite, first, 1), None);
        for (cseq, method) in [(2, Method::Invite), (3, Method::Update)] {
            let (status, _, retry_after) = offer(&mut bench, &invite, method, cseq).expect("an answer");
            assert_eq!(status, 500);
            assert!(retry_after.parse::<u8>().is_ok_and(|seconds| seconds <= 10), "{retry_after}");
        }
    }
    // Ours is under way: 491.
    for ours in ["INVITE", "UPDATE"] {
        let (mut bench, invite) = up(slow, "", "UPDATE");
        bench.phone_sends(&invite, Method::Info, 1, ours.as_bytes());
        let request = bench.requests().into_iter().find(|request| request.method.as_str() == ours).expect("sent");
        for (cseq, method) in [(2, Method::Invite), (3, Method::Update)] {
            assert_eq!(offer(&mut bench, &invite, method, cseq).map(|(status, ..)| status), Some(491));
        }
        bench.phone_sends(&invite, Method::Update, 4, b"");
        assert_eq!(fields(&mut bench).first().map(|(status, ..)| *status), Some(200), "it offers nothing");
        bench.answer(&request, 488, "Not Acceptable Here", b"");
        bench.sent();
        assert_eq!(offer(&mut bench, &invite, Method::Update, 5), None, "nothing is in the way any more");
    }
}

#[test]
fn a_guest_cannot_send_an_invite_into_another_one() {
    let (mut bench, invite) = up(
        |context, state, event, stage| match event {
            Event::Request { transaction, method, .. } if method == "INFO" => {
                let request = |stage: &mut Stage| stage.request(LegId(1), "INVITE".into(), vec![], vec![]);
                stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
                request(stage).expect("the first");
                assert_eq!(request(stage), Err(StageError::WrongState));
                Ok(state.map(<[u8]>::to_vec))
            }
            Event::Request { method, .. } if method == "MESSAGE" => {
                assert_eq!(stage.request(LegId(1), "INVITE".into(), vec![], vec![]), Err(StageError::WrongState));
                Ok(Some(b"refused".to_vec()))
            }
            _ => caller(context, state, event, stage),
        },
        "",
        "",
    );
    bench.phone_sends(&invite, Method::Info, 1, b"");
    bench.request(Method::Invite);
    bench.phone_sends(&invite, Method::Message, 2, b"");
}

#[test]
fn a_target_that_moves_is_followed_and_one_in_a_refused_request_is_not() {
    let (mut bench, invite) = up(slow, "90;refresher=uac", "UPDATE");
    let moved = |uri: &'static str| move |r: &mut Request| r.headers.set(HeaderName::Contact, uri);
    bench.phone_sends_with(&invite, Method::Update, 1, moved("<sip:bob@127.0.0.1:5090>"));
    bench.sent();
    bench.phone_sends(&invite, Method::Info, 2, b"INVITE");
    let ours = bench.request(Method::Invite);
    assert_eq!(ours.uri, "sip:bob@127.0.0.1:5090");
    bench.phone_sends_with(&invite, Method::Invite, 3, moved("<sip:bob@127.0.0.1:5099>"));
    assert!(bench.responses().contains(&491));
    bench.answer(&ours, 488, "Not Acceptable Here", b"");
    bench.sent();
    bench.phone_sends(&invite, Method::Info, 4, b"UPDATE");
    assert_eq!(bench.request(Method::Update).uri, "sip:bob@127.0.0.1:5090");
}
