//! What of a call an event may refer to.

use crate::contract::{ExchangeId, LegId, TransactionId};
use smallvec::SmallVec;

/// A list that has two elements at most as a rule, and takes no allocation then: each event begins with several.
pub type Few<T> = SmallVec<[T; 2]>;

/// The ids of a call that an effect may name at the moment, and the next free ones.
#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
pub struct View {
    /// The legs that are not over.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub legs: Few<LegView>,
    /// Requests received that still want a final response.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub owed: Few<TransactionId>,
    /// INVITEs of ours that got a 2xx which is not acknowledged yet.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub unacknowledged: Few<TransactionId>,
    /// INVITEs of ours inside a dialog without a final response.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub cancellable: Few<TransactionId>,
    /// Requests of ours whose challenge can be answered, with their leg.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub challenged: Few<(TransactionId, LegId)>,
    /// HTTP exchanges without an answer.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub exchanges: Few<ExchangeId>,
    /// INVITEs in progress inside a dialog, in either direction, with their leg: no other may be sent on it.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Few::is_empty"))]
    pub inviting: Few<(LegId, TransactionId)>,
    /// Requests of ours without a final response, in number.
    pub pending: usize,
    /// Timers that run, in number.
    pub timers: usize,
    /// The id that the next leg gets.
    pub next_leg: u32,
    /// Legs that peers opened so far, in number; their ids are those behind [`LegId::INCOMING`].
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "is_none"))]
    pub incoming_legs: u32,
    /// The id that the next transaction gets.
    pub next_transaction: u32,
}

impl Clone for View {
    /// Lists are copied as they lie in memory, not element by element: each event begins with a copy.
    fn clone(&self) -> Self {
        Self {
            legs: Few::from_slice(&self.legs),
            owed: Few::from_slice(&self.owed),
            unacknowledged: Few::from_slice(&self.unacknowledged),
            cancellable: Few::from_slice(&self.cancellable),
            challenged: Few::from_slice(&self.challenged),
            exchanges: Few::from_slice(&self.exchanges),
            inviting: Few::from_slice(&self.inviting),
            ..*self
        }
    }
}

impl View {
    /// Whether there was a leg of this id, over or not.
    pub(super) fn has_had(&self, leg: LegId) -> bool {
        match leg.0.checked_sub(LegId::INCOMING) {
            Some(number) => (1..=self.incoming_legs).contains(&number),
            None => (1..self.next_leg).contains(&leg.0),
        }
    }
}

#[cfg(feature = "serde")]
fn is_none(number: &u32) -> bool {
    *number == 0
}

/// What an effect may do with a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LegView {
    /// The leg.
    pub id: LegId,
    /// It has a dialog, so requests can be sent on it.
    pub dialog: bool,
    /// It was released; only `release` may name it, to no effect.
    pub released: bool,
}
