//! What a store carries while a guest runs in it: the stage of the event, what the guest may do with it, and the
//! count of memory it takes.

use crate::allowance::Allowance;
use crate::limits::{CORE_INSTANCES_PER_COMPONENT, EngineLimits, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT};
use plugboard_calls::contract::StageError;
use plugboard_calls::stage::Stage;
use wasmtime::ResourceLimiter;

/// The data of a store.
pub(crate) struct Visit {
    stage: Option<Stage>,
    may_stage: bool,
    allowance: Allowance,
    pub(crate) growth: Growth,
}

impl Visit {
    pub(crate) fn new(limits: &EngineLimits, allowance: Allowance) -> Self {
        Self { stage: None, may_stage: false, allowance, growth: Growth::new(limits) }
    }

    /// Lends the guest a stage; whether it may put something on it depends on the export that is called.
    pub(crate) fn begin(&mut self, allowance: Allowance, stage: Option<Stage>, may_stage: bool) {
        self.allowance = allowance;
        self.stage = stage;
        self.may_stage = may_stage;
        self.growth.refused = None;
    }

    /// Whether the guest has used up its time. Asked once in each epoch.
    pub(crate) fn is_over(&mut self) -> bool {
        self.allowance.is_over()
    }

    /// Takes the stage back.
    pub(crate) fn end(&mut self) -> Option<Stage> {
        self.may_stage = false;
        self.stage.take()
    }

    /// The stage for what only reads; none in `describe`, `migrate` and while an instance is made.
    pub(crate) fn reading(&self) -> Option<&Stage> {
        self.stage.as_ref()
    }

    /// The stage for what leaves something on it: in `handle` only.
    pub(crate) fn staging(&mut self) -> Result<&mut Stage, StageError> {
        self.stage.as_mut().filter(|_| self.may_stage).ok_or(StageError::Denied)
    }

    /// The stage for log lines, which `route` may write too.
    pub(crate) fn logging(&mut self) -> Option<&mut Stage> {
        self.stage.as_mut()
    }
}

/// Counts the memory of one instance. A growth beyond the limit fails as WebAssembly says (-1), and is remembered: a
/// guest that crashes afterwards went over its limit.
pub(crate) struct Growth {
    memory_bytes_max: usize,
    table_elements_max: usize,
    pub(crate) memory_bytes: usize,
    table_elements: usize,
    /// The name of the limit that was hit in this event.
    pub(crate) refused: Option<&'static str>,
}

impl Growth {
    fn new(limits: &EngineLimits) -> Self {
        Self {
            memory_bytes_max: limits.memory_bytes,
            table_elements_max: limits.table_elements,
            memory_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }
}

impl ResourceLimiter for Growth {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let granted = total <= self.memory_bytes_max;
        if granted {
            self.memory_bytes = total;
        } else {
            self.refused = Some("memory_bytes");
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        let granted = total <= self.table_elements_max;
        if granted {
            self.table_elements = total;
        } else {
            self.refused = Some("table_elements");
        }
        Ok(granted)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        TABLES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_PER_COMPONENT as usize
    }
}
