//! The engine: one per process, shared by all versions of all tenants.

use crate::bindings::CallController;
use crate::compiled_folder::CompiledFolder;
use crate::error::Error;
use crate::instances::Instances;
use crate::life::Checked;
use crate::limits::{
    CORE_INSTANCES_PER_COMPONENT, EngineLimits, Grant, MEMORIES_PER_COMPONENT, MEMORY_BYTES_MAX, TABLES_PER_COMPONENT,
};
use crate::ticker::Ticker;
use crate::visit::Visit;
use crate::wasi;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, PoolingAllocationConfig};

/// Compiles components and runs their versions. Cheap to clone; its ticker thread ends with the last clone and the
/// last version.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) wasm: wasmtime::Engine,
    linker: Linker<Visit>,
    linker_with_wasi: Linker<Visit>,
    pub(crate) ticker: Ticker,
    pub(crate) compiled: Option<CompiledFolder>,
    limits: EngineLimits,
    versions: Mutex<Vec<Weak<Instances>>>,
    pub(crate) compiles_in_background: AtomicBool,
    /// Something is compiled there.
    pub(crate) background_is_taken: AtomicBool,
}

impl Engine {
    /// An engine with these limits. Compiled components are kept in `compiled_folder`, when one is given; it must
    /// belong to this user alone, and is made when it does not exist.
    ///
    /// # Errors
    /// [`Error::Runtime`] when the machine cannot run it, and those of the folder.
    pub fn new(limits: EngineLimits, compiled_folder: Option<&Path>) -> Result<Self, Error> {
        let wasm = wasmtime::Engine::new(&config(&limits)).map_err(runtime)?;
        let mut linker = Linker::new(&wasm);
        CallController::add_to_linker::<_, HasSelf<_>>(&mut linker, |visit| visit).map_err(runtime)?;
        let mut linker_with_wasi = linker.clone();
        wasi::add_to_linker(&mut linker_with_wasi).map_err(runtime)?;
        let ticker = Ticker::new(wasm.clone()).map_err(|error| Error::Runtime(error.to_string()))?;
        let compiled = compiled_folder.map(|path| CompiledFolder::open(path, limits.compiled_files)).transpose()?;
        Ok(Self(Arc::new(Shared {
            wasm,
            linker,
            linker_with_wasi,
            ticker,
            compiled,
            limits,
            versions: Mutex::default(),
            compiles_in_background: AtomicBool::new(false),
            background_is_taken: AtomicBool::new(false),
        })))
    }

    /// The first step of a component's life: whether it may run here at all. See [`Checked::compile`] for the next.
    ///
    /// # Errors
    /// The first five of [`Error`]: all of them the component's fault.
    pub fn check(&self, component: Vec<u8>) -> Result<Checked, Error> {
        let EngineLimits { memory_bytes, event_deadline, .. } = *self.limits();
        self.check_with(component, Grant { wasi: false, memory_bytes, event_deadline })
    }

    /// As [`check`](Self::check), for a tenant that grants more, or less.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_with(&self, component: Vec<u8>, grant: Grant) -> Result<Checked, Error> {
        Checked::new(self.clone(), component, grant)
    }

    /// From now on there are calls that must not wait for the compiler: it gets what they leave of the processors.
    pub fn compile_in_background(&self) {
        self.0.compiles_in_background.store(true, Relaxed);
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &EngineLimits {
        &self.0.limits
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// Takes note of a version's instances, for [`Self::reclaim`].
    pub(crate) fn enlist(&self, instances: &Arc<Instances>) {
        let mut versions = self.0.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|version| version.strong_count() > 0);
        versions.push(Arc::downgrade(instances));
    }

    /// Throws away the idle instances of all versions, because one is needed and there is no room; how many.
    pub(crate) fn reclaim(&self) -> usize {
        let versions: Vec<_> = {
            let versions = self.0.versions.lock().unwrap_or_else(PoisonError::into_inner);
            versions.iter().filter_map(Weak::upgrade).collect()
        };
        versions.iter().map(|instances| instances.clear()).sum()
    }
}

impl Shared {
    /// What a guest with this grant may import.
    pub(crate) fn linker(&self, grant: Grant) -> &Linker<Visit> {
        if grant.wasi { &self.linker_with_wasi } else { &self.linker }
    }
}

/// The same component, event and seed give the same answer on every machine (relaxed SIMD and NaNs are pinned down),
/// every loop checks its deadline, and memory comes from a pool that was set aside at the start.
fn config(limits: &EngineLimits) -> Config {
    let instances = limits.instances;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .total_memories(instances.saturating_mul(MEMORIES_PER_COMPONENT))
        .total_tables(instances.saturating_mul(TABLES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memory_size(MEMORY_BYTES_MAX.max(limits.memory_bytes))
        .table_elements(limits.table_elements)
        .linear_memory_keep_resident(MEMORY_KEPT_RESIDENT_BYTES);
    let mut config = Config::new();
    config
        .allocation_strategy(pool)
        .epoch_interruption(true)
        .concurrency_support(false)
        .max_wasm_stack(limits.stack_bytes)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false);
    config
}

/// How much of a freed memory is wiped and kept instead of given back to the system: less to do for the next instance.
const MEMORY_KEPT_RESIDENT_BYTES: usize = 64 * 1024;

fn runtime(error: wasmtime::Error) -> Error {
    Error::Runtime(format!("{error:#}"))
}
