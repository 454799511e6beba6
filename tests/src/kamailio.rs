//! Kamailio as registrar and challenging proxy (`tests/kamailio/kamailio.cfg`).

use std::net::SocketAddr;
use std::path::Path;

use crate::place::{Place, tail};
use crate::program::{Running, peer};
use crate::sipp::udp_port_is_open;
use crate::wait::{SOON, until};

/// A running Kamailio; ended when dropped.
#[derive(Debug)]
pub struct Kamailio {
    _running: Running,
    address: SocketAddr,
}

impl Kamailio {
    /// Starts it on a port of its own.
    pub fn start(place: &Place) -> Self {
        let address = place.port();
        let log = place.folder().join("kamailio.log");
        let mut command = peer("kamailio", "kamailio");
        command.arg("-f").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("kamailio/kamailio.cfg"));
        command.args(["-DD", "-E", "-m", "32", "-M", "4", "-l", &format!("udp:{address}")]);
        command.arg("-Y").arg(place.folder()).arg("-w").arg(place.folder());
        let mut running = Running::start(command, &log);
        until("kamailio to open its port", SOON, || {
            assert!(running.ended().is_none(), "kamailio does not start:\n{}", tail(&log, 30));
            udp_port_is_open(address).then_some(())
        });
        Self { _running: running, address }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers a user of its table, to be called at `contact`.
    pub fn register(&self, place: &Place, user: &str, password: &str, contact: SocketAddr) {
        let phone = place.phone("register").at(contact).toward(self.address);
        phone.key("user", user).key("domain", "example.test").credentials(user, password).start().finish();
    }
}
