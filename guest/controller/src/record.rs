//! What is known about a call: who, when, every leg, every status line, and how it ended. The part of the state that
//! outlives the call, in the cache.

use plugboard_sdk::sdp::Session;
use plugboard_sdk::status::{History, Line, Method, NOTIFY_BYTES_MAX, Status, What, cut};
use plugboard_sdk::{EndingReason, IncomingResponse, Kept, RequestFailure, Started};
use serde::{Deserialize, Serialize};

use crate::ring::FirstOffer;

/// Everything that is reported of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub mode: Mode,
    pub parties: Kept<Parties>,
    pub options: Options,
    pub started_ms: u64,
    pub ended_ms: Option<u64>,
    /// [`LEGS_MAX`] at most.
    pub legs: Vec<Leg>,
    pub history: History,
    pub transfers: Vec<Transfer>,
    /// What did not go as it was to: three at most.
    pub fallbacks: Vec<Fallen>,
    pub outcome: Option<Outcome>,
}

/// How the phones are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// The calling phone is referred to the called party, and the controller steps aside.
    Refer,
    /// The controller stays in the signalling path.
    Invite,
}

/// Whom a call is between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parties {
    /// Whom it is placed for.
    pub agent: Party,
    pub calling: Party,
    pub called: Party,
}

/// Someone who can be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Party {
    /// `sip:user@domain`
    pub uri: String,
    pub name: Option<String>,
}

/// What the client asked for besides the parties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub subject: Option<String>,
    pub ring_seconds: u32,
    pub forwarding: bool,
    pub cache_seconds: u32,
    /// Until it was sent.
    pub confpin: Option<Secret>,
}

/// A PIN that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Secret(pub String);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("***")
    }
}

/// One leg: an INVITE of ours and the dialog that came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub id: u32,
    pub role: Role,
    /// The URI of whom it was meant for.
    pub party: String,
    pub call_id: String,
    pub state: LegState,
    /// How it ended, or that it was answered: set once, when it is released or over.
    pub status: Option<Status>,
    /// What the phone was told of its session.
    pub session: Session,
    /// It takes UPDATE (RFC 3311).
    pub takes_updates: bool,
    /// It has sent a REFER.
    pub has_referred: bool,
}

/// Whom a leg goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Calling,
    Called,
    Target,
}

/// How far a leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LegState {
    /// The INVITE is out.
    Calling,
    /// A provisional response other than 100 came.
    Ringing,
    /// The INVITE was accepted.
    Up,
    /// Cancelled or hung up by us; the phone's word is due.
    Releasing,
    /// Nothing is left of it.
    Over,
}

/// One transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub target: Party,
    pub asked_by: AskedBy,
    /// The target is to take the place of a call that it is in already (RFC 3891).
    pub attended: bool,
    pub started_ms: u64,
    /// None while it is under way. 200: the call is with the target.
    pub outcome: Option<Status>,
}

/// Something that a phone refused, and what was done instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fallen {
    pub timestamp_ms: u64,
    pub to: Fallback,
    /// What the phone said.
    pub because: Status,
}

/// What was done instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fallback {
    /// It refused a REFER: the call went on in INVITE mode.
    InviteMode,
    /// It would not make the first offer: it got one without media.
    NoMediaOffer,
    /// It refused a first offer without media: it got one on hold.
    HeldOffer,
}

/// Who asked for a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AskedBy {
    /// An HTTP request: `action=transfer`.
    Request,
    /// A REFER of the calling party, or of whoever has taken its place.
    Calling,
    /// A REFER of the called party.
    Called,
}

/// The one terminal status of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub status: Status,
    pub ended_by: EndedBy,
}

/// Who or what ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndedBy {
    /// The calling party hung up, refused or could not be reached.
    Calling,
    /// The called party did.
    Called,
    /// REFER mode: the calling phone said how it went, and the controller stepped aside.
    HandedOver,
    /// An HTTP DELETE.
    Request,
    /// Nobody did anything for too long.
    Timeout,
    /// The host.
    Host,
}

impl Fallback {
    /// Another first offer.
    pub fn offer(first: &FirstOffer) -> Self {
        if *first == FirstOffer::Held { Self::HeldOffer } else { Self::NoMediaOffer }
    }
}

impl Outcome {
    pub fn new(status: Status, ended_by: EndedBy) -> Self {
        Self { status, ended_by }
    }

    /// What the end by the host counts as.
    pub fn of_host(reason: EndingReason) -> Self {
        let (code, phrase) = match reason {
            EndingReason::Operator => (487, "Ended by the operator"),
            EndingReason::Drained => (503, "Ended by the host: version retired"),
            EndingReason::TenantRemoved => (503, "Ended by the host: domain removed"),
            EndingReason::Shutdown => (503, "Ended by the host: shutdown"),
            EndingReason::Unacknowledged => (408, "Ended by the host: no ACK"),
            EndingReason::Faulty => (500, "Ended by the host: controller failed"),
        };
        Self::new(Status::with_reason(code, phrase), EndedBy::Host)
    }
}

