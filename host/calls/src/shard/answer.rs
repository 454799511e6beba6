//! Answers: those the guest staged, and those that the host gives in its stead.

use super::actor::CallRef;
use super::dialog::refreshes_target;
use super::face::is_secure;
use super::leg::LegState;
use super::{Output, Shard, session};
use crate::contract::*;
use crate::history::What;
use crate::limits::Limit;
use crate::logic::Breakdown;
use plugboard_sip::message::{HeaderName, Method, Request, Response, Status};
use plugboard_sip::time::Time;
use plugboard_sip::transaction::ServerId;
use std::fmt;

impl Shard {
    /// The guest's response to a request of the peer.
    #[allow(clippy::too_many_arguments)] // the fields of one effect
    pub(super) fn respond(
        &mut self,
        now: Time,
        call: CallRef,
        id: TransactionId,
        status: u16,
        reason: String,
        headers: Vec<Header>,
        body: Vec<u8>,
        out: &mut Vec<Output>,
    ) {
        let Some(status) = Status::new(status) else { return };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(owed) = actor.owed.iter().find(|owed| owed.id == id) else { return };
        let reason = if reason.is_empty() { status.default_reason().to_owned() } else { reason };
        let tag = actor.leg(owed.leg).map(|leg| leg.local_tag.clone()).unwrap_or_default();
        let mut response = Response::to(&owed.request, status, reason, &tag);
        if carries_contact(&owed.request, status)
            && let Some(face) = self.faces.get(owed.flow.local)
        {
            response.headers.push(HeaderName::Contact, face.contact(None, is_secure(&owed.request)));
        }
        for Header { name, value } in headers {
            if let Some(name) = HeaderName::new(&name) {
                response.headers.push(name, value);
            }
        }
        response.body = body.into();
        let leg = actor.legs.iter_mut().find(|leg| leg.id == owed.leg);
        if let Some(leg) = leg.filter(|_| status.is_success() && refreshes_target(&owed.request.method)) {
            leg.session.answer(now, &owed.request.headers, &mut response);
            leg.described(&response.headers, &response.body);
        }
        self.send_response(now, call, id, response, out);
    }

    /// The host's response to a request that no guest answers.
    pub(super) fn answer_owed(
        &mut self,
        now: Time,
        call: CallRef,
        id: TransactionId,
        status: Status,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get(&call) else { return };
        let Some(owed) = actor.owed.iter().find(|owed| owed.id == id) else { return };
        // A BYE has done its work whoever answers it; only an INVITE can be terminated.
        let status = match owed.request.method {
            Method::Bye => Status::OK,
            Method::Invite => status,
            _ if status == Status::REQUEST_TERMINATED => Status::CALL_DOES_NOT_EXIST,
            _ => status,
        };
        let tag = actor.leg(owed.leg).map(|leg| leg.local_tag.clone()).unwrap_or_default();
        let response = Response::to(&owed.request, status, status.default_reason(), &tag);
        self.send_response(now, call, id, response, out);
    }

    fn send_response(
        &mut self,
        now: Time,
        call: CallRef,
        id: TransactionId,
        response: Response,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(owed) = actor.owed.iter().find(|owed| owed.id == id) else { return };
        let (server, leg, method, status) = (owed.server, owed.leg, owed.request.method.clone(), response.status);
        if status.is_final() {
            actor.take_owed(id);
            if let Some(leg) =
                actor.leg_mut(leg).filter(|leg| leg.state == LegState::Offered && method == Method::Invite)
            {
                leg.state = if status.is_success() { LegState::Accepted } else { LegState::Over };
            }
            // The ACK of a 2xx to an INVITE is news for the guest; nothing else comes after a final response.
            if !(method == Method::Invite && status.is_success()) {
                self.servers.remove(&server);
            }
        }
        actor.note(now, leg, true, What::Response(status, method));
        // It fails only when the transaction is over, and then nobody waits for it.
        let _ = self.layer.respond(now, server, response, &mut self.layer_outputs);
        self.pump(now, out);
    }

    /// A response to a request that belongs to no call, or does not fit the one it names.
    pub(super) fn refuse(
        &mut self,
        now: Time,
        server: ServerId,
        request: &Request,
        status: Status,
        out: &mut Vec<Output>,
    ) {
        let tag = self.new_tag();
        let mut response = Response::to(request, status, status.default_reason(), &tag);
        match status {
            // RFC 3261 §14.2, RFC 3311 §5.2: up to ten seconds, by chance.
            Status::SERVER_INTERNAL_ERROR => {
                response.headers.push(HeaderName::RetryAfter, (self.chance.next_u64() % 11).to_string());
            }
            Status::SESSION_INTERVAL_TOO_SMALL => {
                response.headers.push(HeaderName::MinSe, session::MIN_SE.to_string());
            }
            _ => {}
        }
        let _ = self.layer.respond(now, server, response, &mut self.layer_outputs);
        self.pump(now, out);
    }

