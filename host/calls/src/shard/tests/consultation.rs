//! REFERs: those that name a dialog of another call of ours, and the ids of the subscriptions that they make.

use super::bench::{Alice, Bench, Outcome, header, invite, sdp};
use crate::contract::*;
use crate::stage::Stage;
use crate::tenant::{Settings, Tenant};
use plugboard_sip::message::{HeaderName, Method, Request};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::values::Replaces;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls the phones of the path, keeps the Refer-To of a REFER, and says it when asked.
fn keeping(_: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    let mut kept = state.map(<[u8]>::to_vec);
    match event {
        Event::Http { exchange, request } if request.method == "POST" => {
            for user in request.path.trim_start_matches('/').split('+') {
                stage.call(invite(user)).expect("staged");
            }
            let response = HttpResponse { status: 200, headers: vec![], body: vec![] };
            stage.http_respond(*exchange, response).expect("staged");
            kept = Some(Vec::new());
        }
        Event::Http { exchange, .. } => {
            let response = HttpResponse { status: 200, headers: vec![], body: kept.clone().unwrap_or_default() };
            stage.http_respond(*exchange, response).expect("staged");
        }
        Event::Response(response) if response.method == "INVITE" && response.status == 200 => {
            stage.ack(response.transaction, vec![], vec![]).expect("staged");
        }
        Event::Request { transaction, method, headers, .. } if method == "REFER" => {
            stage.respond(*transaction, 202, String::new(), vec![], vec![]).expect("staged");
            kept = headers.iter().find(|field| field.name == "Refer-To").map(|field| field.value.clone().into_bytes());
        }
        _ => {}
    }
    Ok(kept)
}

/// Two phones that talk: their INVITEs.
fn talk(bench: &mut Bench, path: &str) -> [Request; 2] {
    bench.arrive("POST", path);
    bench.run();
    let invites = bench.requests();
    let [first, second] = invites.as_slice() else { panic!("not two: {invites:?}") };
    bench.answer(first, 200, "OK", sdp());
    bench.answer_as(second, "other", 200, "OK", sdp());
    bench.requests();
    [first.clone(), second.clone()]
}

/// The Refer-To that the guest sees of one that a phone sends.
fn seen(bench: &mut Bench, dialog: &Request, refer_to: &str) -> String {
    static CSEQ: AtomicU32 = AtomicU32::new(1);
    let cseq = CSEQ.fetch_add(1, Ordering::Relaxed);
    let set = |refer: &mut Request| refer.headers.set(HeaderName::ReferTo, refer_to);
    bench.phone_sends_with(dialog, Method::Refer, cseq, set);
    assert_eq!(bench.responses(), [202]);
    bench.arrive("GET", "/alice+bob");
    bench.run();
    bench.bodies().pop().expect("an answer")
}

fn call_id(invite: &Request) -> &str {
    invite.headers.get_str(&HeaderName::CallId).expect("a Call-ID")
}

fn tag(invite: &Request) -> String {
    invite.headers.from_tag().expect("our tag").to_string()
}

/// The dialog of an INVITE as the phone names it to the one that it talks to.
fn named(invite: &Request) -> String {
    let dialog = format!("{}%3Bto-tag%3D{}%3Bfrom-tag%3Dphone", call_id(invite).replace('@', "%40"), tag(invite));
    format!("<sip:plugboard@127.0.0.1?Replaces={dialog}&Require=replaces>")
}

#[test]
fn a_dialog_of_another_call_becomes_that_of_the_phone_at_its_other_end() {
    let mut bench = Bench::new(keeping);
    let [alice, _] = talk(&mut bench, "/alice+bob");
    let [consulting, carol] = talk(&mut bench, "/alice+carol");
    let dialog = format!("{}%3Bto-tag%3Dother%3Bfrom-tag%3D{}", call_id(&carol).replace('@', "%40"), tag(&carol));
    let expected = format!("<sip:carol@127.0.0.1:5080?Replaces={dialog}&Require=replaces>");
    assert_eq!(seen(&mut bench, &alice, &named(&consulting)), expected);
}

