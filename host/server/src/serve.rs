//! The server from configuration to shutdown: engine, tenants, switch, listeners.

use crate::admin::{Admin, token};
use crate::api::Api;
use crate::auth::{Authenticator, Door};
use crate::config::{Config, HttpConfig, SipConfig, TenantConfig};
use crate::deploy::{self, Deployments, EngineLoader, Policy, Store};
use crate::journal;
use crate::listen::{Handler, Listener, server_tls, sip_tls};
use crate::state_dir::StateDir;
use crate::switch::{Switch, SwitchConfig};
use crate::tenants::{Tenant, Tenants};
use anyhow::Context as _;
use plugboard_net::clock::Clock;
use plugboard_net::streams::StreamLimits;
use plugboard_sip::connections::ConnectionLimits;
use plugboard_sip::transaction::TimerValues;
use plugboard_sip::transport::Transport;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// The controller that this program brings along.
pub const BUILT_IN_CONTROLLER: &[u8] = include_bytes!(env!("PLUGBOARD_CONTROLLER_WASM"));

/// A running server.
pub struct Server {
    /// HTTPS listener, if there is one.
    pub https: Option<SocketAddr>,
    /// HTTP listener with Digest, if there is one.
    pub digest: Option<SocketAddr>,
    /// Admin listener.
    pub admin: SocketAddr,
    /// SIP over UDP.
    pub udp: Vec<SocketAddr>,
    /// SIP over TCP.
    pub tcp: Vec<SocketAddr>,
    /// SIP over TLS.
    pub tls: Vec<SocketAddr>,
    /// Where the admin token is.
    pub token_file: PathBuf,
    /// The tenants.
    pub tenants: Arc<Tenants>,
    /// Where calls live.
    pub switch: Arc<Switch>,
    ready: Arc<AtomicBool>,
    drain_timeout: Duration,
    keeper: JoinHandle<()>,
    front: Listeners,
    back: Listeners,
}

/// Listeners that are stopped together.
struct Listeners {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts everything; when it returns the server is ready.
    ///
    /// # Errors
    /// With what cannot be had or does not pass, and where it was configured.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let state_dir = StateDir::open(&config.state_dir)
            .with_context(|| format!("cannot use the state folder {} (state_dir)", config.state_dir.display()))?;
        let tenants = start_tenants(&config, &state_dir).await?;
        let switch = start_switch(&config.sip, &state_dir, &tenants)?;
        if let Some(journal) =
            journal::start(&config.journal, &state_dir).context("cannot keep a journal ([journal])")?
        {
            switch.record_to(journal);
        }
        let authenticator = Arc::new(Authenticator::new(random()?, u64::from_le_bytes(random()?)));
        let ready = Arc::new(AtomicBool::new(false));
        let (clock, http) = (Clock::start(), &config.http);

        let mut front = Listeners::new();
        let mut counters = Vec::new();
        let mut addresses = [None, None];
        for (address, listener) in addresses.iter_mut().zip(bind_front(http, &state_dir, &tenants).await?) {
            let Some((door, listener)) = listener else { continue };
            *address = Some(listener.address()?);
            counters.push((listener.name(), listener.counters()));
            let (tenants, switch, authenticator) = (tenants.clone(), switch.clone(), authenticator.clone());
            let limits = http.limits.clone();
            front.start(listener, Arc::new(Api { door, tenants, authenticator, switch, clock, limits }));
        }

        let listener = Listener::bind("admin", http.admin, None, http.limits.clone()).await.context("[http] admin")?;
        let admin_address = listener.address()?;
        counters.push((listener.name(), listener.counters()));
        let token = token::Token::open(&state_dir, random()?).context("cannot keep the admin token")?;
        let mut back = Listeners::new();
        let admin = Admin {
            tenants: tenants.clone(),
            switch: switch.clone(),
            clock,
            token,
            limits: http.limits.clone(),
            ready: ready.clone(),
            authenticator,
            listeners: counters,
        };
        back.start(listener, Arc::new(admin));
        let keeper = tokio::spawn(deploy::keeper::keep(tenants.clone(), switch.clone()));

