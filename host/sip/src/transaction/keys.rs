//! What a request is matched by (RFC 3261 §17.2.3).

use crate::cseq::CSeq;
use crate::host::Host;
use crate::message::{Method, Request, Response};
use crate::text::Text;
use crate::via::Via;

/// What is the same in a request, its retransmissions and the ACK of its failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServerKey {
    origin: Origin,
    /// INVITE for an ACK too.
    method: Method,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Origin {
    /// The branch is unique for its sender.
    Unique { branch: Text, host: Host, port: Option<u16> },
    /// An element of RFC 2543 sent it. The To tag is left out: the ACK has that of our response, and the other parts
    /// tell apart what is different.
    Legacy(Box<Legacy>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Legacy {
    uri: Text,
    call_id: Text,
    from_tag: Option<Text>,
    sequence: u32,
    via: String,
}

impl ServerKey {
    /// The key of a request with this topmost Via, as it came. None without Call-ID.
    pub(super) fn of(request: &Request, via: &Via, cseq: &CSeq) -> Option<ServerKey> {
        let origin = match via.unique_branch() {
            Some(branch) => Origin::Unique { branch: branch.clone(), host: via.host.clone(), port: via.port },
            None => Origin::Legacy(Box::new(Legacy {
                uri: request.uri.clone(),
                call_id: request.headers.call_id().ok()?,
                from_tag: request.headers.from_tag(),
                sequence: cseq.number,
                via: via.to_string(),
            })),
        };
        let method = match &request.method {
            Method::Ack => Method::Invite,
            other => other.clone(),
        };
        Some(ServerKey { origin, method })
    }

    /// The key of the INVITE that a CANCEL with this key is about (RFC 3261 §9.2).
    pub(super) fn of_cancelled(&self) -> ServerKey {
        ServerKey { origin: self.origin.clone(), method: Method::Invite }
    }
}

/// What the ACK of a 2xx is matched by: its dialog and the number of the INVITE (RFC 3261 §13.3.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct AckKey {
    call_id: Text,
    from_tag: Option<Text>,
    to_tag: Option<Text>,
    sequence: u32,
}

impl AckKey {
    /// The key that the ACK of this 2xx will have.
    pub(super) fn awaited(response: &Response) -> Option<AckKey> {
        AckKey::of(&response.headers)
    }

    /// The key of an ACK.
    pub(super) fn arrived(ack: &Request) -> Option<AckKey> {
        AckKey::of(&ack.headers)
    }

    fn of(headers: &crate::message::Headers) -> Option<AckKey> {
        Some(AckKey {
            call_id: headers.call_id().ok()?,
            from_tag: headers.from_tag(),
            to_tag: headers.to_tag(),
            sequence: headers.cseq().ok()?.number,
        })
    }
}
