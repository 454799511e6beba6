//! The whole transition table of each machine against `transitions.txt`. A changed table is reviewed like code: a
//! failure prints what the table is now.

use std::fmt::Write;

use super::*;
use crate::transaction::invite_client::InviteClient;
use crate::transaction::invite_server::InviteServer;
use crate::transaction::machine::{ClientAction, ClientInput, ServerAction, ServerInput};
use crate::transaction::non_invite_client::NonInviteClient;
use crate::transaction::non_invite_server::NonInviteServer;

const CLIENT_INPUTS: [ClientInput; 5] = [
    ClientInput::Provisional,
    ClientInput::Success,
    ClientInput::Failure,
    ClientInput::Cancelled,
    ClientInput::TransportError,
];

const SERVER_INPUTS: [ServerInput; 5] = [
    ServerInput::Retransmission,
    ServerInput::Ack,
    ServerInput::Provisional,
    ServerInput::Success,
    ServerInput::Failure,
];

/// When every timer has gone off.
const LONG_AFTER: u64 = 1_000_000;

/// Writes the table of one machine: all states that inputs lead to from the first, each with all inputs, at time 100
/// or, for a deadline, when it comes and long after. A state is followed once, whatever its times.
macro_rules! table {
    ($out:expr, $machine:ident, $input:ident, $inputs:expr, $action:ty) => {
        for (transport, reliable) in [("unreliable", false), ("reliable", true)] {
            writeln!($out, "{} on {transport} transport", stringify!($machine)).expect("a String");
            let first = $machine::new(Time::from_millis(0), TimerValues::default(), reliable);
            let (mut seen, mut open) = (vec![shape(&first.state())], vec![first]);
            while let Some(machine) = open.pop() {
                writeln!($out, "  {}", tidy(&machine.state())).expect("a String");
                let deadline = machine.next_deadline().map_or(100, Time::as_millis);
                let deadlines = [deadline, LONG_AFTER].map(|now| (<$input>::Deadline, now));
                let others = $inputs.into_iter().map(|input| (input, 100));
                for (input, now) in others.chain(deadlines) {
                    let mut actions: Vec<$action> = Vec::new();
                    let next = machine.step(Time::from_millis(now), input, &mut actions);
                    let state = next.map_or("over".to_owned(), |next| tidy(&next.state()));
                    let same = if state == tidy(&machine.state()) { "=".to_owned() } else { state };
                    writeln!($out, "    {input:?} at {now}: {actions:?} {same}").expect("a String");
                    if let Some(next) = next.filter(|next| !seen.contains(&shape(&next.state()))) {
                        seen.push(shape(&next.state()));
                        open.push(next);
                    }
                }
            }
        }
    };
}

/// A state in fewer words.
fn tidy(state: &str) -> String {
    state.replace("Time(", "(").replace("Resend ", "")
}

/// A state without its times.
fn shape(state: &str) -> String {
    state.chars().filter(|char| !char.is_ascii_digit() && *char != '.').collect::<String>().replace("ms", "s")
}

#[test]
fn the_transition_tables_are_as_written() {
    let mut out = String::new();
    table!(out, InviteClient, ClientInput, CLIENT_INPUTS, ClientAction);
    table!(out, NonInviteClient, ClientInput, CLIENT_INPUTS, ClientAction);
    table!(out, InviteServer, ServerInput, SERVER_INPUTS, ServerAction);
    table!(out, NonInviteServer, ServerInput, SERVER_INPUTS, ServerAction);
    let written = include_str!("transitions.txt");
    assert!(out == written, "the transition table is now:\n{out}");
}
