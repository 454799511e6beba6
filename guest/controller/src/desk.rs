//! What a phase works with during one event: the host, the time, and chance.
//!
//! Effects that the host may refuse are staged here, with the refusal logged: what can go wrong is a phone that was
//! faster (its transaction or leg is over) or a quota, and for both the call simply goes on; its timers end it if need be.

use plugboard_sdk::status::Status;
use plugboard_sdk::{Header, Host, IncomingResponse, LegId, Level, Random, StageError, TransactionId};
use serde::{Deserialize, Serialize};

/// The host as seen from one event.
pub(crate) struct Desk<'a> {
    pub host: &'a mut dyn Host,
    /// Milliseconds since the Unix epoch.
    pub now: u64,
    pub random: Random,
}

/// The timers of a call. Each name is used for one purpose at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The present phase has lasted too long; in the phase that lasts as long as people talk, it is time to ask whether
    /// the phones are still there.
    Phase,
    /// The transfer has taken too long.
    Transfer,
    /// A re-INVITE that met another one may be tried again (RFC 3261 §14.1).
    Retry,
    /// A forwarded re-INVITE has waited too long for its answer.
    Forward,
    /// Released legs had time enough to confirm.
    Linger,
}

impl Timer {
    pub const ALL: [Self; 5] = [Self::Phase, Self::Transfer, Self::Retry, Self::Forward, Self::Linger];

    pub fn name(self) -> &'static str {
        match self {
            Self::Phase => "phase",
            Self::Transfer => "transfer",
            Self::Retry => "retry",
            Self::Forward => "forward",
            Self::Linger => "linger",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|timer| timer.name() == name)
    }
}

impl Desk<'_> {
    pub fn request(&mut self, leg: u32, method: &str, headers: Vec<Header>, body: Vec<u8>) -> Result<Sent, StageError> {
        let sent = self.host.request(LegId { value: leg }, method, headers, body);
        sent.map(Sent::new).inspect_err(|error| self.refused(method, error))
    }

    pub fn ack(&mut self, invite: u32, headers: Vec<Header>, body: Vec<u8>) {
        let staged = self.host.ack(TransactionId { value: invite }, headers, body);
        self.note("ACK", staged);
    }

    pub fn cancel(&mut self, invite: u32) {
        let staged = self.host.cancel(TransactionId { value: invite });
        self.note("CANCEL", staged);
    }

    pub fn respond(&mut self, transaction: u32, status: &Status, headers: Vec<Header>, body: Vec<u8>) {
        let transaction = TransactionId { value: transaction };
        let staged = self.host.respond(transaction, status.code, status.reason(), headers, body);
        self.note("response", staged);
    }

    /// A response without header fields and body.
    pub fn answer(&mut self, transaction: u32, code: u16) {
        self.respond(transaction, &Status::new(code), Vec::new(), Vec::new());
    }

    /// Repeats a request with the agent's credentials when that is what its response asks for: the transaction of the
    /// repetition.
    pub fn answer_challenge(&mut self, response: &IncomingResponse) -> Option<TransactionId> {
        if !matches!(response.status, 401 | 407) || !response.answerable {
            return None;
        }
        let staged = self.host.answer_challenge(response.transaction);
        staged.inspect_err(|error| self.refused("credentials", error)).ok()
    }

    /// Whether a setting of the tenant has this value.
    pub fn is_set(&self, setting: &str, value: &str) -> bool {
        self.host.setting(setting).as_deref() == Some(value)
    }

    pub fn release(&mut self, leg: u32, headers: Vec<Header>) {
        let staged = self.host.release(LegId { value: leg }, headers);
        self.note("release", staged);
    }

    pub fn set(&mut self, timer: Timer, after_ms: u64) {
        let staged = self.host.set_timer(timer.name(), after_ms);
        self.note("timer", staged);
    }

    pub fn clear(&mut self, timer: Timer) {
        let staged = self.host.clear_timer(timer.name());
        self.note("timer", staged);
    }

    /// The wait before a re-INVITE that got a 491 is sent again: 2.1 to 4 s in units of 10 ms, because the Call-ID is
    /// ours (RFC 3261 §14.1).
    pub fn set_retry(&mut self) {
        let after_ms = self.random.within(210, 400) * 10;
        self.set(Timer::Retry, after_ms);
    }

    fn note(&mut self, what: &str, staged: Result<(), StageError>) {
        if let Err(error) = staged {
            self.refused(what, &error);
        }
    }

    fn refused(&mut self, what: &str, error: &StageError) {
        self.host.log(Level::Debug, &format!("{what} not staged: {error}"));
    }
}

/// A request of ours that waits for its final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub transaction: u32,
    /// Whether it carries credentials already: a challenge is answered once.
    authorized: bool,
}

impl Sent {
    pub fn new(transaction: TransactionId) -> Self {
        Self { transaction: transaction.value, authorized: false }
    }

    /// Repeats the request with the agent's credentials when that is what the response asks for and it was not done
    /// before. Says whether it was.
    pub fn authorize(&mut self, desk: &mut Desk<'_>, response: &IncomingResponse) -> bool {
        if self.authorized {
            return false;
        }
        let Some(transaction) = desk.answer_challenge(response) else { return false };
        *self = Self { transaction: transaction.value, authorized: true };
        true
    }
}
