//! Answers without a transaction (RFC 3261 §8.2.7).

use bytes::Bytes;

use crate::message::{Method, Request, Response, Status};
use crate::transport::Destination;

/// The answer to a request for which no transaction is kept, and where to send it. `source` is where the request came
/// from. None for an ACK, which is never answered, and for a request whose Via cannot be read.
pub fn stateless_reply(
    request: &Request,
    source: Destination,
    status: Status,
    reason: &'static str,
) -> Option<(Destination, Bytes)> {
    if request.method == Method::Ack {
        return None;
    }
    Some((
        source,
        Response::to(request, status, reason, "x").to_bytes(),
    ))
}
