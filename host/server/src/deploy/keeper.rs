//! What happens to versions by itself: the host steps back from one that fails too often, and ends the time of those
//! that have drained for long enough.

use super::{Deployments, Then, Version};
use crate::switch::Switch;
use crate::tenants::{Tenant, Tenants};
use arc_swap::ArcSwap;
use plugboard_calls::contract::EndingReason;
use plugboard_calls::logic::Logic;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the versions are looked at. A candidate that is given up gets no new call from that moment on; this is
/// how long the rest of the rollback may take to begin.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Looks after the versions of all tenants for as long as it is polled.
pub async fn keep(tenants: Arc<ArcSwap<Tenants>>, switch: Arc<Switch>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for tenant in tenants.load_full().iter().filter(|tenant| tenant.deployments.wants_attention(Instant::now())) {
            let (tenant, switch) = (tenant.clone(), switch.clone());
            let done = tokio::task::spawn_blocking(move || attend(&tenant, &switch)).await;
            if let Err(error) = done {
                tracing::error!(%error, "looking after versions failed");
            }
        }
    }
}

/// Does what is due. Blocks: steps write to the disk, moves run guests.
fn attend(tenant: &Tenant, switch: &Arc<Switch>) {
    let deployments = &tenant.deployments;
    let calls_of = |logic: &Arc<dyn Logic>| switch.calls_on(logic);
    match deployments.step_back(&calls_of) {
        Ok(Some(stepped)) => {
            let (version, why, live) = (stepped.label.id, stepped.why, deployments.live());
            tracing::error!(tenant = tenant.domain(), version, why, live = live.id(), "stepped back by itself");
        }
        Ok(None) => {}
        Err(problem) => tracing::error!(tenant = tenant.domain(), %problem, "a version that fails cannot be left"),
    }
    for version in deployments.overdue(Instant::now()) {
        end_drain(tenant.domain(), deployments, &version, switch);
    }
}

/// The deadline of a version that has drained: its calls move, or end, or are named.
fn end_drain(tenant: &str, deployments: &Deployments, version: &Arc<Version>, switch: &Arc<Switch>) {
    let Some(then) = version.draining().map(|draining| draining.then) else { return };
    let mine = |_: &plugboard_calls::tenant::Tenant, logic: &Arc<dyn Logic>| Arc::ptr_eq(logic, version.logic());
    let mut refused = Vec::new();
    if then.moves() {
        let report = switch.move_calls(deployments.live().logic(), mine);
        let (moved, busy) = (report.moved.len(), report.busy);
        refused = report.refused.into_iter().map(|(key, why)| (key.to_string(), why)).collect();
        tracing::info!(
            tenant,
            version = version.id(),
            moved,
            refused = refused.len(),
            busy,
            "the drain is over: moved"
        );
        for (call, why) in refused.iter().filter(|_| then == Then::Migrate) {
            tracing::warn!(tenant, call, why, "a call stays on a version that has drained");
        }
        if busy > 0 && then == Then::Migrate {
            return; // the next look tries again
        }
    }
    if then.ends() {
        tracing::info!(
            tenant,
            version = version.id(),
            calls = switch.calls_on(version.logic()),
            "the drain is over: ended"
        );
        switch.end_calls(EndingReason::Drained, mine);
        refused.clear();
    }
    version.finish_drain(refused);
}
