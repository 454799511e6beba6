//! From a shard to the guest, back, and out.

use super::aside::timed;
use super::{Switch, lock};
use plugboard_calls::contract::LogLevel;
use plugboard_calls::limits::Limit;
use plugboard_calls::pace::Lane;
use plugboard_calls::shard::{CallRef, Finished, Job, Output, Shard};
use plugboard_calls::stage::LogLine;
use plugboard_calls::tenant::Tenant;
use plugboard_calls::turns::Waiter;
use plugboard_sip::time::Time;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A call that has something to do now.
pub(super) struct Ready {
    pub call: CallRef,
    pub tenant: Arc<Tenant>,
}

impl Switch {
    /// Does something with a shard, lets out what came of it, and runs the events that became ready.
    pub(super) fn with_shard<T>(
        self: &Arc<Self>,
        index: u8,
        work: impl FnOnce(&mut Shard, Time, &mut Vec<Output>) -> T,
    ) -> T {
        let (result, ready) = self.visit(index, work);
        for ready in ready {
            self.run(index, ready);
        }
        result
    }

    /// As [`Switch::with_shard`], but leaves the events that became ready to the caller.
    pub(super) fn visit<T>(
        self: &Arc<Self>,
        index: u8,
        work: impl FnOnce(&mut Shard, Time, &mut Vec<Output>) -> T,
    ) -> (T, Vec<Ready>) {
        let mut out = Vec::new();
        let mut ready = Vec::new();
        let (result, due) = self.enter(index, |shard, now| {
            let result = work(shard, now, &mut out);
            while let Some(call) = shard.next_ready() {
                let tenant = shard.tenant_of(call).cloned();
                ready.extend(tenant.map(|tenant| Ready { call, tenant }));
            }
            (result, shard.next_deadline())
        });
        if let Some(due) = due {
            self.alarm.set(due);
        }
        self.let_out(index, out);
        (result, ready)
    }

    /// Does something with a shard that makes nothing due and nothing ready, or that a visit follows which looks for that.
    pub(super) fn enter<T>(&self, index: u8, work: impl FnOnce(&mut Shard, Time) -> T) -> T {
        work(&mut lock(&self.shards[usize::from(index)]), self.clock.now())
    }

    /// Runs the events of a call that wait, one after another, when its tenant has a turn left; then those of whoever
    /// waits for that turn.
    pub(super) fn run(self: &Arc<Self>, index: u8, ready: Ready) {
        let Ready { call, tenant } = ready;
        match tenant.turns.enter(Waiter::Call(index, call)) {
            Some(waiter) => self.take_turn(&tenant, waiter),
            None => tenant.counters.limits.reached(Limit::EventsAtOnce),
        }
    }

    /// Uses a turn of a tenant, and then hands it on until nobody waits for it.
    pub(super) fn take_turn(self: &Arc<Self>, tenant: &Arc<Tenant>, first: Waiter) {
        let mut next = Some(first);
        while let Some(waiter) = next {
            match waiter {
                Waiter::Call(index, call) => {
                    let job = self.enter(index, |shard, now| shard.begin(now, call));
                    if !self.run_from(tenant, index, call, job, Vec::new()) {
                        return;
                    }
                }
                Waiter::Work(work) => return self.work_aside(tenant.clone(), work),
            }
            next = tenant.turns.leave();
        }
    }

    /// Runs a call's events from this job on, until none waits. Whether that is done; otherwise they go on aside, and
    /// the tenant's turn with them.
    pub(super) fn run_from(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        index: u8,
        call: CallRef,
        mut job: Option<Job>,
        mut ready: Vec<Ready>,
    ) -> bool {
        let mut done = true;
        while let Some(begun) = job.take() {
            if tenant.pace.lane() == Lane::Aside {
                self.run_aside(tenant.clone(), index, call, begun);
                done = false;
                break;
            }
            let finished = timed(&tenant.pace, || begun.run());
            let (next, more) = self.settle(index, call, finished);
            ready.extend(more);
            job = next;
        }
        for other in ready.into_iter().filter(|other| other.call != call) {
            self.run(index, other);
        }
        done
    }

    /// Commits a finished event and lets out what comes of it; the next one of its call, and the other calls that
    /// became ready.
    pub(super) fn settle(
        self: &Arc<Self>,
        index: u8,
        call: CallRef,
        mut finished: Finished,
    ) -> (Option<Job>, Vec<Ready>) {
        report(&mut finished);
        let draft = self.journal.get().and_then(|journal| Some((journal, journal.draft(finished.record())?)));
        let mut out = Vec::new();
        let settled = self.enter(index, |shard, now| shard.finish(now, finished, &mut out));
        self.let_out(index, out);
        if let Some((journal, draft)) = draft {
            journal.note(draft, settled);
        }
        self.visit(index, |shard, now, _| shard.proceed(now, call))
    }

    /// Lets out what a shard wants done, in order.
    fn let_out(self: &Arc<Self>, index: u8, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Transmit { destination, domain, bytes, client } => {
                    self.counters.datagrams_sent.fetch_add(1, Ordering::Relaxed);
                    let ticket = client.map(|client| (index, client));
                    if let Err(failure) = self.sockets.send(self, destination, domain, bytes, ticket) {
                        tracing::debug!(peer = %destination.remote, %failure, "a message could not be sent");
                        self.send_failed(index, client, failure);
                    }
                }
                Output::Resolve { lookup, next_hop, seed } => self.look_up(index, lookup, next_hop, seed),
                Output::Avoid { target, time } => self.avoid(target, time),
                Output::HttpRespond { exchange, response } => {
                    if let Some(sender) = lock(&self.waiting).remove(&exchange) {
                        let _ = sender.send(response); // the client may have gone
                    }
                }
            }
        }
    }
}

/// Logs what an operator should hear of a finished event.
fn report(finished: &mut Finished) {
    let log = finished.take_log();
    let (domain, key) = (&*finished.context().domain, finished.context().key.as_str());
    if let Some(breakdown) = finished.breakdown() {
        let event = finished.event().kind();
        tracing::warn!(tenant = domain, call = key, event, %breakdown, "nothing of this event happened");
    }
    write_log(domain, Some(key), log);
}

/// Writes what a guest said to the log.
pub(super) fn write_log(tenant: &str, call: Option<&str>, lines: Vec<LogLine>) {
    for (level, message) in lines {
        match level {
            LogLevel::Debug => tracing::debug!(target: "guest", tenant, call, "{message}"),
            LogLevel::Info => tracing::info!(target: "guest", tenant, call, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "guest", tenant, call, "{message}"),
            LogLevel::Error => tracing::error!(target: "guest", tenant, call, "{message}"),
        }
    }
}
