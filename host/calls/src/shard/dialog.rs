//! Dialogs (RFC 3261 §12): those of INVITEs that Plugboard sent, and of those that peers sent to replace one (RFC 3891).

use plugboard_sip::message::{HeaderName, Headers, Method, Request, Response, Value};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::text::Text;
use plugboard_sip::uri::{SipUri, Uri};

/// Routes that a dialog may have, in number; a longer route set is the mark of an attack or a loop.
pub(crate) const ROUTES_MAX: usize = 32;

/// What both sides of a dialog agreed on when it came to be.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    /// The peer's tag.
    pub remote_tag: Text,
    /// The To field of our requests, with the peer's tag.
    pub to: Value,
    /// Where requests inside the dialog go.
    pub target: Text,
    /// The Route fields of our requests, in order.
    pub routes: Vec<Value>,
    /// The highest CSeq number that the peer has used.
    pub remote_cseq: Option<u32>,
    /// The RSeq of the last reliable provisional response (RFC 3262 §7.2).
    pub rseq: Option<u32>,
    /// A reliable provisional response has answered the offer of our INVITE.
    pub answered: bool,
}

/// What a reliable provisional response is among those of its dialog (RFC 3262 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliable {
    /// The next one: a PRACK is due.
    Next,
    /// One that was acknowledged before, or one that came too early: it is left to be repeated.
    NotNow,
}

/// Where a request inside a dialog goes and what it carries to get there (RFC 3261 §12.2.1.1).
pub(crate) struct Path {
    /// The Request-URI.
    pub uri: Text,
    /// The Route fields.
    pub routes: Vec<Value>,
    /// The element that gets it first.
    pub next_hop: SipUri,
}

impl Dialog {
    /// The dialog that a response to our INVITE makes (RFC 3261 §12.1.2): a provisional one an early dialog, a 2xx a
    /// confirmed one. A response without a usable Contact leaves the target that was called; one without a To tag is
    /// of RFC 2543. `None` when it has more routes than [`ROUTES_MAX`].
    pub fn from_response(response: &Response, called: &Text) -> Option<Self> {
        let to = response.headers.get(&HeaderName::To)?.apart();
        let remote_tag = response.headers.to_tag().unwrap_or_default().apart();
        let target = contact(&response.headers).unwrap_or_else(|| called.clone());
        // The route set is the Record-Route fields in reverse order.
        let mut routes = routes(&response.headers);
        if routes.len() > ROUTES_MAX {
            return None;
        }
        routes.reverse();
        Some(Self { remote_tag, to, target, routes, remote_cseq: None, rseq: None, answered: false })
    }

    /// The dialog that an INVITE of a peer makes once it is answered (RFC 3261 §12.1.1). `None` without a Contact that
    /// can be called, or with more routes than [`ROUTES_MAX`].
    pub fn from_request(request: &Request) -> Option<Self> {
        let from = request.headers.get(&HeaderName::From)?.apart();
        let target = contact(&request.headers)?;
        let routes = routes(&request.headers);
        let remote_cseq = Some(request.headers.cseq().ok()?.number);
        let remote_tag = request.headers.from_tag().unwrap_or_default().apart();
        let dialog = Self { remote_tag, to: from, target, routes, remote_cseq, rseq: None, answered: false };
        (dialog.routes.len() <= ROUTES_MAX).then_some(dialog)
    }

    /// The early dialog as the 2xx confirms it: target and route set are the 2xx's (RFC 3261 §13.2.2.4), the rest stays.
    pub fn confirmed(self, by: Dialog) -> Self {
        Self { target: by.target, routes: by.routes, to: by.to, answered: false, ..self }
    }

    /// Takes note of a reliable provisional response. The first one may have any number, each further one the next.
    pub fn take_reliable(&mut self, rseq: u32) -> Reliable {
        if self.rseq.is_some_and(|last| last.checked_add(1) != Some(rseq)) {
            return Reliable::NotNow;
        }
        self.rseq = Some(rseq);
        Reliable::Next
    }

    /// The target refresh (RFC 3261 §12.2.1.2, §12.2.2): a Contact in a re-INVITE or UPDATE, or in its 2xx, is the
    /// new remote target.
    pub fn refresh(&mut self, headers: &Headers) {
        if let Some(target) = contact(headers) {
            self.target = target;
        }
    }

    /// Where a request goes. `None` when neither the first route nor the target is a SIP URI.
    pub fn path(&self) -> Option<Path> {
        let Some(first) = self.routes.first() else {
            let next_hop = SipUri::parse(&self.target).ok()?;
            return Some(Path { uri: self.target.clone(), routes: Vec::new(), next_hop });
        };
        let next_hop = route_uri(first)?;
        if next_hop.is_loose() {
            return Some(Path { uri: self.target.clone(), routes: self.routes.clone(), next_hop });
        }
        // A strict router (RFC 2543) finds itself in the Request-URI, and the target in the last Route.
        let mut routes: Vec<Value> = self.routes.get(1..).unwrap_or_default().to_vec();
        routes.push(Value::from(format!("<{}>", self.target)));
        Some(Path { uri: Text::from(next_hop.to_string()), routes, next_hop })
    }

    /// Whether a request of the peer is in order (RFC 3261 §12.2.2): its CSeq must be higher than the last one's.
    pub fn accept_cseq(&mut self, number: u32) -> bool {
        let in_order = self.remote_cseq.is_none_or(|last| number > last);
        if in_order {
            self.remote_cseq = Some(number);
        }
        in_order
    }
}

/// The Record-Route values, one more than [`ROUTES_MAX`] at most. As all of a dialog, apart from the message that they
/// came in: it would stay in memory as long as the call.
fn routes(headers: &Headers) -> Vec<Value> {
    headers.list(&HeaderName::RecordRoute).take(ROUTES_MAX + 1).map(|route| route.apart()).collect()
}

/// Whether a 2xx to this method refreshes the remote target.
pub(crate) fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}

/// The URI of the first Contact, when it is a SIP URI.
fn contact(headers: &Headers) -> Option<Text> {
    let contact = headers.list(&HeaderName::Contact).next()?.to_text()?;
    NameAddr::sip_uri_in(&contact).map(|uri| uri.apart())
}

fn route_uri(route: &Value) -> Option<SipUri> {
    match NameAddr::parse(&route.to_text()?).ok()?.uri {
        Uri::Sip(uri) => Some(uri),
        Uri::Other(_) => None,
    }
}
