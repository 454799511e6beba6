//! Versions that take the place of all versions of a tenant, when a reload changes its controller or what that is
//! granted or told: they are made as at a restart, and those from before keep the calls that they have.

use super::store::Configured;
use super::{DeployError, Deployments, Front, Version, now_unix_ms};
use std::sync::{Arc, MutexGuard, PoisonError};

/// Whether the versions of a tenant may change now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Turn {
    #[default]
    Open,
    /// The configuration is being reloaded, or others have taken the place of these versions.
    Reloading,
}

/// Versions that passed and have left no trace in the state folder yet.
pub struct Prepared {
    pub(super) deployments: Deployments,
    /// The configured component, if it is live and was not deployed before.
    pub(super) fresh: Option<Vec<u8>>,
}

/// Keeps versions from changing until it is dropped.
pub struct Frozen(Option<Arc<Deployments>>);

impl Prepared {
    /// Takes over the versions in whose place it comes. With the same grant they can be rolled back to, otherwise they
    /// only keep their calls. A version that there is already goes on; it is not made twice.
    pub fn succeed(self, before: &Deployments, same_grant: bool) -> Self {
        let old = before.history();
        let mut new = self.deployments.history();
        let known = |version: Arc<Version>| old.find(version.id()).cloned().unwrap_or(version);
        let (line, candidate) = (std::mem::take(&mut new.line), new.candidate.take());
        if same_grant {
            new.line = old.line.clone();
            new.aside = old.aside.iter().chain(old.candidate.iter().map(|(version, _)| version)).cloned().collect();
            new.back_off = old.back_off.clone();
        } else {
            new.aside = old.all().cloned().collect();
        }
        line.into_iter().for_each(|version| new.push(known(version)));
        if let Some((version, share)) = candidate {
            new.propose(known(version), share);
        }
        self.deployments.front.store(Arc::new(Front::of(&new)));
        drop(new);
        self
    }

    /// Writes down what is live now.
    ///
    /// # Errors
    /// When the state folder cannot be written.
    pub fn keep(self) -> Result<Deployments, DeployError> {
        let Self { deployments, fresh } = self;
        let live = deployments.live();
        let kept = fresh.iter().try_for_each(|bytes| deployments.store.keep(live.component(), bytes));
        kept.map_err(DeployError::Store)?;
        deployments.save(&deployments.history())?;
        Ok(deployments)
    }
}

impl Deployments {
    /// Whether the configuration named this component when it was looked at last.
    pub fn is_configured(&self, built_in: &[u8], file: Option<&[u8]>) -> bool {
        self.store.configured().base == Configured::new(built_in, file, &self.loader.settings()).base
    }

    /// Says that the configuration names this component now, and that it was deployed.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn configure(&self, file: &[u8]) -> Result<(), DeployError> {
        self.store.configure(Configured::new(&[], Some(file), &self.loader.settings()));
        self.save(&self.history())
    }

    /// Waits for a change of versions that is under way; then nothing changes them until the value is dropped.
    pub fn freeze(self: &Arc<Self>) -> Frozen {
        self.set_turn(Turn::Reloading);
        Frozen(Some(self.clone()))
    }

    /// Lets those that take new calls go: `successor` is asked from now on. What was in the shadow is no longer.
    pub fn make_way(&self, successor: &Deployments) {
        let (old, new, drain) = (self.history(), successor.history(), successor.surroundings.policy.load().drain);
        self.surroundings.shadow.store(None);
        old.line.last().into_iter().for_each(|version| version.set_live(false));
        new.line.last().into_iter().for_each(|version| version.set_live(true));
        old.all().for_each(|version| version.join(successor.surroundings.clone()));
        let served = |version: &Arc<Version>| old.newest().any(|newest| Arc::ptr_eq(newest, version));
        new.newest().filter(|version| !served(version)).for_each(|version| version.enter_service());
        let goes_on = |version: &Arc<Version>| new.newest().any(|newest| Arc::ptr_eq(newest, version));
        old.newest()
            .filter(|version| !goes_on(version))
            .for_each(|version| version.leave_service(drain, now_unix_ms()));
    }

    /// The right to change versions; one has it at a time.
    pub(super) fn turn(&self) -> Result<MutexGuard<'_, Turn>, DeployError> {
        let turn = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if *turn == Turn::Open { Ok(turn) } else { Err(DeployError::Reloading) }
    }

    fn set_turn(&self, turn: Turn) {
        *self.turns.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}

impl Frozen {
    /// Others have taken their place: they never change again.
    pub fn for_good(mut self) {
        self.0 = None;
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(deployments) = &self.0 {
            deployments.set_turn(Turn::Open);
        }
    }
}
