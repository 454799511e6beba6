//! Requests of one phone on their way to the other, and the answers on their way back.
//!
//! What passes through keeps its method, end-to-end header fields, status, reason and body; in session descriptions
//! the origin is mapped (see [`plugboard_sdk::sdp::Session`]). A 491 passes through as well: the phone that asked tries
//! again by its own clock (RFC 3261 §14.1), and until then the other one is served; if it were held back here and tried
//! again, the first phone's INVITE would stay open, and the other's would meet it each time.

use plugboard_sdk::sdp;
use plugboard_sdk::status::Status;
use plugboard_sdk::{Header, IncomingAck, IncomingRequest, IncomingResponse, RequestFailure, StageError, header};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Sent, Timer};
use crate::local::{self, carries_sdp};
use crate::record::Record;
use crate::up::lost;

/// The requests that are under way: [`FORWARDS_MAX`] at most, one INVITE among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Forwards(Vec<Forward>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Forward {
    from: u32,
    received: u32,
    to: u32,
    sent: Sent,
    kind: Kind,
    expects: Expects,
}

/// What was received, and what was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    /// An INVITE.
    Invite,
    /// An UPDATE that became an INVITE, because the other phone takes no UPDATE (RFC 3311 §4).
    UpdateAsInvite,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    /// The final response. What it describes is an answer with this many media lines, or an offer (none).
    Response { offered: Option<usize> },
    /// The ACK of a 2xx to an INVITE, likewise.
    Ack { offered: Option<usize> },
    /// Likewise the final response to an INVITE whose phone is gone: nobody wants it, but a 2xx must be acknowledged.
    Forgotten { offered: Option<usize> },
}

/// What the answer to a forward, or its failure, means for the call.
pub(crate) enum Forwarded {
    /// Nothing further.
    Done,
    /// An answer that says that the dialog of this leg is gone.
    Lost { leg: u32, status: Status },
    /// This leg accepted the session of a phone that is gone.
    Astray { leg: u32 },
}

/// More requests of both phones than this are refused with a 500 until one is answered.
pub(crate) const FORWARDS_MAX: usize = 16;

/// How long a forwarded INVITE may wait for its final response before it is cancelled, in milliseconds.
pub(crate) const INVITE_MS: u64 = 90_000;

impl Forwards {
    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a request of one leg on to another one.
    pub fn forward(&mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest, to: u32) {
        let (from, received) = (request.leg.value, request.transaction.value);
        if self.0.len() == FORWARDS_MAX {
            return later(desk, received);
        }
        let before = record.leg(to).map(|leg| leg.session.clone());
        let described = negotiates(&request.method) && carries_sdp(&request.headers, &request.body);
        let offered = described.then(|| sdp::media_count(&request.body));
        let body = carry(record, from, to, described, None, &request.body);
        let updates = record.leg(to).is_some_and(|leg| leg.takes_updates);
        let kind = match request.method.as_str() {
            "INVITE" => Kind::Invite,
            "UPDATE" if described && !updates => Kind::UpdateAsInvite,
            _ => Kind::Other,
        };
        let method = if kind == Kind::UpdateAsInvite { "INVITE" } else { &request.method };
        match desk.request(to, method, end_to_end(&request.headers), body) {
            Ok(sent) => {
                if kind.is_invite() {
                    desk.set(Timer::Forward, INVITE_MS);
                }
                let expects = Expects::Response { offered };
                self.0.push(Forward { from, received, to, sent, kind, expects });
            }
            Err(error) => {
                if let (Some(leg), Some(before)) = (record.leg_mut(to), before) {
                    leg.session = before;
                }
                desk.answer(received, refusal(&error, &request.method));
            }
        }
    }

    /// Brings an answer back; none when it is not the answer to any of them.
    pub fn response(
        &mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
    ) -> Option<Forwarded> {
        let at = self.position(response.transaction.value)?;
        let forward = &mut self.0[at];
        let offered = match forward.expects {
            Expects::Response { offered } => offered,
            Expects::Ack { .. } => return Some(Forwarded::Done),
            Expects::Forgotten { offered } => return Some(self.forgotten(at, offered, desk, record, response)),
        };
        let provisional = response.status < 200;
        if response.status == 100
            || (provisional && forward.kind != Kind::Invite)
            || forward.sent.authorize(desk, response)
        {
            return Some(Forwarded::Done);
        }
        // What comes with a refusal is what the phone could have taken, not its session.
        let described =
            response.status < 300 && negotiates(&response.method) && carries_sdp(&response.headers, &response.body);
        let (from, received, to) = (forward.from, forward.received, forward.to);
        if forward.kind.is_invite() && !provisional {
            desk.clear(Timer::Forward);
        }
        if forward.kind == Kind::UpdateAsInvite && (200..300).contains(&response.status) {
            desk.ack(response.transaction.value, Vec::new(), Vec::new());
        }
        if forward.kind == Kind::Invite && (200..300).contains(&response.status) {
            let count = sdp::media_count(&response.body);
            forward.expects = Expects::Ack { offered: (offered.is_none() && described).then_some(count) };
        } else if !provisional {
            self.0.remove(at);
        }
        let body = carry(record, to, from, described, offered, &response.body);
        let status = Status::with_reason(response.status, &response.reason);
        desk.respond(received, &shown(&status), end_to_end(&response.headers), body);
        Some(after_final(&response.method, to, status))
    }

