//! The non-INVITE server transaction (RFC 3261 §17.2.2).

use crate::time::Time;
use crate::transaction::TimerValues;
use crate::transaction::machine::{ServerAction, ServerInput};
use crate::transaction::timer::Timers;

/// The machine. It keeps no messages: its actions say what to do with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct NonInviteServer {
    state: State,
    timers: Timers,
    reliable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No response yet. Not in RFC 3261: `give_up_at`, when the client's timer F has gone off and an answer would
    /// reach nobody (RFC 4320 §4.2), so that a request that is never answered does not stay forever.
    Trying { give_up_at: Time },
    /// A provisional response was sent.
    Proceeding { give_up_at: Time },
    /// The final response was sent; it answers retransmissions. `until` is timer J.
    Completed { until: Time },
}

impl NonInviteServer {
    /// A request came.
    pub(super) fn new(now: Time, timers: TimerValues, reliable: bool) -> NonInviteServer {
        let timers = Timers::from(timers);
        let state = State::Trying { give_up_at: now + timers.transaction_timeout() };
        NonInviteServer { state, timers, reliable }
    }

    /// What happens at an input; none when the transaction is over.
    pub(super) fn step(self, now: Time, input: ServerInput, out: &mut Vec<ServerAction>) -> Option<NonInviteServer> {
        match (self.state, input) {
            (State::Trying { give_up_at } | State::Proceeding { give_up_at }, ServerInput::Deadline) => {
                if now >= give_up_at { None } else { Some(self) }
            }
            (State::Trying { give_up_at } | State::Proceeding { give_up_at }, ServerInput::Provisional) => {
                out.push(ServerAction::SendLast);
                self.to(State::Proceeding { give_up_at })
            }
            (State::Trying { .. } | State::Proceeding { .. }, ServerInput::Success | ServerInput::Failure) => {
                out.push(ServerAction::SendLast);
                let until = now + self.timers.transaction_timeout();
                if self.reliable { None } else { self.to(State::Completed { until }) }
            }
            (State::Proceeding { .. } | State::Completed { .. }, ServerInput::Retransmission) => {
                out.push(ServerAction::SendLast);
                Some(self)
            }
            (State::Completed { until }, ServerInput::Deadline) if now >= until => None,
            (State::Trying { .. }, ServerInput::Retransmission)
            | (State::Trying { .. } | State::Proceeding { .. }, ServerInput::Ack)
            | (
                State::Completed { .. },
                ServerInput::Deadline
                | ServerInput::Ack
                | ServerInput::Provisional
                | ServerInput::Success
                | ServerInput::Failure,
            ) => Some(self),
        }
    }

    /// When [`ServerInput::Deadline`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Trying { give_up_at: at }
            | State::Proceeding { give_up_at: at }
            | State::Completed { until: at } => Some(at),
        }
    }

    /// Whether there is no final response yet.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
    }

    fn to(self, state: State) -> Option<NonInviteServer> {
        Some(NonInviteServer { state, ..self })
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> String {
        format!("{:?}", self.state)
    }
}
