//! One connection from accept to close.

use super::activity::Watched;
use super::{Activity, Handler, Settings};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// Requests of one HTTP/2 connection at once, in number.
const STREAMS_MAX: u32 = 100;
/// Header fields of one request, in number.
const HEADERS_MAX: usize = 100;
/// How long a connection that is asked to close may take for what is under way.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves one connection until either side closes it.
pub(super) async fn serve(
    socket: TcpStream,
    source: SocketAddr,
    settings: &Settings,
    handler: Arc<dyn Handler>,
    mut stop: watch::Receiver<bool>,
) {
    // An answer is one write; waiting for more to send would only delay it.
    let _ = socket.set_nodelay(true);
    let Some(tls) = &settings.tls else {
        return serve_http(socket, false, source, settings, handler, stop).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(settings.limits.handshake_timeout, tls.accept(socket)) => shaken,
        _ = stop.wait_for(|stop| *stop) => return, // nothing was asked yet
    };
    match shaken {
        Ok(Ok(stream)) => {
            let by_frames = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve_http(stream, by_frames, source, settings, handler, stop).await;
        }
        Ok(Err(error)) => {
            settings.counters.handshakes_failed.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%source, %error, "TLS handshake failed");
        }
        Err(_) => {
            settings.counters.cut_off.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%source, "TLS handshake took too long");
        }
    }
}

/// Serves HTTP/1.1, or HTTP/2 (`by_frames`).
async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    by_frames: bool,
    source: SocketAddr,
    settings: &Settings,
    handler: Arc<dyn Handler>,
    mut stop: watch::Receiver<bool>,
) {
    let activity = Activity::new(settings.limits.clone(), by_frames);
    let stream = TokioIo::new(Watched::new(stream, activity.clone()));
    let answering = activity.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = answering.answering();
        let answer = handler.clone().handle(request, source);
        async move {
            let answer = answer.await;
            drop(guard);
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder(settings, by_frames);
    let mut connection = pin!(builder.serve_connection(stream, service));
    let mut wake = pin!(sleep_until(Instant::now()));
    let mut stopping = pin!(async move {
        let _ = stop.wait_for(|stop| *stop).await;
    });
    let mut closing: Option<Instant> = None;
    poll_fn(|cx| {
        if closing.is_none() && stopping.as_mut().poll(cx).is_ready() {
            connection.as_mut().graceful_shutdown();
            closing = Some(Instant::now() + CLOSE_TIMEOUT);
        }
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            if let Err(error) = result {
                tracing::debug!(%source, %error, "an HTTP connection broke");
            }
            return Poll::Ready(());
        }
        let deadline = [activity.deadline(), closing].into_iter().flatten().min();
        let Some(deadline) = deadline else { return Poll::Pending };
        // The deadline moves away with every request: as a rule the timer is set anew only when it is up.
        if deadline < wake.deadline() {
            wake.as_mut().reset(deadline);
        }
        loop {
            if wake.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if deadline <= wake.deadline() {
                break;
            }
            wake.as_mut().reset(deadline);
        }
        settings.counters.cut_off.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%source, "a client was too slow or asked nothing: its connection is closed");
        Poll::Ready(())
    })
    .await;
}

fn builder(settings: &Settings, by_frames: bool) -> Builder<TokioExecutor> {
    let limits = &settings.limits;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `Activity` keeps the bounds of the header and of idle time.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes_max)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX));
    if by_frames { builder.http2_only() } else { builder.http1_only() }
}
