//! The INVITE client transaction (RFC 3261 §17.1.1 with RFC 6026 §7.2).

use std::time::Duration;

use crate::time::Time;
use crate::transaction::machine::{ClientAction, ClientInput};
use crate::transaction::timer::{Resend, Timers};
use crate::transaction::{FailureReason, TimerValues};

/// Timer D on an unreliable transport: at least this long (RFC 3261 §17.1.1.2).
const SHORTEST_TIMER_D: Duration = Duration::from_secs(32);

/// The machine. It keeps no messages: its actions say what to do with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct InviteClient {
    state: State,
    timers: Timers,
    reliable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No response yet. `resend` is timer A, `give_up_at` timer B.
    Calling { resend: Option<Resend>, give_up_at: Time },
    /// A provisional response came. It may take as long as it likes, unless it was cancelled (RFC 3261 §9.1).
    Proceeding { give_up_at: Option<Time> },
    /// A failure came; its retransmissions are acknowledged. `until` is timer D.
    Completed { until: Time },
    /// A 2xx came; more may come, from other branches of a fork. `until` is timer M.
    Accepted { until: Time },
}

impl InviteClient {
    /// The INVITE is being sent.
    pub(super) fn new(now: Time, timers: TimerValues, reliable: bool) -> InviteClient {
        let timers = Timers::from(timers);
        let resend = (!reliable).then(|| Resend::after(now, timers.t1()));
        let state = State::Calling { resend, give_up_at: now + timers.transaction_timeout() };
        InviteClient { state, timers, reliable }
    }

    /// What happens at an input; none when the transaction is over.
    pub(super) fn step(self, now: Time, input: ClientInput, out: &mut Vec<ClientAction>) -> Option<InviteClient> {
        match self.state {
            State::Calling { resend, give_up_at } => match input {
                ClientInput::Deadline if now >= give_up_at => self.fail(FailureReason::Timeout, out),
                ClientInput::Deadline => self.resend(now, resend, give_up_at, out),
                ClientInput::TransportError => self.fail(FailureReason::Transport, out),
                ClientInput::Cancelled => Some(self),
                ClientInput::Provisional | ClientInput::Success | ClientInput::Failure => {
                    self.answered(now, input, None, out)
                }
            },
            State::Proceeding { give_up_at } => match input {
                ClientInput::Deadline if give_up_at.is_some_and(|at| now >= at) => {
                    self.fail(FailureReason::Timeout, out)
                }
                ClientInput::Cancelled => {
                    let give_up_at = give_up_at.unwrap_or(now + self.timers.transaction_timeout());
                    self.to(State::Proceeding { give_up_at: Some(give_up_at) })
                }
                ClientInput::Deadline | ClientInput::TransportError => Some(self),
                ClientInput::Provisional | ClientInput::Success | ClientInput::Failure => {
                    self.answered(now, input, give_up_at, out)
                }
            },
            State::Completed { until } => match input {
                ClientInput::Failure => {
                    out.push(ClientAction::Acknowledge);
                    Some(self)
                }
                ClientInput::Deadline if now >= until => None,
                ClientInput::TransportError => None,
                ClientInput::Deadline | ClientInput::Cancelled | ClientInput::Provisional | ClientInput::Success => {
                    Some(self)
                }
            },
            State::Accepted { until } => match input {
                ClientInput::Success => {
                    out.push(ClientAction::Report);
                    Some(self)
                }
                ClientInput::Deadline if now >= until => None,
                ClientInput::Deadline
                | ClientInput::Cancelled
                | ClientInput::Provisional
                | ClientInput::Failure
                | ClientInput::TransportError => Some(self),
            },
        }
    }

    /// When [`ClientInput::Deadline`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Calling { resend, give_up_at } => {
                Some(resend.map_or(give_up_at, |resend| resend.at.min(give_up_at)))
            }
            State::Proceeding { give_up_at } => give_up_at,
            State::Completed { until } | State::Accepted { until } => Some(until),
        }
    }

    /// Whether a CANCEL may be sent now (RFC 3261 §9.1).
    pub(super) fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// Whether there is no final response yet.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }

    fn answered(
        self,
        now: Time,
        input: ClientInput,
        give_up_at: Option<Time>,
        out: &mut Vec<ClientAction>,
    ) -> Option<InviteClient> {
        if input == ClientInput::Failure {
            out.push(ClientAction::Acknowledge);
        }
        out.push(ClientAction::Report);
        match input {
            ClientInput::Success => self.to(State::Accepted { until: now + self.timers.transaction_timeout() }),
            ClientInput::Failure if self.reliable => None,
            ClientInput::Failure => {
                let timer_d = self.timers.transaction_timeout().max(SHORTEST_TIMER_D);
                self.to(State::Completed { until: now + timer_d })
            }
            _ => self.to(State::Proceeding { give_up_at }),
        }
    }

    fn resend(
        self,
        now: Time,
        resend: Option<Resend>,
        give_up_at: Time,
        out: &mut Vec<ClientAction>,
    ) -> Option<InviteClient> {
        let Some(due) = resend.filter(|resend| now >= resend.at) else { return Some(self) };
        out.push(ClientAction::Retransmit);
        self.to(State::Calling { resend: Some(due.doubled(now, Duration::MAX)), give_up_at })
    }

    fn fail(self, reason: FailureReason, out: &mut Vec<ClientAction>) -> Option<InviteClient> {
        out.push(ClientAction::Fail(reason));
        None
    }

    fn to(self, state: State) -> Option<InviteClient> {
        Some(InviteClient { state, ..self })
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> String {
        format!("{:?}", self.state)
    }
}
