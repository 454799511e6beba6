//! Connects two legs (RFC 3725 §4.4): one has sent an offer in its 2xx, which waits for its ACK; the other is re-INVITEd
//! with that offer, and its answer goes into the ACK. Or both have what they need of one, and the other is told.

use plugboard_sdk::sdp;
use plugboard_sdk::status::Status;
use plugboard_sdk::{IncomingResponse, RequestFailure, StageError, header};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Sent};
use crate::local::carries_sdp;
use crate::record::Record;
use crate::ring::Answered;

/// Two legs on their way to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Join {
    offerer: u32,
    #[serde(with = "serde_bytes")]
    description: Vec<u8>,
    then: Then,
    answerer: u32,
    reinvite: Reinvite,
    tries: u8,
}

/// What the answer is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Then {
    /// It goes into the ACK of this INVITE.
    Acknowledge { invite: u32 },
    /// It should agree with this, which the offerer believes already.
    Compare {
        #[serde(with = "serde_bytes")]
        believed: Vec<u8>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Reinvite {
    Sent(Sent),
    /// It met another one (491); the retry timer is set.
    Waiting,
}

/// What an event made of it.
pub(crate) enum Joined {
    Pending(Join),
    Done {
        /// The offerer believes something else of where media goes.
        apart: bool,
    },
    /// The legs are as they were; when `moved`, the answerer has taken the new session and cannot use it.
    Failed {
        status: Status,
        moved: bool,
    },
}

/// How often a re-INVITE is tried that meets another one each time.
pub(crate) const TRIES_MAX: u8 = 5;

/// How long joining may take, in milliseconds: less than the 32 s that a 2xx may wait for its ACK.
pub(crate) const JOIN_MS: u64 = 25_000;

impl Join {
    /// Takes the offer of a 2xx to `answerer`, later when that is `blocked` by another INVITE.
    pub fn start(
        desk: &mut Desk<'_>,
        record: &mut Record,
        offerer: Answered,
        response: &IncomingResponse,
        answerer: u32,
        blocked: bool,
    ) -> Joined {
        if !carries_sdp(&response.headers, &response.body) {
            return Joined::failed(Status::new(488));
        }
        let join = Self {
            offerer: offerer.leg,
            description: response.body.clone(),
            then: Then::Acknowledge { invite: offerer.invite },
            answerer,
            reinvite: Reinvite::Waiting,
            tries: 0,
        };
        join.attempt(desk, record, blocked)
    }

    /// Tells `answerer` what the other leg answered to an offer that was its own, `believed`, more or less.
    pub fn tell(
        desk: &mut Desk<'_>,
        record: &mut Record,
        other: u32,
        description: &[u8],
        answerer: u32,
        believed: &[u8],
    ) -> Joined {
        let join = Self {
            offerer: other,
            description: description.to_vec(),
            then: Then::Compare { believed: believed.to_vec() },
            answerer,
            reinvite: Reinvite::Waiting,
            tries: 0,
        };
        join.attempt(desk, record, false)
    }

    /// The retry timer went off.
    pub fn retry(self, desk: &mut Desk<'_>, record: &mut Record, blocked: bool) -> Joined {
        match self.reinvite {
            Reinvite::Waiting => self.attempt(desk, record, blocked),
            Reinvite::Sent(_) => Joined::Pending(self),
        }
    }

    pub fn response(mut self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Joined {
        let Reinvite::Sent(mut sent) = self.reinvite else { return Joined::Pending(self) };
        if response.transaction.value != sent.transaction {
            return Joined::Pending(self);
        }
        match response.status {
            ..200 => Joined::Pending(self),
            200..300 => self.accepted(desk, record, response),
            491 => self.wait(desk),
            _ if sent.authorize(desk, response) => {
                self.reinvite = Reinvite::Sent(sent);
                Joined::Pending(self)
            }
            code => Joined::failed(Status::with_reason(code, &response.reason)),
        }
    }

    pub fn failure(self, failure: &RequestFailure) -> Joined {
        match self.reinvite {
            Reinvite::Sent(sent) if sent.transaction == failure.transaction.value => {
                Joined::failed(Status::of_failure(failure.reason))
            }
            _ => Joined::Pending(self),
        }
    }

    /// What is brought over.
    pub fn description(&self) -> &[u8] {
        &self.description
    }

    /// The leg whose description is brought over.
    pub fn offerer(&self) -> u32 {
        self.offerer
    }

    /// The leg that is re-INVITEd.
    pub fn answerer(&self) -> u32 {
        self.answerer
    }

    /// The re-INVITE, while it is in progress.
    pub fn reinvite(&self) -> Option<Sent> {
        match self.reinvite {
            Reinvite::Sent(sent) => Some(sent),
            Reinvite::Waiting => None,
        }
    }

    fn attempt(mut self, desk: &mut Desk<'_>, record: &mut Record, blocked: bool) -> Joined {
        if blocked {
            return self.wait(desk);
        }
        let Some(leg) = record.leg_mut(self.answerer) else { return Joined::failed(Status::new(481)) };
        let before = leg.session.clone();
        let body = leg.session.offer(&self.description);
        match desk.request(self.answerer, "INVITE", vec![header("Content-Type", sdp::CONTENT_TYPE)], body) {
            Ok(sent) => {
                self.reinvite = Reinvite::Sent(sent);
                Joined::Pending(self)
            }
            Err(error) => {
                leg.session = before;
                match error {
                    // An INVITE of the phone is not acknowledged yet.
                    StageError::WrongState => self.wait(desk),
                    _ => Joined::failed(Status::new(503)),
                }
            }
        }
    }

    fn wait(mut self, desk: &mut Desk<'_>) -> Joined {
        if self.tries == TRIES_MAX {
            return Joined::failed(Status::new(491));
        }
        self.tries += 1;
        self.reinvite = Reinvite::Waiting;
        desk.set_retry();
        Joined::Pending(self)
    }

    fn accepted(self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Joined {
        desk.ack(response.transaction.value, Vec::new(), Vec::new());
        if !carries_sdp(&response.headers, &response.body) {
            return Joined::Failed { status: Status::new(488), moved: true };
        }
        if let Some(leg) = record.leg_mut(self.answerer) {
            leg.session.heard(&response.body);
        }
        let apart = match self.then {
            Then::Compare { believed } => !sdp::same_places(&believed, &response.body),
            Then::Acknowledge { invite } => {
                let Some(leg) = record.leg_mut(self.offerer) else { return Joined::failed(Status::new(481)) };
                let answer = leg.session.answer(&response.body, sdp::media_count(&self.description));
                desk.ack(invite, vec![header("Content-Type", sdp::CONTENT_TYPE)], answer);
                false
            }
        };
        Joined::Done { apart }
    }
}

impl Joined {
    fn failed(status: Status) -> Self {
        Self::Failed { status, moved: false }
    }
}
