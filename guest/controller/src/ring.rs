//! An INVITE that opens a leg, from the first to the last response: challenges (RFC 3261 §22.2), redirections
//! (§8.1.3.4) and refused first offers are dealt with here, so that a phase sees only whether the phone rings, answered
//! or failed.

use plugboard_sdk::sdp::{self, Session};
use plugboard_sdk::status::Status;
use plugboard_sdk::{Address, Header, IncomingResponse, Invite, Kept, RequestFailure, StageError, header, headers};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Sent};
use crate::local::carries_sdp;
use crate::record::{Fallback, LEGS_MAX, LegState, Parties, Party, Record, Role};
use crate::referral::Introduction;

/// An INVITE without final response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ringing {
    pub leg: u32,
    invite: Sent,
    /// The phone is to make the first offer.
    pub expects_offer: bool,
    attempt: Kept<Attempt>,
}

/// What another INVITE in the place of this one needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    callee: Callee,
    /// The URIs that it went to, so that no redirection is followed twice.
    tried: Vec<String>,
}

/// Whom an INVITE goes to, and what it brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Callee {
    pub role: Role,
    pub party: Party,
    pub first: FirstOffer,
    pub introduction: Introduction,
}

/// Who makes the first offer of a session, and of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FirstOffer {
    /// The phone, in its 2xx.
    Theirs,
    /// We, without media lines.
    NoMedia,
    /// We, with one line of audio on hold.
    Held,
    /// We, with what another phone has offered.
    Given(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// What a response made of it.
pub(crate) enum Ring {
    /// It goes on; the leg may be another one now.
    Rings(Ringing),
    /// The phone answered, and its 2xx wants an ACK.
    Answered(Answered),
    /// The attempt is over.
    Failed(Status),
}

/// A 2xx that opened a leg and is not acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answered {
    pub leg: u32,
    pub invite: u32,
}

impl Callee {
    pub fn new(role: Role, party: &Party, first: FirstOffer) -> Self {
        Self { role, party: party.clone(), first, introduction: Introduction::default() }
    }
}

impl Ringing {
    /// Calls a party, for the agent of the call.
    pub fn start(desk: &mut Desk<'_>, record: &mut Record, agent: &Party, callee: Callee) -> Result<Self, StageError> {
        let target = callee.party.uri.clone();
        Self::call(desk, record, agent, target, Attempt { callee, tried: Vec::new() })
    }

    fn call(
        desk: &mut Desk<'_>,
        record: &mut Record,
        agent: &Party,
        target: String,
        mut attempt: Attempt,
    ) -> Result<Self, StageError> {
        let callee = &attempt.callee;
        let mut session = Session::default();
        let body = match &callee.first {
            FirstOffer::Theirs => Vec::new(),
            FirstOffer::NoMedia => session.offer(&sdp::no_media(desk.now, 1)),
            FirstOffer::Held => session.offer(&sdp::stand_in(desk.now, 1)),
            FirstOffer::Given(description) => session.offer(description),
        };
        let expects_offer = callee.first == FirstOffer::Theirs;
        let mut headers = headers_for(record, callee.role, !body.is_empty());
        headers.extend(callee.introduction.headers());
        let to = Some(address(&callee.party));
        let uri = for_proxy(desk, record, callee.role, &target);
        let invite = Invite { target: uri, to, from: address(agent), headers, body };
        let started = desk.host.call(invite)?;
        let (leg, invite) = (started.leg.value, Sent::new(started.transaction));
        record.begin_leg(started, callee.role, callee.party.uri.clone(), session);
        attempt.tried.push(target);
        Ok(Self { leg, invite, expects_offer, attempt: Kept::new(&attempt) })
    }

    pub fn response(mut self, desk: &mut Desk<'_>, record: &mut Record, response: &IncomingResponse) -> Ring {
        if response.transaction.value != self.invite.transaction || response.status < 200 {
            return Ring::Rings(self);
        }
        if response.status < 300 {
            if let Some(leg) = record.leg_mut(self.leg)
                && carries_sdp(&response.headers, &response.body)
            {
                leg.session.heard(&response.body);
            }
            if let (Some(leg), Some(methods)) = (record.leg_mut(self.leg), headers::find(&response.headers, "Allow")) {
                leg.takes_updates = methods.split(',').any(|method| method.trim() == "UPDATE");
            }
            return Ring::Answered(Answered { leg: self.leg, invite: self.invite.transaction });
        }
        if self.invite.authorize(desk, response) {
            if let Some(leg) = record.leg_mut(self.leg) {
                leg.revive();
            }
            return Ring::Rings(self);
        }
        let status = Status::with_reason(response.status, &response.reason);
        match self.again(desk, record, response, &status) {
            Some(ringing) => Ring::Rings(ringing),
            None => Ring::Failed(status),
        }
    }

