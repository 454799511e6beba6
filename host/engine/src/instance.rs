//! One instance of a component, and what its crashes mean.

use crate::allowance::Allowance;
use crate::background;
use crate::bindings::{CallController, CallControllerPre, Guest};
use crate::limits::{EngineLimits, Grant};
use crate::visit::Visit;
use crate::wasi::Moment;
use plugboard_calls::logic::Breakdown;
use plugboard_calls::stage::Stage;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};

/// An instance and its store. After a [`Breakdown`] other than a fault its memory is in no known state.
pub(crate) struct Instance {
    store: Store<Visit>,
    exports: CallController,
    events: u32,
}

impl Instance {
    /// Makes one. The component's start function, if it has one, runs under the deadline and can stage nothing.
    pub(crate) fn new(
        component: &CallControllerPre<Visit>,
        limits: &EngineLimits,
        grant: Grant,
        allowance: Allowance,
    ) -> Result<Self, Breakdown> {
        let mut store = Store::new(component.engine(), Visit::new(limits, grant, allowance));
        store.limiter(|visit| &mut visit.growth);
        store.set_hostcall_fuel(limits.transfer_bytes);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut visit| match visit.data_mut().is_over() {
            true => Err(Trap::Interrupt.into()),
            false => Ok(UpdateDeadline::Continue(1)),
        });
        match component.instantiate(&mut store) {
            Ok(exports) => {
                store.data_mut().growth.begin();
                Ok(Self { store, exports, events: 0 })
            }
            Err(error) => Err(breakdown(&error, store.data(), allowance)),
        }
    }

    /// Calls an export. The stage comes back, whatever happened.
    pub(crate) fn call<T: Send>(
        &mut self,
        allowance: Allowance,
        stage: Option<Stage>,
        event: Option<Moment>,
        export: impl FnOnce(&Guest, &mut Store<Visit>) -> wasmtime::Result<T> + Send,
    ) -> (Option<Stage>, Result<T, Breakdown>) {
        self.events = self.events.saturating_add(1);
        self.store.data_mut().begin(allowance, stage, event);
        self.store.set_epoch_deadline(1);
        let outcome = background::guest(|| export(self.exports.plugboard_call_control_controller(), &mut self.store))
            .map_err(|error| breakdown(&error, self.store.data(), allowance));
        (self.store.data_mut().end(), outcome)
    }

    /// Its linear memory, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().growth.memory_bytes()
    }

    /// Whether it may be used for another event, going by age and size.
    pub(crate) fn is_fit(&self, limits: &EngineLimits) -> bool {
        self.events < limits.events_per_instance && self.store.data().growth.grown_bytes() <= limits.memory_kept_bytes
    }
}

fn breakdown(error: &wasmtime::Error, visit: &Visit, allowance: Allowance) -> Breakdown {
    if error.is::<PoolConcurrencyLimitError>() {
        return Breakdown::Busy("instances");
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return Breakdown::Deadline(allowance.deadline_ms());
    }
    let cause = error.root_cause().to_string();
    // wasmtime keeps the type of this error to itself.
    if cause.contains("fuel allocated for hostcalls has been exhausted") {
        return Breakdown::Limit("transfer_bytes");
    }
    match visit.growth.refused {
        // What Rust does when an allocation fails; other languages do the like. No trap: the instance was not made.
        Some(limit) if matches!(trap, Some(Trap::UnreachableCodeReached) | None) => Breakdown::Limit(limit),
        _ => Breakdown::Trap(match visit.last_words() {
            Some(words) => format!("{cause}; it said: {words}"),
            None => cause,
        }),
    }
}
