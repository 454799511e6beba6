//! `/metrics` in the Prometheus text format, version 0.0.4.

use super::Admin;
use crate::switch::Counters;
use plugboard_calls::limits::Limit;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// The type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(admin: &Admin) -> String {
    let mut out = Exposition::default();
    tenants(admin, &mut out);
    limits(admin, &mut out);
    versions(admin, &mut out);
    listeners(admin, &mut out);
    logins(admin, &mut out);
    switch(admin, &mut out);
    journal(admin, &mut out);
    out.text
}

/// A family's name, kind and help, then its samples.
#[derive(Default)]
struct Exposition {
    text: String,
}

/// What a sample is told apart by.
type Labels<'l> = &'l [(&'l str, &'l str)];

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: u64) {
        self.text.push_str(name);
        for (n, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{value}\"", if n == 0 { '{' } else { ',' });
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn tenants(admin: &Admin, out: &mut Exposition) {
    use plugboard_calls::tenant::TenantCounters;
    type Read = fn(&TenantCounters) -> u64;
    let families: [(&str, &str, &str, Read); 7] = [
        ("plugboard_calls_placed_total", "counter", "Calls that were placed.", |c| c.calls_placed.value()),
        ("plugboard_calls_up", "gauge", "Calls that are up.", |c| c.calls_up.value()),
        ("plugboard_exchanges_waiting", "gauge", "HTTP requests that wait for the guest's answer.", |c| {
            c.exchanges_waiting.value()
        }),
        ("plugboard_events_committed_total", "counter", "Events that were committed.", |c| c.events_committed.value()),
        ("plugboard_events_broken_total", "counter", "Events of which nothing happened.", |c| c.events_broken.value()),
        ("plugboard_events_dropped_total", "counter", "Events for which a queue was full.", |c| {
            c.events_dropped.value()
        }),
        ("plugboard_calls_ended_by_host_total", "counter", "Calls that the host had to end.", |c| {
            c.calls_ended_by_host.value()
        }),
    ];
    for (name, kind, help, read) in families {
        out.family(name, kind, help);
        for tenant in admin.tenants.load().iter() {
            out.sample(name, &[("tenant", tenant.domain())], read(&tenant.core.counters));
        }
    }
}

fn limits(admin: &Admin, out: &mut Exposition) {
    let name = "plugboard_limit_reached_total";
    out.family(name, "counter", "How often a tenant met one of its limits.");
    for tenant in admin.tenants.load().iter() {
        for limit in Limit::ALL {
            let labels = [("tenant", tenant.domain()), ("limit", limit.name())];
            out.sample(name, &labels, tenant.core.counters.limits.count(limit));
        }
    }
}

fn versions(admin: &Admin, out: &mut Exposition) {
    let name = "plugboard_version_live";
    out.family(name, "gauge", "The version of call logic that new calls take.");
    for tenant in admin.tenants.load().iter() {
        let live = tenant.deployments.live();
        let description = live.logic().description();
        let labels = [
            ("tenant", tenant.domain()),
            ("id", live.id()),
            ("name", &description.name),
            ("version", &description.version),
        ];
        out.sample(name, &labels, 1);
    }
    let name = "plugboard_version_candidate_percent";
    out.family(name, "gauge", "The share of new calls that a candidate takes.");
    for tenant in admin.tenants.load().iter() {
        if let Some((id, share)) = tenant.deployments.candidate() {
            out.sample(name, &[("tenant", tenant.domain()), ("id", &id)], u64::from(share.as_percent()));
        }
    }
    let name = "plugboard_stepped_back_total";
    out.family(name, "counter", "Versions that the host left by itself because they failed too often.");
    for tenant in admin.tenants.load().iter() {
        out.sample(name, &[("tenant", tenant.domain())], tenant.deployments.times_stepped_back());
    }
    let name = "plugboard_shadow_events_total";
    out.family(name, "counter", "Live events that a component in the shadow saw, by what came of the comparison.");
    for tenant in admin.tenants.load().iter() {
        let Some(shadow) = tenant.deployments.shadow() else { continue };
        let found = shadow.findings();
        let same = found.compared - found.different;
        let outcomes = [
            ("same", same),
            ("different", found.different),
            ("left_out", found.left_out),
            ("refused", found.refused),
            ("dropped", found.dropped),
        ];
        for (outcome, number) in outcomes {
            let labels = [("tenant", tenant.domain()), ("id", shadow.id()), ("outcome", outcome)];
            out.sample(name, &labels, number);
        }
    }
    let name = "plugboard_guest_faults_total";
    out.family(name, "counter", "Events that the live version failed at, by kind.");
    for tenant in admin.tenants.load().iter() {
        let live = tenant.deployments.live();
        for (kind, number) in live.stats().faults {
            out.sample(name, &[("tenant", tenant.domain()), ("id", live.id()), ("kind", kind)], number);
        }
    }
}

fn listeners(admin: &Admin, out: &mut Exposition) {
    use crate::listen::ListenerCounters;
    type Read = fn(&ListenerCounters) -> &AtomicU64;
    let families: [(&str, &str, &str, Read); 4] = [
        ("plugboard_http_connections_total", "counter", "Connections that were accepted.", |c| &c.accepted),
        ("plugboard_http_connections_open", "gauge", "Connections that are open.", |c| &c.open),
        ("plugboard_http_cut_off_total", "counter", "Connections closed because the client was too slow.", |c| {
            &c.cut_off
        }),
        ("plugboard_http_handshakes_failed_total", "counter", "TLS handshakes that failed.", |c| &c.handshakes_failed),
    ];
    for (name, kind, help, read) in families {
        out.family(name, kind, help);
        for (listener, counters) in &admin.listeners {
            out.sample(name, &[("listener", listener)], read(counters).load(Ordering::Relaxed));
        }
    }
}

fn logins(admin: &Admin, out: &mut Exposition) {
    let counters = &admin.authenticator.counters;
    let name = "plugboard_logins_total";
    out.family(name, "counter", "Logins, by what they came to.");
    let outcomes = [
        ("accepted", &counters.accepted),
        ("refused", &counters.refused),
        ("slowed", &counters.slowed),
        ("not_the_agent", &counters.not_the_agent),
    ];
    for (outcome, counter) in outcomes {
        out.sample(name, &[("outcome", outcome)], counter.load(Ordering::Relaxed));
    }
}

fn refused(counters: &Counters, out: &mut Exposition) {
    let name = "plugboard_sip_refused_total";
    out.family(name, "counter", "Messages that reached no call, by reason.");
    for (reason, number) in [
        // No SIP, or against its rules.
        ("garbage", counters.datagrams_refused),
        // Dropped, since the source sent too much that belongs to nothing.
        ("flood", counters.flood_messages),
        // Dropped.
        ("stray_response", counters.stray_responses),
        ("stray_request", counters.stray_requests),
        // Answered 481.
        ("no_dialog", counters.requests_without_dialog),
    ] {
        out.sample(name, &[("reason", reason)], number);
    }
}

fn connections(counters: &Counters, out: &mut Exposition) {
    let name = "plugboard_sip_connections_open";
    out.family(name, "gauge", "TCP, TLS and WebSocket connections that are up or being made.");
    out.sample(name, &[], counters.connections_open);
    let name = "plugboard_sip_connections_total";
    out.family(name, "counter", "TCP, TLS and WebSocket connections, by what became of them.");
    for (what, number) in [
        ("accepted", counters.connections_accepted),
        ("opened", counters.connections_opened),
        ("turned_away", counters.connections_turned_away),
        ("cut_off", counters.connections_cut_off),
        ("failed", counters.connections_failed),
    ] {
        out.sample(name, &[("what", what)], number);
    }
}

fn journal(admin: &Admin, out: &mut Exposition) {
    let Some(counters) = admin.switch.journal().map(|journal| journal.counters()) else { return };
    let name = "plugboard_journal_events_total";
    out.family(name, "counter", "Events, by what became of them on their way into the journal.");
    let outcomes = [("written", &counters.written), ("dropped", &counters.dropped), ("failed", &counters.failed)];
    for (outcome, counter) in outcomes {
        out.sample(name, &[("outcome", outcome)], counter.load(Ordering::Relaxed));
    }
    let name = "plugboard_journal_bytes";
    out.family(name, "gauge", "Bytes of the journal's files, of tenants with an event since the start.");
    out.sample(name, &[], counters.bytes.load(Ordering::Relaxed));
}

fn switch(admin: &Admin, out: &mut Exposition) {
    let counters = admin.switch.counters();
    let families = [
        ("plugboard_sip_datagrams_received_total", "Datagrams that came.", counters.datagrams_received),
        ("plugboard_sip_datagrams_sent_total", "Datagrams that were sent.", counters.datagrams_sent),
        ("plugboard_sip_sends_failed_total", "Datagrams that could not be sent.", counters.sends_failed),
        ("plugboard_sip_outside_dialogs_total", "Requests outside any dialog.", counters.requests_outside_dialogs),
        (
            "plugboard_sip_forks_ended_total",
            "Answers to an INVITE that nobody waited for, second or late, ended at once.",
            counters.forks_ended,
        ),
        (
            "plugboard_sip_sent_elsewhere_total",
            "Requests that went on to the next target because one failed.",
            counters.requests_sent_elsewhere,
        ),
        ("plugboard_sip_retransmissions_sent_total", "Messages sent again.", counters.retransmissions_sent),
        (
            "plugboard_sip_retransmissions_absorbed_total",
            "Messages that came again.",
            counters.retransmissions_absorbed,
        ),
        (
            "plugboard_sip_transactions_refused_total",
            "Transactions for which there was no room.",
            counters.transactions_refused,
        ),
    ];
    for (name, help, value) in families {
        out.family(name, "counter", help);
        out.sample(name, &[], value);
    }
    refused(&counters, out);
    connections(&counters, out);
    let name = "plugboard_sip_targets_avoided";
    out.family(name, "gauge", "Targets that failed a while ago, so that others are tried first.");
    out.sample(name, &[], counters.targets_avoided);
    let name = "plugboard_call_actors";
    out.family(name, "gauge", "Calls that are up, or whose last messages are on their way.");
    out.sample(name, &[], counters.calls);
}
