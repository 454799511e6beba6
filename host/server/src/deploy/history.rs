//! Which versions a tenant has: one is live, some were before, one may be a candidate, and some only have calls left.

use super::back_off::BackOff;
use super::{BEFORE_MAX, Share, Version};
use std::sync::Arc;
use std::time::Instant;

/// The versions of a tenant. The last of the line is live, so the line is never empty once a tenant has started.
#[derive(Clone, Default)]
pub(super) struct History {
    /// One was live after the other; rolling back takes the last one off.
    pub(super) line: Vec<Arc<Version>>,
    /// Takes a share of the new calls.
    pub(super) candidate: Option<(Arc<Version>, Share)>,
    /// Not in line any more.
    pub(super) aside: Vec<Arc<Version>>,
    /// When the live version was deployed, if that was since the start and nobody has rolled back to it.
    pub(super) live_since: Option<Instant>,
    /// What the host stepped back from by itself.
    pub(super) back_off: BackOff,
}

impl History {
    /// Every version, each once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.line.iter().chain(self.candidate.iter().map(|(version, _)| version)).chain(&self.aside)
    }

    /// The versions that new calls take.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.line.last().into_iter().chain(self.candidate.iter().map(|(version, _)| version))
    }

    /// The version with this id.
    pub(super) fn find(&self, id: &str) -> Option<&Arc<Version>> {
        self.all().find(|version| version.id() == id)
    }

    /// Puts a version at the end of the line; the oldest steps aside when the line is too long.
    pub(super) fn push(&mut self, version: Arc<Version>) {
        self.take(&version);
        self.line.push(version);
        self.live_since = Some(Instant::now());
        while self.line.len() > BEFORE_MAX + 1 {
            self.aside.push(self.line.remove(0));
        }
    }

    /// Makes a version the candidate; the one before it steps aside. The live one cannot be.
    pub(super) fn propose(&mut self, version: Arc<Version>, share: Share) {
        self.take(&version);
        self.withdraw();
        self.candidate = Some((version, share));
    }

    /// Takes the candidate away; which one that was.
    pub(super) fn withdraw(&mut self) -> Option<Arc<Version>> {
        let (version, _) = self.candidate.take()?;
        self.aside.push(version.clone());
        Some(version)
    }

    /// Takes this version away if it is the candidate.
    pub(super) fn withdraw_if(&mut self, version: &Arc<Version>) -> Option<Arc<Version>> {
        self.candidate.as_ref().filter(|(candidate, _)| Arc::ptr_eq(candidate, version))?;
        self.withdraw()
    }

    /// Takes the live version off the line, if there is one before it; the one that is live then.
    pub(super) fn pop(&mut self) -> Option<Arc<Version>> {
        let before = self.line.iter().rev().nth(1)?.clone();
        self.aside.extend(self.line.pop());
        self.live_since = None;
        Some(before)
    }

    /// Removes a version from wherever it is.
    fn take(&mut self, version: &Version) {
        let other = |one: &Arc<Version>| one.id() != version.id();
        self.line.retain(other);
        self.aside.retain(other);
        if self.candidate.as_ref().is_some_and(|(candidate, _)| !other(candidate)) {
            self.candidate = None;
        }
    }
}
