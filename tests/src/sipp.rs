//! Phones played by sipp, one scenario of `tests/sipp` each.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::place::{Place, tail};
use crate::program::{Running, peer};
use crate::wait::{SOON, until};

/// A phone that is about to be started.
#[derive(Debug)]
pub struct Scenario<'a> {
    place: &'a Place,
    name: String,
    address: SocketAddr,
    calls: u32,
    tcp: bool,
    arguments: Vec<String>,
}

/// A phone that runs its scenario once. Dropped before [`Phone::finish`], it is ended without a check.
#[derive(Debug)]
pub struct Phone {
    name: String,
    address: SocketAddr,
    running: Running,
    errors: PathBuf,
    messages: PathBuf,
    screen: PathBuf,
}

impl Place {
    /// A phone that will play `tests/sipp/{name}.xml` on a port of its own.
    pub fn phone(&self, name: &str) -> Scenario<'_> {
        Scenario {
            place: self,
            name: name.to_owned(),
            address: self.port(),
            calls: 1,
            tcp: false,
            arguments: Vec::new(),
        }
    }
}

impl Scenario<'_> {
    /// Plays on this address instead.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Plays it for this many calls, one after another or at once, instead of one.
    pub fn calls(mut self, calls: u32) -> Self {
        self.calls = calls;
        self
    }

    /// Gives the keyword `[name]` of the scenario a value.
    pub fn key(mut self, name: &str, value: impl ToString) -> Self {
        self.arguments.extend(["-key".to_owned(), name.to_owned(), value.to_string()]);
        self
    }

    /// Answers challenges as this user.
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.arguments.extend(["-au", user, "-ap", password].map(str::to_owned));
        self
    }

    /// Speaks TCP.
    pub fn by_tcp(mut self) -> Self {
        self.tcp = true;
        self.arguments.extend(["-t", "t1"].map(str::to_owned));
        self
    }

    /// Switches off sipp's own handling of retransmissions, so that the scenario sees every datagram.
    pub fn raw(mut self) -> Self {
        self.arguments.push("-nr".to_owned());
        self
    }

    /// Calls `remote` itself (a scenario that begins with a message to send) instead of waiting to be called.
    pub fn toward(mut self, remote: SocketAddr) -> Self {
        self.arguments.push(remote.to_string());
        self
    }

    /// Starts it and waits until its port is open.
    pub fn start(self) -> Phone {
        let file = |kind: &str| self.place.folder().join(format!("{}-{}.{kind}", self.name, self.address.port()));
        let (errors, messages, screen) = (file("errors"), file("messages"), file("screen"));
        let mut command = peer("sipp", "sip-tester");
        command.current_dir(self.place.folder()).env("TERM", "dumb");
        command.arg("-sf").arg(scenario_folder().join(format!("{}.xml", self.name)));
        command.args(["-i", &self.address.ip().to_string(), "-p", &self.address.port().to_string(), "-bind_local"]);
        command.args([
            "-m",
            &self.calls.to_string(),
            "-nostdin",
            "-default_behaviors",
            "abortunexp,pingreply",
            "-timeout",
            "90",
            "-timeout_error",
        ]);
        command.args(["-trace_err", "-trace_msg", "-error_file"]).arg(&errors).arg("-message_file").arg(&messages);
        command.args(&self.arguments);
        let mut running = Running::start(command, &screen);
        until(&format!("{} to open its port", self.name), SOON, || {
            let ended = running.ended();
            let is_open = if self.tcp { tcp_port_is_open(self.address) } else { udp_port_is_open(self.address) };
            (ended.is_some() || is_open).then_some(())
        });
        Phone { name: self.name, address: self.address, running, errors, messages, screen }
    }
}

impl Phone {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A SIP user at this phone, `user@ip:port`, percent-encoded enough for a path.
    pub fn user(&self, name: &str) -> String {
        format!("{name}@{}", self.address)
    }

    /// Everything it sent and received, as sipp logged it.
    pub fn messages(&self) -> String {
        fs::read(&self.messages).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until a message it sent or received has `text` in it.
    pub fn saw(&self, text: &str) {
        self.saw_within(text, SOON);
    }

    /// The same, for what takes its time.
    pub fn saw_within(&self, text: &str, limit: Duration) {
        until(&format!("{text:?} at {}", self.name), limit, || self.messages().contains(text).then_some(()));
    }

    /// The dialog of its call with Plugboard, as a Replaces that is sent to Plugboard names it (RFC 3891 §6.1).
    ///
    /// # Panics
    /// When it has not been called, or has not answered.
    pub fn replaces(&self) -> String {
        let messages = self.messages();
        let after = |mark: &str| {
            let found = messages.split_once(mark).and_then(|(_, rest)| rest.split([';', '\r', '\n']).next());
            found.unwrap_or_else(|| panic!("no {mark:?} at {}:\n{messages}", self.name)).trim().to_owned()
        };
        let from = after("\nFrom: ");
        let ours = after(&format!("{from};tag="));
        let theirs = format!("phone-{}", after(";tag=phone-"));
        format!("{};to-tag={ours};from-tag={theirs}", after("\nCall-ID: "))
    }

    /// Waits for the end of the scenario.
    ///
    /// # Panics
    /// When it does not come soon, or when what reached the phone was not what the scenario expects.
    pub fn finish(self) {
        self.finish_within(Duration::from_secs(20));
    }

    /// As [`Self::finish`], for the scenarios that take their time.
    pub fn finish_within(mut self, limit: Duration) {
        let deadline = std::time::Instant::now() + limit;
        let code = loop {
            match self.running.ended() {
                Some(code) => break Some(code),
                None if std::time::Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(15)),
            }
        };
        if code == Some(0) {
            return;
        }
        let how =
            code.map_or_else(|| format!("did not end within {limit:?}"), |code| format!("failed with code {code}"));
        panic!(
            "{} at {} {how}\n--- errors\n{}\n--- messages\n{}\n--- screen\n{}",
            self.name,
            self.address,
            tail(&self.errors, 60),
            tail(&self.messages, 200),
            tail(&self.screen, 25),
        );
    }
}

fn scenario_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sipp")
}

/// Whether some socket is bound to this UDP address, without touching it.
pub fn udp_port_is_open(address: SocketAddr) -> bool {
    is_in_table(address, "/proc/net/udp")
}

/// Whether some socket listens at this TCP address, without touching it.
pub fn tcp_port_is_open(address: SocketAddr) -> bool {
    is_in_table(address, "/proc/net/tcp")
}

fn is_in_table(address: SocketAddr, table: &str) -> bool {
    let SocketAddr::V4(address) = address else { return false };
    let ip = u32::from_ne_bytes(address.ip().octets());
    let wanted = format!("{ip:08X}:{:04X}", address.port());
    fs::read_to_string(table).unwrap_or_default().lines().any(|line| line.split_whitespace().nth(1) == Some(&wanted))
}
