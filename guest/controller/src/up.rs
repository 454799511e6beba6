//! INVITE mode while two phones talk: what one asks is brought to the other, a BYE ends both, and a transfer may be
//! under way, for a client or for one of the phones.

use plugboard_sdk::status::Status;
use plugboard_sdk::{
    Header, IncomingAck, IncomingCancel, IncomingReplacement, IncomingRequest, IncomingResponse, RequestFailure,
    StageError,
};
use serde::{Deserialize, Serialize};

use crate::call::stray;
use crate::desk::{Desk, Timer};
use crate::forward::{Forwarded, Forwards, later};
use crate::invite::NoTransfer;
use crate::local;
use crate::moving::{Moved, Moving};
use crate::phase::{Ending, Next, Owed};
use crate::record::{AskedBy, EndedBy, LEGS_MAX, LegState, Outcome, Party, Record};
use crate::referral::{self, Introduction, Refusal};
use crate::ring::release;
use crate::transfer::Order;

/// Two phones that talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Up {
    pair: Pair,
    forwards: Forwards,
    transfer: Option<Moving>,
    replacement: Option<Replacement>,
}

/// A phone that wants to take the place of one of the two (RFC 3891).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Replacement {
    leg: u32,
    replaced: u32,
    received: u32,
}

/// The legs of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// The calling party, or the target that has taken its place.
    pub calling: u32,
    /// The called party, or the target that has taken its place.
    pub called: u32,
}

/// How often the phones are asked whether they are still there, in milliseconds: a call whose phones lost power must
/// not stay for ever.
pub(crate) const PROBE_MS: u64 = 15 * 60 * 1000;

/// RFC 3261 §12.2.2: the dialog does not exist (any more).
pub(crate) const GONE: u16 = 481;

/// Whether a status that answers a request inside a dialog says that the dialog is gone (RFC 3261 §12.2.1.2, and of
/// RFC 5057 §5.1 what is sure: other failures end the request only).
pub(crate) fn lost(code: u16) -> bool {
    matches!(code, 408 | GONE)
}

impl Up {
    /// Begins with two joined legs.
    pub fn start(desk: &mut Desk<'_>, calling: u32, called: u32) -> Self {
        desk.set(Timer::Phase, PROBE_MS);
        Self { pair: Pair { calling, called }, forwards: Forwards::default(), transfer: None, replacement: None }
    }

    /// Begins with two legs that have different ideas of their session.
    pub fn apart(desk: &mut Desk<'_>, record: &mut Record, calling: u32, called: u32) -> Next<Box<Self>> {
        let up = Box::new(Self::start(desk, calling, called));
        let moved = Moving::restore(desk, record, calling, called);
        up.after_transfer(desk, record, moved)
    }

    pub fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    /// Whether one of the two is about to be another phone.
    fn is_moving(&self) -> bool {
        self.transfer.is_some() || self.replacement.is_some()
    }

    pub fn owed(&self) -> Owed {
        let referral = self.transfer.as_ref().and_then(Moving::referral).cloned();
        Owed { answers: self.forwards.owed(), referral }
    }

    pub fn transfer(
        &mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        target: Party,
        ring_seconds: u32,
    ) -> Result<(), NoTransfer> {
        if self.is_moving() {
            return Err(NoTransfer::Transferring);
        }
        let order = Order { target, introduction: Introduction::default(), asked_by: AskedBy::Request, ring_seconds };
        let Pair { calling, called } = self.pair;
        self.transfer = Some(Moving::start(desk, record, order, calling, called).map_err(NoTransfer::Refused)?);
        Ok(())
    }

    pub fn request(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        request: &IncomingRequest,
    ) -> Next<Box<Self>> {
        let leg = request.leg.value;
        let Some(other) = self.pair.other(leg) else { return self.request_of_third(desk, record, request) };
        match request.method.as_str() {
            "BYE" => return self.hung_up(desk, record, request),
            // Until the target has answered nobody is at the other end.
            _ if self.transfer.as_ref().is_some_and(|moving| moving.is_gone(other)) => {
                local::answer(desk, record, request);
            }
            "INVITE" => self.invite(desk, record, request, other),
            "UPDATE" if !request.body.is_empty() => self.invite(desk, record, request, other),
            "REFER" => self.refer(desk, record, request, other),
            "SUBSCRIBE" if referral::is_about_refer(request) => {
                if !self.transfer.as_mut().is_some_and(|moving| moving.subscribe(desk, request)) {
                    desk.answer(request.transaction.value, GONE);
                }
            }
            _ => self.forwards.forward(desk, record, request, other),
        }
        Next::On(self)
    }

