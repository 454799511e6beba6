//! A call controller with a rule of its own: calls are placed during office hours only, at any other time the answer is
//! 403 and says when to come back. A call rings the calling user, refers that phone to the called one (RFC 3515) and
//! steps aside.
//!
//! `POST /office/{calling}/{called}` places a call, `GET` tells how it is going, `DELETE` hangs up.
//!
//! An example of the SDK: the state of a call is a plain struct, one function per kind of event takes it from one state
//! to the next, and `tests.rs` runs it against scripted phones on a clock that jumps.

use plugboard_sdk::{
    Address, CallKey, Context, Controller, Description, Directory, Event, Fault, Host, HttpRequest, HttpResponse,
    IncomingRequest, IncomingResponse, Invite, LegId, StageError, describe, export, header, headers, percent, sdp,
    text,
};

#[cfg(test)]
mod tests;

const PREFIX: &str = "/office";
/// Monday to Friday, from 8:00 until 18:00, UTC.
const HOURS: std::ops::Range<u64> = 8..18;
/// How long the calling phone may ring, and how long it may then try the called one, in milliseconds.
const PATIENCE_MS: u64 = 60_000;

/// The controller.
#[derive(Debug)]
pub struct OfficeHours;

export!(OfficeHours);

/// A call that is up. It ends with its last event; the host releases what is left of it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Call {
    leg: u32,
    calling: String,
    called: String,
    story: Vec<String>,
}

impl Controller for OfficeHours {
    type State = Call;
    const SCHEMA: u32 = 1;

    fn describe() -> Description {
        describe::<Self>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), PREFIX)
    }

    fn route(_domain: &str, request: &HttpRequest, users: &impl Directory) -> Result<CallKey, HttpResponse> {
        let path = request.path.strip_prefix(PREFIX).and_then(|path| path.strip_prefix('/'));
        let (calling, called) =
            path.and_then(|path| path.split_once('/')).ok_or_else(|| text(404, "no such resource"))?;
        let address = |user: &str| {
            let user = percent::decode(user).ok_or_else(|| text(400, "not valid user"))?;
            let found = users.find_user(&user).ok_or_else(|| text(404, &format!("no user {user}")))?;
            Ok(found.address_of_record)
        };
        Ok(CallKey { value: format!("{} {}", address(calling)?, address(called)?) })
    }

    fn step(context: &Context, call: Option<Call>, event: Event, host: &mut impl Host) -> Result<Option<Call>, Fault> {
        let stepped = match (event, call) {
            (Event::Http(arrival), call) => asked(context, call, &arrival.request.method, host)
                .and_then(|(answer, call)| host.respond_http(arrival.exchange, answer).map(|()| call)),
            (Event::Response(response), Some(call)) => answered(call, &response, host),
            (Event::Request(request), Some(call)) => requested(call, &request, host),
            (Event::Failure(_) | Event::Timer(_) | Event::Ending(_), Some(call)) => over(&call, host),
            (_, call) => Ok(call),
        };
        stepped.map_err(|error| Fault::Internal(error.to_string()))
    }
}

/// What a step of a call gives: the call, or none when it is over.
type Stepped = Result<Option<Call>, StageError>;
/// The same, with the answer to the client that asked.
type Answered = Result<(HttpResponse, Option<Call>), StageError>;

/// A client asks.
fn asked(context: &Context, call: Option<Call>, method: &str, host: &mut impl Host) -> Answered {
    Ok(match (method, call) {
        ("POST", Some(call)) => (text(409, "a call between these is already up"), Some(call)),
        ("POST", None) if !is_open(context.now.unix_ms) => {
            (text(403, "calls are placed Monday to Friday, 8:00 to 18:00 UTC"), None)
        }
        ("POST", None) => place(context, host)?,
        ("GET", Some(call)) => (text(200, &call.story.join(", ")), Some(call)),
        ("DELETE", Some(call)) => (text(200, ""), over(&call, host)?),
        (_, call) => (text(404, "no such call"), call),
    })
}

/// The rule.
fn is_open(unix_ms: u64) -> bool {
    let hours = unix_ms / 3_600_000;
    let weekday = (hours / 24 + 3) % 7; // 1 January 1970 was a Thursday; 0 is Monday
    weekday < 5 && HOURS.contains(&(hours % 24))
}

/// Rings the calling user, on whose behalf the call is.
fn place(context: &Context, host: &mut impl Host) -> Answered {
    let (calling, called) = context.key.value.split_once(' ').unwrap_or_default();
    let Ok(agent) = host.act_as(calling) else { return Ok((text(403, "not your phone"), None)) };
    let from = Address { display_name: agent.display_name, uri: agent.address_of_record };
    let headers = vec![header("Content-Type", sdp::CONTENT_TYPE)];
    let body = sdp::stand_in(context.now.unix_ms, 1);
    let started = host.call(Invite { target: calling.into(), to: None, from, headers, body })?;
    host.set_timer("patience", PATIENCE_MS)?;
    let call = Call { leg: started.leg.value, calling: calling.into(), called: called.into(), story: Vec::new() };
    Ok((text(200, ""), Some(call)))
}

/// The phone answers the INVITE or the REFER.
fn answered(mut call: Call, response: &IncomingResponse, host: &mut impl Host) -> Stepped {
    call.story.push(format!("{} {} {}", response.method, response.status, response.reason));
    match (response.method.as_str(), response.status) {
        _ if response.answerable => drop(host.answer_challenge(response.transaction)?),
        (_, 300..) => return over(&call, host),
        ("INVITE", 200..) => {
            host.ack(response.transaction, Vec::new(), Vec::new())?;
            let [to, by] = [&call.called, &call.calling].map(|uri| format!("<{uri}>"));
            let refer = vec![header("Refer-To", to), header("Referred-By", by)];
            host.request(LegId { value: call.leg }, "REFER", refer, Vec::new())?;
            host.set_timer("patience", PATIENCE_MS)?;
        }
        _ => {}
    }
    Ok(Some(call))
}

/// The phone asks: BYE, or NOTIFY with a status line of its own call in the body (RFC 3420).
fn requested(mut call: Call, request: &IncomingRequest, host: &mut impl Host) -> Stepped {
    let known = ["BYE", "NOTIFY"].contains(&request.method.as_str());
    let (status, reason) = if known { (200, "OK") } else { (501, "Not Implemented") };
    host.respond(request.transaction, status, reason, Vec::new(), Vec::new())?;
    let line = String::from_utf8_lossy(&request.body).trim().to_owned();
    let trying = line.is_empty() || line.starts_with("SIP/2.0 100");
    call.story.push(format!("{} {line}", request.method));
    if request.method == "BYE" || request.method == "NOTIFY" && !trying { over(&call, host) } else { Ok(Some(call)) }
}

/// Ends the call with a CANCEL or a BYE, whichever is due.
fn over(call: &Call, host: &mut impl Host) -> Stepped {
    host.release(LegId { value: call.leg }, vec![headers::reason(487, "Over")])?;
    Ok(None)
}
