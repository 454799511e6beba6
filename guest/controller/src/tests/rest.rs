//! REST: parameters, users, methods, reasons.

use plugboard_sdk::{Controller, Directory, Fault, HttpRequest, Identity, Principal};

use super::*;
use crate::route::Asked;

fn status(target: &str) -> (u16, String) {
    let response = kit().http("POST", target);
    (response.status, text(&response.body))
}

#[test]
fn every_parameter_refuses_bad_values_and_names_itself() {
    for query in [
        "sipMethod=BYE",
        "sipMethod=",
        "action=park",
        "timeout=0",
        "timeout=3601",
        "timeout=-1",
        "timeout=+5",
        "timeout=x",
        "timeout=",
        "timeout=99999999999999999999",
        "agent=",
        "subject=a%0d%0aVia:%20x",
        "isForwardingAllowed=yes",
        "resultCacheTime=86401",
        "resultCacheTime=-1",
        "resultCacheTime=1.5",
        "confpin=1%0a2",
        "action=transfer",
        "action=transfer&target=",
        "timeout=5&timeout=6",
    ] {
        let name = match query {
            "action=transfer" | "action=transfer&target=" => "target",
            query => query.split('=').next().expect("a name"),
        };
        let (code, reason) = status(&format!("{CALL}?{query}"));
        assert_eq!(code, 400, "{query}");
        assert!(reason.contains(name) && reason.lines().count() == 1, "{query}: {reason}");
    }
    assert_eq!(status(&format!("{CALL}?subject={}", "x".repeat(256))).0, 200);
    assert_eq!(status(&format!("{CALL}?subject={}", "x".repeat(257))).0, 400);
    assert_eq!(status(&format!("{CALL}?subject=%zz")).0, 400);
}

#[test]
fn good_values_in_any_case_and_unknown_parameters_are_taken() {
    for query in [
        "sipMethod=rEfEr",
        "sipMethod=Invite",
        "action=CALL",
        "timeout=1",
        "timeout=3600",
        "isForwardingAllowed=True",
        "isForwardingAllowed=FALSE",
        "resultCacheTime=0",
        "resultCacheTime=86400",
        "cachetimeout=soon",
        "SIPMETHOD=nonsense",
        "subject=",
        "confpin=",
    ] {
        assert_eq!(status(&format!("{CALL}?{query}")), (200, String::new()), "{query}");
    }
}

#[test]
fn a_reason_is_plain_text() {
    let response = kit().http("POST", &format!("{CALL}?timeout=x"));
    let content_type = plugboard_sdk::headers::find(&response.headers, "content-type");
    assert_eq!(content_type, Some("text/plain; charset=utf-8"));
}

