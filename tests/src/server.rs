//! The real `plugboard serve`, with a generated configuration.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::http::{Answer, Connection};
use crate::place::{Place, tail};
use crate::program::{Running, plugboard};
use crate::status::{Line, lines, summary};
use crate::wait::{SOON, until};

/// A tenant of the generated configuration.
#[derive(Clone, Debug, Default)]
pub struct Domain {
    name: String,
    settings: String,
    users: String,
}

impl Domain {
    /// A tenant that trusts what comes from 127.0.0.1 (every connection of the tests that is not bound otherwise).
    pub fn new(name: &str) -> Self {
        let settings = "trusted = [\"127.0.0.1/32\"]\n".to_owned();
        Self { name: name.to_owned(), settings, users: String::new() }
    }

    /// The tenant of most tests: `example.test` with the users alice (201), bob, carol and an operator.
    pub fn example() -> Self {
        Self::new("example.test")
            .user(
                "alice",
                "pin = \"123\"\naliases = [\"201\"]\ndisplay_name = \"Alice\"\nsip_password = \"wonderland\"",
            )
            .user("bob", "pin = \"456\"\nsip_password = \"builder\"")
            .user("carol", "pin = \"789\"\nsip_password = \"singer\"")
            .user("operator", "pin = \"1000\"\ndisplay_name = \"The Operator\"\nsip_password = \"exchange\"")
    }

    /// Takes the trust away: everyone has to log in.
    pub fn distrust(mut self) -> Self {
        self.settings = self.settings.lines().filter(|line| !line.starts_with("trusted")).fold(
            String::new(),
            |mut settings, line| {
                let _ = writeln!(settings, "{line}");
                settings
            },
        );
        self
    }

    /// Adds a line of TOML to the tenant's table.
    pub fn set(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let _ = writeln!(self.settings, "{key} = {}", value.as_ref());
        self
    }

    /// Sends all its SIP through this proxy.
    pub fn proxy(self, address: SocketAddr) -> Self {
        self.set("outbound_proxy", format!("\"sip:{address};transport=udp;lr\""))
    }

    /// Runs this component instead of the built-in controller.
    pub fn controller(self, path: &Path) -> Self {
        self.set("controller", format!("{:?}", path.display().to_string()))
    }

    /// Adds a user; `settings` is the body of its table.
    pub fn user(mut self, name: &str, settings: &str) -> Self {
        let _ = writeln!(self.users, "\n[tenants.{:?}.users.{name:?}]\n{settings}", self.name);
        self
    }
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub struct Server {
    running: Running,
    config: PathBuf,
    log: PathBuf,
    /// HTTPS listener.
    pub https: SocketAddr,
    /// HTTP listener with Digest.
    pub digest: SocketAddr,
    /// Admin listener.
    pub admin: SocketAddr,
    /// SIP, by UDP unless it was started otherwise.
    pub sip: SocketAddr,
    transport: &'static str,
}

impl Server {
    /// A server with these tenants, once it says it is ready.
    pub fn start(place: &Place, domains: &[Domain]) -> Self {
        Self::start_with(place, domains, "")
    }

    /// As [`Self::start`], with `extra` keys of `[sip]` and tables of TOML.
    pub fn start_with(place: &Place, domains: &[Domain], extra: &str) -> Self {
        Self::start_by(place, "udp", domains, extra)
    }

    /// As [`Self::start_with`], with SIP by this transport alone.
    pub fn start_by(place: &Place, transport: &'static str, domains: &[Domain], extra: &str) -> Self {
        let addresses = [place.port(), place.port(), place.port(), place.port()];
        Self::run(place, addresses, transport, configuration(addresses, transport, domains, extra))
    }

    /// As [`Self::start_with`], with SIP by UDP at these addresses, of which there is at least one.
    pub fn start_at(place: &Place, domains: &[Domain], udp: &[SocketAddr], extra: &str) -> Self {
        let addresses = [place.port(), place.port(), place.port(), udp[0]];
        let all: Vec<String> = udp.iter().map(ToString::to_string).collect();
        let text = configuration(addresses, "udp", domains, extra);
        let text = text.replace(&format!("udp = \"{}\"", udp[0]), &format!("udp = {all:?}"));
        Self::run(place, addresses, "udp", text)
    }

    fn run(place: &Place, [https, digest, admin, sip]: [SocketAddr; 4], transport: &'static str, text: String) -> Self {
        let config = place.write(&format!("plugboard-{}.toml", sip.port()), text);
        let log = place.folder().join(format!("server-{}.log", sip.port()));
        let mut command = Command::new(plugboard());
        command.arg("serve").arg("--config").arg(&config).env("RUST_LOG", "info,plugboard=debug");
        let running = Running::start(command, &log);
        let mut server = Self { running, config, log, https, digest, admin, sip, transport };
        server.await_readiness();
        server
    }

    /// Writes another configuration in the place of the one that it was started with: the same addresses, these
    /// tenants, and `extra` as in [`Self::start_with`].
    pub fn reconfigure(&self, domains: &[Domain], extra: &str) {
        let addresses = [self.https, self.digest, self.admin, self.sip];
        self.write(&configuration(addresses, self.transport, domains, extra));
    }

