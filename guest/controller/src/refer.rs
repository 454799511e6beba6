//! REFER mode: the calling phone is called, referred to the called party (RFC 3515), and left alone once it says that
//! the other phone rings.

use std::borrow::Cow;

use plugboard_sdk::status::Status;
use plugboard_sdk::{
    Fault, Header, IncomingRequest, IncomingResponse, RequestFailure, StageError, header, headers, percent,
};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Sent, Timer};
use crate::local;
use crate::phase::{Ending, Next};
use crate::record::{EndedBy, Outcome, Parties, Party, Record, Role};
use crate::ring::{Answered, Callee, FirstOffer, Ring, Ringing};

/// A REFER-mode call, by what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::enum_variant_names)] // A phase is named for what it awaits, in every machine here.
pub(crate) enum Refer {
    /// The calling phone's answer.
    ExpectAnswer(Ringing),
    /// The response to the REFER. A NOTIFY may overtake it (RFC 3515 §2.4.4), and may say `100 Trying`.
    ExpectReferResponse { leg: u32, refer: Sent, notified: bool },
    /// A NOTIFY that says more than `100 Trying`.
    ExpectNotify { leg: u32 },
}

/// A phone that accepted the REFER must send a NOTIFY at once (RFC 3515 §2.4.4): it gets as long as a transaction takes.
pub(crate) const NOTIFY_MS: u64 = 32_000;

impl Refer {
    /// Calls the calling party.
    pub fn start(desk: &mut Desk<'_>, record: &mut Record, parties: &Parties) -> Result<Self, StageError> {
        let callee = Callee::new(Role::Calling, &parties.calling, FirstOffer::Held);
        let ringing = Ringing::start(desk, record, &parties.agent, callee)?;
        desk.set(Timer::Phase, u64::from(record.options.ring_seconds) * 1000);
        Ok(Self::ExpectAnswer(ringing))
    }

