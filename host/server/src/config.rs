//! The configuration file: TOML, checked whole when the server starts. A key that is not known is refused, and every
//! problem is reported at once with its file, line and key ([`ConfigError`]).
//!
//! A reload ([`crate::reload`]) changes most of it under a running server. `state_dir`, `[engine]`, the addresses and
//! bounds of `[sip]`, `[journal] queue_max` and `[log] format` take a restart.
//!
//! Paths in the file are relative to the file. Everything but the tenants has a default:
//!
//! ```toml
//! state_dir = "plugboard-data"          # certificates, tokens, compiled components
//! drain_timeout_seconds = 30            # how long a shutdown waits for calls
//!
//! [http]
//! https = "0.0.0.0:6666"                # or "off"
//! certificate = "server.pem"            # with key = "server.key"; without them a self-signed pair is made
//! digest = "0.0.0.0:6667"               # or "off"
//! admin = "127.0.0.1:6668"
//! handshake_timeout_seconds = 10        # TLS handshake
//! header_timeout_seconds = 10           # from the first byte of a request to the end of its header
//! body_timeout_seconds = 30             # the whole body
//! idle_timeout_seconds = 120            # a connection on which nothing is asked
//! header_bytes_max = 32768              # one request's header
//! body_bytes_max = 65536                # one request's body; the admin listener takes larger components
//! connections_max = 1024                # of one listener; more wait until one closes
//!
//! [sip]
//! udp = "0.0.0.0:5060"                  # or several: ["0.0.0.0:5060", "[::]:5060"]; [] for none
//! tcp = "0.0.0.0:5060"                  # none by default; needed to call by TCP, too
//! tls = "0.0.0.0:5061"                  # the same for TLS
//! ws = "0.0.0.0:5080"                   # the same for WebSocket, for phones in browsers
//! wss = "0.0.0.0:5081"                  # the same for WebSocket over TLS
//! ws_origins = ["https://phone.example.com"]      # pages whose phones may connect; none by default, "*" for any
//! advertise = "203.0.113.7"             # what Via and Contact say instead of the socket's own address
//! advertise_at = { "0.0.0.0:5081" = "phone.example.com:443" }   # the same for single sockets, with a port or without
//! dns = ["192.0.2.53:53"]               # name servers to ask for SIP names; by default those of the system
//! certificate = "sip.pem"               # with key = "sip.key"; without them the self-signed pair of the state folder
//! ca = "peers.pem"                      # who vouches for peers that are called by TLS; by default those of the system
//! client_ca = "phones.pem"              # peers that connect by TLS must have a certificate of these
//! idle_timeout_seconds = 600            # a TCP or TLS connection on which nothing is said; WebSockets are pinged
//! connections_max = 4096                # that peers made, at once
//! connections_per_source_max = 256      # that peers made from one address
//! source_requests_per_second = 100      # from one address that belong to no call; as many as ten seconds' at once
//!
//! [engine]
//! event_deadline_ms = 50                # how long call logic may think about one event
//! memory_bytes = 16777216               # how much memory an instance of it may have
//!
//! [journal]                             # what is recorded of every event, for replays; a folder per tenant
//! bytes_max = 268435456                 # of one tenant; 0: no journal
//! keep_hours = 168                      # what is older is removed
//! queue_max = 4096                      # events that wait to be written; more are dropped and counted
//!
//! [log]
//! format = "text"                       # or "json"
//! level = "info"                        # error, warn, info, debug, trace
//!
//! [tenants."example.com"]
//! hosts = ["pbx.example.com"]           # HTTP Host names; the first tenant answers for any other
//! controller = "guests/mine.wasm"       # omitted: the built-in controller
//! watch = true                          # deploy the controller file whenever it changes on disk
//! wasi = true                           # its components may import WASI 0.2, as those of other languages do
//! outbound_proxy = "sip:127.0.0.1:5080;transport=udp"
//! session_expires_seconds = 1800        # a call whose phones refresh it no more ends (RFC 4028); 0: no such timer
//! trusted = ["10.0.0.0/8"]              # networks that need no PIN on the HTTPS listener
//! cors_origins = ["https://portal.example.com"]   # browser pages that may ask; none by default
//!
//! drain = { after_seconds = 3600, then = "end" }  # calls on a version that was replaced; see `plugboard deploy --help`;
//!                                       # then: "migrate", "migrate-or-end", "end", or "keep", the default
//!
//! [tenants."example.com".rollback]      # when the host steps back from a version by itself
//! faults_percent = 5                    # more calls than this fail, of the events below; 0: never
//! events_min = 200                      # events that are looked at together
//! watch_seconds = 600                   # how long a version is watched that was made live; a candidate always is
//!
//! [tenants."example.com".limits]
//! calls = 100000                        # the table in the README has them all
//! memory_bytes = 67108864               # in place of [engine] memory_bytes; by default at least this with wasi
//!
//! [tenants."example.com".settings]       # what its controller reads, whatever that knows; no secrets
//! phone_transfer = "allow"              # a text, a number, true or false; README.md lists those of the built-in one
//!
//! [tenants."example.com".users.alice]
//! pin = "123"                           # or pin_ha1 = { sha256 = "...", md5 = "..." } for no clear text
//! display_name = "Alice"
//! aliases = ["201"]
//! sip_password = "secret"               # answers 401 and 407; sip_user = if it differs
//! ```

