//! Versions of a tenant's call logic: which one is live, which came before, and how one takes the place of another.
//!
//! A deployment is checked, compiled and tried while the live version goes on; only then does one pointer move. New
//! calls take the new version, calls in progress keep the one they began with. Whatever fails changes nothing.
//!
//! What is deployed is kept in the state folder, so that a restart starts the same version again; a controller that
//! is changed in the configuration since then takes its place.

mod engine;
mod store;
#[cfg(test)]
pub(crate) mod tests;

pub use engine::{EngineLoader, engine, load_alone, try_out};
pub use store::{Record, Store};

use store::Configured;

use arc_swap::ArcSwap;
use plugboard_calls::logic::Logic;
use sha2::{Digest as _, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Versions before the live one that can be rolled back to, in number.
pub const BEFORE_MAX: usize = 3;
/// Versions that are neither live nor to be rolled back to but still have calls, in number. Beyond it deployments are
/// refused until calls have ended.
pub const DRAINING_MAX: usize = 8;
/// Largest component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;

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

    /// When it was made live first, in milliseconds since the Unix epoch.
    pub fn deployed_unix_ms(&self) -> u64 {
        self.deployed_unix_ms
    }
}

/// Where a version is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// New calls take it.
    Live,
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
            Self::Draining => "draining",
            Self::Retired => "retired",
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

/// Why a deployment or rollback changed nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// The component did not pass.
    #[error("{0}")]
    Refused(String),
    /// Recorded calls would have gone differently.
    #[error(
        "recorded calls would have gone differently, so nothing was changed (force it to go live all the same):\n{0}"
    )]
    Differs(String),
    /// Too much is draining.
    #[error("{DRAINING_MAX} versions still have calls: end some of them, or wait, and deploy again")]
    Draining,
    /// There is no version before this one.
    #[error("there is no version before this one to roll back to")]
    NothingBefore,
    /// The state folder could not be written.
    #[error("cannot keep it in the state folder: {0}")]
    Store(String),
}

/// What a deployment did.
pub struct Deployed {
    /// The version that is live now.
    pub version: Arc<Version>,
    /// Whether it was before.
    pub already_live: bool,
}

/// Counts the calls that a version serves.
pub type CallsOf<'c> = &'c dyn Fn(&Arc<dyn Logic>) -> usize;

/// The versions of one tenant.
pub struct Deployments {
    live: ArcSwap<Version>,
    loader: Arc<dyn Loader>,
    store: Store,
    /// Held while a version is loaded and made live: two deployments at once are one after the other.
    turns: Mutex<()>,
    history: Mutex<History>,
}

/// Which versions there are. The last of `line` is live.
#[derive(Clone, Default)]
struct History {
    /// One was live after the other; rolling back takes the last one off.
    line: Vec<Arc<Version>>,
    /// Not in line any more.
    aside: Vec<Arc<Version>>,
}

impl Deployments {
    /// Starts with what was deployed last, or with the configured component when nothing was or the configuration has
    /// changed since. `file` is the component that the configuration names, none for the built-in one. May take
    /// seconds.
    ///
    /// # Errors
    /// When the configured component does not pass and nothing that was deployed takes its place.
    pub fn start(
        loader: Arc<dyn Loader>,
        store: Store,
        built_in: &[u8],
        file: Option<&[u8]>,
    ) -> Result<Self, DeployError> {
        let bytes = file.unwrap_or(built_in);
        let component = hash(bytes);
        let base = if file.is_some() { component.clone() } else { "built-in".to_owned() };
        let kept = store.start(Configured { base, component: component.clone() });
        let mut history = History::default();
        for Record { component, deployed_unix_ms } in kept.line {
            match store.component(&component).and_then(|bytes| loader.load(&bytes)) {
                Ok(loaded) => history.push(Version::new(loaded, component, deployed_unix_ms)),
                Err(reason) => {
                    let tenant = store.domain();
                    tracing::error!(tenant, component, reason, "a component deployed before cannot be started again");
                }
            }
        }
        if kept.configured_is_live || history.line.is_empty() {
            let loaded = loader.load(bytes).map_err(DeployError::Refused)?;
            store.keep(&component, bytes).map_err(DeployError::Store)?;
            history.push(Version::new(loaded, component, now_unix_ms()));
        }
        let live = ArcSwap::from(history.line.last().expect("pushed just now if it was empty").clone());
        let (turns, history) = (Mutex::default(), Mutex::new(history));
        let deployments = Self { live, loader, store, turns, history };
        deployments.save(&deployments.history())?;
        Ok(deployments)
    }

    /// The version that new calls take.
    pub fn live(&self) -> Arc<Version> {
        self.live.load_full()
    }

