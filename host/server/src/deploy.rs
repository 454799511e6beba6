//! Versions of a tenant's call logic: which one is live, which came before, and how one takes the place of another.
//!
//! A deployment is checked, compiled and tried while the live version goes on; only then does one pointer move. New
//! calls take the new version, calls in progress keep the one they began with. Whatever fails changes nothing.
//! A version can be a **candidate** first, which takes a share of the new calls ([`share`]). From a candidate that fails
//! too often (`health`), and from one that was made live a short while ago, the host steps back by itself
//! (`keeper`), and refuses it for a time (`back_off`). A version that new calls do not take any more drains
//! (`drain`). And a component can be put into the **shadow** of the live version, where it sees events and decides
//! nothing (`shadow`).
//!
//! What is deployed is kept in the state folder, so that a restart starts the same version again; a controller that
//! is changed in the configuration since then takes its place.

mod back_off;
pub mod drain;
mod engine;
mod health;
mod history;
pub mod keeper;
mod observed;
mod renew;
pub mod shadow;
pub mod share;
mod store;
mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod version;

pub use back_off::SteppedBack;
pub use drain::{Drain, Draining, Then};
pub use engine::{Alone, EngineLoader, engine, grants_the_same};
pub use renew::{Frozen, Prepared};
pub use shadow::{Findings, Shadow};
pub use share::{Newcomers, Share};
pub use store::Store;
pub use terms::{DRAIN_SECONDS_MAX, DeployError, Deployed, How, Policy, RolledBack};
pub use version::{Label, Listed, Loaded, Loader, State, Stats, Version};

use history::History;
use observed::Surroundings;
use share::Candidate;
use store::{CandidateRecord, Configured, Kept, Record};

use arc_swap::ArcSwap;
use plugboard_calls::logic::Logic;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Versions before the live one that can be rolled back to, in number.
pub const BEFORE_MAX: usize = 3;
/// Versions that are neither live nor to be rolled back to but still have calls, in number. Beyond it deployments are
/// refused until calls have ended.
pub const DRAINING_MAX: usize = 8;
/// Largest component, in bytes.
pub const COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Counts the calls that a version serves.
pub type CallsOf<'c> = &'c dyn Fn(&Arc<dyn Logic>) -> usize;

/// The versions of one tenant.
pub struct Deployments {
    front: ArcSwap<Front>,
    surroundings: Arc<Surroundings>,
    stepped_back: AtomicU64,
    loader: Arc<dyn Loader>,
    store: Store,
    /// Held while a component is loaded: two deployments at once are one after the other.
    loading: Mutex<()>,
    /// Held while a version takes its place. A step back does not wait for a compiler.
    turns: Mutex<renew::Turn>,
    history: Mutex<History>,
}

/// What new calls meet.
struct Front {
    live: Arc<Version>,
    newcomers: Arc<Newcomers>,
}

impl Deployments {
    /// Starts with what was deployed last, or with the configured component when nothing was or the configuration has
    /// changed since. `file` is the component that the configuration names, none for the built-in one; `policy` what it
    /// says about versions. May take seconds.
    ///
    /// # Errors
    /// When the configured component does not pass and nothing that was deployed takes its place.
    pub fn start(
        loader: Arc<dyn Loader>,
        store: Store,
        built_in: &[u8],
        file: Option<&[u8]>,
        policy: Policy,
    ) -> Result<Self, DeployError> {
        Self::prepare(loader, store, built_in, file, policy)?.keep()
    }

