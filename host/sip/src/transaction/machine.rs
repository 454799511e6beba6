//! What goes into the machines and comes out of them.

use crate::message::Status;
use crate::time::Time;
use crate::transaction::invite_client::InviteClient;
use crate::transaction::invite_server::InviteServer;
use crate::transaction::non_invite_client::NonInviteClient;
use crate::transaction::non_invite_server::NonInviteServer;
use crate::transaction::{FailureReason, TimerValues};

/// What happens to a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientInput {
    /// A 1xx came.
    Provisional,
    /// A 2xx came.
    Success,
    /// A 3xx to 6xx came.
    Failure,
    /// Its CANCEL is being sent.
    Cancelled,
    /// A message could not be sent.
    TransportError,
    /// The time of `next_deadline` has come, or a little more.
    Deadline,
}

impl ClientInput {
    pub(super) fn of(status: Status) -> ClientInput {
        if status.is_provisional() {
            ClientInput::Provisional
        } else if status.is_success() {
            ClientInput::Success
        } else {
            ClientInput::Failure
        }
    }
}

/// What a client transaction wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientAction {
    /// Send the request again.
    Retransmit,
    /// Send the ACK of the failure (RFC 3261 §17.1.1.3).
    Acknowledge,
    /// Tell the user of the response.
    Report,
    /// Tell the user that there will be none.
    Fail(FailureReason),
}

/// What happens to a server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerInput {
    /// The request came again.
    Retransmission,
    /// An ACK came.
    Ack,
    /// The user sends a 1xx.
    Provisional,
    /// The user sends a 2xx.
    Success,
    /// The user sends a 3xx to 6xx.
    Failure,
    /// The time of `next_deadline` has come, or a little more.
    Deadline,
}

impl ServerInput {
    pub(super) fn of(status: Status) -> ServerInput {
        if status.is_provisional() {
            ServerInput::Provisional
        } else if status.is_success() {
            ServerInput::Success
        } else {
            ServerInput::Failure
        }
    }
}

/// What a server transaction wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerAction {
    /// Send a 100.
    SendTrying,
    /// Send the latest response, for the first time or again.
    SendLast,
    /// Tell the user of the ACK of the 2xx.
    ReportAck,
    /// Tell the user that no ACK of the 2xx came.
    ReportNoAck,
}

/// Either client machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClientMachine {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

impl ClientMachine {
    pub(super) fn new(is_invite: bool, now: Time, timers: TimerValues, reliable: bool) -> ClientMachine {
        if is_invite {
            ClientMachine::Invite(InviteClient::new(now, timers, reliable))
        } else {
            ClientMachine::NonInvite(NonInviteClient::new(now, timers, reliable))
        }
    }

    pub(super) fn step(self, now: Time, input: ClientInput, out: &mut Vec<ClientAction>) -> Option<ClientMachine> {
        match self {
            ClientMachine::Invite(machine) => machine.step(now, input, out).map(ClientMachine::Invite),
            ClientMachine::NonInvite(machine) => machine.step(now, input, out).map(ClientMachine::NonInvite),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self {
            ClientMachine::Invite(machine) => machine.next_deadline(),
            ClientMachine::NonInvite(machine) => machine.next_deadline(),
        }
    }

    /// Whether there is no final response yet.
    pub(super) fn is_unanswered(&self) -> bool {
        match self {
            ClientMachine::Invite(machine) => machine.is_unanswered(),
            ClientMachine::NonInvite(machine) => machine.is_unanswered(),
        }
    }

    /// The INVITE machine, when it is one.
    pub(super) fn invite(&self) -> Option<&InviteClient> {
        match self {
            ClientMachine::Invite(machine) => Some(machine),
            ClientMachine::NonInvite(_) => None,
        }
    }
}

/// Either server machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum ServerMachine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

impl ServerMachine {
    pub(super) fn new(is_invite: bool, now: Time, timers: TimerValues, reliable: bool) -> ServerMachine {
        if is_invite {
            ServerMachine::Invite(InviteServer::new(now, timers, reliable))
        } else {
            ServerMachine::NonInvite(NonInviteServer::new(now, timers, reliable))
        }
    }

    pub(super) fn step(self, now: Time, input: ServerInput, out: &mut Vec<ServerAction>) -> Option<ServerMachine> {
        match self {
            ServerMachine::Invite(machine) => machine.step(now, input, out).map(ServerMachine::Invite),
            ServerMachine::NonInvite(machine) => machine.step(now, input, out).map(ServerMachine::NonInvite),
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Time> {
        match self {
            ServerMachine::Invite(machine) => machine.next_deadline(),
            ServerMachine::NonInvite(machine) => machine.next_deadline(),
        }
    }

    pub(super) fn is_unanswered(&self) -> bool {
        match self {
            ServerMachine::Invite(machine) => machine.is_unanswered(),
            ServerMachine::NonInvite(machine) => machine.is_unanswered(),
        }
    }
}
