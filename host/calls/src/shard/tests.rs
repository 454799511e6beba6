//! The shard against scripted guests and phones, on a jumped clock.

mod bench;
mod consultation;
mod credentials;
mod failover;
mod late;
mod limits;
mod reliable;
mod replaces;
mod routing;
mod sessions;

use super::*;
use crate::logic::Breakdown;
use crate::stage::Stage;
use bench::{Bench, header, sdp};
use plugboard_sip::message::{HeaderName, Message, Method, Request};
use std::time::Duration;

/// A guest that calls the path's user, acknowledges its 2xx, and hangs up on DELETE.
pub fn caller(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> bench::Outcome {
    let state = state.map(<[u8]>::to_vec);
    match event {
        Event::Http { exchange, request } => {
            let answer = |status| HttpResponse { status, headers: vec![], body: state.clone().unwrap_or_default() };
            match request.method.as_str() {
                "POST" => {
                    stage.act_as("alice").map_err(|_| Breakdown::Trap("denied".into()))?;
                    let started = stage.call(bench::invite(&request.path)).expect("staged");
                    stage.http_respond(*exchange, answer(200)).expect("staged");
                    return Ok(Some(started.call_id.into_bytes()));
                }
                "DELETE" => {
                    stage.release(LegId(1), vec![header("Reason", "SIP;cause=200")]).expect("staged");
                    stage.http_respond(*exchange, answer(200)).expect("staged");
                    return Ok(None);
                }
                _ => stage.http_respond(*exchange, answer(if context.ended_by_host.is_some() { 410 } else { 200 })),
            }
            .expect("staged");
        }
        Event::Response(response) if response.method == "INVITE" && (200..300).contains(&response.status) => {
            stage.ack(response.transaction, vec![], vec![]).expect("staged");
        }
        Event::Response(response) if response.answerable => {
            stage.answer_challenge(response.transaction).expect("staged");
        }
        Event::Response(response) if response.method == "INVITE" && response.status >= 300 => return Ok(None),
        Event::Request { transaction, method, .. } => {
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            if method == "BYE" {
                return Ok(None);
            }
        }
        Event::Failure { .. } => return Ok(None),
        _ => {}
    }
    Ok(state)
}

#[test]
fn nothing_leaves_before_the_commit_and_then_the_answer_and_the_invite_do() {
    let mut bench = Bench::new(caller);
    bench.arrive("POST", "/bob");
    assert!(bench.sent().is_empty() && bench.answers().is_empty(), "the guest has not run yet");
    bench.run();
    assert_eq!(bench.answers(), [200]);
    let invite = bench.request(Method::Invite);
    assert_eq!(invite.uri, "sip:bob@127.0.0.1:5080");
    assert_eq!(invite.headers.get_str(&HeaderName::CSeq), Some("1 INVITE"));
    assert_eq!(invite.headers.get_str(&HeaderName::Contact), Some("<sip:alice@127.0.0.1:5060>"));
    assert!(invite.headers.get_str(&HeaderName::From).is_some_and(|from| from.starts_with("\"Alice\" <sip:alice@")));
}

#[test]
fn an_event_that_breaks_down_sends_nothing_and_answers_for_the_guest() {
    let mut bench = Bench::new(|context, state, event, stage| {
        caller(context, state, event, stage)?;
        Err(Breakdown::Trap("unreachable".into()))
    });
    bench.arrive("POST", "/bob");
    bench.run();
    assert_eq!(bench.answers(), [500]);
    assert!(bench.sent().is_empty());
    assert!(bench.shard.is_empty(), "no call is left of it");
}

#[test]
fn a_call_goes_up_and_down_by_either_side() {
    for by_phone in [true, false] {
        let mut bench = Bench::new(caller);
        let invite = bench.place("/bob");
        bench.answer(&invite, 180, "Ringing", b"");
        bench.answer(&invite, 200, "OK", sdp());
        let ack = bench.request(Method::Ack);
        assert_eq!(ack.headers.get_str(&HeaderName::CSeq), Some("1 ACK"));
        assert!(ack.headers.to_tag().is_some());
        if by_phone {
            bench.phone_sends(&invite, Method::Bye, 1, b"");
            assert_eq!(bench.responses(), [200]);
        } else {
            bench.arrive("DELETE", "/bob");
            bench.run();
            let bye = bench.request(Method::Bye);
            assert_eq!(bye.headers.get_str(&HeaderName::Reason), Some("SIP;cause=200"));
            bench.answer(&bye, 200, "OK", b"");
        }
        assert!(bench.shard.is_empty(), "by_phone: {by_phone}");
    }
}

#[test]
fn a_guest_that_ends_a_call_with_a_leg_ringing_has_it_cancelled_once_a_provisional_came() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.arrive("DELETE", "/bob");
    bench.run();
    assert!(bench.sent().is_empty(), "RFC 3261 section 9.1: held back");
    bench.answer(&invite, 180, "Ringing", b"");
    let cancel = bench.request(Method::Cancel);
    bench.answer(&cancel, 200, "OK", b"");
    bench.answer(&invite, 487, "Request Terminated", b"");
    assert_eq!(bench.request(Method::Ack).headers.get_str(&HeaderName::CSeq), Some("1 ACK"));
    assert!(bench.shard.is_empty());
}

