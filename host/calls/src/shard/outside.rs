//! Requests of the network outside any dialog of ours. Plugboard calls, and is not called: they are answered without
//! a transaction and without a guest (RFC 3261 §8.2, §11), so that they cost as little as they are worth.

use super::{Output, Shard};
use plugboard_sip::message::{HeaderName, Method, Request, Status};
use plugboard_sip::transaction::stateless_response;
use plugboard_sip::transport::Destination;

/// The methods that we take inside a dialog.
const ALLOWED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, MESSAGE";

impl Shard {
    /// Answers a request that belongs to no dialog here. Whether it was one.
    pub(super) fn answer_outside(&mut self, request: &Request, source: Destination, out: &mut Vec<Output>) -> bool {
        // The transaction layer knows which ACK and CANCEL are about something.
        if matches!(request.method, Method::Ack | Method::Cancel) {
            return false;
        }
        let tag = request.headers.to_tag();
        if tag.as_ref().is_some_and(|tag| self.dialogs.contains_key(tag)) {
            return false;
        }
        self.counters.requests_outside += 1;
        let status = match request.method {
            _ if tag.is_some() => Status::CALL_DOES_NOT_EXIST,
            Method::Options => Status::OK,
            Method::Invite => Status::NOT_FOUND,
            Method::Other(_) => Status::NOT_IMPLEMENTED,
            _ => Status::METHOD_NOT_ALLOWED,
        };
        let Some((destination, mut response)) = stateless_response(request, source, status, status.default_reason())
        else {
            return true;
        };
        if matches!(status, Status::OK | Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED) {
            response.headers.push(HeaderName::Allow, ALLOWED);
        }
        if status == Status::OK {
            response.headers.push(HeaderName::Accept, "application/sdp, message/sipfrag");
        }
        out.push(Output::Transmit { destination, bytes: response.to_bytes(), client: None });
        true
    }
}
