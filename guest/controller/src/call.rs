//! One call: its record and what it waits for. Events that are no HTTP request come in here.

use plugboard_sdk::status::Status;
use plugboard_sdk::{
    EndingReason, Event, FailureReason, Fault, IncomingAck, IncomingCancel, IncomingReplacement, IncomingRequest,
    IncomingResponse, Kept, Level, RequestFailure, StageError, codec,
};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Timer};
use crate::invite::Invite;
use crate::params::Params;
use crate::phase::{Ending, Next, Owed};
use crate::record::{EndedBy, LegState, Mode, Outcome, Parties, Record, Role};
use crate::refer::{self, Refer};
use crate::ring::release;
use crate::route::Asked;
use crate::{SCHEMA, up};

/// A call in progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Call {
    /// Large, and handed on often.
    pub record: Box<Record>,
    progress: Progress,
}

/// What the call waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Progress {
    Refer(Refer),
    Invite(Invite),
    /// It has its terminal status; the released legs are to confirm.
    Closing,
}

/// How long a call waits for its released legs, in milliseconds. The host goes on with them by itself afterwards.
pub(crate) const LINGER_MS: u64 = 5_000;

impl Call {
    /// Places a call.
    pub fn start(desk: &mut Desk<'_>, asked: Asked, params: Params) -> Result<Self, StageError> {
        let parties = Parties { agent: asked.agent, calling: asked.calling, called: asked.called };
        let mut record = Box::new(Record {
            mode: params.mode,
            parties: Kept::new(&parties),
            options: params.options,
            started_ms: desk.now,
            ended_ms: None,
            legs: Vec::new(),
            history: Default::default(),
            transfers: Vec::new(),
            fallbacks: Vec::new(),
            outcome: None,
        });
        let progress = match record.mode {
            Mode::Refer => Progress::Refer(Refer::start(desk, &mut record, &parties)?),
            Mode::Invite => Progress::Invite(Invite::start(desk, &mut record, &parties)?),
        };
        Ok(Self { record, progress })
    }

    /// The next state after an event; none when the call is over and its record is in the cache.
    pub fn step(mut self, desk: &mut Desk<'_>, key: &str, event: Event) -> Result<Option<Self>, Fault> {
        match event {
            Event::Response(response) => self = self.response(desk, &response),
            Event::Failure(failure) => self = self.failure(desk, &failure),
            Event::Request(request) => self = self.request(desk, &request),
            Event::Ack(ack) => self.ack(desk, &ack),
            Event::Cancel(cancel) => self.cancel(desk, &cancel),
            Event::Replacement(replacement) => self.replacement(desk, &replacement),
            Event::Timer(name) => match Timer::named(&name) {
                Some(Timer::Linger) => return self.finish(desk, key).map(|()| None),
                Some(timer) => self = self.timer(desk, timer),
                None => desk.host.log(Level::Warn, &format!("unknown timer {name}")),
            },
            Event::Ending(reason) => {
                return self.end(desk, Outcome::of_host(reason)).finish(desk, key).map(|()| None);
            }
            Event::Http(_) => return Err(Fault::Internal("HTTP requests are handled elsewhere".into())),
        }
        self.rest(desk, key)
    }

    /// Ends the call at a client's request, whatever it waits for.
    pub fn hang_up(self, desk: &mut Desk<'_>, key: &str) -> Result<Option<Self>, Fault> {
        let code = if self.is_up() { 200 } else { 487 };
        let outcome = Outcome::new(Status::new(code), EndedBy::Request);
        self.end(desk, outcome).rest(desk, key)
    }

    /// Releases what is left of the call, because another one takes its place.
    pub fn displace(mut self, desk: &mut Desk<'_>) {
        let legs: Vec<u32> = self.record.legs.iter().map(|leg| leg.id).collect();
        legs.into_iter().for_each(|leg| release(desk, &mut self.record, leg, Vec::new()));
    }

    /// The host has ended the call without asking: notes how, if it did not end before.
    pub fn ended_by_host(&mut self, now: u64, reason: EndingReason) {
        let outcome = Outcome::of_host(reason);
        for leg in &mut self.record.legs {
            leg.over(outcome.status.clone());
        }
        self.record.end(now, outcome);
        self.progress = Progress::Closing;
    }