    /// Writes this text in the place of the configuration.
    pub fn write(&self, configuration: &str) {
        fs::write(&self.config, configuration).expect("the folder can be written");
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    fn await_readiness(&mut self) {
        until("the server to be ready", Duration::from_secs(30), || {
            if let Some(code) = self.running.ended() {
                panic!("plugboard serve ended with code {code}:\n{}", tail(&self.log, 40));
            }
            let answer = Connection::http(self.admin).and_then(|mut admin| admin.send("GET", "/readyz", &[], &[]));
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        });
    }

    /// Asks the HTTPS listener from a trusted address, on a connection of its own.
    pub fn send(&self, method: &str, path: &str) -> Answer {
        Connection::https(self.https)
            .and_then(|mut connection| connection.send(method, path, &[("Connection", "close")], &[]))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// POSTs to `path` and expects success.
    pub fn place_call(&self, path: &str) {
        let answer = self.send("POST", path);
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "POST {path}");
    }

    /// Hangs up by DELETE and expects success.
    pub fn hang_up(&self, path: &str) {
        let answer = self.send("DELETE", path);
        assert_eq!(answer.status, 200, "DELETE {path}: {}", answer.text());
    }

    /// The status document of a REFER call.
    pub fn lines(&self, path: &str) -> Vec<Line> {
        let answer = self.send("GET", path);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        assert!(answer.header("content-type").is_some_and(|value| value.starts_with("text/xml")), "{answer:?}");
        lines(&answer.text())
    }

    /// The status of a call as JSON.
    pub fn json(&self, path: &str) -> serde_json::Value {
        let answer = Connection::https(self.https)
            .and_then(|mut connection| {
                connection.send("GET", path, &[("Accept", "application/json"), ("Connection", "close")], &[])
            })
            .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// Waits until the status lines of a REFER call are these (`METHOD status line`).
    pub fn await_lines(&self, path: &str, expected: &[&str]) {
        let deadline = std::time::Instant::now() + SOON;
        loop {
            let seen = summary(&self.lines(path));
            if seen == expected {
                return;
            }
            if std::time::Instant::now() > deadline {
                assert_eq!(seen, expected, "status of {path}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the JSON status of a call satisfies `condition`, and returns it.
    pub fn await_json(
        &self,
        path: &str,
        what: &str,
        condition: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let mut last = serde_json::Value::Null;
        let deadline = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < deadline {
            last = self.json(path);
            if condition(&last) {
                return last;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("waited in vain for {what}; {path} is {last:#}");
    }

    /// Waits for the terminal status of a call: its SIP code and who ended it.
    pub fn await_outcome(&self, path: &str) -> (u64, String) {
        let json = self.await_json(path, "an outcome", |json| json["outcome"].is_object());
        let outcome = &json["outcome"];
        (outcome["code"].as_u64().unwrap_or(0), outcome["ended_by"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until nothing is left of any leg of a call, and returns its status.
    pub fn await_end(&self, path: &str) -> serde_json::Value {
        self.await_json(path, "the end of every leg", |json| {
            let legs = json["legs"].as_array().map(Vec::as_slice).unwrap_or_default();
            !legs.is_empty() && legs.iter().all(|leg| leg["state"] == "over" && leg["outcome"].is_object())
        })
    }

    /// Asks the admin listener with its token.
    pub fn admin(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let token = format!("Bearer {}", self.admin_token());
        Connection::http(self.admin)
            .and_then(|mut admin| admin.send(method, path, &[("Authorization", &token)], body))
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// The token of the admin listener.
    pub fn admin_token(&self) -> String {
        let path = self.config.with_file_name(format!("state-{}", self.sip.port())).join("admin-token");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// Runs `plugboard` with these arguments against this server.
    pub fn plugboard(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(plugboard())
            .args(arguments)
            .env("PLUGBOARD_CONFIG", &self.config)
            .output()
            .expect("plugboard runs");
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A value of `/metrics`, summed over its labels; 0 when it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = self.admin("GET", "/metrics", &[]);
        let text = answer.text();
        let values =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- last lines of the server's log\n{}", tail(&self.log, 60));
        }
    }
}

/// A configuration with listeners for HTTPS, Digest and admin, and a SIP socket.
fn configuration(
    [https, digest, admin, sip]: [SocketAddr; 4],
    transport: &str,
    domains: &[Domain],
    extra: &str,
) -> String {
    let udp = if transport == "udp" { String::new() } else { "udp = []\n".to_owned() };
    let mut text = format!(
        "state_dir = \"state-{}\"\ndrain_timeout_seconds = 2\n\n[http]\nhttps = \"{https}\"\ndigest = \"{digest}\"\nadmin = \"{admin}\"\n\n[sip]\n{udp}{transport} = \"{sip}\"\n{extra}\n",
        sip.port()
    );
    for domain in domains {
        let _ = writeln!(text, "[tenants.{:?}]\n{}{}", domain.name, domain.settings, domain.users);
    }
    text
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    /// Its output, once it is certain that it succeeded.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }
}
