//! A piece of network between the server and a phone that repeats or loses datagrams.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::place::Place;

/// What the network does with a datagram.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    /// Delivers each one so many times.
    Repeats(usize),
    /// Loses each one the first time it is sent.
    LosesFirst,
}

/// A running relay, to be named as outbound proxy. It knows nothing of SIP: answers inside a dialog may pass it by.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Passes on what comes from `phone` to whoever else spoke last, and everything else to `phone`.
    pub fn start(place: &Place, phone: SocketAddr, weather: Weather) -> Self {
        let address = place.port();
        let socket = UdpSocket::bind(address).expect("the port is free");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("it is not zero");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut other = None;
            let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
            let mut buffer = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let datagram = &buffer[..length];
                let to = if from == phone { other } else { Some(phone) };
                if from != phone {
                    other = Some(from);
                }
                let times = seen.entry(datagram.to_owned()).or_default();
                *times += 1;
                let copies = match weather {
                    Weather::Repeats(copies) => copies,
                    Weather::LosesFirst => usize::from(*times > 1),
                };
                for to in to.iter().cycle().take(copies) {
                    let _ = socket.send_to(datagram, to);
                }
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
