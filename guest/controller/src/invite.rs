//! INVITE mode (RFC 3725 flow IV): the calling phone is called with an offer without media, then the called phone
//! without offer, and both are joined; the controller stays in the path ([`crate::up`]).

use plugboard_sdk::status::Status;
use plugboard_sdk::{
    IncomingAck, IncomingCancel, IncomingReplacement, IncomingRequest, IncomingResponse, RequestFailure, StageError,
};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Timer};
use crate::early::Early;
use crate::join::{JOIN_MS, Join, Joined};
use crate::local::{self, carries_sdp};
use crate::phase::{Ending, Next, Owed};
use crate::record::{EndedBy, Fallback, Mode, Outcome, Parties, Party, Record, Role};
use crate::ring::{Callee, FirstOffer, Ring, Ringing, parties};
use crate::up::Up;

/// An INVITE-mode call, by what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Invite {
    /// The calling phone's answer.
    ExpectCalling(Ringing),
    /// The called phone's answer, which carries its offer.
    ExpectCalled { calling: u32, ringing: Ringing },
    /// The calling phone's answer to that offer.
    Joining(Join),
    /// As [`Self::ExpectCalled`] and [`Self::Joining`], when the calling phone made the first offer.
    Early(Box<Early>),
    /// Both talk: whatever either wants next. Boxed like the one before, because they are large and handed on often.
    Up(Box<Up>),
}

/// Why there is no transfer.
#[derive(Debug)]
pub(crate) enum NoTransfer {
    NotUp,
    Transferring,
    Refused(StageError),
}

impl Invite {
    /// Calls the calling party.
    pub fn start(desk: &mut Desk<'_>, record: &mut Record, parties: &Parties) -> Result<Self, StageError> {
        let early = desk.is_set("early_media", "true");
        let first = if early { FirstOffer::Theirs } else { FirstOffer::NoMedia };
        let callee = Callee::new(Role::Calling, &parties.calling, first);
        let ringing = Ringing::start(desk, record, &parties.agent, callee)?;
        desk.set(Timer::Phase, u64::from(record.options.ring_seconds) * 1000);
        Ok(Self::ExpectCalling(ringing))
    }

    /// Goes on with a call whose phone refused to be referred.
    pub fn instead_of_refer(
        desk: &mut Desk<'_>,
        record: &mut Record,
        calling: u32,
        refusal: &IncomingResponse,
    ) -> Next<Self> {
        record.mode = Mode::Invite;
        let because = Status::with_reason(refusal.status, &refusal.reason);
        record.note_fallback(desk.now, Fallback::InviteMode, because);
        call_called(desk, record, calling)
    }

