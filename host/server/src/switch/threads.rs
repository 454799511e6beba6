//! The threads that wait for the network and for time.

use super::drive::Ready;
use super::relay::Watcher;
use super::{SHARDS, Switch, SwitchError, lock};
use bytes::Bytes;
use plugboard_calls::shard::may_belong;
use plugboard_net::udp::{DATAGRAM_BYTES_MAX, UdpListener};
use plugboard_sip::admit::admit;
use plugboard_sip::parse::Limits;
use plugboard_sip::transport::Destination;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

/// Threads that read one socket. More than the events that a tenant may run at once, so that one whose guest takes
/// long never keeps the socket from being read.
const READERS: usize = 6;
/// The pause after a socket error that is not about one datagram.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// Precision of the timers of calls: what is due within it is done together. A turn at a socket that is lent waits for
/// at most two.
const TICK: Duration = Duration::from_millis(10);

/// Starts them all, and lets peers connect.
pub(super) fn start(switch: &Arc<Switch>) -> Result<(), SwitchError> {
    let mut threads = Vec::new();
    for listener in 0..switch.sockets.datagrams().len() {
        for _ in 0..READERS {
            let switch = switch.clone();
            let reader = Builder::new().name("sip-udp".to_owned()).spawn(move || read(&switch, listener));
            threads.push(reader.map_err(SwitchError::Thread)?);
        }
    }
    let keeper = switch.clone();
    let keeper = Builder::new().name("sip-time".to_owned()).spawn(move || keep_time(&keeper));
    threads.push(keeper.map_err(SwitchError::Thread)?);
    lock(&switch.threads).extend(threads);
    switch.sockets.serve(switch);
    Ok(())
}

/// One of the readers of a socket. They take turns: whoever has the turn reads a datagram and gives it to its shard
/// before the next one may read, so that messages take effect in the order in which they came. While the guest runs
/// the turn is lent.
fn read(switch: &Arc<Switch>, at: usize) {
    let (Some(listener), Some(relay)) = (switch.sockets.datagrams().get(at), switch.relays.get(at)) else { return };
    let stopping = || switch.stopping.load(Ordering::Acquire);
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Some(mut turn) = relay.wait(stopping) {
        while !stopping() {
            let Some((index, calls)) = next(switch, at, listener, &mut buffer) else { continue };
            if calls.is_empty() {
                continue;
            }
            let lent = turn.lend(|| switch.alarm.wake());
            calls.into_iter().for_each(|ready| switch.run(index, ready));
            match lent.take_back() {
                Some(again) => turn = again,
                None => break,
            }
        }
    }
}

/// What the next datagram makes ready; none when it makes nothing ready, or none came.
fn next(switch: &Arc<Switch>, at: usize, listener: &UdpListener, buffer: &mut [u8]) -> Option<(u8, Vec<Ready>)> {
    match listener.receive(buffer) {
        Ok(received) => received.and_then(|(datagram, source)| take(switch, at, datagram, source)),
        Err(error) => {
            tracing::error!(address = %listener.address(), %error, "the SIP socket cannot be read");
            std::thread::sleep(PAUSE_AFTER_ERROR);
            None
        }
    }
}

/// One datagram, up to the events that it makes ready.
fn take(switch: &Arc<Switch>, listener: usize, datagram: Bytes, source: SocketAddr) -> Option<(u8, Vec<Ready>)> {
    switch.counters.datagrams_received.fetch_add(1, Ordering::Relaxed);
    let path = switch.sockets.path(listener, source)?;
    if datagram.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return None; // a keep-alive (RFC 5626 §3.5.1 and what phones send in its place)
    }
    if switch.is_flooding(source) && !may_belong(&datagram) {
        switch.counters.flood_messages.fetch_add(1, Ordering::Relaxed);
        return None;
    }
    match admit(datagram, path, &Limits::default()) {
        Ok(message) => Some(switch.take(message, path)),
        Err(refusal) => {
            if switch.refuse(&refusal, source)
                && let Some((destination, bytes)) = refusal.answer
            {
                answer(switch, destination, bytes);
            }
            None
        }
    }
}

fn answer(switch: &Arc<Switch>, destination: Destination, bytes: Bytes) {
    switch.counters.datagrams_sent.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = switch.sockets.send(switch, destination, None, bytes, None) {
        tracing::debug!(peer = %destination.remote, %error, "an answer could not be sent");
    }
}

/// Does what is due, and watches over the turns at the sockets. While messages come it looks every tick, since something
/// is due nearly always then; otherwise it sleeps until something is.
fn keep_time(switch: &Arc<Switch>) {
    let mut watcher = Watcher::new(&switch.relays);
    while !switch.stopping.load(Ordering::Acquire) {
        watcher.rest(|| switch.alarm.sleep(|due| switch.clock.until(due)));
        for index in 0..SHARDS {
            let ((), ready) = switch.visit(index, |shard, now, out| shard.poll(now, out));
            for ready in ready {
                // A guest that takes long must not hold up the retransmissions of others.
                let switch = switch.clone();
                switch.runtime.clone().spawn_blocking(move || switch.run(index, ready));
            }
        }
        std::thread::sleep(TICK);
        watcher.look();
    }
}
