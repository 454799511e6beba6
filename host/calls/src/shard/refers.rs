//! REFERs inside a dialog, and the subscriptions that they make (RFC 3515, RFC 6665). On the wire the `id` of an Event
//! `refer` is the CSeq number of its REFER (RFC 3515 §2.4.6). CSeq numbers are the host's: to a guest the `id` is the
//! transaction of the REFER.

use crate::contract::{Header, TransactionId};
use std::collections::VecDeque;

/// REFERs that a leg remembers in each direction, in number; the oldest is forgotten first.
const REFERS_MAX: usize = 16;

/// The REFERs of a leg.
#[derive(Debug, Default)]
pub(super) struct Refers {
    ours: VecDeque<Refer>,
    theirs: VecDeque<Refer>,
}

#[derive(Debug)]
struct Refer {
    transaction: TransactionId,
    /// Its CSeq number.
    number: u32,
    /// It was accepted, and no NOTIFY has ended its subscription.
    open: bool,
}

impl Refers {
    /// One of ours goes out.
    pub fn sent(&mut self, transaction: TransactionId, number: u32) {
        remember(&mut self.ours, transaction, number);
    }

    /// One of ours got a 2xx: NOTIFYs are to come, after the BYE, too (RFC 5057 §4).
    pub fn accepted(&mut self, transaction: TransactionId) {
        if let Some(refer) = self.ours.iter_mut().find(|refer| refer.transaction == transaction) {
            refer.open = true;
        }
    }

    /// One of the peer's came.
    pub fn came(&mut self, transaction: TransactionId, number: u32) {
        remember(&mut self.theirs, transaction, number);
    }

    /// Whether NOTIFYs are still to come.
    pub fn are_open(&self) -> bool {
        self.ours.iter().any(|refer| refer.open)
    }

    /// A NOTIFY with this Event ended its subscription: without an `id`, the one of the first REFER.
    pub fn ended(&mut self, event: &str) {
        let number = id_of(event).and_then(|id| id.parse().ok());
        let named = |refer: &&mut Refer| refer.open && number.is_none_or(|number: u32| refer.number == number);
        if let Some(refer) = self.ours.iter_mut().find(named) {
            refer.open = false;
        }
    }

    /// The header fields of the peer's NOTIFY, which is about a REFER of ours, or SUBSCRIBE, about one of its own, as
    /// the guest sees them.
    pub fn to_guest(&self, method: &str, headers: &mut [Header]) {
        let refers = if method == "NOTIFY" { &self.ours } else { &self.theirs };
        rename(headers, |number| refers.iter().find(|refer| refer.number == number).map(|refer| refer.transaction.0));
    }

    /// The header fields of a guest's NOTIFY or SUBSCRIBE as the peer sees them.
    pub fn to_peer(&self, headers: &mut [Header]) {
        let mut all = self.ours.iter().chain(&self.theirs);
        rename(headers, |id| all.find(|refer| refer.transaction.0 == id).map(|refer| refer.number));
    }
}

fn remember(refers: &mut VecDeque<Refer>, transaction: TransactionId, number: u32) {
    if refers.len() == REFERS_MAX {
        refers.pop_front();
    }
    refers.push_back(Refer { transaction, number, open: false });
}

/// Replaces the id of an Event `refer`. One that names none of the REFERs stays as it is.
fn rename(headers: &mut [Header], mut known: impl FnMut(u32) -> Option<u32>) {
    for header in headers.iter_mut().filter(|header| is_event(&header.name)) {
        if let Some(other) = id_of(&header.value).and_then(|id| known(id.parse().ok()?)) {
            header.value = format!("refer;id={other}");
        }
    }
}

fn is_event(name: &str) -> bool {
    name.eq_ignore_ascii_case("Event") || name.eq_ignore_ascii_case("o")
}

/// The `id` of an Event of the package `refer`.
fn id_of(event: &str) -> Option<&str> {
    let (package, parameters) = event.split_once(';')?;
    let pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut ids = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("id")).map(|(_, id)| id.trim());
    ids.next().filter(|_| package.trim().eq_ignore_ascii_case("refer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(value: &str) -> [Header; 1] {
        [Header { name: "Event".to_owned(), value: value.to_owned() }]
    }

    fn refers() -> Refers {
        let mut refers = Refers::default();
        refers.sent(TransactionId(7), 2);
        refers.sent(TransactionId(9), 4);
        refers.came(TransactionId(1 << 31 | 5), 2);
        refers
    }

    #[test]
    fn a_refer_is_named_by_its_number_on_the_wire_and_by_its_transaction_to_a_guest() {
        let refers = refers();
        for (method, wire, guest) in [
            ("NOTIFY", "refer;id=4", "refer;id=9"),
            ("NOTIFY", "Refer ; x=y ; ID = 2", "refer;id=7"),
            ("SUBSCRIBE", "refer;id=2", "refer;id=2147483653"),
            ("NOTIFY", "refer", "refer"),
            ("NOTIFY", "refer;id=5", "refer;id=5"),
            ("NOTIFY", "refer;id=x", "refer;id=x"),
            ("NOTIFY", "presence;id=2", "presence;id=2"),
        ] {
            let mut headers = event(wire);
            refers.to_guest(method, &mut headers);
            assert_eq!(headers, event(guest), "{wire}");
        }
        for (guest, wire) in [("refer;id=2147483653", "refer;id=2"), ("refer;id=9", "refer;id=4"), ("refer", "refer")] {
            let mut headers = event(guest);
            refers.to_peer(&mut headers);
            assert_eq!(headers, event(wire), "{guest}");
        }
    }

    #[test]
    fn a_subscription_is_ended_by_its_own_id() {
        let mut refers = refers();
        assert!(!refers.are_open());
        refers.accepted(TransactionId(7));
        refers.accepted(TransactionId(9));
        refers.ended("refer;id=4");
        refers.ended("refer;id=4");
        assert!(refers.are_open(), "the first one is");
        refers.ended("refer");
        assert!(!refers.are_open());
    }

    #[test]
    fn who_refers_without_end_is_not_remembered_without_end() {
        let mut refers = Refers::default();
        for number in 0..1_000 {
            refers.came(TransactionId(number), number);
        }
        assert_eq!(refers.theirs.len(), REFERS_MAX);
        let mut headers = event("refer;id=999");
        refers.to_guest("SUBSCRIBE", &mut headers);
        assert_eq!(headers, event("refer;id=999"), "the latest is known");
    }
}
