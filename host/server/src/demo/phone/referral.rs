//! What a phone does with a REFER (RFC 3515): it calls the target through its proxy, and tells how that goes.

use super::call::{Call, Phase};
use super::line::{Line, Purpose};
use super::sdp;
use crate::demo::wire::Datagrams;
use plugboard_sip::message::{Request, Response};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::transaction::ServerId;
use plugboard_sip::uri::unescape;
use plugboard_sip::{Destination, HeaderName, Method, Status, Text, Time, Transport, Value};

impl Line {
    /// A REFER came in this call.
    pub(super) fn on_refer(&mut self, now: Time, server: ServerId, refer: &Request, index: usize, out: &mut Datagrams) {
        let target = refer.headers.addresses(&HeaderName::ReferTo).ok().and_then(|list| list.into_iter().next());
        let Some(target) = target else { return self.reply(now, server, refer, Status::BAD_REQUEST, out) };
        self.reply(now, server, refer, Status::ACCEPTED, out);
        self.notify(now, index, Status::TRYING, Status::TRYING.default_reason(), out);
        let (target, headers) = split(&target);
        let (local_tag, call_id) = (self.fresh_name(), self.fresh_name());
        let Ok(local) = NameAddr::parse(&Text::from(format!("<{}>;tag={local_tag}", self.own_address()))) else {
            return;
        };
        let Ok(remote) = NameAddr::parse(&Text::from(format!("<{target}>"))) else { return };
        self.calls.push(Call {
            phase: Phase::Calling,
            invite: None,
            client: None,
            call_id: call_id.into(),
            local,
            remote,
            remote_target: target.into(),
            routes: Vec::new(),
            sequence: 0,
            session_version: 0,
            referred_by: Some(index),
            is_proven: false,
            embedded: headers,
        });
        self.send_invite(now, self.calls.len() - 1, None, out);
    }

    /// A response to the INVITE of a call that we placed.
    pub(super) fn on_answer(&mut self, now: Time, index: usize, response: &Response, out: &mut Datagrams) {
        let Some(call) = self.calls.get_mut(index) else { return };
        let (referrer, status) = (call.referred_by, response.status);
        let (target, is_proven) = (call.remote_target.to_string(), call.is_proven);
        if !is_proven && let Some(credentials) = self.credentials(response, &Method::Invite, &target) {
            return self.send_invite(now, index, Some(credentials), out);
        }
        if status.is_failure() {
            return self.on_refused(now, index, status, &response.reason, out);
        }
        if status.is_success() {
            self.acknowledge(now, index, response, out);
        }
        if let Some(referrer) = referrer.filter(|_| status != Status::TRYING) {
            self.notify(now, referrer, status, &response.reason, out);
        }
    }

    /// The call that we placed came to nothing.
    pub(super) fn on_refused(&mut self, now: Time, index: usize, status: Status, reason: &str, out: &mut Datagrams) {
        self.set_phase(index, Phase::Over);
        if let Some(referrer) = self.calls.get(index).and_then(|call| call.referred_by) {
            self.notify(now, referrer, status, reason, out);
        }
    }

    fn send_invite(&mut self, now: Time, index: usize, credentials: Option<(HeaderName, String)>, out: &mut Datagrams) {
        let (contact, address, proxy) = (self.contact(), self.address, self.config.proxy);
        let Some(call) = self.calls.get_mut(index) else { return };
        call.is_proven = credentials.is_some();
        let session = call.describe_session(address, None);
        let mut request = call.request(Method::Invite, &contact);
        request.headers.extend(call.embedded.iter().cloned());
        request.headers.extend(credentials.map(|(name, value)| (name, value.into())));
        request.headers.push(HeaderName::ContentType, sdp::CONTENT_TYPE);
        request.body = session.into();
        let destination = Destination { transport: Transport::Udp, remote: proxy, local: 0 };
        let mut outputs = Vec::new();
        let sent = self.layer.send(now, request, destination, Purpose::Invite { call: index }, &mut outputs);
        call.client = sent.ok();
        self.work(now, outputs, out);
    }

    fn acknowledge(&mut self, now: Time, index: usize, response: &Response, out: &mut Datagrams) {
        let (contact, proxy) = (self.contact(), self.config.proxy);
        let Some(call) = self.calls.get_mut(index) else { return };
        call.adopt(response);
        call.phase = Phase::Up;
        let ack = call.request(Method::Ack, &contact);
        let (destination, tag) = (call.next_hop(proxy), call.remote.tag().unwrap_or_default());
        let mut outputs = Vec::new();
        if let Some(client) = call.client {
            let _ = self.layer.acknowledge(now, client, &tag, ack, destination, &mut outputs);
        }
        self.work(now, outputs, out);
    }

    /// Tells the peer of a call how its REFER goes, as long as that call is up.
    fn notify(&mut self, now: Time, index: usize, status: Status, reason: &str, out: &mut Datagrams) {
        if self.calls.get(index).is_none_or(|call| call.phase != Phase::Up) {
            return;
        }
        let state = if status.is_final() { "terminated;reason=noresource" } else { "active;expires=60" };
        let fragment = format!("SIP/2.0 {} {reason}\r\n", status.code());
        let fill = |request: &mut Request| {
            request.headers.push(HeaderName::Event, "refer");
            request.headers.push(HeaderName::SubscriptionState, state);
            request.headers.push(HeaderName::ContentType, "message/sipfrag;version=2.0");
            request.body = fragment.into();
        };
        self.send_in_call(now, index, Method::Notify, fill, out);
    }
}

/// A Refer-To address as what to call, and the header fields that its URI asks to be put into the INVITE.
fn split(target: &NameAddr) -> (String, Vec<(HeaderName, Value)>) {
    let uri = target.uri.to_string();
    let (target, embedded) = uri.split_once('?').unwrap_or((&uri, ""));
    let fields = embedded.split('&').filter_map(|field| field.split_once('='));
    let fields = fields.filter_map(|(name, value)| {
        let name = HeaderName::new(name).filter(|name| matches!(name, HeaderName::Other(_)))?;
        Some((name, unescape(value).into()))
    });
    (target.to_owned(), fields.collect())
}
