//! One leg: an INVITE of ours and the dialog that comes of it. The host tracks it whatever the guest does, so that it
//! can always be released.

use super::dialog::Dialog;
use super::face::Way;
use super::failover::Road;
use crate::contract::{Header, LegId, TransactionId};
use plugboard_sip::digest::Challenge;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Method, Request, Value};
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::{ClientId, ServerId};
use plugboard_sip::transport::Destination;
use std::time::Duration;

/// How long a guest may leave a 2xx to an INVITE without ACK: as long as the peer repeats it (RFC 3261 §13.3.1.4,
/// 64*T1).
pub(super) const ACK_TIME_MAX: Duration = Duration::from_secs(32);

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
    /// The To field of the INVITE, without a tag.
    pub to: Value,
    /// The user part of our Contact, when From has one.
    pub contact_user: Option<Text>,
    pub local_cseq: u32,
    /// Early while the INVITE is unanswered, confirmed from its 2xx on.
    pub dialog: Option<Dialog>,
    /// A REFER was accepted and no NOTIFY has ended its subscription: NOTIFYs may come after the BYE (RFC 5057).
    pub notifies: bool,
    /// What to say when the leg ends, once it was released.
    pub farewell: Option<Farewell>,
    /// The way that its INVITE went.
    pub way: Option<Way>,
    /// Whether the peer takes by TCP what is too large for UDP, once that was tried.
    pub takes_tcp: Option<bool>,
    /// The nonce that was answered last on this leg, and how often (RFC 7616 §3.4: nc).
    pub nonce: Option<(String, u32)>,
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
    /// The INVITE got a 2xx and the dialog is confirmed.
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
    /// Realms whose challenge was answered on this request.
    pub answered: Vec<String>,
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

/// A challenge, and the header field that answers it.
#[derive(Debug)]
pub(super) struct Answerable {
    pub challenge: Challenge,
    pub field: HeaderName,
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
            to: Value::from(format!("<{target}>")),
            contact_user: None,
            local_tag: Text::EMPTY,
            local_cseq: 0,
            dialog: None,
            notifies: false,
            farewell: None,
            way: None,
            takes_tcp: None,
            nonce: None,
            target,
        }
    }

    /// Whether the guest may send requests on it.
    pub fn has_dialog(&self) -> bool {
        self.dialog.is_some() && matches!(self.state, LegState::Calling | LegState::Up)
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
        self.identify(&mut request, self.to.clone(), number);
        push_all(&mut request, headers);
        request.body = body.into();
        request
    }

    /// A request inside the dialog, without Via and Contact; `None` when there is no dialog to send it in.
    /// `number` is the CSeq number of an ACK's INVITE; other requests take the next one.
    pub fn inside(&mut self, method: Method, number: Option<u32>, headers: Vec<Header>) -> Option<(Request, NextHop)> {
        let dialog = self.dialog.as_ref()?;
        let path = dialog.path()?;
        let next_hop = NextHop::of(&path.next_hop)?;
        let next_hop = self.way.as_ref().map_or(next_hop.clone(), |way| way.along(next_hop));
        let to = dialog.to.clone();
        let number = number.unwrap_or_else(|| self.next_cseq());
        let mut request = Request::new(method, path.uri);
        for route in path.routes {
            request.headers.push(HeaderName::Route, route);
        }
        self.identify(&mut request, to, number);
        push_all(&mut request, headers);
        Some((request, next_hop))
    }

    fn identify(&self, request: &mut Request, to: Value, number: u32) {
        let cseq = format!("{number} {}", request.method);
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(HeaderName::From, self.from.clone());
        request.headers.push(HeaderName::To, to);
        request.headers.push(HeaderName::CallId, self.call_id.clone());
        request.headers.push(HeaderName::CSeq, cseq);
    }
}

/// Adds the header fields of a guest; their names were checked when they were staged.
pub(super) fn push_all(request: &mut Request, headers: Vec<Header>) {
    for Header { name, value } in headers {
        if let Some(name) = HeaderName::new(&name) {
            request.headers.push(name, value);
        }
    }
}
