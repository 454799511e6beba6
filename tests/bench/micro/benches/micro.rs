//! The time of each step: `./just bench-micro`.

use plugboard_micro::{Guest, Transactions, admitted, challenge_answered};

fn main() {
    divan::main();
}

#[divan::bench]
fn parse() -> impl Sized {
    admitted()
}

#[divan::bench]
fn serialise(bencher: divan::Bencher<'_, '_>) {
    bencher.bench_local(|| plugboard_micro::repeat("serialise", 1));
}

#[divan::bench]
fn client_transaction(bencher: divan::Bencher<'_, '_>) {
    let mut transactions = Transactions::new();
    bencher.bench_local(|| transactions.client());
}

#[divan::bench]
fn server_transaction(bencher: divan::Bencher<'_, '_>) {
    let mut transactions = Transactions::new();
    bencher.bench_local(|| transactions.server());
}

#[divan::bench]
fn digest() -> impl Sized {
    challenge_answered()
}

#[divan::bench]
fn guest_response_event(bencher: divan::Bencher<'_, '_>) {
    let guest = Guest::new();
    bencher.bench_local(|| guest.response());
}

#[divan::bench]
fn guest_response_event_fresh_instance(bencher: divan::Bencher<'_, '_>) {
    let guest = Guest::new();
    bencher.with_inputs(|| guest.rest()).bench_local_values(|()| guest.response());
}

#[divan::bench]
fn guest_status_xml(bencher: divan::Bencher<'_, '_>) {
    let guest = Guest::new();
    bencher.bench_local(|| guest.status());
}
