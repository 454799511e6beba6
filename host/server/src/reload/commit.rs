//! The part of a reload in which nothing can fail any more.

use super::Reloader;
use super::prepare::{HttpsTls, Prepared, PreparedTenant, Versions};
use crate::config::Config;
use crate::deploy::{Frozen, Policy};
use crate::logs;
use crate::tenants::{Tenant, Tenants};
use plugboard_calls::contract::EndingReason;
use plugboard_journal::Bounds;
use std::sync::Arc;

impl Reloader {
    /// Puts into force what was prepared.
    pub(super) fn commit(&mut self, old: &Config, new: Config, prepared: Prepared) {
        let Prepared { https_tls, sip_tls, listeners, tenants, going } = prepared;
        self.limits.store(Arc::new(new.http.limits.clone()));
        if let Some(HttpsTls { certified, shared }) = https_tls {
            // With another configuration sessions could not be resumed, so the same one stays.
            if self.https_tls.as_ref().is_none_or(|(fingerprint, _)| *fingerprint != certified.fingerprint) {
                shared.store(certified.tls);
            }
            self.https_tls = Some((certified.fingerprint, shared));
        }
        if let (Some((fingerprint, shared)), Some(certified)) = (&mut self.sip_tls, sip_tls)
            && *fingerprint != certified.fingerprint
        {
            *fingerprint = certified.fingerprint;
            shared.replace_by(&certified.tls);
        }
        self.change_tenants(tenants, going);
        for (n, listener) in listeners {
            if let Some(entrance) = self.entrances.get(n) {
                self.listeners.open(listener, entrance.handler.clone());
            }
        }
        for entrance in self.entrances.iter().filter(|entrance| (entrance.address)(&new).is_none()) {
            self.listeners.close(entrance.name);
        }
        if old.log.level != new.log.level {
            logs::set_level(&new.log);
        }
        if let Some(journal) = self.switch.journal().filter(|_| old.journal != new.journal).cloned() {
            let bounds = Bounds { bytes_max: new.journal.bytes_max, keep: new.journal.keep };
            tokio::task::spawn_blocking(move || journal.bound(bounds));
        }
        self.config.store(Arc::new(new));
    }

    /// Puts another table of tenants in place, and ends the calls of those that are gone.
    fn change_tenants(&self, prepared: Vec<PreparedTenant>, going: Vec<Frozen>) {
        let before = self.tenants.load_full();
        let table = prepared.into_iter().map(|PreparedTenant { config, versions }| {
            let tenant = match versions {
                Versions::Kept(before) => {
                    before.deployments.follow(Policy::of(&config));
                    before.reconfigured(&config, before.deployments.clone())
                }
                Versions::Renewed(before, deployments, frozen) => {
                    before.deployments.make_way(&deployments);
                    frozen.for_good();
                    before.reconfigured(&config, deployments)
                }
                Versions::New(deployments) => Tenant::new(&config, deployments),
            };
            (tenant, config.hosts)
        });
        let table = Tenants::new(table.collect()).expect("a configuration has at least one tenant");
        let gone = before.iter().filter(|tenant| table.by_domain(tenant.domain()).is_none());
        let gone: Vec<Arc<Tenant>> = gone.cloned().collect();
        self.tenants.store(Arc::new(table));
        going.into_iter().for_each(Frozen::for_good);
        gone.iter().for_each(|tenant| tenant.core.remove());
        if !gone.is_empty() {
            // Their guests may say their last; that takes its time.
            let switch = self.switch.clone();
            tokio::task::spawn_blocking(move || {
                switch.end_calls(EndingReason::TenantRemoved, |tenant, _| tenant.is_removed());
            });
        }
    }
}
