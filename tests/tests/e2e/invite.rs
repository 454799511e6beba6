//! INVITE mode (RFC 3725 flow IV) against sipp: from the first INVITE to the BYE, from every side, and transfers.

use plugboard_tests::by_hand::ByHand;
use plugboard_tests::place::Place;
use plugboard_tests::server::{Domain, Server};
use plugboard_tests::sipp::Phone;

/// An INVITE-mode call between two phones of sipp.
pub struct Call {
    pub place: Place,
    pub server: Server,
    /// Path and query of the call, without sipMethod.
    pub path: String,
}

impl Call {
    /// A server without a proxy: the phones are called where they are.
    pub fn start(place: Place, calling: &Phone, called: &Phone) -> Self {
        Self::start_at(Server::start(&place, &[Domain::example()]), place, calling, called)
    }

    /// The same on this server.
    pub fn start_at(server: Server, place: Place, calling: &Phone, called: &Phone) -> Self {
        let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
        server.place_call(&format!("{path}&sipMethod=invite"));
        Self { place, server, path }
    }

    /// Waits until both phones are joined.
    pub fn await_talk(&self) {
        self.server.await_json(&self.path, "two legs that are up", |json| {
            let legs = json["legs"].as_array().map(Vec::as_slice).unwrap_or_default();
            legs.iter().filter(|leg| leg["state"] == "up").count() == 2 && json["phase"] == "up"
        });
    }

    /// Asserts the terminal status, and that every leg has its own.
    pub fn ended(&self, code: u64, by: &str) {
        assert_eq!(self.server.await_outcome(&self.path), (code, by.to_owned()));
        self.server.await_end(&self.path);
        assert_eq!(self.server.metric("plugboard_calls_up"), 0.0, "a call is left");
    }

    /// Ends the call, which a phone of sipp and one by hand are part of by now, and asserts its terminal status.
    pub fn hang_up_by_hand(&self, phone: Phone, by_hand: &mut ByHand) {
        self.server.hang_up(&self.path);
        let bye = by_hand.request("BYE");
        by_hand.answer(&bye, "200 OK", "");
        phone.finish();
        self.ended(200, "request");
    }

    /// Asks for a transfer and expects that it is begun.
    pub fn transfer(&self, target: &str) {
        self.server.place_call(&format!("{}&action=transfer&target={target}", self.path));
    }
}

fn place(name: &str) -> Place {
    Place::new(&format!("invite-{name}"))
}

#[test]
fn deleted_while_it_is_up() {
    let place = place("deleted");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let xml = call.server.send("GET", &call.path).text();
    assert!(xml.contains("<dialogs xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">"), "{xml}");
    assert_eq!(xml.matches("<dialog-state>confirmed</dialog-state>").count(), 2, "{xml}");
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn calling_party_hangs_up() {
    let place = place("calling-hangs-up");
    let (calling, called) = (place.phone("calling_hangs_up").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(200, "calling");
}

#[test]
fn called_party_hangs_up() {
    let place = place("called-hangs-up");
    let (calling, called) = (place.phone("calling").start(), place.phone("called_hangs_up").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(200, "called");
}

#[test]
fn called_party_is_busy() {
    let place = place("called-busy");
    let (calling, called) = (place.phone("calling_told_busy").start(), place.phone("busy").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(486, "called");
}

#[test]
fn calling_party_gives_up_while_the_called_one_rings() {
    let place = place("gives-up");
    let (calling, called) = (place.phone("calling_gives_up").start(), place.phone("no_answer").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(487, "calling");
}

#[test]
fn called_party_does_not_answer() {
    let place = place("called-no-answer");
    let (calling, called) = (place.phone("calling_released").start(), place.phone("no_answer").start());
    let server = Server::start(&place, &[Domain::example()]);
    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite&timeout=2"));
    calling.finish();
    called.finish();
    Call { place, server, path }.ended(408, "timeout");
}

#[test]
fn deleted_while_the_called_party_rings() {
    let place = place("deleted-ringing");
    let (calling, called) = (place.phone("calling_released").start(), place.phone("no_answer").start());
    let call = Call::start(place, &calling, &called);
    called.saw("SIP/2.0 180 Ringing");
    call.server.await_json(&call.path, "the ring", |json| json["legs"][1]["state"] == "ringing");
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(487, "request");
}

#[test]
fn ack_that_was_lost_is_sent_again() {
    let place = place("lost-ack");
    let (calling, called) = (place.phone("lost_ack").raw().start(), place.phone("no_answer").start());
    let call = Call::start(place, &calling, &called);
    calling.finish();
    called.finish();
    call.ended(487, "calling");
}

#[test]
fn transferred() {
    let place = place("transferred");
    let (calling, called) = (place.phone("calling").start(), place.phone("transferred").start());
    let target = place.phone("target").start();
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    call.transfer(&target.user("carol"));
    calling.finish();
    call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 200);
    call.server.hang_up(&call.path);
    called.finish();
    target.finish();
    call.ended(200, "request");
}

#[test]
fn refused_transfer_leaves_the_call_as_it_was() {
    let place = place("transfer-refused");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let target = place.phone("busy").start();
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    call.transfer(&target.user("carol"));
    target.finish();
    call.server.await_json(&call.path, "the transfer", |json| json["transfers"][0]["outcome"]["code"] == 486);
    call.await_talk();
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

#[test]
fn second_call_between_the_same_parties_is_refused() {
    let place = place("twice");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let again = call.server.send("POST", &format!("{}&sipMethod=invite", call.path));
    assert_eq!(again.status, 409, "{}", again.text());
    for (query, status) in [("&action=transfer", 400), ("&action=transfer&target=", 400)] {
        assert_eq!(call.server.send("POST", &format!("{}{query}", call.path)).status, status, "{query}");
    }
    call.server.hang_up(&call.path);
    calling.finish();
    called.finish();
    assert_eq!(call.server.send("POST", "/callcontroller/bob/carol?action=transfer&target=alice").status, 404);
    assert_eq!(call.server.send("DELETE", "/callcontroller/bob/carol").status, 404);
}
