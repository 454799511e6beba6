//! The specification of the controller, as a client and the phones see it.

mod refer;

use plugboard_sdk::testkit::{Effect, Kit};

use crate::CallController;

/// A tenant with users, and the check that a terminal status never changes.
fn kit() -> Kit<CallController> {
    seeded(1)
}

fn seeded(seed: u64) -> Kit<CallController> {
    let mut kit = Kit::new("example.com", seed);
    kit.user("alice", "Alice", &["201"]).user("bob", "Bob", &["202"]).user("carol", "", &["203"]);
    kit.watch(|state: &crate::State| state.0.record.outcome.as_ref().map(|outcome| format!("{outcome:?}")));
    kit
}

const CALL: &str = "/callcontroller/alice/bob";
const NOTIFY: [(&str, &str); 3] =
    [("Event", "refer"), ("Subscription-State", "active"), ("Content-Type", "message/sipfrag")];

/// The leg and transaction of the last INVITE that opened a leg.
fn called(effects: &[Effect]) -> (u32, u32, plugboard_sdk::Invite) {
    let last = effects.iter().rev().find_map(|effect| match effect {
        Effect::Call { leg, transaction, invite } => Some((*leg, *transaction, invite.clone())),
        _ => None,
    });
    last.expect("an INVITE went out")
}

/// The transaction of the last request of this method inside a dialog.
fn requested(effects: &[Effect], wanted: &str) -> (u32, Vec<plugboard_sdk::Header>, Vec<u8>) {
    let last = effects.iter().rev().find_map(|effect| match effect {
        Effect::Request { transaction, method, headers, body, .. } if method == wanted => {
            Some((*transaction, headers.clone(), body.clone()))
        }
        _ => None,
    });
    last.expect("the request went out")
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// What GET says in JSON.
fn report(kit: &mut Kit<CallController>) -> plugboard_sdk::json::Value {
    let response = kit.http_with("GET", CALL, &[("accept", "application/json")]);
    assert_eq!(response.status, 200);
    plugboard_sdk::json::from_slice::<plugboard_sdk::json::Value>(&response.body).expect("JSON")
}

/// Asserts that the call is over with this terminal status.
fn assert_over(kit: &mut Kit<CallController>, code: u16, ended_by: &str) {
    assert!(kit.state().is_none(), "the call is over");
    let report = report(kit);
    assert_eq!(report["phase"], "over");
    assert_eq!(report["outcome"]["code"], code, "{report}");
    assert_eq!(report["outcome"]["ended_by"], ended_by, "{report}");
    let legs = report["legs"].as_array().expect("a list");
    assert!(legs.iter().all(|leg| leg["state"] == "over" && leg["outcome"]["code"].is_number()), "{report}");
}
