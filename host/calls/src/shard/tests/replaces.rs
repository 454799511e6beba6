//! INVITEs of peers that replace a leg (RFC 3891).

use super::bench::{Bench, Outcome, header, sdp};
use super::caller;
use crate::contract::*;
use crate::stage::Stage;
use plugboard_sip::message::{HeaderName, Message, Method, Request, Response};
use std::time::Duration;

/// Answers whoever wants to replace a leg, and lets that go.
fn yielding(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    match event {
        Event::Replacement { leg, replaced, transaction, from, body, headers, .. } => {
            assert_eq!((*replaced, from.uri.as_str()), (LegId(1), "sip:carol@example.org"));
            assert_eq!(from.display_name.as_deref(), Some("Carol"));
            assert!(leg.0 > 1 << 31 && !body.is_empty());
            assert!(headers.iter().any(|field| field.name == "Replaces"));
            let typed = vec![header("Content-Type", "application/sdp")];
            stage.respond(*transaction, 200, String::new(), typed, sdp().to_vec()).expect("staged");
            stage.release(*replaced, vec![]).expect("staged");
            Ok(Some(leg.0.to_string().into_bytes()))
        }
        Event::Request { transaction, method, .. } if method == "INFO" => {
            let leg = LegId(String::from_utf8_lossy(state.expect("a state")).parse().expect("a leg"));
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            stage.request(leg, "MESSAGE".into(), vec![], vec![]).expect("staged");
            stage.release(leg, vec![]).expect("staged");
            Ok(state.map(<[u8]>::to_vec))
        }
        Event::Response(response) if response.method != "INVITE" => Ok(state.map(<[u8]>::to_vec)),
        _ => caller(context, state, event, stage),
    }
}

/// A call that is up, and the Replaces that names its dialog as the phone would.
fn up(script: fn(&Context, Option<&[u8]>, &Event, &mut Stage) -> Outcome) -> (Bench, Request, String) {
    let mut bench = Bench::new(script);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    let replaces = replaces(&invite);
    (bench, invite, replaces)
}

fn replaces(invite: &Request) -> String {
    let call_id = invite.headers.get_str(&HeaderName::CallId).expect("a Call-ID");
    format!("{call_id};to-tag={};from-tag=phone", invite.headers.from_tag().expect("our tag"))
}

fn carol(replaces: &str) -> impl Fn(&mut Request) {
    move |invite| {
        invite.headers.set(HeaderName::From, "\"Carol\" <sip:carol@example.org>;tag=c");
        invite.headers.set(HeaderName::CallId, "carols");
        invite.headers.push(HeaderName::Contact, "<sip:carol@127.0.0.1:5080>");
        invite.headers.push(HeaderName::Require, "replaces");
        invite.headers.push(HeaderName::Replaces, replaces);
        invite.headers.push(HeaderName::ContentType, "application/sdp");
        invite.body = sdp().into();
    }
}

fn final_response(bench: &mut Bench) -> Response {
    let sent = bench.sent().into_iter().filter_map(|message| match message {
        Message::Response(response) if response.status.is_final() => Some(response),
        _ => None,
    });
    sent.last().expect("a final response")
}

/// A request of Carol's inside the dialog that a 2xx made.
fn inside(ok: &Response, method: Method, cseq: u32) -> impl FnOnce(&mut Request) {
    let to = ok.headers.get(&HeaderName::To).cloned().expect("a To");
    move |request| {
        request.headers.set(HeaderName::From, "<sip:carol@example.org>;tag=c");
        request.headers.set(HeaderName::To, to);
        request.headers.set(HeaderName::CallId, "carols");
        request.headers.set(HeaderName::CSeq, format!("{cseq} {method}"));
    }
}

#[test]
fn a_phone_takes_the_place_of_another_and_both_dialogs_are_the_hosts() {
    let (mut bench, _, replaces) = up(yielding);
    bench.stranger_with("INVITE", "", carol(&replaces));
    let sent = bench.sent();
    let bye = sent.iter().find_map(|message| match message {
        Message::Request(request) if request.method == Method::Bye => Some(request.clone()),
        _ => None,
    });
    let ok = sent.into_iter().find_map(|message| match message {
        Message::Response(response) if response.status.code() == 200 => Some(response),
        _ => None,
    });
    let (bye, ok) = (bye.expect("the replaced leg is released"), ok.expect("the new one is answered"));
    assert!(ok.headers.to_tag().is_some_and(|tag| tag.starts_with("03")), "a tag of this shard");
    assert!(ok.headers.contains(&HeaderName::Contact));
    bench.answer(&bye, 200, "OK", b"");
    bench.stranger_with("ACK", "", inside(&ok, Method::Ack, 1));
    // The guest sends on the new leg, then lets it go.
    bench.stranger_with("INFO", "", inside(&ok, Method::Info, 2));
    let requests = bench.requests();
    let [message, bye] = requests.as_slice() else { panic!("not two: {requests:?}") };
    assert_eq!((&message.method, &bye.method), (&Method::Message, &Method::Bye));
    for request in [message, bye] {
        assert_eq!(request.uri, "sip:carol@127.0.0.1:5080");
        assert_eq!((request.headers.to_tag().as_deref(), request.headers.from_tag()), (Some("c"), ok.headers.to_tag()));
        assert_eq!(request.headers.get_str(&HeaderName::CallId), Some("carols"));
    }
    bench.answer(bye, 200, "OK", b"");
    bench.arrive("DELETE", "/bob");
    bench.run();
    assert!(bench.shard.is_empty());
}

