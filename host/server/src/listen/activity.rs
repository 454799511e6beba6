//! What a client does on one connection, to tell when it is too slow.
//!
//! HTTP/1.1: a request's header has to be complete `header_timeout` after its first byte. HTTP/2: headers arrive in
//! frames among others, so there a connection counts as idle until a request is complete. On both, the first request
//! has to be there `header_timeout` after the connection, and whoever asks nothing for `idle_timeout` is cut off.

use crate::config::HttpLimits;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// Shared by the connection's stream, its requests and whoever watches over both.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    limits: Arc<HttpLimits>,
    by_frames: bool,
    requests: usize,
    /// When the header under way began.
    header_since: Option<Instant>,
    idle_since: Instant,
}

/// A request that is being answered.
pub(super) struct Answering(Activity);

impl Activity {
    /// A connection that was just made. `by_frames`: it speaks HTTP/2.
    pub(super) fn new(limits: Arc<HttpLimits>, by_frames: bool) -> Self {
        let now = Instant::now();
        let state = State { limits, by_frames, requests: 0, header_since: Some(now), idle_since: now };
        Self(Arc::new(Mutex::new(state)))
    }

    /// A request's header is complete; its answer is under way until the value is dropped.
    pub(super) fn answering(&self) -> Answering {
        let mut state = self.lock();
        state.requests += 1;
        state.header_since = None;
        Answering(self.clone())
    }

    /// When to cut the client off if nothing happens until then; none while an answer is under way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let state = self.lock();
        if state.requests > 0 {
            return None;
        }
        let idle = state.idle_since + state.limits.idle_timeout;
        let header = state.header_since.map(|since| since + state.limits.header_timeout);
        Some(header.map_or(idle, |header| header.min(idle)))
    }

    fn bytes_came(&self) {
        let mut state = self.lock();
        if !state.by_frames && state.requests == 0 && state.header_since.is_none() {
            state.header_since = Some(Instant::now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.requests -= 1;
        state.idle_since = Instant::now();
    }
}

/// A stream that notes when bytes come.
pub(super) struct Watched<S> {
    stream: S,
    activity: Activity,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, activity: Activity) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
