//! The server from configuration to shutdown: engine, tenants, switch, listeners.

use crate::admin::{Admin, token};
use crate::api::Api;
use crate::auth::{Authenticator, Door};
use crate::config::{Config, HttpLimits, SipConfig, TenantConfig};
use crate::deploy::{self, Deployments, EngineLoader, Policy, Store};
use crate::journal;
use crate::listen::{Certified, Handler, ListenerCounters, Listeners, sip_tls};
use crate::reload::{ADMIN, DIGEST, Entrance, HTTPS, Reloader, Reloads, controller};
use crate::state_dir::StateDir;
use crate::switch::{Switch, SwitchConfig};
use crate::tenants::{Tenant, Tenants};
use crate::watch;
use anyhow::Context as _;
use arc_swap::ArcSwap;
use plugboard_engine::Engine;
use plugboard_net::clock::Clock;
use plugboard_net::streams::StreamLimits;
use plugboard_net::tls::Tls;
use plugboard_sip::connections::ConnectionLimits;
use plugboard_sip::flood::SourceLimit;
use plugboard_sip::transaction::TimerValues;
use plugboard_sip::transport::Transport;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// The controller that this program brings along.
pub const BUILT_IN_CONTROLLER: &[u8] = include_bytes!(env!("PLUGBOARD_CONTROLLER_WASM"));

/// A running server.
pub struct Server {
    /// SIP over UDP.
    pub udp: Vec<SocketAddr>,
    /// SIP over TCP.
    pub tcp: Vec<SocketAddr>,
    /// SIP over TLS.
    pub tls: Vec<SocketAddr>,
    /// SIP over WebSocket.
    pub ws: Vec<SocketAddr>,
    /// SIP over WebSocket with TLS.
    pub wss: Vec<SocketAddr>,
    /// Where the admin token is.
    pub token_file: PathBuf,
    tenants: Arc<ArcSwap<Tenants>>,
    switch: Arc<Switch>,
    config: Arc<ArcSwap<Config>>,
    listeners: Arc<Listeners>,
    ready: Arc<AtomicBool>,
    reloads: Reloads,
    reloader: JoinHandle<()>,
    keeper: JoinHandle<()>,
    watcher: JoinHandle<()>,
}

