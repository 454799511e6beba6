//! One version of a tenant's call logic, and where it is in its life.

use super::drain::{Drain, Draining};
use super::health::Health;
use super::observed::{Observed, Surroundings};
use super::store::Record;
use super::{Findings, Shadow, Share, SteppedBack};
use plugboard_calls::contract::Description;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::Logic;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Turns bytes into call logic: checks, compiles and tries them.
pub trait Loader: Send + Sync {
    /// What the tenant's configuration tells its call logic now.
    fn settings(&self) -> Arc<GuestSettings> {
        Arc::default()
    }

    /// The hash that names the version of a component which is told this (component, what it is granted and told,
    /// contract).
    fn id(&self, component: &[u8], settings: &GuestSettings) -> String;

    /// Call logic that is ready to take calls. May take seconds; call it from a thread that may block.
    ///
    /// # Errors
    /// What is wrong with the component and what to do about it, as one line. The component's author's to correct.
    fn load(&self, component: &[u8], settings: &Arc<GuestSettings>) -> Result<Loaded, String>;
}

/// Call logic that passed.
pub struct Loaded {
    /// The hash that names this version: [`Loader::id`].
    pub id: String,
    /// It.
    pub logic: Arc<dyn Logic>,
    /// What happened to it so far.
    pub stats: Box<dyn Fn() -> Stats + Send + Sync>,
    /// Gives back what it holds for speed: few events will come.
    pub rest: Box<dyn Fn() + Send + Sync>,
}

/// What happened to a version so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that it handled or failed at, in number.
    pub events: u64,
    /// Events that it failed at, in number by kind.
    pub faults: Vec<(&'static str, u64)>,
    /// Half of its events took no longer, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 of its events took no longer, in microseconds.
    pub p99_us: u64,
    /// Instances that there are of it, in number.
    pub instances: u64,
    /// The linear memory of those, in bytes, as it was after their last event. Machine code is not in it.
    pub memory_bytes: u64,
}

/// A version of call logic that passed, with where it came from.
pub struct Version {
    loaded: Loaded,
    logic: Arc<dyn Logic>,
    observed: Arc<Observed>,
    component: String,
    deployed_unix_ms: u64,
    draining: Mutex<Option<Draining>>,
}

impl Version {
    /// `deployed_unix_ms`: when it was deployed, in milliseconds since the Unix epoch.
    pub(super) fn new(
        loaded: Loaded,
        component: String,
        deployed_unix_ms: u64,
        surroundings: Arc<Surroundings>,
    ) -> Arc<Self> {
        let observed = Observed::new(loaded.logic.clone(), surroundings);
        let (logic, draining) = (observed.clone(), Mutex::default());
        Arc::new(Self { loaded, logic, observed, component, deployed_unix_ms, draining })
    }

    /// The hash that names it.
    pub fn id(&self) -> &str {
        &self.loaded.id
    }

    /// SHA-256 of the component, in hex.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// It.
    pub fn logic(&self) -> &Arc<dyn Logic> {
        &self.logic
    }

    /// What it is told.
    pub fn settings(&self) -> Arc<GuestSettings> {
        self.logic.settings()
    }

    /// What tells it from others.
    pub(super) fn label(&self) -> Label {
        Label::new(self.id(), &self.component, self.logic.description(), self.deployed_unix_ms)
    }

    /// What is needed to make it again.
    pub(super) fn record(&self) -> Record {
        let (component, deployed_unix_ms) = (self.component.clone(), self.deployed_unix_ms);
        Record { component, deployed_unix_ms, settings: (*self.settings()).clone() }
    }

    /// How it fares.
    pub(super) fn health(&self) -> &Health {
        &self.observed.health
    }

    /// How it drains, if its calls have a deadline.
    pub fn draining(&self) -> Option<Draining> {
        self.drain().clone()
    }

    /// What happened to it so far.
    pub fn stats(&self) -> Stats {
        (self.loaded.stats)()
    }

    /// When it was deployed first, in milliseconds since the Unix epoch.
    pub fn deployed_unix_ms(&self) -> u64 {
        self.deployed_unix_ms
    }

    /// It is a version of these from now on.
    pub(super) fn join(&self, surroundings: Arc<Surroundings>) {
        self.observed.join(surroundings);
    }