#[test]
fn a_2xx_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 180, "Ringing", b"");
    bench.arrive("DELETE", "/bob");
    bench.run();
    bench.request(Method::Cancel);
    bench.answer(&invite, 200, "OK", sdp());
    let methods: Vec<Method> = bench.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
}

#[test]
fn a_2xx_that_the_guest_leaves_without_ack_costs_the_call() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Response(_) => Ok(state.map(<[u8]>::to_vec)),
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.pass(Duration::from_secs(31));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_secs(2));
    let methods: Vec<Method> = bench.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods[..2], [Method::Ack, Method::Bye]);
    assert_eq!(bench.answers(), [200], "of the POST");
    bench.arrive("GET", "/bob");
    bench.run();
    assert_eq!(bench.answers(), [410], "the guest can tell how it ended");
    bench.pass(Duration::from_secs(200));
    assert!(bench.shard.is_empty());
}

#[test]
fn an_event_of_the_network_that_breaks_down_is_tried_again_and_then_the_host_ends_the_call() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Response(response) if response.status == 200 => Err(Breakdown::Deadline(50)),
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_secs(2));
    let methods: Vec<Method> = bench.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods[..2], [Method::Ack, Method::Bye]);
    assert_eq!(bench.tenant.counters.events_broken.value(), 3);
    assert_eq!(bench.tenant.counters.calls_ended_by_host.value(), 1);
}

#[test]
fn a_bye_is_answered_for_a_guest_that_breaks_down() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Request { .. } => Err(Breakdown::Trap("unreachable".into())),
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.phone_sends(&invite, Method::Bye, 1, b"");
    assert_eq!(bench.responses(), [200]);
}

#[test]
fn a_request_that_waits_gets_487_when_the_phone_hangs_up() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Request { method, .. } if method == "INVITE" => Ok(state.map(<[u8]>::to_vec)),
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.phone_sends(&invite, Method::Invite, 1, sdp());
    assert!(bench.responses().iter().all(|status| *status == 100));
    bench.phone_sends(&invite, Method::Bye, 2, b"");
    assert_eq!(bench.responses(), [487, 200]);
}

#[test]
fn a_tenant_that_was_removed_takes_no_call_and_ends_what_is_up() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.answers();
    bench.tenant.remove();
    bench.arrive("POST", "/carol");
    assert_eq!(bench.answers(), [503]);
    bench.shard.end_calls(bench.now, EndingReason::TenantRemoved, |tenant, _| tenant.is_removed(), &mut bench.out);
    bench.run();
    bench.request(Method::Bye);
}

#[test]
fn a_request_that_waits_when_the_call_ends_is_about_what_comes_after() {
    let mut bench = Bench::new(caller);
    bench.place("/bob");
    bench.answers();
    bench.arrive("DELETE", "/bob");
    bench.arrive("GET", "/bob");
    bench.run();
    assert_eq!(bench.answers(), [200, 200]);
}

#[test]
fn a_request_for_a_dialog_of_someone_else_gets_481() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.phone_sends_as(&invite, "other-tag", Method::Bye, 1);
    assert_eq!(bench.responses(), [481]);
    bench.phone_sends(&invite, Method::Info, 5, b"");
    bench.phone_sends(&invite, Method::Info, 4, b"");
    assert_eq!(bench.responses(), [200, 500], "RFC 3261 section 12.2.2: out of order");
}

