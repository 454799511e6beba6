//! INVITEs of peers that take the place of a dialog of ours (Replaces, RFC 3891): the only ones that open a leg from
//! outside. Which dialog is meant is the host's to find, and who may do it (§8); what comes of it the guest decides.
//!
//! Whoever knows Call-ID and both tags of a dialog was in it, or on its way, or was told by someone who was. That alone
//! does not do: the INVITE must also come from an address that the call has sent an INVITE of its own to, the tenant's
//! proxy or one of its phones. To anybody else the dialog does not exist, so that nothing can be learnt by asking.

use super::actor::{Actor, CallRef, Origin, Queued, add};
use super::dialog::Dialog;
use super::face::Way;
use super::leg::{Leg, LegState, Owed};
use super::told::visible;
use super::{Output, Shard, session};
use crate::contract::*;
use crate::history::What;
use plugboard_sip::locate::NextHop;
use plugboard_sip::message::{HeaderName, Request, Status, Value};
use plugboard_sip::name_addr::NameAddr;
use plugboard_sip::text::Text;
use plugboard_sip::time::Time;
use plugboard_sip::transaction::ServerId;
use plugboard_sip::transport::Destination;
use plugboard_sip::values::{MaxForwards, Replaces};

/// Legs that peers may open in one call in its life, in number.
const REPLACEMENTS_MAX: u32 = 16;

/// A leg that may be replaced.
pub(super) struct Replaced {
    call: CallRef,
    leg: LegId,
}

/// The tag that an INVITE names in its Replaces as that of the side it is sent to: ours carries the shard.
pub fn replaced_tag(request: &Request) -> Option<Text> {
    Replaces::parse(&request.headers.get(&HeaderName::Replaces)?.to_text()?).ok().map(|replaces| replaces.to_tag)
}

impl Shard {
    /// Whether an INVITE that came to this shard is the one that a CANCEL is about.
    pub fn knows_invite_of(&self, cancel: &Request) -> bool {
        self.layer.knows_invite(cancel)
    }

    /// The leg that an INVITE wants to replace.
    ///
    /// # Errors
    /// With what to answer when there is none that it may replace (RFC 3891 §3).
    pub(super) fn replaced(&self, request: &Request, source: Destination) -> Result<Replaced, Status> {
        let unknown = Status::CALL_DOES_NOT_EXIST;
        let value = request.headers.get(&HeaderName::Replaces).and_then(|value| value.to_text());
        let replaces = value.and_then(|text| Replaces::parse(&text).ok()).ok_or(Status::BAD_REQUEST)?;
        let (call, id) = *self.dialogs.get(&replaces.to_tag).ok_or(unknown)?;
        let actor = self.actors.get(&call).filter(|actor| actor.is_live()).ok_or(unknown)?;
        let leg = actor.leg(id).filter(|leg| is_named(leg, &replaces)).ok_or(unknown)?;
        if !actor.has_called(source) {
            return Err(unknown);
        }
        match leg.state {
            LegState::Calling | LegState::Challenged => {}
            // An early dialog of someone else's INVITE cannot be taken over.
            LegState::Offered => return Err(unknown),
            LegState::Up | LegState::Accepted if replaces.early_only => return Err(Status::BUSY_HERE),
            LegState::Up | LegState::Accepted => {}
            LegState::Cancelled | LegState::Leaving | LegState::Over => return Err(Status::DECLINE),
        }
        let open = actor.legs.iter().filter(|leg| leg.state != LegState::Over).count();
        if open >= actor.tenant.settings().limits.legs_per_call || actor.incoming_legs >= REPLACEMENTS_MAX {
            return Err(Status::BUSY_HERE);
        }
        if request.headers.max_forwards() == Ok(MaxForwards(0)) {
            return Err(Status::TOO_MANY_HOPS);
        }
        if session::is_too_small(&request.headers) {
            return Err(Status::SESSION_INTERVAL_TOO_SMALL);
        }
        Dialog::from_request(request).ok_or(Status::BAD_REQUEST)?;
        Ok(Replaced { call, leg: id })
    }