    /// A response to an INVITE whose phone is gone.
    fn forgotten(
        &mut self,
        at: usize,
        offered: Option<usize>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
    ) -> Forwarded {
        if response.status < 200 {
            return Forwarded::Done;
        }
        let Forward { to, .. } = self.0.remove(at);
        desk.clear(Timer::Forward);
        if response.status >= 300 {
            return after_final(&response.method, to, Status::with_reason(response.status, &response.reason));
        }
        let (mut headers, mut body) = (Vec::new(), Vec::new());
        if offered.is_none()
            && carries_sdp(&response.headers, &response.body)
            && let Some(leg) = record.leg_mut(to)
        {
            headers.push(header("Content-Type", sdp::CONTENT_TYPE));
            body = local::held_answer(desk, leg, &response.body);
        }
        desk.ack(response.transaction.value, headers, body);
        Forwarded::Astray { leg: to }
    }

    /// No answer will come; none when none of them is meant.
    pub fn failure(&mut self, desk: &mut Desk<'_>, failure: &RequestFailure) -> Option<Forwarded> {
        let at = self.position(failure.transaction.value)?;
        let forward = self.0.remove(at);
        if forward.kind.is_invite() {
            desk.clear(Timer::Forward);
        }
        let status = Status::of_failure(failure.reason);
        if forward.pending() {
            desk.respond(forward.received, &status, Vec::new(), Vec::new());
        }
        Some(after_final(&failure.method, forward.to, status))
    }

    /// Sends an ACK on, with the answer that it may carry.
    pub fn ack(&mut self, desk: &mut Desk<'_>, record: &mut Record, ack: &IncomingAck) {
        let acknowledged = |(at, forward): (usize, &Forward)| match forward.expects {
            Expects::Ack { offered } if forward.received == ack.transaction.value => Some((at, offered)),
            _ => None,
        };
        let Some((at, offered)) = self.0.iter().enumerate().find_map(acknowledged) else { return };
        let Forward { from, to, sent, .. } = self.0.remove(at);
        let described = carries_sdp(&ack.headers, &ack.body);
        let body = carry(record, from, to, described, offered, &ack.body);
        desk.ack(sent.transaction, end_to_end(&ack.headers), body);
    }

    /// The phone gave up its INVITE; what it is answered follows from how the CANCEL goes.
    pub fn cancel(&mut self, desk: &mut Desk<'_>, received: u32) {
        let pending = self.0.iter().find(|forward| forward.received == received && forward.pending());
        if let Some(forward) = pending {
            desk.cancel(forward.sent.transaction);
        }
    }

    /// The phone gave up its INVITE and has its answer.
    pub fn forget(&mut self, desk: &mut Desk<'_>, received: u32) {
        self.0.iter_mut().filter(|forward| forward.received == received).for_each(|forward| forward.forget(desk));
    }

    /// The INVITE under way has waited too long.
    pub fn timed_out(&mut self, desk: &mut Desk<'_>) {
        if let Some(forward) = self.0.iter().find(|forward| forward.kind.is_invite() && forward.pending()) {
            desk.cancel(forward.sent.transaction);
        }
    }

    /// Whether an INVITE is under way, not acknowledged yet; the leg that it waits for to be answered, if it still does.
    pub fn invite(&self) -> Option<Option<u32>> {
        let invite = self.0.iter().find(|forward| forward.kind.is_invite())?;
        Some(invite.pending().then_some(invite.from))
    }

    /// Whether a received INVITE was accepted and wants its ACK; none when it is over.
    pub fn accepted(&self, received: u32) -> Option<bool> {
        let forward = self.0.iter().find(|forward| forward.received == received)?;
        Some(!forward.pending())
    }

    /// Answers what comes from or goes to a leg that is about to be released. The other phone still takes part in an
    /// INVITE that came from it.
    pub fn abandon(&mut self, desk: &mut Desk<'_>, leg: u32) {
        for forward in self.0.iter_mut().filter(|forward| forward.from == leg || forward.to == leg) {
            if forward.pending() {
                desk.answer(forward.received, 487);
            }
            if forward.from == leg && forward.kind.is_invite() {
                forward.forget(desk);
            }
        }
        self.0.retain(|forward| (forward.from != leg && forward.to != leg) || forward.is_forgotten());
    }