        ready.store(true, Ordering::Relaxed);
        let [https, digest] = addresses;
        Ok(Self {
            https,
            digest,
            admin: admin_address,
            udp: switch.addresses(Transport::Udp),
            tcp: switch.addresses(Transport::Tcp),
            tls: switch.addresses(Transport::Tls),
            token_file: token::file(&config.state_dir),
            tenants,
            switch,
            ready,
            drain_timeout: config.drain_timeout,
            keeper,
            front,
            back,
        })
    }

    /// Stops accepting, answers what is under way, waits for calls up to the configured time and ends what is left
    /// then. The admin listener goes last, so that the end can be watched.
    pub async fn drain(self) {
        self.ready.store(false, Ordering::Relaxed);
        self.keeper.abort();
        tokio::join!(self.front.stop(), self.switch.drain(self.drain_timeout));
        self.back.stop().await;
    }

    /// Serves until SIGTERM or SIGINT, then drains; a second signal ends it at once.
    ///
    /// # Errors
    /// When the system does not give it signals.
    pub async fn run(self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut signalled = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
        signalled().await;
        tracing::info!(seconds = self.drain_timeout.as_secs(), "draining; a second signal ends it at once");
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
        line("https", address(self.https));
        line("digest", address(self.digest));
        line("admin", format!("{}, token in {}", self.admin, self.token_file.display()));
        let by_transport = [("sip/udp", &self.udp), ("sip/tcp", &self.tcp), ("sip/tls", &self.tls)];
        for (name, addresses) in by_transport.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
            line(name, addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        }
        for tenant in self.tenants.iter() {
            let live = tenant.deployments.live();
            let description = live.logic().description();
            let users = tenant.users.len();
            line("tenant", format!("{}: {} {}, {users} users", tenant.domain(), description.name, description.version));
        }
        if let Some(https) = self.https {
            let port = https.port();
            let prefix = self.tenants.by_host(None).deployments.live().logic().description().http_prefix.clone();
            let _ =
                write!(text, "\ntry: curl -k -u USER:PIN -X POST https://localhost:{port}{prefix}/CALLING/CALLED\n");
        }
        text
    }
}

impl Listeners {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), stop: watch::channel(false).0 }
    }

    fn start(&mut self, listener: Listener, handler: Arc<dyn Handler>) {
        self.tasks.spawn(listener.serve(handler, self.stop.subscribe()));
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.tasks.join_all().await;
    }
}

/// SIP as it is configured.
fn start_switch(sip: &SipConfig, state_dir: &StateDir, tenants: &Tenants) -> anyhow::Result<Arc<Switch>> {
    let certificates = match sip.tls.is_empty() {
        true => None,
        false => Some(sip_tls(sip, state_dir, names(tenants)).context("[sip] certificate, ca, client_ca")?),
    };
    let connections = ConnectionLimits {
        accepted: sip.connections_max,
        per_source: sip.connections_per_source_max,
        ..ConnectionLimits::default()
    };
    let switch = SwitchConfig {
        udp: sip.udp.clone(),
        tcp: sip.tcp.clone(),
        tls: sip.tls.clone(),
        certificates,
        streams: StreamLimits { connections, idle_time: sip.idle_timeout, ..StreamLimits::default() },
        advertise: sip.advertise.clone(),
        timers: TimerValues::default(),
        name_servers: sip.dns.clone(),
    };
    Switch::start(switch).context("cannot start SIP ([sip])")
}

/// What a self-signed certificate is made for.
fn names(tenants: &Tenants) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    tenants.hosts().map(str::to_owned).chain(own).collect()
}

/// The HTTPS and the Digest listener, where they are on.
async fn bind_front(
    http: &HttpConfig,
    state_dir: &StateDir,
    tenants: &Tenants,
) -> anyhow::Result<[Option<(Door, Listener)>; 2]> {
    let mut https = None;
    if let Some(address) = http.https {
        let tls = server_tls(http.certificate.as_ref(), state_dir, names(tenants)).context("[http] certificate")?;
        let listener =
            Listener::bind("https", address, Some(tls), http.limits.clone()).await.context("[http] https")?;
        https = Some((Door::Https, listener));
    }
    let mut digest = None;
    if let Some(address) = http.digest {
        let listener = Listener::bind("digest", address, None, http.limits.clone()).await.context("[http] digest")?;
        digest = Some((Door::Digest, listener));
    }
    Ok([https, digest])
}

/// The tenants, each with the call logic that it starts with. Compiling takes a while, so on a thread that may block.
async fn start_tenants(config: &Config, state_dir: &StateDir) -> anyhow::Result<Arc<Tenants>> {
    let (config, state_dir) = (config.clone(), state_dir.clone());
    let started = tokio::task::spawn_blocking(move || {
        let engine = deploy::engine(&config.engine, &state_dir)?;
        let mut tenants = Vec::new();
        for tenant in &config.tenants {
            let loader = Arc::new(EngineLoader::new(engine.clone(), tenant));
            let deployments = start_deployments(loader, &state_dir, tenant)
                .with_context(|| format!("cannot start the call logic of [tenants.{:?}]", tenant.domain))?;
            tenants.push((Tenant::new(tenant, deployments), tenant.hosts.clone()));
        }
        anyhow::Ok(Arc::new(Tenants::new(tenants)?))
    });
    started.await?
}

fn start_deployments(
    loader: Arc<EngineLoader>,
    state_dir: &StateDir,
    tenant: &TenantConfig,
) -> anyhow::Result<Deployments> {
    let read = |file: &PathBuf| std::fs::read(file).with_context(|| format!("cannot read controller = {file:?}"));
    let file = tenant.controller.as_ref().map(read).transpose()?;
    let store = Store::open(state_dir, &tenant.domain)?;
    let policy = Policy { rollback: tenant.rollback, drain: tenant.drain };
    Ok(Deployments::start(loader, store, BUILT_IN_CONTROLLER, file.as_deref(), policy)?)
}

/// Bytes that nobody can foresee.
fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(bytes)
}
