//! One connection from its beginning to its end, in one task: it reads, gives messages to the handler, and writes
//! what waits.

use super::{SendFailure, StreamHandler, Streams};
use crate::{tcp, tls};
use bytes::Bytes;
use plugboard_sip::connections::ConnectionId;
use plugboard_sip::host::Host;
use plugboard_sip::parse::Limits;
use plugboard_sip::stream::{PONG, Received, StreamReader};
use plugboard_sip::transport::{Destination, Transport};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// Read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// How long a connection that is being closed may take for what is still to be written.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);

/// A message that waits to be written.
pub(super) struct Outgoing<T> {
    pub bytes: Bytes,
    pub ticket: Option<T>,
}

/// What a connection is to its task.
struct Connection<H: StreamHandler> {
    streams: Arc<Streams<H>>,
    handler: Arc<H>,
    id: ConnectionId,
    path: Destination,
    /// When something was read or written last.
    active: watch::Sender<Instant>,
}

/// Why a connection is closed.
#[derive(Debug)]
enum End {
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
    if path.transport == Transport::Tcp {
        return connection.run(stream, outgoing).await;
    }
    let streams = connection.streams.clone();
    let handshake = async {
        let tls = streams.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        tls.acceptor().accept(stream).await
    };
    match within(streams.limits.handshake_time, handshake).await {
        Ok(stream) => connection.run(stream, outgoing).await,
        Err(error) => connection.fail(&error, SendFailure::Broken, &mut outgoing),
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
    let limit = streams.limits.connect_time;
    if path.transport == Transport::Tcp {
        return match within(limit, tcp::connect(path.remote, from)).await {
            Ok(stream) => connection.run(stream, outgoing).await,
            Err(error) => connection.fail(&error, SendFailure::NoConnection, &mut outgoing),
        };
    }
    let connect = async {
        let tls = streams.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let name = domain.as_ref().and_then(tls::server_name).ok_or(io::ErrorKind::InvalidInput)?;
        tls.connector().connect(name, tcp::connect(path.remote, from).await?).await
    };
    match within(limit, connect).await {
        Ok(stream) => connection.run(stream, outgoing).await,
        Err(error) => connection.fail(&error, SendFailure::NoConnection, &mut outgoing),
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

    /// Reads and writes until one of them ends.
    async fn run(
        self,
        stream: impl AsyncRead + AsyncWrite + Send,
        mut outgoing: UnboundedReceiver<Outgoing<H::Ticket>>,
    ) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut stop = self.streams.stop.subscribe();
        let end = {
            let mut writing = pin!(self.write(&mut writer, &mut outgoing));
            let end = tokio::select! {
                end = self.read(&mut reader) => end,
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
        self.close(SendFailure::Broken, &mut outgoing);
        let _ = timeout(FLUSH_TIME_MAX, writer.shutdown()).await;
    }

    /// Forgets the connection and says of all that waits that it was not sent.
    fn close(&self, failure: SendFailure, outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>) {
        self.streams.table().remove(self.id);
        while let Ok(message) = outgoing.try_recv() {
            self.lost(message.ticket, failure);
        }
    }

    fn lost(&self, ticket: Option<H::Ticket>, failure: SendFailure) {
        if let Some(ticket) = ticket {
            self.handler.failed(ticket, failure);
        }
    }

    async fn read(&self, stream: &mut (impl AsyncRead + Unpin)) -> End {
        let mut reader = StreamReader::new(self.path, Limits::default());
        let mut state = H::State::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut message_due = None;
        loop {
            let length = match self.read_some(stream, &mut buffer, message_due).await {
                Ok(length) => length,
                Err(end) => return end,
            };
            self.active.send_replace(Instant::now());
            reader.push(buffer.get(..length).unwrap_or_default());
            let mut found_any = false;
            while let Some(found) = reader.next() {
                found_any = true;
                match found {
                    Received::Message(message) => self.handler.received(self.path, message, &mut state).await,
                    Received::Ping => self.answer(Bytes::from_static(PONG)),
                    Received::Refused(refusal) => self.refuse(refusal),
                    Received::Broken(refusal) => {
                        self.refuse(refusal);
                        return End::CutOff("it cannot be told where its next message begins");
                    }
                }
            }
            message_due = match reader.is_inside_message() {
                true if found_any => Some(Instant::now() + self.streams.limits.message_time),
                true => message_due.or(Some(Instant::now() + self.streams.limits.message_time)),
                false => None,
            };
        }
    }

    /// Reads at least one byte. `due` is when the message that has begun must be complete.
    async fn read_some(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        buffer: &mut [u8],
        due: Option<Instant>,
    ) -> Result<usize, End> {
        loop {
            let idle_until = *self.active.borrow() + self.streams.limits.idle_time;
            match timeout_at(due.unwrap_or(idle_until), stream.read(buffer)).await {
                Ok(Ok(0) | Err(_)) => return Err(End::Peer),
                Ok(Ok(length)) => return Ok(length),
                Err(_) if due.is_some() => return Err(End::CutOff("a message took too long")),
                Err(_) if *self.active.borrow() + self.streams.limits.idle_time <= Instant::now() => {
                    return Err(End::CutOff("nothing was said for long"));
                }
                Err(_) => {} // something was written in the meantime
            }
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
            let _ = link.send(Outgoing { bytes, ticket: None });
        }
    }

    /// Writes what waits, until nothing more can come or the peer does not take it.
    async fn write(
        &self,
        stream: &mut (impl AsyncWrite + Unpin),
        outgoing: &mut UnboundedReceiver<Outgoing<H::Ticket>>,
    ) {
        while let Some(Outgoing { bytes, ticket }) = outgoing.recv().await {
            let write = async {
                stream.write_all(&bytes).await?;
                stream.flush().await
            };
            if let Err(error) = within(self.streams.limits.write_time, write).await {
                tracing::debug!(peer = %self.path.remote, %error, "a SIP connection broke");
                return self.lost(ticket, SendFailure::Broken);
            }
            self.active.send_replace(Instant::now());
            self.streams.table().written(self.id, bytes.len());
        }
    }
}
