//! SIP over TCP, TLS and WebSocket (RFC 3261 §18, RFC 7118): listeners, the connections that peers made and those that we made, and what
//! is sent on them. Which connection a message takes and how many there may be is decided in
//! [`plugboard_sip::connections`], where a message ends in [`plugboard_sip::stream`].

mod connection;
mod plain;
mod web_socket;

use crate::tcp;
use crate::tls::Tls;
use bytes::Bytes;
use connection::Outgoing;
use plugboard_sip::admit::Refusal;
use plugboard_sip::connections::{ConnectionId, ConnectionLimits, Connections, Full, Origin};
use plugboard_sip::host::Host;
use plugboard_sip::message::Message;
use plugboard_sip::transaction::return_path;
use plugboard_sip::transport::Destination;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;

/// How long a listener waits after an error of accept, such as a process that is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take for what is still to be written when all are closed.
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// What connections may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// How many, and what may wait on each.
    pub connections: ConnectionLimits,
    /// For a connection that we make to be there, TLS included.
    pub connect_time: Duration,
    /// For the TLS handshake of a peer that connects.
    pub handshake_time: Duration,
    /// From the first byte of a message to its last.
    pub message_time: Duration,
    /// For a peer to take what is written.
    pub write_time: Duration,
    /// Without anything read or written. Not for WebSocket, which lasts as long as the peer answers pings.
    pub idle_time: Duration,
    /// Without anything read on a WebSocket, before the peer is asked whether it is still there. It has `message_time`
    /// to answer.
    pub ping_after: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            connect_time: Duration::from_secs(5),
            handshake_time: Duration::from_secs(10),
            message_time: Duration::from_secs(10),
            write_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(600),
            ping_after: Duration::from_secs(30),
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// There is no connection and none could be made: the peer has seen nothing of it.
    #[error("no connection could be made")]
    NoConnection,
    /// The connection broke before it was written, or while it was.
    #[error("the connection broke")]
    Broken,
    /// There is no room.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Who takes what comes, and hears what could not be sent.
pub trait StreamHandler: Send + Sync + 'static {
    /// Names who is to hear that a message could not be sent.
    type Ticket: Send + 'static;
    /// What a connection keeps for its handler.
    type State: Send + Default + 'static;

    /// The path that a connection to a listener is; none when there is none.
    fn path(&self, listener: usize, remote: SocketAddr) -> Option<Destination>;

    /// Takes a message. The next one of the connection is read when this is done, so that they come in order.
    fn received(
        self: &Arc<Self>,
        path: Destination,
        message: Message,
        state: &mut Self::State,
    ) -> impl Future<Output = ()> + Send;

    /// Hears of a message that was refused; it is answered already.
    fn refused(&self, path: Destination, refusal: &Refusal);

    /// Hears that a message could not be sent after all. Must not block.
    fn failed(self: &Arc<Self>, ticket: Self::Ticket, failure: SendFailure);
}

/// Counts since start.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Connections that peers made.
    pub accepted: AtomicU64,
    /// Connections that we made.
    pub opened: AtomicU64,
    /// Connections that were turned away because there are too many.
    pub turned_away: AtomicU64,
    /// Connections that were closed because the peer was too slow, idle or spoke no SIP.
    pub cut_off: AtomicU64,
    /// Connections that could not be made, and TLS handshakes that failed.
    pub failed: AtomicU64,
}

/// All connections. `H` takes what comes.
pub struct Streams<H: StreamHandler> {
    table: Mutex<Connections<UnboundedSender<Outgoing<H::Ticket>>>>,
    limits: StreamLimits,
    tls: Option<Tls>,
    /// The pages that may connect by WebSocket (RFC 6454), or `*`.
    origins: Vec<String>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    counters: StreamCounters,
}