impl Record {
    pub fn leg(&self, id: u32) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.id == id)
    }

    pub fn leg_mut(&mut self, id: u32) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.id == id)
    }

    /// Adds a leg that was just called.
    pub fn begin_leg(&mut self, started: Started, role: Role, party: String, session: Session) {
        let (id, call_id) = (started.leg.value, started.call_id);
        self.legs.push(Leg {
            id,
            role,
            party,
            call_id,
            state: LegState::Calling,
            status: None,
            session,
            takes_updates: false,
            has_referred: false,
        });
    }

    /// Adds a leg that a phone opened, in place of another one.
    pub fn begin_replacement(&mut self, id: u32, replaced: u32, party: String) {
        let role = self.leg(replaced).map_or(Role::Target, |leg| leg.role);
        let (state, session) = (LegState::Ringing, Session::default());
        let call_id = String::new();
        self.legs.push(Leg {
            id,
            role,
            party,
            call_id,
            state,
            status: None,
            session,
            takes_updates: false,
            has_referred: false,
        });
    }

    /// Notes a response: its line, and what it means for its leg.
    pub fn note_response(&mut self, now: u64, response: &IncomingResponse) {
        let status = Status::with_reason(response.status, &response.reason);
        self.note(now, response.leg.value, &response.method, status);
    }

    /// Notes a request that got no response, with the status that it counts as.
    pub fn note_failure(&mut self, now: u64, failure: &RequestFailure) {
        self.note(now, failure.leg.value, &failure.method, Status::of_failure(failure.reason));
    }

    fn note(&mut self, now: u64, id: u32, method: &str, status: Status) {
        let Some(leg) = self.leg_mut(id) else { return };
        leg.note(method, &status);
        let method = match method {
            "INVITE" => Method::Invite,
            "REFER" => Method::Refer,
            _ => return,
        };
        self.history.push(&Line { timestamp_ms: now, leg: id, what: What::Response { method, status } });
    }

    /// Notes what was done instead of what a phone refused.
    pub fn note_fallback(&mut self, now: u64, to: Fallback, because: Status) {
        self.fallbacks.push(Fallen { timestamp_ms: now, to, because });
    }

    /// Whether the call went over from REFER mode to INVITE mode.
    pub fn changed_mode(&self) -> bool {
        self.fallbacks.iter().any(|fallen| fallen.to == Fallback::InviteMode)
    }

    /// Notes the body of a NOTIFY as it came, but for the line end behind it.
    pub fn note_notify(&mut self, now: u64, leg: u32, body: &[u8]) {
        let body = String::from_utf8_lossy(body);
        let what = What::Notify(cut(body.trim_end(), NOTIFY_BYTES_MAX).to_string());
        self.history.push(&Line { timestamp_ms: now, leg, what });
    }

    /// Sets the terminal status, once.
    pub fn end(&mut self, now: u64, outcome: Outcome) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.ended_ms = Some(now);
        }
        let unfinished = self.transfers.iter_mut().filter(|transfer| transfer.outcome.is_none());
        unfinished.for_each(|transfer| transfer.outcome = Some(Status::new(487)));
    }

    /// Drops what only a call in progress needs, and gives every leg its terminal status.
    pub fn close(&mut self) {
        self.options.confpin = None;
        for leg in &mut self.legs {
            leg.over(Status::new(if leg.state == LegState::Up { 200 } else { 487 }));
            leg.session = Session::default();
        }
    }

    /// Whether nothing is left of any leg.
    pub fn all_over(&self) -> bool {
        self.legs.iter().all(|leg| leg.state == LegState::Over)
    }

    /// Whether every leg has its terminal status: it is over, or it was up and is released.
    pub fn all_told(&self) -> bool {
        self.legs.iter().all(|leg| leg.status.is_some() && leg.state != LegState::Up)
    }

    /// How the latest transfer ended; none while it is under way.
    pub fn transfer_outcome(&self) -> Option<&Status> {
        self.transfers.last()?.outcome.as_ref()
    }

    /// Notes how the transfer that is under way ended.
    pub fn end_transfer(&mut self, status: Status) {
        if let Some(transfer) = self.transfers.last_mut().filter(|transfer| transfer.outcome.is_none()) {
            transfer.outcome = Some(status);
        }
    }
}

impl Leg {
    /// What a response to a request on this leg means for it.
    fn note(&mut self, method: &str, status: &Status) {
        match (self.state, method) {
            (LegState::Calling | LegState::Ringing, "INVITE") => match status.code {
                100 => {}
                101..=199 => self.state = LegState::Ringing,
                200..=299 => self.state = LegState::Up,
                _ => self.over(status.clone()),
            },
            // Cancelled, and answered before the CANCEL came: the host says BYE, whose answer ends the leg.
            (LegState::Releasing, "INVITE") if self.status.is_none() && status.is_success() => {
                self.status = Some(Status::new(200));
            }
            (LegState::Releasing, "INVITE") if self.status.is_none() && status.is_final() => self.over(status.clone()),
            (LegState::Releasing, "BYE") if status.is_final() => self.over(Status::new(200)),
            _ => {}
        }
    }

    /// The challenge that seemed to end it is being answered.
    pub fn revive(&mut self) {
        self.state = LegState::Calling;
        self.status = None;
    }

    /// It is released by us.
    pub fn releasing(&mut self) {
        if self.state == LegState::Up {
            self.status.get_or_insert(Status::new(200));
        }
        self.state = LegState::Releasing;
    }

    /// Nothing is left of it; the first status counts.
    pub fn over(&mut self, status: Status) {
        self.state = LegState::Over;
        self.status.get_or_insert(status);
    }
}

/// A call has no more legs than this in its life; a transfer that would need another is refused.
pub(crate) const LEGS_MAX: usize = 24;
