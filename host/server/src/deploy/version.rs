//! One version of a tenant's call logic, and where it is in its life.

use super::Share;
use plugboard_calls::logic::Logic;
use std::sync::Arc;

/// Turns bytes into call logic: checks, compiles and tries them.
pub trait Loader: Send + Sync {
    /// Call logic that is ready to take calls. May take seconds; call it from a thread that may block.
    ///
    /// # Errors
    /// What is wrong with the component and what to do about it, as one line. The component's author's to correct.
    fn load(&self, component: &[u8]) -> Result<Loaded, String>;
}

/// Call logic that passed.
pub struct Loaded {
    /// The hash that names this version (component, what it is granted, contract).
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
}

/// A version of call logic that passed, with where it came from.
pub struct Version {
    loaded: Loaded,
    component: String,
    deployed_unix_ms: u64,
}

impl Version {
    pub(super) fn new(loaded: Loaded, component: String, deployed_unix_ms: u64) -> Arc<Self> {
        Arc::new(Self { loaded, component, deployed_unix_ms })
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
        &self.loaded.logic
    }

    /// What happened to it so far.
    pub fn stats(&self) -> Stats {
        (self.loaded.stats)()
    }

    /// When it was deployed first, in milliseconds since the Unix epoch.
    pub fn deployed_unix_ms(&self) -> u64 {
        self.deployed_unix_ms
    }

    /// New calls do not take it any more: gives back what it holds for speed.
    pub(super) fn rest(&self) {
        (self.loaded.rest)();
    }
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// New calls take it.
    Live,
    /// A share of the new calls takes it.
    Candidate(Share),
    /// Calls that began with it still go on.
    Draining,
    /// No call has it; kept to roll back to.
    Retired,
}

impl State {
    /// As the admin API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Candidate(_) => "candidate",
            Self::Draining => "draining",
            Self::Retired => "retired",
        }
    }

    /// The share of new calls of a candidate.
    pub fn share(self) -> Option<Share> {
        match self {
            Self::Candidate(share) => Some(share),
            Self::Live | Self::Draining | Self::Retired => None,
        }
    }
}

/// A version as `versions` lists it.
pub struct Listed {
    /// It.
    pub version: Arc<Version>,
    /// Where it is in its life.
    pub state: State,
    /// Calls that it serves, in number.
    pub calls: usize,
}