#[test]
fn a_bye_waits_for_the_ack_of_the_2xx_that_opened_the_leg() {
    for acknowledged in [true, false] {
        let (mut bench, _, replaces) = up(yielding);
        bench.stranger_with("INVITE", "", carol(&replaces));
        let sent = bench.sent();
        let find = |message: &Message| match message {
            Message::Response(response) if response.status.code() == 200 => Some(response.clone()),
            _ => None,
        };
        let ok = sent.iter().find_map(find).expect("a 2xx");
        bench.arrive("DELETE", "/bob");
        bench.run();
        assert!(!bench.requests().iter().any(|request| request.method == Method::Bye), "RFC 3261 section 15");
        if acknowledged {
            bench.stranger_with("ACK", "", inside(&ok, Method::Ack, 1));
        } else {
            bench.pass(Duration::from_secs(33));
        }
        let byes = bench.requests().into_iter().filter(|request| request.method == Method::Bye);
        assert!(
            byes.into_iter().any(|bye| bye.headers.to_tag().as_deref() == Some("c")),
            "acknowledged: {acknowledged}"
        );
        bench.pass(Duration::from_secs(70));
        assert!(bench.shard.is_empty());
    }
}

#[test]
fn what_names_no_dialog_that_may_be_replaced_is_refused() {
    let (mut bench, invite, replaces) = up(yielding);
    let tag = invite.headers.from_tag().expect("our tag");
    for (wanted, status) in [
        (replaces.replace("phone", "other"), 481),
        (replaces.replace(tag.as_str(), "030123456789abcdef"), 481),
        (format!("x{replaces}"), 481),
        (format!("{replaces};early-only"), 486),
        ("nonsense".to_owned(), 400),
    ] {
        bench.stranger_with("INVITE", "", carol(&wanted));
        assert_eq!(final_response(&mut bench).status.code(), status, "{wanted}");
    }
    let elsewhere = "192.0.2.9:5060".parse().expect("an address");
    bench.stranger_from(elsewhere, "INVITE", carol(&replaces));
    assert_eq!(final_response(&mut bench).status.code(), 481, "from where the call has sent nothing");
    assert!(bench.requests().is_empty(), "nothing came of any of them");
}

#[test]
fn a_ringing_leg_may_be_replaced_and_one_that_is_over_may_not() {
    let mut bench = Bench::new(yielding);
    let invite = bench.place("/bob");
    bench.answer(&invite, 180, "Ringing", b"");
    bench.stranger_with("INVITE", "", carol(&format!("{};early-only", replaces(&invite))));
    let sent = bench.sent();
    let is_cancel =
        |message: &Message| matches!(message, Message::Request(request) if request.method == Method::Cancel);
    assert!(sent.iter().any(is_cancel), "{sent:?}");
    bench.stranger_with("INVITE", "", |invite_again| {
        carol(&replaces(&invite))(invite_again);
        invite_again.headers.set(HeaderName::CallId, "late");
    });
    assert_eq!(final_response(&mut bench).status.code(), 603);
}

#[test]
fn a_guest_that_does_not_know_of_it_or_breaks_down_costs_the_newcomer_only() {
    for (script, status) in [
        (caller as fn(&Context, Option<&[u8]>, &Event, &mut Stage) -> Outcome, 488),
        (
            |context, state, event, stage| match event {
                Event::Replacement { .. } => Err(crate::logic::Breakdown::Trap("unreachable".into())),
                _ => caller(context, state, event, stage),
            },
            500,
        ),
    ] {
        let (mut bench, invite, replaces) = up(script);
        bench.stranger_with("INVITE", "", carol(&replaces));
        assert_eq!(final_response(&mut bench).status.code(), status);
        bench.phone_sends(&invite, Method::Info, 1, b"");
        assert_eq!(bench.responses(), [200], "the call goes on");
    }
}

#[test]
fn a_newcomer_that_gives_up_is_answered_by_the_host() {
    let (mut bench, _, replaces) = up(|context, state, event, stage| match event {
        Event::Replacement { transaction, .. } => {
            stage.respond(*transaction, 180, String::new(), vec![], vec![]).expect("staged");
            Ok(state.map(<[u8]>::to_vec))
        }
        Event::Cancel { leg, .. } => {
            assert!(leg.0 > 1 << 31);
            Ok(state.map(<[u8]>::to_vec))
        }
        _ => caller(context, state, event, stage),
    });
    let same_branch =
        |invite: &mut Request| invite.headers.set(HeaderName::Via, "SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKc");
    bench.stranger_with("INVITE", "", |invite| {
        carol(&replaces)(invite);
        same_branch(invite);
    });
    assert!(bench.responses().contains(&180));
    let mut cancel = None;
    bench.stranger_with("CANCEL", "", |request| {
        request.headers.set(HeaderName::CallId, "carols");
        same_branch(request);
        cancel = Some(request.clone());
    });
    assert!(bench.shard.knows_invite_of(&cancel.expect("sent")));
    let mut statuses = bench.responses();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
}
