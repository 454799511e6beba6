//! Requests of a peer that meet an INVITE or an offer which is under way (RFC 3261 §14.2, RFC 3311 §5.2, RFC 3264 §4).
//! The host sees both sides of a dialog as the network does, so it refuses them itself: the peer tries again.

use super::actor::Actor;
use super::leg::{Owed, Progress, Sent};
use crate::contract::LegId;
use plugboard_sip::message::{Method, Request, Status};

/// What is in the way of a request that asks for another session, or for the refresh of one. None when nothing is.
pub(super) fn verdict(actor: &Actor, leg: LegId, request: &Request) -> Option<Status> {
    let offers = match request.method {
        Method::Invite => true, // without a description it asks for an offer
        Method::Update => !request.body.is_empty(),
        _ => return None,
    };
    let theirs = |method: Method| actor.owed.iter().find(move |owed| owed.leg == leg && owed.request.method == method);
    // Its own request still waits: it knows, and is told to come back.
    let overtakes = match request.method {
        Method::Update => theirs(Method::Update).is_some() || (offers && theirs(Method::Invite).is_some_and(has_offer)),
        _ => theirs(Method::Invite).is_some() || theirs(Method::Update).is_some_and(has_offer),
    };
    if overtakes {
        return Some(Status::SERVER_INTERNAL_ERROR);
    }
    let ours = |sent: &&Sent| sent.leg == leg;
    let answered = actor.leg(leg).and_then(|leg| leg.dialog.as_ref()).is_some_and(|dialog| dialog.answered);
    actor.sent.iter().filter(ours).find_map(|sent| match (&sent.request.method, &sent.progress) {
        (Method::Invite, _) if request.method == Method::Invite => Some(Status::REQUEST_PENDING),
        (Method::Invite | Method::Update, _) if !offers => None,
        // The peer's offer stands in its 2xx.
        (Method::Invite, Progress::Unacknowledged { .. }) if sent.request.body.is_empty() => {
            Some(Status::SERVER_INTERNAL_ERROR)
        }
        (Method::Invite, Progress::Unacknowledged { .. }) => None,
        (Method::Invite, _) if answered || sent.request.body.is_empty() => None,
        (Method::Invite, _) => Some(Status::REQUEST_PENDING),
        (Method::Update, _) if !sent.request.body.is_empty() => Some(Status::REQUEST_PENDING),
        _ => None,
    })
}

fn has_offer(owed: &Owed) -> bool {
    !owed.request.body.is_empty()
}
