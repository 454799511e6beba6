//! The HTTPS and the Digest listener: whose a request is, who asks, and what comes back.

mod common;

use common::{Served, get, get_over_http2, said, short};
use plugboard_server::config::HttpLimits;
use plugboard_sip::digest::{Challenge, Secret, answer};
use plugboard_sip::message::Value;

const ALICE: &str = "Authorization: Basic YWxpY2U6MTIz\r\n";
const ALICE_WRONG: &str = "Authorization: Basic YWxpY2U6MTI0\r\n";
const PATH: &str = "/callcontroller/alice/bob";

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_are_spoken_over_tls() {
    let served = Served::start(HttpLimits::default()).await;
    let over_1 = said(served.tls("http/1.1").await, &get("one.test", PATH, ALICE)).await;
    assert_eq!(over_1.status, 200);
    assert!(over_1.body.starts_with("echo one.test GET /callcontroller/alice/bob"), "{}", over_1.body);
    let uri = format!("https://two.test{PATH}?agent=carol");
    let (status, body) = get_over_http2(served.tls("h2").await, &uri, "Basic Y2Fyb2w6Nzg5").await;
    assert_eq!(status, 200);
    assert!(body.starts_with("echo two.test GET /callcontroller/alice/bob"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_chooses_the_tenant_and_its_users() {
    let served = Served::start(HttpLimits::default()).await;
    for host in ["pbx.one.test:6666", "nobody.test", "127.0.0.1"] {
        let answer = said(served.tls("http/1.1").await, &get(host, PATH, ALICE)).await;
        assert!(answer.body.starts_with("echo one.test "), "{host}: {answer:?}");
    }
    let answer = said(served.tls("http/1.1").await, &get("two.test", PATH, ALICE)).await;
    assert_eq!(answer.status, 401, "alice is nobody there");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why_in_the_words_of_the_original() {
    let served = Served::start(HttpLimits::default()).await;
    for credentials in ["", ALICE_WRONG] {
        let answer = said(served.tls("http/1.1").await, &get("one.test", PATH, credentials)).await;
        assert_eq!((answer.status, answer.body.trim_end()), (401, "not valid user pin"));
        assert_eq!(answer.values("content-type"), ["text/plain; charset=utf-8"]);
        let challenges = answer.values("www-authenticate");
        assert_eq!(challenges.len(), 3, "{challenges:?}");
        assert!(challenges[0].contains("SHA-256") && challenges[2].starts_with("Basic realm=\"one.test\""));
    }
    let path = format!("{PATH}?agent=bob");
    let answer = said(served.tls("http/1.1").await, &get("one.test", &path, ALICE)).await;
    assert_eq!((answer.status, answer.body.trim_end()), (403, "Agent does not match principal"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_is_told_to_wait() {
    let served = Served::start(HttpLimits::default()).await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(said(served.tls("http/1.1").await, &get("one.test", PATH, ALICE_WRONG)).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429]);
    let answer = said(served.tls("http/1.1").await, &get("one.test", PATH, ALICE)).await;
    assert_eq!((answer.status, answer.values("retry-after")), (429, vec!["1"]));
    let elsewhere = said(served.tls_from([127, 0, 0, 3]).await, &get("one.test", PATH, ALICE)).await;
    assert_eq!(elsewhere.status, 200, "alice from elsewhere is not locked out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_network_needs_no_pin() {
    let served = Served::start(HttpLimits::default()).await;
    let trusted = said(served.tls_from([127, 0, 0, 2]).await, &get("one.test", PATH, "")).await;
    assert_eq!(trusted.status, 200);
    let not_there = said(served.tls_from([127, 0, 0, 2]).await, &get("two.test", PATH, "")).await;
    assert_eq!(not_there.status, 401, "each tenant trusts its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_listener_takes_digest_only() {
    let served = Served::start(HttpLimits::default()).await;
    let basic = said(served.plain(served.digest).await, &get("one.test", PATH, ALICE)).await;
    assert_eq!((basic.status, basic.body.trim_end()), (401, "not valid user pin"));
    for challenge in basic.values("www-authenticate") {
        let challenges = Challenge::parse_all(&[Value::from(challenge)]);
        let proof = answer(&challenges[0], &Secret::password("123"), "alice", "GET", PATH, &[], "c", 1);
        let fields = format!("Authorization: {}\r\n", proof.expect("answerable"));
        let accepted = said(served.plain(served.digest).await, &get("one.test", PATH, &fields)).await;
        let expected = if challenge.contains("SHA-256") { 200 } else { 401 };
        assert_eq!(accepted.status, expected, "both share a nonce, and a count serves once: {challenge}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_logic_sees_the_request_without_credentials() {
    let served = Served::start(short()).await;
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n{ALICE}Cookie: a=b\r\nX-Own: 1\r\nContent-Length: 4\r\n\r\nbody"
    );
    let answer = said(served.tls("http/1.1").await, &request).await;
    assert_eq!(answer.body, "echo one.test POST /callcontroller/alice/bob 4 bytes, host x-own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_call_logic_is_answered_for_it() {
    let served = Served::start(HttpLimits::default()).await;
    let answer = said(served.tls("http/1.1").await, &get("one.test", "/callcontroller/alice/call", ALICE)).await;
    assert_eq!(answer.status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_gets_no_body() {
    let served = Served::start(HttpLimits::default()).await;
    let request = get("one.test", PATH, ALICE).replacen("GET", "HEAD", 1);
    let answer = said(served.tls("http/1.1").await, &request).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.values("content-length")[0].parse::<usize>().expect("a number") > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_may_ask_only_when_the_configuration_says_so() {
    let served = Served::start(HttpLimits::default()).await;
    let preflight = |host: &str, origin: &str| {
        let fields = format!("Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n");
        get(host, PATH, &fields).replacen("GET", "OPTIONS", 1)
    };
    let allowed = said(served.tls("http/1.1").await, &preflight("one.test", "https://portal.test")).await;
    assert_eq!((allowed.status, allowed.values("access-control-allow-origin")), (204, vec!["https://portal.test"]));
    assert_eq!(allowed.values("access-control-allow-headers"), ["authorization, content-type"]);
    for (host, origin) in [("one.test", "https://evil.test"), ("two.test", "https://portal.test")] {
        let refused = said(served.tls("http/1.1").await, &preflight(host, origin)).await;
        assert_eq!(refused.status, 401, "{host} {origin}");
        assert!(refused.values("access-control-allow-origin").is_empty(), "{host} {origin}");
    }
    let fields = format!("Origin: https://portal.test\r\n{ALICE}");
    let answer = said(served.tls("http/1.1").await, &get("one.test", PATH, &fields)).await;
    assert_eq!((answer.status, answer.values("access-control-allow-origin")), (200, vec!["https://portal.test"]));
}
