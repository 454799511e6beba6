//! The INVITE server transaction (RFC 3261 §17.2.1 with RFC 6026 §7.1), and the retransmission of its 2xx
//! (RFC 3261 §13.3.1.4), which the RFC leaves to the user agent core.

use std::time::Duration;

use crate::time::Time;
use crate::transaction::TimerValues;
use crate::transaction::machine::{ServerAction, ServerInput};
use crate::transaction::timer::{Resend, Timers};

/// How long the user may think before the layer answers 100 (RFC 3261 §17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);

/// The machine. It keeps no messages: its actions say what to do with them.
#[derive(Clone, Copy, Debug)]
pub(super) struct InviteServer {
    state: State,
    timers: Timers,
    reliable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final response yet. `trying_at` is there until the first provisional one.
    Proceeding { trying_at: Option<Time> },
    /// A failure was sent. `resend` is timer G, `give_up_at` timer H.
    Completed { resend: Option<Resend>, give_up_at: Time },
    /// The failure was acknowledged; further ACKs are absorbed. `until` is timer I.
    Confirmed { until: Time },
    /// A 2xx was sent. `resend` is there until its ACK came; `until` is timer L.
    Accepted { resend: Option<Resend>, until: Time },
}

impl InviteServer {
    /// An INVITE came.
    pub(super) fn new(now: Time, timers: TimerValues, reliable: bool) -> InviteServer {
        let timers = Timers::from(timers);
        InviteServer { state: State::Proceeding { trying_at: Some(now + TRYING_AFTER) }, timers, reliable }
    }

    /// What happens at an input; none when the transaction is over.
    pub(super) fn step(self, now: Time, input: ServerInput, out: &mut Vec<ServerAction>) -> Option<InviteServer> {
        match self.state {
            State::Proceeding { trying_at } => self.proceeding(now, trying_at, input, out),
            State::Completed { resend, give_up_at } => match input {
                ServerInput::Retransmission => {
                    out.push(ServerAction::SendLast);
                    Some(self)
                }
                ServerInput::Ack if self.reliable => None,
                ServerInput::Ack => self.to(State::Confirmed { until: now + self.timers.t4() }),
                ServerInput::Deadline if now >= give_up_at => None,
                ServerInput::Deadline => {
                    let resend = self.resent(now, resend, out);
                    self.to(State::Completed { resend, give_up_at })
                }
                ServerInput::Provisional | ServerInput::Success | ServerInput::Failure => Some(self),
            },
            State::Confirmed { until } => match input {
                ServerInput::Deadline if now >= until => None,
                ServerInput::Deadline
                | ServerInput::Retransmission
                | ServerInput::Ack
                | ServerInput::Provisional
                | ServerInput::Success
                | ServerInput::Failure => Some(self),
            },
            State::Accepted { resend, until } => self.accepted(now, resend, until, input, out),
        }
    }

    fn proceeding(
        self,
        now: Time,
        trying_at: Option<Time>,
        input: ServerInput,
        out: &mut Vec<ServerAction>,
    ) -> Option<InviteServer> {
        let give_up_at = now + self.timers.transaction_timeout();
        match input {
            ServerInput::Retransmission => {
                if trying_at.is_none() {
                    out.push(ServerAction::SendLast);
                }
                Some(self)
            }
            ServerInput::Deadline => match trying_at {
                Some(at) if now >= at => {
                    out.push(ServerAction::SendTrying);
                    self.to(State::Proceeding { trying_at: None })
                }
                _ => Some(self),
            },
            ServerInput::Provisional => {
                out.push(ServerAction::SendLast);
                self.to(State::Proceeding { trying_at: None })
            }
            ServerInput::Success => {
                out.push(ServerAction::SendLast);
                // On every transport: a proxy behind a reliable hop may use an unreliable one.
                let resend = Some(Resend::after(now, self.timers.t1()));
                self.to(State::Accepted { resend, until: give_up_at })
            }
            ServerInput::Failure => {
                out.push(ServerAction::SendLast);
                let resend = (!self.reliable).then(|| Resend::after(now, self.timers.t1()));
                self.to(State::Completed { resend, give_up_at })
            }
            ServerInput::Ack => Some(self),
        }
    }

    fn accepted(
        self,
        now: Time,
        resend: Option<Resend>,
        until: Time,
        input: ServerInput,
        out: &mut Vec<ServerAction>,
    ) -> Option<InviteServer> {
        match input {
            ServerInput::Ack => {
                if resend.is_some() {
                    out.push(ServerAction::ReportAck);
                }
                self.to(State::Accepted { resend: None, until })
            }
            ServerInput::Deadline if now >= until => {
                if resend.is_some() {
                    out.push(ServerAction::ReportNoAck);
                }
                None
            }
            ServerInput::Deadline => {
                let resend = self.resent(now, resend, out);
                self.to(State::Accepted { resend, until })
            }
            ServerInput::Retransmission | ServerInput::Provisional | ServerInput::Success | ServerInput::Failure => {
                Some(self)
            }
        }
    }

    /// When [`ServerInput::Deadline`] is wanted.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Proceeding { trying_at } => trying_at,
            State::Completed { resend, give_up_at: end } | State::Accepted { resend, until: end } => {
                Some(resend.map_or(end, |resend| resend.at.min(end)))
            }
            State::Confirmed { until } => Some(until),
        }
    }

    /// Whether there is no final response yet.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    fn resent(self, now: Time, resend: Option<Resend>, out: &mut Vec<ServerAction>) -> Option<Resend> {
        match resend {
            Some(due) if now >= due.at => {
                out.push(ServerAction::SendLast);
                Some(due.doubled(now, self.timers.t2()))
            }
            other => other,
        }
    }

    fn to(self, state: State) -> Option<InviteServer> {
        Some(InviteServer { state, ..self })
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> String {
        format!("{:?}", self.state)
    }
}
