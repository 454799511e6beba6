//! One leg: an INVITE of ours and the dialog that comes of it. The host tracks it whatever the guest does, so that it
//! can always be released.

use super::credentials::{Answerable, Answered, Nonces};
use super::dialog::{Dialog, Path};
use super::face::Way;
use super::failover::Road;
use super::refers::Refers;
use super::session::Session;
use crate::contract::{Header, LegId, TransactionId};
use bytes::Bytes;
use plugboard_sip::digits::Digits;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Headers, Method, Request, Response, Value};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{ClientId, ServerId};
use plugboard_sip::transport::Destination;
use std::time::Duration;

/// How long a guest may leave a 2xx to an INVITE without ACK: as long as the peer repeats it (RFC 3261 §13.3.1.4,
/// 64*T1).
pub(super) const ACK_TIME_MAX: Duration = Duration::from_secs(32);

/// How many hops a request of ours may take as a rule (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: Value = Value::from_static("70");

/// Header fields that the host puts on a request, in number: room is made for so many.
const OWN_FIELDS: usize = 10;

/// Early dialogs of one leg besides its own, in number. A provisional response of a further fork makes none.
const FORKS_MAX: usize = 8;

/// A leg of a call.
#[derive(Debug)]
pub(super) struct Leg {
    pub id: LegId,
    pub state: LegState,
    /// The Request-URI of the INVITE, before there is a dialog.
    pub target: Text,
    pub call_id: Value,
    pub local_tag: Text,
    /// The From field, with our tag.
    pub from: Value,
    /// The To field of the INVITE, without a tag; what makes a leg sets it.
    pub to: Value,
    /// The user part of our Contact, when From has one.
    pub contact_user: Option<Text>,
    pub local_cseq: u32,
    /// Early while the INVITE is unanswered, then that of the fork which spoke last; confirmed from the 2xx on.
    pub dialog: Option<Dialog>,
    /// The early dialogs of other forks (RFC 3261 §12.1), [`FORKS_MAX`] at most.
    pub forks: Vec<Dialog>,
    /// The session timer.
    pub session: Session,
    /// The session description that we sent last and that holds.
    pub description: Option<Bytes>,
    /// The REFERs in both directions. NOTIFYs of ours may come after the BYE (RFC 5057).
    pub refers: Refers,
    /// What to say when the leg ends, once it was released.
    pub farewell: Option<Farewell>,
    /// The way that its INVITE went.
    pub way: Option<Way>,
    /// Whether the peer takes by TCP what is too large for UDP, once that was tried.
    pub takes_tcp: Option<bool>,
    /// The nonces that were used on this leg.
    pub nonces: Nonces,
}

/// Where a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegState {
    /// The INVITE has no final response.
    Calling,
    /// The INVITE got a challenge that can be answered, in the event that is due.
    Challenged,
    /// Released while calling: a CANCEL is on its way, or waits for a provisional response.
    Cancelled,
    /// The peer's INVITE has no final response of ours.
    Offered,
    /// The peer's INVITE has our 2xx, and its ACK is to come: until then no BYE may be sent (RFC 3261 §15).
    Accepted,
    /// The INVITE got a 2xx and the dialog is confirmed; a peer's has its ACK.
    Up,
    /// A BYE of ours is on its way.
    Leaving,
    /// Nothing is left of it in the network.
    Over,
}

/// What a release puts on the CANCEL or BYE.
#[derive(Clone, Debug, Default)]
pub(super) struct Farewell {
    pub headers: Vec<Header>,
    /// The id of the BYE, should one be due.
    pub transaction: TransactionId,
}

impl Default for TransactionId {
    /// The id of requests that the host sends of its own accord; no guest can name it.
    fn default() -> Self {
        TransactionId(0)
    }
}

/// A request that we sent and that is not settled.
#[derive(Debug)]
pub(super) struct Sent {
    pub id: TransactionId,
    pub leg: LegId,
    /// Without Via and Contact, which depend on where it goes.
    pub request: Request,
    /// Where it goes first; none when its URI is no place to send to.
    pub next_hop: Option<NextHop>,
    pub progress: Progress,
    /// Where it went, and where it may go yet.
    pub road: Road,
    /// The challenges that it answers.
    pub answered: Answered,
    /// Who waits for what becomes of it.
    pub purpose: Purpose,
    /// How often it was repeated because its session interval was too small (RFC 4028 §7.4).
    pub intervals_refused: u8,
}