#[test]
fn names_aliases_numbers_and_addresses_of_a_user_name_one_call() {
    let kit = kit();
    let key = |path: &str| {
        let request = HttpRequest {
            method: "POST".into(),
            path: path.into(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
        };
        kit.route(&request).expect("routed").value
    };
    let expected = "alice@example.com:alice@example.com:bob@example.com";
    for path in ["alice/bob", "201/202", "alice%40example.com/202", "%61lice/sip:bob@example.com"] {
        assert_eq!(key(&format!("/callcontroller/{path}")), expected, "{path}");
    }
    let elsewhere = key("/callcontroller/alice/Dora@Example.NET");
    assert_eq!(elsewhere, "alice@example.com:alice@example.com:Dora@example.net");
    assert_eq!(key("/callcontroller/alice/+4930123"), "alice@example.com:alice@example.com:+4930123@example.com");
    assert_eq!(key("/callcontroller/alice/j%c3%bc%20r"), "alice@example.com:alice@example.com:j%C3%BC%20r@example.com");
}

#[test]
fn anyone_may_be_called_but_the_agent_is_a_user() {
    let stranger = "/callcontroller/stranger@example.net/+4930123?agent=carol";
    assert_eq!(status(stranger).0, 200);
    assert_eq!(
        status("/callcontroller/stranger@example.net/bob"),
        (404, "User Not found stranger@example.net\n".into())
    );
    assert_eq!(status(&format!("{CALL}?agent=nobody")).0, 404);
    assert_eq!(status("/callcontroller/alice/bo%00b").0, 400);
    assert_eq!(status("/callcontroller/alice/%zz").0, 400);
    assert_eq!(status("/callcontroller/alice/bob@exa%20mple").0, 400);
    assert_eq!(status(&format!("/callcontroller/alice/{}", "b".repeat(129))).0, 400);
    assert_eq!(status(&format!("/callcontroller/alice/{}", "b".repeat(128))).0, 200);
}

#[test]
fn other_paths_and_methods_are_answered_at_once() {
    for path in ["/", "/callcontroller", "/callcontroller/alice", "/callcontroller/alice/", "/callcontroller/a/b/c"] {
        assert_eq!(status(path).0, 404, "{path}");
    }
    let mut kit = kit();
    for (method, code) in [("PUT", 405), ("PATCH", 405), ("TRACE", 405), ("OPTIONS", 204)] {
        let response = kit.http(method, CALL);
        assert_eq!(response.status, code);
        assert_eq!(plugboard_sdk::headers::find(&response.headers, "allow"), Some("GET, POST, DELETE"));
    }
    let response = kit.http("HEAD", CALL);
    assert_eq!((response.status, response.body.len()), (200, 0));
}

#[test]
fn who_is_not_the_agent_is_refused() {
    let mut kit = kit();
    kit.http("POST", CALL);
    kit.principal = Principal::User("bob".into());
    for method in ["POST", "GET", "DELETE"] {
        let response = kit.http(method, CALL);
        assert_eq!((response.status, text(&response.body)), (403, "Agent does not match principal\n".into()));
    }
    kit.principal = Principal::User("201".into());
    assert_eq!(kit.http("GET", CALL).status, 200);
    assert_eq!(kit.http("DELETE", CALL).status, 200);
}

#[test]
fn an_unknown_call_is_an_empty_list_to_get_and_404_to_delete_and_transfer() {
    let mut kit = kit();
    let response = kit.http("GET", CALL);
    assert_eq!(response.status, 200);
    assert!(text(&response.body).contains("<status-lines xmlns=") && !text(&response.body).contains("<status>"));
    assert_eq!(kit.http("DELETE", CALL).status, 404);
    assert_eq!(kit.http("POST", &format!("{CALL}?action=transfer&target=carol")).status, 404);
}

#[test]
fn a_delete_ends_the_call_while_it_rings() {
    let mut kit = kit();
    kit.http("POST", CALL);
    let response = kit.http("DELETE", CALL);
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(released(&kit.take_effects()).len(), 1);
    assert_eq!(kit.http("DELETE", CALL).status, 200, "again does no harm");
    kit.settle();
    assert_over(&mut kit, 487, "request");
    assert_eq!(kit.http("DELETE", CALL).status, 200);
}

#[test]
fn the_record_is_kept_as_long_as_asked() {
    for (query, seconds) in [("", 180), ("?resultCacheTime=7", 7)] {
        let mut kit = kit();
        kit.http("POST", &format!("{CALL}{query}"));
        let (_, invite, _) = called(&kit.take_effects());
        kit.respond(invite, 486, b"");
        kit.advance(seconds * 1000 - 1);
        assert_eq!(report(&mut kit)["outcome"]["code"], 486);
        kit.advance(1);
        assert_eq!(report(&mut kit)["phase"], "unknown");
    }
    let mut kit = kit();
    kit.http("POST", &format!("{CALL}?resultCacheTime=0"));
    let (_, invite, _) = called(&kit.take_effects());
    kit.respond(invite, 486, b"");
    assert_eq!(report(&mut kit)["phase"], "unknown");
}

#[test]
fn a_call_can_be_placed_again_after_it_ended() {
    let mut kit = kit();
    for _ in 0..2 {
        assert_eq!(kit.http("POST", CALL).status, 200);
        let (_, invite, _) = called(&kit.take_effects());
        kit.respond(invite, 486, b"");
        assert_over(&mut kit, 486, "calling");
    }
}

#[test]
fn the_end_by_the_host_is_reported() {
    use plugboard_sdk::EndingReason;
    for (reason, code) in [
        (EndingReason::Operator, 487),
        (EndingReason::Drained, 503),
        (EndingReason::TenantRemoved, 503),
        (EndingReason::Shutdown, 503),
        (EndingReason::Unacknowledged, 408),
        (EndingReason::Faulty, 500),
    ] {
        let mut kit = kit();
        kit.http("POST", INVITE_CALL);
        kit.end(reason);
        assert_over(&mut kit, code, "host");

        let mut kit = super::kit();
        kit.http("POST", &format!("{CALL}?resultCacheTime=0"));
        kit.ended_without_guest(reason);
        let shown = report(&mut kit);
        assert_eq!((&shown["outcome"]["code"], &shown["outcome"]["ended_by"]), (&code.into(), &"host".into()));
        assert_eq!((&shown["phase"], &shown["legs"][0]["state"]), (&"over".into(), &"over".into()));
        assert!(kit.state().is_none());
    }
}

#[test]
fn a_call_that_the_host_ended_can_be_replaced() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    kit.ended_without_guest(plugboard_sdk::EndingReason::Faulty);
    assert_eq!(kit.http("POST", INVITE_CALL).status, 200);
    assert_eq!(report(&mut kit)["phase"], "calling");
}

