//! Guests that take long, on threads of their own and of low priority: what others wait for, the sockets, the requests,
//! the guests of other tenants, comes first.
//!
//! Such a thread runs the guest and nothing else. The locks that others wait for are taken by threads of the usual
//! priority: one of low priority that was put off while holding a lock would put everybody off.

use super::Switch;
use plugboard_calls::pace::{Lane, Pace};
use plugboard_calls::shard::{CallRef, Job};
use plugboard_calls::tenant::Tenant;
use rustix::process::nice;
use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The niceness of these threads above the one of the server. Beside one of the usual priority such a thread gets a
/// tenth of a processor: little enough for the others, and enough for a guest that takes long and means no harm to go on
/// when the machine is busy.
const NICENESS: i32 = 10;

impl Switch {
    /// Runs a job aside, and then goes on with its call on a thread of the usual priority. The tenant's turn is taken
    /// along.
    pub(super) fn run_aside(self: &Arc<Self>, tenant: Arc<Tenant>, index: u8, call: CallRef, job: Job) {
        let switch = self.clone();
        aside(move || {
            let finished = timed(&tenant.pace, || job.run());
            switch.runtime.clone().spawn(async move {
                let (job, ready) = switch.settle(index, call, finished);
                if switch.run_from(&tenant, index, call, job, ready) {
                    switch.pass_turn(&tenant);
                }
            });
        });
    }

    /// Does some work of a tenant's guest aside, with a turn that the tenant has for it.
    pub(super) fn work_aside(self: &Arc<Self>, tenant: Arc<Tenant>, work: Box<dyn FnOnce() + Send>) {
        let switch = self.clone();
        aside(move || {
            timed(&tenant.pace, work);
            switch.runtime.clone().spawn(async move { switch.pass_turn(&tenant) });
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
/// long. It must start no other thread: that one would inherit its priority.
fn aside<W: FnOnce() + Send + 'static>(work: W) {
    let (sender, receiver) = mpsc::sync_channel::<W>(1);
    let run = move || {
        // Of this thread alone, as Linux has it. Without it the guest is in the way of others, and nothing worse.
        let _ = nice(NICENESS);
        if let Ok(work) = receiver.recv() {
            work();
        }
    };
    match Builder::new().name("guest-aside".to_owned()).spawn(run) {
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

/// Of this thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
