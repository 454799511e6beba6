//! INVITE mode with early media: the calling phone hears what the far end plays before it answers, such as its ringback
//! tone.
//!
//! In flow IV of RFC 3725 the called phone learns only at the end where the calling one listens. Where the operator wants
//! early media (`early_media`), the calling phone is asked for its offer first, as in flow III: its 2xx brings one, which
//! the ACK answers on hold. The called phone gets that offer in its INVITE, so its answer may come in a provisional
//! response (RFC 3261 §13.2.1, RFC 3960 §3.1); the calling phone is re-INVITEd with it at once. When the called phone
//! answers otherwise in the end, the calling phone is re-INVITEd again.
//!
//! What the calling phone says to that need not be what the called one was offered (another port, for example). Then
//! both are brought together once more, the calling phone's new offer first.

use plugboard_sdk::sdp;
use plugboard_sdk::status::Status;
use plugboard_sdk::{IncomingRequest, IncomingResponse, RequestFailure, header};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Timer};
use crate::invite::{self, Invite, hung_up};
use crate::join::{JOIN_MS, Join, Joined};
use crate::local::{self, carries_sdp};
use crate::phase::Next;
use crate::record::{EndedBy, Outcome, Record};
use crate::ring::{Answered, FirstOffer, Ring, Ringing};
use crate::up::{Up, lost};

/// The called phone rings, or has answered and the calling one does not know yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Early {
    calling: u32,
    /// What the calling phone offered, which is what the called one got.
    #[serde(with = "serde_bytes")]
    offer: Vec<u8>,
    called: Called,
    /// What the called phone answered first.
    #[serde(with = "serde_bytes")]
    answer: Option<Vec<u8>>,
    /// The calling phone is being told an answer.
    join: Option<Join>,
    told: Told,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Called {
    Rings(Ringing),
    Answered(u32),
}

/// What the calling phone knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Told {
    Nothing,
    /// It would not take the session early, and is not asked again before the other phone answers.
    Refused,
    /// An answer of the called phone with this digest.
    Answer {
        digest: u64,
        /// The two have different ideas of where media goes.
        apart: bool,
    },
}

impl Early {
    /// Answers the calling phone's offer on hold, and calls the called party with it.
    pub fn start(desk: &mut Desk<'_>, record: &mut Record, calling: Answered, offer: &[u8]) -> Next<Invite> {
        let Some(leg) = record.leg_mut(calling.leg) else { return failed(481, EndedBy::Calling) };
        let held = leg.session.answer(&sdp::held_answer(offer, desk.now, 1), sdp::media_count(offer));
        desk.ack(calling.invite, vec![header("Content-Type", sdp::CONTENT_TYPE)], held);
        match invite::call(desk, record, FirstOffer::Given(offer.to_vec())) {
            Err(_) => failed(503, EndedBy::Host),
            Ok(ringing) => {
                desk.set(Timer::Phase, u64::from(record.options.ring_seconds) * 1000);
                let (offer, called) = (offer.to_vec(), Called::Rings(ringing));
                let early = Self { calling: calling.leg, offer, called, answer: None, join: None, told: Told::Nothing };
                Next::On(Invite::Early(Box::new(early)))
            }
        }
    }

    pub fn response(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
    ) -> Next<Invite> {
        if response.leg.value == self.calling {
            return self.join_goes_on(desk, record, |join, desk, record| join.response(desk, record, response));
        }
        let Called::Rings(ringing) = self.called else { return Next::On(Invite::Early(self)) };
        if response.status < 300 && self.answer.is_none() && carries_sdp(&response.headers, &response.body) {
            self.answer = Some(response.body.clone());
        }
        match ringing.response(desk, record, response) {
            Ring::Failed(status) => Next::end(Outcome::new(status, EndedBy::Called)),
            Ring::Rings(ringing) => {
                if ringing.leg != response.leg.value {
                    // Redirected: it is another phone that plays now.
                    (self.answer, self.told) = (None, Told::Nothing);
                }
                if let (Some(leg), Some(answer)) = (record.leg_mut(ringing.leg), &self.answer) {
                    leg.session.heard(answer);
                }
                self.called = Called::Rings(ringing);
                self.tell(desk, record)
            }
            Ring::Answered(called) => {
                desk.ack(called.invite, Vec::new(), Vec::new());
                record.options.confpin = None;
                desk.set(Timer::Phase, JOIN_MS);
                self.called = Called::Answered(called.leg);
                // Another phone than the one that was heard early may have answered.
                if carries_sdp(&response.headers, &response.body) {
                    self.answer = Some(response.body.clone());
                }
                self.tell(desk, record)
            }
        }
    }

