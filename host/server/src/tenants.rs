//! The tenants of this server: one SIP domain each, with its users, its call logic and its trusted networks. An HTTP
//! request belongs to the tenant that its Host names; the first tenant answers for any other.

mod directory;
#[cfg(test)]
mod tests;

pub use directory::{Login, Users};

use crate::config::TenantConfig;
use crate::deploy::Deployments;
use ipnet::IpNet;
use plugboard_calls::tenant::Settings;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// One tenant as the listeners see it.
pub struct Tenant {
    /// As the calls core sees it.
    pub core: Arc<plugboard_calls::tenant::Tenant>,
    /// Who may log in.
    pub users: Arc<Users>,
    /// Its versions of call logic.
    pub deployments: Arc<Deployments>,
    /// Largest body of a request to it, in bytes; none: as the listener says.
    pub body_bytes_max: Option<usize>,
    /// The controller file that is deployed when it changes.
    pub watched: Option<PathBuf>,
    trusted: Vec<IpNet>,
    cors_origins: Vec<String>,
}

impl Tenant {
    /// A tenant from its configuration.
    pub fn new(config: &TenantConfig, deployments: Arc<Deployments>) -> Self {
        let users = Arc::new(Users::new(&config.domain, &config.users));
        let core = plugboard_calls::tenant::Tenant::new(config.domain.clone(), settings(config, &users));
        Self::with(config, core, users, deployments)
    }

    /// The same tenant with another configuration, which holds for its calls from now on.
    pub fn reconfigured(&self, config: &TenantConfig, deployments: Arc<Deployments>) -> Self {
        let users = Arc::new(Users::new(&config.domain, &config.users));
        self.core.configure(settings(config, &users));
        Self::with(config, self.core.clone(), users, deployments)
    }

    fn with(
        config: &TenantConfig,
        core: Arc<plugboard_calls::tenant::Tenant>,
        users: Arc<Users>,
        deployments: Arc<Deployments>,
    ) -> Self {
        let (trusted, cors_origins) = (config.trusted.clone(), config.cors_origins.clone());
        let watched = config.controller.clone().filter(|_| config.watch);
        Self { core, users, deployments, body_bytes_max: config.body_bytes_max, watched, trusted, cors_origins }
    }

    /// Its SIP domain, which is also the realm of its logins.
    pub fn domain(&self) -> &str {
        &self.core.domain
    }

    /// Whether requests from this address need no PIN on the HTTPS listener.
    pub fn trusts(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.trusted.iter().any(|network| network.contains(&source))
    }

    /// Whether pages of this origin may ask (CORS).
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.cors_origins.iter().any(|allowed| allowed == origin)
    }
}

fn settings(config: &TenantConfig, users: &Arc<Users>) -> Settings {
    Settings {
        limits: Arc::new(config.limits.clone()),
        directory: users.clone(),
        outbound_proxy: config.outbound_proxy.clone(),
        session_expires_seconds: config.session_expires_seconds,
    }
}

/// All tenants. A reload puts another table in the place of this one.
pub struct Tenants {
    all: Vec<Arc<Tenant>>,
    by_host: HashMap<String, usize>,
}

/// There must be a tenant to answer for hosts that nobody claims.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server needs at least one tenant")]
pub struct NoTenant;

impl Tenants {
    /// The tenants in the order of the configuration, each with its configured host names.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(tenants: Vec<(Tenant, Vec<String>)>) -> Result<Self, NoTenant> {
        let mut all = Vec::new();
        let mut by_host = HashMap::new();
        for (tenant, hosts) in tenants {
            for host in hosts.into_iter().chain([tenant.domain().to_owned()]) {
                by_host.entry(host).or_insert(all.len());
            }
            all.push(Arc::new(tenant));
        }
        if all.is_empty() { Err(NoTenant) } else { Ok(Self { all, by_host }) }
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.all.iter()
    }

    /// The tenant that an HTTP Host (with or without port, in any case) belongs to.
    pub fn by_host(&self, host: Option<&str>) -> &Arc<Tenant> {
        let named = host.map(|host| without_port(host).to_ascii_lowercase());
        let index = named.and_then(|host| self.by_host.get(&host)).copied().unwrap_or(0);
        self.all.get(index).expect("an index into a list that is never empty")
    }

    /// The HTTP host names that somebody claims.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.by_host.keys().map(String::as_str)
    }

    /// The tenant of a SIP domain.
    pub fn by_domain(&self, domain: &str) -> Option<&Arc<Tenant>> {
        self.all.iter().find(|tenant| tenant.domain().eq_ignore_ascii_case(domain))
    }
}

/// `host:port` without the port; an IPv6 address in brackets stays whole. A dot at the end means the same host.
fn without_port(host: &str) -> &str {
    let host = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    host.strip_suffix('.').unwrap_or(host)
}
