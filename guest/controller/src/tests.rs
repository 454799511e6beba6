//! The specification of the controller, as a client and the phones see it.

mod early;
mod fallback;
mod forward;
mod invite;
mod refer;
mod referral;
mod replacement;
mod report;
mod rest;
mod transfer;
mod walk;

use plugboard_sdk::FailureReason;
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

/// A session description of a phone, with audio on this port.
fn sdp(user: &str, version: u64, port: u16) -> Vec<u8> {
    format!(
        "v=0\r\no={user} 77 {version} IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    )
    .into_bytes()
}

fn origin(description: &[u8]) -> plugboard_sdk::sdp::Origin {
    plugboard_sdk::sdp::Origin::of(description).expect("a session description")
}

/// The ACK of this INVITE.
fn acknowledged(effects: &[Effect], invite: u32) -> Option<Vec<u8>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ack { transaction, body, .. } if *transaction == invite => Some(body.clone()),
        _ => None,
    })
}

/// The legs that were released, each with its Reason.
fn released(effects: &[Effect]) -> Vec<(u32, String)> {
    let released = effects.iter().filter_map(|effect| match effect {
        Effect::Release { leg, headers, .. } => Some((*leg, headers)),
        _ => None,
    });
    released.map(|(leg, headers)| (leg, headers.iter().map(|header| header.value.as_str()).collect())).collect()
}

/// The response that a request of a phone got: status, reason phrase, header fields, body.
fn answered(effects: &[Effect], wanted: u32) -> Option<(u16, Vec<plugboard_sdk::Header>, Vec<u8>)> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Respond { transaction, status, headers, body, .. } if *transaction == wanted => {
            Some((*status, headers.clone(), body.clone()))
        }
        _ => None,
    })
}

const INVITE_CALL: &str = "/callcontroller/alice/bob?sipMethod=INVITE";
/// The legs of a call that was placed first.
const ALICE: u32 = 1;
const BOB: u32 = 2;

/// An INVITE-mode call that is up.
fn up() -> Kit<CallController> {
    let mut kit = kit();
    join(&mut kit);
    kit
}

/// Brings an INVITE-mode call up.
fn join(kit: &mut Kit<CallController>) {
    assert_eq!(kit.http("POST", INVITE_CALL).status, 200);
    talk(kit);
}

/// Both phones answer an INVITE-mode call that was just placed.
fn talk(kit: &mut Kit<CallController>) {
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 0));
    let (_, bob, _) = called(&kit.take_effects());
    kit.respond(bob, 180, b"");
    kit.respond(bob, 200, &sdp("bob", 5, 6000));
    let (reinvite, ..) = requested(&kit.take_effects(), "INVITE");
    kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
    assert!(acknowledged(&kit.take_effects(), bob).is_some());
    assert_eq!(report(kit)["phase"], "up");
}
