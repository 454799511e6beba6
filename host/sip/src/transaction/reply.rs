//! Where responses go (RFC 3261 §18.2.2, RFC 3581 §4), and answers without a transaction (RFC 3261 §8.2.7).

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::message::{HeaderName, Method, Request, Response, Status};
use crate::transport::Destination;
use crate::via::Via;

/// The answer to a request for which no transaction is kept, and where to send it. `source` is where the request came
/// from. Its To tag is the same for each retransmission of the request (RFC 3261 §8.2.7).
///
/// None for an ACK, which is never answered, and for a request without Via. When the Via cannot be read the answer goes
/// back to `source`.
pub fn stateless_reply(
    request: &Request,
    source: Destination,
    status: Status,
    reason: &'static str,
) -> Option<(Destination, Bytes)> {
    let (destination, response) = stateless_response(request, source, status, reason)?;
    Some((destination, response.to_bytes()))
}

/// As [`stateless_reply`], for an answer that more is to be said in.
pub fn stateless_response(
    request: &Request,
    source: Destination,
    status: Status,
    reason: &'static str,
) -> Option<(Destination, Response)> {
    if request.method == Method::Ack || !request.headers.contains(&HeaderName::Via) {
        return None;
    }
    let tag = stateless_tag(request);
    let mut response = Response::to(request, status, reason, &tag);
    let destination = match response.headers.top_via() {
        Ok(mut via) => {
            via.stamp(source.remote);
            response.headers.replace_first_in_list(&HeaderName::Via, &via.to_string());
            response_destination(&via, source)
        }
        Err(_) => source,
    };
    Some((destination, response))
}

/// Where the response to a request goes that came from `source` with this topmost Via.
///
/// Against RFC 3261 §18.2.2, `maddr` is not followed: it would let anyone direct our answers at a third party.
pub(super) fn response_destination(via: &Via, source: Destination) -> Destination {
    if source.transport.is_reliable() || via.params.contains("rport") {
        return source;
    }
    let port = via.port.unwrap_or(source.transport.default_port());
    Destination { remote: SocketAddr::new(source.remote.ip(), port), ..source }
}

/// A To tag that follows from the request.
pub(super) fn stateless_tag(request: &Request) -> String {
    let mut hasher = FixedState::default().build_hasher();
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        request.headers.get(&name).hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
