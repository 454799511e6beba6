//! One client transaction, and what is kept of it: less and less as it goes on, because most of its life it only waits
//! for what comes again.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::message::{HeaderName, Headers, Method, Response};
use crate::text::Text;
use crate::time::Time;
use crate::transaction::config::MAX_FORKS;
use crate::transaction::deadlines::Scheduled;
use crate::transaction::derived;
use crate::transaction::machine::{ClientAction, ClientMachine};
use crate::transaction::non_invite_client::NonInviteClient;
use crate::transaction::{ClientId, Counters, Output, Stray, StrayReason};
use crate::transport::Destination;

/// A request that we sent, and what has become of it.
#[derive(Debug)]
pub(super) struct Client<U> {
    pub(super) machine: ClientMachine,
    pub(super) user: U,
    pub(super) method: Method,
    /// What its branch proves itself by.
    pub(super) proof: u64,
    pub(super) destination: Destination,
    /// The request, until nothing can want it any more: it may be sent again, and ACK and CANCEL follow from it.
    pub(super) bytes: Bytes,
    pub(super) invite: Option<Box<Invite>>,
    pub(super) scheduled: Scheduled,
}

/// What is kept of an INVITE beyond its bytes.
#[derive(Debug, Default)]
pub(super) struct Invite {
    pub(super) cancel: Cancel,
    pub(super) failure_ack: Option<Bytes>,
    /// One for each To tag that a 2xx came with, [`MAX_FORKS`] at most. Forks are rare.
    pub(super) accepted: SmallVec<[Accepted; 1]>,
}

/// Where the CANCEL of an INVITE stands.
#[derive(Debug, Default)]
pub(super) enum Cancel {
    #[default]
    NotWanted,
    /// Until a provisional response comes, with the user's header fields for it.
    Held(Headers),
    /// Its transaction; none when that is over.
    Sent { machine: Option<NonInviteClient>, bytes: Bytes },
}

/// A 2xx to an INVITE, and its ACK once that was sent.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) to_tag: Text,
    pub(super) ack: Option<(Destination, Bytes)>,
}

impl<U: Copy> Client<U> {
    pub(super) fn cancel_deadline(&self) -> Option<Time> {
        match &self.invite.as_ref()?.cancel {
            Cancel::Sent { machine, .. } => machine.as_ref()?.next_deadline(),
            Cancel::NotWanted | Cancel::Held(_) => None,
        }
    }

    /// Lets go of the request once it has its final response: it is not sent again, and nothing follows from it.
    pub(super) fn forget(&mut self) {
        if self.machine.is_unanswered() {
            return;
        }
        self.bytes = Bytes::new();
        if let Some(invite) = &mut self.invite
            && let Cancel::Held(_) = invite.cancel
        {
            invite.cancel = Cancel::NotWanted; // it came too late
        }
    }

    /// Does what the machine wants done; `response` is what came, if anything did.
    pub(super) fn perform(
        &mut self,
        id: ClientId,
        action: ClientAction,
        response: &mut Option<Response>,
        counters: &mut Counters,
        out: &mut Vec<Output<U>>,
    ) {
        match action {
            ClientAction::Retransmit => {
                counters.retransmissions_sent += 1;
                let (destination, bytes) = (self.destination, self.bytes.clone());
                out.push(Output::Transmit { destination, bytes, client: Some(id) });
            }
            ClientAction::Acknowledge => {
                let Some(invite) = &mut self.invite else { return };
                if let (None, Some(response)) = (&invite.failure_ack, &response) {
                    invite.failure_ack = derived::failure_ack(&self.bytes, response);
                }
                if let Some(bytes) = invite.failure_ack.clone() {
                    out.push(Output::Transmit { destination: self.destination, bytes, client: Some(id) });
                }
            }
            ClientAction::Report => {
                if let Some(response) = response.take() {
                    self.report(id, response, counters, out);
                }
            }
            ClientAction::Fail(reason) => out.push(Output::Failed { client: id, user: self.user, reason }),
        }
    }

    /// Tells the user of a response, but not of a 2xx that comes again: that gets its ACK again, when there is one.
    fn report(&mut self, id: ClientId, response: Response, counters: &mut Counters, out: &mut Vec<Output<U>>) {
        if let Some(invite) = self.invite.as_mut().filter(|_| response.status.is_success()) {
            let to_tag = response.headers.look_tag(&HeaderName::To).unwrap_or_default();
            if let Some(known) = invite.accepted.iter().find(|known| known.to_tag == to_tag) {
                if let Some((destination, bytes)) = known.ack.clone() {
                    counters.retransmissions_sent += 1;
                    out.push(Output::Transmit { destination, bytes, client: None });
                }
                return;
            }
            if invite.accepted.len() == MAX_FORKS {
                counters.strays += 1;
                let reason = StrayReason::Response(Box::new(response));
                out.push(Output::Stray(Stray { flow: self.destination, reason }));
                return;
            }
            invite.accepted.push(Accepted { to_tag: Text::from(to_tag), ack: None });
        }
        out.push(Output::Response { client: id, user: self.user, response });
    }
}
