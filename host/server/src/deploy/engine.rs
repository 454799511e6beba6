//! The way to the engine: a component becomes a version of one tenant's call logic.

use super::{Loaded, Loader, Stats};
use crate::config::{EngineConfig, TenantConfig};
use crate::state_dir::StateDir;
use plugboard_calls::contract::Description;
use plugboard_engine::{Engine, EngineLimits, Error};
use sha2::{Digest as _, Sha256};

/// Where compiled components are kept within the state folder.
const COMPILED: &str = "compiled";

/// Loads call logic of one tenant with wasmtime.
pub struct EngineLoader {
    engine: Engine,
    tenant_hash: [u8; 32],
}

/// The engine of the process, with compiled components kept in the state folder.
///
/// # Errors
/// When the machine cannot run it, or the folder is not ours alone.
pub fn engine(config: &EngineConfig, state_dir: &StateDir) -> Result<Engine, Error> {
    Engine::new(limits(config), Some(&state_dir.path(COMPILED)))
}

/// Checks, compiles and tries a component without taking it into service; what it says it is.
///
/// # Errors
/// What is wrong with it.
pub fn try_out(config: &EngineConfig, component: Vec<u8>) -> Result<Description, Error> {
    let engine = Engine::new(limits(config), None)?;
    Ok(engine.check(component)?.compile()?.try_out()?.description().clone())
}

fn limits(config: &EngineConfig) -> EngineLimits {
    EngineLimits {
        event_deadline: config.event_deadline,
        memory_bytes: config.memory_bytes,
        component_bytes: super::COMPONENT_BYTES_MAX,
        ..EngineLimits::default()
    }
}

impl EngineLoader {
    /// A loader for this tenant.
    pub fn new(engine: Engine, tenant: &TenantConfig) -> Self {
        Self { engine, tenant_hash: tenant_hash(tenant) }
    }
}

impl Loader for EngineLoader {
    fn load(&self, component: &[u8]) -> Result<Loaded, String> {
        let load = || self.engine.check(component.to_vec())?.compile()?.try_out();
        let version = load().map_err(|error| error.to_string())?.version(&self.tenant_hash);
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
    }
}

/// What of a tenant's configuration its call logic can notice; no secrets.
fn tenant_hash(tenant: &TenantConfig) -> [u8; 32] {
    let users: Vec<_> = tenant.users.iter().map(|user| (&user.name, &user.display_name, &user.aliases)).collect();
    let proxy = tenant.outbound_proxy.as_ref().map(ToString::to_string);
    Sha256::digest(format!("{:?}", (&tenant.domain, &tenant.limits, proxy, users))).into()
}
