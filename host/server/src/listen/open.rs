//! The HTTP listeners that are open. A reload opens and closes them one by one; the others never notice.

use super::{Handler, Listener};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Open listeners, by name.
#[derive(Default)]
pub struct Listeners(Mutex<HashMap<&'static str, Open>>);

struct Open {
    address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listeners {
    /// Serves a listener. One of the same name that is open accepts nothing more, answers what is under way and
    /// closes.
    pub fn open(&self, listener: Listener, handler: Arc<dyn Handler>) {
        let (name, address) = (listener.name(), listener.address().ok());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listener.serve(handler, stopped));
        if let Some(before) = self.all().insert(name, Open { address, stop, task }) {
            before.stop.send_replace(true);
        }
    }

    /// Lets a listener accept nothing more, answer what is under way and close. Does not wait for it.
    pub fn close(&self, name: &str) {
        if let Some(open) = self.all().remove(name) {
            open.stop.send_replace(true);
        }
    }

    /// Where the listener of this name listens; none when it is closed.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.all().get(name).and_then(|open| open.address)
    }

    /// Closes these and waits until the last of their connections is closed.
    pub async fn stop(&self, names: &[&str]) {
        let stopping: Vec<Open> = names.iter().filter_map(|name| self.all().remove(*name)).collect();
        for open in &stopping {
            open.stop.send_replace(true);
        }
        for open in stopping {
            let _ = open.task.await; // a panic there was reported there
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<&'static str, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