mod changes;
mod error;
mod limits;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use changes::{Change, Holds, What};
pub use error::{ConfigError, Problem};

use crate::deploy::Drain;
use crate::secret::{Pin, SecretText};
use ipnet::IpNet;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::limits::Limits;
use plugboard_sip::uri::SipUri;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// Certificates, tokens, deployed and compiled components.
    pub state_dir: PathBuf,
    /// How long a shutdown waits for calls.
    pub drain_timeout: Duration,
    /// The HTTP listeners.
    pub http: HttpConfig,
    /// The SIP sockets.
    pub sip: SipConfig,
    /// What call logic may take.
    pub engine: EngineConfig,
    /// What is recorded of every event.
    pub journal: JournalConfig,
    /// The log.
    pub log: LogConfig,
    /// At least one, in the order of the file.
    pub tenants: Vec<TenantConfig>,
}

/// `[http]`
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The HTTPS listener; none when it is off.
    pub https: Option<SocketAddr>,
    /// Certificate chain and key as PEM files; none: a self-signed pair in `state_dir`.
    pub certificate: Option<CertificateFiles>,
    /// The HTTP listener that wants Digest; none when it is off.
    pub digest: Option<SocketAddr>,
    /// The admin listener.
    pub admin: SocketAddr,
    /// What clients may take.
    pub limits: HttpLimits,
}

/// A certificate that the operator brings along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM, the server's certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// What clients of one listener may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// For the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its header.
    pub header_timeout: Duration,
    /// For the body of a request.
    pub body_timeout: Duration,
    /// Without any request.
    pub idle_timeout: Duration,
    /// Largest header of a request, in bytes.
    pub header_bytes_max: usize,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Connections at once, in number.
    pub connections_max: usize,
}

/// `[sip]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipConfig {
    /// At least one address among all transports.
    pub udp: Vec<SocketAddr>,
    /// TCP.
    pub tcp: Vec<SocketAddr>,
    /// TLS.
    pub tls: Vec<SocketAddr>,
    /// WebSocket.
    pub ws: Vec<SocketAddr>,
    /// WebSocket over TLS.
    pub wss: Vec<SocketAddr>,
    /// Origins (RFC 6454) of pages that may connect by WebSocket; `*` for any.
    pub ws_origins: Vec<String>,
    /// What we show over TLS, as PEM files; none: the self-signed pair in `state_dir`.
    pub certificate: Option<CertificateFiles>,
    /// Who vouches for the peers that we connect to, as a PEM file; none: whom the system trusts.
    pub ca: Option<PathBuf>,
    /// Who vouches for the peers that connect to us; none: they need no certificate.
    pub client_ca: Option<PathBuf>,
    /// For a connection without anything said.
    pub idle_timeout: Duration,
    /// Connections that peers made, at once, in number.
    pub connections_max: usize,
    /// Connections that peers made from one address, at once, in number.
    pub connections_per_source_max: usize,
    /// Messages from one address that belong to no call, per second.
    pub source_requests_per_second: u32,
    /// Host name or address for Via and Contact.
    pub advertise: Option<String>,
    /// The same for single sockets, with a port or without.
    pub advertise_at: Vec<(SocketAddr, String)>,
    /// Name servers for SIP names; none: those of the system.
    pub dns: Vec<SocketAddr>,
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// How long one event may take.
    pub event_deadline: Duration,
    /// How much memory an instance of call logic may have, in bytes.
    pub memory_bytes: usize,
}

