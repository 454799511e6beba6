//! Streams and polls that never wait: whatever is not there at once will not come during the event, because nothing
//! happens while a guest runs. A guest that waits all the same is stopped, and told what to do instead.
//!
//! wasmtime-wasi's own synchronous forms would block the thread, past any deadline, on a runtime of their own; here its
//! futures are asked once.

use super::Wasi;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::io::poll::{Host as Polls, HostPollable as Pollables};
use wasmtime_wasi::p2::bindings::io::streams::{
    Host as Streams, HostInputStream as Inputs, HostOutputStream as Outputs,
};
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};

/// What the future gives when it is asked for the first time.
fn at_once<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Ok(outcome),
        Poll::Pending => {
            Err(wasmtime::format_err!("it waits, but no time passes during an event: set a timer and return"))
        }
    }
}

fn stream_at_once<T>(future: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    at_once(future).unwrap_or_else(|waits| Err(StreamError::Trap(waits)))
}

impl poll::Host for Wasi {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        at_once(Polls::poll(&mut self.handles, pollables))?
    }
}

impl poll::HostPollable for Wasi {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        at_once(Pollables::ready(&mut self.handles, pollable))?
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        at_once(Pollables::block(&mut self.handles, pollable))?
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        Pollables::drop(&mut self.handles, pollable)
    }
}

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;

impl streams::Host for Wasi {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        Ok(Streams::convert_stream_error(&mut self.handles, error)?.into())
    }
}

impl streams::HostInputStream for Wasi {
    fn read(&mut self, stream: Input, bytes: u64) -> StreamResult<Vec<u8>> {
        Inputs::read(&mut self.handles, stream, bytes)
    }

    fn blocking_read(&mut self, stream: Input, bytes: u64) -> StreamResult<Vec<u8>> {
        stream_at_once(Inputs::blocking_read(&mut self.handles, stream, bytes))
    }

    fn skip(&mut self, stream: Input, bytes: u64) -> StreamResult<u64> {
        Inputs::skip(&mut self.handles, stream, bytes)
    }

    fn blocking_skip(&mut self, stream: Input, bytes: u64) -> StreamResult<u64> {
        stream_at_once(Inputs::blocking_skip(&mut self.handles, stream, bytes))
    }

    fn subscribe(&mut self, stream: Input) -> wasmtime::Result<Resource<DynPollable>> {
        Inputs::subscribe(&mut self.handles, stream)
    }

    fn drop(&mut self, stream: Input) -> wasmtime::Result<()> {
        at_once(Inputs::drop(&mut self.handles, stream))?
    }
}

impl streams::HostOutputStream for Wasi {
    fn check_write(&mut self, stream: Output) -> StreamResult<u64> {
        Outputs::check_write(&mut self.handles, stream)
    }

    fn write(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        Outputs::write(&mut self.handles, stream, bytes)
    }

    fn blocking_write_and_flush(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        stream_at_once(Outputs::blocking_write_and_flush(&mut self.handles, stream, bytes))
    }

    fn flush(&mut self, stream: Output) -> StreamResult<()> {
        Outputs::flush(&mut self.handles, stream)
    }

    fn blocking_flush(&mut self, stream: Output) -> StreamResult<()> {
        stream_at_once(Outputs::blocking_flush(&mut self.handles, stream))
    }

    fn subscribe(&mut self, stream: Output) -> wasmtime::Result<Resource<DynPollable>> {
        Outputs::subscribe(&mut self.handles, stream)
    }

    fn write_zeroes(&mut self, stream: Output, bytes: u64) -> StreamResult<()> {
        Outputs::write_zeroes(&mut self.handles, stream, bytes)
    }

    fn blocking_write_zeroes_and_flush(&mut self, stream: Output, bytes: u64) -> StreamResult<()> {
        stream_at_once(Outputs::blocking_write_zeroes_and_flush(&mut self.handles, stream, bytes))
    }

    fn splice(&mut self, to: Output, from: Input, bytes: u64) -> StreamResult<u64> {
        Outputs::splice(&mut self.handles, to, from, bytes)
    }

    fn blocking_splice(&mut self, to: Output, from: Input, bytes: u64) -> StreamResult<u64> {
        stream_at_once(Outputs::blocking_splice(&mut self.handles, to, from, bytes))
    }

    fn drop(&mut self, stream: Output) -> wasmtime::Result<()> {
        at_once(Outputs::drop(&mut self.handles, stream))?
    }
}