/// Who waits for what becomes of a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The guest: it is told of every response. A BYE, too, is the guest's, whoever decided on it.
    Guest,
    /// The host: a PRACK (RFC 3262 §4).
    Acknowledgement,
    /// The host: the refresh of a session (RFC 4028 §10).
    Refresh,
}

/// Where a request of ours stands.
#[derive(Debug)]
pub(super) enum Progress {
    /// The address of its next hop is being looked up.
    Resolving,
    /// No final response yet.
    Pending(ClientId),
    /// A 401 or 407 that can be answered.
    Challenged(Box<Answerable>),
    /// A 2xx to an INVITE that the guest has not acknowledged.
    Unacknowledged { client: ClientId, give_up: Time },
}

/// A request of the peer that still wants its final response.
#[derive(Debug)]
pub(super) struct Owed {
    pub id: TransactionId,
    pub leg: LegId,
    pub server: ServerId,
    pub request: Request,
    /// Where it came from.
    pub flow: Destination,
}

impl Leg {
    /// A leg that calls this target, before anything is known of its dialog.
    pub fn new(id: LegId, call_id: Value, target: Text) -> Self {
        Self {
            id,
            state: LegState::Calling,
            call_id,
            from: Value::default(),
            to: Value::default(),
            contact_user: None,
            local_tag: Text::EMPTY,
            local_cseq: 0,
            dialog: None,
            forks: Vec::new(),
            session: Session::default(),
            description: None,
            refers: Refers::default(),
            farewell: None,
            way: None,
            takes_tcp: None,
            nonces: Nonces::default(),
            target,
        }
    }

    /// Whether the guest may send requests on it.
    pub fn has_dialog(&self) -> bool {
        self.dialog.is_some() && matches!(self.state, LegState::Calling | LegState::Accepted | LegState::Up)
    }

    /// Whether its INVITE is ours and has no final response.
    pub fn is_calling(&self) -> bool {
        matches!(self.state, LegState::Calling | LegState::Challenged | LegState::Cancelled)
    }

    /// Whether the guest, or the host for it, has let it go.
    pub fn is_released(&self) -> bool {
        self.farewell.is_some()
    }

    /// The next CSeq number (RFC 3261 §12.2.1.1).
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// The INVITE that opens the leg, without Via and Contact, which depend on where it goes.
    pub fn opening(&mut self, headers: Vec<Header>, body: Vec<u8>) -> Request {
        let number = self.next_cseq();
        let mut request = Request::new(Method::Invite, &self.target);
        request.headers = Headers::with_capacity(OWN_FIELDS + headers.len());
        self.identify(&mut request, self.to.clone(), number);
        push_all(&mut request, headers);
        request.body = body.into();
        request
    }

    /// The dialog that a provisional response to its INVITE belongs to, made when it is the first one of its fork. It
    /// becomes the leg's own.
    pub fn early(&mut self, response: &Response) -> Option<&mut Dialog> {
        let tag = response.headers.to_tag()?;
        if self.dialog.as_ref().is_none_or(|own| own.remote_tag != tag) {
            let known = self.forks.iter().position(|fork| fork.remote_tag == tag).map(|at| self.forks.swap_remove(at));
            if known.is_none() && self.forks.len() >= FORKS_MAX {
                return None;
            }
            let dialog = known.or_else(|| Dialog::from_response(response, &self.target))?;
            self.forks.extend(self.dialog.replace(dialog));
        }
        self.dialog.as_mut()
    }

    /// The 2xx to its INVITE: the dialog of its fork is the leg's, and the others are of no interest any more.
    pub fn confirm(&mut self, response: &Response) {
        let tag = response.headers.to_tag().unwrap_or_default();
        let early = self.dialog.take().into_iter().chain(self.forks.drain(..)).find(|early| early.remote_tag == tag);
        let confirmed = Dialog::from_response(response, &self.target);
        self.dialog = match (early, confirmed) {
            (Some(early), Some(confirmed)) => Some(early.confirmed(confirmed)),
            (early, confirmed) => confirmed.or(early),
        };
        self.forks = Vec::new();
        self.state = LegState::Up;
    }

