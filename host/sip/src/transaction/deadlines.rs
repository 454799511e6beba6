//! Which transaction is due next. Entries that were overtaken are left in the heap and dropped when their time comes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Time;

/// Deadlines of transactions by their ids, the earliest first; at the same time in the order of the ids.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(Time, u64)>>);

/// The time for which a transaction stands in the heap: each has one that counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scheduled(Option<Time>);

impl Deadlines {
    /// Sees to it that the transaction is looked at by `deadline`. When it stands for an earlier time already, that
    /// stays: it is looked at again then.
    pub(super) fn schedule(&mut self, id: u64, scheduled: &mut Scheduled, deadline: Option<Time>) {
        let Some(deadline) = deadline else { return };
        if scheduled.0.is_none_or(|at| deadline < at) {
            scheduled.0 = Some(deadline);
            self.0.push(Reverse((deadline, id)));
        }
    }

    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Time> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest one that has come.
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, u64)> {
        if self.earliest()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

impl Scheduled {
    /// Whether an entry taken from the heap is the one that counts; from now on there is none.
    pub(super) fn take(&mut self, at: Time) -> bool {
        let counts = self.0 == Some(at);
        if counts {
            self.0 = None;
        }
        counts
    }
}