    pub fn response(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
    ) -> Next<Box<Self>> {
        let forwarded = self.forwards.response(desk, record, response);
        self.after_replacement(desk, record, || Status::with_reason(response.status, &response.reason));
        if let Some(forwarded) = forwarded {
            return self.after_forward(desk, record, forwarded);
        }
        if let Some(moving) = self.transfer.take() {
            let moved = moving.response(desk, record, response, self.forwards.invite().is_some());
            self = match self.after_transfer(desk, record, moved) {
                Next::On(up) => up,
                end => return end,
            };
        } else if response.method == "NOTIFY" {
            // The last one about a transfer. When it cannot be repeated, its phone hears of that by what happens.
            desk.answer_challenge(response);
        }
        if response.method == "OPTIONS" && lost(response.status) && self.talks(response.leg.value) {
            return self.lost(response.leg.value, Status::with_reason(response.status, &response.reason));
        }
        Next::On(self)
    }

    pub fn failure(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        failure: &RequestFailure,
    ) -> Next<Box<Self>> {
        let forwarded = self.forwards.failure(desk, failure);
        self.after_replacement(desk, record, || Status::of_failure(failure.reason));
        if let Some(forwarded) = forwarded {
            return self.after_forward(desk, record, forwarded);
        }
        if let Some(moving) = self.transfer.take() {
            let moved = moving.failure(desk, record, failure, self.forwards.invite().is_some());
            self = match self.after_transfer(desk, record, moved) {
                Next::On(up) => up,
                end => return end,
            };
        }
        let status = Status::of_failure(failure.reason);
        if failure.method == "OPTIONS" && lost(status.code) && self.talks(failure.leg.value) {
            return self.lost(failure.leg.value, status);
        }
        Next::On(self)
    }

    /// Offers the session of a phone that wants to replace one of the two to the other one. The answer decides.
    pub fn replacement(&mut self, desk: &mut Desk<'_>, record: &mut Record, wanted: &IncomingReplacement) {
        let (leg, replaced, received) = (wanted.leg.value, wanted.replaced.value, wanted.transaction.value);
        let Some(other) = self.pair.other(replaced) else { return desk.answer(received, GONE) };
        if self.transfer.is_some() || self.forwards.invite().is_some() {
            return desk.answer(received, 491);
        }
        if record.legs.len() >= LEGS_MAX {
            return desk.answer(received, 503);
        }
        record.begin_replacement(leg, replaced, wanted.from.uri.clone());
        desk.answer(received, 183); // the final response is the other phone's to give, and what gets none is refused
        // What else it says is about the call that it wants to be in, not for the other phone.
        let describes = |field: &&Header| field.name.to_ascii_lowercase().starts_with("content-");
        let request = IncomingRequest {
            leg: wanted.leg,
            transaction: wanted.transaction,
            method: "INVITE".to_string(),
            headers: wanted.headers.iter().filter(describes).cloned().collect(),
            body: wanted.body.clone(),
        };
        self.forwards.forward(desk, record, &request, other);
        self.replacement = Some(Replacement { leg, replaced, received });
        self.after_replacement(desk, record, || Status::new(503));
    }

    /// Once the other phone has accepted the session the replaced leg is released; `refused` says how it refused.
    fn after_replacement(&mut self, desk: &mut Desk<'_>, record: &mut Record, refused: impl FnOnce() -> Status) {
        let Some(Replacement { leg, replaced, received }) = self.replacement else { return };
        match self.forwards.accepted(received) {
            Some(false) => return,
            Some(true) => {
                self.pair.replace(replaced, leg);
                self.forwards.abandon(desk, replaced);
                release(desk, record, replaced, Vec::new());
                if let Some(leg) = record.leg_mut(leg) {
                    leg.state = LegState::Up;
                }
            }
            None => {
                if let Some(leg) = record.leg_mut(leg) {
                    leg.over(refused());
                }
            }
        }
        self.replacement = None;
    }