    /// A 2xx to a re-INVITE or UPDATE: the target and the session are refreshed.
    pub fn take_2xx(&mut self, now: Time, response: &Response) {
        let tag = response.headers.to_tag().unwrap_or_default();
        if let Some(dialog) = self.dialog_with(&tag) {
            dialog.refresh(&response.headers);
        }
        self.take_session(now, response);
    }

    /// What a 2xx to an INVITE or UPDATE says of the session.
    pub fn take_session(&mut self, now: Time, response: &Response) {
        self.session.note_allowed(&response.headers);
        if matches!(self.state, LegState::Accepted | LegState::Up) {
            self.session.follow(now, &response.headers);
        }
    }

    /// Remembers a session description of ours that holds from now on.
    pub fn described(&mut self, headers: &Headers, body: &Bytes) {
        let content_type = headers.get_str(&HeaderName::ContentType).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !body.is_empty() && essence.eq_ignore_ascii_case("application/sdp") {
            self.description = Some(body.clone());
        }
    }

    /// The dialog with this tag of the peer: confirmed, or early and of any fork.
    pub fn dialog_with(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        self.dialog.iter_mut().chain(&mut self.forks).find(|dialog| dialog.remote_tag == *remote_tag)
    }

    /// A request inside the leg's own dialog, without Via and Contact; `None` when there is no dialog to send it in.
    /// `number` is the CSeq number of an ACK's INVITE; other requests take the next one.
    pub fn inside(&mut self, method: Method, number: Option<u32>, headers: Vec<Header>) -> Option<(Request, NextHop)> {
        let dialog = self.dialog.as_ref()?;
        let (path, to) = (dialog.path()?, dialog.to.clone());
        self.along(path, to, method, number, headers)
    }

    /// As [`Leg::inside`], in the early dialog of a fork.
    pub fn inside_fork(
        &mut self,
        remote_tag: &str,
        method: Method,
        headers: Vec<Header>,
    ) -> Option<(Request, NextHop)> {
        let (path, to) = self.dialog_with(remote_tag).and_then(|dialog| Some((dialog.path()?, dialog.to.clone())))?;
        self.along(path, to, method, None, headers)
    }

    fn along(
        &mut self,
        path: Path,
        to: Value,
        method: Method,
        number: Option<u32>,
        headers: Vec<Header>,
    ) -> Option<(Request, NextHop)> {
        let next_hop = NextHop::of(&path.next_hop)?;
        let next_hop = self.way.as_ref().map_or(next_hop.clone(), |way| way.along(next_hop));
        let number = number.unwrap_or_else(|| self.next_cseq());
        let mut request = Request::new(method, path.uri);
        request.headers = Headers::with_capacity(OWN_FIELDS + path.routes.len() + headers.len());
        for route in path.routes {
            request.headers.push(HeaderName::Route, route);
        }
        self.identify(&mut request, to, number);
        push_all(&mut request, headers);
        Some((request, next_hop))
    }

    fn identify(&self, request: &mut Request, to: Value, number: u32) {
        let cseq = cseq(number, &request.method);
        request.headers.push(HeaderName::MaxForwards, MAX_FORWARDS);
        request.headers.push(HeaderName::From, self.from.clone());
        request.headers.push(HeaderName::To, to);
        request.headers.push(HeaderName::CallId, self.call_id.clone());
        request.headers.push(HeaderName::CSeq, cseq);
    }
}

/// A CSeq value.
pub(super) fn cseq(number: u32, method: &Method) -> Value {
    Value::from([Digits::decimal(number).as_str(), " ", method.as_str()].concat())
}

/// Adds the header fields of a guest; their names were checked when they were staged.
pub(super) fn push_all(request: &mut Request, headers: Vec<Header>) {
    for Header { name, value } in headers {
        if let Some(name) = HeaderName::new(&name) {
            request.headers.push(name, value);
        }
    }
}
