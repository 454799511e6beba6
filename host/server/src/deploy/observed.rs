//! Call logic that is watched: what the engine made, with a count of how it fares.

use super::Policy;
use super::health::Health;
use arc_swap::ArcSwap;
use plugboard_calls::contract::{Context, Description, Event, HttpRequest};
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::shard::Finished;
use plugboard_calls::stage::Stage;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

/// Call logic that is watched.
pub(super) struct Observed {
    logic: Arc<dyn Logic>,
    pub(super) health: Health,
    policy: Arc<ArcSwap<Policy>>,
    hasher: RandomState,
}

impl Observed {
    pub(super) fn new(logic: Arc<dyn Logic>, policy: Arc<ArcSwap<Policy>>) -> Arc<Self> {
        Arc::new(Self { logic, health: Health::default(), policy, hasher: RandomState::new() })
    }

    fn failed(&self, what: &str, breakdown: &Breakdown) {
        if !matches!(breakdown, Breakdown::Busy(_)) {
            let call = self.hasher.hash_one(what);
            self.health.failed(&self.policy.load().rollback, call, breakdown);
        }
    }
}

impl Logic for Observed {
    fn description(&self) -> &Description {
        self.logic.description()
    }

    fn version_id(&self) -> String {
        self.logic.version_id()
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
        match finished.breakdown() {
            None => self.health.went_well(&self.policy.load().rollback),
            Some(breakdown) => self.failed(finished.context().key.as_str(), breakdown),
        }
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        self.logic.migrate(from_schema, state)
    }
}
