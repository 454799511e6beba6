//! The instances of one version.
//!
//! An event takes an idle instance, the one used last, or makes one. Afterwards the instance is idle again, for any
//! call of the same version: a guest keeps nothing between events, so it does not matter which one serves which call.
//! An instance never serves another version, and so never another tenant.
//!
//! The life of an instance ends
//! - after a trap, a missed deadline or a broken limit: the guest was stopped midway and its memory is not to be trusted;
//! - after [`EngineLimits::events_per_instance`] events, so that what leaks in a guest does not add up;
//! - when its memory has grown beyond [`EngineLimits::memory_kept_bytes`];
//! - when all instances of the host are taken and another version needs one: then the idle ones of all versions go;
//! - with its version.
//!
//! A fault that the guest returns ends nothing: it is an answer like any other.

use crate::allowance::{Allowance, processor_time};
use crate::background;
use crate::bindings::CallControllerPre;
use crate::engine::Engine;
use crate::instance::Instance;
use crate::limits::{EngineLimits, Grant};
use crate::stats::{Counters, Stats};
use crate::visit::Visit;
use plugboard_calls::logic::Breakdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An instance that takes more processor time than this to be made runs code of its guest for it.
const QUICK_START: Duration = Duration::from_millis(1);

/// The instances of one version, idle and at work.
pub(crate) struct Instances {
    pub(crate) engine: Engine,
    component: CallControllerPre<Visit>,
    pub(crate) grant: Grant,
    idle: Mutex<Vec<Instance>>,
    /// Idle and lent ones.
    alive: AtomicUsize,
    /// Their linear memory, in bytes, as it was after the last event of each.
    memory_bytes: AtomicUsize,
    /// What is made of them takes the time of a guest.
    starts_slowly: AtomicBool,
    pub(crate) counters: Counters,
}

/// An instance at work. Dropped, it is thrown away, unless it was [given back](Lease::give_back).
pub(crate) struct Lease<'a> {
    instances: &'a Instances,
    instance: Option<Instance>,
    /// What of its memory is counted, in bytes.
    counted: usize,
}

impl Instances {
    pub(crate) fn new(engine: Engine, component: CallControllerPre<Visit>, grant: Grant) -> Self {
        Self {
            engine,
            component,
            grant,
            idle: Mutex::default(),
            alive: AtomicUsize::new(0),
            memory_bytes: AtomicUsize::new(0),
            starts_slowly: AtomicBool::new(false),
            counters: Counters::default(),
        }
    }

    /// An instance for one event; [`Breakdown::Busy`] at once when there is no room for one more.
    pub(crate) fn take(&self, allowance: Allowance) -> Result<Lease<'_>, Breakdown> {
        if let Some(instance) = self.idle().pop() {
            let counted = instance.memory_bytes();
            return Ok(Lease { instances: self, instance: Some(instance), counted });
        }
        let most = self.limits().instances_per_version;
        self.alive
            .fetch_update(Relaxed, Relaxed, |alive| (alive < most).then_some(alive + 1))
            .map_err(|_| Breakdown::Busy("instances_per_version"))?;
        let mut lease = Lease { instances: self, instance: None, counted: 0 };
        self.counters.instances_made.fetch_add(1, Relaxed);
        lease.instance = Some(self.make(allowance)?);
        lease.count();
        Ok(lease)
    }

    /// Throws the idle instances away; how many those were.
    pub(crate) fn clear(&self) -> usize {
        let idle = std::mem::take(&mut *self.idle());
        self.memory_bytes.fetch_sub(idle.iter().map(Instance::memory_bytes).sum(), Relaxed);
        self.dropped(idle.len());
        idle.len()
    }

    /// What it has done so far, and what it holds now.
    pub(crate) fn stats(&self) -> Stats {
        let (instances, memory_bytes) = (self.alive.load(Relaxed), self.memory_bytes.load(Relaxed));
        Stats { instances, memory_bytes, ..self.counters.read() }
    }

    fn make(&self, allowance: Allowance) -> Result<Instance, Breakdown> {
        let new = || Instance::new(&self.component, self.limits(), self.grant, allowance);
        match self.start(new) {
            Err(Breakdown::Busy(_)) if self.engine.reclaim() > 0 => self.start(new),
            made => made,
        }
    }

    /// Takes locks that others wait for, so not in the background, unless the guest has much to do at its start.
    fn start<T: Send>(&self, new: impl FnOnce() -> T + Send) -> T {
        if self.starts_slowly.load(Relaxed) {
            return background::guest(new);
        }
        let before = processor_time();
        let made = new();
        if processor_time().saturating_sub(before) > QUICK_START {
            self.starts_slowly.store(true, Relaxed);
        }
        made
    }

    fn limits(&self) -> &EngineLimits {
        self.engine.limits()
    }

    /// A panic elsewhere leaves the list whole.
    fn idle(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dropped(&self, number: usize) {
        self.alive.fetch_sub(number, Relaxed);
        self.counters.instances_dropped.fetch_add(number as u64, Relaxed);
    }
}

impl Lease<'_> {
    pub(crate) fn instance(&mut self) -> &mut Instance {
        self.instance.as_mut().expect("a lease is handed out with its instance")
    }

    /// The event is over. The instance is kept if the outcome and its age and size allow.
    pub(crate) fn give_back<T>(mut self, outcome: &Result<T, Breakdown>) {
        let whole = matches!(outcome, Ok(_) | Err(Breakdown::Fault(_)));
        self.count();
        if let Some(instance) = self.instance.take_if(|instance| whole && instance.is_fit(self.instances.limits())) {
            self.instances.idle().push(instance);
            // It lives on, so its end is not counted.
            std::mem::forget(self);
        }
    }

    /// Brings the count of memory up to date.
    fn count(&mut self) {
        let now = self.instance.as_ref().map_or(0, Instance::memory_bytes);
        self.instances.memory_bytes.fetch_add(now, Relaxed);
        self.instances.memory_bytes.fetch_sub(self.counted, Relaxed);
        self.counted = now;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.instance = None;
        self.count();
        self.instances.dropped(1);
    }
}
