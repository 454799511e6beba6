//! `[tenants."domain".limits]`: what a tenant may take. A key for each [`Limit`](plugboard_calls::limits::Limit).

use super::TenantConfig;
use super::read::number;
use super::table::Table;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What an instance of call logic may be given; no more than [`plugboard_engine::MEMORY_BYTES_MAX`].
pub(super) const MEMORY_BYTES: RangeInclusive<u64> = 1_048_576..=268_435_456;
/// How long one event may take, in milliseconds; the clock of deadlines ticks every five.
pub(super) const DEADLINE_MS: RangeInclusive<u64> = 5..=10_000;
/// Largest body of a request, in bytes.
pub(super) const BODY_BYTES: RangeInclusive<u64> = 0..=16_777_216;

/// Reads the table into its tenant.
pub(super) fn read(mut table: Table<'_>, tenant: &mut TenantConfig) {
    let bytes = |number: u64| usize::try_from(number).ok();
    tenant.memory_bytes = table.number("memory_bytes", MEMORY_BYTES).and_then(bytes);
    tenant.event_deadline = table.number("event_deadline_ms", DEADLINE_MS).map(Duration::from_millis);
    tenant.body_bytes_max = table.number("body_bytes_max", BODY_BYTES).and_then(bytes);
    let limits = &mut tenant.limits;
    number(&mut table, "calls_per_second", 1..=1_000_000, &mut limits.calls_per_second);
    number(&mut table, "calls", 1..=10_000_000, &mut limits.calls);
    number(&mut table, "exchanges_waiting", 1..=1_000_000, &mut limits.exchanges_waiting);
    number(&mut table, "events_at_once", 1..=64, &mut limits.events_at_once);
    number(&mut table, "effects_per_event", 1..=10_000, &mut limits.effects_per_event);
    number(&mut table, "bytes_per_event", 1..=16_777_216, &mut limits.bytes_per_event);
    number(&mut table, "state_bytes", 1..=1_048_576, &mut limits.state_bytes);
    number(&mut table, "legs_per_call", 1..=1_000, &mut limits.legs_per_call);
    number(&mut table, "transactions_per_call", 1..=10_000, &mut limits.transactions_per_call);
    number(&mut table, "timers_per_call", 1..=1_000, &mut limits.timers_per_call);
    number(&mut table, "events_queued_per_call", 1..=10_000, &mut limits.events_queued_per_call);
    number(&mut table, "breakdowns_in_a_row", 1..=1_000, &mut limits.breakdowns_in_a_row);
    number(&mut table, "idle_call_seconds", 1..=86_400, &mut limits.idle_call_seconds);
    number(&mut table, "cache_bytes", 0..=68_719_476_736, &mut limits.cache_bytes);
    table.finish();
}