    /// An INVITE that replaces a leg opens another one, and the guest hears of it.
    pub(super) fn replacing(
        &mut self,
        now: Time,
        server: ServerId,
        request: Request,
        flow: Destination,
        out: &mut Vec<Output>,
    ) {
        let local_tag = self.new_tag();
        let found = self.replaced(&request, flow);
        let made = found.and_then(|replaced| {
            let actor = self.actors.get_mut(&replaced.call).ok_or(Status::CALL_DOES_NOT_EXIST)?;
            let leg = opened(actor, &request, &local_tag, flow).ok_or(Status::BAD_REQUEST)?;
            Ok((replaced, leg))
        });
        let (Replaced { call, leg: replaced }, leg) = match made {
            Ok(made) => made,
            Err(status) => return self.refuse(now, server, &request, status, out),
        };
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let (id, transaction) = (leg.id, actor.new_incoming());
        actor.legs.reserve_exact(1);
        actor.legs.push(leg);
        actor.note(now, id, false, What::Request(request.method.clone()));
        let event = Event::Replacement {
            leg: id,
            replaced,
            transaction,
            from: from(&request),
            headers: visible(&request.headers),
            body: request.body.to_vec(),
        };
        let origin = Origin::Sip(request.headers.max_forwards().unwrap_or(MaxForwards::DEFAULT));
        add(&mut actor.owed, Owed { id: transaction, leg: id, server, request, flow });
        self.servers.insert(server, (call, id, transaction));
        self.dialogs.insert(local_tag, (call, id));
        self.enqueue(now, call, Queued { origin, ..Queued::new(event) }, out);
        self.reschedule(now, call);
    }
}

/// Whether this dialog is meant (RFC 3891 §3): our tag is compared as the To tag, the peer's as the From tag.
pub(super) fn is_named(leg: &Leg, replaces: &Replaces) -> bool {
    let same_call = leg.call_id.as_bytes() == replaces.call_id.as_bytes();
    let dialogs = leg.dialog.iter().chain(&leg.forks);
    same_call && dialogs.into_iter().any(|dialog| dialog.remote_tag == replaces.from_tag)
}

impl Actor {
    /// Whether the call has sent an INVITE to this address.
    pub fn has_called(&self, source: Destination) -> bool {
        let stands_there = |way: &Way| way.destination.remote.ip().to_canonical() == source.remote.ip().to_canonical();
        self.legs.iter().any(|leg| leg.way.as_ref().is_some_and(stands_there))
    }
}

/// The leg that a peer's INVITE opens: we are its callee.
fn opened(actor: &mut Actor, request: &Request, local_tag: &Text, flow: Destination) -> Option<Leg> {
    let dialog = Dialog::from_request(request)?;
    let call_id = request.headers.get(&HeaderName::CallId)?.apart();
    let own = request.headers.to_header().ok()?;
    let mut leg = Leg::new(actor.new_incoming_leg(), call_id, dialog.target.clone());
    leg.state = LegState::Offered;
    leg.from = Value::from(own.with_tag(local_tag).to_string());
    leg.to = dialog.to.clone();
    leg.local_tag = local_tag.clone();
    let next_hop = dialog.path().and_then(|path| NextHop::of(&path.next_hop));
    leg.way = next_hop.map(|next_hop| Way { next_hop, destination: flow });
    leg.dialog = Some(dialog);
    leg.session.wanted = actor.tenant.settings().session_expires_seconds;
    leg.session.note_allowed(&request.headers);
    Some(leg)
}

/// Who calls, as the guest may know it.
fn from(request: &Request) -> Address {
    let NameAddr { display_name, uri, .. } = match request.headers.from_header() {
        Ok(from) => from,
        Err(_) => return Address { display_name: None, uri: String::new() },
    };
    Address { display_name: display_name.map(|name| name.to_string()), uri: uri.to_string() }
}
