//! Requests of a phone that nobody is at the other end for: in REFER mode always, in INVITE mode until both are joined.

use plugboard_sdk::headers::{find, without_parameters};
use plugboard_sdk::sdp;
use plugboard_sdk::status::Status;
use plugboard_sdk::{Header, IncomingRequest, header};

use crate::desk::Desk;
use crate::record::{Leg, Mode, Record};
use crate::ring::ALLOW;

/// Answers a request as an endpoint without media of its own would. Not for BYE and NOTIFY.
///
/// A re-INVITE or UPDATE with an offer gets an answer that holds the media, one without gets the description that the
/// phone knows already, made anew (RFC 3264 §8: same version, because nothing changed).
pub(crate) fn answer(desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) {
    let transaction = request.transaction.value;
    match request.method.as_str() {
        "INVITE" | "UPDATE" => answer_session(desk, record, request),
        "OPTIONS" => {
            let headers = vec![header("Allow", ALLOW), header("Accept", sdp::CONTENT_TYPE)];
            desk.respond(transaction, &Status::new(200), headers, Vec::new());
        }
        "INFO" | "MESSAGE" | "REFER" | "SUBSCRIBE" | "PUBLISH" | "PRACK" => desk.answer(transaction, 480),
        "NOTIFY" => desk.answer(transaction, 489),
        _ => desk.respond(transaction, &Status::new(405), vec![header("Allow", ALLOW)], Vec::new()),
    }
}

fn answer_session(desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) {
    let transaction = request.transaction.value;
    let stand_in = match record.mode {
        Mode::Refer => sdp::stand_in(desk.now, 1),
        Mode::Invite => sdp::no_media(desk.now, 1),
    };
    let Some(leg) = record.leg_mut(request.leg.value) else { return desk.answer(transaction, 481) };
    let body = match (request.method.as_str(), request.body.is_empty()) {
        ("UPDATE", true) => Vec::new(),
        (_, true) => leg.session.offer(&stand_in),
        (_, false) if !is_sdp(request) => return desk.answer(transaction, 415),
        (_, false) => held_answer(desk, leg, &request.body),
    };
    let headers = if body.is_empty() { Vec::new() } else { vec![header("Content-Type", sdp::CONTENT_TYPE)] };
    desk.respond(transaction, &Status::new(200), headers, body);
}

/// The answer to an offer of a leg that lets no media flow.
pub(crate) fn held_answer(desk: &Desk<'_>, leg: &mut Leg, offer: &[u8]) -> Vec<u8> {
    leg.session.heard(offer);
    leg.session.answer(&sdp::held_answer(offer, desk.now, 1), sdp::media_count(offer))
}

fn is_sdp(request: &IncomingRequest) -> bool {
    carries_sdp(&request.headers, &request.body)
}

/// Whether a body is a session description, by its Content-Type.
pub(crate) fn carries_sdp(headers: &[Header], body: &[u8]) -> bool {
    let media_type = find(headers, "Content-Type").map(without_parameters);
    !body.is_empty() && media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(sdp::CONTENT_TYPE))
}
