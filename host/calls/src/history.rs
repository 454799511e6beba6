//! The messages of a call in order, for the ladder: what an operator looks at when a call went wrong.

use crate::contract::LegId;
use plugboard_sip::message::{Method, Status};
use plugboard_sip::time::Time;

/// Messages remembered of one call; the first ones are kept, what comes later is counted.
pub const MESSAGES_MAX: usize = 128;

/// Room is made for so many at first.
const MESSAGES_AS_A_RULE: usize = 8;

/// The messages of one call.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Passed>,
    dropped: u32,
}

/// One SIP message that passed, retransmissions left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// When.
    pub at: Time,
    /// On which leg.
    pub leg: LegId,
    /// Whether we sent it.
    pub outgoing: bool,
    /// What it was.
    pub what: What,
}

/// The start line of a message, in short.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A request.
    Request(Method),
    /// A response, with the method that it answers.
    Response(Status, Method),
}

impl History {
    pub(crate) fn note(&mut self, at: Time, leg: LegId, outgoing: bool, what: What) {
        if self.messages.is_empty() {
            self.messages.reserve_exact(MESSAGES_AS_A_RULE);
        }
        if self.messages.len() < MESSAGES_MAX {
            self.messages.push(Passed { at, leg, outgoing, what });
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// The messages, oldest first.
    pub fn messages(&self) -> &[Passed] {
        &self.messages
    }

    /// Messages that came after [`MESSAGES_MAX`], in number.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}
