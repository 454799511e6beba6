//! Time and chance of an event. Clocks stand still while it lasts, and all chance comes from its seed, so an event that
//! is run again sees the same.

use super::Wasi;
use std::time::Duration;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

/// Random bytes that a guest may ask for in one call, in number.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// What the clocks say of their resolution: the contract's timestamps are in milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

/// When an event happens, and its seed. Outside of events, where the contract gives a guest neither, it is the epoch
/// and the seed is 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Milliseconds since the Unix epoch.
    pub(crate) unix_ms: u64,
    pub(crate) seed: u64,
}

impl Moment {
    fn since_epoch(self) -> Duration {
        Duration::from_millis(self.unix_ms)
    }

    /// The monotonic clock, in nanoseconds.
    fn monotonic(self) -> u64 {
        u64::try_from(self.since_epoch().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn datetime(since_epoch: Duration) -> wall_clock::Datetime {
    wall_clock::Datetime { seconds: since_epoch.as_secs(), nanoseconds: since_epoch.subsec_nanos() }
}

impl wall_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.moment.since_epoch()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(RESOLUTION))
    }
}

impl monotonic_clock::Host for Wasi {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.moment.monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(RESOLUTION.as_nanos()).unwrap_or(u64::MAX))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let alarm = if when <= self.moment.monotonic() { Alarm::Past } else { Alarm::AfterTheEvent };
        let alarm = self.handles.push(alarm)?;
        subscribe(&mut self.handles, alarm)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(self.moment.monotonic().saturating_add(duration))
    }
}

/// A time that a guest may wait for.
enum Alarm {
    Past,
    /// The clock stands still, so it never comes.
    AfterTheEvent,
}

#[async_trait::async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        match self {
            Self::Past => {}
            Self::AfterTheEvent => std::future::pending().await,
        }
    }
}

impl Wasi {
    fn random_bytes(&mut self, number: u64) -> wasmtime::Result<Vec<u8>> {
        if number > RANDOM_BYTES_MAX {
            wasmtime::bail!("{number} random bytes at once, {RANDOM_BYTES_MAX} are allowed");
        }
        let number = usize::try_from(number)?;
        let mut bytes = Vec::with_capacity(number + size_of::<u64>());
        while bytes.len() < number {
            bytes.extend(self.chance.next_u64().to_le_bytes());
        }
        bytes.truncate(number);
        Ok(bytes)
    }
}

impl random::Host for Wasi {
    fn get_random_bytes(&mut self, number: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(number)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.chance.next_u64())
    }
}

impl insecure::Host for Wasi {
    fn get_insecure_random_bytes(&mut self, number: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(number)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.chance.next_u64())
    }
}

impl insecure_seed::Host for Wasi {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.chance.next_u64(), self.chance.next_u64()))
    }
}
