//! Kamailio as registrar and challenging proxy (`tests/kamailio/kamailio.cfg`).

use std::net::SocketAddr;
use std::path::Path;

use crate::place::{Place, tail};
use crate::program::{Running, peer};
use crate::server::Domain;
use crate::sipp::{tcp_port_is_open, udp_port_is_open};
use crate::wait::{SOON, until};

/// How Plugboard reaches Kamailio. Phones reach it by UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By the socket that phones use.
    Udp,
    /// By a socket of its own.
    Tcp,
    /// With a certificate of its own, in the file `tls.pem` of the place.
    Tls,
    /// By the socket that phones in browsers use.
    Ws,
    /// The same with that certificate.
    Wss,
}

impl By {
    /// As URIs and the configuration write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// The hash that its challenges ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// RFC 7616.
    Md5,
    /// RFC 8760.
    Sha256,
}

/// A running Kamailio; ended when dropped.
#[derive(Debug)]
pub struct Kamailio {
    _running: Running,
    /// For phones.
    address: SocketAddr,
    /// For Plugboard.
    near: SocketAddr,
    by: By,
}

impl Kamailio {
    /// Starts it on a port of its own, by UDP and with MD5.
    pub fn start(place: &Place) -> Self {
        Self::start_with(place, By::Udp, Hash::Md5)
    }

    /// Starts it on ports of its own.
    pub fn start_with(place: &Place, by: By, hash: Hash) -> Self {
        let address = place.port();
        let near = if by == By::Udp { address } else { place.port() };
        let log = place.folder().join("kamailio.log");
        let mut command = peer("kamailio", "kamailio");
        command.arg("-f").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("kamailio/kamailio.cfg"));
        command.args(["-DD", "-E", "-m", "32", "-M", "8", "-l", &format!("udp:{address}")]);
        if by != By::Udp {
            let under = if by.is_secure() { "tls" } else { "tcp" };
            command.args(["-A", "WITH_TCP", "-l", &format!("{under}:{near}")]);
        }
        if matches!(by, By::Ws | By::Wss) {
            command.args(["-A", "WITH_WS"]);
        }
        if by.is_secure() {
            let pair = rcgen::generate_simple_self_signed(vec![near.ip().to_string()]).expect("made");
            place.write("tls.pem", pair.cert.pem());
            place.write("tls.key", pair.signing_key.serialize_pem());
            // The modules of Debian for TLS and for WebSocket come in packages of their own.
            let folder = place.folder().display();
            command.args(["-A", "WITH_TLS", &format!("--subst=!TLS_FOLDER!{folder}!g")]);
        }
        if hash == Hash::Sha256 {
            command.args(["-A", "WITH_SHA256"]);
        }
        command.arg("-Y").arg(place.folder()).arg("-w").arg(place.folder());
        let mut running = Running::start(command, &log);
        until("kamailio to open its ports", SOON, || {
            let hint = "on Debian: apt-get install kamailio kamailio-tls-modules kamailio-websocket-modules";
            assert!(running.ended().is_none(), "kamailio does not start ({hint}):\n{}", tail(&log, 30));
            let is_near = by == By::Udp || tcp_port_is_open(near);
            (udp_port_is_open(address) && is_near).then_some(())
        });
        Self { _running: running, address, near, by }
    }

    /// Where phones find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where phones in browsers find it, when Plugboard comes by WebSocket, too.
    pub fn web_address(&self) -> SocketAddr {
        self.near
    }

    /// A tenant whose SIP goes through it.
    pub fn domain(&self) -> Domain {
        let proxy = format!("\"sip:{};transport={};lr\"", self.near, self.by.name());
        Domain::example().set("outbound_proxy", proxy)
    }

    /// What a configuration of Plugboard says in `[sip]` to trust it.
    pub fn sip(&self, place: &Place) -> String {
        let ca = || format!("ca = {:?}", place.folder().join("tls.pem").display().to_string());
        if self.by.is_secure() { ca() } else { String::new() }
    }

    /// Registers a user of its table, to be called at `contact`.
    pub fn register(&self, place: &Place, user: &str, password: &str, contact: SocketAddr) {
        let phone = place.phone("register").at(contact).toward(self.address);
        phone.key("user", user).key("domain", "example.test").credentials(user, password).start().finish();
    }
}