#[test]
fn what_is_no_such_dialog_stays_as_it_is() {
    let mut bench = Bench::new(keeping);
    let [alice, _] = talk(&mut bench, "/alice+bob");
    let [consulting, _] = talk(&mut bench, "/alice+carol");
    bench.arrive("POST", "/alice+dave");
    bench.run();
    let invites = bench.requests();
    bench.answer(&invites[0], 200, "OK", sdp());
    bench.answer_as(&invites[1], "other", 180, "Ringing", b"");
    bench.requests();
    let settings = Settings::new(Arc::new(Alice("secret")));
    let ours = std::mem::replace(&mut bench.tenant, Tenant::new("example.org".into(), settings));
    let [stranger, _] = talk(&mut bench, "/alice+eve");
    bench.tenant = ours;
    for refer_to in [
        named(&stranger),                                               // a call of another tenant
        named(&alice),                                                  // the call itself
        named(&invites[0]),                                             // dave has not answered
        named(&consulting).replace("from-tag%3Dphone", "from-tag%3Dx"), // not the dialog of this phone
        named(&consulting).replace("to-tag%3D", "to-tag%3Dx"),
        "<sip:carol@example.com>".to_owned(),
        "<tel:1>".to_owned(),
    ] {
        assert_eq!(seen(&mut bench, &alice, &refer_to), refer_to);
    }
}

#[test]
fn who_stands_elsewhere_learns_nothing() {
    let mut bench = Bench::new(keeping);
    let [alice, _] = talk(&mut bench, "/alice+carol");
    let value = format!("{};to-tag={};from-tag=phone", call_id(&alice), tag(&alice));
    let named = Replaces::parse(&value.into()).expect("a dialog");
    let from =
        |remote: &str| Destination { transport: Transport::Udp, remote: remote.parse().expect("an address"), local: 0 };
    assert!(bench.shard.other_end(&named, from("127.0.0.1:9")).is_some());
    assert_eq!(bench.shard.other_end(&named, from("192.0.2.9:5060")), None);
}

/// Refers the phone that it calls, tells how a REFER goes, and keeps the Event of what the phone says of its own.
fn referring(_: &Context, state: Option<&[u8]>, event: &Event, stage: &mut Stage) -> Outcome {
    let mut kept = state.map(<[u8]>::to_vec).or(Some(Vec::new()));
    match event {
        Event::Http { exchange, request } => {
            if request.method == "POST" {
                stage.call(invite(&request.path)).expect("staged");
            }
            let response = HttpResponse { status: 200, headers: vec![], body: kept.clone().unwrap_or_default() };
            stage.http_respond(*exchange, response).expect("staged");
        }
        Event::Response(response) if response.method == "INVITE" => {
            stage.ack(response.transaction, vec![], vec![]).expect("staged");
            let refer_to = vec![header("Refer-To", "<sip:carol@example.com>")];
            let refer = stage.request(response.leg, "REFER".into(), refer_to, vec![]).expect("staged");
            kept = Some(format!("REFER {}, ", refer.0).into_bytes());
        }
        Event::Request { leg, transaction, method, headers, .. } => {
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            if method == "REFER" {
                let event = vec![header("Event", &format!("refer;id={}", transaction.0))];
                stage.request(*leg, "NOTIFY".into(), event, vec![]).expect("staged");
            }
            let said = headers.iter().filter(|field| field.name == "Event");
            said.for_each(|field| kept.get_or_insert_default().extend(format!("{method} {}, ", field.value).bytes()));
        }
        _ => {}
    }
    Ok(kept)
}

#[test]
fn a_guest_names_a_refer_by_its_transaction_and_the_wire_by_its_number() {
    let mut bench = Bench::new(referring);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    let refer = bench.request(Method::Refer);
    let number = refer.headers.cseq().expect("a CSeq").number;
    let event = |value: String| move |request: &mut Request| request.headers.push(HeaderName::Event, value);
    // A NOTIFY may overtake the 202.
    bench.phone_sends_with(&invite, Method::Notify, 41, event(format!("refer;id={number}")));
    bench.answer(&refer, 202, "Accepted", b"");
    bench.phone_sends(&invite, Method::Refer, 42, b"");
    let notify = bench.request(Method::Notify);
    assert_eq!(notify.headers.get_str(&HeaderName::Event), Some("refer;id=42"));
    bench.phone_sends_with(&invite, Method::Subscribe, 43, event("refer;id=42".into()));
    bench.arrive("GET", "/bob");
    bench.run();
    let kept = bench.bodies().pop().expect("an answer");
    let refer = kept.split([' ', ',']).nth(1).expect("a transaction");
    let theirs = (1_u32 << 31) + 2;
    assert_eq!(kept, format!("REFER {refer}, NOTIFY refer;id={refer}, SUBSCRIBE refer;id={theirs}, "));
}
