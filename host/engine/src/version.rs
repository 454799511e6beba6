//! A version: one component, for one tenant, in service.

use crate::allowance::Allowance;
use crate::bindings::{CONTRACT, Guest};
use crate::convert::{self, Lists};
use crate::instances::Instances;
use crate::life::ComponentHash;
use crate::stats::Stats;
use crate::visit::Visit;
use crate::wasi::Moment;
use plugboard_calls::contract::*;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::stage::Stage;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;
use wasmtime::Store;

/// A component in service for one tenant; made by [`Tried::version`](crate::Tried::version).
///
/// Any number of threads may use it at once: each event has an instance to itself, and blocks its thread until the
/// guest returns. Measured on two cores with the built-in controller and a GET of an unknown call, stage included: 4 µs
/// in an instance that is there, 45 µs in a new one, 190 ms to compile. The deadline is the most it can be.
pub struct Version {
    id: VersionId,
    /// The same as text.
    name: Arc<str>,
    component: ComponentHash,
    description: Description,
    settings: Arc<GuestSettings>,
    instances: Arc<Instances>,
}

/// The hash of component, tenant configuration and contract version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionId([u8; 32]);

impl VersionId {
    /// Of a component in service for the tenant with this hash of its configuration.
    pub fn new(component: ComponentHash, configuration_hash: &[u8; 32]) -> Self {
        let parts = Sha256::new().chain_update(component.as_bytes()).chain_update(configuration_hash);
        Self(parts.chain_update(CONTRACT).finalize().into())
    }
}

/// The first 16 hexadecimal digits: enough to tell versions apart, short enough to read.
impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Version {
    pub(crate) fn new(
        id: VersionId,
        component: ComponentHash,
        description: Description,
        settings: Arc<GuestSettings>,
        instances: Arc<Instances>,
    ) -> Self {
        Self { id, name: id.to_string().into(), component, description, settings, instances }
    }

    /// What tells it from other versions.
    pub fn id(&self) -> VersionId {
        self.id
    }

    /// The hash of its component alone.
    pub fn component(&self) -> ComponentHash {
        self.component
    }

    /// What it has done so far, and what it holds now.
    pub fn stats(&self) -> Stats {
        self.instances.stats()
    }

    /// Throws away the instances that are idle, for a version that few calls still use.
    pub fn rest(&self) {
        self.instances.clear();
    }

    /// Runs one export in an instance of its own.
    fn run<T: Send>(
        &self,
        stage: Option<Stage>,
        event: Option<Moment>,
        export: impl FnOnce(&Guest, &mut Store<Visit>) -> wasmtime::Result<Result<T, Breakdown>> + Send,
    ) -> (Option<Stage>, Result<T, Breakdown>) {
        let engine = &self.instances.engine;
        let _running = engine.shared().ticker.enter();
        let allowance = Allowance::new(self.instances.grant.event_deadline);
        let mut lease = match self.instances.take(allowance) {
            Ok(lease) => lease,
            Err(breakdown) => return (stage, Err(breakdown)),
        };
        let (stage, outcome) = lease.instance().call(allowance, stage, event, export);
        let outcome = outcome.flatten();
        lease.give_back(&outcome);
        (stage, outcome)
    }
}

impl Logic for Version {
    fn description(&self) -> &Description {
        &self.description
    }

    fn version_id(&self) -> Arc<str> {
        self.name.clone()
    }

    fn settings(&self) -> Arc<GuestSettings> {
        self.settings.clone()
    }

    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        let lists = Lists::of_request(request);
        let (stage, outcome) = self.run(Some(stage), None, |guest, store| {
            Ok(match guest.call_route(store, domain, convert::request(request, &lists))? {
                Ok(key) => CallKey::new(key.value).map(Routed::Call).ok_or(Breakdown::Limit("call_key_bytes")),
                Err(response) => Ok(Routed::Answer(response.into())),
            })
        });
        (stage.expect(STAGE_RETURNS), outcome)
    }

    fn handle(
        &self,
        context: &Context,
        state: Option<&[u8]>,
        event: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        let begun = Instant::now();
        let lists = Lists::of_event(event);
        let moment = Moment { unix_ms: context.now_unix_ms, seed: context.seed };
        let (stage, outcome) = self.run(Some(stage), Some(moment), |guest, store| {
            let outcome = guest.call_handle(store, convert::context(context), state, convert::event(event, &lists))?;
            Ok(outcome.map_err(|fault| Breakdown::Fault(fault.into())))
        });
        self.instances.counters.event(begun.elapsed(), &outcome);
        (stage.expect(STAGE_RETURNS), outcome)
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        let (_, outcome) = self.run(None, None, |guest, store| {
            let outcome = guest.call_migrate(store, from_schema, state)?;
            Ok(outcome.map_err(|fault| Breakdown::Fault(fault.into())))
        });
        outcome
    }
}

const STAGE_RETURNS: &str = "a stage that is lent to an instance comes back from every call";
