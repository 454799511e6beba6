//! The HTTP listeners: HTTPS (HTTP/1.1 and HTTP/2 by ALPN, RFC 7301), HTTP for Digest, and admin. Each bounds what a
//! slow or greedy client can hold: connections, the TLS handshake, the header, the body, and idle time.
//!
//! Deploying call logic never touches a listener. A reload closes it only when its address has changed; bounds and
//! certificates that changed hold for the connections that come from then on.

mod activity;
mod body;
mod certificate;
mod connection;
mod open;

pub use body::{BodyError, read_body};
pub use certificate::{CertificateError, Certified, Fingerprint, server_tls, sip_tls};
pub use open::Listeners;

use crate::config::HttpLimits;
use activity::Activity;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long the listener waits after an error of accept, such as a process that is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// The answer to a request from this address.
    fn handle(self: Arc<Self>, request: Request<Incoming>, source: SocketAddr) -> Answer;
}

/// An answer in the making.
pub type Answer = Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>;

/// A bound listener.
pub struct Listener {
    name: &'static str,
    socket: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    limits: Arc<ArcSwap<HttpLimits>>,
    counters: Arc<ListenerCounters>,
}

/// Counts since start, for metrics.
#[derive(Debug, Default)]
pub struct ListenerCounters {
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that are open.
    pub open: AtomicU64,
    /// Connections that were closed because the client was too slow or did nothing.
    pub cut_off: AtomicU64,
    /// TLS handshakes that failed.
    pub handshakes_failed: AtomicU64,
}

/// A listener that could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({name}): {source}")]
pub struct BindError {
    name: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl Listener {
    /// Binds a listener; `name` is for logs and metrics. What `tls` and `limits` hold when a connection comes is what
    /// it gets.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(
        name: &'static str,
        address: SocketAddr,
        tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
        limits: Arc<ArcSwap<HttpLimits>>,
    ) -> Result<Self, BindError> {
        let socket = TcpListener::bind(address).await.map_err(|source| BindError { name, address, source })?;
        Ok(Self { name, socket, tls, limits, counters: Arc::default() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What happened.
    pub fn counters(&self) -> Arc<ListenerCounters> {
        self.counters.clone()
    }

    /// Counts on where another listener of its name stopped.
    pub fn counting(self, counters: Arc<ListenerCounters>) -> Self {
        Self { counters, ..self }
    }

    /// Serves until `stop` says so; then stops accepting, answers what is under way, and returns when the last
    /// connection has closed. When more connections come than there may be they wait to be accepted.
    pub async fn serve(self, handler: Arc<dyn Handler>, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        let asked_to_stop = stop.clone();
        loop {
            while connections.try_join_next().is_some() {}
            let limits = self.limits.load_full();
            let accepted = tokio::select! {
                accepted = self.socket.accept(), if connections.len() < limits.connections_max => accepted,
                Some(_) = connections.join_next() => continue,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (socket, source) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, limits) = (self.tls.as_ref().map(|tls| tls.load_full().into()), self.limits.load_full());
            let settings = Settings { tls, limits, counters: self.counters.clone() };
            let (handler, stop) = (handler.clone(), asked_to_stop.clone());
            connections.spawn(async move {
                settings.counters.accepted.fetch_add(1, Ordering::Relaxed);
                settings.counters.open.fetch_add(1, Ordering::Relaxed);
                connection::serve(socket, source, &settings, handler, stop).await;
                settings.counters.open.fetch_sub(1, Ordering::Relaxed);
            });
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

/// What a connection needs of its listener.
struct Settings {
    tls: Option<TlsAcceptor>,
    limits: Arc<HttpLimits>,
    counters: Arc<ListenerCounters>,
}
