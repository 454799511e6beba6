//! What a request is matched by (RFC 3261 §17.2.3), as a few bytes of its own: a key outlives its request by half a
//! minute, and must not keep it in memory.
//!
//! Parts whose length varies stand behind it, so that two keys are the same bytes only when all their parts are the same.

use std::borrow::Borrow;
use std::sync::Arc;

use crate::cseq::CSeq;
use crate::host::HostPart;
use crate::message::{HeaderName, Headers, Method, Request};
use crate::via::{Checked, Parts};

/// Room for most keys, in bytes.
const USUAL_BYTES: usize = 96;

/// A key that is kept, by the table and by what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Kept(Arc<[u8]>);

/// A table is asked with keys that are not kept.
impl Borrow<[u8]> for Kept {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// What is the same in a request, its retransmissions and the ACK of its failure.
#[derive(Clone, Debug)]
pub(super) struct ServerKey {
    bytes: Vec<u8>,
    /// Where the method stands, which is the last part: INVITE for an ACK too.
    method_at: usize,
}

impl ServerKey {
    /// The key of a request with this topmost Via, as it came. None without Call-ID.
    ///
    /// A branch of RFC 3261 is unique for its sender. An element of RFC 2543 has none: the To tag is left out then,
    /// as the ACK has that of our response, and the other parts tell apart what is different.
    pub(super) fn of(request: &Request, via: &Checked<'_>, cseq: &CSeq) -> Option<ServerKey> {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        match via.unique_branch() {
            Some(branch) => {
                bytes.push(b'b');
                push(&mut bytes, branch.as_bytes());
                push_sender(&mut bytes, &via.parts);
            }
            None => {
                bytes.push(b'l');
                push(&mut bytes, request.uri.as_bytes());
                push(&mut bytes, request.headers.look(&HeaderName::CallId).ok()?.as_bytes());
                push_tag(&mut bytes, request.headers.look_tag(&HeaderName::From));
                bytes.extend(cseq.number.to_be_bytes());
                push(&mut bytes, request.headers.top_via().ok()?.to_string().as_bytes());
            }
        }
        let method_at = bytes.len();
        let method = if request.method == Method::Ack { &Method::Invite } else { &request.method };
        bytes.extend(method.as_str().as_bytes());
        Some(ServerKey { bytes, method_at })
    }

    /// The key of the INVITE that a CANCEL with this key is about (RFC 3261 §9.2).
    pub(super) fn of_cancelled(&self) -> ServerKey {
        let ServerKey { bytes, method_at } = self;
        let origin = bytes.get(..*method_at).unwrap_or_default();
        ServerKey { bytes: [origin, Method::Invite.as_str().as_bytes()].concat(), method_at: *method_at }
    }

    /// What a table is asked with.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key, to keep.
    pub(super) fn keep(&self) -> Kept {
        Kept(Arc::from(self.as_bytes()))
    }
}

/// What the ACK of a 2xx is matched by: its dialog and the number of the INVITE (RFC 3261 §13.3.1.4). Both the 2xx and
/// the ACK have it. None when a header field is missing or malformed.
pub(super) fn ack_key(headers: &Headers) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    push(&mut bytes, headers.look(&HeaderName::CallId).ok()?.as_bytes());
    push_tag(&mut bytes, headers.look_tag(&HeaderName::From));
    push_tag(&mut bytes, headers.look_tag(&HeaderName::To));
    bytes.extend(headers.cseq().ok()?.number.to_be_bytes());
    Some(bytes)
}

impl From<Vec<u8>> for Kept {
    fn from(key: Vec<u8>) -> Kept {
        Kept(key.into())
    }
}

fn push(key: &mut Vec<u8>, part: &[u8]) {
    key.extend((part.len() as u64).to_be_bytes());
    key.extend_from_slice(part);
}

fn push_tag(key: &mut Vec<u8>, tag: Option<&str>) {
    key.push(u8::from(tag.is_some()));
    push(key, tag.unwrap_or_default().as_bytes());
}

/// The sent-by of a Via; names compare in any case.
fn push_sender(key: &mut Vec<u8>, via: &Parts<'_>) {
    match via.host {
        HostPart::Name(name) => {
            key.push(b'n');
            key.extend((name.len() as u64).to_be_bytes());
            key.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        HostPart::V4(address) => {
            key.push(b'4');
            key.extend(address.octets());
        }
        HostPart::V6(address) => {
            key.push(b'6');
            key.extend(address.octets());
        }
    }
    match via.port {
        Some(port) => {
            key.push(1);
            key.extend(port.to_be_bytes());
        }
        None => key.push(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(method: Method, via: &str) -> Vec<u8> {
        let mut request = Request::new(method.clone(), "sip:us@example.com");
        request.headers.push(HeaderName::Via, via);
        request.headers.push(HeaderName::CallId, "call");
        request.headers.push(HeaderName::CSeq, format!("1 {method}"));
        let (via, cseq) = (request.headers.checked_via().expect("a Via"), request.headers.cseq().expect("a CSeq"));
        ServerKey::of(&request, &via, &cseq).expect("a key").as_bytes().to_vec()
    }

    #[test]
    fn sender_branch_and_method_tell_requests_apart_and_the_case_of_a_name_does_not() {
        let invite = |via: &str| key(Method::Invite, via);
        let one = invite("SIP/2.0/UDP phone:5060;branch=z9hG4bKa");
        assert_eq!(one, invite("SIP/2.0/UDP PHONE:5060;rport;branch=z9hG4bKa"));
        assert_eq!(one, key(Method::Ack, "SIP/2.0/UDP phone:5060;branch=z9hG4bKa"));
        assert_ne!(one, key(Method::Cancel, "SIP/2.0/UDP phone:5060;branch=z9hG4bKa"));
        for other in
            ["phone:5060;branch=z9hG4bKA", "phone;branch=z9hG4bKa", "phone2:5060;branch=z9hG4bKa", "phone:5060"]
        {
            assert_ne!(one, invite(&format!("SIP/2.0/UDP {other}")), "{other}");
        }
        assert_ne!(invite("SIP/2.0/UDP 1.2.3.4;branch=1"), invite("SIP/2.0/UDP 1.2.3.4;branch=2"), "of RFC 2543");
    }

    #[test]
    fn a_cancel_leads_to_its_invite() {
        let via = "SIP/2.0/UDP phone;branch=z9hG4bKa";
        let bytes = key(Method::Cancel, via);
        let method_at = bytes.len() - Method::Cancel.as_str().len();
        assert_eq!(ServerKey { bytes, method_at }.of_cancelled().as_bytes(), key(Method::Invite, via));
    }
}