    pub fn ack(&mut self, desk: &mut Desk<'_>, record: &mut Record, ack: &IncomingAck) {
        self.forwards.ack(desk, record, ack);
    }

    pub fn cancel(&mut self, desk: &mut Desk<'_>, record: &mut Record, cancel: &IncomingCancel) {
        let received = cancel.transaction.value;
        match self.replacement.take_if(|replacement| replacement.received == received) {
            // The host has refused it (RFC 3261 §9.2); the other phone may accept it all the same.
            Some(Replacement { leg, .. }) => {
                if let Some(leg) = record.leg_mut(leg) {
                    leg.over(Status::new(487));
                }
                self.forwards.forget(desk, received);
            }
            None => self.forwards.cancel(desk, received),
        }
    }

    pub fn timer(mut self: Box<Self>, desk: &mut Desk<'_>, record: &mut Record, timer: Timer) -> Next<Box<Self>> {
        let blocked = self.forwards.invite().is_some();
        let moved = match (timer, self.transfer.take()) {
            (Timer::Phase, transfer) => {
                self.transfer = transfer;
                self.probe(desk);
                return Next::On(self);
            }
            (Timer::Forward, transfer) => {
                self.transfer = transfer;
                self.forwards.timed_out(desk);
                return Next::On(self);
            }
            (Timer::Transfer, Some(moving)) => moving.give_up(desk, record, Status::new(408)),
            (Timer::Retry, Some(moving)) => moving.retry(desk, record, blocked),
            (Timer::Transfer | Timer::Retry | Timer::Linger, transfer) => {
                self.transfer = transfer;
                return Next::On(self);
            }
        };
        self.after_transfer(desk, record, moved)
    }

    /// A re-INVITE, or an UPDATE with an offer, if no other INVITE is in the way (RFC 3261 §14.2, RFC 3311 §5.2).
    fn invite(&mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest, other: u32) {
        let received = request.transaction.value;
        match self.forwards.invite() {
            Some(Some(from)) if from == request.leg.value => later(desk, received),
            Some(_) => desk.answer(received, 491),
            None if self.transfer.as_ref().is_some_and(Moving::inviting) => desk.answer(received, 491),
            None => self.forwards.forward(desk, record, request, other),
        }
    }

    /// A phone that wants the other one to be connected to someone else (RFC 3515).
    fn refer(&mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest, other: u32) {
        if let Err(Refusal { status, headers }) = self.try_refer(desk, record, request, other) {
            desk.respond(request.transaction.value, &status, headers, Vec::new());
        }
    }

    fn try_refer(
        &mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        request: &IncomingRequest,
        other: u32,
    ) -> Result<(), Refusal> {
        let referred = referral::read(desk, record, request)?;
        let refused = |status| Refusal { status, headers: Vec::new() };
        if self.is_moving() {
            return Err(refused(Status::new(491)));
        }
        if record.legs.len() >= LEGS_MAX {
            return Err(refused(Status::with_reason(403, "The call was transferred too often")));
        }
        let asked_by = if request.leg.value == self.pair.called { AskedBy::Called } else { AskedBy::Calling };
        let ring_seconds = record.options.ring_seconds;
        let order = Order { target: referred.target, introduction: referred.introduction, asked_by, ring_seconds };
        let moving = Moving::refer(desk, record, order, request, referred.hearing, other);
        self.transfer = Some(moving.map_err(|error| match error {
            StageError::Malformed(_) => refused(Status::with_reason(400, "Refer-To cannot be called")),
            _ => refused(Status::new(503)),
        })?);
        Ok(())
    }

