//! The way to the engine: a component becomes a version of one tenant's call logic.

use super::{Loaded, Loader, Stats};
use crate::config::{EngineConfig, TenantConfig};
use crate::state_dir::StateDir;
use plugboard_calls::contract::Description;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_engine::{ComponentHash, Engine, EngineLimits, Error, Grant, Tried, Version, VersionId};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// Where compiled components are kept within the state folder.
const COMPILED: &str = "compiled";
/// Memory of an instance where WASI is granted and the configuration says nothing: room for the interpreter of another
/// language, in bytes.
const WASI_MEMORY_BYTES: usize = 64 * 1024 * 1024;

/// Loads call logic of one tenant with wasmtime.
pub struct EngineLoader {
    engine: Engine,
    grant: Grant,
    domain: String,
    settings: Arc<GuestSettings>,
}

/// The engine of the process, with compiled components kept in the state folder.
///
/// # Errors
/// When the machine cannot run it, or the folder is not ours alone.
pub fn engine(config: &EngineConfig, state_dir: &StateDir) -> Result<Engine, Error> {
    Engine::new(limits(config), Some(&state_dir.path(COMPILED)))
}

/// What a component may have that is tried apart from a server.
#[derive(Clone, Debug)]
pub struct Alone {
    limits: EngineLimits,
    grant: Grant,
}

impl Alone {
    /// As for a tenant of which nothing is configured, but perhaps `wasi`.
    pub fn usual(wasi: bool) -> Self {
        let limits = limits(&EngineConfig::default());
        Self { grant: grant(&limits, wasi, None, None), limits }
    }

    /// As for this tenant.
    pub fn like(config: &EngineConfig, tenant: &TenantConfig) -> Self {
        let limits = limits(config);
        Self { grant: granted(&limits, tenant), limits }
    }

    /// Checks, compiles and tries a component without taking it into service; what it says it is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn try_out(self, component: Vec<u8>) -> Result<Description, Error> {
        Ok(self.tried(component)?.description().clone())
    }

    /// Call logic of no tenant, to run recorded calls against.
    ///
    /// # Errors
    /// As [`Self::try_out`].
    pub fn load(self, component: Vec<u8>) -> Result<Arc<Version>, Error> {
        Ok(self.tried(component)?.version(&[0; 32], Arc::default()))
    }

    fn tried(self, component: Vec<u8>) -> Result<Tried, Error> {
        Engine::new(self.limits, None)?.check_with(component, self.grant)?.compile()?.try_out()
    }
}

fn limits(config: &EngineConfig) -> EngineLimits {
    EngineLimits {
        event_deadline: config.event_deadline,
        memory_bytes: config.memory_bytes,
        component_bytes: super::COMPONENT_BYTES_MAX,
        ..EngineLimits::default()
    }
}

fn grant(limits: &EngineLimits, wasi: bool, memory_bytes: Option<usize>, event_deadline: Option<Duration>) -> Grant {
    let usual = if wasi { limits.memory_bytes.max(WASI_MEMORY_BYTES) } else { limits.memory_bytes };
    let event_deadline = event_deadline.unwrap_or(limits.event_deadline);
    Grant { wasi, memory_bytes: memory_bytes.unwrap_or(usual), event_deadline }
}

impl EngineLoader {
    /// A loader for this tenant.
    pub fn new(engine: Engine, tenant: &TenantConfig) -> Self {
        let grant = granted(engine.limits(), tenant);
        Self { engine, grant, domain: tenant.domain.clone(), settings: Arc::new(tenant.settings.clone()) }
    }

    /// What a version takes of its tenant's configuration for as long as it lives. Users, proxy, trusted networks and
    /// limits are not among it: they are the host's business, and a change of them holds at once for calls that are up.
    fn tenant_hash(&self, settings: &GuestSettings) -> [u8; 32] {
        Sha256::digest(format!("{:?}", (&self.domain, self.grant, settings))).into()
    }
}

fn granted(limits: &EngineLimits, tenant: &TenantConfig) -> Grant {
    grant(limits, tenant.wasi, tenant.memory_bytes, tenant.event_deadline)
}

/// Whether what `other` grants its call logic is the same: versions can be kept.
pub fn grants_the_same(engine: &Engine, tenant: &TenantConfig, other: &TenantConfig) -> bool {
    granted(engine.limits(), tenant) == granted(engine.limits(), other)
}

impl Loader for EngineLoader {
    fn settings(&self) -> Arc<GuestSettings> {
        self.settings.clone()
    }

    fn id(&self, component: &[u8], settings: &GuestSettings) -> String {
        VersionId::new(ComponentHash::of(component), &self.tenant_hash(settings)).to_string()
    }

    fn load(&self, component: &[u8], settings: &Arc<GuestSettings>) -> Result<Loaded, String> {
        let load = || self.engine.check_with(component.to_vec(), self.grant)?.compile()?.try_out();
        let tried = load().map_err(|error| error.to_string())?;
        let version = tried.version(&self.tenant_hash(settings), settings.clone());
        let (counted, resting) = (version.clone(), version.clone());
        Ok(Loaded {
            id: version.id().to_string(),
            logic: version,
            stats: Box::new(move || stats(&counted.stats())),
            rest: Box::new(move || resting.rest()),
        })
    }
}

fn stats(stats: &plugboard_engine::Stats) -> Stats {
    let microseconds = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    Stats {
        events: stats.events,
        faults: stats.breakdowns.to_vec(),
        p50_us: microseconds(stats.p50),
        p99_us: microseconds(stats.p99),
        instances: stats.instances as u64,
        memory_bytes: stats.memory_bytes as u64,
    }
}
