//! What the host stepped back from by itself, and for how long it is refused: so that a version that fails is not
//! deployed again and again by whoever watches its file. The time doubles with each time; `force` overrides it.

use super::{Label, Version};
use serde::{Deserialize, Serialize};

/// How long a version is refused that was stepped back from for the first time, in milliseconds.
const FIRST_WAIT_MS: u64 = 60_000;
/// How long it is refused at most, in milliseconds: a day.
const WAIT_MS_MAX: u64 = 86_400_000;
/// How long that is remembered after a version may be deployed again, in milliseconds: a day.
const REMEMBERED_MS: u64 = 86_400_000;
/// Versions of a tenant that are remembered, in number.
const REMEMBERED_MAX: usize = 16;

/// A version that the host stepped back from by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteppedBack {
    /// What tells it from others.
    #[serde(flatten)]
    pub label: Label,
    /// How often it was stepped back from.
    pub times: u32,
    /// Until when it is refused, in milliseconds since the Unix epoch.
    pub until_unix_ms: u64,
    /// Why, in a line.
    pub why: String,
}

impl SteppedBack {
    /// What is to be [noted](BackOff::note) of a version.
    pub(super) fn from(version: &Version, why: String) -> Self {
        Self { label: version.label(), times: 0, until_unix_ms: 0, why }
    }
}

/// What is remembered of a tenant, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct BackOff(Vec<SteppedBack>);

impl BackOff {
    /// Takes note of a version that was stepped back from now. How often, and until when it is refused, is found here.
    pub(super) fn note(&mut self, mut stepped: SteppedBack, now_unix_ms: u64) {
        self.0.retain(|one| one.until_unix_ms.saturating_add(REMEMBERED_MS) > now_unix_ms);
        let before = self.0.iter().position(|one| one.label.id == stepped.label.id);
        stepped.times = before.map_or(0, |at| self.0.remove(at).times).saturating_add(1);
        let wait = FIRST_WAIT_MS.saturating_mul(1 << (stepped.times - 1).min(20)).min(WAIT_MS_MAX);
        stepped.until_unix_ms = now_unix_ms.saturating_add(wait);
        self.0.push(stepped);
        let more = self.0.len().saturating_sub(REMEMBERED_MAX);
        self.0.drain(..more);
    }

    /// Why the version with this id is refused, if it is.
    pub(super) fn refusal(&self, id: &str, now_unix_ms: u64) -> Option<&SteppedBack> {
        self.of(id).filter(|stepped| stepped.until_unix_ms > now_unix_ms)
    }

    /// Whether nothing is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is known of the version with this id.
    pub(super) fn of(&self, id: &str) -> Option<&SteppedBack> {
        self.0.iter().find(|stepped| stepped.label.id == id)
    }

    /// All of it, the newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &SteppedBack> {
        self.0.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stepped(id: &str) -> SteppedBack {
        let (text, why) = (String::new, "it trapped".to_owned());
        let label = Label { id: id.to_owned(), component: text(), name: text(), version: text(), deployed_unix_ms: 0 };
        SteppedBack { label, times: 0, until_unix_ms: 0, why }
    }

    #[test]
    fn a_version_is_refused_for_a_time_that_doubles_up_to_a_day() {
        let mut back_off = BackOff::default();
        let mut now = 1_000_000;
        let mut waits = Vec::new();
        for _ in 0..13 {
            back_off.note(stepped("bad"), now);
            let until = back_off.refusal("bad", now).expect("refused").until_unix_ms;
            assert!(back_off.refusal("bad", until - 1).is_some() && back_off.refusal("bad", until).is_none());
            waits.push((until - now) / 60_000);
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 1_440, 1_440]);
        assert!(back_off.refusal("good", now).is_none());
        back_off.note(stepped("other"), now + REMEMBERED_MS);
        assert!(back_off.of("bad").is_none(), "forgotten a day after it may be deployed again");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut back_off = BackOff::default();
        (0..=REMEMBERED_MAX).for_each(|n| back_off.note(stepped(&n.to_string()), 1));
        assert!(back_off.of("0").is_none() && back_off.of("1").is_some());
        assert_eq!(back_off.newest_first().count(), REMEMBERED_MAX);
    }
}
