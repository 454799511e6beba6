//! Requests that the host sends of its own accord, and of whose answers no guest hears: PRACK (RFC 3262) and the refresh
//! of a session (RFC 4028).

use super::actor::{CallRef, add};
use super::dialog::Reliable;
use super::leg::{ACK_TIME_MAX, LegState, Progress, Purpose, Sent};
use super::receive::Matched;
use super::{Output, Owner, Shard};
use crate::contract::*;
use plugboard_sip::message::{HeaderName, Method, Response};
use plugboard_sip::time::Time;
use plugboard_sip::transaction::ClientId;
use plugboard_sip::values::{RAck, RSeq};

impl Shard {
    /// Acknowledges a reliable provisional response to an INVITE that opens a leg (RFC 3262 §4). Whether the guest is
    /// to hear of it: one that is repeated, or that came before its turn, says nothing.
    pub(super) fn take_provisional(
        &mut self,
        now: Time,
        owner: Owner,
        response: &Response,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(rseq) = reliable(response) else { return true };
        let Some(actor) = self.actors.get_mut(&owner.call) else { return true };
        let Some(sent) = actor.sent.iter().find(|sent| sent.id == owner.transaction) else { return true };
        let (id, offers) = (sent.leg, !sent.request.body.is_empty());
        let asked = sent.request.headers.lists_token(&HeaderName::Supported, "100rel");
        let transaction = actor.new_own();
        let Some(leg) = actor.leg_mut(id) else { return true };
        // One that was not asked for may carry an offer, whose answer nobody but the guest could give.
        if !asked || !matches!(leg.state, LegState::Calling | LegState::Cancelled) {
            return true;
        }
        let Some(dialog) = leg.early(response) else { return true };
        if dialog.take_reliable(rseq.0) == Reliable::NotNow {
            return false;
        }
        dialog.answered |= offers && !response.body.is_empty();
        let (tag, cseq) = (dialog.remote_tag.clone(), response.headers.cseq());
        if let (Some((mut prack, next_hop)), Ok(cseq)) = (leg.inside_fork(&tag, Method::Prack, Vec::new()), cseq) {
            prack.headers.push(HeaderName::RAck, RAck { rseq, cseq }.to_string());
            let owner = Owner { call: owner.call, transaction };
            self.start(now, owner, id, prack, Some(next_hop), Purpose::Acknowledgement, out);
        }
        true
    }

    /// A response to a request of the host's own.
    pub(super) fn own_responded(&mut self, now: Time, matched: Matched<'_>, out: &mut Vec<Output>) {
        let Matched { client, owner, response, answerable } = matched;
        let Owner { call, transaction } = owner;
        let Some(sent) = self.actors.get_mut(&call).and_then(|actor| actor.sent_mut(transaction)) else { return };
        if response.status.is_provisional() {
            return;
        }
        if let Some(answerable) = answerable {
            sent.progress = Progress::Challenged(Box::new(answerable));
            self.answer_challenge(now, call, transaction, transaction, out);
            return;
        }
        if response.status.is_success() && sent.purpose == Purpose::Refresh {
            self.took_refresh(now, client, owner, response, out);
            return;
        }
        let sent = self.actors.get_mut(&call).and_then(|actor| actor.take_sent(transaction));
        if let Some(sent) = sent.filter(|sent| sent.purpose == Purpose::Refresh) {
            self.refreshed(now, call, &sent, response, out);
        }
    }

    /// A request of the host's own got no response.
    pub(super) fn own_failed(
        &mut self,
        now: Time,
        call: CallRef,
        sent: &Sent,
        reason: FailureReason,
        out: &mut Vec<Output>,
    ) {
        // Without its PRACK the peer gives up its INVITE, and says so (RFC 3262 §3).
        if sent.purpose == Purpose::Refresh {
            self.refresh_failed(now, call, sent.leg, reason, out);
        }
    }

    /// A 2xx to a refresh. That of a re-INVITE answers the offer of what was described before: nothing changes.
    fn took_refresh(&mut self, now: Time, client: ClientId, owner: Owner, response: &Response, out: &mut Vec<Output>) {
        let Owner { call, transaction } = owner;
        let Some(actor) = self.actors.get_mut(&call) else { return };
        let Some(sent) = actor.take_sent(transaction) else { return };
        if let Some(leg) = actor.leg_mut(sent.leg) {
            leg.take_2xx(now, response);
        }
        if sent.request.method == Method::Invite {
            let progress = Progress::Unacknowledged { client, give_up: now + ACK_TIME_MAX };
            add(&mut actor.sent, Sent { progress, ..sent });
            self.acknowledge(now, call, transaction, Vec::new(), Vec::new(), out);
        }
    }
}

/// The number of a reliable provisional response (RFC 3262 §7.1).
fn reliable(response: &Response) -> Option<RSeq> {
    let provisional = response.status.is_provisional() && response.status.code() > 100;
    let required = provisional && response.headers.lists_token(&HeaderName::Require, "100rel");
    let rseq = response.headers.get(&HeaderName::RSeq).filter(|_| required)?;
    RSeq::parse(&rseq.to_text()?).ok()
}
