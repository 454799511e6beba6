//! Requests that reach the phone (RFC 3261 §8.2, §12.2.2, §13.3, §15.1.2).

use super::call::{Call, Phase};
use super::line::Line;
use super::sdp;
use crate::demo::wire::Datagrams;
use plugboard_sip::message::{Request, Response};
use plugboard_sip::transaction::ServerId;
use plugboard_sip::{HeaderName, Method, Status, Time};

/// Calls that a phone keeps in mind, ended ones included; what comes beyond finds it busy.
const CALLS_MAX: usize = 1000;

impl Line {
    /// A request came.
    pub(super) fn on_request(&mut self, now: Time, server: ServerId, request: &Request, out: &mut Datagrams) {
        let in_call = |call: &Call| call.phase != Phase::Over && call.owns(&request.headers);
        let index = self.calls.iter().rposition(in_call);
        let is_again = index.is_some() && request.method == Method::Invite;
        self.heard.push(if is_again { "re-INVITE".to_owned() } else { request.method.to_string() });
        match (&request.method, index) {
            (Method::Invite, None) if request.headers.to_tag().is_none() => self.on_call(now, server, request, out),
            (_, None) => self.reply(now, server, request, Status::CALL_DOES_NOT_EXIST, out),
            (Method::Invite, Some(index)) => self.answer(now, server, request, index, out),
            (Method::Refer, Some(index)) => self.on_refer(now, server, request, index, out),
            (Method::Bye, Some(index)) => {
                self.set_phase(index, Phase::Over);
                self.reply(now, server, request, Status::OK, out);
            }
            (_, Some(_)) => self.reply(now, server, request, Status::OK, out),
        }
    }

    /// The caller gave up.
    pub(super) fn on_cancelled(&mut self, now: Time, server: ServerId, out: &mut Datagrams) {
        self.heard.push("CANCEL".to_owned());
        let rings = |call: &Call| matches!(call.phase, Phase::Ringing { server: own, .. } if own == server);
        let Some(call) = self.calls.iter_mut().find(|call| rings(call)) else { return };
        call.phase = Phase::Over;
        if let Some(invite) = call.invite.take() {
            let tag = call.local.tag().unwrap_or_default();
            let status = Status::REQUEST_TERMINATED;
            self.respond(now, server, Response::to(&invite, status, status.default_reason(), &tag), out);
        }
    }

    /// Answers the calls that have rung long enough.
    pub(super) fn answer_due_calls(&mut self, now: Time, out: &mut Datagrams) {
        for index in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(index) else { continue };
            let Phase::Ringing { server, answer_at } = call.phase else { continue };
            if answer_at > now {
                continue;
            }
            call.phase = Phase::Up;
            if let Some(invite) = call.invite.take() {
                self.answer(now, server, &invite, index, out);
            }
        }
    }

    /// Answers with a bare status.
    pub(super) fn reply(
        &mut self,
        now: Time,
        server: ServerId,
        request: &Request,
        status: Status,
        out: &mut Datagrams,
    ) {
        let tag = self.fresh_name();
        self.respond(now, server, Response::to(request, status, status.default_reason(), &tag), out);
    }

    fn on_call(&mut self, now: Time, server: ServerId, invite: &Request, out: &mut Datagrams) {
        let tag = self.fresh_name();
        let phase = Phase::Ringing { server, answer_at: now + self.config.ring };
        let call = Call::incoming(invite, &tag, phase).filter(|_| self.calls.len() < CALLS_MAX);
        let status = if call.is_some() { Status::RINGING } else { Status::BUSY_HERE };
        self.calls.extend(call);
        self.respond(now, server, Response::to(invite, status, status.default_reason(), &tag), out);
    }

    /// Answers an INVITE, the first or a later one, with a session description.
    fn answer(&mut self, now: Time, server: ServerId, invite: &Request, index: usize, out: &mut Datagrams) {
        let address = self.address;
        let Some(call) = self.calls.get_mut(index) else { return };
        let offer = Some(invite.body.as_ref()).filter(|body| !body.is_empty());
        let session = call.describe_session(address, offer);
        let tag = call.local.tag().unwrap_or_default();
        let mut response = Response::to(invite, Status::OK, "OK", &tag);
        response.headers.push(HeaderName::ContentType, sdp::CONTENT_TYPE);
        response.body = session.into();
        self.respond(now, server, response, out);
    }
}
