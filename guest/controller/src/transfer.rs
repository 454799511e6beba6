//! A transfer: the target is called while the old call goes on untouched; once it has answered, the party that stays is
//! re-INVITEd to its session, and the one that leaves is released. Until that is done the old call can be put back.

use plugboard_sdk::headers;
use plugboard_sdk::status::Status;
use plugboard_sdk::{IncomingResponse, RequestFailure, StageError};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Sent, Timer};
use crate::join::{JOIN_MS, Join, Joined, TRIES_MAX};
use crate::record::{AskedBy, Party, Record, Role};
use crate::referral::Introduction;
use crate::ring::{Answered, Callee, FirstOffer, Ring, Ringing, parties, release};
use crate::up::lost;

/// A transfer, by what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transfer {
    /// The target's answer.
    ExpectTarget(Ringing),
    /// The answer of the party that stays to the session of the target.
    Joining(Join),
    /// The target was lost while the party that stays was being moved: whether it moved.
    ExpectMoved(Sent),
    /// The offer of the party that was to leave, to bring the other one back; none while its re-INVITE waits for a retry.
    ExpectOffer { offer: Option<Sent>, tries: u8 },
    /// The other one's answer to that.
    Restoring(Join),
}

/// What an event made of it.
pub(crate) enum Transferring {
    On(Transfer),
    /// The party that stays talks to the target, whose leg this is.
    Done {
        target: u32,
    },
    /// The old call is as it was.
    Undone,
    /// The old call cannot go on.
    Broken(Status),
}

/// What a transfer sees of the call that it happens in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around {
    /// The leg whose place the target takes.
    pub leaving: u32,
    /// The other one.
    pub staying: u32,
    /// A forwarded INVITE is under way between the two.
    pub blocked: bool,
    /// Who was to leave has hung up: there is no way back.
    pub gone: bool,
}

/// Where a transfer goes, and who wants it.
#[derive(Debug)]
pub(crate) struct Order {
    pub target: Party,
    pub introduction: Introduction,
    pub asked_by: AskedBy,
    /// How long the target may ring, in seconds.
    pub ring_seconds: u32,
}

impl Transfer {
    /// Calls the target.
    pub fn start(desk: &mut Desk<'_>, record: &mut Record, order: Order) -> Result<Self, StageError> {
        let Order { target, introduction, asked_by, ring_seconds } = order;
        let attended = introduction.is_attended();
        let callee = Callee { role: Role::Target, party: target.clone(), first: FirstOffer::Theirs, introduction };
        let agent = parties(record)?.agent;
        let ringing = Ringing::start(desk, record, &agent, callee)?;
        let started_ms = desk.now;
        record.transfers.push(crate::record::Transfer { target, asked_by, attended, started_ms, outcome: None });
        desk.set(Timer::Transfer, u64::from(ring_seconds) * 1000);
        Ok(Self::ExpectTarget(ringing))
    }

    /// Brings two legs together that are up and have different ideas of their session: the offer of one goes to the
    /// other.
    pub fn restore(desk: &mut Desk<'_>, around: Around) -> Transferring {
        desk.set(Timer::Transfer, JOIN_MS);
        ask(desk, around, 0)
    }

    pub fn response(
        self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
        around: Around,
    ) -> Transferring {
        match self {
            Self::ExpectTarget(ringing) => match ringing.response(desk, record, response) {
                Ring::Rings(ringing) => Transferring::On(Self::ExpectTarget(ringing)),
                Ring::Failed(status) => undone(desk, record, status),
                Ring::Answered(target) => {
                    desk.set(Timer::Transfer, JOIN_MS);
                    let joined = Join::start(desk, record, target, response, around.staying, around.blocked);
                    joining(joined, target.leg, desk, record, around)
                }
            },
            Self::Joining(join) => {
                let target = join.offerer();
                let joined = join.response(desk, record, response);
                joining(joined, target, desk, record, around)
            }
            Self::ExpectMoved(reinvite) if reinvite.transaction == response.transaction.value => {
                match response.status {
                    ..200 => Transferring::On(self),
                    200..300 => {
                        desk.ack(reinvite.transaction, Vec::new(), Vec::new());
                        ask(desk, around, 0)
                    }
                    code if lost(code) => Transferring::Broken(Status::with_reason(code, &response.reason)),
                    _ => Transferring::Undone,
                }
            }
            Self::ExpectOffer { offer: Some(offer), tries } if offer.transaction == response.transaction.value => {
                offered(offer, tries, desk, record, response, around)
            }
            Self::Restoring(join) => restoring(join.response(desk, record, response)),
            waiting => Transferring::On(waiting),
        }
    }

    pub fn failure(
        self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        failure: &RequestFailure,
        around: Around,
    ) -> Transferring {
        let failed = failure.transaction.value;
        let status = Status::of_failure(failure.reason);
        match self {
            Self::ExpectTarget(ringing) => match ringing.failure(failure) {
                Ring::Failed(status) => undone(desk, record, status),
                Ring::Rings(ringing) => Transferring::On(Self::ExpectTarget(ringing)),
                Ring::Answered(_) => Transferring::Undone,
            },
            Self::Joining(join) => {
                let target = join.offerer();
                joining(join.failure(failure), target, desk, record, around)
            }
            Self::ExpectMoved(reinvite) if reinvite.transaction == failed => {
                if lost(status.code) {
                    Transferring::Broken(status)
                } else {
                    Transferring::Undone
                }
            }
            Self::ExpectOffer { offer: Some(offer), .. } if offer.transaction == failed => Transferring::Broken(status),
            Self::Restoring(join) => restoring(join.failure(failure)),
            waiting => Transferring::On(waiting),
        }
    }

