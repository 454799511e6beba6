//! The admin listener.

mod common;

use common::{Served, get, said, said_kept};
use plugboard_calls::limits::Limit;
use plugboard_server::config::HttpLimits;
use serde_json::Value;
use std::collections::HashSet;

async fn served() -> Served {
    Served::start(HttpLimits::default()).await
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_opens_v1_and_health_needs_none() {
    let served = served().await;
    for (path, body) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let answer = said(served.plain(served.admin).await, &get("a", path, "")).await;
        assert_eq!((answer.status, answer.body.trim_end()), (200, body));
    }
    for fields in ["", "Authorization: Bearer wrong\r\n", "Authorization: Basic YWxpY2U6MTIz\r\n"] {
        let answer = said(served.plain(served.admin).await, &get("a", "/v1/tenants", fields)).await;
        assert_eq!((answer.status, answer.values("www-authenticate")), (401, vec!["Bearer"]));
        assert_eq!(json(&answer.body)["error"], "the admin token is missing or wrong");
    }
    let tenants = json(&served.admin("GET", "/v1/tenants", "").await.body);
    assert_eq!((&tenants[0]["domain"], &tenants[0]["users"]), (&"one.test".into(), &2.into()));
    assert_eq!((&tenants[1]["domain"], &tenants[1]["live"]["name"]), (&"two.test".into(), &"echo".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_moves_new_requests_and_closes_no_connection() {
    let served = served().await;
    let ask = "GET /callcontroller/alice/bob HTTP/1.1\r\nHost: one.test\r\nAuthorization: Basic YWxpY2U6MTIz\r\n\r\n";
    let mut kept = served.tls("http/1.1").await;
    let says = |text: &str, name: &str| assert!(text.starts_with(&format!("{name} one.test")), "{text}");
    says(&said_kept(&mut kept, ask).await.body, "echo");

    let deployed = served.admin("PUT", "/v1/tenants/one.test/controller", "second").await;
    assert_eq!(deployed.status, 200, "{deployed:?}");
    assert_eq!(json(&deployed.body)["live"]["name"], "second");
    says(&said_kept(&mut kept, ask).await.body, "second");
    let other = served.admin("GET", "/v1/tenants/two.test/controller", "").await;
    assert_eq!(json(&other.body)["name"], "echo", "another tenant keeps its own");

    let refused = served.admin("PUT", "/v1/tenants/one.test/controller", "bad").await;
    assert_eq!(refused.status, 422);
    assert!(json(&refused.body)["error"].as_str().is_some_and(|error| error.contains("wasi:sockets/tcp")));
    says(&said_kept(&mut kept, ask).await.body, "second");

    let versions = json(&served.admin("GET", "/v1/tenants/one.test/versions", "").await.body);
    let states: Vec<_> = versions.as_array().expect("a list").iter().map(|v| (&v["name"], &v["state"])).collect();
    assert_eq!(states, [(&"second".into(), &"live".into()), (&"echo".into(), &"retired".into())]);

    let back = served.admin("POST", "/v1/tenants/one.test/rollback", "").await;
    assert_eq!((back.status, &json(&back.body)["live"]["name"]), (200, &"echo".into()));
    says(&said_kept(&mut kept, ask).await.body, "echo");
    assert_eq!(served.admin("POST", "/v1/tenants/one.test/rollback", "").await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_logic_can_be_asked_through_it_as_from_a_trusted_network() {
    let served = served().await;
    let answer = served.admin("DELETE", "/v1/tenants/two.test/api/callcontroller/a%40b/c?agent=x", "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("echo two.test DELETE /callcontroller/a%40b/c 0 bytes"), "{}", answer.body);
    assert!(!answer.body.contains("authorization"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_so() {
    let served = served().await;
    for (method, path, status) in [
        ("GET", "/", 404),
        ("GET", "/v1/tenants/nobody.test/versions", 404),
        ("GET", "/v1/tenants/one.test/nothing", 404),
        ("GET", "/v1/tenants/one.test/rollback", 405),
        ("POST", "/v1/calls", 405),
        ("DELETE", "/v1/calls/one.test/nokey", 404),
        ("GET", "/v1/calls/one.test/nokey/ladder", 404),
        ("GET", "/v1/tenants/one.test/ladder/alice/call", 404),
    ] {
        let answer = served.admin(method, path, "").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(json(&answer.body)["error"].is_string(), "{method} {path}");
    }
    assert_eq!(json(&served.admin("GET", "/v1/calls?domain=one.test", "").await.body), Value::Array(Vec::new()));
}

/// Every sample belongs to a family that was announced before it, once, and has a number.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_in_the_format_of_prometheus() {
    let served = served().await;
    let wrong = get("one.test", "/callcontroller/alice/bob", "");
    said(served.plain(served.digest).await, &wrong).await;
    let answer = said(served.plain(served.admin).await, &get("a", "/metrics", "")).await;
    assert_eq!(answer.values("content-type"), ["text/plain; version=0.0.4; charset=utf-8"]);
    let mut families = HashSet::new();
    let mut family = "";
    let mut samples = HashSet::new();
    for line in answer.body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(["counter", "gauge"].contains(&kind) && families.insert(name), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name;
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            assert_eq!(sample.split('{').next(), Some(family), "{line}");
            assert!(value.parse::<u64>().is_ok() && samples.insert(sample), "{line}");
        }
    }
    for expected in [
        "plugboard_logins_total{outcome=\"refused\"} 1",
        "plugboard_http_connections_total{listener=\"digest\"} 1",
        "plugboard_calls_up{tenant=\"one.test\"} 0",
        "plugboard_version_live{tenant=\"two.test\",id=\"id-echo\",name=\"echo\",version=\"1\"} 1",
    ] {
        assert!(answer.body.lines().any(|line| line == expected), "{expected} in\n{}", answer.body);
    }
    for limit in Limit::ALL {
        let sample = format!("plugboard_limit_reached_total{{tenant=\"two.test\",limit=\"{}\"}} 0", limit.name());
        assert!(answer.body.lines().any(|line| line == sample), "{sample}");
    }
}
