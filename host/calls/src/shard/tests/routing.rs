//! Routes of a dialog, and challenges inside it.

use super::bench::{Bench, sdp};
use super::caller;
use crate::contract::*;
use plugboard_sip::message::{HeaderName, Method, Request};

fn routes(request: &Request) -> Vec<String> {
    request.headers.list(&HeaderName::Route).map(|route| route.to_text_lossy().into_owned()).collect()
}

#[test]
fn loose_routes_are_named_in_order_and_a_strict_one_takes_the_place_of_the_target() {
    for (recorded, uri, routed) in [
        (
            "<sip:127.0.0.1:5071;lr>, <sip:127.0.0.1:5072;lr>",
            "sip:bob@127.0.0.1:5080",
            vec!["<sip:127.0.0.1:5072;lr>", "<sip:127.0.0.1:5071;lr>"],
        ),
        (
            "<sip:127.0.0.1:5071;lr>, <sip:127.0.0.1:5072>",
            "sip:127.0.0.1:5072",
            vec!["<sip:127.0.0.1:5071;lr>", "<sip:bob@127.0.0.1:5080>"],
        ),
    ] {
        let mut bench = Bench::new(caller);
        let invite = bench.place("/bob");
        bench.answer_with(&invite, 200, sdp(), &[(HeaderName::RecordRoute, recorded)]);
        let ack = bench.request(Method::Ack);
        bench.arrive("DELETE", "/bob");
        bench.run();
        let bye = bench.request(Method::Bye);
        for request in [ack, bye] {
            assert_eq!((&*request.uri, routes(&request)), (uri, routed.iter().map(ToString::to_string).collect()));
        }
    }
}

#[test]
fn the_route_set_of_the_2xx_counts_and_that_of_a_re_invite_does_not() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Request { transaction, .. } => {
            stage.request(LegId(1), "INVITE".into(), vec![], vec![]).expect("staged");
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            Ok(state.map(<[u8]>::to_vec))
        }
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer_with(&invite, 180, b"", &[(HeaderName::RecordRoute, "<sip:127.0.0.1:5071;lr>")]);
    bench.answer_with(&invite, 200, sdp(), &[(HeaderName::RecordRoute, "<sip:127.0.0.1:5072;lr>")]);
    assert_eq!(routes(&bench.request(Method::Ack)), ["<sip:127.0.0.1:5072;lr>"]);
    bench.phone_sends(&invite, Method::Info, 1, b"");
    let again = bench.request(Method::Invite);
    bench.answer_with(&again, 200, sdp(), &[(HeaderName::RecordRoute, "<sip:127.0.0.1:5073;lr>")]);
    assert_eq!(routes(&bench.request(Method::Ack)), ["<sip:127.0.0.1:5072;lr>"]);
}

#[test]
fn a_challenge_inside_the_dialog_is_answered_for_any_request() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Request { transaction, body, .. } => {
            let method = String::from_utf8_lossy(body).into_owned();
            stage.request(LegId(1), method, vec![], vec![]).expect("staged");
            stage.respond(*transaction, 200, String::new(), vec![], vec![]).expect("staged");
            Ok(state.map(<[u8]>::to_vec))
        }
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", sdp());
    bench.request(Method::Ack);
    for (cseq, method) in [(1, Method::Info), (2, Method::Refer), (3, Method::Update), (4, Method::Message)] {
        bench.phone_sends(&invite, Method::Info, cseq, method.as_str().as_bytes());
        let request = bench.request(method.clone());
        bench.challenge(&request, "n1", false);
        let again = bench.request(method.clone());
        let number = |request: &Request| request.headers.cseq().map(|cseq| cseq.number).unwrap_or_default();
        assert_eq!(number(&again), number(&request) + 1);
        let proof = again.headers.get_str(&HeaderName::ProxyAuthorization).unwrap_or_default();
        assert!(proof.contains(&format!("nc={cseq:08x}")), "counted on the leg: {proof}");
        bench.answer(&again, 202, "Accepted", b"");
    }
    bench.arrive("DELETE", "/bob");
    bench.run();
    let bye = bench.request(Method::Bye);
    bench.challenge(&bye, "n2", false);
    assert!(bench.request(Method::Bye).headers.contains(&HeaderName::ProxyAuthorization), "by the host");
}

#[test]
fn an_invite_that_replaces_goes_out_as_the_guest_wrote_it() {
    let mut bench = Bench::new(|context, state, event, stage| match event {
        Event::Http { exchange, request } if request.method == "POST" => {
            stage.act_as("alice").expect("alice");
            let mut invite = super::bench::invite(&request.path);
            invite.headers.push(super::header("Replaces", "a@b;to-tag=1;from-tag=2"));
            invite.headers.push(super::header("Require", "replaces"));
            let started = stage.call(invite).expect("staged");
            let response = HttpResponse { status: 200, headers: vec![], body: vec![] };
            stage.http_respond(*exchange, response).expect("staged");
            Ok(Some(started.call_id.into_bytes()))
        }
        _ => caller(context, state, event, stage),
    });
    let invite = bench.place("/bob");
    assert_eq!(invite.headers.get_str(&HeaderName::Replaces), Some("a@b;to-tag=1;from-tag=2"));
    assert!(invite.headers.lists_token(&HeaderName::Require, "replaces"));
    assert!(invite.headers.lists_token(&HeaderName::Supported, "replaces"));
}
