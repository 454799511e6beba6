//! Call logic that breaks down, by seed.

use plugboard_calls::chance::Chance;
use plugboard_calls::contract::*;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::stage::Stage;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// When the logic of a world breaks down.
pub struct Trouble {
    chance: Mutex<Chance>,
    percent: u64,
    over: AtomicBool,
}

/// Call logic with trouble: it does all its work, stages its effects, and then it crashes.
pub struct Troubled<L> {
    logic: L,
    trouble: Arc<Trouble>,
}

impl Trouble {
    /// Breaks down at every so many events of a hundred.
    pub fn new(seed: u64, percent: u64) -> Self {
        Self { chance: Mutex::new(Chance::new(seed)), percent, over: AtomicBool::new(false) }
    }

    /// No trouble from now on.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn strikes(&self) -> bool {
        let drawn = self.chance.lock().unwrap_or_else(PoisonError::into_inner).next_u64() % 100;
        drawn < self.percent && !self.over.load(Ordering::Relaxed)
    }
}

impl<L: Logic> Troubled<L> {
    /// This logic, with trouble.
    pub fn new(logic: L, trouble: Arc<Trouble>) -> Self {
        Self { logic, trouble }
    }
}

impl<L: Logic> Logic for Troubled<L> {
    fn description(&self) -> &Description {
        self.logic.description()
    }

    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        self.logic.route(domain, request, stage)
    }

    fn handle(
        &self,
        context: &Context,
        state: Option<&[u8]>,
        event: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        let (stage, outcome) = self.logic.handle(context, state, event, stage);
        if self.trouble.strikes() {
            return (stage, Err(Breakdown::Trap("trouble".to_owned())));
        }
        (stage, outcome)
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        if self.trouble.strikes() {
            return Err(Breakdown::Trap("trouble".to_owned()));
        }
        self.logic.migrate(from_schema, state)
    }
}