/// `[journal]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// What the files of one tenant may take, in bytes; 0: nothing is recorded.
    pub bytes_max: u64,
    /// How long they are kept.
    pub keep: Duration,
    /// Events that wait to be written, in number.
    pub queue_max: usize,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// The least urgent level that is written.
    pub level: tracing::Level,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[tenants."domain"]`
#[derive(Clone, Debug)]
pub struct TenantConfig {
    /// The SIP domain, in lower case.
    pub domain: String,
    /// HTTP Host names, in lower case.
    pub hosts: Vec<String>,
    /// The component to run until another is deployed; none: the built-in one.
    pub controller: Option<PathBuf>,
    /// Whether that file is deployed when it changes; there is one then.
    pub watch: bool,
    /// Whether its components may import WASI 0.2.
    pub wasi: bool,
    /// How much memory an instance of its call logic may have, in bytes; none: as `[engine]` says, or what an
    /// interpreter needs where `wasi` is set.
    pub memory_bytes: Option<usize>,
    /// How long one event may take; none: as `[engine]` says.
    pub event_deadline: Option<Duration>,
    /// Largest body of a request, in bytes; none: as `[http]` says.
    pub body_bytes_max: Option<usize>,
    /// Where requests outside a dialog go.
    pub outbound_proxy: Option<SipUri>,
    /// The session interval that calls ask for, in seconds; 0: none.
    pub session_expires_seconds: u32,
    /// Networks that need no PIN on the HTTPS listener.
    pub trusted: Vec<IpNet>,
    /// Origins (RFC 6454) whose pages may ask.
    pub cors_origins: Vec<String>,
    /// When the host steps back from a version by itself.
    pub rollback: RollbackConfig,
    /// What becomes of the calls of a version that was replaced; none: they keep it.
    pub drain: Option<Drain>,
    /// The bounds of its calls.
    pub limits: Limits,
    /// What its call logic is told.
    pub settings: GuestSettings,
    /// Its users, in the order of the file.
    pub users: Vec<UserConfig>,
}

/// `[tenants."domain".rollback]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollbackConfig {
    /// Calls that may fail within `events_min` events, in per cent of those; 0: any.
    pub faults_percent: u8,
    /// Events that are looked at together, in number.
    pub events_min: u32,
    /// How long a version is watched that was made live.
    pub watch: Duration,
}

/// `[tenants."domain".users.name]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// The user part of the address; case matters (RFC 3261 §19.1.4).
    pub name: String,
    /// Without one the user can never log in.
    pub pin: Option<Pin>,
    /// Goes into From.
    pub display_name: Option<String>,
    /// Other names of the same user, such as a number.
    pub aliases: Vec<String>,
    /// The username for SIP challenges where it is not the user's name.
    pub sip_user: Option<String>,
    /// Answers SIP challenges.
    pub sip_password: Option<SecretText>,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, or with everything that is wrong with it. The operator's to correct.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => format!(
                    "there is no such file; name one with --config, or write one that holds at least:\n\n{SMALLEST}"
                ),
                _ => format!("cannot be read: {error}"),
            };
            ConfigError::whole(file.to_owned(), message)
        })?;
        Self::parse(file, &text)
    }

    /// Checks the text of a file. Relative paths in it start at the file's folder.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        read::config(file, text)
    }
}

/// The smallest useful file, for whoever has none yet.
const SMALLEST: &str = r#"[tenants."example.com"]
outbound_proxy = "sip:127.0.0.1:5080"

[tenants."example.com".users.alice]
pin = "123"
sip_password = "secret"
"#;
