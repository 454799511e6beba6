//! One call of a phone: its dialog (RFC 3261 §12) and the requests inside it.

use super::sdp;
use crate::demo::wire::address_of;
use plugboard_sip::message::{Headers, Request, Response};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::transaction::{ClientId, ServerId};
use plugboard_sip::{Destination, HeaderName, Method, Text, Time, Transport, Uri, Value};
use std::net::SocketAddr;

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// We ring; the call is answered at this time.
    Ringing { server: ServerId, answer_at: Time },
    /// We called, and wait for the final response.
    Calling,
    /// Answered.
    Up,
    /// Ended.
    Over,
}

/// A call: one dialog, or what may become one.
#[derive(Debug)]
pub struct Call {
    pub phase: Phase,
    /// The INVITE that we have not answered yet.
    pub invite: Option<Request>,
    /// The transaction of our own last INVITE.
    pub client: Option<ClientId>,
    pub call_id: Text,
    /// Our address with our tag.
    pub local: NameAddr,
    /// The peer's address, with its tag once there is one.
    pub remote: NameAddr,
    /// Where the peer wants requests: its Contact, or the address that we call.
    pub remote_target: Text,
    /// Route set, in the order in which it is sent.
    pub routes: Vec<Value>,
    /// The last sequence number that we used.
    pub sequence: u32,
    /// Version of our last session description.
    pub session_version: u32,
    /// The call whose peer asked for this one by REFER.
    pub referred_by: Option<usize>,
    /// Whether our INVITE carried credentials: one try is enough.
    pub is_proven: bool,
    /// Header fields that the Refer-To asked for (RFC 3261 §19.1.5).
    pub embedded: Vec<(HeaderName, Value)>,
}

impl Call {
    /// The call that an INVITE would open, from the side that is called. None when the INVITE is unusable.
    pub fn incoming(invite: &Request, tag: &str, phase: Phase) -> Option<Self> {
        Some(Self {
            phase,
            invite: Some(invite.clone()),
            client: None,
            call_id: invite.headers.call_id().ok()?,
            local: invite.headers.to_header().ok()?.with_tag(tag),
            remote: invite.headers.from_header().ok()?,
            remote_target: contact(&invite.headers)?,
            routes: invite.headers.list(&HeaderName::RecordRoute).collect(),
            sequence: 0,
            session_version: 0,
            referred_by: None,
            is_proven: false,
            embedded: Vec::new(),
        })
    }

    /// Takes the dialog from a response that sets it up, on the side that called (RFC 3261 §12.1.2).
    pub fn adopt(&mut self, response: &Response) {
        if let Ok(remote) = response.headers.to_header() {
            self.remote = remote;
        }
        if let Some(target) = contact(&response.headers) {
            self.remote_target = target;
        }
        self.routes = response.headers.list(&HeaderName::RecordRoute).collect();
        self.routes.reverse();
    }

    /// Whether a request or response with these header fields belongs to this dialog.
    pub fn owns(&self, headers: &Headers) -> bool {
        headers.call_id().ok().as_ref() == Some(&self.call_id) && headers.to_tag() == self.local.tag()
    }

    /// The next request of this dialog, with Max-Forwards and all that the dialog decides. `contact` is ours.
    pub fn request(&mut self, method: Method, contact: &str) -> Request {
        if method != Method::Ack {
            self.sequence += 1;
        }
        let mut request = Request::new(method.clone(), self.remote_target.clone());
        let headers = &mut request.headers;
        for route in &self.routes {
            headers.push(HeaderName::Route, route.clone());
        }
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, self.local.to_string());
        headers.push(HeaderName::To, self.remote.to_string());
        headers.push(HeaderName::CallId, self.call_id.clone());
        headers.push(HeaderName::CSeq, format!("{} {method}", self.sequence));
        headers.push(HeaderName::Contact, format!("<{contact}>"));
        request
    }

    /// The next hop of requests in this dialog: the first route, or the peer. `proxy` serves where that is a name.
    pub fn next_hop(&self, proxy: SocketAddr) -> Destination {
        let route = self.routes.first().and_then(Value::to_text).and_then(|text| NameAddr::parse(&text).ok());
        let uri = route.map(|route| route.uri).or_else(|| Uri::parse(&self.remote_target).ok());
        let remote = uri.as_ref().and_then(Uri::as_sip).and_then(address_of).unwrap_or(proxy);
        Destination { transport: Transport::Udp, remote, local: 0 }
    }

    /// Our next session description for this call, as header and body of a message.
    pub fn describe_session(&mut self, address: SocketAddr, offer: Option<&[u8]>) -> String {
        self.session_version += 1;
        sdp::describe(address, self.session_version, offer)
    }
}

fn contact(headers: &Headers) -> Option<Text> {
    let contact = headers.addresses(&HeaderName::Contact).ok()?.into_iter().next()?;
    Some(Text::from(contact.uri.to_string()))
}
