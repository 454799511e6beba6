//! Random walks: legal events of the network in any order. Whatever happens, the kit's promises hold, and every call
//! comes to its end by itself once nobody does anything any more.

use std::collections::{BTreeMap, BTreeSet};

use plugboard_sdk::sdp::Origin;
use plugboard_sdk::testkit::{LegState, Sent};
use plugboard_sdk::{EndingReason, Random};

use super::*;

const WALKS: u64 = 4_000;
const STEPS: usize = 60;

/// What each leg saw last: description without its origin, and the origin.
type Seen = BTreeMap<u32, (String, Origin)>;

/// The states that the walks must come through, each often enough to mean something, as their debug output names them.
const STATES: [&str; 13] = [
    "ExpectAnswer",
    "ExpectReferResponse",
    "ExpectNotify",
    "ExpectCalling",
    "ExpectCalled",
    "progress: Invite(Joining",
    "Up(Up",
    "Invite(Early",
    "ExpectTarget",
    "step: Joining",
    "gone: true",
    "ExpectMoved",
    "Closing",
];

#[test]
fn whatever_happens_every_call_ends_as_it_should() {
    let mut visits = BTreeMap::<&str, u64>::new();
    for seed in 0..WALKS {
        let visited = std::panic::catch_unwind(|| walk(seed));
        for state in visited.unwrap_or_else(|_| panic!("the walk with seed {seed}")) {
            *visits.entry(state).or_default() += 1;
        }
    }
    for state in STATES {
        assert!(visits.get(state).is_some_and(|visits| *visits >= WALKS / 400), "{state}: {visits:?}");
    }
}

/// One call; says which states it came through.
fn walk(seed: u64) -> BTreeSet<&'static str> {
    let mut random = Random::new(seed);
    let mut kit = seeded(seed);
    kit.state_bytes_max = 24 * 1024;
    if seed.is_multiple_of(3) {
        kit.setting("early_media", "true").setting("refer_fallback", "invite");
    }
    let mut seen = Seen::new();
    let mut visited = BTreeSet::new();
    let mode = if random.within(0, 3) == 0 { "REFER" } else { "INVITE" };
    kit.http("POST", &format!("{CALL}?sipMethod={mode}&isForwardingAllowed=true&timeout=40&resultCacheTime=86400"));
    let mut wants_ack: Vec<u32> = Vec::new();
    for _ in 0..STEPS {
        let Some(state) = kit.state() else { break };
        let timed = !kit.timers().is_empty() || kit.is_ended_by_host();
        assert!(timed, "nothing may wait for ever: {state:?}");
        let state = format!("{state:?}");
        visited.extend(STATES.into_iter().filter(|wanted| state.contains(wanted)));
        disturb(&mut kit, &mut random, &mut wants_ack);
        watch_versions(&mut kit, &mut seen, &mut wants_ack);
    }
    if kit.is_ended_by_host() {
        kit.http("GET", CALL);
    }
    if random.within(0, 1) == 0 {
        wind_down(&mut kit)
    } else {
        fall_silent(&mut kit)
    }
    let shown = report(&mut kit);
    assert!(shown["outcome"]["code"].is_number(), "{shown}");
    let legs = shown["legs"].as_array().expect("a list");
    assert!(legs.iter().all(|leg| leg["outcome"]["code"].is_number()), "{shown}");
    let transfers = shown["transfers"].as_array().expect("a list");
    assert!(transfers.iter().all(|transfer| transfer["outcome"]["code"].is_number()), "{shown}");
    visited
}

/// Nobody does anything any more, but the host's transactions end and phones say BYE.
fn wind_down(kit: &mut Kit<CallController>) {
    for _ in 0..40 {
        kit.settle();
        for (transaction, _) in kit.open_requests() {
            kit.fail(transaction, FailureReason::TimedOut);
        }
        for leg in legs_in(kit, LegState::Up) {
            kit.request(leg, "BYE", &[], b"");
        }
        kit.advance(60_000);
        if kit.state().is_none() {
            return;
        }
    }
    panic!("the call is not over");
}

/// No phone says anything any more. The host ends every transaction but an INVITE that had a provisional response,
/// and that one too once it is cancelled: the rest is for the controller's timers.
fn fall_silent(kit: &mut Kit<CallController>) {
    for _ in 0..200 {
        for (transaction, sent) in kit.open_requests() {
            let cancelled = kit.legs().get(&sent.leg).is_none_or(|leg| leg.state == LegState::Cancelled);
            if sent.method != "INVITE" || sent.cancelled || cancelled {
                kit.fail(transaction, FailureReason::TimedOut);
            }
        }
        kit.advance(32_000);
        if kit.state().is_none() {
            return;
        }
    }
    panic!("the call waits for ever: {:?}", kit.state());
}

fn legs_in(kit: &Kit<CallController>, state: LegState) -> Vec<u32> {
    kit.legs().into_iter().filter(|(_, leg)| leg.state == state).map(|(id, _)| id).collect()
}