#[test]
fn a_second_fork_is_acknowledged_and_ended_and_the_first_stays() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.answer_as(&invite, "fork", 200, "OK", sdp());
    let requests = bench.requests();
    let seen: Vec<_> = requests.iter().map(|r| (r.method.clone(), r.headers.to_tag())).collect();
    assert_eq!(seen, [(Method::Ack, Some("fork".into())), (Method::Bye, Some("fork".into()))]);
    bench.phone_sends(&invite, Method::Info, 1, b"");
    assert_eq!(bench.responses(), [200]);
}

#[test]
fn requests_outside_any_dialog_are_answered_without_a_guest() {
    let mut bench = Bench::new(|_, _, _, _| panic!("no guest"));
    for (method, status) in [("OPTIONS", 200), ("INVITE", 404), ("REGISTER", 405), ("FROBNICATE", 501)] {
        bench.stranger(method, "");
        assert_eq!(bench.responses(), [status], "{method}");
    }
    bench.stranger("BYE", ";tag=00ffffffffffffffff");
    assert_eq!(bench.responses(), [481]);
    bench.stranger("ACK", "");
    assert_eq!(bench.responses(), []);
}

#[test]
fn what_strangers_ask_for_and_is_not_served_is_named() {
    let mut bench = Bench::new(|_, _, _, _| panic!("no guest"));
    let mut ask = |method: &str, change: fn(&mut Request), field: HeaderName| {
        bench.stranger_with(method, "", change);
        let mut sent = bench.sent();
        let Some(Message::Response(response)) = sent.pop() else { panic!("no response: {sent:?}") };
        assert!(sent.is_empty(), "one response");
        (response.status.code(), response.headers.get_str(&field).unwrap_or_default().to_owned())
    };
    let odd_scheme = |request: &mut Request| request.uri = "soap.beep://192.0.2.103:3002".into();
    assert_eq!(ask("OPTIONS", odd_scheme, HeaderName::Unsupported).0, 416);
    assert_eq!(ask("FROBNICATE", odd_scheme, HeaderName::Unsupported).0, 501, "the method comes first");
    let extensions = |request: &mut Request| request.headers.push(HeaderName::Require, "one,two");
    assert_eq!(ask("INVITE", extensions, HeaderName::Unsupported), (420, "one, two".to_owned()));
    let body = |request: &mut Request| {
        request.headers.push(HeaderName::ContentType, "application/x-odd");
        request.body = "odd".into();
    };
    assert_eq!(ask("INVITE", body, HeaderName::Accept), (415, "application/sdp, message/sipfrag".to_owned()));
    let encoding = |request: &mut Request| {
        request.headers.push(HeaderName::ContentType, "application/sdp");
        request.headers.push(HeaderName::ContentEncoding, "gzip");
        request.body = "odd".into();
    };
    assert_eq!(ask("INVITE", encoding, HeaderName::AcceptEncoding), (415, "identity".to_owned()));
}

#[test]
fn a_call_over_the_tenants_limit_is_refused_and_nothing_is_sent() {
    let mut bench = Bench::new(caller);
    for n in 0..bench::CALLS_MAX {
        bench.place(&format!("/bob{n}"));
    }
    bench.answers();
    bench.arrive("POST", "/one-more");
    bench.run();
    assert_eq!(bench.answers(), [503]);
    assert!(bench.requests().is_empty());
}

#[test]
fn a_full_queue_answers_503_and_loses_no_event_before_it() {
    let mut bench = Bench::new(caller);
    bench.place("/bob");
    bench.answers();
    let bound = bench.tenant.settings().limits.events_queued_per_call;
    for _ in 0..bound + 1 {
        bench.arrive("GET", "/bob");
    }
    assert_eq!(bench.answers(), [503]);
    bench.run();
    assert_eq!(bench.answers(), vec![200; bound]);
}

