//! A WebSocket as a stream of bytes, so that phones over WebSocket are written like those over TCP.

use futures_util::{SinkExt as _, StreamExt as _};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// A WebSocket whose messages are read and written as if they were bytes; what is written at once is one message.
pub struct WebSocketBytes<S> {
    socket: WebSocketStream<S>,
    read: Vec<u8>,
    as_text: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketBytes<S> {
    pub fn new(socket: WebSocketStream<S>, as_text: bool) -> Self {
        Self { socket, read: Vec::new(), as_text }
    }

    /// The side that is connected to; it takes the subprotocol that is offered.
    #[allow(clippy::result_large_err)] // the library's own type
    pub async fn accept(stream: S) -> Self {
        let agree = |request: &Request, mut response: Response| {
            let offered = request.headers().get("Sec-WebSocket-Protocol").expect("a subprotocol").clone();
            assert_eq!(offered, "sip");
            response.headers_mut().insert("Sec-WebSocket-Protocol", offered);
            Ok(response)
        };
        Self::new(tokio_tungstenite::accept_hdr_async(stream, agree).await.expect("a handshake"), true)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketBytes<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.read.is_empty() {
            match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(message)) if message.is_text() || message.is_binary() => {
                    self.read = message.into_data().to_vec()
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.read.len().min(into.remaining());
        into.put_slice(&self.read.drain(..length).collect::<Vec<u8>>());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.socket.poll_ready_unpin(cx)).map_err(gone)?;
        let message = match std::str::from_utf8(bytes) {
            Ok(text) if self.as_text => Message::text(text),
            _ => Message::binary(bytes.to_vec()),
        };
        self.socket.start_send_unpin(message).map_err(gone)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_flush_unpin(cx).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_close_unpin(cx).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
