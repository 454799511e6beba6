//! Puts a changed configuration file into force while calls are up: what a restart would do, without one.
//!
//! All or nothing. The file is read and checked whole, certificates are loaded, new listeners bound, and the call
//! logic of new tenants checked, compiled and tried, before anything changes (`prepare`). Whatever fails leaves
//! everything as it was. After that nothing can fail any more (`commit`).
//!
//! Users, proxies and limits hold at once, for calls that are up, too. Those keep their version of call logic.
//! Connections stay; the next ones get the new bounds and certificates. Of what only a restart can change nothing is
//! done, and its keys are named.

mod commit;
mod prepare;

pub(crate) use prepare::controller;

use crate::config::{Change, Config, ConfigError, Holds, HttpLimits};
use crate::listen::{Certified, Fingerprint, Handler, Listener, ListenerCounters, Listeners, server_tls};
use crate::serve::names;
use crate::state_dir::StateDir;
use crate::switch::Switch;
use crate::tenants::Tenants;
use arc_swap::ArcSwap;
use plugboard_engine::Engine;
use plugboard_net::tls::Tls;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// The names of the HTTP listeners, as logs and metrics have them.
pub(crate) const HTTPS: &str = "https";
pub(crate) const DIGEST: &str = "digest";
pub(crate) const ADMIN: &str = "admin";
/// Reloads that wait while one is under way, in number.
const WAITING_MAX: usize = 8;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file does not hold together. The operator's to correct.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// It changes what only a restart can change.
    #[error("nothing was changed: this takes a restart: {}", .0.join(", "))]
    NeedsRestart(Vec<String>),
    /// Something that it names cannot be had or does not pass.
    #[error("nothing was changed: {0}")]
    Refused(String),
    /// The server is about to end.
    #[error("nothing was changed: the server is stopping")]
    Stopping,
}

type Outcome = Result<Vec<Change>, ReloadError>;

/// Asks one server for reloads; copies ask the same one.
#[derive(Clone)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Outcome>>);

/// The reloads that a server was asked for.
pub struct Asked(mpsc::Receiver<oneshot::Sender<Outcome>>);

impl Reloads {
    /// A way to ask, and what was asked.
    pub fn channel() -> (Self, Asked) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), Asked(receiver))
    }

    /// Puts the configuration file as it is now into force; what that changed.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn reload(&self) -> Outcome {
        let (sender, receiver) = oneshot::channel();
        self.0.send(sender).await.map_err(|_| ReloadError::Stopping)?;
        receiver.await.unwrap_or(Err(ReloadError::Stopping))
    }
}

/// All of a running server that its configuration shapes.
pub(crate) struct Reloader {
    pub config: Arc<ArcSwap<Config>>,
    pub state_dir: StateDir,
    pub engine: Engine,
    pub tenants: Arc<ArcSwap<Tenants>>,
    pub switch: Arc<Switch>,
    pub limits: Arc<ArcSwap<HttpLimits>>,
    pub https_tls: Option<(Fingerprint, Arc<ArcSwap<rustls::ServerConfig>>)>,
    pub sip_tls: Option<(Fingerprint, Tls)>,
    pub listeners: Arc<Listeners>,
    pub entrances: Vec<Entrance>,
}

/// Where HTTP comes in, whether a listener is open there now or not.
pub(crate) struct Entrance {
    pub name: &'static str,
    /// Where its listener is to be.
    pub address: fn(&Config) -> Option<SocketAddr>,
    pub handler: Arc<dyn Handler>,
    pub counters: Arc<ListenerCounters>,
}

impl Reloader {
    /// Reloads whenever it is asked to, one after the other.
    pub async fn serve(mut self, mut asked: Asked) {
        while let Some(answer) = asked.0.recv().await {
            let outcome = self.reload().await;
            match &outcome {
                Ok(changes) if changes.is_empty() => tracing::info!("configuration reloaded: nothing was different"),
                Ok(changes) => {
                    for change in changes {
                        tracing::info!(key = change.key, "configuration reloaded: {}", change.what.as_str());
                    }
                }
                Err(error) => tracing::error!(%error, "configuration not reloaded"),
            }
            let _ = answer.send(outcome); // whoever asked may be gone
        }
    }

    /// Opens the listeners for the first time.
    ///
    /// # Errors
    /// When an address cannot be had, or there is no certificate.
    pub async fn open(&mut self) -> anyhow::Result<()> {
        use anyhow::Context as _;
        let config = self.config.load_full();
        if config.http.https.is_some() {
            let certified = server_tls(config.http.certificate.as_ref(), &self.state_dir, names(&config));
            let Certified { tls, fingerprint } = certified.context("[http] certificate")?;
            self.https_tls = Some((fingerprint, Arc::new(ArcSwap::new(tls))));
        }
        let mut bound = Vec::new();
        for entrance in &self.entrances {
            let Some(address) = (entrance.address)(&config) else { continue };
            let tls = self.https_tls.as_ref().filter(|_| entrance.name == HTTPS).map(|(_, shared)| shared.clone());
            bound.push((entrance.bind(address, tls, self.limits.clone()).await?, entrance.handler.clone()));
        }
        bound.into_iter().for_each(|(listener, handler)| self.listeners.open(listener, handler));
        Ok(())
    }

    async fn reload(&mut self) -> Outcome {
        let old = self.config.load_full();
        let new = Config::load(&old.file)?;
        let mut changes = old.changes(&new);
        let late: Vec<String> =
            changes.iter().filter(|change| change.holds == Holds::AfterRestart).map(|c| c.key.clone()).collect();
        if !late.is_empty() {
            return Err(ReloadError::NeedsRestart(late));
        }
        let refused = |error: anyhow::Error| ReloadError::Refused(format!("{error:#}"));
        let (prepared, found) = self.prepare(&old, &new).await.map_err(refused)?;
        let unknown = found.into_iter().filter(|change| !changes.contains(change)).collect::<Vec<_>>();
        changes.extend(unknown);
        self.commit(&old, new, prepared);
        Ok(changes)
    }
}

impl Entrance {
    /// A listener for it at this address, with what [`ArcSwap`]s hold when a connection comes.
    pub async fn bind(
        &self,
        address: SocketAddr,
        tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
        limits: Arc<ArcSwap<HttpLimits>>,
    ) -> anyhow::Result<Listener> {
        use anyhow::Context as _;
        let bound = Listener::bind(self.name, address, tls, limits).await;
        Ok(bound.with_context(|| format!("[http] {}", self.name))?.counting(self.counters.clone()))
    }
}
