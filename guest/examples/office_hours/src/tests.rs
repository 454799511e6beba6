//! The rule, and a call from beginning to end.

use crate::OfficeHours;
use plugboard_sdk::testkit::{Effect, Kit, LegState};
use plugboard_sdk::{EndingReason, FailureReason};

const CALL: &str = "/office/alice/202";
const HOUR_MS: u64 = 3_600_000;
/// A Friday, 17:59 UTC, in milliseconds since the Unix epoch.
const FRIDAY_17_59: u64 = 1_700_243_940_000;

/// Alice and Bob, on that Friday.
fn kit() -> Kit<OfficeHours> {
    let mut kit = Kit::new("example.com", 1);
    kit.user("alice", "Alice", &["201"]).user("bob", "Bob", &["202"]);
    kit.advance(FRIDAY_17_59 - kit.now());
    kit
}

#[test]
fn calls_are_placed_during_office_hours_only() {
    let mut kit = kit();
    assert_eq!(kit.http("POST", CALL).status, 200);
    kit.http("DELETE", CALL);
    // Friday 18:59, Saturday and Sunday at noon, Monday 7:59, 8:59.
    for (hours, status) in [(1, 403), (17, 403), (24, 403), (20, 403), (1, 200)] {
        kit.advance(hours * HOUR_MS);
        let answer = kit.http("POST", CALL);
        assert_eq!(answer.status, status, "at {}", kit.now());
        assert_eq!(answer.body.starts_with(b"calls are placed Monday to Friday"), status == 403);
    }
}

#[test]
fn a_call_rings_refers_and_steps_aside() {
    let mut kit = kit();
    kit.http("POST", CALL);
    kit.respond(1, 180, b"");
    kit.respond(1, 200, b"v=0\r\n");
    let refer = kit.take_effects().into_iter().find_map(|effect| match effect {
        Effect::Request { method, headers, .. } if method == "REFER" => Some(headers),
        _ => None,
    });
    assert_eq!(refer.expect("a REFER")[0].value, "<sip:bob@example.com>");
    let (refer, _) = kit.open_requests().pop().expect("the REFER");
    kit.respond(refer, 202, b"");
    assert_eq!(kit.http("GET", CALL).body, b"INVITE 180 Ringing, INVITE 200 OK, REFER 202 Accepted\n");
    let sipfrag = [("Event", "refer"), ("Content-Type", "message/sipfrag")];
    kit.request(1, "NOTIFY", &sipfrag, b"SIP/2.0 100 Trying");
    assert_eq!(kit.legs()[&1].state, LegState::Up);
    kit.request(1, "NOTIFY", &sipfrag, b"SIP/2.0 180 Ringing");
    assert_eq!(kit.legs()[&1].state, LegState::Leaving);
    assert!(kit.state().is_none() && kit.unanswered().is_empty());
}

#[test]
fn whatever_goes_wrong_ends_the_call() {
    let ends: [fn(&mut Kit<OfficeHours>); 5] = [
        |kit| kit.respond(1, 486, b""),
        |kit| kit.fail(1, FailureReason::TimedOut),
        |kit| kit.advance(61_000),
        |kit| kit.end(EndingReason::Operator),
        |kit| {
            kit.respond(1, 200, b"v=0\r\n");
            kit.request(1, "BYE", &[], b"");
        },
    ];
    for (n, end) in ends.iter().enumerate() {
        let mut kit = kit();
        kit.http("POST", CALL);
        end(&mut kit);
        assert!(kit.state().is_none(), "end {n}");
        assert_eq!(kit.http("GET", CALL).status, 404);
    }
}