    /// Answers an HTTP exchange of a call.
    pub(super) fn answer_http(
        &mut self,
        call: CallRef,
        exchange: ExchangeId,
        response: HttpResponse,
        out: &mut Vec<Output>,
    ) {
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(at) = actor.exchanges.iter().position(|open| *open == exchange) else { return };
        actor.exchanges.swap_remove(at);
        out.push(Output::HttpRespond { exchange, response });
    }

    /// Gives whoever waits for this event the answer that the guest will not give.
    pub(super) fn decline(
        &mut self,
        now: Time,
        call: CallRef,
        event: &Event,
        response: HttpResponse,
        out: &mut Vec<Output>,
    ) {
        match event {
            Event::Http { exchange, .. } => self.answer_http(call, *exchange, response, out),
            Event::Request { transaction, .. } | Event::Replacement { transaction, .. } => {
                let status = Status::new(response.status).unwrap_or(Status::SERVER_INTERNAL_ERROR);
                self.answer_owed(now, call, *transaction, status, out);
            }
            _ => {}
        }
    }
}

/// The responses whose Contact becomes or refreshes the peer's target (RFC 3261 §12.1.1, §12.2.2).
fn carries_contact(request: &Request, status: Status) -> bool {
    let refreshes = matches!(request.method, Method::Invite | Method::Update | Method::Refer | Method::Subscribe);
    refreshes && status.code() > 100 && status.code() < 300
}

/// 503: the host has no room.
pub(super) fn busy(why: &str) -> HttpResponse {
    plain(503, why, true)
}

/// Whether there may be any number of these, so that they find no room when too many wait. All else comes once: for each
/// request of ours, of which there are `transactions_per_call`, for each timer or leg, and would be missed for ever.
pub(super) fn may_be_declined(event: &Event) -> bool {
    match event {
        Event::Http { .. } | Event::Replacement { .. } => true,
        Event::Request { method, .. } => method != "BYE",
        Event::Response(response) => response.status < 200,
        Event::Ack { .. } | Event::Cancel { .. } | Event::Failure { .. } | Event::Timer(_) | Event::Ending(_) => false,
    }
}

/// 500: the guest ended the call without answering.
pub(super) fn unanswered() -> HttpResponse {
    plain(500, "the call controller ended the call without an answer", false)
}

/// What the caller hears when the guest broke down.
pub fn broken(breakdown: &Breakdown) -> HttpResponse {
    match breakdown {
        Breakdown::Fault(_) => plain(500, "the call controller could not handle the request", false),
        Breakdown::Trap(_) => plain(500, "the call controller crashed", false),
        Breakdown::Limit(name) => Limit::named(name).map_or_else(|| over_named(name), over),
        Breakdown::Deadline(_) => over(Limit::EventDeadline),
        Breakdown::Busy(_) => plain(503, "the call controller is busy", true),
    }
}

/// What the caller hears when a limit of the tenant is in the way: 429 when the tenant asks too often, 503 when it has
/// as much as it may have; in both cases a line that names the limit, and when to ask again.
pub fn over(limit: Limit) -> HttpResponse {
    let name = limit.name();
    let why = match limit {
        Limit::CallsPerSecond => return plain(429, format_args!("too many calls in a second ({name})"), true),
        Limit::Calls => "too many calls are up",
        Limit::ExchangesWaiting => "too many requests wait for an answer",
        Limit::EventsQueuedPerCall => "too many events wait for this call",
        Limit::EventDeadline => "the call controller took too long",
        _ => return over_named(name),
    };
    plain(503, format_args!("{why} ({name})"), true)
}

fn over_named(name: &str) -> HttpResponse {
    plain(503, format_args!("the call controller went over its limit of {name}"), true)
}

/// An answer of the host: one line of text, with Retry-After when asking again may help.
pub fn plain(status: u16, why: impl fmt::Display, retry: bool) -> HttpResponse {
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let mut headers = vec![header("content-type", "text/plain")];
    if retry {
        headers.push(header("retry-after", "1"));
    }
    HttpResponse { status, headers, body: format!("{why}\n").into_bytes() }
}
