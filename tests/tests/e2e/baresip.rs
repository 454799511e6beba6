//! baresip as the calling and as the called phone, in both modes: the two hear each other, and not through us.

use plugboard_tests::baresip::Baresip;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::wait::{SOON, until};

/// The tones of the two phones, in hertz.
const ALICE: u32 = 440;
const BOB: u32 = 1_000;
/// How long the call is on hold, and how long they talk again afterwards, in seconds.
const HOLD_SECONDS: usize = 2;
const TALK_SECONDS: usize = 3;
/// RTP packets of a second, in number.
const SECOND: usize = 50;

struct Talk {
    alice: Baresip,
    bob: Baresip,
    server: Server,
    path: String,
    _place: Place,
}

impl Talk {
    /// Has Plugboard connect them, and waits until they hear each other.
    fn start(name: &str, mode: &str) -> Self {
        let place = Place::new(name);
        let alice = Baresip::start(&place, "alice", ALICE, 20_000..=24_999);
        let bob = Baresip::start(&place, "bob", BOB, 25_000..=29_999);
        let server = Server::start(&place, &[Domain::example()]);
        let path = format!("/callcontroller/{}/{}?agent=alice", alice.user("alice"), bob.user("bob"));
        server.place_call(&format!("{path}&sipMethod={mode}"));
        alice.hears(BOB);
        bob.hears(ALICE);
        alice.hears_directly(&bob);
        bob.hears_directly(&alice);
        Self { alice, bob, server, path, _place: place }
    }
}

/// Waits until a phone has seen an SDP of this direction after one of that.
fn turned(phone: &Baresip, from: &str, to: &str) {
    until(&format!("{to} after {from}"), SOON, || {
        phone.log().rsplit_once(from).is_some_and(|(_, rest)| rest.contains(to)).then_some(())
    });
}

#[test]
fn invite_mode_with_hold_and_resume_from_a_phone() {
    let Talk { mut alice, mut bob, server, path, _place } = Talk::start("baresip-invite", "invite");
    server.await_json(&path, "the call to be up", |json| json["phase"] == "up");
    let heard = [&alice, &bob].map(Baresip::packets_heard);
    alice.type_in("/hold");
    bob.says("a=sendonly");
    turned(&alice, "a=sendonly", "a=recvonly");
    alice.goes_on_for(HOLD_SECONDS);
    alice.type_in("/resume");
    turned(&bob, "a=recvonly", "a=sendrecv");
    turned(&alice, "a=recvonly", "a=sendrecv");
    bob.goes_on_for(TALK_SECONDS);

    bob.type_in("/hangup");
    assert_eq!(server.await_outcome(&path), (200, "called".to_owned()));
    alice.says("session closed");
    bob.says("terminate call");
    server.await_end(&path);
    for (phone, heard) in [&mut alice, &mut bob].into_iter().zip(heard) {
        let (sent, received) = phone.packets();
        let made = phone.packets_made();
        let talked = received - heard;
        assert!(sent + SECOND * HOLD_SECONDS * 3 / 4 <= made, "sent {sent} of {made}: it talked while on hold");
        assert!(talked >= SECOND * TALK_SECONDS * 3 / 4, "{talked} after the hold: it was not talked to any more");
    }
}

#[test]
fn refer_mode_and_we_step_aside() {
    let Talk { alice, mut bob, server, path, _place } = Talk::start("baresip-refer", "refer");
    assert_eq!(server.await_outcome(&path).1, "handed-over");
    until("the NOTIFY that bob has answered", SOON, || {
        let told = |line: &plugboard_tests::status::Line| line.method == "NOTIFY" && line.status_line.contains(" 200");
        server.lines(&path).iter().any(told).then_some(())
    });
    server.await_end(&path);
    alice.type_in("/hangup");
    bob.says("session closed");
}