#[test]
fn a_full_queue_has_room_for_what_comes_once() {
    let fill = |bench: &mut Bench| {
        let bound = bench.tenant.settings().limits.events_queued_per_call;
        (0..bound + 1).for_each(|_| bench.arrive("GET", "/bob"));
    };
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answers();
    fill(&mut bench);
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    bench.answers();
    fill(&mut bench);
    bench.phone_sends(&invite, Method::Info, 1, b"");
    assert_eq!(bench.responses(), [503]);
    fill(&mut bench);
    bench.phone_sends(&invite, Method::Bye, 2, b"");
    assert_eq!(bench.responses(), [200]);
    assert!(bench.shard.is_empty(), "the guest heard of it, and the call is over");
}

#[test]
fn the_same_seed_and_inputs_give_the_same_messages() {
    let trace = || {
        let mut bench = Bench::new(caller);
        let invite = bench.place("/bob");
        bench.answer(&invite, 200, "OK", sdp());
        bench.phone_sends(&invite, Method::Bye, 1, b"");
        bench.everything
    };
    assert_eq!(trace(), trace());
}

#[test]
fn an_operator_ends_a_call_and_the_guest_hears_of_it() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Ending(reason) => {
            assert_eq!(*reason, EndingReason::Operator);
            stage.release(LegId(1), vec![header("Reason", "SIP;cause=487")]).expect("staged");
            Ok(None)
        }
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    assert!(bench.end("/bob"));
    let bye = bench.request(Method::Bye);
    assert_eq!(bye.headers.get_str(&HeaderName::Reason), Some("SIP;cause=487"));
    bench.answer(&bye, 200, "OK", b"");
    assert!(bench.shard.is_empty());
    assert!(!bench.end("/bob"));
}

#[test]
fn a_name_is_looked_up_and_one_without_address_fails_the_request() {
    let mut bench = Bench::new(caller);
    bench.arrive("POST", "/bob@phones.example.com");
    bench.run();
    bench.resolve(&["127.0.0.1:5060"]);
    assert_eq!(bench.request(Method::Invite).uri, "sip:bob@phones.example.com");
    bench.arrive("POST", "/eve@phones.example.com");
    bench.run();
    bench.resolve(&[]);
    assert!(bench.requests().is_empty());
    assert_eq!(bench.shard.calls(bench.now).len(), 1, "the second call is over");
}

#[test]
fn messages_are_remembered_for_the_ladder_after_the_call() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.phone_sends(&invite, Method::Bye, 1, b"");
    let key = CallKey::new("/bob".into()).expect("a key");
    let (summary, history) = bench.shard.history("example.com", &key, bench.now).expect("remembered");
    assert!(summary.ended.is_some());
    let lines: Vec<String> = history.messages().iter().map(bench::line).collect();
    assert_eq!(lines, ["> INVITE", "< 200 INVITE", "> ACK", "< BYE", "> 200 BYE"]);
}

#[test]
fn a_call_moves_only_when_the_new_version_accepts_its_state() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    let (picky, generous) = (bench.version(Err(Breakdown::Limit("test"))), bench.version(Ok(b"moved".to_vec())));
    assert_eq!(bench.move_calls(&picky), [false]);
    assert_eq!(bench.shard.calls_on(&picky), 0);
    bench.phone_sends(&invite, Method::Info, 1, b"");
    assert_eq!(bench.responses(), [200], "on the version it began with");
    assert_eq!(bench.move_calls(&generous), [true]);
    assert_eq!(bench.shard.calls_on(&generous), 1);
    assert!(bench.move_calls(&generous).is_empty(), "it is there already");
    bench.phone_sends(&invite, Method::Bye, 2, b"");
    assert_eq!(bench.responses(), [200], "on the version it moved to");
    assert!(bench.shard.is_empty());
}

#[test]
fn events_that_come_during_a_move_wait_for_it() {
    let mut bench = Bench::new(caller);
    bench.place("/bob");
    bench.answers();
    let to = bench.version(Ok(b"moved".to_vec()));
    let call = bench.shard.calls_that(|_, logic| !Arc::ptr_eq(logic, &to))[0];
    let moving = bench.shard.begin_move(call, to.clone()).expect("nothing runs");
    assert_eq!(bench.shard.begin_move(call, to).err(), Some(MoveError::Running));
    bench.arrive("GET", "/bob");
    bench.run();
    assert!(bench.answers().is_empty());
    bench.finish_move(moving.run());
    assert_eq!(bench.answers(), [200]);
}
