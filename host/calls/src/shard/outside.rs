//! Requests of the network outside any dialog of ours. Plugboard calls, and is not called but in order to replace a
//! dialog of its own ([`super::replaces`]): they are answered without a transaction and without a guest (RFC 3261 §8.2,
//! §11), so that they cost as little as they are worth.

use super::{Output, Shard, replaced_tag, session};
use plugboard_sip::message::{HeaderName, Message, Method, Request, Status, Value};
use plugboard_sip::transaction::stateless_response;
use plugboard_sip::transport::Destination;
use plugboard_sip::validate::{Served, Unsupported, unsupported};

/// The methods that we take inside a dialog.
pub(super) const ALLOWED: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY, INFO, UPDATE, MESSAGE";
/// The bodies that we take inside a dialog.
const ACCEPTED: &str = "application/sdp, message/sipfrag";
/// What an INVITE may ask for: what it is refused for otherwise comes before the 404.
const SERVED: Served<'_> = Served { option_tags: &["replaces", "timer"], media_types: &["application/sdp"] };

impl Shard {
    /// Whether a message is for a call. A request is when it names a dialog, its own or the one that it is to replace; a
    /// response that belongs to nothing is dropped where that is found out, and costs nobody an answer.
    pub fn expects(&self, message: &Message) -> bool {
        match message {
            Message::Request(request) => {
                let tag = request.headers.to_tag().or_else(|| replaced_tag(request));
                tag.is_some_and(|tag| self.dialogs.contains_key(&tag))
            }
            Message::Response(_) => true,
        }
    }

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
        let unsupported = unsupported(request, &SERVED);
        let replaces =
            request.method == Method::Invite && tag.is_none() && request.headers.contains(&HeaderName::Replaces);
        let replaced = (replaces && unsupported.is_none()).then(|| match self.layer.knows_invite(request) {
            true => Ok(()),
            false => self.replaced(request, source).map(|_| ()),
        });
        if let Some(Ok(())) = replaced {
            return false;
        }
        self.counters.requests_outside += 1;
        self.counters.without_dialog += u64::from(tag.is_some());
        let status = match (&request.method, &unsupported) {
            _ if tag.is_some() => Status::CALL_DOES_NOT_EXIST,
            (Method::Other(_), _) => Status::NOT_IMPLEMENTED,
            // These are about a dialog, and there is none (RFC 3261 §15.1.2, RFC 6086 §4.2.2, RFC 6665 §4.1.3).
            (Method::Bye | Method::Info | Method::Notify | Method::Prack | Method::Update, _) => {
                Status::CALL_DOES_NOT_EXIST
            }
            (Method::Options | Method::Invite, Some(unsupported)) => unsupported.status(),
            (Method::Options, None) => Status::OK,
            (Method::Invite, None) if replaced.is_some() => replaced.and_then(Result::err).unwrap_or(Status::NOT_FOUND),
            (Method::Invite, None) => Status::NOT_FOUND,
            _ => Status::METHOD_NOT_ALLOWED,
        };
        let Some((destination, mut response)) = stateless_response(request, source, status, status.default_reason())
        else {
            return true;
        };
        response.headers.extend(capabilities(status, unsupported));
        out.push(Output::Transmit { destination, domain: None, bytes: response.to_bytes(), client: None });
        true
    }
}

/// What an answer says of what we can (RFC 3261 §8.2.1, §8.2.2.3, §8.2.3, §11.2).
fn capabilities(status: Status, unsupported: Option<Unsupported>) -> Vec<(HeaderName, Value)> {
    let allow = (HeaderName::Allow, Value::from(ALLOWED));
    let accept = (HeaderName::Accept, Value::from(ACCEPTED));
    match (status, unsupported) {
        (Status::OK, _) => vec![allow, accept, (HeaderName::Supported, Value::from("replaces, timer"))],
        (Status::SESSION_INTERVAL_TOO_SMALL, _) => {
            vec![(HeaderName::MinSe, Value::from(session::MIN_SE.to_string()))]
        }
        (Status::METHOD_NOT_ALLOWED | Status::NOT_IMPLEMENTED, _) => vec![allow],
        (Status::BAD_EXTENSION, Some(Unsupported::Extensions(tags))) => {
            vec![(HeaderName::Unsupported, Value::from(tags.join(", ")))]
        }
        (Status::UNSUPPORTED_MEDIA_TYPE, Some(Unsupported::ContentEncoding)) => {
            vec![(HeaderName::AcceptEncoding, Value::from("identity"))]
        }
        (Status::UNSUPPORTED_MEDIA_TYPE, _) => vec![accept],
        _ => Vec::new(),
    }
}
