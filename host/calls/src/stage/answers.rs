//! What directory and cache told one event. Asked twice, they say the same: nothing that other calls do in the
//! meantime changes what an event sees.

use crate::limits::{ANSWERS_BYTES_MAX, ANSWERS_MAX};
use crate::logic::UserRecord;
use std::sync::Arc;

/// The answers that one event got from outside, in the order in which it asked first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct Answers {
    /// Who was asked for, and who was found.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub users: Vec<UserAnswer>,
    /// What was read from the cache.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub values: Vec<ValueAnswer>,
    /// The event asked for more than is kept.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "std::ops::Not::not"))]
    pub cut: bool,
}

/// What the directory said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UserAnswer {
    /// As the guest wrote it.
    pub name: String,
    /// Nobody, or this user.
    pub found: Option<Arc<UserRecord>>,
}

/// What the cache said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ValueAnswer {
    /// As the guest wrote it.
    pub key: String,
    /// Nothing, or this value.
    #[cfg_attr(feature = "serde", serde(with = "crate::readable::optional"))]
    pub value: Option<Vec<u8>>,
}

impl Answers {
    /// Nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.values.is_empty() && !self.cut
    }

    pub(super) fn user(
        &mut self,
        name: &str,
        ask: impl FnOnce() -> Option<Arc<UserRecord>>,
    ) -> Option<Arc<UserRecord>> {
        if let Some(known) = self.users.iter().find(|known| known.name == name) {
            return known.found.clone();
        }
        let found = ask();
        if self.room(name.len()) {
            self.users.push(UserAnswer { name: name.to_owned(), found: found.clone() });
        }
        found
    }

    pub(super) fn value(&mut self, key: &str, ask: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        if let Some(known) = self.values.iter().find(|known| known.key == key) {
            return known.value.clone();
        }
        let value = ask();
        if self.room(key.len() + value.as_ref().map_or(0, Vec::len)) {
            self.values.push(ValueAnswer { key: key.to_owned(), value: value.clone() });
        }
        value
    }

    /// Whether an answer of this size is kept. One that is not is asked for again the next time.
    fn room(&mut self, bytes: usize) -> bool {
        let users = self.users.iter().map(|known| known.name.len());
        let values = self.values.iter().map(|known| known.key.len() + known.value.as_ref().map_or(0, Vec::len));
        let held: usize = users.chain(values).sum();
        let fits = self.users.len() + self.values.len() < ANSWERS_MAX && held + bytes <= ANSWERS_BYTES_MAX;
        self.cut |= !fits;
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_hears_the_same_twice_whatever_others_do() {
        let mut answers = Answers::default();
        assert_eq!(answers.value("k", || Some(b"one".to_vec())), Some(b"one".to_vec()));
        assert_eq!(answers.value("k", || None), Some(b"one".to_vec()));
        assert_eq!(answers.user("nobody", || None), None);
        assert_eq!((answers.users.len(), answers.values.len(), answers.cut), (1, 1, false));
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_so() {
        let mut answers = Answers::default();
        assert_eq!(
            answers.value("large", || Some(vec![0; ANSWERS_BYTES_MAX])).map(|v| v.len()),
            Some(ANSWERS_BYTES_MAX)
        );
        assert!(answers.cut && answers.values.is_empty());
        for n in 0..2 * ANSWERS_MAX {
            answers.user(&n.to_string(), || None);
        }
        assert_eq!(answers.users.len(), ANSWERS_MAX);
    }
}
