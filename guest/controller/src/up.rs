//! INVITE mode while two phones talk: what one asks is brought to the other, a BYE ends both, and a transfer may be
//! under way.

use plugboard_sdk::status::Status;
use plugboard_sdk::{IncomingAck, IncomingCancel, IncomingRequest, IncomingResponse, RequestFailure};
use serde::{Deserialize, Serialize};

use crate::call::stray;
use crate::desk::{Desk, Timer};
use crate::forward::{Forwarded, Forwards, later};
use crate::invite::NoTransfer;
use crate::local;
use crate::phase::{Ending, Next};
use crate::record::{EndedBy, Outcome, Party, Record};
use crate::ring::release;
use crate::transfer::{Around, Transfer, Transferring};

/// Two phones that talk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Up {
    pair: Pair,
    forwards: Forwards,
    transfer: Option<Transfer>,
}

/// The legs of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// The calling party, or the target that has taken its place.
    pub calling: u32,
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
        Self { pair: Pair { calling, called }, forwards: Forwards::default(), transfer: None }
    }

    pub fn is_transferring(&self) -> bool {
        self.transfer.is_some()
    }

    pub fn owed(&self) -> Vec<u32> {
        self.forwards.owed()
    }

    pub fn transfer(
        &mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        target: Party,
        ring_seconds: u32,
    ) -> Result<(), NoTransfer> {
        if self.transfer.is_some() {
            return Err(NoTransfer::Transferring);
        }
        self.transfer = Some(Transfer::start(desk, record, target, ring_seconds).map_err(NoTransfer::Refused)?);
        Ok(())
    }

    pub fn request(mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Next<Self> {
        let leg = request.leg.value;
        let Some(other) = self.pair.other(leg) else { return self.request_of_third(desk, record, request) };
        match request.method.as_str() {
            "BYE" => return self.hung_up(desk, record, request),
            "INVITE" => self.invite(desk, record, request, other),
            _ => self.forwards.forward(desk, record, request, other),
        }
        Next::On(self)
    }

    pub fn response(mut self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Next<Self> {
        let forwarded = self.forwards.response(desk, record, response);
        if let Some(next) = self.after_forward(&forwarded) {
            return next.unwrap_or(Next::On(self));
        }
        let around = self.around();
        if let Some(transfer) = self.transfer.take() {
            let transferring = transfer.response(desk, record, response, around);
            self = match self.after_transfer(desk, record, transferring) {
                Next::On(up) => up,
                end => return end,
            };
        }
        if response.method == "OPTIONS" && lost(response.status) {
            return self.lost(response.leg.value, Status::with_reason(response.status, &response.reason));
        }
        Next::On(self)
    }

    pub fn failure(mut self, desk: &mut Desk<'_>, record: &mut Record, failure: &RequestFailure) -> Next<Self> {
        let forwarded = self.forwards.failure(desk, failure);
        if let Some(next) = self.after_forward(&forwarded) {
            return next.unwrap_or(Next::On(self));
        }
        let around = self.around();
        if let Some(transfer) = self.transfer.take() {
            let transferring = transfer.failure(desk, record, failure, around);
            self = match self.after_transfer(desk, record, transferring) {
                Next::On(up) => up,
                end => return end,
            };
        }
        let status = Status::of_failure(failure.reason);
        if failure.method == "OPTIONS" && lost(status.code) {
            return self.lost(failure.leg.value, status);
        }
        Next::On(self)
    }

    pub fn ack(&mut self, desk: &mut Desk<'_>, record: &mut Record, ack: &IncomingAck) {
        self.forwards.ack(desk, record, ack);
    }

    pub fn cancel(&mut self, desk: &mut Desk<'_>, cancel: &IncomingCancel) {
        self.forwards.cancel(desk, cancel.transaction.value);
    }

    pub fn timer(mut self, desk: &mut Desk<'_>, record: &mut Record, timer: Timer) -> Next<Self> {
        let around = self.around();
        let transferring = match (timer, self.transfer.take()) {
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
            (Timer::Transfer, Some(transfer)) => transfer.give_up(desk, record, Status::new(408)),
            (Timer::Retry, Some(transfer)) => transfer.retry(desk, record, around),
            (Timer::Transfer | Timer::Retry | Timer::Linger, transfer) => {
                self.transfer = transfer;
                return Next::On(self);
            }
        };
        self.after_transfer(desk, record, transferring)
    }

    /// A re-INVITE, if no other INVITE is in the way (RFC 3261 §14.2).
    fn invite(&mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest, other: u32) {
        let received = request.transaction.value;
        match self.forwards.invite() {
            Some(Some(from)) if from == request.leg.value => later(desk, received),
            Some(_) => desk.answer(received, 491),
            None if self.transfer.as_ref().is_some_and(Transfer::inviting) => desk.answer(received, 491),
            None => self.forwards.forward(desk, record, request, other),
        }
    }

    fn hung_up(self, desk: &mut Desk<'_>, record: &mut Record, bye: &IncomingRequest) -> Next<Self> {
        desk.answer(bye.transaction.value, 200);
        if let Some(leg) = record.leg_mut(bye.leg.value) {
            leg.over(Status::new(200));
        }
        let outcome = Outcome::new(Status::new(200), self.pair.who(bye.leg.value));
        Next::End(Ending::by_bye(outcome, bye).owing(self.owed()))
    }

    /// A request of the transfer's target, or of a leg that was left behind.
    fn request_of_third(mut self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Next<Self> {
        let target = self.transfer.as_ref().and_then(Transfer::target);
        if target != Some(request.leg.value) {
            stray(desk, record, request);
            return Next::On(self);
        }
        match (request.method.as_str(), self.transfer.take()) {
            ("BYE", Some(transfer)) => {
                stray(desk, record, request);
                let transferring = transfer.give_up(desk, record, Status::new(487));
                self.after_transfer(desk, record, transferring)
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

    fn after_transfer(mut self, desk: &mut Desk<'_>, record: &mut Record, transferring: Transferring) -> Next<Self> {
        match transferring {
            Transferring::On(transfer) => {
                self.transfer = Some(transfer);
                return Next::On(self);
            }
            Transferring::Broken(status) => return self.lost(self.pair.called, status),
            Transferring::Undone => {}
            Transferring::Done { target } => {
                self.forwards.abandon(desk, self.pair.calling);
                release(desk, record, self.pair.calling, Vec::new());
                self.pair.calling = target;
            }
        }
        desk.clear(Timer::Transfer);
        desk.clear(Timer::Retry);
        Next::On(self)
    }

    /// None when the event was not about a forwarded request; otherwise the end, if it was one.
    fn after_forward(&self, forwarded: &Forwarded) -> Option<Option<Next<Self>>> {
        match forwarded {
            Forwarded::NotOurs => None,
            Forwarded::Done => Some(None),
            Forwarded::Lost { leg, status } => Some(Some(self.lost(*leg, status.clone()))),
        }
    }

    /// A phone is not there any more.
    fn lost(&self, leg: u32, status: Status) -> Next<Self> {
        let ending = Ending::new(Outcome::new(status, self.pair.who(leg)));
        Next::End(ending.owing(self.owed()))
    }

    /// Asks both phones whether they are there; any answer but 408 and 481 will do.
    fn probe(&mut self, desk: &mut Desk<'_>) {
        for leg in [self.pair.calling, self.pair.called] {
            // When it is refused, the next round asks again.
            let _ = desk.request(leg, "OPTIONS", Vec::new(), Vec::new());
        }
        desk.set(Timer::Phase, PROBE_MS);
    }

    fn around(&self) -> Around {
        Around { pair: self.pair, blocked: self.forwards.invite().is_some() }
    }
}

impl Pair {
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