    /// As [`start`](Self::start), up to the point where something would be written down.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn prepare(
        loader: Arc<dyn Loader>,
        store: Store,
        built_in: &[u8],
        file: Option<&[u8]>,
        policy: Policy,
    ) -> Result<Prepared, DeployError> {
        let surroundings = Arc::new(Surroundings { policy: ArcSwap::from_pointee(policy), ..Surroundings::default() });
        let (bytes, settings) = (file.unwrap_or(built_in), loader.settings());
        let configured = Configured::new(built_in, file, &settings);
        let component = configured.component.clone();
        let Kept { line, candidate, back_off, configured_is_live, told_otherwise } = store.start(configured);
        let again = |Record { component, deployed_unix_ms, settings }: Record| match store
            .component(&component)
            .and_then(|bytes| loader.load(&bytes, &Arc::new(settings)))
        {
            Ok(loaded) => Some(Version::new(loaded, component, deployed_unix_ms, surroundings.clone())),
            Err(reason) => {
                let tenant = store.domain();
                tracing::error!(tenant, component, reason, "a component deployed before cannot be started again");
                None
            }
        };
        let mut history = History { back_off, ..History::default() };
        line.into_iter().filter_map(again).for_each(|version| history.push(version));
        let fresh = (configured_is_live || history.line.is_empty()).then(|| bytes.to_vec());
        if fresh.is_some() {
            let loaded = loader.load(bytes, &settings).map_err(DeployError::Refused)?;
            history.push(Version::new(loaded, component, now_unix_ms(), surroundings.clone()));
        }
        let retold = |record| Record { deployed_unix_ms: now_unix_ms(), settings: (*settings).clone(), ..record };
        if fresh.is_none() && told_otherwise {
            let live = history.line.last().map(|live| live.record());
            live.map(retold).and_then(again).into_iter().for_each(|version| history.push(version));
        }
        history.live_since = None;
        history.line.last().into_iter().for_each(|live| live.set_live(true));
        if let Some((record, share)) = candidate.and_then(CandidateRecord::into_parts)
            && let Some(version) = again(if told_otherwise { retold(record) } else { record })
            && history.find(version.id()).is_none()
        {
            history.propose(version, share);
        }
        let front = ArcSwap::from_pointee(Front::of(&history));
        let (loading, turns, history) = (Mutex::default(), Mutex::default(), Mutex::new(history));
        let deployments =
            Self { front, surroundings, stepped_back: AtomicU64::new(0), loader, store, loading, turns, history };
        Ok(Prepared { deployments, fresh })
    }

    /// Follows what a changed configuration says about versions.
    pub fn follow(&self, policy: Policy) {
        self.surroundings.policy.store(Arc::new(policy));
    }

    /// The version that new calls take, but for a candidate's share.
    pub fn live(&self) -> Arc<Version> {
        self.front.load().live.clone()
    }

    /// The versions that new calls take: the live one, and the candidate if there is one.
    pub fn newest(&self) -> Vec<Arc<Version>> {
        self.history().newest().cloned().collect()
    }

    /// The id of the candidate, if there is one, and its share of the new calls.
    pub fn candidate(&self) -> Option<(String, Share)> {
        self.history().candidate.as_ref().map(|(version, share)| (version.id().to_owned(), *share))
    }

    /// Who takes new calls at the moment.
    pub fn newcomers(&self) -> Arc<Newcomers> {
        self.front.load().newcomers.clone()
    }

    /// Checks, compiles and tries a component, and makes it live or a candidate. The candidate of before, if it is
    /// another, steps aside. Blocks; may take seconds.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn deploy(&self, component: &[u8], how: How, calls_of: CallsOf<'_>) -> Result<Deployed, DeployError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.turn()?);
        let state = if how.share == Share::ALL { State::Live } else { State::Candidate(how.share) };
        let (component_hash, id) = (hash(component), self.loader.id(component, &self.loader.settings()));
        let (known, candidate) = {
            let history = self.history();
            (history.find(&id).cloned(), history.candidate.clone())
        };
        self.check_back_off(&id, how.force)?;
        let same = |version: &Arc<Version>| version.id() == id;
        if same(&self.live()) {
            let version = self.live();
            return if state == State::Live {
                Ok(Deployed { version, state, already: true })
            } else {
                Err(DeployError::LiveAlready)
            };
        }
        if let Some((version, share)) = candidate.filter(|(version, _)| same(version))
            && state == State::Candidate(share)
        {
            return Ok(Deployed { version, state, already: true });
        }
        let version = match known {
            Some(version) => version,
            None => self.load(component, component_hash.clone(), calls_of)?,
        };
        if state != State::Live {
            self.check_path(&version)?;
        }
        let _turn = self.turn()?;
        self.store.keep(&component_hash, component).map_err(DeployError::Store)?;
        let mut history = self.history();
        let before = history.clone();
        match state.share() {
            Some(share) => history.propose(version.clone(), share),
            None => {
                history.withdraw();
                history.push(version.clone());
            }
        }
        self.switch(history, before, how.drain, calls_of)?;
        if self.shadow().is_some_and(|shadow| shadow.id() == version.id()) {
            self.surroundings.shadow.store(None);
        }
        Ok(Deployed { version, state, already: false })
    }

    /// Checks, compiles and tries a component, and lets it see the events of the live version from now on, in the place
    /// of what did so before. It goes when it is deployed, and with the process. Blocks; may take seconds.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn put_into_shadow(&self, component: &[u8]) -> Result<Arc<Shadow>, DeployError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = self.load_aside(component)?;
        let _turn = self.turn()?;
        let shadow = Shadow::start(loaded, hash(component), now_unix_ms());
        let shadow = shadow.map_err(|error| DeployError::Refused(format!("no thread for it: {error}")))?;
        self.surroundings.shadow.store(Some(shadow.clone()));
        Ok(shadow)
    }

    /// What sees the events of the live version.
    pub fn shadow(&self) -> Option<Arc<Shadow>> {
        self.surroundings.shadow.load_full()
    }

    /// Ends the shadow; what it was.
    ///
    /// # Errors
    /// When there is none.
    pub fn end_shadow(&self) -> Result<Arc<Shadow>, DeployError> {
        self.surroundings.shadow.swap(None).ok_or(DeployError::NoShadow)
    }

    /// Checks, compiles and tries a component for a look at it: it takes no calls. Blocks; may take seconds.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load_aside(&self, component: &[u8]) -> Result<Loaded, DeployError> {
        self.loader.load(component, &self.loader.settings()).map_err(DeployError::Refused)
    }

    /// Takes the candidate away; without one makes the version before the live one live again.
    ///
    /// # Errors
    /// Why nothing changed.
    pub fn roll_back(&self, calls_of: CallsOf<'_>) -> Result<RolledBack, DeployError> {
        let _turn = self.turn()?;
        let mut history = self.history();
        let before = history.clone();
        let withdrawn = history.withdraw();
        if withdrawn.is_none() {
            history.pop().ok_or(DeployError::NothingBefore)?;
        }
        self.switch(history, before, None, calls_of)?;
        Ok(RolledBack { live: self.live(), withdrawn })
    }

    /// Whether there is something for [`Self::step_back`] or [`Self::overdue`] to do. Cheap.
    pub(crate) fn wants_attention(&self, now: Instant) -> bool {
        let history = self.history();
        self.given_up(&history, now).is_some() || history.all().any(|version| version.is_overdue(now))
    }

    /// Steps back from a version that fails too often, if there is one: a candidate, or the live one if it was deployed
    /// a short while ago and another was live before.
    ///
    /// # Errors
    /// Why nothing changed.
    pub(crate) fn step_back(&self, calls_of: CallsOf<'_>) -> Result<Option<SteppedBack>, DeployError> {
        let Ok(_turn) = self.turn() else { return Ok(None) };
        let mut history = self.history();
        let Some(version) = self.given_up(&history, Instant::now()) else { return Ok(None) };
        let before = history.clone();
        if history.withdraw_if(&version).is_none() {
            history.pop().ok_or(DeployError::NothingBefore)?;
        }
        let why = version.health().verdict().unwrap_or_default();
        history.back_off.note(SteppedBack::from(&version, why), now_unix_ms());
        let noted = history.back_off.of(version.id()).cloned();
        self.switch(history, before, None, calls_of)?;
        self.stepped_back.fetch_add(1, Ordering::Relaxed);
        Ok(noted)
    }

    /// How often the host stepped back by itself since the start, in number.
    pub fn times_stepped_back(&self) -> u64 {
        self.stepped_back.load(Ordering::Relaxed)
    }

    /// The versions whose calls have had their time.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<Arc<Version>> {
        self.history().all().filter(|version| version.is_overdue(now)).cloned().collect()
    }

    /// All versions that are live, a candidate, draining, kept, or that the host stepped back from: the live one first,
    /// then the candidate and the shadow, then from new to old.
    pub fn list(&self, calls_of: CallsOf<'_>) -> Vec<Listed> {
        let history = self.history();
        let live = self.live();
        let listed = |version: &Arc<Version>| {
            let calls = calls_of(version.logic());
            let stepped_back = history.back_off.of(version.id()).cloned();
            let state = match &history.candidate {
                _ if Arc::ptr_eq(version, &live) => State::Live,
                Some((candidate, share)) if Arc::ptr_eq(version, candidate) => State::Candidate(*share),
                _ if stepped_back.is_some() => State::SteppedBack,
                _ if calls > 0 => State::Draining,
                _ => State::Retired,
            };
            Listed::new(version, state, calls, stepped_back)
        };
        let candidate = history.candidate.iter().map(|(version, _)| version);
        let before = history.line.iter().rev().filter(|version| !Arc::ptr_eq(version, &live));
        let newest = std::iter::once(&live).chain(candidate).map(listed);
        let shadow = self.shadow().into_iter().map(|shadow| Listed::shadow(&shadow));
        let before = before.map(listed);
        let aside = history.aside.iter().rev().map(listed).filter(|listed| listed.state != State::Retired);
        let gone = history.back_off.newest_first().filter(|stepped| history.find(&stepped.label.id).is_none());
        newest.chain(shadow).chain(before).chain(aside).chain(gone.cloned().map(Listed::gone)).collect()
    }

    /// The version to step back from, if there is one.
    fn given_up(&self, history: &History, now: Instant) -> Option<Arc<Version>> {
        let candidate = history.candidate.as_ref().map(|(version, _)| version);
        let watch = self.surroundings.policy.load().rollback.watch;
        let is_watched = history.live_since.is_some_and(|since| now.duration_since(since) <= watch);
        let live = history.line.last().filter(|_| is_watched && history.line.len() > 1);
        candidate.into_iter().chain(live).find(|version| version.health().is_given_up()).cloned()
    }

    fn check_back_off(&self, id: &str, force: bool) -> Result<(), DeployError> {
        let (now, history) = (now_unix_ms(), self.history());
        match history.back_off.refusal(id, now).filter(|_| !force) {
            None => Ok(()),
            Some(SteppedBack { times, why, until_unix_ms, .. }) => Err(DeployError::SteppedBack {
                times: *times,
                why: why.clone(),
                seconds: until_unix_ms.saturating_sub(now).div_ceil(1_000),
            }),
        }
    }

    fn load(&self, component: &[u8], hash: String, calls_of: CallsOf<'_>) -> Result<Arc<Version>, DeployError> {
        if self.draining(calls_of) >= DRAINING_MAX {
            return Err(DeployError::Draining);
        }
        let loaded = self.load_aside(component)?;
        Ok(Version::new(loaded, hash, now_unix_ms(), self.surroundings.clone()))
    }

    fn check_path(&self, candidate: &Version) -> Result<(), DeployError> {
        let path = |version: &Version| version.logic().description().http_prefix.clone();
        let (live, candidate) = (path(&self.live()), path(candidate));
        if live == candidate { Ok(()) } else { Err(DeployError::OtherPath { live, candidate }) }
    }

    /// Moves the pointer to what the history says once that is on disk; puts the history back when it cannot be
    /// written. `drain`: what becomes of the calls of those that leave service, if that is not what the policy says.
    fn switch(
        &self,
        mut history: MutexGuard<'_, History>,
        before: History,
        drain: Option<Drain>,
        calls_of: CallsOf<'_>,
    ) -> Result<(), DeployError> {
        history.aside.retain(|version| calls_of(version.logic()) > 0);
        if let Err(error) = self.save(&history) {
            *history = before;
            return Err(error);
        }
        let (now, drain) = (now_unix_ms(), drain.or(self.surroundings.policy.load().drain));
        let serves = |history: &History, version: &Arc<Version>| history.newest().any(|one| Arc::ptr_eq(one, version));
        history.newest().filter(|version| !serves(&before, version)).for_each(|version| version.enter_service());
        self.front.store(Arc::new(Front::of(&history)));
        before.line.last().into_iter().for_each(|version| version.set_live(false));
        history.line.last().into_iter().for_each(|version| version.set_live(true));
        before.newest().filter(|version| !serves(&history, version)).for_each(|v| v.leave_service(drain, now));
        Ok(())
    }

    fn save(&self, history: &History) -> Result<(), DeployError> {
        let candidate = history.candidate.as_ref();
        let candidate = candidate.map(|(version, share)| CandidateRecord::new(version.record(), *share));
        let line = history.line.iter().map(|version| version.record()).collect();
        self.store.save(line, candidate, history.back_off.clone()).map_err(DeployError::Store)
    }

    fn draining(&self, calls_of: CallsOf<'_>) -> usize {
        self.history().aside.iter().filter(|version| calls_of(version.logic()) > 0).count()
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Front {
    fn of(history: &History) -> Self {
        let live =
            history.line.last().expect("a tenant has started with a version, and the last one never goes").clone();
        let candidate =
            history.candidate.as_ref().map(|(version, share)| Candidate { version: version.clone(), share: *share });
        let newcomers = Arc::new(Newcomers::new(live.logic().clone(), candidate));
        Self { live, newcomers }
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