    pub fn failure(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        failure: &RequestFailure,
    ) -> Next<Invite> {
        if failure.leg.value == self.calling {
            return self.join_goes_on(desk, record, |join, _, _| join.failure(failure));
        }
        match self.called {
            Called::Answered(_) => Next::On(Invite::Early(self)),
            Called::Rings(ringing) => match ringing.failure(failure) {
                Ring::Failed(status) => Next::end(Outcome::new(status, EndedBy::Called)),
                Ring::Rings(ringing) => {
                    self.called = Called::Rings(ringing);
                    Next::On(Invite::Early(self))
                }
                Ring::Answered(_) => failed(500, EndedBy::Called),
            },
        }
    }

    pub fn request(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        request: &IncomingRequest,
    ) -> Next<Invite> {
        match request.method.as_str() {
            "BYE" => return hung_up(desk, record, request),
            "INVITE" if self.join.as_ref().is_some_and(|join| join.reinvite().is_some()) => {
                desk.answer(request.transaction.value, 491);
            }
            method => {
                local::answer(desk, record, request);
                // It was answered on hold, which the other phone does not know.
                if let ("INVITE" | "UPDATE", Told::Answer { apart, .. }) = (method, &mut self.told) {
                    *apart = true;
                }
            }
        }
        Next::On(Invite::Early(self))
    }

    pub fn retry(self: Box<Self>, desk: &mut Desk<'_>, record: &mut Record) -> Next<Invite> {
        self.join_goes_on(desk, record, |join, desk, record| join.retry(desk, record, false))
    }

    /// The phase has lasted too long.
    pub fn timed_out(self) -> Next<Invite> {
        let phrase = match self.called {
            Called::Rings(_) => "No answer from the called party",
            Called::Answered(_) => "The calling party did not take the session",
        };
        Next::end(Outcome::new(Status::with_reason(408, phrase), EndedBy::Timeout))
    }

    /// What the call waits for, in a word.
    pub fn phase(&self) -> &'static str {
        match self.called {
            Called::Rings(_) => "called",
            Called::Answered(_) => "joining",
        }
    }

    fn join_goes_on(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        step: impl FnOnce(Join, &mut Desk<'_>, &mut Record) -> Joined,
    ) -> Next<Invite> {
        let Some(join) = self.join.take() else { return Next::On(Invite::Early(self)) };
        let digest = sdp::digest(join.description());
        let joined = step(join, desk, record);
        self.joined(desk, record, joined, digest)
    }

    fn joined(
        mut self: Box<Self>,
        desk: &mut Desk<'_>,
        record: &mut Record,
        joined: Joined,
        digest: u64,
    ) -> Next<Invite> {
        match joined {
            Joined::Pending(join) => {
                self.join = Some(join);
                Next::On(Invite::Early(self))
            }
            Joined::Done { apart } => {
                self.told = Told::Answer { digest, apart };
                self.tell(desk, record)
            }
            Joined::Failed { status, .. } if lost(status.code) || matches!(self.called, Called::Answered(_)) => {
                Next::end(Outcome::new(status, EndedBy::Calling))
            }
            Joined::Failed { .. } => {
                self.told = Told::Refused;
                Next::On(Invite::Early(self))
            }
        }
    }

    /// Tells the calling phone what the called one answered, if it does not know; once it knows and the called phone has
    /// answered for good, both talk.
    fn tell(self: Box<Self>, desk: &mut Desk<'_>, record: &mut Record) -> Next<Invite> {
        let (leg, up) = match &self.called {
            Called::Rings(ringing) => (ringing.leg, false),
            Called::Answered(leg) => (*leg, true),
        };
        let Some(answer) = &self.answer else {
            return if up { failed(488, EndedBy::Called) } else { Next::On(Invite::Early(self)) };
        };
        let known = match self.told {
            Told::Answer { digest, apart } if digest == sdp::digest(answer) => Some(apart),
            // While it rings, the first answer of several is the one that is heard.
            Told::Answer { .. } | Told::Refused if !up => return Next::On(Invite::Early(self)),
            _ => None,
        };
        match known {
            _ if self.join.is_some() => Next::On(Invite::Early(self)),
            Some(_) if !up => Next::On(Invite::Early(self)),
            Some(false) => Next::On(Invite::Up(Box::new(Up::start(desk, self.calling, leg)))),
            Some(true) => Up::apart(desk, record, self.calling, leg).map(Invite::Up),
            None => {
                let digest = sdp::digest(answer);
                let joined = Join::tell(desk, record, leg, answer, self.calling, &self.offer);
                self.joined(desk, record, joined, digest)
            }
        }
    }
}

fn failed(code: u16, ended_by: EndedBy) -> Next<Invite> {
    Next::end(Outcome::new(Status::new(code), ended_by))
}
