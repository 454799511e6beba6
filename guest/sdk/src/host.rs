//! The imports of the contract as one trait, so that call logic runs the same in the sandbox and under test.

use crate::bindings::plugboard::call_control as import;
use crate::{
    Denial, ExchangeId, Header, HttpResponse, Identity, Invite, LegId, Level, StageError, Started, TransactionId,
};

/// Looks up users and settings of the tenant. The part of the host that `route` may use.
pub trait Directory {
    /// Resolves a user name, alias or address of this tenant; none when it is nobody's.
    fn find_user(&self, name: &str) -> Option<Identity>;
    /// What the operator set for this tenant's call logic; numbers and booleans as text.
    fn setting(&self, name: &str) -> Option<String>;
}

/// What the host does for a guest. Everything is staged and becomes true together with the state, or not at all.
///
/// See `wit/call-control.wit` for what each function promises; the names here differ only where one word would be
/// ambiguous (`respond` and `respond_http`).
pub trait Host: Directory {
    /// Stages an INVITE that opens a leg. The ids are valid at once.
    fn call(&mut self, invite: Invite) -> Result<Started, StageError>;
    /// Stages a request inside the dialog of a leg; not ACK, CANCEL or BYE.
    fn request(
        &mut self,
        leg: LegId,
        method: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<TransactionId, StageError>;
    /// Stages the ACK of the 2xx that answered this INVITE.
    fn ack(&mut self, invite: TransactionId, headers: Vec<Header>, body: Vec<u8>) -> Result<(), StageError>;
    /// Stages the repetition of a request that got a 401 or 407, with the agent's credentials.
    fn answer_challenge(&mut self, challenged: TransactionId) -> Result<TransactionId, StageError>;
    /// Stages the CANCEL of an INVITE inside a dialog.
    fn cancel(&mut self, invite: TransactionId) -> Result<(), StageError>;
    /// Stages a response to a request of the peer.
    fn respond(
        &mut self,
        transaction: TransactionId,
        status: u16,
        reason: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<(), StageError>;
    /// Stages the end of a leg, whatever its state.
    fn release(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), StageError>;
    /// Sets or replaces a timer of this call, in milliseconds from now.
    fn set_timer(&mut self, name: &str, after_ms: u64) -> Result<(), StageError>;
    /// Clears a timer; nothing happens when it is not set.
    fn clear_timer(&mut self, name: &str) -> Result<(), StageError>;
    /// Binds this call to the agent that it is placed for.
    fn act_as(&mut self, agent: &str) -> Result<Identity, Denial>;
    /// Reads the tenant's cache.
    fn cache_get(&self, key: &str) -> Option<Vec<u8>>;
    /// Writes to the tenant's cache; `ttl_seconds` is 1 to 86,400.
    fn cache_put(&mut self, key: &str, value: &[u8], ttl_seconds: u32) -> Result<(), StageError>;
    /// Removes a key from the tenant's cache.
    fn cache_remove(&mut self, key: &str) -> Result<(), StageError>;
    /// Stages the answer to an HTTP exchange.
    fn respond_http(&mut self, exchange: ExchangeId, response: HttpResponse) -> Result<(), StageError>;
    /// Writes a line to the tenant's log, at once.
    fn log(&mut self, level: Level, message: &str);
}

/// The host that runs this component. Its methods work inside the sandbox only; a native build panics when they are
/// called (tests use the `testkit` instead).
#[derive(Debug, Default)]
pub struct Imports;

impl Directory for Imports {
    fn find_user(&self, name: &str) -> Option<Identity> {
        import::auth::find_user(name)
    }

    fn setting(&self, name: &str) -> Option<String> {
        import::settings::get(name)
    }
}

impl Host for Imports {
    fn call(&mut self, invite: Invite) -> Result<Started, StageError> {
        import::sip::call(&invite)
    }

    fn request(
        &mut self,
        leg: LegId,
        method: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<TransactionId, StageError> {
        import::sip::request(leg, method, &headers, &body)
    }

    fn ack(&mut self, invite: TransactionId, headers: Vec<Header>, body: Vec<u8>) -> Result<(), StageError> {
        import::sip::ack(invite, &headers, &body)
    }

    fn answer_challenge(&mut self, challenged: TransactionId) -> Result<TransactionId, StageError> {
        import::sip::answer_challenge(challenged)
    }

    fn cancel(&mut self, invite: TransactionId) -> Result<(), StageError> {
        import::sip::cancel(invite)
    }

    fn respond(
        &mut self,
        transaction: TransactionId,
        status: u16,
        reason: &str,
        headers: Vec<Header>,
        body: Vec<u8>,
    ) -> Result<(), StageError> {
        import::sip::respond(transaction, status, reason, &headers, &body)
    }

    fn release(&mut self, leg: LegId, headers: Vec<Header>) -> Result<(), StageError> {
        import::sip::release(leg, &headers)
    }

    fn set_timer(&mut self, name: &str, after_ms: u64) -> Result<(), StageError> {
        import::timers::set(name, after_ms)
    }

    fn clear_timer(&mut self, name: &str) -> Result<(), StageError> {
        import::timers::clear(name)
    }

    fn act_as(&mut self, agent: &str) -> Result<Identity, Denial> {
        import::auth::act_as(agent)
    }

    fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        import::cache::get(key)
    }

    fn cache_put(&mut self, key: &str, value: &[u8], ttl_seconds: u32) -> Result<(), StageError> {
        import::cache::put(key, value, ttl_seconds)
    }

    fn cache_remove(&mut self, key: &str) -> Result<(), StageError> {
        import::cache::remove(key)
    }

    fn respond_http(&mut self, exchange: ExchangeId, response: HttpResponse) -> Result<(), StageError> {
        import::http::respond(exchange, &response)
    }

    fn log(&mut self, level: Level, message: &str) {
        import::log::write(level, message);
    }
}
