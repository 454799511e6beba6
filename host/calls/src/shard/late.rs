//! A 2xx to an INVITE that nobody waits for: of a further fork (RFC 3261 §13.2.2.4), or behind a timeout, a failure or
//! the end of its call. A phone is off its hook for it, so it is acknowledged, and its dialog ended with a BYE.
//!
//! What is not an answer to a request of ours is dropped: otherwise anybody could have us send requests to anywhere.

use super::dialog::Dialog;
use super::face::Way;
use super::leg::{Leg, LegState};
use super::send::Waiting;
use super::{Output, Shard};
use crate::contract::LegId;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Method, Request, Response, Value};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{ClientId, Stray, StrayReason};
use plugboard_sip::transport::Destination;

/// Dialogs of unwanted 2xx that were ended last, in number: another BYE for a 2xx that is repeated says nothing new.
const UNWANTED_MAX: usize = 256;
/// Requests that an early dialog may have seen before its 2xx, in number; each has taken a CSeq number, and that of the
/// BYE must be higher.
const REQUESTS_BEFORE_2XX_MAX: u32 = 64;

/// A request inside a dialog and where it goes.
type Addressed = (Request, NextHop);

impl Shard {
    /// A message that no transaction is about.
    pub(super) fn stray(&mut self, now: Time, stray: Stray, out: &mut Vec<Output>) {
        match stray.reason {
            StrayReason::Response(_) => self.counters.stray_responses += 1,
            _ => self.counters.stray_requests += 1,
        }
        if let StrayReason::Response(response) = &stray.reason
            && let Some(client) = self.layer.answered_by(response)
        {
            self.unwanted_2xx(now, client, Some(stray.flow), response, out);
        }
    }

    /// A response to a request of ours that nobody waits for. `flow` is where it came from, when its transaction is
    /// over.
    pub(super) fn unwanted_2xx(
        &mut self,
        now: Time,
        client: ClientId,
        flow: Option<Destination>,
        response: &Response,
        out: &mut Vec<Output>,
    ) {
        let answers_invite = response.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Invite);
        if !answers_invite || !response.status.is_success() {
            return;
        }
        let Some(local_tag) = response.headers.from_tag() else { return };
        let remote_tag = response.headers.to_tag().unwrap_or_default();
        let known = self.dialogs.get(&local_tag).copied();
        let leg = known.and_then(|(call, id)| self.actors.get_mut(&call)?.leg_mut(id));
        let stands = leg.as_ref().is_some_and(|leg| stands(leg, &remote_tag));
        if stands && flow.is_none() {
            return; // repeated, although its ACK is on its way
        }
        let Some((ack, bye)) = farewell(leg, stands, flow, response) else { return };
        if let Some((request, next_hop)) = ack {
            let (to_tag, request) = (remote_tag.clone(), Box::new(request));
            self.dispatch(now, Waiting::Ack { client, to_tag, request, next_hop }, out);
        }
        let dialog = (local_tag.apart(), remote_tag.apart());
        if bye.is_none() || self.unwanted.contains(&dialog) {
            return;
        }
        if self.unwanted.len() >= UNWANTED_MAX {
            self.unwanted.pop_front();
        }
        self.unwanted.push_back(dialog);
        self.counters.forks_ended += 1;
        if let Some((request, next_hop)) = bye {
            self.dispatch(now, Waiting::Nobody { request: Box::new(request), next_hop }, out);
        }
    }
}

/// Whether this is the dialog of a leg that the guest has, or that is ended in the usual way.
fn stands(leg: &Leg, remote_tag: &Text) -> bool {
    let same = leg.dialog.as_ref().is_some_and(|dialog| dialog.remote_tag == *remote_tag);
    same && matches!(leg.state, LegState::Accepted | LegState::Up | LegState::Leaving)
}

/// The ACK and the BYE of the dialog that an unwanted 2xx makes, beside the dialog of its leg; the ACK alone when that is
/// the one, and `stands`.
fn farewell(
    leg: Option<&mut Leg>,
    stands: bool,
    flow: Option<Destination>,
    response: &Response,
) -> Option<(Option<Addressed>, Option<Addressed>)> {
    let number = response.headers.cseq().ok()?.number;
    let mut forgotten;
    let leg = match leg {
        Some(leg) => leg,
        None => {
            forgotten = remember(response, number)?;
            &mut forgotten
        }
    };
    if let Some(dialog) = leg.dialog.as_mut().filter(|_| stands) {
        // RFC 3261 §12.2.1.2: the target is refreshed, the route set stays.
        dialog.refresh(&response.headers);
        return Some((leg.inside(Method::Ack, Some(number), Vec::new()), None));
    }
    let dialog = Dialog::from_response(response, &leg.target)?;
    if leg.way.is_none() {
        let next_hop = dialog.path().and_then(|path| NextHop::of(&path.next_hop));
        leg.way = flow.zip(next_hop).map(|(destination, next_hop)| Way { next_hop, destination });
    }
    let own = leg.dialog.replace(dialog);
    let ack = leg.inside(Method::Ack, Some(number), Vec::new());
    let bye = leg.inside(Method::Bye, None, Vec::new());
    leg.dialog = own;
    Some((ack, bye))
}

/// The leg of an INVITE whose call is forgotten, from what its 2xx says of it.
fn remember(response: &Response, number: u32) -> Option<Leg> {
    let field = |name: HeaderName| response.headers.get(&name).cloned();
    let to = response.headers.to_header().ok()?;
    let mut leg = Leg::new(LegId(0), field(HeaderName::CallId)?, Text::from(to.uri.to_string()));
    leg.local_tag = response.headers.from_tag()?;
    leg.from = field(HeaderName::From)?;
    leg.to = Value::from(to.to_string());
    leg.local_cseq = number.saturating_add(REQUESTS_BEFORE_2XX_MAX);
    Some(leg)
}
