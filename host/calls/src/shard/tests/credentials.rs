//! Challenges (RFC 3261 §22) and the credentials that answer them.

use super::bench::{Bench, sdp};
use super::*;

#[test]
fn a_challenge_is_answered_without_the_guest_seeing_a_secret() {
    let mut bench = Bench::new(|context, state, event, stage| {
        let shown = format!("{event:?}");
        assert!(!shown.contains("realm") && !shown.contains("nonce"), "{shown}");
        caller(context, state, event, stage)
    });
    let invite = bench.place("/bob");
    bench.challenge(&invite, "n1", false);
    let again = bench.request(Method::Invite);
    assert_eq!(again.headers.get_str(&HeaderName::CSeq), Some("2 INVITE"));
    assert_eq!(again.headers.get(&HeaderName::CallId), invite.headers.get(&HeaderName::CallId));
    assert_eq!(again.headers.from_tag(), invite.headers.from_tag());
    let proof = again.headers.get_str(&HeaderName::ProxyAuthorization).expect("credentials");
    assert!(proof.contains("username=\"alice\"") && proof.contains("nonce=\"n1\""), "{proof}");
    bench.answer(&again, 200, "OK", sdp());
    let ack = bench.request(Method::Ack);
    assert_eq!(ack.headers.get_str(&HeaderName::ProxyAuthorization), Some(proof), "as the INVITE's");
}

#[test]
fn a_changed_password_answers_the_next_challenge_of_a_call_that_is_up() {
    let answered = |password: Option<&'static str>| {
        let mut bench = Bench::new(caller);
        let invite = bench.place("/bob");
        if let Some(password) = password {
            bench.tenant.configure(crate::tenant::Settings::new(Arc::new(bench::Alice(password))));
        }
        bench.challenge(&invite, "n1", false);
        let again = bench.request(Method::Invite);
        again.headers.get_str(&HeaderName::ProxyAuthorization).expect("credentials").to_owned()
    };
    // The same chance each time, so that the proofs differ by the password alone.
    let before = answered(None);
    assert_eq!(answered(None), before);
    assert_eq!(answered(Some("secret")), before);
    assert_ne!(answered(Some("other")), before);
}

#[test]
fn a_challenge_that_overtakes_the_event_of_a_100_is_answered_all_the_same() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.challenge_in_haste(&invite, "n1");
    let again = bench.request(Method::Invite);
    assert!(again.headers.get_str(&HeaderName::ProxyAuthorization).is_some_and(|proof| proof.contains("\"n1\"")));
}

#[test]
fn a_wrong_password_is_not_tried_twice_but_a_stale_nonce_is() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.challenge(&invite, "n1", false);
    let second = bench.request(Method::Invite);
    bench.challenge(&second, "n2", true);
    let third = bench.request(Method::Invite);
    assert!(third.headers.get_str(&HeaderName::ProxyAuthorization).is_some_and(|p| p.contains("\"n2\"")));
    bench.challenge(&third, "n3", false);
    assert!(bench.requests().iter().all(|request| request.method == Method::Ack));
    assert!(bench.shard.is_empty(), "the guest was told that it cannot be answered, and gave up");
}

#[test]
fn a_proxy_and_a_server_of_one_realm_are_both_answered() {
    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.challenge(&invite, "n1", false);
    let second = bench.request(Method::Invite);
    let challenge = "Digest realm=\"example.com\", nonce=\"n2\", qop=\"auth\"";
    bench.answer_with(&second, 401, b"", &[(HeaderName::WwwAuthenticate, challenge)]);
    let third = bench.request(Method::Invite);
    for (field, nonce) in [(HeaderName::ProxyAuthorization, "\"n1\""), (HeaderName::Authorization, "\"n2\"")] {
        assert!(third.headers.get_str(&field).is_some_and(|proof| proof.contains(nonce)), "{field:?}");
    }
    bench.answer_with(&third, 401, b"", &[(HeaderName::WwwAuthenticate, challenge)]);
    assert!(bench.requests().iter().all(|request| request.method == Method::Ack));
    assert!(bench.shard.is_empty(), "its password is wrong");
}

/// The nonce and the count of the credentials in this field.
fn used(request: &Request, field: &HeaderName) -> (String, String) {
    let proof = request.headers.get_str(field).expect("credentials");
    let parameter = |name: &str| {
        let (_, rest) = proof.split_once(&format!("{name}=")).expect("the parameter");
        rest.split(',').next().unwrap_or(rest).trim_matches('"').to_owned()
    };
    (parameter("nonce"), parameter("nc"))
}

#[test]
fn no_credentials_go_out_twice() {
    let used = |request: &Request, field| {
        let (nonce, count) = used(request, &field);
        format!("{nonce} {count}")
    };
    let mut bench = Bench::new(caller);
    bench.ask_for_sessions(90);
    let invite = bench.place("/bob");
    bench.challenge(&invite, "p", false);
    let second = bench.request(Method::Invite);
    assert_eq!(used(&second, HeaderName::ProxyAuthorization), "p 00000001");
    let challenge = "Digest realm=\"inner\", nonce=\"s\", qop=\"auth\"";
    bench.answer_with(&second, 401, b"", &[(HeaderName::WwwAuthenticate, challenge)]);
    let third = bench.request(Method::Invite);
    assert_eq!(used(&third, HeaderName::ProxyAuthorization), "p 00000002");
    assert_eq!(used(&third, HeaderName::Authorization), "s 00000001");
    bench.answer_with(&third, 422, b"", &[(HeaderName::MinSe, "3600")]);
    let fourth = bench.request(Method::Invite);
    assert_eq!(used(&fourth, HeaderName::ProxyAuthorization), "p 00000003");
    assert_eq!(used(&fourth, HeaderName::Authorization), "s 00000002");
    bench.answer(&fourth, 200, "OK", sdp());
    assert_eq!(used(&bench.request(Method::Ack), HeaderName::Authorization), "s 00000002", "as the INVITE's");
    bench.arrive("DELETE", "/bob");
    bench.run();
    let bye = bench.request(Method::Bye);
    bench.challenge(&bye, "p", false);
    assert_eq!(used(&bench.request(Method::Bye), HeaderName::ProxyAuthorization), "p 00000004");
}