    /// Another INVITE after a refusal, where one is worth it and can be sent.
    fn again(
        &self,
        desk: &mut Desk<'_>,
        record: &mut Record,
        response: &IncomingResponse,
        status: &Status,
    ) -> Option<Self> {
        let mut attempt = self.attempt.get().ok()?;
        let target = if let Some(contact) = attempt.redirection(record, response) {
            contact.to_string()
        } else {
            let first = attempt.other_offer(response.status).filter(|_| record.legs.len() < LEGS_MAX)?;
            record.note_fallback(desk.now, Fallback::offer(&first), status.clone());
            attempt.callee.first = first;
            attempt.tried.last().unwrap_or(&attempt.callee.party.uri).clone()
        };
        let agent = parties(record).ok()?.agent;
        Self::call(desk, record, &agent, target, attempt).ok()
    }

    pub fn failure(self, failure: &RequestFailure) -> Ring {
        if failure.transaction.value == self.invite.transaction {
            Ring::Failed(Status::of_failure(failure.reason))
        } else {
            Ring::Rings(self)
        }
    }
}

impl Attempt {
    /// What the calling phone may take instead of a first offer that it refused. The others were asked for what they
    /// want, or got what the calling phone wants.
    fn other_offer(&self, code: u16) -> Option<FirstOffer> {
        match (self.callee.role, &self.callee.first, code) {
            (Role::Calling, FirstOffer::Theirs, 400 | 406 | 415 | 488 | 606) => Some(FirstOffer::NoMedia),
            (Role::Calling, FirstOffer::NoMedia, 488 | 606) => Some(FirstOffer::Held),
            _ => None,
        }
    }

    /// The best contact that is worth another INVITE.
    fn redirection<'a>(&self, record: &Record, response: &'a IncomingResponse) -> Option<&'a str> {
        let allowed = record.options.forwarding && (300..400).contains(&response.status);
        if !allowed || self.tried.len() > REDIRECTIONS_MAX || record.legs.len() >= LEGS_MAX {
            return None;
        }
        let new = |contact: &&String| !self.tried.iter().any(|uri| uri.eq_ignore_ascii_case(contact));
        let sip = |contact: &&String| contact.starts_with("sip:") || contact.starts_with("sips:");
        response.contacts.iter().filter(sip).find(new).map(String::as_str)
    }
}

/// Whom a call is between, for an INVITE: none is sent for a call whose state cannot be read.
pub(crate) fn parties(record: &Record) -> Result<Parties, StageError> {
    record.parties.get().map_err(|_| StageError::WrongState)
}

/// Releases a leg that is not over yet.
pub(crate) fn release(desk: &mut Desk<'_>, record: &mut Record, leg: u32, headers: Vec<Header>) {
    if let Some(leg) = record.leg_mut(leg)
        && !matches!(leg.state, LegState::Over | LegState::Releasing)
    {
        desk.release(leg.id, headers);
        leg.releasing();
    }
}

/// The Request-URI of an INVITE. The setting `sipx_proxy` says that a sipX proxy is on the way: it is told that the
/// calling party itself is wanted, and not its voicemail, nor, unless forwarding is allowed, where it forwards to.
fn for_proxy(desk: &Desk<'_>, record: &Record, role: Role, target: &str) -> String {
    if role != Role::Calling || !desk.is_set("sipx_proxy", "true") {
        return target.to_string();
    }
    let (uri, headers) = target.find('?').map_or((target, ""), |at| target.split_at(at));
    let forwarding = if record.options.forwarding { "" } else { ";sipx-userforward=false" };
    format!("{uri};sipx-noroute=Voicemail{forwarding}{headers}")
}

/// An address as a From or To carries it.
fn address(party: &Party) -> Address {
    Address { display_name: party.name.clone(), uri: party.uri.clone() }
}

fn headers_for(record: &Record, role: Role, with_body: bool) -> Vec<Header> {
    let mut headers = vec![header("Allow", ALLOW), header("Accept", sdp::CONTENT_TYPE)];
    if with_body {
        headers.push(header("Content-Type", sdp::CONTENT_TYPE));
    }
    if let (Role::Calling, Some(subject)) = (role, &record.options.subject) {
        headers.push(header("Subject", subject.clone()));
    }
    if let (Role::Called, Some(pin)) = (role, &record.options.confpin) {
        headers.push(header("X-ConfPin", pin.0.clone()));
    }
    headers
}

/// The methods that a leg takes.
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, REFER, SUBSCRIBE, UPDATE, MESSAGE";

/// How many redirections of one INVITE are followed.
pub(crate) const REDIRECTIONS_MAX: usize = 5;
