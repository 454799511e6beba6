//! A network that misbehaves, by seed.

use bytes::Bytes;
use plugboard_calls::chance::Chance;
use plugboard_sip::time::Time;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How a network misbehaves.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Datagrams lost, in percent.
    pub loss: u64,
    /// Datagrams that arrive twice, in percent.
    pub repeat: u64,
    /// Longest time a datagram takes, in milliseconds; what is sent later may arrive first.
    pub delay_ms: u64,
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Who sent it.
    pub from: SocketAddr,
    /// Who gets it.
    pub to: SocketAddr,
    /// What it says.
    pub bytes: Bytes,
}

/// The datagrams on their way, by the time at which they arrive.
pub struct Network {
    weather: Weather,
    chance: Chance,
    on_its_way: BTreeMap<(Time, u64), Datagram>,
    sent: u64,
}

impl Network {
    /// An empty network.
    pub fn new(weather: Weather, seed: u64) -> Self {
        Self { weather, chance: Chance::new(seed), on_its_way: BTreeMap::new(), sent: 0 }
    }

    /// Takes a datagram, and loses it, or delivers it once or twice.
    pub fn send(&mut self, now: Time, datagram: Datagram) {
        if self.percent(self.weather.loss) {
            return;
        }
        if self.percent(self.weather.repeat) {
            self.put(now, datagram.clone());
        }
        self.put(now, datagram);
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Time> {
        self.on_its_way.first_key_value().map(|((time, _), _)| *time)
    }

    /// The datagram that arrives now.
    pub fn arrive(&mut self, now: Time) -> Option<Datagram> {
        let first = self.on_its_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn put(&mut self, now: Time, datagram: Datagram) {
        let delay = Duration::from_millis(1 + self.chance.next_u64() % self.weather.delay_ms.max(1));
        self.sent += 1;
        self.on_its_way.insert((now + delay, self.sent), datagram);
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.chance.next_u64() % 100 < percent
    }
}
