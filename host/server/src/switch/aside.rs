//! Guests that take long, in the background: what others wait for, the sockets, the requests, the guests of other
//! tenants, comes first.
//!
//! Each such event has a thread that it may block. The guest alone gets what others leave of the processors
//! ([`in_background`]); locks, commits and messages are for threads of the usual priority, because one that is put off
//! while it holds a lock puts everybody off.

use super::Switch;
use plugboard_calls::pace::{Lane, Pace};
use plugboard_calls::shard::{CallRef, Job};
use plugboard_calls::tenant::Tenant;
use plugboard_engine::{in_background, processor_time};
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::Instant;

impl Switch {
    /// Runs a job aside, and then goes on with its call. The tenant's turn is taken along.
    pub(super) fn run_aside(self: &Arc<Self>, tenant: Arc<Tenant>, index: u8, call: CallRef, job: Job) {
        let switch = self.clone();
        aside(move || {
            let finished = timed_aside(&tenant.pace, || job.run());
            let (job, ready) = switch.settle(index, call, finished);
            if switch.run_from(&tenant, index, call, job, ready) {
                switch.pass_turn(&tenant);
            }
        });
    }

    /// Does some work of a tenant's guest aside, with a turn that the tenant has for it.
    pub(super) fn work_aside(self: &Arc<Self>, tenant: Arc<Tenant>, work: Box<dyn FnOnce() + Send>) {
        let switch = self.clone();
        aside(move || {
            timed_aside(&tenant.pace, work);
            switch.pass_turn(&tenant);
        });
    }

    /// Ends a turn, and runs whoever waits for it.
    pub(super) fn pass_turn(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        if let Some(next) = tenant.turns.leave() {
            self.take_turn(tenant, next);
        }
    }
}

/// A thread for it. There are as many as the tenants' turns allow; a thread costs little beside an event that takes
/// long.
fn aside<W: FnOnce() + Send + 'static>(work: W) {
    let (sender, receiver) = mpsc::sync_channel::<W>(1);
    let run = move || {
        if let Ok(work) = receiver.recv() {
            work();
        }
    };
    match Builder::new().name("aside".to_owned()).spawn(run) {
        Ok(_) => drop(sender.send(work)),
        Err(error) => {
            tracing::error!(%error, "no thread for a guest that takes long");
            work();
        }
    }
}

/// Runs something of a tenant's guest and takes note of how long it took.
pub(super) fn timed<T>(pace: &Pace, work: impl FnOnce() -> T) -> T {
    let watched = (pace.lane() != Lane::Here).then(processor_time);
    let begun = Instant::now();
    let result = work();
    match watched {
        Some(before) => pace.took(processor_time().saturating_sub(before)),
        None => pace.took_by_the_clock(begun.elapsed()),
    }
    result
}

/// The same in the background.
fn timed_aside<T>(pace: &Pace, work: impl FnOnce() -> T) -> T {
    let before = processor_time();
    let (result, behind) = in_background(work);
    pace.took(processor_time().saturating_sub(before) + behind);
    result
}
