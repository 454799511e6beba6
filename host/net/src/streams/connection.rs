//! One connection from its beginning to its end, in one task: it reads, gives messages to the handler, and writes
//! what waits.

use super::{SendFailure, StreamHandler, Streams, plain, web_socket};
use crate::{tcp, tls};
use bytes::Bytes;
use plugboard_sip::connections::ConnectionId;
use plugboard_sip::host::Host;
use plugboard_sip::stream::{PONG, Received};
use plugboard_sip::transport::{Destination, Transport};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// How long a connection that is being closed may take for what is still to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// What waits to be written.
pub(super) enum Outgoing<T> {
    /// A message, and who is to hear when it cannot be sent.
    Message { bytes: Bytes, ticket: Option<T> },
    /// The question whether the peer is still there.
    Ping,
}

/// One direction of a connection, by what runs over its bytes: [`super::plain`] or [`super::web_socket`].
pub(super) trait Reader<H: StreamHandler>: Send {
    /// Reads and hands on what comes, until the connection ends.
    fn read(&mut self, connection: &Connection<H>) -> impl Future<Output = End> + Send;
}

/// The other direction.
pub(super) trait Writer: Send {
    /// Writes a message.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;
    /// Asks whether the peer is still there.
    fn ping(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    /// Says that nothing more comes.
    fn shut_down(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a connection is to its task.
pub(super) struct Connection<H: StreamHandler> {
    pub streams: Arc<Streams<H>>,
    handler: Arc<H>,
    id: ConnectionId,
    pub path: Destination,
    /// When something was read or written last.
    pub active: watch::Sender<Instant>,
}

/// Why a connection is closed.
#[derive(Debug)]
pub(super) enum End {
    /// The peer closed it, or it broke.
    Peer,
    /// We do, because the peer is too slow, idle or speaks no SIP.
    CutOff(&'static str),
    /// All are.
    Stopped,
}

/// Serves a connection that a peer made.
pub(super) async fn accepted<H: StreamHandler>(
    streams: Arc<Streams<H>>,
    handler: Arc<H>,
    id: ConnectionId,
    path: Destination,
    stream: TcpStream,
    mut outgoing: UnboundedReceiver<Outgoing<H::Ticket>>,
) {
    let connection = Connection::new(streams, handler, id, path);
    let streams = connection.streams.clone();
    let encrypt = async |stream| {
        let tls = streams.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        tls.acceptor().accept(stream).await
    };
    let (limit, lost) = (streams.limits.handshake_time, SendFailure::Broken);
    match path.transport {
        Transport::Udp | Transport::Tcp => connection.begin(Ok(plain::split(stream)), lost, &mut outgoing).await,
        Transport::Tls => {
            let made = within(limit, async { Ok(plain::split(encrypt(stream).await?)) }).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
        Transport::Ws => {
            let made = within(limit, web_socket::accept(stream, &streams.origins)).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
        Transport::Wss => {
            let accept = async { web_socket::accept(encrypt(stream).await?, &streams.origins).await };
            connection.begin(within(limit, accept).await, lost, &mut outgoing).await;
        }
    }
}

/// Makes a connection and serves it.
pub(super) async fn opened<H: StreamHandler>(
    streams: Arc<Streams<H>>,
    handler: Arc<H>,
    id: ConnectionId,
    path: Destination,
    domain: Option<Host>,
    from: Option<IpAddr>,
    mut outgoing: UnboundedReceiver<Outgoing<H::Ticket>>,
) {
    let connection = Connection::new(streams, handler, id, path);
    let streams = connection.streams.clone();
    let connect = async || tcp::connect(path.remote, from).await;
    let encrypted = async || {
        let tls = streams.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let name = domain.as_ref().and_then(tls::server_name).ok_or(io::ErrorKind::InvalidInput)?;
        tls.connector().connect(name, connect().await?).await
    };
    let (limit, lost) = (streams.limits.connect_time, SendFailure::NoConnection);
    match path.transport {
        Transport::Udp | Transport::Tcp => {
            let made = within(limit, async { Ok(plain::split(connect().await?)) }).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
        Transport::Tls => {
            let made = within(limit, async { Ok(plain::split(encrypted().await?)) }).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
        Transport::Ws => {
            let made = within(limit, async { web_socket::open(connect().await?, path, domain.as_ref()).await }).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
        Transport::Wss => {
            let made = within(limit, async { web_socket::open(encrypted().await?, path, domain.as_ref()).await }).await;
            connection.begin(made, lost, &mut outgoing).await;
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl<H: StreamHandler> Connection<H> {
    fn new(streams: Arc<Streams<H>>, handler: Arc<H>, id: ConnectionId, path: Destination) -> Self {
        Self { streams, handler, id, path, active: watch::channel(Instant::now()).0 }
    }

    /// There is no connection after all.
    fn fail(&self, error: &io::Error, failure: SendFailure, outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>) {
        self.streams.counters.failed.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(peer = %self.path.remote, transport = %self.path.transport, %error, "no SIP connection");
        self.close(failure, outgoing);
    }

    /// Serves the connection if there is one.
    async fn begin<R: Reader<H>, W: Writer>(
        self,
        made: io::Result<(R, W)>,
        failure: SendFailure,
        outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>,
    ) {
        match made {
            Ok((reader, writer)) => self.run(reader, writer, outgoing).await,
            Err(error) => self.fail(&error, failure, outgoing),
        }
    }

    /// Reads and writes until one of them ends.
    async fn run(
        self,
        mut reader: impl Reader<H>,
        mut writer: impl Writer,
        outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>,
    ) {
        let mut stop = self.streams.stop.subscribe();
        let end = {
            let mut writing = pin!(self.write(&mut writer, outgoing));
            let end = tokio::select! {
                end = reader.read(&self) => end,
                () = &mut writing => End::Peer,
                _ = stop.wait_for(|stop| *stop) => End::Stopped,
            };
            // Nothing more is added from here on; what waits may still be written.
            if !matches!(end, End::Peer) {
                self.streams.table().remove(self.id);
                let _ = timeout(FLUSH_TIME_MAX, writing).await;
            }
            end
        };
        if let End::CutOff(why) = end {
            self.streams.counters.cut_off.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(peer = %self.path.remote, why, "a SIP connection was cut off");
        }
        self.close(SendFailure::Broken, outgoing);
        let _ = timeout(FLUSH_TIME_MAX, writer.shut_down()).await;
    }

    /// Forgets the connection and says of all that waits that it was not sent.
    fn close(&self, failure: SendFailure, outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>) {
        self.streams.table().remove(self.id);
        while let Ok(waiting) = outgoing.try_recv() {
            if let Outgoing::Message { ticket, .. } = waiting {
                self.lost(ticket, failure);
            }
        }
    }

    fn lost(&self, ticket: Option<H::Ticket>, failure: SendFailure) {
        if let Some(ticket) = ticket {
            self.handler.failed(ticket, failure);
        }
    }

    /// Hands on what was found; why the connection is to be closed, when it is.
    pub async fn take(&self, found: Received, state: &mut H::State) -> Option<End> {
        match found {
            Received::Message(message) => self.handler.received(self.path, message, state).await,
            Received::Ping => self.answer(Bytes::from_static(PONG)),
            Received::Refused(refusal) => self.refuse(refusal),
            Received::Broken(refusal) => {
                self.refuse(refusal);
                return Some(End::CutOff("it cannot be told where its next message begins"));
            }
        }
        None
    }

    /// Asks whether the peer is still there.
    pub fn ping(&self) {
        if let Ok(link) = self.streams.table().queue(self.id, 0) {
            let _ = link.send(Outgoing::Ping);
        }
    }

    fn refuse(&self, refusal: plugboard_sip::admit::Refusal) {
        self.handler.refused(self.path, &refusal);
        if let Some((_, answer)) = refusal.answer {
            self.answer(answer);
        }
    }

    /// Answers on this connection, when there is room: nobody waits for it.
    fn answer(&self, bytes: Bytes) {
        let mut table = self.streams.table();
        if let Ok(link) = table.queue(self.id, bytes.len()) {
            let _ = link.send(Outgoing::Message { bytes, ticket: None });
        }
    }

    /// Writes what waits, until nothing more can come or the peer does not take it.
    async fn write(&self, writer: &mut impl Writer, outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>) {
        while let Some(waiting) = outgoing.recv().await {
            let limit = self.streams.limits.write_time;
            let (length, ticket, written) = match waiting {
                Outgoing::Message { bytes, ticket } => (bytes.len(), ticket, within(limit, writer.write(bytes)).await),
                Outgoing::Ping => (0, None, within(limit, writer.ping()).await),
            };
            if let Err(error) = written {
                tracing::debug!(peer = %self.path.remote, %error, "a SIP connection broke");
                return self.lost(ticket, SendFailure::Broken);
            }
            self.active.send_replace(Instant::now());
            self.streams.table().written(self.id, length);
        }
    }
}
