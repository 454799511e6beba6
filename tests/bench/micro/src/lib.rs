//! The steps of a call one by one, each as a function that can be run again and again. `benches/micro.rs` takes their
//! time, `src/bin/count.rs` runs them for a count of their instructions.

mod call;
mod guest;
mod message;

pub use call::{Exchange, Held};
pub use guest::Guest;
pub use message::{Transactions, admitted, challenge_answered, response_datagram, serialised};
use std::time::Duration;

/// From one call to the next: within a counted run the transactions of the first ones end.
const BETWEEN_CALLS: Duration = Duration::from_secs(2);

/// The steps by name: what `count` runs, and what `counts.json` holds a figure for.
pub const STEPS: [&str; 13] = [
    "parse",
    "serialise",
    "client_transaction",
    "server_transaction",
    "digest",
    "refer_call",
    "invite_call",
    "refer_call_sandboxed",
    "invite_call_sandboxed",
    "guest_response_event",
    "guest_response_event_fresh_instance",
    "guest_status_xml",
    "nothing",
];

/// Runs a step so often. `nothing` is the price of the program around it.
///
/// # Panics
/// When there is no such step, or it does not do what it should.
pub fn repeat(step: &str, times: u32) {
    fn each(times: u32, mut work: impl FnMut()) {
        (0..times).for_each(|_| work());
    }
    match step {
        "parse" => each(times, || drop(std::hint::black_box(admitted()))),
        "serialise" => {
            let request = message::invite();
            each(times, || drop(std::hint::black_box(serialised(&request))));
        }
        "client_transaction" => {
            let mut transactions = Transactions::new();
            each(times, || transactions.client());
        }
        "server_transaction" => {
            let mut transactions = Transactions::new();
            each(times, || transactions.server());
        }
        "digest" => each(times, || drop(std::hint::black_box(challenge_answered()))),
        "refer_call" => each(times, refer(Exchange::default())),
        "invite_call" => each(times, invite(Exchange::default())),
        "refer_call_sandboxed" => each(times, refer(Exchange::sandboxed())),
        "invite_call_sandboxed" => each(times, invite(Exchange::sandboxed())),
        "guest_response_event" => {
            let guest = Guest::new();
            each(times, || guest.response());
        }
        "guest_response_event_fresh_instance" => {
            let guest = Guest::new();
            each(times, || {
                guest.rest();
                guest.response();
            });
        }
        "guest_status_xml" => {
            let guest = Guest::new();
            each(times, || guest.status());
        }
        "nothing" => {}
        other => panic!("{other:?} is no step; there are {STEPS:?}"),
    }
}

fn refer(mut exchange: Exchange) -> impl FnMut() {
    move || {
        exchange.refer();
        exchange.pass(BETWEEN_CALLS);
    }
}

fn invite(mut exchange: Exchange) -> impl FnMut() {
    move || {
        let held = exchange.join();
        exchange.hang_up(&held);
        exchange.pass(BETWEEN_CALLS);
    }
}
