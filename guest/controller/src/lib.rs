//! The call controller of the service: `POST /callcontroller/{callingUser}/{calledUser}` makes two phones talk.
//!
//! A pure step over [`plugboard_sdk`]: one event and the state before it give the effects and the state after it. Where
//! to look:
//!
//! - `route`, `params`, `http`: what a client may ask, and the answers;
//! - `call`: one call, its record and its phase; `record`: what is known of it; `report`: how that is shown;
//! - `refer`: REFER mode; `invite`, `early`: INVITE mode until both phones are joined; `up`, `forward`, `transfer`, `moving`: afterwards;
//! - `referral`: a phone that asks for a transfer itself;
//! - `ring`: an INVITE that opens a leg; `join`: a re-INVITE that connects two; `local`: requests nobody else is there for;
//! - `desk`: what a phase works with during one event; `phase`: what it becomes.

mod call;
mod desk;
mod early;
mod forward;
mod http;
mod invite;
mod join;
mod local;
mod moving;
mod params;
mod phase;
mod record;
mod refer;
mod referral;
mod report;
mod ring;
mod route;
mod transfer;
mod up;

#[cfg(test)]
mod tests;

use plugboard_sdk::{
    CallKey, Context, Controller, Description, Directory, Event, Fault, Host, HttpRequest, HttpResponse, Random,
};

/// The controller, as the host sees it.
#[derive(Debug)]
pub struct CallController;

/// The encoding of the state and of the records in the cache.
const SCHEMA: u32 = 5;

/// A call in progress. Opaque: it means something to this controller only.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct State(call::Call);

impl Controller for CallController {
    type State = State;
    const SCHEMA: u32 = SCHEMA;

    fn describe() -> Description {
        plugboard_sdk::describe::<Self>(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), route::PREFIX)
    }

    fn route(domain: &str, request: &HttpRequest, users: &impl Directory) -> Result<CallKey, HttpResponse> {
        route::Asked::read(domain, request, users).map(|asked| asked.key())
    }

    fn check(state: &State) -> Result<(), Fault> {
        state.0.record.parties.get().map(drop)
    }

    fn step(
        context: &Context,
        state: Option<State>,
        event: Event,
        host: &mut impl Host,
    ) -> Result<Option<State>, Fault> {
        let desk = desk::Desk { host, now: context.now.unix_ms, random: Random::new(context.seed) };
        Ok(step(desk, context, state.map(|state| state.0), event)?.map(State))
    }
}

fn step(
    mut desk: desk::Desk<'_>,
    context: &Context,
    mut call: Option<call::Call>,
    event: Event,
) -> Result<Option<call::Call>, Fault> {
    let desk = &mut desk;
    let key = &context.key.value;
    if let (Some(ended), Some(reason)) = (&mut call, context.ended_by_host) {
        ended.ended_by_host(desk.now, reason);
    }
    let next = match (call, event) {
        (call, Event::Http(arrival)) => http::arrival(desk, context, call, arrival)?,
        (Some(call), event) => call.step(desk, key, event)?,
        (None, Event::Request(request)) => {
            desk.answer(request.transaction.value, up::GONE);
            None
        }
        (None, _) => None,
    };
    match next {
        // Nothing will happen to a call that the host has ended: no timer is left to close it.
        Some(ended) if context.ended_by_host.is_some() && ended.is_ended() => ended.finish(desk, key).map(|()| None),
        next => Ok(next),
    }
}

plugboard_sdk::export!(CallController);