impl Server {
    /// Starts everything; when it returns the server is ready.
    ///
    /// # Errors
    /// With what cannot be had or does not pass, and where it was configured.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let state_dir = StateDir::open(&config.state_dir)
            .with_context(|| format!("cannot use the state folder {} (state_dir)", config.state_dir.display()))?;
        let (engine, tenants) = start_tenants(&config, &state_dir).await?;
        engine.compile_in_background();
        let sip_tls = match config.sip.tls.is_empty() && config.sip.wss.is_empty() {
            true => None,
            false => {
                let certified = sip_tls(&config.sip, &state_dir, names(&config));
                let Certified { tls, fingerprint } = certified.context("[sip] certificate, ca, client_ca")?;
                Some((fingerprint, tls))
            }
        };
        let switch = start_switch(&config.sip, sip_tls.as_ref().map(|(_, tls)| tls.clone()))?;
        if let Some(journal) =
            journal::start(&config.journal, &state_dir).context("cannot keep a journal ([journal])")?
        {
            switch.record_to(journal);
        }
        let tenants = Arc::new(ArcSwap::from_pointee(tenants));
        let limits = Arc::new(ArcSwap::from_pointee(config.http.limits.clone()));
        let ready = Arc::new(AtomicBool::new(false));
        let (reloads, asked) = Reloads::channel();
        let handlers = Handlers {
            tenants: tenants.clone(),
            switch: switch.clone(),
            limits: limits.clone(),
            authenticator: Arc::new(Authenticator::new(random()?, u64::from_le_bytes(random()?))),
            ready: ready.clone(),
            reloads: reloads.clone(),
        };
        let token = token::Token::open(&state_dir, random()?).context("cannot keep the admin token")?;
        let token_file = token::file(&config.state_dir);
        let config = Arc::new(ArcSwap::from_pointee(config));
        let mut reloader = Reloader {
            config: config.clone(),
            state_dir,
            engine,
            tenants: tenants.clone(),
            switch: switch.clone(),
            limits,
            https_tls: None,
            sip_tls,
            listeners: Arc::default(),
            entrances: handlers.entrances(token),
        };
        reloader.open().await?;
        let listeners = reloader.listeners.clone();
        let reloader = tokio::spawn(reloader.serve(asked));
        let watcher = tokio::spawn(watch::watch(tenants.clone(), switch.clone()));
        let keeper = tokio::spawn(deploy::keeper::keep(tenants.clone(), switch.clone()));
        ready.store(true, Ordering::Relaxed);
        let transports = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
        let [udp, tcp, tls, ws, wss] = transports.map(|by| switch.addresses(by));
        Ok(Self {
            udp,
            tcp,
            tls,
            ws,
            wss,
            token_file,
            tenants,
            switch,
            config,
            listeners,
            ready,
            reloads,
            reloader,
            keeper,
            watcher,
        })
    }

    /// Where the HTTPS listener is now, if there is one.
    pub fn https(&self) -> Option<SocketAddr> {
        self.listeners.address(HTTPS)
    }

    /// Where the HTTP listener with Digest is now, if there is one.
    pub fn digest(&self) -> Option<SocketAddr> {
        self.listeners.address(DIGEST)
    }

    /// Where the admin listener is now.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.listeners.address(ADMIN)
    }

    /// Stops accepting, answers what is under way, waits for calls up to the configured time and ends what is left
    /// then. The admin listener goes last, so that the end can be watched.
    pub async fn drain(self) {
        self.ready.store(false, Ordering::Relaxed);
        self.keeper.abort();
        self.watcher.abort();
        self.reloader.abort();
        let timeout = self.config.load().drain_timeout;
        tokio::join!(self.listeners.stop(&[HTTPS, DIGEST]), self.switch.drain(timeout));
        self.listeners.stop(&[ADMIN]).await;
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends it at once. SIGHUP reloads the
    /// configuration.
    ///
    /// # Errors
    /// When the system does not give it signals.
    pub async fn run(self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut signalled = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
        let reloads = self.reloads.clone();
        let reload = async {
            while hang_up.recv().await.is_some() {
                let _ = reloads.reload().await; // what came of it is in the log
            }
        };
        tokio::select! { () = signalled() => {}, () = reload => {} }
        let seconds = self.config.load().drain_timeout.as_secs();
        tracing::info!(seconds, "draining; a second signal ends it at once");
        tokio::select! {
            () = self.drain() => tracing::info!("drained"),
            () = signalled() => tracing::warn!("ended at once"),
        }
        Ok(())
    }

    /// What to tell whoever started it: addresses, the token, and a line to try.
    pub fn banner(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("plugboard {} is ready\n\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<8} {value}");
        };
        let address = |address: Option<SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
        line("https", address(self.https()));
        line("digest", address(self.digest()));
        line("admin", format!("{}, token in {}", address(self.admin()), self.token_file.display()));
        let by_transport = [
            ("sip/udp", &self.udp),
            ("sip/tcp", &self.tcp),
            ("sip/tls", &self.tls),
            ("sip/ws", &self.ws),
            ("sip/wss", &self.wss),
        ];
        for (name, addresses) in by_transport.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
            line(name, addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        }
        let tenants = self.tenants.load();
        for tenant in tenants.iter() {
            let live = tenant.deployments.live();
            let description = live.logic().description();
            let users = tenant.users.len();
            line("tenant", format!("{}: {} {}, {users} users", tenant.domain(), description.name, description.version));
        }
        if let Some(https) = self.https() {
            let port = https.port();
            let prefix = tenants.by_host(None).deployments.live().logic().description().http_prefix.clone();
            let _ =
                write!(text, "\ntry: curl -k -u USER:PIN -X POST https://localhost:{port}{prefix}/CALLING/CALLED\n");
        }
        text
    }
}

/// What answers HTTP requests is made of.
struct Handlers {
    tenants: Arc<ArcSwap<Tenants>>,
    switch: Arc<Switch>,
    limits: Arc<ArcSwap<HttpLimits>>,
    authenticator: Arc<Authenticator>,
    ready: Arc<AtomicBool>,
    reloads: Reloads,
}

