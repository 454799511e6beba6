//! What a store carries while a guest runs in it: the stage of the event, what the guest may do with it, and the
//! count of memory it takes.

use crate::allowance::Allowance;
use crate::limits::{CORE_INSTANCES_PER_COMPONENT, EngineLimits, Grant, MEMORIES_PER_COMPONENT, TABLES_PER_COMPONENT};
use crate::wasi::{Moment, Wasi};
use plugboard_calls::contract::StageError;
use plugboard_calls::stage::Stage;
use wasmtime::ResourceLimiter;

/// The data of a store.
pub(crate) struct Visit {
    stage: Option<Stage>,
    may_stage: bool,
    allowance: Allowance,
    pub(crate) growth: Growth,
    wasi: Option<Box<Wasi>>,
}

impl Visit {
    pub(crate) fn new(limits: &EngineLimits, grant: Grant, allowance: Allowance) -> Self {
        let wasi = grant.wasi.then(|| Box::new(Wasi::new()));
        Self { stage: None, may_stage: false, allowance, growth: Growth::new(limits, grant), wasi }
    }

    /// Lends the guest a stage. It may put something on it in an event, which has a moment, and in nothing else.
    pub(crate) fn begin(&mut self, allowance: Allowance, stage: Option<Stage>, event: Option<Moment>) {
        self.allowance = allowance;
        self.stage = stage;
        self.may_stage = event.is_some();
        if let Some(wasi) = &mut self.wasi {
            wasi.begin(event.unwrap_or_default());
        }
        self.growth.refused = None;
    }

    /// Whether the guest has used up its time. Asked once in each epoch.
    pub(crate) fn is_over(&mut self) -> bool {
        self.allowance.is_over()
    }

    /// Takes the stage back.
    pub(crate) fn end(&mut self) -> Option<Stage> {
        self.log_lines(true);
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
        self.log_lines(false);
        self.stage.as_mut()
    }

    /// What the linker gives to WASI's functions.
    pub(crate) fn wasi(&mut self) -> &mut Wasi {
        self.wasi.as_mut().expect("WASI is linked to guests that it is granted to")
    }

    /// What the guest wrote to standard error, where there is no log for it: in `describe`, `migrate` and while an
    /// instance is made.
    pub(crate) fn last_words(&self) -> Option<String> {
        let wasi = self.wasi.as_ref().filter(|_| self.stage.is_none())?;
        Some(wasi.errors()).filter(|words| !words.is_empty())
    }

    /// Moves what was written to the console to the log.
    fn log_lines(&mut self, unfinished: bool) {
        let (Some(wasi), Some(stage)) = (&mut self.wasi, &mut self.stage) else { return };
        wasi.lines(unfinished).into_iter().for_each(|(level, line)| stage.log(level, line));
    }
}

/// Counts the memory of one instance. A growth beyond the limit fails as WebAssembly says (-1), and is remembered: a
/// guest that crashes afterwards went over its limit.
pub(crate) struct Growth {
    memory_bytes_max: usize,
    table_elements_max: usize,
    memory_bytes: usize,
    /// What the instance had when it was made.
    first_bytes: usize,
    table_elements: usize,
    /// The name of the limit that was hit in this event.
    pub(crate) refused: Option<&'static str>,
}

impl Growth {
    fn new(limits: &EngineLimits, grant: Grant) -> Self {
        Self {
            memory_bytes_max: grant.memory_bytes,
            table_elements_max: limits.table_elements,
            memory_bytes: 0,
            first_bytes: 0,
            table_elements: 0,
            refused: None,
        }
    }

    /// The instance is made.
    pub(crate) fn begin(&mut self) {
        self.first_bytes = self.memory_bytes;
    }

    /// What it has now, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// By how much the memory has grown since, in bytes.
    pub(crate) fn grown_bytes(&self) -> usize {
        self.memory_bytes.saturating_sub(self.first_bytes)
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
