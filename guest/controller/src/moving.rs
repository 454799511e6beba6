//! A transfer as the call that it happens in sees it: who leaves, who stays, and who is told how it goes.

use plugboard_sdk::status::Status;
use plugboard_sdk::{IncomingRequest, IncomingResponse, RequestFailure, StageError};
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::join::JOIN_MS;
use crate::record::Record;
use crate::referral::{Hearing, Referral};
use crate::transfer::{Around, Order, Transfer, Transferring};

/// A transfer under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moving {
    step: Transfer,
    parties: Parties,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parties {
    /// The leg whose place the target takes.
    leaving: u32,
    staying: u32,
    /// The one that leaves asked for it by REFER, so it may hang up meanwhile.
    referred: bool,
    /// It did.
    gone: bool,
    /// What it wants to hear.
    referral: Option<Referral>,
}

/// What an event made of it.
pub(crate) enum Moved {
    On(Box<Moving>),
    /// The target, whose leg this is, has taken the place of another leg.
    Done {
        leaving: u32,
        target: u32,
    },
    /// The old call is as it was.
    Undone,
    /// The old call cannot go on, because of this leg.
    Broken {
        leg: u32,
        status: Status,
    },
}

impl Moving {
    /// Calls the target, at the request of a client.
    pub fn start(
        desk: &mut Desk<'_>,
        record: &mut Record,
        order: Order,
        leaving: u32,
        staying: u32,
    ) -> Result<Self, StageError> {
        let step = Transfer::start(desk, record, order)?;
        Ok(Self { step, parties: Parties { leaving, staying, referred: false, gone: false, referral: None } })
    }

    /// Calls the target, at the request of the phone that wants to leave, and accepts its REFER.
    pub fn refer(
        desk: &mut Desk<'_>,
        record: &mut Record,
        order: Order,
        request: &IncomingRequest,
        hearing: Hearing,
        staying: u32,
    ) -> Result<Self, StageError> {
        let lasts_ms = u64::from(order.ring_seconds) * 1000 + JOIN_MS;
        let mut moving = Self::start(desk, record, order, request.leg.value, staying)?;
        moving.parties.referred = true;
        moving.parties.referral = Referral::accept(desk, request, hearing, lasts_ms);
        Ok(moving)
    }

    /// Brings two legs together that are up and have different ideas of their session.
    pub fn restore(desk: &mut Desk<'_>, record: &Record, offering: u32, other: u32) -> Moved {
        let parties = Parties { leaving: offering, staying: other, referred: false, gone: false, referral: None };
        let transferring = Transfer::restore(desk, parties.around(false));
        parties.after(desk, record, transferring)
    }

    pub fn response(
        mut self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
        blocked: bool,
    ) -> Moved {
        if response.method == "NOTIFY" {
            self.parties.notified(desk, response);
            return Moved::On(Box::new(self));
        }
        let rings = response.method == "INVITE" && (101..200).contains(&response.status);
        if rings && self.target() == Some(response.leg.value) {
            let status = Status::with_reason(response.status, &response.reason);
            let referral = self.parties.referral.take();
            self.parties.referral = referral.and_then(|referral| referral.progress(desk, status));
        }
        let around = self.parties.around(blocked);
        let transferring = self.step.response(desk, record, response, around);
        self.parties.after(desk, record, transferring)
    }

    pub fn failure(self, desk: &mut Desk<'_>, record: &mut Record, failure: &RequestFailure, blocked: bool) -> Moved {
        let transferring = self.step.failure(desk, record, failure, self.parties.around(blocked));
        self.parties.after(desk, record, transferring)
    }

    /// The target hung up, or all of it took too long.
    pub fn give_up(self, desk: &mut Desk<'_>, record: &mut Record, status: Status) -> Moved {
        let transferring = self.step.give_up(desk, record, status);
        self.parties.after(desk, record, transferring)
    }

    /// A re-INVITE that met another one may be tried again.
    pub fn retry(self, desk: &mut Desk<'_>, record: &mut Record, blocked: bool) -> Moved {
        let transferring = self.step.retry(desk, record, self.parties.around(blocked));
        self.parties.after(desk, record, transferring)
    }

    /// A SUBSCRIBE of the phone that asked for it (RFC 6665 §4.2.1). Whether it is about the subscription of its REFER.
    pub fn subscribe(&mut self, desk: &mut Desk<'_>, request: &IncomingRequest) -> bool {
        let is_meant = self.parties.referral.as_ref().is_some_and(|referral| referral.is_meant(request));
        if is_meant {
            let referral = self.parties.referral.take();
            self.parties.referral = referral.and_then(|referral| referral.renew(desk, request));
        }
        is_meant
    }

    /// Whether this leg may hang up without ending the call. Many phones do so once they were told that their REFER
    /// was accepted.
    pub fn may_leave(&self, leg: u32) -> bool {
        self.parties.referred && self.parties.leaving == leg && self.target().is_some()
    }

    /// It has hung up.
    pub fn left(&mut self) {
        self.parties.gone = true;
        self.parties.referral = None;
    }

    /// Whether this leg has hung up.
    pub fn is_gone(&self, leg: u32) -> bool {
        self.parties.gone && self.parties.leaving == leg
    }

    /// What the phone that asked for it is told of it.
    pub fn referral(&self) -> Option<&Referral> {
        self.parties.referral.as_ref()
    }

    /// The leg of the target, as long as the transfer is not given up.
    pub fn target(&self) -> Option<u32> {
        self.step.target()
    }

    /// Whether an INVITE of ours is in progress with one of the pair, so that no other may be.
    pub fn inviting(&self) -> bool {
        self.step.inviting()
    }
}

impl Parties {
    fn around(&self, blocked: bool) -> Around {
        Around { leaving: self.leaving, staying: self.staying, blocked, gone: self.gone }
    }

    /// A NOTIFY of ours was answered. One that is refused ends the subscription (RFC 6665 §4.2.2).
    fn notified(&mut self, desk: &mut Desk<'_>, response: &IncomingResponse) {
        let repeated = desk.answer_challenge(response).is_some();
        if response.status >= 300 && !repeated {
            self.referral = None;
        }
    }

    fn after(mut self, desk: &mut Desk<'_>, record: &Record, transferring: Transferring) -> Moved {
        let outcome = record.transfer_outcome();
        if let Some(outcome) = outcome
            && let Some(referral) = self.referral.take()
        {
            referral.finish(desk, outcome);
        }
        match transferring {
            Transferring::On(step) => Moved::On(Box::new(Moving { step, parties: self })),
            Transferring::Done { target } => Moved::Done { leaving: self.leaving, target },
            Transferring::Undone if self.gone => {
                let status = outcome.filter(|outcome| !outcome.is_success()).cloned().unwrap_or(Status::new(487));
                Moved::Broken { leg: self.leaving, status }
            }
            Transferring::Undone => Moved::Undone,
            Transferring::Broken(status) => Moved::Broken { leg: self.staying, status },
        }
    }
}
