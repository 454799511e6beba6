//! 2xx that nobody waits for, and requests that go round.

use super::bench::{Bench, Outcome, header, sdp};
use super::caller;
use crate::contract::*;
use crate::stage::Stage;
use plugboard_sip::message::{HeaderName, Method};
use std::time::Duration;

fn methods(bench: &mut Bench) -> Vec<Method> {
    bench.requests().into_iter().map(|request| request.method).collect()
}

#[test]
fn a_2xx_behind_a_timeout_is_acknowledged_and_ended_and_its_repetition_acknowledged() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.pass(Duration::from_secs(60));
    assert!(bench.shard.is_empty(), "the call is over and forgotten");
    bench.sent();
    bench.answer(&invite, 200, "OK", sdp());
    let sent = bench.requests();
    let [ack, bye] = sent.as_slice() else { panic!("not two requests: {sent:?}") };
    assert_eq!((&ack.method, &bye.method), (&Method::Ack, &Method::Bye));
    assert_eq!(ack.headers.get_str(&HeaderName::CSeq), Some("1 ACK"));
    assert!(bye.headers.cseq().is_ok_and(|cseq| cseq.number > 1));
    for request in [ack, bye] {
        assert_eq!(request.uri, "sip:bob@127.0.0.1:5080");
        assert_eq!(request.headers.get(&HeaderName::CallId), invite.headers.get(&HeaderName::CallId));
        assert_eq!(request.headers.from_tag(), invite.headers.from_tag());
        assert_eq!(request.headers.to_tag().as_deref(), Some("phone"));
    }
    bench.answer(&invite, 200, "OK", sdp());
    assert_eq!(methods(&mut bench), [Method::Ack]);
}

#[test]
fn a_2xx_behind_a_failure_is_acknowledged_and_ended() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer_as(&invite, "one", 486, "Busy Here", b"");
    bench.sent();
    bench.answer_as(&invite, "two", 200, "OK", sdp());
    let sent = bench.requests();
    let seen: Vec<_> = sent.iter().map(|r| (r.method.clone(), r.headers.to_tag())).collect();
    assert_eq!(seen, [(Method::Ack, Some("two".into())), (Method::Bye, Some("two".into()))]);
}

#[test]
fn a_2xx_that_was_made_up_gets_nothing() {
    let mut bench = Bench::new(caller);
    let mut invite = bench.place("/bob");
    bench.pass(Duration::from_secs(60));
    bench.sent();
    let via = invite.headers.get_str(&HeaderName::Via).expect("a Via").to_owned();
    let branch = invite.headers.top_via().ok().and_then(|via| via.branch().cloned()).expect("a branch");
    let (start, _) = branch.split_once('.').expect("its number and what cannot be guessed");
    let guessed = via.replace(branch.as_str(), &format!("{start}.0123456789abcdef"));
    invite.headers.set(HeaderName::Via, guessed);
    bench.answer(&invite, 200, "OK", sdp());
    assert!(bench.sent().is_empty());
}

#[test]
fn a_2xx_to_a_re_invite_that_ran_out_of_time_does_not_cost_the_call() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Request { transaction, .. } => {
            stage.request(LegId(1), "INVITE".into(), vec![], vec![]).expect("staged");
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            Ok(state.map(<[u8]>::to_vec))
        }
        Event::Failure { .. } => Ok(state.map(<[u8]>::to_vec)),
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    let by_proxy = [(HeaderName::RecordRoute, "<sip:127.0.0.1:5090;lr>")];
    bench.answer_with(&invite, 200, sdp(), &by_proxy);
    bench.request(Method::Ack);
    bench.phone_sends(&invite, Method::Info, 1, b"");
    let again = bench.request(Method::Invite);
    bench.pass(Duration::from_secs(40));
    bench.sent();
    bench.answer(&again, 200, "OK", sdp());
    let sent = bench.requests();
    let [ack] = &sent[..] else { panic!("not one request: {sent:?}") };
    assert_eq!((&ack.method, ack.headers.get_str(&HeaderName::Route)), (&Method::Ack, Some("<sip:127.0.0.1:5090;lr>")));
    bench.phone_sends(&invite, Method::Info, 2, b"");
    let next = bench.request(Method::Invite).headers.cseq().expect("a CSeq").number;
    assert_eq!(next, again.headers.cseq().expect("a CSeq").number + 1);
}

#[test]
fn a_request_behind_a_call_that_ended_goes_to_the_version_that_is_live() {
    let mut bench = Bench::new(caller);
    bench.place("/bob");
    bench.answers();
    bench.arrive("DELETE", "/bob");
    let newer = bench.version(Ok(Vec::new()));
    bench.go_live(newer.clone());
    bench.arrive("POST", "/bob");
    bench.run();
    assert_eq!(bench.answers(), [200, 200]);
    assert_eq!(bench.shard.calls_on(&newer), 1);
}

/// Calls, and brings an INFO on its way back to the leg that it came from.
fn mirror(context: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    if let Event::Request { leg, transaction, method, .. } = event
        && method != "BYE"
    {
        stage.request(*leg, method.clone(), vec![header("X-Seen", "1")], vec![]).expect("staged");
        stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
        return Ok(state.map(<[u8]>::to_vec));
    }
    caller(context, state, event, stage)
}

#[test]
fn what_comes_of_a_request_may_take_one_hop_less_and_the_last_one_is_refused() {
    let mut bench = Bench::new(mirror);
    let invite = bench.place("/bob");
    assert_eq!(invite.headers.get_str(&HeaderName::MaxForwards), Some("70"));
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    let hops = |value: &'static str| {
        move |r: &mut plugboard_sip::message::Request| r.headers.set(HeaderName::MaxForwards, value)
    };
    bench.phone_sends_with(&invite, Method::Info, 1, hops("12"));
    assert_eq!(bench.request(Method::Info).headers.get_str(&HeaderName::MaxForwards), Some("11"));
    bench.phone_sends_with(&invite, Method::Info, 2, hops("200"));
    assert_eq!(bench.request(Method::Info).headers.get_str(&HeaderName::MaxForwards), Some("70"));
    bench.phone_sends_with(&invite, Method::Info, 3, hops("0"));
    assert_eq!(bench.responses(), [483]);
    bench.phone_sends_with(&invite, Method::Bye, 4, hops("0"));
    assert_eq!(bench.responses(), [200], "a BYE goes nowhere else");
}
