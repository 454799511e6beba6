//! All of a reload that can fail. None of it can be noticed from outside.

use super::{HTTPS, Reloader};
use crate::config::{Change, Config, TenantConfig};
use crate::deploy::{self, Deployments, EngineLoader, Frozen, Policy, Store, grants_the_same};
use crate::listen::{Certified, Listener, server_tls, sip_tls};
use crate::serve::{BUILT_IN_CONTROLLER, names};
use crate::state_dir::StateDir;
use crate::tenants::{Tenant, Tenants};
use anyhow::Context as _;
use arc_swap::ArcSwap;
use plugboard_engine::Engine;
use plugboard_net::tls::Tls;
use std::sync::Arc;

/// What [`Reloader::commit`] puts into force.
pub(super) struct Prepared {
    pub https_tls: Option<HttpsTls>,
    pub sip_tls: Option<Certified<Tls>>,
    /// Listeners whose address is new, each with its place among the entrances.
    pub listeners: Vec<(usize, Listener)>,
    /// In the order of the configuration.
    pub tenants: Vec<PreparedTenant>,
    /// Keep the versions of tenants that go from changing.
    pub going: Vec<Frozen>,
}

/// The certificate of the HTTPS listener, and where the listener looks for it.
pub(super) struct HttpsTls {
    pub certified: Certified<Arc<rustls::ServerConfig>>,
    pub shared: Arc<ArcSwap<rustls::ServerConfig>>,
}

pub(super) struct PreparedTenant {
    pub config: TenantConfig,
    pub versions: Versions<Arc<Deployments>>,
}

/// Where the versions of a tenant come from.
pub(super) enum Versions<D> {
    /// They are those from before.
    Kept(Arc<Tenant>),
    /// The controller has changed, or what it is granted or told. Those from before cannot change any more.
    Renewed(Arc<Tenant>, D, Frozen),
    /// The tenant is new.
    New(D),
}

impl Reloader {
    /// Gets all that `new` needs, and finds out what else has changed: the files that it names.
    pub(super) async fn prepare(&self, old: &Config, new: &Config) -> anyhow::Result<(Prepared, Vec<Change>)> {
        let mut changes = Vec::new();
        let mut https_tls = None;
        if new.http.https.is_some() {
            let certified = server_tls(new.http.certificate.as_ref(), &self.state_dir, names(new));
            let certified = certified.context("[http] certificate")?;
            let shared = match &self.https_tls {
                Some((fingerprint, shared)) => {
                    changes.extend(changed("http.certificate", *fingerprint != certified.fingerprint));
                    shared.clone()
                }
                None => Arc::new(ArcSwap::new(certified.tls.clone())),
            };
            https_tls = Some(HttpsTls { certified, shared });
        }
        let mut certified_sip = None;
        if let Some((fingerprint, _)) = &self.sip_tls {
            let certified = sip_tls(&new.sip, &self.state_dir, names(new));
            let certified = certified.context("[sip] certificate, ca, client_ca")?;
            changes.extend(changed("sip.certificate", *fingerprint != certified.fingerprint));
            certified_sip = Some(certified);
        }
        let listeners = self.bind(old, new, https_tls.as_ref().map(|https| &https.shared)).await?;
        let (engine, state_dir, current) = (self.engine.clone(), self.state_dir.clone(), self.tenants.load_full());
        let (before, after) = (old.clone(), new.clone());
        let tenants = tokio::task::spawn_blocking(move || tenants(&engine, &state_dir, &current, &before, &after));
        let (tenants, going, found) = tenants.await??;
        changes.extend(found);
        Ok((Prepared { https_tls, sip_tls: certified_sip, listeners, tenants, going }, changes))
    }

    async fn bind(
        &self,
        old: &Config,
        new: &Config,
        https_tls: Option<&Arc<ArcSwap<rustls::ServerConfig>>>,
    ) -> anyhow::Result<Vec<(usize, Listener)>> {
        let mut listeners = Vec::new();
        for (n, entrance) in self.entrances.iter().enumerate() {
            let address = (entrance.address)(new).filter(|address| (entrance.address)(old) != Some(*address));
            let Some(address) = address else { continue };
            let tls = https_tls.filter(|_| entrance.name == HTTPS).cloned();
            listeners.push((n, entrance.bind(address, tls, self.limits.clone()).await?));
        }
        Ok(listeners)
    }
}

type PreparedTenants = (Vec<PreparedTenant>, Vec<Frozen>, Vec<Change>);

/// The tenants of `new`. Blocks: call logic is compiled. What is written down comes last.
fn tenants(
    engine: &Engine,
    state_dir: &StateDir,
    current: &Tenants,
    old: &Config,
    new: &Config,
) -> anyhow::Result<PreparedTenants> {
    let mut changes = Vec::new();
    let mut unkept = Vec::new();
    for config in &new.tenants {
        let before = current.by_domain(&config.domain).cloned();
        let file = controller(config)?;
        let was = old.tenants.iter().find(|tenant| tenant.domain == config.domain);
        let load = || {
            let loader = Arc::new(EngineLoader::new(engine.clone(), config));
            let store = Store::open(state_dir, &config.domain)?;
            let policy = Policy::of(config);
            let prepared = Deployments::prepare(loader, store, BUILT_IN_CONTROLLER, file.as_deref(), policy);
            prepared.with_context(|| format!("the call logic of [tenants.{:?}]", config.domain))
        };
        let versions = match (before, was) {
            (Some(before), Some(was)) => {
                let same = before.deployments.is_configured(BUILT_IN_CONTROLLER, file.as_deref());
                changes.extend(changed(format!("tenants.{:?}.controller", config.domain), !same));
                let same_grant = grants_the_same(engine, was, config);
                if same && same_grant && was.settings == config.settings {
                    Versions::Kept(before)
                } else {
                    let frozen = before.deployments.freeze();
                    let prepared = load()?.succeed(&before.deployments, same_grant);
                    Versions::Renewed(before, prepared, frozen)
                }
            }
            _ => Versions::New(load()?),
        };
        unkept.push((config.clone(), versions));
    }
    let goes = |tenant: &&Arc<Tenant>| !new.tenants.iter().any(|config| config.domain == tenant.domain());
    let going = current.iter().filter(goes).map(|tenant| tenant.deployments.freeze()).collect();
    let kept =
        unkept.into_iter().map(|(config, versions)| anyhow::Ok(PreparedTenant { config, versions: versions.keep()? }));
    Ok((kept.collect::<Result<_, _>>()?, going, changes))
}

impl Versions<deploy::Prepared> {
    fn keep(self) -> anyhow::Result<Versions<Arc<Deployments>>> {
        Ok(match self {
            Self::Kept(before) => Versions::Kept(before),
            Self::Renewed(before, prepared, frozen) => Versions::Renewed(before, Arc::new(prepared.keep()?), frozen),
            Self::New(prepared) => Versions::New(Arc::new(prepared.keep()?)),
        })
    }
}

fn changed(key: impl Into<String>, it_is: bool) -> Option<Change> {
    it_is.then(|| Change::changed(key))
}

/// The component that the configuration names; none for the built-in one.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn controller(tenant: &TenantConfig) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = &tenant.controller else { return Ok(None) };
    let read = std::fs::read(file);
    read.map(Some).with_context(|| format!("[tenants.{:?}] controller: cannot read {}", tenant.domain, file.display()))
}