#[test]
fn the_conference_pin_shows_nowhere() {
    let mut kit = kit();
    kit.http("POST", &format!("{CALL}?confpin=secret99"));
    assert!(!report(&mut kit).to_string().contains("secret99"));
    assert!(!format!("{:?}", kit.state()).contains("secret99"));
}

/// A directory that knows one user, to ask `route` without a kit.
struct One;

impl Directory for One {
    fn find_user(&self, name: &str) -> Option<Identity> {
        (name == "alice").then(|| Identity { address_of_record: "sip:alice@x".into(), display_name: None })
    }

    fn setting(&self, _: &str) -> Option<String> {
        None
    }
}

#[test]
fn the_parties_default_to_the_tenants_domain() {
    let request = HttpRequest {
        method: "GET".into(),
        path: "/callcontroller/alice/7".into(),
        query: Some("timeout=nonsense&action=nonsense".into()),
        headers: Vec::new(),
        body: Vec::new(),
    };
    let asked = Asked::read("x", &request, &One).expect("GET ignores parameters");
    assert_eq!(asked.called.uri, "sip:7@x");
}

#[test]
fn the_controller_says_what_it_is() {
    let description = CallController::describe();
    assert_eq!(description.name, "plugboard-controller");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert_eq!((description.http_prefix.as_str(), description.state_schema), ("/callcontroller", crate::SCHEMA));
}

#[test]
fn a_state_of_this_schema_migrates_as_it_is_and_nothing_else_does() {
    let kit = up();
    let state = plugboard_sdk::codec::encode(crate::SCHEMA, &kit.state().expect("up")).expect("encodable");
    assert_eq!(CallController::migrate(crate::SCHEMA, state.clone()), Ok(state.clone()));
    assert!(matches!(CallController::migrate(crate::SCHEMA + 1, state.clone()), Err(Fault::Unsupported(_))));
    assert!(matches!(CallController::migrate(crate::SCHEMA, state[1..].to_vec()), Err(Fault::BadState(_))));
    assert!(matches!(
        CallController::migrate(crate::SCHEMA, state[..state.len() - 1].to_vec()),
        Err(Fault::BadState(_))
    ));
}

#[test]
fn a_sipx_proxy_is_told_whom_the_first_invite_is_for() {
    let target = |setting: Option<&str>, parameters: &str| {
        let mut kit = kit();
        if let Some(setting) = setting {
            kit.setting("sipx_proxy", setting);
        }
        assert_eq!(kit.http("POST", &format!("{CALL}?{parameters}")).status, 200);
        let (_, transaction, invite) = called(&kit.take_effects());
        (kit, transaction, invite)
    };
    let alice = "sip:alice@example.com";
    let itself = ";sipx-noroute=Voicemail";
    for mode in ["REFER", "INVITE"] {
        let mode = format!("sipMethod={mode}");
        assert_eq!(target(None, &mode).2.target, alice);
        assert_eq!(target(Some("false"), &mode).2.target, alice);
        let (mut kit, calling, invite) = target(Some("true"), &mode);
        assert_eq!(invite.target, format!("{alice}{itself};sipx-userforward=false"));
        assert_eq!(invite.to.expect("an address").uri, alice, "it is for the proxy alone");
        kit.respond(calling, 200, &sdp("alice", 1, 0));
        let effects = kit.take_effects();
        assert!(!format!("{effects:?}").contains("sipx-"), "nor for the called party: {effects:?}");
        let forwarding = format!("{mode}&isForwardingAllowed=true");
        let (mut kit, calling, invite) = target(Some("true"), &forwarding);
        assert_eq!(invite.target, format!("{alice}{itself}"));
        kit.respond_with(calling, 302, &[], b"", &[alice, "sip:alice@192.0.2.7?Subject=1"]);
        let (_, _, invite) = called(&kit.take_effects());
        assert_eq!(invite.target, format!("sip:alice@192.0.2.7{itself}?Subject=1"), "not where it was already");
    }
}