/// One thing that the network, a phone or a client may do now.
fn disturb(kit: &mut Kit<CallController>, random: &mut Random, wants_ack: &mut Vec<u32>) {
    match random.within(0, 99) {
        0..=54 => {
            let open = kit.open_requests();
            if let Some((transaction, sent)) = pick(&open, random) {
                answer(kit, random, transaction, &sent);
            }
        }
        55..=72 => phone(kit, random),
        73..=84 => {
            if let Some(invite) = wants_ack.pop() {
                let body = if random.within(0, 1) == 0 { sdp("x", random.within(1, 9), 5000) } else { Vec::new() };
                kit.ack(invite, &body);
            }
        }
        85..=90 => {
            kit.http("POST", &format!("{CALL}?action=transfer&target=carol&timeout=10"));
        }
        91..=95 => kit.advance(random.within(1, 6_000)),
        96 => {
            kit.http("DELETE", CALL);
        }
        97 => {
            kit.http("POST", &format!("{CALL}?resultCacheTime=86400"));
        }
        98 if random.within(0, 2) == 0 => kit.end(EndingReason::Drained),
        98 if random.within(0, 2) == 0 => kit.ended_without_guest(EndingReason::Faulty),
        98 => {
            let unanswered: Vec<u32> =
                kit.unanswered().into_iter().filter(|(_, _, method)| method == "INVITE").map(|(id, ..)| id).collect();
            if let Some(invite) = pick(&unanswered, random) {
                kit.cancel(invite);
            }
        }
        _ => {
            kit.advance(random.within(1, 60_000));
        }
    }
}

fn answer(kit: &mut Kit<CallController>, random: &mut Random, transaction: u32, sent: &Sent) {
    let description = sdp("phone", random.within(1, 99), 5000);
    let body = if sent.method == "INVITE" || sent.method == "UPDATE" { description.as_slice() } else { b"" };
    match random.within(0, 39) {
        0..=25 => kit.respond(transaction, if sent.method == "REFER" { 202 } else { 200 }, body),
        26 => kit.respond(transaction, 180, b""),
        27 => kit.respond(transaction, 183, body),
        28 => kit.respond(transaction, 100, b""),
        29 => kit.respond(transaction, 407, b""),
        30 | 31 => kit.respond(transaction, 491, b""),
        32 => kit.respond(transaction, 486, b""),
        33 => kit.respond(transaction, 481, b""),
        34 => kit.respond(transaction, 488, b""),
        35 => kit.respond_with(transaction, 302, &[], b"", &["sip:other@example.net"]),
        36 => kit.respond(transaction, 200, b""),
        37 => kit.fail(transaction, FailureReason::TimedOut),
        38 => kit.fail(transaction, FailureReason::Unreachable),
        _ => kit.respond(transaction, 603, b""),
    }
}

fn phone(kit: &mut Kit<CallController>, random: &mut Random) {
    let legs = [legs_in(kit, LegState::Up), legs_in(kit, LegState::Leaving)].concat();
    let Some(leg) = pick(&legs, random) else { return };
    let description = sdp("phone", random.within(1, 99), 5000);
    match random.within(0, 16) {
        0 => drop(kit.request(leg, "BYE", &[], b"")),
        1..=6 => drop(kit.request(leg, "INVITE", &[], &description)),
        7 => drop(kit.request(leg, "INVITE", &[], b"")),
        8 => drop(kit.request(leg, "UPDATE", &[], &description)),
        9 => drop(kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 Trying")),
        10 => drop(kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 180 Ringing")),
        11 => drop(kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 486 Busy Here")),
        12 => drop(kit.request(leg, "OPTIONS", &[], b"")),
        13 => {
            let body = if random.within(0, 1) == 0 { &description[..] } else { b"" };
            kit.replace(leg, "sip:dave@example.com", body);
        }
        14 => {
            kit.request(leg, "REFER", &[("Refer-To", "<sip:x@y>")], b"");
            if random.within(0, 2) == 0 {
                kit.request(leg, "BYE", &[], b"");
            }
        }
        _ => drop(kit.request(leg, "INFO", &[("Content-Type", "a/b")], b"x")),
    }
}

/// Every description that a leg sees has the origin of the one before it, with a version that rises by one when
/// anything changed, and stays when nothing did. Notes the INVITEs of phones that were accepted.
fn watch_versions(kit: &mut Kit<CallController>, seen: &mut Seen, wants_ack: &mut Vec<u32>) {
    for effect in kit.take_effects() {
        let (leg, body) = match effect {
            Effect::Call { leg, invite, .. } => (leg, invite.body),
            Effect::Request { leg, body, .. } => (leg, body),
            Effect::Respond { transaction, status: 200..300, body, .. } => {
                wants_ack.push(transaction);
                let Some(leg) = kit.leg_of(transaction) else { continue };
                (leg, body)
            }
            Effect::Ack { transaction, body, .. } => {
                let Some(leg) = kit.leg_of(transaction) else { continue };
                (leg, body)
            }
            _ => continue,
        };
        let Some(origin) = Origin::of(&body) else { continue };
        let rest = text(&Origin { version: 0, ..origin.clone() }.write_into(&body));
        if let Some((before, last)) = seen.get(&leg) {
            assert_eq!((&origin.session, &origin.address), (&last.session, &last.address), "leg {leg}");
            let expected = last.version + u64::from(*before != rest);
            assert_eq!(origin.version, expected, "leg {leg}");
        }
        seen.insert(leg, (rest, origin));
    }
}

fn pick<T: Clone>(from: &[T], random: &mut Random) -> Option<T> {
    let last = u64::try_from(from.len()).ok()?.checked_sub(1)?;
    from.get(usize::try_from(random.within(0, last)).ok()?).cloned()
}
