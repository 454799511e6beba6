//! What a call takes of memory: `./just bench-memory`. Counts what the core asks for; what the allocator rounds up and
//! what a whole process grows by is for `./just bench`.

use plugboard_micro::Exchange;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::Duration;

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls that a figure is the mean of. Close below a power of two: tables double, and are nearly full then.
const CALLS: isize = 8_000;
/// Longer than any transaction lives, shorter than a status record.
const TRANSACTIONS_END: Duration = Duration::from_secs(70);

fn main() {
    let refer: fn(&mut Exchange) = Exchange::refer;
    let invite: fn(&mut Exchange) = |exchange| drop(exchange.join());
    for (what, place) in [("REFER, over", refer), ("INVITE, held", invite)] {
        let mut exchange = Exchange::default();
        let region = Region::new(MEMORY);
        (0..CALLS).for_each(|_| place(&mut exchange));
        let held = |region: &Region<'_, System>| {
            let change = region.change();
            (change.bytes_allocated as isize - change.bytes_deallocated as isize) / CALLS
        };
        println!("{what}: {} bytes while its transactions are remembered", held(&region));
        println!("{what}: {} allocations", region.change().allocations as isize / CALLS);
        exchange.pass(TRANSACTIONS_END);
        println!("{what}: {} bytes after that", held(&region));
    }
}
