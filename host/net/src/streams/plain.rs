//! SIP over a stream of bytes: TCP and TLS (RFC 3261 §18.3).

use super::StreamHandler;
use super::connection::{Connection, End, Reader, Writer};
use bytes::Bytes;
use plugboard_sip::parse::Limits;
use plugboard_sip::stream::StreamReader;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

/// Read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// A keep-alive that wants an answer (RFC 5626 §3.5.1).
const PING: &[u8] = b"\r\n\r\n";

/// What reads bytes.
pub(super) struct Bytewise<S>(S);

/// Both directions of a stream.
pub(super) fn split<S: AsyncRead + AsyncWrite + Send>(stream: S) -> (Bytewise<ReadHalf<S>>, Bytewise<WriteHalf<S>>) {
    let (reader, writer) = tokio::io::split(stream);
    (Bytewise(reader), Bytewise(writer))
}

impl<H: StreamHandler, S: AsyncRead + Unpin + Send> Reader<H> for Bytewise<S> {
    async fn read(&mut self, connection: &Connection<H>) -> End {
        let mut reader = StreamReader::new(connection.path, Limits::default());
        let mut state = H::State::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut message_due = None;
        loop {
            let length = match self.read_some(connection, &mut buffer, message_due).await {
                Ok(length) => length,
                Err(end) => return end,
            };
            connection.active.send_replace(Instant::now());
            reader.push(buffer.get(..length).unwrap_or_default());
            let mut found_any = false;
            while let Some(found) = reader.next() {
                found_any = true;
                if let Some(end) = connection.take(found, &mut state).await {
                    return end;
                }
            }
            let message_time = connection.streams.limits.message_time;
            message_due = match reader.is_inside_message() {
                true if found_any => Some(Instant::now() + message_time),
                true => message_due.or(Some(Instant::now() + message_time)),
                false => None,
            };
        }
    }
}

impl<S: AsyncRead + Unpin> Bytewise<S> {
    /// Reads at least one byte. `due` is when the message that has begun must be complete.
    async fn read_some<H: StreamHandler>(
        &mut self,
        connection: &Connection<H>,
        buffer: &mut [u8],
        due: Option<Instant>,
    ) -> Result<usize, End> {
        let idle_time = connection.streams.limits.idle_time;
        loop {
            let idle_until = *connection.active.borrow() + idle_time;
            match timeout_at(due.unwrap_or(idle_until), self.0.read(buffer)).await {
                Ok(Ok(0) | Err(_)) => return Err(End::Peer),
                Ok(Ok(length)) => return Ok(length),
                Err(_) if due.is_some() => return Err(End::CutOff("a message took too long")),
                Err(_) if *connection.active.borrow() + idle_time <= Instant::now() => {
                    return Err(End::CutOff("nothing was said for long"));
                }
                Err(_) => {} // something was written in the meantime
            }
        }
    }
}

impl<S: AsyncWrite + Unpin + Send> Writer for Bytewise<S> {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.0.write_all(&bytes).await?;
        self.0.flush().await
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.write(Bytes::from_static(PING)).await
    }

    async fn shut_down(&mut self) {
        let _ = self.0.shutdown().await;
    }
}
