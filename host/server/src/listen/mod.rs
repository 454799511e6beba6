//! The HTTP listeners: HTTPS (HTTP/1.1 and HTTP/2 by ALPN, RFC 7301), HTTP for Digest, and admin. Each bounds what a
//! slow or greedy client can hold: connections, the TLS handshake, the header, the body, and idle time.
//!
//! A listener lives as long as the server: deploying call logic never touches it.

mod activity;
mod body;
mod certificate;
mod connection;

pub use body::{BodyError, read_body};
pub use certificate::{CertificateError, server_tls, sip_tls};

use crate::config::HttpLimits;
use activity::Activity;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
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
    tls: Option<TlsAcceptor>,
    limits: HttpLimits,
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
    /// Binds a listener; `name` is for logs and metrics.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(
        name: &'static str,
        address: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: HttpLimits,
    ) -> Result<Self, BindError> {
        let socket = TcpListener::bind(address).await.map_err(|source| BindError { name, address, source })?;
        Ok(Self { name, socket, tls: tls.map(TlsAcceptor::from), limits, counters: Arc::default() })
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

    /// Serves until `stop` says so; then stops accepting, answers what is under way, and returns when the last
    /// connection has closed. When more connections come than there may be they wait to be accepted.
    pub async fn serve(self, handler: Arc<dyn Handler>, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let mut connections = JoinSet::new();
        let asked_to_stop = stop.clone();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &slots) => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let Some((slot, socket, source)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let settings =
                Settings { tls: self.tls.clone(), limits: self.limits.clone(), counters: self.counters.clone() };
            let (handler, stop) = (handler.clone(), asked_to_stop.clone());
            connections.spawn(async move {
                settings.counters.accepted.fetch_add(1, Ordering::Relaxed);
                settings.counters.open.fetch_add(1, Ordering::Relaxed);
                connection::serve(socket, source, &settings, handler, stop).await;
                settings.counters.open.fetch_sub(1, Ordering::Relaxed);
                drop(slot);
            });
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

/// What a connection needs of its listener.
struct Settings {
    tls: Option<TlsAcceptor>,
    limits: HttpLimits,
    counters: Arc<ListenerCounters>,
}

/// The next connection, once there is a slot for it; none when the system could not give it.
async fn accept(socket: &TcpListener, slots: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match socket.accept().await {
        Ok((socket, source)) => Some((slot, socket, source)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            None
        }
    }
}
