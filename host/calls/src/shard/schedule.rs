//! When the calls of a shard are to be looked at.

use super::actor::CallRef;
use plugboard_sip::time::Time;
use std::collections::BTreeSet;

/// Calls in the order of their times.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    entries: BTreeSet<(Time, CallRef)>,
    /// No entry is before this. Asked for after every event, so it is kept beside the tree.
    earliest: Option<Time>,
}

impl Schedule {
    /// Adds a call.
    pub fn insert(&mut self, at: Time, call: CallRef) {
        self.entries.insert((at, call));
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// Takes a call out that was added for this time.
    pub fn remove(&mut self, at: Time, call: CallRef) {
        self.entries.remove(&(at, call));
    }

    /// Takes the first call whose time has come.
    pub fn pop(&mut self, now: Time) -> Option<CallRef> {
        match self.entries.first().copied() {
            Some((at, call)) if at <= now => {
                self.entries.pop_first();
                Some(call)
            }
            first => {
                self.earliest = first.map(|(at, _)| at);
                None
            }
        }
    }

    /// The time of the first call, or an earlier one, at which [`Schedule::pop`] finds out.
    pub fn earliest(&self) -> Option<Time> {
        self.earliest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_in_the_order_of_their_times_and_the_earliest_is_never_late() {
        let (at, call) = (Time::from_millis, CallRef::for_test);
        let mut schedule = Schedule::default();
        assert_eq!((schedule.earliest(), schedule.pop(at(1_000))), (None, None));
        for (time, number) in [(30, 1), (10, 2), (20, 3)] {
            schedule.insert(at(time), call(number));
        }
        assert_eq!(schedule.earliest(), Some(at(10)));
        schedule.remove(at(10), call(2));
        assert_eq!(schedule.pop(at(15)), None);
        assert_eq!(schedule.earliest(), Some(at(20)));
        assert_eq!([schedule.pop(at(30)), schedule.pop(at(30))], [Some(call(3)), Some(call(1))]);
        assert_eq!((schedule.pop(at(30)), schedule.earliest()), (None, None));
    }
}