    pub fn response(self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Next<Self> {
        match self {
            Self::ExpectCalling(ringing) => {
                let early = ringing.expects_offer && carries_sdp(&response.headers, &response.body);
                match ringing.response(desk, record, response) {
                    Ring::Answered(calling) if early => Early::start(desk, record, calling, &response.body),
                    ring => calling_rang(ring, desk, record),
                }
            }
            Self::Early(early) => early.response(desk, record, response),
            Self::ExpectCalled { calling, ringing } => match ringing.response(desk, record, response) {
                Ring::Rings(ringing) => Next::On(Self::ExpectCalled { calling, ringing }),
                Ring::Failed(status) => Next::end(Outcome::new(status, EndedBy::Called)),
                Ring::Answered(called) => {
                    record.options.confpin = None;
                    desk.set(Timer::Phase, JOIN_MS);
                    joined(Join::start(desk, record, called, response, calling, false), calling, called.leg, desk)
                }
            },
            Self::Joining(join) => {
                let (calling, called) = (join.answerer(), join.offerer());
                joined(join.response(desk, record, response), calling, called, desk)
            }
            Self::Up(up) => up.response(desk, record, response).map(Self::Up),
        }
    }

    pub fn failure(self, desk: &mut Desk<'_>, record: &mut Record, failure: &RequestFailure) -> Next<Self> {
        match self {
            Self::ExpectCalling(ringing) => calling_rang(ringing.failure(failure), desk, record),
            Self::Early(early) => early.failure(desk, record, failure),
            Self::ExpectCalled { calling, ringing } => match ringing.failure(failure) {
                Ring::Failed(status) => Next::end(Outcome::new(status, EndedBy::Called)),
                Ring::Rings(ringing) => Next::On(Self::ExpectCalled { calling, ringing }),
                Ring::Answered(_) => Next::end(Outcome::new(Status::new(500), EndedBy::Called)),
            },
            Self::Joining(join) => {
                let (calling, called) = (join.answerer(), join.offerer());
                joined(join.failure(failure), calling, called, desk)
            }
            Self::Up(up) => up.failure(desk, record, failure).map(Self::Up),
        }
    }

    pub fn request(self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Next<Self> {
        match self {
            Self::Up(up) => up.request(desk, record, request).map(Self::Up),
            Self::Early(early) => early.request(desk, record, request),
            _ if request.method == "BYE" => hung_up(desk, record, request),
            Self::Joining(join) if request.method == "INVITE" => {
                // RFC 3261 §14.2: ours is in progress. While it waits for its retry, the phone that sent the 491 is
                // served; the called phone's own INVITE still wants its ACK.
                if join.reinvite().is_some() || request.leg.value == join.offerer() {
                    desk.answer(request.transaction.value, 491);
                } else {
                    local::answer(desk, record, request);
                }
                Next::On(Self::Joining(join))
            }
            waiting => {
                local::answer(desk, record, request);
                Next::On(waiting)
            }
        }
    }

    pub fn timer(self, desk: &mut Desk<'_>, record: &mut Record, timer: Timer) -> Next<Self> {
        let late = |phrase| Next::end(Outcome::new(Status::with_reason(408, phrase), EndedBy::Timeout));
        match (self, timer) {
            (Self::Up(up), timer) => up.timer(desk, record, timer).map(Self::Up),
            (Self::Joining(join), Timer::Retry) => {
                let (calling, called) = (join.answerer(), join.offerer());
                joined(join.retry(desk, record, false), calling, called, desk)
            }
            (Self::Early(early), Timer::Retry) => early.retry(desk, record),
            (Self::Early(early), Timer::Phase) => early.timed_out(),
            (Self::ExpectCalling(_), Timer::Phase) => late("No answer from the calling party"),
            (Self::ExpectCalled { .. }, Timer::Phase) => late("No answer from the called party"),
            (Self::Joining(_), Timer::Phase) => late("The calling party did not take the session"),
            (waiting, _) => Next::On(waiting),
        }
    }

    pub fn ack(&mut self, desk: &mut Desk<'_>, record: &mut Record, ack: &IncomingAck) {
        if let Self::Up(up) = self {
            up.ack(desk, record, ack);
        }
    }

    pub fn replacement(&mut self, desk: &mut Desk<'_>, record: &mut Record, replacement: &IncomingReplacement) {
        if let Self::Up(up) = self {
            up.replacement(desk, record, replacement);
        }
    }

    pub fn cancel(&mut self, desk: &mut Desk<'_>, record: &mut Record, cancel: &IncomingCancel) {
        if let Self::Up(up) = self {
            up.cancel(desk, record, cancel);
        }
    }

    /// Transfers the called party to a target.
    pub fn transfer(
        &mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        target: Party,
        ring_seconds: u32,
    ) -> Result<(), NoTransfer> {
        match self {
            Self::Up(up) => up.transfer(desk, record, target, ring_seconds),
            _ => Err(NoTransfer::NotUp),
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up(_))
    }

    /// What the phones are owed should the call end now.
    pub fn owed(&self) -> Owed {
        match self {
            Self::Up(up) => up.owed(),
            _ => Owed::default(),
        }
    }

    /// What the call waits for, in a word.
    pub fn phase(&self) -> &'static str {
        match self {
            Self::ExpectCalling(_) => "calling",
            Self::ExpectCalled { .. } => "called",
            Self::Joining(_) => "joining",
            Self::Early(early) => early.phase(),
            Self::Up(up) if up.is_transferring() => "transferring",
            Self::Up(_) => "up",
        }
    }
}

fn calling_rang(ring: Ring, desk: &mut Desk<'_>, record: &mut Record) -> Next<Invite> {
    let answered = match ring {
        Ring::Rings(ringing) => return Next::On(Invite::ExpectCalling(ringing)),
        Ring::Failed(status) => return Next::end(Outcome::new(status, EndedBy::Calling)),
        Ring::Answered(answered) => answered,
    };
    desk.ack(answered.invite, Vec::new(), Vec::new());
    call_called(desk, record, answered.leg)
}

fn call_called(desk: &mut Desk<'_>, record: &mut Record, calling: u32) -> Next<Invite> {
    match call(desk, record, FirstOffer::Theirs) {
        Err(_) => Next::end(Outcome::new(Status::new(503), EndedBy::Host)),
        Ok(ringing) => {
            desk.set(Timer::Phase, u64::from(record.options.ring_seconds) * 1000);
            Next::On(Invite::ExpectCalled { calling, ringing })
        }
    }
}

/// Calls the called party.
pub(crate) fn call(desk: &mut Desk<'_>, record: &mut Record, first: FirstOffer) -> Result<Ringing, StageError> {
    let Parties { agent, called, .. } = parties(record)?;
    Ringing::start(desk, record, &agent, Callee::new(Role::Called, &called, first))
}

fn joined(joined: Joined, calling: u32, called: u32, desk: &mut Desk<'_>) -> Next<Invite> {
    match joined {
        Joined::Pending(join) => Next::On(Invite::Joining(join)),
        Joined::Failed { status, .. } => Next::end(Outcome::new(status, EndedBy::Calling)),
        Joined::Done { .. } => Next::On(Invite::Up(Box::new(Up::start(desk, calling, called)))),
    }
}

/// A phone hung up before both were joined.
pub(crate) fn hung_up(desk: &mut Desk<'_>, record: &mut Record, bye: &IncomingRequest) -> Next<Invite> {
    desk.answer(bye.transaction.value, 200);
    let mut ended_by = EndedBy::Calling;
    if let Some(leg) = record.leg_mut(bye.leg.value) {
        leg.over(Status::new(200));
        if leg.role == Role::Called {
            ended_by = EndedBy::Called;
        }
    }
    Next::ended(Ending::by_bye(Outcome::new(Status::new(487), ended_by), bye))
}
