//! One UDP socket with a thread, driving a SIP element of the demo: a phone or the proxy.

use bytes::Bytes;
use plugboard_sip::parse::{Limits, parse_datagram};
use plugboard_sip::{Destination, Message, SipUri, Time, Transport};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest wait for a datagram: so long a timer may be late, and so long stopping may take.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where a SIP URI points when its host is an address.
pub fn address_of(uri: &SipUri) -> Option<SocketAddr> {
    Some((uri.host.address()?, uri.port.unwrap_or(Transport::Udp.default_port())).into())
}

/// What an element wants sent.
pub type Datagrams = Vec<(SocketAddr, Bytes)>;

/// Something that speaks SIP over one socket.
pub trait Element: Send + 'static {
    /// A message came.
    fn receive(&mut self, now: Time, message: Message, source: Destination, out: &mut Datagrams);

    /// Time has passed.
    fn poll(&mut self, now: Time, out: &mut Datagrams);
}

/// An element with its socket and thread; both end when it is dropped.
pub struct Wire<E> {
    element: Arc<Mutex<E>>,
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<E: Element> Wire<E> {
    /// Lets an element work on a socket.
    ///
    /// # Errors
    /// When the socket or the thread cannot be had.
    pub fn start(socket: UdpSocket, element: E) -> io::Result<Self> {
        socket.set_read_timeout(Some(PATIENCE))?;
        let (socket, element) = (Arc::new(socket), Arc::new(Mutex::new(element)));
        let stop = Arc::new(AtomicBool::new(false));
        let work = {
            let (socket, element, stop) = (Arc::clone(&socket), Arc::clone(&element), Arc::clone(&stop));
            move || run(&socket, &element, &stop)
        };
        let thread = std::thread::Builder::new().name("demo-sip".to_owned()).spawn(work)?;
        Ok(Self { element, socket, stop, thread: Some(thread) })
    }

    /// Does something with the element, and sends what comes of it.
    pub fn with<T>(&self, act: impl FnOnce(&mut E, Time, &mut Datagrams) -> T) -> T {
        let mut out = Vec::new();
        let result = act(&mut lock(&self.element), now(), &mut out);
        send(&self.socket, out);
        result
    }
}

impl<E> Drop for Wire<E> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run<E: Element>(socket: &UdpSocket, element: &Mutex<E>, stop: &AtomicBool) {
    let mut buffer = vec![0; 65_535];
    while !stop.load(Ordering::Relaxed) {
        let received = socket.recv_from(&mut buffer);
        let mut out = Vec::new();
        let mut element = lock(element);
        if let Ok((length, remote)) = received {
            let source = Destination { transport: Transport::Udp, remote, local: 0 };
            let datagram = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
            // Not `admit`: it drops responses with a second Via, and those are what a proxy is for.
            if let Ok(message) = parse_datagram(datagram, &Limits::default()) {
                element.receive(now(), message, source, &mut out);
            }
        }
        element.poll(now(), &mut out);
        drop(element);
        send(socket, out);
    }
}

fn send(socket: &UdpSocket, datagrams: Datagrams) {
    for (remote, bytes) in datagrams {
        let _ = socket.send_to(&bytes, remote);
    }
}

fn lock<E>(element: &Mutex<E>) -> std::sync::MutexGuard<'_, E> {
    element.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