    /// The requests of the phones that want a final response.
    pub fn owed(&self) -> Vec<u32> {
        self.0.iter().filter(|forward| forward.pending()).map(|forward| forward.received).collect()
    }

    fn position(&self, transaction: u32) -> Option<usize> {
        self.0.iter().position(|forward| forward.sent.transaction == transaction)
    }
}

impl Kind {
    /// Whether it went on as an INVITE.
    fn is_invite(self) -> bool {
        self != Self::Other
    }
}

impl Forward {
    fn pending(&self) -> bool {
        matches!(self.expects, Expects::Response { .. })
    }

    fn is_forgotten(&self) -> bool {
        matches!(self.expects, Expects::Forgotten { .. })
    }

    /// Brings the INVITE to its end without the phone that it came from.
    fn forget(&mut self, desk: &mut Desk<'_>) {
        match self.expects {
            Expects::Response { offered } => {
                desk.cancel(self.sent.transaction);
                self.expects = Expects::Forgotten { offered };
            }
            // An offer in the 2xx is not at hand any more: whoever made it hears of no media.
            Expects::Ack { .. } => desk.ack(self.sent.transaction, Vec::new(), Vec::new()),
            Expects::Forgotten { .. } => {}
        }
    }
}

/// What the last answer of a leg means for the call: whether it says that its dialog is gone. An answer about a
/// subscription ends that only (RFC 5057 §5.1, RFC 6665 §4.1.3: 481 to a NOTIFY that none wants).
fn after_final(method: &str, leg: u32, status: Status) -> Forwarded {
    let about_subscription = matches!(method, "NOTIFY" | "SUBSCRIBE");
    if lost(status.code) && !about_subscription { Forwarded::Lost { leg, status } } else { Forwarded::Done }
}

/// Asks a phone to come back with its request: RFC 3261 §14.2 wants up to ten seconds, by chance.
pub(crate) fn later(desk: &mut Desk<'_>, received: u32) {
    let seconds = desk.random.within(0, 10);
    desk.respond(received, &Status::new(500), vec![header("Retry-After", seconds.to_string())], Vec::new());
}

/// Whether descriptions in this method are offers and answers (RFC 3264, RFC 3311). Elsewhere, in an answer to OPTIONS
/// for example, they describe what a phone could do.
fn negotiates(method: &str) -> bool {
    matches!(method, "INVITE" | "UPDATE")
}

/// The body as the other phone gets it. An answer has the number of media lines of the offer, `answers`.
fn carry(record: &mut Record, from: u32, to: u32, described: bool, answers: Option<usize>, body: &[u8]) -> Vec<u8> {
    if !described {
        return body.to_vec();
    }
    if let Some(leg) = record.leg_mut(from) {
        leg.session.heard(body);
    }
    match (record.leg_mut(to), answers) {
        (Some(leg), None) => leg.session.offer(body),
        (Some(leg), Some(lines)) => leg.session.answer(body, lines),
        (None, _) => body.to_vec(),
    }
}

/// The header fields that mean something to the other phone. Reliable provisional responses (RFC 3262) are numbered
/// hop by hop, so they are not offered across.
fn end_to_end(headers: &[Header]) -> Vec<Header> {
    let hop_by_hop = |header: &&Header| HOP_BY_HOP.iter().any(|name| name.eq_ignore_ascii_case(&header.name));
    headers.iter().filter(|header| !hop_by_hop(header)).filter_map(without_100rel).collect()
}

fn without_100rel(field: &Header) -> Option<Header> {
    let tags = ["Supported", "Require"].iter().any(|name| name.eq_ignore_ascii_case(&field.name));
    if !tags || !field.value.contains("100rel") {
        return Some(field.clone());
    }
    let kept: Vec<&str> = field.value.split(',').map(str::trim).filter(|tag| *tag != "100rel").collect();
    (!kept.is_empty()).then(|| header(&field.name, kept.join(", ")))
}

/// How an answer of one phone is shown to the other: a challenge that we cannot answer is not theirs to answer either.
fn shown(status: &Status) -> Status {
    if matches!(status.code, 401 | 407) { Status::new(403) } else { status.clone() }
}

fn refusal(error: &StageError, method: &str) -> u16 {
    match error {
        StageError::WrongState if method == "INVITE" => 491,
        StageError::WrongState => 480,
        StageError::Unknown => 481,
        StageError::OverQuota(_) => 503,
        StageError::Denied => 403,
        StageError::Malformed(_) | StageError::Reserved(_) => 400,
    }
}

const HOP_BY_HOP: [&str; 5] = ["Timestamp", "Proxy-Require", "RSeq", "RAck", "Path"];
