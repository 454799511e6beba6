//! What the kit knows of one call: its legs, transactions, exchanges and timers.

use std::collections::BTreeMap;

use crate::{Address, Header, HttpResponse, Invite};

/// Something that a controller did, once it was committed.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The fields are those of the import.
pub enum Effect {
    /// An INVITE that opens a leg.
    Call { leg: u32, transaction: u32, invite: Invite },
    /// A request inside a dialog.
    Request { leg: u32, transaction: u32, method: String, headers: Vec<Header>, body: Vec<u8> },
    /// The ACK of a 2xx.
    Ack { transaction: u32, headers: Vec<Header>, body: Vec<u8> },
    /// A request repeated with credentials.
    AnswerChallenge { challenged: u32, transaction: u32 },
    /// The CANCEL of an INVITE inside a dialog.
    Cancel { transaction: u32 },
    /// A response to a request of a phone.
    Respond { transaction: u32, status: u16, reason: String, headers: Vec<Header>, body: Vec<u8> },
    /// The first release of a leg; `sends` says what leaves the host.
    Release { leg: u32, headers: Vec<Header>, sends: Farewell },
    /// An answer to an HTTP exchange.
    Http { exchange: u64, response: HttpResponse },
    /// A timer was set.
    SetTimer { name: String, after_ms: u64 },
    /// A value was written to the cache.
    CachePut { key: String, ttl_seconds: u32 },
}

/// What a release makes the host send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The leg was ringing; its INVITE is cancelled.
    Cancel,
    /// The leg was up; the BYE is this transaction.
    Bye(u32),
    /// The leg was over.
    Nothing,
}

/// One leg as the host sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// The INVITE that opened it.
    pub invite: Invite,
    /// The latest transaction of that INVITE (a repetition with credentials is a new one).
    pub transaction: u32,
    /// How far it is.
    pub state: LegState,
}

/// How far a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegState {
    /// Its INVITE has no final response.
    Calling,
    /// A 2xx came.
    Up,
    /// Released while ringing: a final response is due.
    Cancelled,
    /// Released while up: the answer to the BYE is due.
    Leaving,
    /// Nothing is left of it.
    Over,
}

/// One request of the controller.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The leg it went out on.
    pub leg: u32,
    /// Its method.
    pub method: String,
    /// The body it carried.
    pub body: Vec<u8>,
    /// The final response it got; 0 for none ever.
    pub answered: Option<u16>,
    /// Whether it is a 2xx to an INVITE that wants its ACK.
    pub owes_ack: bool,
    /// Whether a CANCEL was staged for it.
    pub cancelled: bool,
    /// Whether it was repeated with credentials, or is itself such a repetition.
    pub authorized: bool,
}

/// One request of a phone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Received {
    pub leg: u32,
    pub method: String,
    pub answered: Option<u16>,
}

/// The legs that phones open are counted from the one after this.
const FIRST_FROM_OUTSIDE: u32 = 1 << 31;

/// All of one call but its state.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub legs: BTreeMap<u32, Leg>,
    pub sent: BTreeMap<u32, Sent>,
    pub received: BTreeMap<u32, Received>,
    pub exchanges: BTreeMap<u64, bool>,
    pub timers: BTreeMap<String, u64>,
    pub agent: Option<String>,
    pub next_leg: u32,
    pub next_transaction: u32,
}

impl World {
    pub fn transaction(&mut self) -> u32 {
        self.next_transaction += 1;
        self.next_transaction
    }

    pub fn send(&mut self, leg: u32, method: &str, body: Vec<u8>) -> u32 {
        let transaction = self.transaction();
        let sent = Sent {
            leg,
            method: method.to_string(),
            body,
            answered: None,
            owes_ack: false,
            cancelled: false,
            authorized: false,
        };
        self.sent.insert(transaction, sent);
        transaction
    }

    /// A leg that a phone opens.
    pub fn open_from_outside(&mut self, transaction: u32, from: &str, body: &[u8]) -> u32 {
        let others = self.legs.keys().filter(|leg| **leg > FIRST_FROM_OUTSIDE).count();
        let leg = FIRST_FROM_OUTSIDE + 1 + u32::try_from(others).unwrap_or(u32::MAX / 4);
        let from = Address { display_name: None, uri: from.to_string() };
        let invite = Invite { target: String::new(), to: None, from, headers: Vec::new(), body: body.to_vec() };
        self.legs.insert(leg, Leg { invite, transaction, state: LegState::Calling });
        self.received.insert(transaction, Received { leg, method: "INVITE".to_string(), answered: None });
        leg
    }

    /// What the host does about an INVITE that was to open a leg and whose event has left it without any response.
    pub fn refuse_ignored(&mut self, transaction: u32) {
        let Some(received) = self.received.get_mut(&transaction).filter(|received| received.answered.is_none()) else {
            return;
        };
        received.answered = Some(488);
        if let Some(leg) = self.legs.get_mut(&received.leg) {
            leg.state = LegState::Over;
        }
    }

    /// Whether an INVITE opened its leg, in contrast to a re-INVITE.
    pub fn opens(&self, transaction: u32) -> bool {
        self.legs.values().any(|leg| leg.transaction == transaction)
    }

    /// What the controller owes when the call ends; empty when it kept its promises.
    pub fn debts(&self) -> Vec<String> {
        let legs = self.legs.iter().filter(|(_, leg)| matches!(leg.state, LegState::Calling | LegState::Up));
        let received = self.received.iter().filter(|(_, request)| request.answered.is_none_or(|status| status < 200));
        let exchanges = self.exchanges.iter().filter(|(_, answered)| !**answered);
        let mut debts: Vec<String> = legs.map(|(id, leg)| format!("leg {id} is {:?}", leg.state)).collect();
        debts.extend(received.map(|(id, request)| format!("{} {id} has no final response", request.method)));
        debts.extend(exchanges.map(|(id, _)| format!("exchange {id} is not answered")));
        debts
    }
}