    pub fn response(self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Next<Self> {
        match self {
            Self::ExpectAnswer(ringing) => {
                let ring = ringing.response(desk, record, response);
                Self::rang(ring, desk, record)
            }
            Self::ExpectReferResponse { leg, refer, notified } if response.transaction.value == refer.transaction => {
                Self::refer_answered(leg, refer, notified, desk, record, response)
            }
            waiting => Next::On(waiting),
        }
    }

    pub fn failure(self, desk: &mut Desk<'_>, record: &mut Record, failure: &RequestFailure) -> Next<Self> {
        match self {
            Self::ExpectAnswer(ringing) => Self::rang(ringing.failure(failure), desk, record),
            Self::ExpectReferResponse { refer, .. } if failure.transaction.value == refer.transaction => {
                Next::end(Outcome::new(Status::of_failure(failure.reason), EndedBy::Calling))
            }
            waiting => Next::On(waiting),
        }
    }

    pub fn request(self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Next<Self> {
        match request.method.as_str() {
            "BYE" => self.hung_up(desk, record, request),
            "NOTIFY" => self.notified(desk, record, request),
            _ => {
                local::answer(desk, record, request);
                Next::On(self)
            }
        }
    }

    /// The leg of the phone, when this is how it says that it will not be referred.
    pub fn refused_by(&self, response: &IncomingResponse) -> Option<u32> {
        match self {
            Self::ExpectReferResponse { leg, refer, notified: false }
                if refer.transaction == response.transaction.value && matches!(response.status, 405 | 501 | 603) =>
            {
                Some(*leg)
            }
            _ => None,
        }
    }

    /// The phase has lasted too long.
    pub fn timed_out(self) -> Next<Self> {
        let phrase = match self {
            Self::ExpectAnswer(_) => "No answer from the calling party",
            Self::ExpectReferResponse { .. } => "No response to REFER",
            Self::ExpectNotify { .. } => "No NOTIFY from the calling party",
        };
        Next::end(Outcome::new(Status::with_reason(408, phrase), EndedBy::Timeout))
    }

    fn rang(ring: Ring, desk: &mut Desk<'_>, record: &mut Record) -> Next<Self> {
        match ring {
            Ring::Rings(ringing) => Next::On(Self::ExpectAnswer(ringing)),
            Ring::Failed(status) => Next::end(Outcome::new(status, EndedBy::Calling)),
            Ring::Answered(Answered { leg, invite }) => {
                desk.ack(invite, Vec::new(), Vec::new());
                let headers = refer_headers(record).ok();
                match headers.and_then(|headers| desk.request(leg, "REFER", headers, Vec::new()).ok()) {
                    None => Next::end(Outcome::new(Status::new(503), EndedBy::Host)),
                    Some(refer) => {
                        desk.set(Timer::Phase, NOTIFY_MS);
                        Next::On(Self::ExpectReferResponse { leg, refer, notified: false })
                    }
                }
            }
        }
    }

    fn refer_answered(
        leg: u32,
        mut refer: Sent,
        notified: bool,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
    ) -> Next<Self> {
        match response.status {
            ..200 => Next::On(Self::ExpectReferResponse { leg, refer, notified }),
            200..300 => {
                record.options.confpin = None;
                desk.set(Timer::Phase, if notified { called_ring_ms(record) } else { NOTIFY_MS });
                Next::On(Self::ExpectNotify { leg })
            }
            _ if refer.authorize(desk, response) => Next::On(Self::ExpectReferResponse { leg, refer, notified }),
            code => Next::end(Outcome::new(Status::with_reason(code, &response.reason), EndedBy::Calling)),
        }
    }

    fn notified(self, desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Next<Self> {
        if let Self::ExpectAnswer(_) = self {
            desk.answer(request.transaction.value, 481);
            return Next::On(self);
        }
        match take_notify(desk, record, request) {
            Progress::None => Next::On(self),
            Progress::Trying => {
                desk.set(Timer::Phase, called_ring_ms(record));
                Next::On(match self {
                    Self::ExpectReferResponse { leg, refer, .. } => {
                        Self::ExpectReferResponse { leg, refer, notified: true }
                    }
                    other => other,
                })
            }
            Progress::Settled { status, terminated } => {
                let ended_by = if status.is_success() { EndedBy::HandedOver } else { EndedBy::Called };
                let answered = matches!(self, Self::ExpectNotify { .. });
                Next::ended(Ending::new(Outcome::new(status, ended_by)).last_word(answered && terminated))
            }
        }
    }

    /// The calling phone said BYE: after it took the REFER that is the end of a call handed over.
    fn hung_up(self, desk: &mut Desk<'_>, record: &mut Record, bye: &IncomingRequest) -> Next<Self> {
        desk.answer(bye.transaction.value, 200);
        if let Some(leg) = record.leg_mut(bye.leg.value) {
            leg.over(Status::new(200));
        }
        let outcome = match self {
            Self::ExpectNotify { .. } => Outcome::new(Status::new(202), EndedBy::HandedOver),
            Self::ExpectAnswer(_) | Self::ExpectReferResponse { .. } => {
                Outcome::new(Status::new(487), EndedBy::Calling)
            }
        };
        Next::end(outcome)
    }
}

/// What a NOTIFY says about the referred call.
pub(crate) enum Progress {
    /// Nothing that can be read.
    None,
    /// `100 Trying`.
    Trying,
    /// Enough to step aside, and what it counts as: a final status as it came, or 202 when the called phone rings and
    /// the rest is between the phones. `terminated`: no other NOTIFY will come.
    Settled { status: Status, terminated: bool },
}

/// Answers a NOTIFY, and records its body as it came.
pub(crate) fn take_notify(desk: &mut Desk<'_>, record: &mut Record, request: &IncomingRequest) -> Progress {
    let package = headers::find(&request.headers, "Event").map(headers::without_parameters);
    if !package.is_some_and(|package| package.eq_ignore_ascii_case("refer")) {
        desk.respond(request.transaction.value, &Status::new(489), vec![header("Allow-Events", "refer")], Vec::new());
        return Progress::None;
    }
    desk.answer(request.transaction.value, 200);
    record.note_notify(desk.now, request.leg.value, &request.body);
    let subscription = headers::find(&request.headers, "Subscription-State").unwrap_or_default();
    let terminated = headers::without_parameters(subscription).eq_ignore_ascii_case("terminated");
    match Status::of_fragment(&String::from_utf8_lossy(&request.body)) {
        Some(status) if status.is_final() => Progress::Settled { status, terminated },
        Some(Status { code: 180 | 183, .. }) => Progress::Settled { status: Status::new(202), terminated },
        _ if terminated => Progress::Settled { status: Status::new(202), terminated },
        Some(_) => Progress::Trying,
        None => Progress::None,
    }
}

/// Once the referred phone has said that it tries, the called party may ring as long as the calling one.
fn called_ring_ms(record: &Record) -> u64 {
    NOTIFY_MS.max(u64::from(record.options.ring_seconds) * 1000)
}

fn refer_headers(record: &Record) -> Result<Vec<Header>, Fault> {
    let Parties { agent, mut called, .. } = record.parties.get()?;
    if let Some(pin) = &record.options.confpin {
        called.uri.push_str("?X-ConfPin=");
        called.uri.push_str(&percent::encode(&pin.0, percent::URI_HEADER));
    }
    Ok(vec![header("Refer-To", name_addr(&called)), header("Referred-By", name_addr(&agent))])
}

/// RFC 3261 §25.1: `name-addr`, always with angle brackets, so that parameters and headers stay inside the URI.
fn name_addr(party: &Party) -> String {
    let Some(name) = party.name.as_deref().filter(|name| !name.chars().any(char::is_control)) else {
        return ["<", &party.uri, ">"].concat();
    };
    let name = if name.bytes().any(|byte| matches!(byte, b'\\' | b'"')) {
        Cow::Owned(name.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        Cow::Borrowed(name)
    };
    ["\"", &name, "\" <", &party.uri, ">"].concat()
}
