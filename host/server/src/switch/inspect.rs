//! What operators and metrics ask the switch.

use super::{Switch, lock};
use plugboard_calls::contract::CallKey;
use plugboard_calls::history::What;
use plugboard_calls::logic::Logic;
use plugboard_calls::shard::CallSummary;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One message of a call, for the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderEntry {
    /// When it passed, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// The leg, counted from 1.
    pub leg: u32,
    /// The URI that the leg called.
    pub peer: String,
    /// Whether Plugboard sent it.
    pub outgoing: bool,
    /// `INVITE`, or `200 OK (INVITE)` without the reason phrase: `200 INVITE`.
    pub text: String,
}

/// Counts since start, for `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names are those of the metrics, which document them
pub struct Counters {
    pub datagrams_received: u64,
    pub datagrams_sent: u64,
    pub datagrams_refused: u64,
    pub sends_failed: u64,
    pub connections_open: u64,
    pub connections_accepted: u64,
    pub connections_opened: u64,
    pub connections_turned_away: u64,
    pub connections_cut_off: u64,
    pub connections_failed: u64,
    pub requests_outside_dialogs: u64,
    pub requests_without_dialog: u64,
    pub stray_responses: u64,
    pub stray_requests: u64,
    pub flood_messages: u64,
    pub forks_ended: u64,
    pub requests_sent_elsewhere: u64,
    pub targets_avoided: u64,
    pub retransmissions_sent: u64,
    pub retransmissions_absorbed: u64,
    pub transactions_refused: u64,
    pub calls: u64,
}

/// The counts that no shard keeps.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub datagrams_received: AtomicU64,
    pub datagrams_sent: AtomicU64,
    pub datagrams_refused: AtomicU64,
    pub flood_messages: AtomicU64,
    pub sends_failed: AtomicU64,
}

impl Switch {
    /// The calls that are not over, of one tenant or of all, oldest first.
    pub fn calls(&self, domain: Option<&str>) -> Vec<CallSummary> {
        let now = self.clock.now();
        let all = self.shards.iter().flat_map(|shard| lock(shard).calls(now));
        let mut calls: Vec<CallSummary> = all.filter(|call| domain.is_none_or(|d| *call.domain == *d)).collect();
        calls.sort_by(|a, b| (a.since, &a.key).cmp(&(b.since, &b.key)));
        calls
    }

    /// The messages of the last call under this key, over or not.
    pub fn ladder(&self, domain: &str, key: &CallKey) -> Option<Vec<LadderEntry>> {
        let shard = lock(&self.shards[usize::from(self.shard_for(domain, key))]);
        let (summary, history) = shard.history(domain, key, self.clock.now())?;
        drop(shard);
        let peer = |leg| summary.legs.iter().find(|l| l.id == leg).map(|l| l.target.to_string()).unwrap_or_default();
        let entry = |passed: &plugboard_calls::history::Passed| LadderEntry {
            unix_ms: passed.at.as_millis(),
            leg: passed.leg.0,
            peer: peer(passed.leg),
            outgoing: passed.outgoing,
            text: match &passed.what {
                What::Request(method) => method.to_string(),
                What::Response(status, method) => format!("{} {method}", status.code()),
            },
        };
        Some(history.messages().iter().map(entry).collect())
    }

    /// Calls that are pinned to a version and not over, in number.
    pub fn calls_on(&self, logic: &Arc<dyn Logic>) -> usize {
        self.shards.iter().map(|shard| lock(shard).calls_on(logic)).sum()
    }

    /// Counts since start.
    pub fn counters(&self) -> Counters {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let streams = self.sockets.streams();
        let of_streams = streams.counters();
        let mut sum = Counters {
            connections_open: streams.open_connections() as u64,
            connections_accepted: value(&of_streams.accepted),
            connections_opened: value(&of_streams.opened),
            connections_turned_away: value(&of_streams.turned_away),
            connections_cut_off: value(&of_streams.cut_off),
            connections_failed: value(&of_streams.failed),
            datagrams_received: value(&self.counters.datagrams_received),
            datagrams_sent: value(&self.counters.datagrams_sent),
            datagrams_refused: value(&self.counters.datagrams_refused),
            sends_failed: value(&self.counters.sends_failed),
            flood_messages: value(&self.counters.flood_messages),
            targets_avoided: lock(&self.avoided).count(self.clock.now()) as u64,
            ..Counters::default()
        };
        for shard in &self.shards {
            let shard = lock(shard);
            let (own, transactions) = (shard.counters(), shard.transaction_counters());
            sum.requests_outside_dialogs += own.requests_outside;
            sum.requests_without_dialog += own.without_dialog;
            sum.stray_responses += own.stray_responses;
            sum.stray_requests += own.stray_requests;
            sum.forks_ended += own.forks_ended;
            sum.requests_sent_elsewhere += own.sent_elsewhere;
            sum.retransmissions_sent += transactions.retransmissions_sent;
            sum.retransmissions_absorbed += transactions.retransmissions_absorbed;
            sum.transactions_refused += transactions.clients_refused + transactions.servers_refused;
            sum.calls += shard.len() as u64;
        }
        sum
    }
}
