//! The bounds of what guests may cost the host.

use std::time::Duration;

/// What one guest, and all guests together, may use. What an event may stage is bounded elsewhere
/// ([`plugboard_calls::limits::Limits`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    /// Largest component that is looked at, in bytes.
    pub component_bytes: usize,
    /// Linear memory of one instance, in bytes, where a [`Grant`] does not say otherwise.
    pub memory_bytes: usize,
    /// An instance whose memory has grown by more than this since it was made is not used for another event, in bytes.
    pub memory_kept_bytes: usize,
    /// Elements of all tables of one instance, in number.
    pub table_elements: usize,
    /// Machine stack of the guest, in bytes. It is the calling thread's stack, which must be larger.
    pub stack_bytes: usize,
    /// What the guest may hand over in one call of an import, or as one result, in bytes of host memory.
    pub transfer_bytes: usize,
    /// Processor time for one event, where a [`Grant`] does not say otherwise. By the clock it may be up to 10 s, or twice
    /// the deadline if that is longer, while the machine has no processor for it.
    pub event_deadline: Duration,
    /// Events after which an instance is replaced, in number.
    pub events_per_instance: u32,
    /// Instances of one version at once, in number.
    pub instances_per_version: usize,
    /// Instances of all versions at once, in number.
    pub instances: u32,
    /// Compiled components kept on disk, in number.
    pub compiled_files: usize,
}

impl Default for EngineLimits {
    fn default() -> Self {
        Self {
            component_bytes: 8 * 1024 * 1024,
            memory_bytes: 16 * 1024 * 1024,
            memory_kept_bytes: 4 * 1024 * 1024,
            table_elements: 20_000,
            stack_bytes: 512 * 1024,
            transfer_bytes: 1024 * 1024,
            event_deadline: Duration::from_millis(50),
            events_per_instance: 4_096,
            instances_per_version: 64,
            instances: 512,
            compiled_files: 64,
        }
    }
}

/// What one tenant allows its guests, beyond what [`EngineLimits`] says for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Whether they may import WASI 0.2: clocks and chance of the event, output into the log, nothing else.
    pub wasi: bool,
    /// Linear memory of one instance, in bytes; at most [`MEMORY_BYTES_MAX`].
    pub memory_bytes: usize,
    /// Processor time for one event, as [`EngineLimits::event_deadline`].
    pub event_deadline: Duration,
}

/// Most memory that an instance can have, whatever is granted, in bytes.
pub const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Core modules that one component may instantiate, in number.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 16;
/// Linear memories of one instance, in number. They share [`EngineLimits::memory_bytes`].
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 2;
/// Tables of one instance, in number. They share [`EngineLimits::table_elements`].
pub(crate) const TABLES_PER_COMPONENT: u32 = 8;