    /// Puts the record where GET finds it after the call.
    pub fn finish(mut self, desk: &mut Desk<'_>, key: &str) -> Result<(), Fault> {
        self.record.close();
        let kept = match self.record.options.cache_seconds {
            0 => desk.host.cache_remove(key),
            seconds => desk.host.cache_put(key, &codec::encode(SCHEMA, &self.record)?, seconds),
        };
        if let Err(error) = kept {
            desk.host.log(Level::Warn, &format!("record not kept: {error}"));
        }
        Ok(())
    }

    /// Whether the call has its terminal status.
    pub fn is_ended(&self) -> bool {
        matches!(self.progress, Progress::Closing)
    }

    /// The INVITE-mode call, when it is one in progress.
    pub fn invite_mode(&mut self) -> Option<(&mut Invite, &mut Record)> {
        match &mut self.progress {
            Progress::Invite(invite) => Some((invite, &mut self.record)),
            Progress::Refer(_) | Progress::Closing => None,
        }
    }

    /// What the call waits for, in a word.
    pub fn phase(&self) -> &'static str {
        match &self.progress {
            Progress::Refer(Refer::ExpectAnswer(_)) => "calling",
            Progress::Refer(Refer::ExpectReferResponse { .. }) => "referring",
            Progress::Refer(Refer::ExpectNotify { .. }) => "referred",
            Progress::Invite(invite) => invite.phase(),
            Progress::Closing if self.record.all_over() => "over",
            Progress::Closing => "ending",
        }
    }

    fn is_up(&self) -> bool {
        matches!(&self.progress, Progress::Invite(invite) if invite.is_up())
    }

    /// The call as it stays after an event: none once nothing is left of it.
    fn rest(self, desk: &mut Desk<'_>, key: &str) -> Result<Option<Self>, Fault> {
        if self.is_ended() && self.record.all_over() {
            return self.finish(desk, key).map(|()| None);
        }
        Ok(Some(self))
    }

    fn response(mut self, desk: &mut Desk<'_>, response: &IncomingResponse) -> Self {
        // The host repeats a BYE with credentials by itself: the leg goes on ending.
        if response.method == "BYE" && response.answerable {
            return self;
        }
        self.record.note_response(desk.now, response);
        let Self { mut record, progress } = self;
        let next = match progress {
            Progress::Refer(refer) => match refer.refused_by(response).filter(|_| may_fall_back(desk)) {
                Some(leg) => Invite::instead_of_refer(desk, &mut record, leg, response).map(Progress::Invite),
                None => refer.response(desk, &mut record, response).map(Progress::Refer),
            },
            Progress::Invite(invite) => invite.response(desk, &mut record, response).map(Progress::Invite),
            Progress::Closing => Next::On(Progress::Closing),
        };
        Self::after(desk, record, next)
    }

    fn failure(mut self, desk: &mut Desk<'_>, failure: &RequestFailure) -> Self {
        self.record.note_failure(desk.now, failure);
        if failure.reason == FailureReason::SessionExpired {
            return self.gone(desk, failure.leg.value, "Session Expired");
        }
        if failure.method == "ACK" {
            return self.gone(desk, failure.leg.value, "No ACK");
        }
        let Self { mut record, progress } = self;
        let next = match progress {
            Progress::Refer(refer) => refer.failure(desk, &mut record, failure).map(Progress::Refer),
            Progress::Invite(invite) => invite.failure(desk, &mut record, failure).map(Progress::Invite),
            Progress::Closing => Next::On(Progress::Closing),
        };
        Self::after(desk, record, next)
    }

    fn request(self, desk: &mut Desk<'_>, request: &IncomingRequest) -> Self {
        let Self { mut record, progress } = self;
        let live = record.leg(request.leg.value).is_some_and(|leg| leg.state != LegState::Over);
        let next = match progress {
            Progress::Refer(refer) if live => refer.request(desk, &mut record, request).map(Progress::Refer),
            Progress::Invite(invite) if live => invite.request(desk, &mut record, request).map(Progress::Invite),
            other => {
                stray(desk, &mut record, request);
                Next::On(other)
            }
        };
        Self::after(desk, record, next)
    }

    /// A phone that wants to replace another. Where two do not talk it gets no answer, and the host refuses it.
    fn replacement(&mut self, desk: &mut Desk<'_>, replacement: &IncomingReplacement) {
        if let Progress::Invite(invite) = &mut self.progress {
            invite.replacement(desk, &mut self.record, replacement);
        }
    }

    fn ack(&mut self, desk: &mut Desk<'_>, ack: &IncomingAck) {
        if let Progress::Invite(invite) = &mut self.progress {
            invite.ack(desk, &mut self.record, ack);
        }
    }

    fn cancel(&mut self, desk: &mut Desk<'_>, cancel: &IncomingCancel) {
        if let Progress::Invite(invite) = &mut self.progress {
            invite.cancel(desk, &mut self.record, cancel);
        }
    }

    fn timer(self, desk: &mut Desk<'_>, timer: Timer) -> Self {
        let Self { mut record, progress } = self;
        let next = match progress {
            Progress::Refer(refer) if timer == Timer::Phase => refer.timed_out().map(Progress::Refer),
            Progress::Invite(invite) => invite.timer(desk, &mut record, timer).map(Progress::Invite),
            other => Next::On(other),
        };
        Self::after(desk, record, next)
    }

    fn after(desk: &mut Desk<'_>, record: Box<Record>, next: Next<Progress>) -> Self {
        match next {
            Next::On(progress) => Self { record, progress },
            Next::End(ending) => Self { record, progress: Progress::Closing }.close(desk, *ending),
        }
    }

    /// Ends a call from outside its phases.
    fn end(self, desk: &mut Desk<'_>, outcome: Outcome) -> Self {
        let owed = match &self.progress {
            Progress::Invite(invite) => invite.owed(),
            Progress::Refer(_) => Owed::default(),
            Progress::Closing => return self,
        };
        self.close(desk, Ending::new(outcome).owing(owed))
    }

    /// A phone is not there any more: it never acknowledged our 2xx to its INVITE (RFC 3261 §13.3.1.4), or nobody
    /// refreshed its session (RFC 4028 §10).
    fn gone(self, desk: &mut Desk<'_>, leg: u32, why: &str) -> Self {
        match self.record.leg(leg) {
            Some(leg) if leg.state == LegState::Up => {
                let ended_by = if leg.role == Role::Called { EndedBy::Called } else { EndedBy::Calling };
                self.end(desk, Outcome::new(Status::with_reason(408, why), ended_by))
            }
            _ => self,
        }
    }

    /// Gives the call its terminal status: what is owed is answered, every leg released.
    fn close(mut self, desk: &mut Desk<'_>, ending: Ending) -> Self {
        self.record.end(desk.now, ending.outcome);
        // RFC 3261 §15.1.2: what is pending in a dialog that ends gets a 487.
        ending.owed.answers.into_iter().for_each(|transaction| desk.answer(transaction, 487));
        if let (Some(referral), Some(outcome)) = (ending.owed.referral, self.record.transfer_outcome()) {
            referral.finish(desk, outcome);
        }
        let legs: Vec<u32> = self.record.legs.iter().map(|leg| leg.id).collect();
        for leg in legs {
            release(desk, &mut self.record, leg, ending.headers.clone());
        }
        if ending.is_last_word && self.record.all_told() {
            // The host sees the last BYEs through by itself, and no answer to them changes what is reported.
            self.record.close();
        } else {
            // The other timers mean nothing any more, and go with the call.
            desk.set(Timer::Linger, LINGER_MS);
        }
        self.progress = Progress::Closing;
        self
    }
}

/// Whether the operator lets a call go on in INVITE mode whose phone refuses to be referred: `refer_fallback`.
fn may_fall_back(desk: &Desk<'_>) -> bool {
    desk.is_set("refer_fallback", "invite")
}

/// A request of a phone whose leg is over or on its way out, or was of an earlier call under this key: a BYE may have
/// crossed ours, and a NOTIFY may come after it (RFC 5057 §4: the subscription outlives the session).
pub(crate) fn stray(desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) {
    match request.method.as_str() {
        "BYE" => {
            desk.answer(request.transaction.value, 200);
            if let Some(leg) = record.leg_mut(request.leg.value) {
                leg.over(Status::new(200));
            }
        }
        "NOTIFY" if record.mode == Mode::Refer && record.leg(request.leg.value).is_some() => {
            refer::take_notify(desk, record, request);
        }
        _ => desk.answer(request.transaction.value, up::GONE),
    }
}