    /// Checks, compiles and tries a component and makes it live. Blocks; may take seconds.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn deploy(&self, component: &[u8], calls_of: CallsOf<'_>) -> Result<Deployed, DeployError> {
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let component_hash = hash(component);
        let known = self.history().all().find(|version| version.component == component_hash).cloned();
        let version = match known {
            Some(version) if Arc::ptr_eq(&version, &self.live()) => {
                return Ok(Deployed { version, already_live: true });
            }
            Some(version) => version,
            None => {
                if self.draining(calls_of) >= DRAINING_MAX {
                    return Err(DeployError::Draining);
                }
                let loaded = self.loader.load(component).map_err(DeployError::Refused)?;
                self.store.keep(&component_hash, component).map_err(DeployError::Store)?;
                Version::new(loaded, component_hash, now_unix_ms())
            }
        };
        let mut history = self.history();
        let before = history.clone();
        history.push(version.clone());
        self.switch(history, before, calls_of)?;
        Ok(Deployed { version, already_live: false })
    }

    /// Checks, compiles and tries a component for a look at it: it takes no calls. Blocks; may take seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_aside(&self, component: &[u8]) -> Result<Loaded, DeployError> {
        self.loader.load(component).map_err(DeployError::Refused)
    }

    /// Makes the version before the live one live again.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn roll_back(&self, calls_of: CallsOf<'_>) -> Result<Arc<Version>, DeployError> {
        let _turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut history = self.history();
        let before = history.clone();
        let version = history.pop().ok_or(DeployError::NothingBefore)?;
        self.switch(history, before, calls_of)?;
        Ok(version)
    }

    /// The id of the version that runs this call logic.
    pub fn id_of(&self, logic: &Arc<dyn Logic>) -> Option<String> {
        self.history().all().find(|version| Arc::ptr_eq(version.logic(), logic)).map(|version| version.id().to_owned())
    }

    /// All versions that are live, draining or kept, the live one first, then from new to old.
    pub fn list(&self, calls_of: CallsOf<'_>) -> Vec<Listed> {
        let history = self.history();
        let live = self.live();
        let listed = |version: &Arc<Version>| {
            let calls = calls_of(version.logic());
            let state = match calls {
                _ if Arc::ptr_eq(version, &live) => State::Live,
                0 => State::Retired,
                _ => State::Draining,
            };
            Listed { version: version.clone(), state, calls }
        };
        let mut all: Vec<Listed> = history.line.iter().rev().chain(history.aside.iter().rev()).map(listed).collect();
        all.retain(|listed| {
            listed.state != State::Retired || history.line.iter().any(|v| Arc::ptr_eq(v, &listed.version))
        });
        all
    }

    /// Moves the pointer to the last in line once that is on disk; puts the history back when it cannot be written.
    fn switch(
        &self,
        mut history: MutexGuard<'_, History>,
        before: History,
        calls_of: CallsOf<'_>,
    ) -> Result<(), DeployError> {
        history.aside.retain(|version| calls_of(version.logic()) > 0);
        if let Err(error) = self.save(&history) {
            *history = before;
            return Err(error);
        }
        if let Some(version) = history.line.last() {
            let before = self.live.swap(version.clone());
            (before.loaded.rest)();
        }
        Ok(())
    }

    fn save(&self, history: &History) -> Result<(), DeployError> {
        let record = |version: &Arc<Version>| Record {
            component: version.component.clone(),
            deployed_unix_ms: version.deployed_unix_ms,
        };
        self.store.save(history.line.iter().map(record).collect()).map_err(DeployError::Store)
    }

    fn draining(&self, calls_of: CallsOf<'_>) -> usize {
        self.history().aside.iter().filter(|version| calls_of(version.logic()) > 0).count()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn all(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.line.iter().chain(&self.aside)
    }

    /// Puts a version at the end of the line; the oldest steps aside when the line is too long.
    fn push(&mut self, version: Arc<Version>) {
        self.line.retain(|other| other.component != version.component);
        self.aside.retain(|other| other.component != version.component);
        self.line.push(version);
        while self.line.len() > BEFORE_MAX + 1 {
            self.aside.push(self.line.remove(0));
        }
    }

    /// Takes the live version off the line; the one that is live then.
    fn pop(&mut self) -> Option<Arc<Version>> {
        let before = self.line.iter().rev().nth(1)?.clone();
        self.aside.extend(self.line.pop());
        Some(before)
    }
}

impl Version {
    fn new(loaded: Loaded, component: String, deployed_unix_ms: u64) -> Arc<Self> {
        Arc::new(Self { loaded, component, deployed_unix_ms })
    }
}

/// SHA-256 in hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    crate::auth::hex(&Sha256::digest(bytes))
}

fn now_unix_ms() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}