    /// The target hung up, or all of it took too long.
    pub fn give_up(self, desk: &mut Desk<'_>, record: &mut Record, status: Status) -> Transferring {
        let target = self.target();
        if let Some(target) = target {
            release(desk, record, target, vec![headers::reason(status.code, status.reason())]);
            record.end_transfer(status.clone());
        }
        match self {
            Self::ExpectTarget(_) => Transferring::Undone,
            Self::Joining(join) => match join.reinvite() {
                None => Transferring::Undone,
                Some(reinvite) => {
                    desk.cancel(reinvite.transaction);
                    desk.set(Timer::Transfer, JOIN_MS);
                    Transferring::On(Self::ExpectMoved(reinvite))
                }
            },
            Self::ExpectMoved(_) | Self::ExpectOffer { .. } | Self::Restoring(_) => Transferring::Broken(status),
        }
    }

    /// A re-INVITE that met another one may be tried again.
    pub fn retry(self, desk: &mut Desk<'_>, record: &mut Record, around: Around) -> Transferring {
        match self {
            Self::Joining(join) => {
                let target = join.offerer();
                let joined = join.retry(desk, record, around.blocked);
                joining(joined, target, desk, record, around)
            }
            Self::ExpectOffer { offer: None, tries } => ask(desk, around, tries),
            Self::Restoring(join) => restoring(join.retry(desk, record, around.blocked)),
            waiting => Transferring::On(waiting),
        }
    }

    /// The leg of the target, as long as the transfer is not given up.
    pub fn target(&self) -> Option<u32> {
        match self {
            Self::ExpectTarget(ringing) => Some(ringing.leg),
            Self::Joining(join) => Some(join.offerer()),
            Self::ExpectMoved(_) | Self::ExpectOffer { .. } | Self::Restoring(_) => None,
        }
    }

    /// Whether an INVITE of ours is in progress with one of the pair, so that no other may be.
    pub fn inviting(&self) -> bool {
        match self {
            Self::ExpectTarget(_) => false,
            Self::Joining(join) => join.reinvite().is_some(),
            Self::ExpectMoved(_) | Self::Restoring(_) => true,
            Self::ExpectOffer { offer, .. } => offer.is_some(),
        }
    }
}

fn joining(joined: Joined, target: u32, desk: &mut Desk<'_>, record: &mut Record, around: Around) -> Transferring {
    match joined {
        Joined::Pending(join) => Transferring::On(Transfer::Joining(join)),
        Joined::Done { .. } => {
            record.end_transfer(Status::new(200));
            Transferring::Done { target }
        }
        Joined::Failed { status, moved } => {
            release(desk, record, target, vec![headers::reason(status.code, status.reason())]);
            record.end_transfer(status.clone());
            if lost(status.code) {
                Transferring::Broken(status)
            } else if moved {
                desk.set(Timer::Transfer, JOIN_MS);
                ask(desk, around, 0)
            } else {
                Transferring::Undone
            }
        }
    }
}

/// Asks the party that was to leave for a new offer: its session was not touched, but what it is was never kept.
fn ask(desk: &mut Desk<'_>, around: Around, tries: u8) -> Transferring {
    if around.gone {
        return Transferring::Undone;
    }
    if around.blocked {
        return wait(desk, tries);
    }
    match desk.request(around.leaving, "INVITE", Vec::new(), Vec::new()) {
        Ok(offer) => Transferring::On(Transfer::ExpectOffer { offer: Some(offer), tries }),
        Err(StageError::WrongState) => wait(desk, tries),
        Err(_) => Transferring::Broken(Status::new(503)),
    }
}

fn wait(desk: &mut Desk<'_>, tries: u8) -> Transferring {
    if tries == TRIES_MAX {
        return Transferring::Broken(Status::new(491));
    }
    desk.set_retry();
    Transferring::On(Transfer::ExpectOffer { offer: None, tries: tries + 1 })
}

fn offered(
    mut offer: Sent,
    tries: u8,
    desk: &mut Desk<'_>,
    record: &mut Record,
    response: &IncomingResponse,
    around: Around,
) -> Transferring {
    match response.status {
        ..200 => Transferring::On(Transfer::ExpectOffer { offer: Some(offer), tries }),
        200..300 => {
            if let Some(leg) = record.leg_mut(response.leg.value) {
                leg.session.heard(&response.body);
            }
            let calling = Answered { leg: response.leg.value, invite: offer.transaction };
            restoring(Join::start(desk, record, calling, response, around.staying, around.blocked))
        }
        491 => wait(desk, tries),
        _ if offer.authorize(desk, response) => Transferring::On(Transfer::ExpectOffer { offer: Some(offer), tries }),
        code => Transferring::Broken(Status::with_reason(code, &response.reason)),
    }
}

fn restoring(joined: Joined) -> Transferring {
    match joined {
        Joined::Pending(join) => Transferring::On(Transfer::Restoring(join)),
        Joined::Done { .. } => Transferring::Undone,
        Joined::Failed { status, .. } => Transferring::Broken(status),
    }
}

fn undone(desk: &mut Desk<'_>, record: &mut Record, status: Status) -> Transferring {
    desk.clear(Timer::Transfer);
    record.end_transfer(status);
    Transferring::Undone
}
