//! From a next hop that is a name to the targets that a request tries, one after another.

use super::drive::Ready;
use super::{Switch, lock};
use plugboard_calls::shard::LookupId;
use plugboard_sip::locate::{Located, NextHop, Target};
use std::sync::Arc;
use std::time::Duration;

impl Switch {
    /// Tells a shard where a next hop is: at once when that is known, or when DNS has answered.
    pub(super) fn look_up(self: &Arc<Self>, index: u8, lookup: LookupId, next_hop: NextHop, seed: u64) {
        if let Some(located) = self.resolver.known(&next_hop) {
            let ready = self.located(index, lookup, &located, seed);
            // Not from here: this thread may be in the middle of an event of the same call.
            for ready in ready {
                let switch = self.clone();
                self.runtime.spawn_blocking(move || switch.run(index, ready));
            }
            return;
        }
        let switch = self.clone();
        self.runtime.spawn(async move {
            let served = switch.sockets.faces().transports();
            let located = switch.resolver.locate(&next_hop, &served).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "no target for a next hop");
                Arc::default()
            });
            let ready = switch.located(index, lookup, &located, seed);
            drop(switch.runtime.clone().spawn_blocking(move || {
                ready.into_iter().for_each(|ready| switch.run(index, ready));
            }));
        });
    }

    /// Has others tried before this target for a while.
    pub(super) fn avoid(&self, target: Target, time: Duration) {
        tracing::warn!(target = %target.address, transport = %target.transport, "a SIP target failed; others are tried first");
        lock(&self.avoided).avoid(self.clock.now(), target, time);
    }

    fn located(self: &Arc<Self>, index: u8, lookup: LookupId, located: &Located, seed: u64) -> Vec<Ready> {
        let mut targets = located.targets(seed);
        lock(&self.avoided).put_last(self.clock.now(), &mut targets);
        self.visit(index, |shard, now, out| shard.resolved(now, lookup, &targets, out)).1
    }
}
