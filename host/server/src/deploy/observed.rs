//! Call logic that is watched: what the engine made, with a count of how it fares, and a view for the shadow.

use super::health::Health;
use super::{Policy, Shadow};
use arc_swap::{ArcSwap, ArcSwapOption};
use plugboard_calls::contract::{Context, Description, Event, HttpRequest};
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::shard::Finished;
use plugboard_calls::stage::Stage;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Call logic that is watched.
pub(super) struct Observed {
    logic: Arc<dyn Logic>,
    pub(super) health: Health,
    surroundings: ArcSwap<Surroundings>,
    is_live: AtomicBool,
    hasher: RandomState,
}

/// What the versions of a tenant have in common.
#[derive(Default)]
pub(super) struct Surroundings {
    /// What the configuration says about versions.
    pub(super) policy: ArcSwap<Policy>,
    /// Sees the events of the live version.
    pub(super) shadow: ArcSwapOption<Shadow>,
}

impl Observed {
    pub(super) fn new(logic: Arc<dyn Logic>, surroundings: Arc<Surroundings>) -> Arc<Self> {
        let (health, is_live, hasher) = (Health::default(), AtomicBool::new(false), RandomState::new());
        Arc::new(Self { logic, health, surroundings: ArcSwap::new(surroundings), is_live, hasher })
    }

    /// It is a version of these from now on.
    pub(super) fn join(&self, surroundings: Arc<Surroundings>) {
        self.surroundings.store(surroundings);
    }

    /// Says whether it is the live version.
    pub(super) fn set_live(&self, is_live: bool) {
        self.is_live.store(is_live, Relaxed);
    }

    fn failed(&self, what: &str, breakdown: &Breakdown) {
        if !matches!(breakdown, Breakdown::Busy(_)) {
            let call = self.hasher.hash_one(what);
            self.health.failed(&self.surroundings.load().policy.load().rollback, call, breakdown);
        }
    }
}

impl Logic for Observed {
    fn description(&self) -> &Description {
        self.logic.description()
    }

    fn version_id(&self) -> Arc<str> {
        self.logic.version_id()
    }

    fn settings(&self) -> Arc<GuestSettings> {
        self.logic.settings()
    }

    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        let (stage, routed) = self.logic.route(domain, request, stage);
        if let Err(breakdown) = &routed {
            self.failed(&request.path, breakdown);
        }
        (stage, routed)
    }

    fn handle(
        &self,
        context: &Context,
        state: Option<&[u8]>,
        event: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        self.logic.handle(context, state, event, stage)
    }

    fn observed(&self, finished: &Finished) {
        let surroundings = self.surroundings.load();
        match finished.breakdown() {
            None => self.health.went_well(&surroundings.policy.load().rollback),
            Some(breakdown) => self.failed(finished.context().key.as_str(), breakdown),
        }
        if self.is_live.load(Relaxed)
            && let Some(shadow) = &*surroundings.shadow.load()
        {
            shadow.see(self, finished);
        }
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        self.logic.migrate(from_schema, state)
    }
}