impl Handlers {
    fn entrances(self, token: token::Token) -> Vec<Entrance> {
        let clock = Clock::start();
        let counters = [HTTPS, DIGEST, ADMIN].map(|name| (name, Arc::<ListenerCounters>::default()));
        let api = |door| {
            let (tenants, switch, limits) = (self.tenants.clone(), self.switch.clone(), self.limits.clone());
            Arc::new(Api { door, tenants, authenticator: self.authenticator.clone(), switch, clock, limits })
        };
        let (https, digest) = (api(Door::Https), api(Door::Digest));
        let Self { tenants, switch, limits, authenticator, ready, reloads } = self;
        let listeners = counters.to_vec();
        let admin = Admin { tenants, switch, clock, token, limits, ready, authenticator, reloads, listeners };
        let addresses: [fn(&Config) -> Option<SocketAddr>; 3] =
            [|config| config.http.https, |config| config.http.digest, |config| Some(config.http.admin)];
        let handlers: [Arc<dyn Handler>; 3] = [https, digest, Arc::new(admin)];
        let entrance = |(((name, counters), address), handler)| Entrance { name, address, handler, counters };
        counters.into_iter().zip(addresses).zip(handlers).map(entrance).collect()
    }
}

/// SIP as it is configured.
fn start_switch(sip: &SipConfig, certificates: Option<Tls>) -> anyhow::Result<Arc<Switch>> {
    let connections = ConnectionLimits {
        accepted: sip.connections_max,
        per_source: sip.connections_per_source_max,
        ..ConnectionLimits::default()
    };
    let switch = SwitchConfig {
        udp: sip.udp.clone(),
        tcp: sip.tcp.clone(),
        tls: sip.tls.clone(),
        ws: sip.ws.clone(),
        wss: sip.wss.clone(),
        ws_origins: sip.ws_origins.clone(),
        certificates,
        streams: StreamLimits { connections, idle_time: sip.idle_timeout, ..StreamLimits::default() },
        advertise: sip.advertise.clone(),
        advertise_at: sip.advertise_at.clone(),
        source_limit: SourceLimit(sip.source_requests_per_second),
        timers: TimerValues::default(),
        name_servers: sip.dns.clone(),
    };
    Switch::start(switch).context("cannot start SIP ([sip])")
}

/// What a self-signed certificate is made for.
pub(crate) fn names(config: &Config) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts = config.tenants.iter().flat_map(|tenant| tenant.hosts.iter().chain([&tenant.domain]).cloned());
    hosts.chain(own).collect()
}

/// The engine, and the tenants, each with the call logic that it starts with. Compiling takes a while, so on a thread
/// that may block.
async fn start_tenants(config: &Config, state_dir: &StateDir) -> anyhow::Result<(Engine, Tenants)> {
    let (config, state_dir) = (config.clone(), state_dir.clone());
    let started = tokio::task::spawn_blocking(move || {
        let engine = deploy::engine(&config.engine, &state_dir)?;
        let mut tenants = Vec::new();
        for tenant in &config.tenants {
            let loader = Arc::new(EngineLoader::new(engine.clone(), tenant));
            let deployments = start_deployments(loader, &state_dir, tenant)
                .with_context(|| format!("cannot start the call logic of [tenants.{:?}]", tenant.domain))?;
            tenants.push((Tenant::new(tenant, Arc::new(deployments)), tenant.hosts.clone()));
        }
        anyhow::Ok((engine, Tenants::new(tenants)?))
    });
    started.await?
}

fn start_deployments(
    loader: Arc<EngineLoader>,
    state_dir: &StateDir,
    tenant: &TenantConfig,
) -> anyhow::Result<Deployments> {
    let file = controller(tenant)?;
    let store = Store::open(state_dir, &tenant.domain)?;
    Ok(Deployments::start(loader, store, BUILT_IN_CONTROLLER, file.as_deref(), Policy::of(tenant))?)
}

/// Bytes that nobody can foresee.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
