//! What comes over TCP and TLS. A message goes to its shard where it was read, so that those of one connection keep
//! their order; the guest runs elsewhere, so that one that takes long does not hold up what comes behind it.

use super::Switch;
use super::drive::Ready;
use plugboard_net::streams::{SendFailure, StreamHandler};
use plugboard_sip::admit::Refusal;
use plugboard_sip::message::Message;
use plugboard_sip::transaction::ClientId;
use plugboard_sip::transport::Destination;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// The runs of guests that one connection has going, in number. When it has as many it is not read until one is done.
/// More than the events that a tenant may run at once, so that no tenant alone keeps a connection from being read.
const RUNS_MAX: usize = 6;

/// The room for runs of one connection.
pub struct Runs(Arc<Semaphore>);

impl Default for Runs {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(RUNS_MAX)))
    }
}

impl StreamHandler for Switch {
    /// The client transaction, and its shard.
    type Ticket = (u8, ClientId);
    type State = Runs;

    fn path(&self, listener: usize, remote: SocketAddr) -> Option<Destination> {
        self.sockets.path(listener, remote)
    }

    async fn received(self: &Arc<Self>, path: Destination, message: Message, runs: &mut Runs) {
        self.counters.datagrams_received.fetch_add(1, Ordering::Relaxed);
        let (index, ready) = self.take(message, path);
        for ready in ready {
            self.run_elsewhere(index, ready, runs).await;
        }
    }

    fn refused(&self, path: Destination, refusal: &Refusal) {
        self.counters.datagrams_received.fetch_add(1, Ordering::Relaxed);
        self.refuse(refusal, path.remote);
    }

    fn failed(self: &Arc<Self>, (index, client): Self::Ticket, failure: SendFailure) {
        self.send_failed(index, Some(client), failure);
    }
}

impl Switch {
    async fn run_elsewhere(self: &Arc<Self>, index: u8, ready: Ready, runs: &Runs) {
        let Ok(room) = runs.0.clone().acquire_owned().await else { return };
        let switch = self.clone();
        self.runtime.spawn_blocking(move || {
            switch.run(index, ready);
            drop(room);
        });
    }

    /// Tells a client transaction that its message was not sent.
    pub(super) fn send_failed(self: &Arc<Self>, index: u8, client: Option<ClientId>, failure: SendFailure) {
        self.counters.sends_failed.fetch_add(1, Ordering::Relaxed);
        let Some(client) = client else { return };
        // Not from here: this thread may be in the middle of an event of the same call.
        let switch = self.clone();
        self.runtime.spawn_blocking(move || {
            switch.with_shard(index, |shard, now, out| match failure {
                SendFailure::NoConnection => shard.connection_refused(now, client, out),
                SendFailure::Broken | SendFailure::Full(_) => shard.transport_failed(now, client, out),
            });
        });
    }
}
