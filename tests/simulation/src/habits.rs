//! What a phone can beyond RFC 3261, by seed: reliable provisional responses (RFC 3262), UPDATE (RFC 3311) and session
//! timers (RFC 4028).

use plugboard_calls::chance::Chance;
use plugboard_sip::message::{HeaderName, Headers, Method, Request, Response};
use plugboard_sip::values::{RAck, Refresher, SessionExpires};
use std::time::Duration;

/// How often a reliable response is repeated at most, in number: the last time about 32 s after the first (RFC 3262 §3).
const REPEATS_MAX: u32 = 6;

/// The habits of a phone in one dialog.
pub struct Habits {
    /// The reliable response that waits for its PRACK, if the phone sends such.
    reliable: Option<Reliable>,
    session: Session,
    takes_update: bool,
}

struct Reliable {
    rseq: u32,
    acknowledged: bool,
    repeats: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    /// It knows nothing of session timers.
    None,
    /// It leaves the refreshes to the caller.
    Theirs,
    /// It refreshes, until it loses power, if ever.
    Ours { dies: bool },
}

impl Habits {
    /// Habits towards an INVITE.
    pub fn new(invite: &Request, chance: &mut Chance) -> Self {
        let mut one_in = |of: u64| chance.next_u64().is_multiple_of(of);
        let supports = |tag| invite.headers.lists_token(&HeaderName::Supported, tag);
        let reliable = (supports("100rel") && one_in(2)).then(|| Reliable {
            rseq: 1 + u32::from(one_in(2)) * 70_000,
            acknowledged: false,
            repeats: 0,
        });
        let session = match (supports("timer") && !one_in(4), one_in(3), one_in(2)) {
            (false, ..) => Session::None,
            (true, true, _) => Session::Theirs,
            (true, false, dies) => Session::Ours { dies },
        };
        Self { reliable, session, takes_update: one_in(2) }
    }

    /// Whether the provisional response is sent reliably.
    pub fn rings_reliably(&self) -> bool {
        self.reliable.is_some()
    }

    /// Whether the INVITE must wait for a PRACK before it is answered (RFC 3262 §3).
    pub fn waits(&self) -> bool {
        self.reliable.as_ref().is_some_and(|reliable| reliable.repeats > 0 && !reliable.acknowledged)
    }

    /// Puts what makes it reliable on a provisional response; when it is to be repeated unless a PRACK comes.
    pub fn ring(&mut self, response: &mut Response) -> Option<Duration> {
        let reliable = self.reliable.as_mut().filter(|reliable| !reliable.acknowledged)?;
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, reliable.rseq.to_string());
        reliable.repeats += 1;
        Some(Duration::from_millis(500) * 2u32.pow(reliable.repeats - 1))
    }

    /// Whether it has given up waiting for the PRACK.
    pub fn gave_up(&self) -> bool {
        self.reliable.as_ref().is_some_and(|reliable| !reliable.acknowledged && reliable.repeats > REPEATS_MAX)
    }

    /// Takes a PRACK. What was never sent reliably cannot be acknowledged.
    pub fn acknowledged(&mut self, prack: &Request, invite: &Request) {
        let rack = prack.headers.get(&HeaderName::RAck).and_then(|value| RAck::parse(&value.to_text()?).ok());
        let rack = rack.expect("a PRACK has a RAck");
        let reliable = self.reliable.as_mut().expect("a PRACK for a phone that sends nothing reliably");
        assert_eq!((rack.rseq.0, Ok(rack.cseq)), (reliable.rseq, invite.headers.cseq()));
        assert!(!reliable.acknowledged, "the same response acknowledged by two PRACKs");
        reliable.acknowledged = true;
    }

    /// Puts its word on the session into a 2xx to an INVITE or UPDATE; how long until the phone refreshes.
    pub fn answer(&self, request: &Request, response: &mut Response) -> Option<Duration> {
        let allow = if self.takes_update { "INVITE, ACK, BYE, CANCEL, UPDATE" } else { "INVITE, ACK, BYE, CANCEL" };
        response.headers.set(HeaderName::Allow, allow);
        let asked = expires(&request.headers).filter(|_| self.session != Session::None)?;
        let refresher = asked.refresher.unwrap_or(match self.session {
            Session::Ours { .. } => Refresher::Uas,
            Session::Theirs | Session::None => Refresher::Uac,
        });
        let said = SessionExpires { refresher: Some(refresher), ..asked };
        response.headers.set(HeaderName::SessionExpires, said.to_string());
        if refresher == Refresher::Uac {
            response.headers.push(HeaderName::Require, "timer");
        }
        let ours = refresher == Refresher::Uas && !matches!(self.session, Session::Ours { dies: true });
        ours.then(|| Duration::from_secs(u64::from(asked.interval)) / 2)
    }

    /// Asks for the refresh of a session in a request of the phone.
    pub fn ask(&self, request: &mut Request) {
        if self.session != Session::None && matches!(request.method, Method::Invite | Method::Update) {
            request.headers.push(HeaderName::Supported, "timer");
            request.headers.push(HeaderName::SessionExpires, "90;refresher=uac");
        }
    }

    /// How the phone refreshes.
    pub fn refresh_method(&self) -> Method {
        if self.takes_update { Method::Update } else { Method::Invite }
    }
}

fn expires(headers: &Headers) -> Option<SessionExpires> {
    SessionExpires::parse(&headers.get(&HeaderName::SessionExpires)?.to_text()?).ok()
}
