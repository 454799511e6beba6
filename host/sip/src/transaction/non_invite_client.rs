//! The non-INVITE client transaction (RFC 3261 §17.1.2). A CANCEL is one too.

use crate::time::Time;
use crate::transaction::machine::{ClientAction, ClientInput};
use crate::transaction::timer::{Resend, Timers};
use crate::transaction::{FailureReason, TimerValues};

/// The machine. It keeps no messages: its actions say what to do with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct NonInviteClient {
    state: State,
    timers: Timers,
    reliable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No response yet. `resend` is timer E, `give_up_at` timer F.
    Trying { resend: Option<Resend>, give_up_at: Time },
    /// A provisional response came; the request is still sent again, every T2.
    Proceeding { resend: Option<Resend>, give_up_at: Time },
    /// The final response came; its retransmissions are absorbed. `until` is timer K.
    Completed { until: Time },
}

impl NonInviteClient {
    /// The request is being sent.
    pub(super) fn new(now: Time, timers: TimerValues, reliable: bool) -> NonInviteClient {
        let timers = Timers::from(timers);
        let resend = (!reliable).then(|| Resend::after(now, timers.t1()));
        let state = State::Trying { resend, give_up_at: now + timers.transaction_timeout() };
        NonInviteClient { state, timers, reliable }
    }

    /// What happens at an input; none when the transaction is over.
    pub(super) fn step(self, now: Time, input: ClientInput, out: &mut Vec<ClientAction>) -> Option<NonInviteClient> {
        match self.state {
            State::Trying { resend, give_up_at } => match input {
                ClientInput::Deadline if now < give_up_at => {
                    let next = |due: Resend| due.doubled(now, self.timers.t2());
                    let resend = self.resent(now, resend, next, out);
                    self.to(State::Trying { resend, give_up_at })
                }
                ClientInput::Provisional => {
                    out.push(ClientAction::Report);
                    self.to(State::Proceeding { resend, give_up_at })
                }
                other => self.ended(now, other, out),
            },
            State::Proceeding { resend, give_up_at } => match input {
                ClientInput::Deadline if now < give_up_at => {
                    let next = |_| Resend::after(now, self.timers.t2());
                    let resend = self.resent(now, resend, next, out);
                    self.to(State::Proceeding { resend, give_up_at })
                }
                ClientInput::Provisional => {
                    out.push(ClientAction::Report);
                    Some(self)
                }
                other => self.ended(now, other, out),
            },
            State::Completed { until } => match input {
                ClientInput::Deadline if now >= until => None,
                ClientInput::Deadline
                | ClientInput::Cancelled
                | ClientInput::Provisional
                | ClientInput::Success
                | ClientInput::Failure
                | ClientInput::TransportError => Some(self),
            },
        }
    }

    /// When [`ClientInput::Deadline`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Trying { resend, give_up_at } | State::Proceeding { resend, give_up_at } => {
                Some(resend.map_or(give_up_at, |resend| resend.at.min(give_up_at)))
            }
            State::Completed { until } => Some(until),
        }
    }

    /// Whether there is no final response yet.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    /// What ends the wait for a final response, in Trying and Proceeding alike.
    fn ended(self, now: Time, input: ClientInput, out: &mut Vec<ClientAction>) -> Option<NonInviteClient> {
        match input {
            ClientInput::Success | ClientInput::Failure => {
                out.push(ClientAction::Report);
                if self.reliable { None } else { self.to(State::Completed { until: now + self.timers.t4() }) }
            }
            ClientInput::Deadline => {
                out.push(ClientAction::Fail(FailureReason::Timeout));
                None
            }
            ClientInput::TransportError => {
                out.push(ClientAction::Fail(FailureReason::Transport));
                None
            }
            // Only an INVITE can be cancelled.
            ClientInput::Cancelled | ClientInput::Provisional => Some(self),
        }
    }

    fn resent(
        self,
        now: Time,
        resend: Option<Resend>,
        next: impl Fn(Resend) -> Resend,
        out: &mut Vec<ClientAction>,
    ) -> Option<Resend> {
        match resend {
            Some(due) if now >= due.at => {
                out.push(ClientAction::Retransmit);
                Some(next(due))
            }
            other => other,
        }
    }

    fn to(self, state: State) -> Option<NonInviteClient> {
        Some(NonInviteClient { state, ..self })
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> String {
        format!("{:?}", self.state)
    }
}
