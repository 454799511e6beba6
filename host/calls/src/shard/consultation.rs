//! Attended transfers between two calls of ours (RFC 3891, RFC 5589 §7). A phone that talks in one call and has asked
//! somebody in another refers the first phone to the second: its Refer-To names the dialog of the second call that it is
//! in itself. That is one with us, of which the phone at the other end has never heard. So the Refer-To is rewritten on
//! its way in: it goes to where that phone was called, and names the dialog that it has with us.
//!
//! The host owns the dialogs, so it is the host's to know which ones belong together. It looks only at calls of the
//! tenant whose call is referred, and, as with [`replaces`](super::replaces), believes only who stands where the other
//! call has called. What is not rewritten goes to call logic as it came: it may name a dialog that two phones have
//! without us.

use super::leg::{Leg, LegState};
use super::replaces::is_named;
use super::{Shard, actor::Actor};
use plugboard_sip::message::{HeaderName, Message, Method, Request};
use plugboard_sip::text::Text;
use plugboard_sip::transport::Destination;
use plugboard_sip::uri::{Uri, escape_header, unescape};
use plugboard_sip::values::Replaces;
use std::sync::Arc;

/// The dialog that a REFER wants to be replaced. The To tag of [`Replaces`] is that of the side which the phone talked
/// to: when it is one of ours, it carries the shard.
pub fn consultation(message: &Message) -> Option<Replaces> {
    let Message::Request(request) = message else { return None };
    if request.method != Method::Refer {
        return None;
    }
    let headers = refer_to(request)?;
    let value = pairs(&headers).find(|(name, _)| is_replaces(name)).map(|(_, value)| unescape(value))?;
    Replaces::parse(&Text::from(value)).ok()
}

/// The phone at the other end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherEnd {
    domain: Arc<str>,
    call_id: Text,
    /// Where it was called.
    target: Text,
    /// The dialog that it has with us, as it is to be named to it.
    replaces: Replaces,
}

impl Shard {
    /// The phone at the other end of the call whose dialog is named, for a REFER that came from `source`. None when
    /// there is no such call up, or it has another shape than two phones that talk.
    pub fn other_end(&self, named: &Replaces, source: Destination) -> Option<OtherEnd> {
        let (call, id) = *self.dialogs.get(&named.to_tag)?;
        let actor = self.actors.get(&call).filter(|actor| actor.is_live() && actor.has_called(source))?;
        let named = actor.leg(id).filter(|leg| leg.state == LegState::Up && is_named(leg, named))?;
        let other = the_other(actor, named)?;
        let dialog = other.dialog.as_ref()?;
        let replaces = Replaces {
            call_id: other.call_id.to_text()?,
            to_tag: dialog.remote_tag.clone(),
            from_tag: other.local_tag.clone(),
            early_only: false,
        };
        let (domain, call_id) = (actor.tenant.domain.clone(), named.call_id.to_text()?);
        Some(OtherEnd { domain, call_id, target: other.target.clone(), replaces })
    }

    /// Rewrites the Refer-To of a REFER for this shard, when its dialog is of another call of the same tenant.
    pub fn name_other_end(&self, message: &mut Message, other: &OtherEnd) {
        let Message::Request(request) = message else { return };
        let call = request.headers.to_tag().and_then(|tag| self.dialogs.get(&tag)).map(|(call, _)| call);
        let Some(actor) = call.and_then(|call| self.actors.get(call)) else { return };
        let is_itself = actor.legs.iter().any(|leg| leg.call_id.as_bytes() == other.call_id.as_bytes());
        if actor.tenant.domain == other.domain && !is_itself {
            let others = refer_to(request).unwrap_or(Text::EMPTY);
            let others = pairs(&others).filter(|(name, _)| !is_replaces(name));
            let others: String = others.map(|(name, value)| format!("&{name}={value}")).collect();
            let replaces = escape_header(&other.replaces.to_string());
            request.headers.set(HeaderName::ReferTo, format!("<{}?Replaces={replaces}{others}>", other.target));
        }
    }
}

/// The only other leg that talks.
fn the_other<'a>(actor: &'a Actor, named: &Leg) -> Option<&'a Leg> {
    let mut others = actor.legs.iter().filter(|leg| leg.id != named.id && leg.state != LegState::Over);
    let other = others.next().filter(|leg| leg.state == LegState::Up);
    other.filter(|_| others.next().is_none())
}

/// The header fields in the URI of a Refer-To, as they came.
fn refer_to(request: &Request) -> Option<Text> {
    match request.headers.addresses(&HeaderName::ReferTo).ok()?.as_slice() {
        [address] => match &address.uri {
            Uri::Sip(uri) => uri.headers.clone(),
            Uri::Other(_) => None,
        },
        _ => None,
    }
}

fn pairs(headers: &str) -> impl Iterator<Item = (&str, &str)> {
    headers.split('&').filter_map(|pair| pair.split_once('='))
}

fn is_replaces(name: &str) -> bool {
    name.eq_ignore_ascii_case("Replaces")
}
