//! SIP over WebSocket (RFC 7118 over RFC 6455): browser phones that connect to us, and proxies that we connect to.
//!
//! Each WebSocket message holds one SIP message. A WebSocket lasts as long as its peer answers our pings, and not only
//! while something is said on it as with TCP: a browser cannot be called anew.

use super::StreamHandler;
use super::connection::{Connection, End, Reader, Writer};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use plugboard_sip::host::Host;
use plugboard_sip::parse::{Limits, MAX_DATAGRAM};
use plugboard_sip::stream::message_of;
use plugboard_sip::transport::Destination;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes, error::ProtocolError};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

/// The subprotocol (RFC 7118 §4).
const SUBPROTOCOL: &str = "sip";
/// Read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// What reads WebSocket messages.
pub(super) struct Incoming<S>(SplitStream<WebSocketStream<S>>);
/// What writes them.
pub(super) struct Sending<S>(SplitSink<WebSocketStream<S>, Message>);

type Both<S> = (Incoming<S>, Sending<S>);

/// The handshake of a peer that connects. It must offer the subprotocol, and a browser's page must be of one of
/// `origins` (RFC 6455 §10.2).
pub(super) async fn accept<S>(stream: S, origins: &[String]) -> io::Result<Both<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    #[allow(clippy::result_large_err)] // the library's own type
    let answer = |request: &Request, response: Response| answer(request.headers(), response, origins);
    let made = accept_hdr_async_with_config(stream, answer, Some(config())).await;
    made.map(split).map_err(io::Error::other)
}

/// Our handshake with a peer that we connected to.
pub(super) async fn open<S>(stream: S, path: Destination, domain: Option<&Host>) -> io::Result<Both<S>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let scheme = if path.transport.is_secure() { "wss" } else { "ws" };
    let host = domain.cloned().unwrap_or(Host::from(path.remote.ip()));
    let uri = format!("{scheme}://{host}:{}/", path.remote.port());
    let mut request = uri.into_client_request().map_err(io::Error::other)?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let (made, _) = client_async_with_config(request, stream, Some(config())).await.map_err(io::Error::other)?;
    Ok(split(made))
}

#[allow(clippy::result_large_err)] // the library's own type
fn answer(headers: &HeaderMap, mut response: Response, origins: &[String]) -> Result<Response, ErrorResponse> {
    let refuse = |status: StatusCode, why: &str| {
        let mut refusal = ErrorResponse::new(Some(why.to_owned()));
        *refusal.status_mut() = status;
        Err(refusal)
    };
    let offers = |value: &HeaderValue| {
        let offered = value.to_str().unwrap_or_default().split(',');
        offered.map(str::trim).any(|one| one.eq_ignore_ascii_case(SUBPROTOCOL))
    };
    if !headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().any(offers) {
        return refuse(StatusCode::BAD_REQUEST, "the WebSocket subprotocol sip is wanted\n");
    }
    let is_welcome = |origin: &HeaderValue| {
        let is_it = |welcome: &String| welcome == "*" || welcome.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        origins.iter().any(is_it)
    };
    if !headers.get_all(ORIGIN).iter().all(is_welcome) {
        return refuse(StatusCode::FORBIDDEN, "this origin is not welcome\n");
    }
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0) // each message is flushed anyway
        .max_message_size(Some(MAX_DATAGRAM))
        .max_frame_size(Some(MAX_DATAGRAM))
}

fn split<S: AsyncRead + AsyncWrite + Unpin>(stream: WebSocketStream<S>) -> Both<S> {
    let (writer, reader) = stream.split();
    (Incoming(reader), Sending(writer))
}

impl<H: StreamHandler, S: AsyncRead + AsyncWrite + Unpin + Send> Reader<H> for Incoming<S> {
    async fn read(&mut self, connection: &Connection<H>) -> End {
        let mut state = H::State::default();
        loop {
            let message = match self.next(connection).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            connection.active.send_replace(Instant::now());
            let bytes = match message {
                Message::Text(text) => AsRef::<Bytes>::as_ref(&text).clone(),
                Message::Binary(bytes) => bytes,
                Message::Close(_) => return End::Peer,
                // The library answers a ping by itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            if let Some(found) = message_of(bytes, connection.path, &Limits::default())
                && let Some(end) = connection.take(found, &mut state).await
            {
                return end;
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Incoming<S> {
    /// The next message. A peer that is silent is asked whether it is still there, and must answer in time; so must
    /// one that is in the middle of a message.
    async fn next<H: StreamHandler>(&mut self, connection: &Connection<H>) -> Result<Message, End> {
        let limits = &connection.streams.limits;
        if let Ok(next) = timeout(limits.ping_after, self.0.next()).await {
            return message(next);
        }
        connection.ping();
        match timeout(limits.message_time, self.0.next()).await {
            Ok(next) => message(next),
            Err(_) => Err(End::CutOff("it does not answer")),
        }
    }
}

fn message(next: Option<Result<Message, Error>>) -> Result<Message, End> {
    match next {
        Some(Ok(message)) => Ok(message),
        Some(Err(Error::Capacity(_))) => Err(End::CutOff("a message was too large")),
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Err(End::Peer),
        Some(Err(Error::Protocol(_) | Error::Utf8(_))) => Err(End::CutOff("it does not keep to WebSocket")),
        Some(Err(_)) | None => Err(End::Peer),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Writer for Sending<S> {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        // RFC 7118 §4.2: text where it is UTF-8. Browsers like it better.
        let message = Utf8Bytes::try_from(bytes.clone()).map_or(Message::Binary(bytes), Message::Text);
        self.0.send(message).await.map_err(io::Error::other)
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.0.send(Message::Ping(Bytes::new())).await.map_err(io::Error::other)
    }

    async fn shut_down(&mut self) {
        let _ = self.0.close().await;
    }
}
