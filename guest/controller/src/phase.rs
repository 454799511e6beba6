//! What a phase of a call becomes: another phase, or the end.

use plugboard_sdk::{Header, IncomingRequest, headers};

use crate::record::Outcome;
use crate::referral::Referral;

/// The next phase, or how the call ended.
pub(crate) enum Next<P> {
    On(P),
    /// Boxed, because it happens once and phases are handed on with every event.
    End(Box<Ending>),
}

/// The end of a call, as the phase that it ended in leaves it.
pub(crate) struct Ending {
    pub outcome: Outcome,
    pub owed: Owed,
    /// What the CANCEL or BYE of the remaining legs carries.
    pub headers: Vec<Header>,
    /// No request waits for its answer and no subscription is open: of phones that talked nothing more is to be learnt.
    pub is_last_word: bool,
}

/// What phones are owed when a call ends.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    /// Their requests that want a final response still.
    pub answers: Vec<u32>,
    /// What the one that asked for a transfer was to be told of it.
    pub referral: Option<Referral>,
}

impl Ending {
    /// An end that the remaining phones are told the cause of, unless it is no failure.
    pub fn new(outcome: Outcome) -> Self {
        let failed = outcome.status.code >= 300;
        let cause = || headers::reason(outcome.status.code, outcome.status.reason());
        let headers = if failed { vec![cause()] } else { Vec::new() };
        Self { outcome, owed: Owed::default(), headers, is_last_word: false }
    }

    /// The end by a BYE: the other phone gets the Reason that it carried (RFC 3326), or that of the outcome.
    pub fn by_bye(outcome: Outcome, bye: &IncomingRequest) -> Self {
        let mut ending = Self::new(outcome);
        let given: Vec<Header> =
            bye.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Reason")).cloned().collect();
        if !given.is_empty() {
            ending.headers = given;
        }
        ending
    }

    pub fn last_word(mut self, is_last_word: bool) -> Self {
        self.is_last_word = is_last_word;
        self
    }

    pub fn owing(mut self, owed: Owed) -> Self {
        self.owed = owed;
        self
    }
}

impl<P> Next<P> {
    pub fn map<Q>(self, into: impl FnOnce(P) -> Q) -> Next<Q> {
        match self {
            Self::On(phase) => Next::On(into(phase)),
            Self::End(ending) => Next::End(ending),
        }
    }

    pub fn end(outcome: Outcome) -> Self {
        Self::ended(Ending::new(outcome))
    }

    pub fn ended(ending: Ending) -> Self {
        Self::End(Box::new(ending))
    }
}
