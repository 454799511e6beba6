//! Where a test runs: a loopback address that no other test process has, and a folder for logs.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program;

/// A folder and a loopback address of its own. The folder goes when the test succeeded and stays when it failed.
#[derive(Debug)]
pub struct Place {
    name: String,
    folder: PathBuf,
}

impl Place {
    /// A fresh place; `name` (the test's) names its folder under `target/e2e`.
    pub fn new(name: &str) -> Self {
        program::plugboard(); // before phones start whose patience would run out while it builds
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let place = PLACES.fetch_add(1, Ordering::Relaxed);
        let folder = program::target_folder().join("e2e").join(format!("{name}-{}-{place}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target folder can be written");
        Self { name: name.to_owned(), folder }
    }

    /// The address that all servers and phones of this process share: the process id within 127.0.0.0/8, so that
    /// tests of other processes are out of the way. Connections to it come from 127.0.0.1 unless they are bound.
    pub fn ip(&self) -> IpAddr {
        let [_, a, b, c] = std::process::id().to_be_bytes();
        Ipv4Addr::new(127, 64 | (a & 63), b, c).into()
    }

    /// A port of this place that is free for UDP and TCP, and was not given out before.
    pub fn port(&self) -> SocketAddr {
        static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
        let mut given = GIVEN.lock().expect("nobody panics while holding it");
        for _ in 0..1000 {
            let udp = UdpSocket::bind((self.ip(), 0)).expect("loopback has a free port");
            let address = udp.local_addr().expect("it is bound");
            if TcpListener::bind(address).is_ok() && given.insert(address.port()) {
                return address;
            }
        }
        panic!("no free port on {}", self.ip());
    }

    /// A port of the IPv6 loopback that is free for UDP and TCP. There is one such address for all, so another process
    /// may be faster.
    pub fn port_of_ipv6() -> SocketAddr {
        loop {
            let udp = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("the loopback has an IPv6 address");
            let address = udp.local_addr().expect("it is bound");
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    }

    /// The folder; created, and empty at first.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of the folder and returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("the folder can be written");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: logs are kept in {}", self.name, self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// The last `lines` lines of a log, for the message of a failed test.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