    fn hung_up(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        bye: &IncomingRequest,
    ) -> Next<Box<Self>> {
        desk.answer(bye.transaction.value, 200);
        if let Some(leg) = record.leg_mut(bye.leg.value) {
            leg.over(Status::new(200));
        }
        if let Some(moving) = self.transfer.as_mut().filter(|moving| moving.may_leave(bye.leg.value)) {
            moving.left();
            self.forwards.abandon(desk, bye.leg.value);
            return Next::On(self);
        }
        let outcome = Outcome::new(Status::new(200), self.pair.who(bye.leg.value));
        let is_idle = self.forwards.is_empty() && !self.is_moving();
        Next::ended(Ending::by_bye(outcome, bye).owing(self.owed()).last_word(is_idle))
    }

    /// A request of the transfer's target, or of a leg that was left behind.
    fn request_of_third(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        request: &IncomingRequest,
    ) -> Next<Box<Self>> {
        let target = self.transfer.as_ref().and_then(Moving::target);
        if target != Some(request.leg.value) {
            stray(desk, record, request);
            return Next::On(self);
        }
        match (request.method.as_str(), self.transfer.take()) {
            ("BYE", Some(moving)) => {
                stray(desk, record, request);
                let moved = moving.give_up(desk, record, Status::new(487));
                self.after_transfer(desk, record, moved)
            }
            (method, transfer) => {
                self.transfer = transfer;
                match method {
                    // Its own INVITE is not acknowledged yet.
                    "INVITE" => desk.answer(request.transaction.value, 491),
                    _ => local::answer(desk, record, request),
                }
                Next::On(self)
            }
        }
    }

    fn after_transfer(mut self: Box<Self>, desk: &mut Desk<'_>, record: &mut Record, moved: Moved) -> Next<Box<Self>> {
        match moved {
            Moved::On(moving) => {
                self.transfer = Some(*moving);
                return Next::On(self);
            }
            Moved::Broken { leg, status } => return self.lost(leg, status),
            Moved::Undone => {}
            Moved::Done { leaving, target } => {
                self.forwards.abandon(desk, leaving);
                release(desk, record, leaving, Vec::new());
                self.pair.replace(leaving, target);
            }
        }
        desk.clear(Timer::Transfer);
        desk.clear(Timer::Retry);
        Next::On(self)
    }

    fn after_forward(
        self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        forwarded: Forwarded,
    ) -> Next<Box<Self>> {
        match (forwarded, &self.transfer) {
            (Forwarded::Lost { leg, status }, _) => self.lost(leg, status),
            // It gets the session of the phone that it talks to back; a transfer brings it another one anyway.
            (Forwarded::Astray { leg }, None) => {
                let Some(other) = self.pair.other(leg) else { return Next::On(self) };
                let moved = Moving::restore(desk, record, other, leg);
                self.after_transfer(desk, record, moved)
            }
            (Forwarded::Done | Forwarded::Astray { .. }, _) => Next::On(self),
        }
    }

    /// Whether this leg is one of the two and has not hung up.
    fn talks(&self, leg: u32) -> bool {
        let gone = self.transfer.as_ref().is_some_and(|moving| moving.is_gone(leg));
        self.pair.other(leg).is_some() && !gone
    }

    /// A phone is not there any more.
    fn lost(&self, leg: u32, status: Status) -> Next<Box<Self>> {
        let ending = Ending::new(Outcome::new(status, self.pair.who(leg)));
        Next::ended(ending.owing(self.owed()))
    }

    /// Asks both phones whether they are there; any answer but 408 and 481 will do.
    fn probe(&mut self, desk: &mut Desk<'_>) {
        for leg in [self.pair.calling, self.pair.called] {
            // When it is refused, the next round asks again.
            let _ = desk.request(leg, "OPTIONS", Vec::new(), Vec::new());
        }
        desk.set(Timer::Phase, PROBE_MS);
    }
}

impl Pair {
    fn replace(&mut self, leaving: u32, target: u32) {
        if self.called == leaving {
            self.called = target;
        } else {
            self.calling = target;
        }
    }

    fn other(self, leg: u32) -> Option<u32> {
        match leg {
            _ if leg == self.calling => Some(self.called),
            _ if leg == self.called => Some(self.calling),
            _ => None,
        }
    }

    fn who(self, leg: u32) -> EndedBy {
        if leg == self.called { EndedBy::Called } else { EndedBy::Calling }
    }
}