    /// Says whether it is the live version.
    pub(super) fn set_live(&self, is_live: bool) {
        self.observed.set_live(is_live);
    }

    /// New calls take it from now on.
    pub(super) fn enter_service(&self) {
        self.health().begin();
        *self.drain() = None;
    }

    /// New calls do not take it any more: it gives back what it holds for speed, and its calls have this time.
    pub(super) fn leave_service(&self, drain: Option<Drain>, now_unix_ms: u64) {
        (self.loaded.rest)();
        *self.drain() = Draining::begin(drain, now_unix_ms);
    }

    /// Whether the time of its calls is over and nothing was done about it yet.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.drain().as_ref().is_some_and(|draining| draining.is_due(now))
    }

    /// What was to be done at its deadline is done; these calls could not be moved.
    pub(super) fn finish_drain(&self, refused: Vec<(String, String)>) {
        if let Some(draining) = &mut *self.drain() {
            draining.finish(refused);
        }
    }

    fn drain(&self) -> MutexGuard<'_, Option<Draining>> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// New calls take it.
    Live,
    /// A share of the new calls takes it.
    Candidate(Share),
    /// It sees live events, and what it would do is compared and thrown away.
    Shadow,
    /// Calls that began with it still go on.
    Draining,
    /// No call has it; kept to roll back to.
    Retired,
    /// The host stepped back from it by itself. Calls that began with it may still go on.
    SteppedBack,
}

impl State {
    /// As the admin API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Candidate(_) => "candidate",
            Self::Shadow => "shadow",
            Self::Draining => "draining",
            Self::Retired => "retired",
            Self::SteppedBack => "stepped-back",
        }
    }

    /// The share of new calls of a candidate.
    pub fn share(self) -> Option<Share> {
        match self {
            Self::Candidate(share) => Some(share),
            Self::Live | Self::Shadow | Self::Draining | Self::Retired | Self::SteppedBack => None,
        }
    }
}

/// What tells a version from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The hash that names it.
    pub id: String,
    /// SHA-256 of the component, in hex.
    pub component: String,
    /// What the component calls itself.
    pub name: String,
    /// The version that the component gives itself.
    pub version: String,
    /// When it was deployed, in milliseconds since the Unix epoch.
    pub deployed_unix_ms: u64,
}

impl Label {
    pub(super) fn new(id: &str, component: &str, description: &Description, deployed_unix_ms: u64) -> Self {
        let Description { name, version, .. } = description.clone();
        Self { id: id.to_owned(), component: component.to_owned(), name, version, deployed_unix_ms }
    }
}

/// A version as `versions` lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What tells it from others.
    pub label: Label,
    /// Where it is in its life.
    pub state: State,
    /// Calls that it serves, in number.
    pub calls: usize,
    /// What happened to it so far; nothing is known of one that is gone.
    pub stats: Stats,
    /// Until when its calls may keep it.
    pub draining: Option<Draining>,
    /// Why the host stepped back from it, and until when it is refused.
    pub stepped_back: Option<SteppedBack>,
    /// What a version in the shadow would have done otherwise.
    pub findings: Option<Findings>,
}

impl Listed {
    /// A version that is in memory.
    pub fn new(version: &Version, state: State, calls: usize, stepped_back: Option<SteppedBack>) -> Self {
        Self {
            label: version.label(),
            state,
            calls,
            stats: version.stats(),
            draining: version.draining(),
            stepped_back,
            findings: None,
        }
    }

    /// What sees live events.
    pub fn shadow(shadow: &Shadow) -> Self {
        let description = shadow.logic().description();
        Self {
            label: Label::new(shadow.id(), shadow.component(), description, shadow.since_unix_ms()),
            state: State::Shadow,
            calls: 0,
            stats: shadow.stats(),
            draining: None,
            stepped_back: None,
            findings: Some(shadow.findings()),
        }
    }

    /// A version that is gone, of which only this is known.
    pub(super) fn gone(stepped: SteppedBack) -> Self {
        Self {
            label: stepped.label.clone(),
            state: State::SteppedBack,
            calls: 0,
            stats: Stats::default(),
            draining: None,
            stepped_back: Some(stepped),
            findings: None,
        }
    }
}
