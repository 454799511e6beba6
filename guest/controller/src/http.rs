//! HTTP requests about a call: place, report, transfer, hang up.

use plugboard_sdk::status::Status;
use plugboard_sdk::{
    Context, Denial, Fault, HttpArrival, HttpRequest, HttpResponse, Principal, StageError, codec, header, text,
};

use crate::call::Call;
use crate::desk::{Desk, Timer};
use crate::params::Params;
use crate::record::{LEGS_MAX, Mode, Party, Record};
use crate::route::{Asked, Verb};
use crate::{SCHEMA, report};

/// Answers one request, and says what became of the call.
pub(crate) fn arrival(
    desk: &mut Desk<'_>,
    context: &Context,
    call: Option<Call>,
    arrival: HttpArrival,
) -> Result<Option<Call>, Fault> {
    let (call, response) = match Asked::read(&context.domain, &arrival.request, &*desk.host) {
        Err(response) => (call, response),
        // Who places a new call acts as the agent next, which the host permits or denies.
        Ok(asked) if !(call.is_none() && asked.places() || may_act(desk, &context.principal, &asked)) => {
            (call, text(403, NOT_THE_AGENT))
        }
        Ok(asked) => asked_about(desk, context, call, asked, &arrival.request)?,
    };
    let staged = desk.host.respond_http(arrival.exchange, response);
    staged.map_err(|error| Fault::Internal(format!("answer not staged: {error}")))?;
    Ok(call)
}

const NOT_THE_AGENT: &str = "Agent does not match principal";

type Answered = (Option<Call>, HttpResponse);

fn asked_about(
    desk: &mut Desk<'_>,
    context: &Context,
    call: Option<Call>,
    asked: Asked,
    request: &HttpRequest,
) -> Result<Answered, Fault> {
    let key = &context.key.value;
    match asked.verb.clone() {
        Verb::Report => {
            let response = match &call {
                Some(call) => report::response(request, Some(&call.record), call.phase())?,
                None => report::response(request, kept(desk, key).as_ref(), "over")?,
            };
            Ok((call, response))
        }
        Verb::HangUp => match call {
            Some(call) => Ok((call.hang_up(desk, key)?, text(200, ""))),
            None if kept(desk, key).is_some() => Ok((None, text(200, ""))),
            None => Ok((None, text(404, "no such call"))),
        },
        Verb::Call(params) => Ok(place(desk, call, asked, params)),
        Verb::Transfer { params, target } => Ok(transfer(desk, call, &asked, &params, target)),
    }
}

/// The record of a call that is over, unless it was written by a version that kept records differently.
fn kept(desk: &Desk<'_>, key: &str) -> Option<Record> {
    codec::decode(SCHEMA, &desk.host.cache_get(key)?).ok()
}

fn place(desk: &mut Desk<'_>, call: Option<Call>, asked: Asked, params: Params) -> Answered {
    let busy = call.as_ref().is_some_and(|call| !call.is_ended() && call.record.mode == Mode::Invite);
    if busy {
        return (call, text(409, "a call between these is already up"));
    }
    if let Err(response) = act_as(desk, &asked.agent) {
        return (call, response);
    }
    match Call::start(desk, asked, params) {
        Err(error) => (call, not_placed(&error)),
        Ok(placed) => {
            if let Some(replaced) = call {
                let left = [Timer::Linger, Timer::Transfer, Timer::Retry, Timer::Forward];
                left.into_iter().for_each(|timer| desk.clear(timer));
                replaced.displace(desk);
            }
            (Some(placed), text(200, ""))
        }
    }
}

fn transfer(desk: &mut Desk<'_>, call: Option<Call>, asked: &Asked, params: &Params, target: Party) -> Answered {
    let mut call = match call {
        Some(call) if !call.is_ended() => call,
        over => return (over, text(404, "no such call")),
    };
    if let Err(response) = act_as(desk, &asked.agent) {
        return (Some(call), response);
    }
    let response = match call.invite_mode() {
        None => text(409, "the call was not placed with sipMethod=INVITE"),
        Some((_, record)) if record.legs.len() >= LEGS_MAX => text(409, "the call was transferred too often"),
        Some((invite, record)) => match invite.transfer(desk, record, target, params.options.ring_seconds) {
            Ok(()) => text(200, ""),
            Err(crate::invite::NoTransfer::NotUp) => text(409, "the call is not up yet"),
            Err(crate::invite::NoTransfer::Transferring) => text(409, "a transfer is already under way"),
            Err(crate::invite::NoTransfer::Refused(error)) => not_placed(&error),
        },
    };
    (Some(call), response)
}

/// Whether who asks may act for the agent. The host has decided it before; a controller does not rely on that.
fn may_act(desk: &Desk<'_>, principal: &Principal, asked: &Asked) -> bool {
    match principal {
        Principal::Trusted => true,
        Principal::User(user) => {
            desk.host.find_user(user).is_some_and(|user| user.address_of_record == asked.agent.uri)
        }
        Principal::Network => false,
    }
}

fn act_as(desk: &mut Desk<'_>, agent: &Party) -> Result<(), HttpResponse> {
    let address = agent.uri.strip_prefix("sip:").unwrap_or(&agent.uri);
    match desk.host.act_as(address) {
        Ok(_) => Ok(()),
        Err(Denial::UnknownUser) => Err(text(404, &format!("User Not found {address}"))),
        Err(Denial::NotPermitted) => Err(text(403, NOT_THE_AGENT)),
    }
}

fn not_placed(error: &StageError) -> HttpResponse {
    match error {
        StageError::Malformed(what) => text(400, &format!("cannot be called: {what}")),
        StageError::Reserved(name) => text(400, &format!("not valid header {name}")),
        StageError::Denied => text(403, "not permitted"),
        StageError::OverQuota(_) | StageError::Unknown | StageError::WrongState => {
            let mut response = text(503, Status::new(503).reason());
            response.headers.push(header("retry-after", "5"));
            response
        }
    }
}
