//! From a datagram to a message that keeps the rules, or to the answer that its sender is owed.

use bytes::Bytes;

use crate::message::Message;
use crate::parse::{Limits, ParseErrorKind, parse_datagram};
use crate::transaction::stateless_reply;
use crate::transport::Destination;
use crate::validate::{Discard, Rejection, check_request, check_response};

/// Why a datagram goes no further. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// It is no message.
    #[error(transparent)]
    Parse(#[from] ParseErrorKind),
    /// A request that breaks the rules.
    #[error(transparent)]
    Request(#[from] Rejection),
    /// A response that breaks the rules.
    #[error(transparent)]
    Response(#[from] Discard),
}

/// A datagram that goes no further.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// What to send back, and where; none when no answer is owed or possible.
    pub answer: Option<(Destination, Bytes)>,
}

/// Parses a datagram that came from `source` and checks the message.
///
/// # Errors
/// With why it is refused, and the stateless answer when one is owed.
pub fn admit(datagram: Bytes, source: Destination, limits: &Limits) -> Result<Message, Refusal> {
    let message = parse_datagram(datagram, limits).map_err(|error| {
        let reply = error.reply.as_deref();
        let answer = reply.and_then(|reply| stateless_reply(&reply.request, source, reply.status, reply.reason));
        Refusal { reason: error.kind.into(), answer }
    })?;
    match &message {
        Message::Request(request) => check_request(request).map_err(|rejection| Refusal {
            reason: rejection.into(),
            answer: stateless_reply(request, source, rejection.status, rejection.reason),
        })?,
        Message::Response(response) => {
            check_response(response).map_err(|discard| Refusal { reason: discard.into(), answer: None })?;
        }
    }
    Ok(message)
}