impl<H: StreamHandler> Streams<H> {
    /// No connections yet. Must be called within a tokio runtime, which serves them. `origins` are the web pages that
    /// may connect by WebSocket, `*` for any; who is no browser has no origin and is not asked.
    pub fn new(limits: StreamLimits, tls: Option<Tls>, origins: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Connections::new(limits.connections)),
            limits,
            tls,
            origins,
            runtime: Handle::current(),
            stop: watch::channel(false).0,
            counters: StreamCounters::default(),
        })
    }

    /// Accepts the connections of a listener from now on; `number` is its name for the handler.
    pub fn serve(self: &Arc<Self>, listener: TcpListener, number: usize, handler: &Arc<H>) {
        let (streams, handler, mut stop) = (self.clone(), handler.clone(), self.stop.subscribe());
        self.runtime.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                match accepted {
                    Ok((stream, remote)) => streams.accept(stream, remote, number, &handler),
                    Err(error) => {
                        tracing::warn!(%error, "a SIP connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }

    /// Sends a message by the connection that leads there, or a new one. A response whose connection has ended takes
    /// the way of RFC 3261 §18.2.2. `domain` is who the peer must prove to be over TLS; `from` is the address of ours
    /// that a new connection comes from.
    ///
    /// # Errors
    /// When that is known at once; otherwise the handler hears of it. The ticket comes back only there.
    pub fn send(
        self: &Arc<Self>,
        handler: &Arc<H>,
        destination: Destination,
        domain: Option<Host>,
        from: Option<IpAddr>,
        bytes: Bytes,
        ticket: Option<H::Ticket>,
    ) -> Result<(), SendFailure> {
        let mut table = self.table();
        let (mut destination, mut domain) = (destination, domain);
        let mut found = table.find(destination, domain.as_ref());
        if found.is_none()
            && let Some((path, sender)) = return_path(&bytes, destination)
        {
            (destination, domain) = (path, Some(sender).filter(|_| path.transport.is_secure()));
            found = table.find(destination, domain.as_ref());
        }
        let id = match found {
            Some(id) => id,
            // What belongs to an earlier message has nobody of its own to be proven.
            None if destination.transport.is_secure() && domain.is_none() => {
                return Err(SendFailure::NoConnection);
            }
            // A phone behind WebSocket listens nowhere else (RFC 7118 §5).
            None if destination.transport.is_web_socket() && bytes.starts_with(b"SIP/") => {
                return Err(SendFailure::NoConnection);
            }
            None => self.open(&mut table, handler, destination, domain, from)?,
        };
        let link = table.queue(id, bytes.len())?;
        link.send(Outgoing::Message { bytes, ticket }).map_err(|_| SendFailure::Broken)
    }

    /// Connections that are up or being made, in number.
    pub fn open_connections(&self) -> usize {
        self.table().len()
    }

    /// What happened.
    pub fn counters(&self) -> &StreamCounters {
        &self.counters
    }

    /// Closes the listeners and all connections, and waits a little for what is still to be written.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(STOP_TIME_MAX, self.stop.closed()).await;
    }

    fn accept(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr, number: usize, handler: &Arc<H>) {
        let Some(path) = handler.path(number, remote) else { return };
        let (link, outgoing) = unbounded_channel();
        match self.table().add(path, Origin::Accepted, link) {
            Ok(id) => {
                self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                tcp::prepare(&stream);
                let accepted = connection::accepted(self.clone(), handler.clone(), id, path, stream, outgoing);
                self.runtime.spawn(accepted);
            }
            Err(full) => {
                self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%remote, %full, "a SIP connection was turned away");
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        table: &mut Connections<UnboundedSender<Outgoing<H::Ticket>>>,
        handler: &Arc<H>,
        path: Destination,
        domain: Option<Host>,
        from: Option<IpAddr>,
    ) -> Result<ConnectionId, SendFailure> {
        let (link, outgoing) = unbounded_channel();
        let id = table.add(path, Origin::Opened(domain.clone()), link)?;
        self.counters.opened.fetch_add(1, Ordering::Relaxed);
        self.runtime.spawn(connection::opened(self.clone(), handler.clone(), id, path, domain, from, outgoing));
        Ok(id)
    }

    fn table(&self) -> MutexGuard<'_, Connections<UnboundedSender<Outgoing<H::Ticket>>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
