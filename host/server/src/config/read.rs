//! The sections of the file, one function each.

use super::error::ConfigError;
use super::limits;
use super::table::{Problems, Table, Value};
use super::*;
use crate::deploy::Then;
use crate::switch::is_advertisable;
use plugboard_calls::tenant::SESSION_EXPIRES_SECONDS;
use plugboard_sip::flood::SourceLimit;
use plugboard_sip::text::Text;
use std::collections::HashMap;
use toml::de::DeTable;

/// Longest name of a user, host or domain, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest time that can be configured, in seconds.
const SECONDS_MAX: u64 = 3_600;
/// Longest time that a version may be watched or drain, in seconds.
const WEEK_SECONDS: u64 = 604_800;

/// The whole file.
pub(super) fn config(file: &Path, text: &str) -> Result<Config, ConfigError> {
    let problems = Problems::new(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // The message alone: printed whole, the error would show the line, which may hold a secret.
        problems.add(error.span().map_or(0, |span| span.start), "", format!("not TOML: {}", error.message()));
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let config =
        if errors.is_empty() { Some(whole(file, folder, Table::root(root.get_ref(), &problems))) } else { None };
    let problems = problems.into_sorted();
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => Err(ConfigError { file: file.to_owned(), problems }),
    }
}

fn whole(file: &Path, folder: &Path, mut root: Table<'_>) -> Config {
    let path = |text: &str| Some(folder.join(text));
    let state_dir = root.text("state_dir", "write a folder: state_dir = \"plugboard-data\"", path);
    let drain_timeout = seconds(&mut root, "drain_timeout_seconds", 30);
    let http = http(root.table("http"), folder);
    let sip = sip(root.table("sip"), folder);
    let engine = engine(root.table("engine"));
    let journal = journal(root.table("journal"));
    let log = log(root.table("log"));
    let tenants = tenants(&mut root, folder);
    root.finish();
    let state_dir = state_dir.unwrap_or_else(|| folder.join("plugboard-data"));
    Config { file: file.to_owned(), state_dir, drain_timeout, http, sip, engine, journal, log, tenants }
}

fn http(table: Option<Table<'_>>, folder: &Path) -> HttpConfig {
    let mut http = HttpLimits::default();
    let (https, digest, admin) = (local("0.0.0.0", 6666), local("0.0.0.0", 6667), local("127.0.0.1", 6668));
    let Some(mut table) = table else {
        return HttpConfig { https: Some(https), certificate: None, digest: Some(digest), admin, limits: http };
    };
    let listener = |text: &str| match text {
        "off" => Some(None),
        address => address.parse().ok().map(Some),
    };
    let https = table.text("https", "write https = \"0.0.0.0:6666\", or \"off\"", listener).unwrap_or(Some(https));
    let digest = table.text("digest", "write digest = \"0.0.0.0:6667\", or \"off\"", listener).unwrap_or(Some(digest));
    let admin = table.text("admin", "write admin = \"127.0.0.1:6668\"", |text| text.parse().ok()).unwrap_or(admin);
    let certificate = certificate(&mut table, folder);
    let standard = HttpLimits::default();
    http.handshake_timeout = seconds(&mut table, "handshake_timeout_seconds", standard.handshake_timeout.as_secs());
    http.header_timeout = seconds(&mut table, "header_timeout_seconds", standard.header_timeout.as_secs());
    http.body_timeout = seconds(&mut table, "body_timeout_seconds", standard.body_timeout.as_secs());
    http.idle_timeout = seconds(&mut table, "idle_timeout_seconds", standard.idle_timeout.as_secs());
    number(&mut table, "header_bytes_max", 8_192..=1_048_576, &mut http.header_bytes_max);
    number(&mut table, "body_bytes_max", limits::BODY_BYTES, &mut http.body_bytes_max);
    number(&mut table, "connections_max", 1..=1_000_000, &mut http.connections_max);
    table.finish();
    HttpConfig { https, certificate, digest, admin, limits: http }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            header_bytes_max: 32 * 1024,
            body_bytes_max: 64 * 1024,
            connections_max: 1024,
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { bytes_max: 256 * 1024 * 1024, keep: Duration::from_secs(7 * 24 * 3_600), queue_max: 4_096 }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { event_deadline: Duration::from_millis(50), memory_bytes: 16 * 1024 * 1024 }
    }
}

impl Default for SipConfig {
    fn default() -> Self {
        Self {
            udp: vec![local("0.0.0.0", 5060)],
            tcp: Vec::new(),
            tls: Vec::new(),
            ws: Vec::new(),
            wss: Vec::new(),
            ws_origins: Vec::new(),
            certificate: None,
            ca: None,
            client_ca: None,
            idle_timeout: Duration::from_secs(600),
            connections_max: plugboard_sip::connections::ACCEPTED_MAX,
            connections_per_source_max: plugboard_sip::connections::PER_SOURCE_MAX,
            source_requests_per_second: SourceLimit::default().0,
            advertise: None,
            advertise_at: Vec::new(),
            dns: Vec::new(),
        }
    }
}

fn sip(table: Option<Table<'_>>, folder: &Path) -> SipConfig {
    let mut sip = SipConfig::default();
    let Some(mut table) = table else { return sip };
    let path = |text: &str| Some(folder.join(text));
    let address = |text: &str| text.parse().ok();
    let udp = table.texts("udp", "write an address and port: udp = \"0.0.0.0:5060\"", address);
    let tcp = table.texts("tcp", "write an address and port: tcp = \"0.0.0.0:5060\"", address);
    let tls = table.texts("tls", "write an address and port: tls = \"0.0.0.0:5061\"", address);
    let ws = table.texts("ws", "write an address and port: ws = \"0.0.0.0:5080\"", address);
    let wss = table.texts("wss", "write an address and port: wss = \"0.0.0.0:5081\"", address);
    let has_udp = udp.as_ref().is_none_or(|udp| !udp.is_empty());
    sip.udp = udp.unwrap_or(sip.udp);
    sip.tcp = tcp.unwrap_or_default();
    sip.tls = tls.unwrap_or_default();
    sip.ws = ws.unwrap_or_default();
    sip.wss = wss.unwrap_or_default();
    let others = [&sip.tcp, &sip.tls, &sip.ws, &sip.wss];
    if !has_udp && others.iter().all(|addresses| addresses.is_empty()) {
        table.wrong("`udp` needs at least one address where there is none for `tcp`, `tls`, `ws` and `wss`");
    }
    let wanted = "write origins as browsers send them, or \"*\": ws_origins = [\"https://phone.example.com\"]";
    let origin = |text: &str| (text == "*" || is_origin(text)).then(|| text.to_owned());
    sip.ws_origins = table.texts("ws_origins", wanted, origin).unwrap_or_default();
    let wanted = "write the host name or address that phones can reach: advertise = \"203.0.113.7\"";
    sip.advertise = table.text("advertise", wanted, |text| is_host(text).then(|| text.to_owned()));
    if let Some(own) = table.table("advertise_at") {
        sip.advertise_at = advertise_at(own, &sip);
    }
    let dns = table.texts("dns", "write addresses and ports of name servers: dns = [\"192.0.2.53:53\"]", address);
    sip.dns = dns.unwrap_or_default();
    sip.certificate = certificate(&mut table, folder);
    sip.ca = table.text("ca", "write the name of a PEM file: ca = \"peers.pem\"", path);
    sip.client_ca = table.text("client_ca", "write the name of a PEM file: client_ca = \"phones.pem\"", path);
    let of_tls = sip.certificate.is_some() || sip.ca.is_some() || sip.client_ca.is_some();
    if of_tls && sip.tls.is_empty() && sip.wss.is_empty() {
        table.wrong("certificates are for TLS: write tls = \"0.0.0.0:5061\", or wss, or leave them out");
    }
    sip.idle_timeout = seconds(&mut table, "idle_timeout_seconds", sip.idle_timeout.as_secs());
    number(&mut table, "connections_max", 1..=1_000_000, &mut sip.connections_max);
    number(&mut table, "connections_per_source_max", 1..=1_000_000, &mut sip.connections_per_source_max);
    number(&mut table, "source_requests_per_second", 1..=1_000_000, &mut sip.source_requests_per_second);
    table.finish();
    sip
}

/// What single sockets say in place of their address.
fn advertise_at(table: Table<'_>, sip: &SipConfig) -> Vec<(SocketAddr, String)> {
    let sockets = [&sip.udp, &sip.tcp, &sip.tls, &sip.ws, &sip.wss];
    let read = |(socket, said): (&str, Value<'_>)| {
        let address: Option<SocketAddr> = socket.parse().ok();
        let Some(address) = address.filter(|address| sockets.iter().any(|addresses| addresses.contains(address)))
        else {
            said.wrong("there is no such socket: name one as it stands in `udp`, `tcp`, `tls`, `ws` or `wss`");
            return None;
        };
        let wanted = "write a host name or address, with a port or without: \"phone.example.com:443\"";
        said.text(wanted, |text| is_advertisable(text).then(|| (address, text.to_owned())))
    };
    table.named().into_iter().filter_map(read).collect()
}

/// `certificate` and `key`.
fn certificate(table: &mut Table<'_>, folder: &Path) -> Option<CertificateFiles> {
    let path = |text: &str| Some(folder.join(text));
    let certificate = table.text("certificate", "write the name of a PEM file: certificate = \"server.pem\"", path);
    let key = table.text("key", "write the name of a PEM file: key = \"server.key\"", path);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        _ => {
            table.wrong("`certificate` and `key` go together: write both, or neither for a self-signed pair");
            None
        }
    }
}

fn engine(table: Option<Table<'_>>) -> EngineConfig {
    let mut engine = EngineConfig::default();
    let Some(mut table) = table else { return engine };
    if let Some(ms) = table.number("event_deadline_ms", limits::DEADLINE_MS) {
        engine.event_deadline = Duration::from_millis(ms);
    }
    number(&mut table, "memory_bytes", limits::MEMORY_BYTES, &mut engine.memory_bytes);
    table.finish();
    engine
}

fn journal(table: Option<Table<'_>>) -> JournalConfig {
    let mut journal = JournalConfig::default();
    let Some(mut table) = table else { return journal };
    number(&mut table, "bytes_max", 0..=1_099_511_627_776, &mut journal.bytes_max);
    if let Some(hours) = table.number("keep_hours", 1..=87_600) {
        journal.keep = Duration::from_secs(hours * 3_600);
    }
    number(&mut table, "queue_max", 1..=1_000_000, &mut journal.queue_max);
    table.finish();
    journal
}

fn log(table: Option<Table<'_>>) -> LogConfig {
    let mut log = LogConfig { format: LogFormat::Text, level: tracing::Level::INFO };
    let Some(mut table) = table else { return log };
    let format = |text: &str| match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    if let Some(format) = table.text("format", "write \"text\" or \"json\"", format) {
        log.format = format;
    }
    let wanted = "write \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
    if let Some(level) = table.text("level", wanted, |text| text.parse().ok()) {
        log.level = level;
    }
    table.finish();
    log
}

fn tenants(root: &mut Table<'_>, folder: &Path) -> Vec<TenantConfig> {
    let Some(table) = root.table("tenants") else {
        root.wrong("a tenant is missing: write [tenants.\"example.com\"] with the name of your SIP domain");
        return Vec::new();
    };
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut found = Vec::new();
    let named = table.named();
    if named.is_empty() {
        root.wrong("a tenant is missing: write [tenants.\"example.com\"] with the name of your SIP domain");
    }
    for (name, value) in named {
        let Some(domain) = Some(name.to_ascii_lowercase()).filter(|name| is_host(name)) else {
            value.wrong("a tenant is named by its SIP domain: write [tenants.\"example.com\"]");
            continue;
        };
        if found.iter().any(|tenant: &TenantConfig| tenant.domain == domain) {
            value.wrong(&format!("the domain `{domain}` is a tenant already: the case of letters makes no difference"));
            continue;
        }
        let Some(tenant) = tenant(domain, &value, folder) else { continue };
        for host in tenant.hosts.iter().chain([&tenant.domain]) {
            let owner = owners.entry(host.clone()).or_insert_with(|| tenant.domain.clone());
            if *owner != tenant.domain {
                value.wrong(&format!(
                    "the host `{host}` belongs to the tenant `{owner}` already: name it in one of them"
                ));
            }
        }
        found.push(tenant);
    }
    found
}

fn tenant(domain: String, value: &Value<'_>, folder: &Path) -> Option<TenantConfig> {
    let mut table = value.table("write a table: [tenants.\"example.com\"]")?;
    let host = |text: &str| is_host(text).then(|| text.to_ascii_lowercase());
    let proxy = |text: &str| SipUri::parse(&Text::from(text)).ok();
    let network = |text: &str| text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    let hosts = table.texts("hosts", "write host names without port: hosts = [\"pbx.example.com\"]", host);
    let controller = table.text("controller", "write the name of a component: controller = \"mine.wasm\"", |text| {
        Some(folder.join(text))
    });
    let watch = table.flag("watch").unwrap_or(false);
    if watch && controller.is_none() {
        table.wrong("`watch` is for a `controller`: name its file, or leave `watch` out");
    }
    let wasi = table.flag("wasi").unwrap_or(false);
    let outbound_proxy =
        table.text("outbound_proxy", "write a SIP URI: outbound_proxy = \"sip:127.0.0.1:5080\"", proxy);
    let session_expires_seconds = session_expires(&mut table);
    let trusted = table.texts("trusted", "write networks: trusted = [\"10.0.0.0/8\", \"::1\"]", network);
    let wanted = "write origins as browsers send them: cors_origins = [\"https://portal.example.com\"]";
    let cors_origins = table.texts("cors_origins", wanted, |text| is_origin(text).then(|| text.to_owned()));
    let mut tenant = TenantConfig {
        domain,
        hosts: hosts.unwrap_or_default(),
        controller,
        watch,
        wasi,
        memory_bytes: None,
        event_deadline: None,
        body_bytes_max: None,
        outbound_proxy,
        session_expires_seconds,
        trusted: trusted.unwrap_or_default(),
        cors_origins: cors_origins.unwrap_or_default(),
        rollback: table.table("rollback").map_or_else(RollbackConfig::default, rollback),
        drain: table.table("drain").and_then(drain),
        limits: Limits::default(),
        settings: GuestSettings::default(),
        users: Vec::new(),
    };
    if let Some(table) = table.table("limits") {
        limits::read(table, &mut tenant);
    }
    if let Some(table) = table.table("settings") {
        settings(table, &mut tenant.settings);
    }
    if let Some(users) = table.table("users") {
        tenant.users = read_users(users);
    }
    table.finish();
    Some(tenant)
}

/// The session interval (RFC 4028 §4: none is smaller than 90 s).
fn session_expires(table: &mut Table<'_>) -> u32 {
    const KEY: &str = "session_expires_seconds";
    let seconds = table.number(KEY, 0..=86_400);
    let too_small = seconds.is_some_and(|seconds| (1..90).contains(&seconds));
    if let Some(value) = table.get(KEY).filter(|_| too_small) {
        value.wrong("write 90 or more, or 0 for no session timer");
    }
    seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(SESSION_EXPIRES_SECONDS)
}

fn settings(table: Table<'_>, settings: &mut GuestSettings) {
    for (name, value) in table.named() {
        match value.plain() {
            None => value.wrong("a setting is a text, a number, true or false"),
            Some(text) => {
                if let Err(error) = settings.insert(name, text) {
                    value.wrong(&error.to_string());
                }
            }
        }
    }
}

impl Default for RollbackConfig {
    fn default() -> Self {
        Self { faults_percent: 5, events_min: 200, watch: Duration::from_secs(600) }
    }
}

fn rollback(mut table: Table<'_>) -> RollbackConfig {
    let mut rollback = RollbackConfig::default();
    number(&mut table, "faults_percent", 0..=99, &mut rollback.faults_percent);
    number(&mut table, "events_min", 1..=100_000, &mut rollback.events_min);
    if let Some(seconds) = table.number("watch_seconds", 1..=WEEK_SECONDS) {
        rollback.watch = Duration::from_secs(seconds);
    }
    table.finish();
    rollback
}

/// None when it says `keep`, which is what happens without it, or is wrong.
fn drain(mut table: Table<'_>) -> Option<Drain> {
    let then = table.text("then", &format!("write {}", Then::WORDS), Then::parse);
    let after = table.number("after_seconds", 0..=WEEK_SECONDS);
    if (then.is_none() || after.is_none()) && then != Some(Then::Keep) {
        table.wrong("`after_seconds` and `then` go together: drain = { after_seconds = 3600, then = \"end\" }");
    }
    table.finish();
    Some(Drain { after: Duration::from_secs(after?), then: then? }).filter(|drain| drain.then != Then::Keep)
}

fn read_users(table: Table<'_>) -> Vec<UserConfig> {
    let mut owners: HashMap<String, String> = HashMap::new();
    let mut users = Vec::new();
    for (name, value) in table.named() {
        if !is_user(name) {
            value.wrong(
                "a user is named by letters, digits and -_.!~*'()&=+$,: write the part before the @ of the address",
            );
            continue;
        }
        let Some(user) = read_user(name, &value) else { continue };
        for name in user.aliases.iter().chain([&user.name]) {
            let owner = owners.entry(name.clone()).or_insert_with(|| user.name.clone());
            if *owner != user.name {
                value.wrong(&format!("`{name}` is a name of `{owner}` already: give each name to one user"));
            }
        }
        users.push(user);
    }
    users
}

fn read_user(name: &str, value: &Value<'_>) -> Option<UserConfig> {
    let mut table = value.table("write a table: [tenants.\"example.com\".users.alice]")?;
    let secret = |text: &str| Some(SecretText::new(text.to_owned()));
    let clear = table.text("pin", "write it in quotes, not empty: pin = \"123\"", secret);
    let hashes = table.table("pin_ha1").and_then(read_hashes);
    if clear.is_some() && hashes.is_some() {
        table.wrong("write either `pin` or `pin_ha1`, not both");
    }
    let printable = |text: &str| (!text.chars().any(char::is_control)).then(|| text.to_owned());
    let user = UserConfig {
        name: name.to_owned(),
        pin: hashes.or(clear.map(Pin::Clear)),
        display_name: table.text("display_name", "write it in quotes: display_name = \"Alice\"", printable),
        aliases: table
            .texts("aliases", "write names or numbers in quotes: aliases = [\"201\"]", |text| {
                is_user(text).then(|| text.to_owned())
            })
            .unwrap_or_default(),
        sip_user: table.text("sip_user", "write it in quotes: sip_user = \"alice\"", printable),
        sip_password: table.text("sip_password", "write it in quotes, not empty: sip_password = \"secret\"", secret),
    };
    table.finish();
    Some(user)
}

fn read_hashes(mut table: Table<'_>) -> Option<Pin> {
    let hex = |digits: usize| {
        move |text: &str| {
            let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
            fits.then(|| SecretText::new(text.to_ascii_lowercase()))
        }
    };
    let sha256 = table.text("sha256", "write the 64 hex digits of SHA-256 over user:domain:pin", hex(64));
    let md5 = table.text("md5", "write the 32 hex digits of MD5 over user:domain:pin", hex(32));
    if sha256.is_none() {
        table.wrong("`sha256` is needed: clients take it first. printf alice:example.com:123 | sha256sum makes one");
    }
    table.finish();
    sha256.map(|sha256| Pin::Hashes { sha256, md5 })
}

fn seconds(table: &mut Table<'_>, key: &'static str, standard: u64) -> Duration {
    Duration::from_secs(table.number(key, 1..=SECONDS_MAX).unwrap_or(standard))
}

pub(super) fn number<N: TryFrom<u64>>(
    table: &mut Table<'_>,
    key: &'static str,
    range: std::ops::RangeInclusive<u64>,
    target: &mut N,
) {
    if let Some(number) = table.number(key, range).and_then(|n| N::try_from(n).ok()) {
        *target = number;
    }
}

fn local(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address literal of this file"), port)
}

/// A host name or an IPv4 address.
fn is_host(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    text.len() <= NAME_BYTES_MAX
        && text.bytes().all(byte)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && !text.contains("..")
}

/// A user part that needs no escapes (RFC 3261 §25.1: unreserved, and what user-unreserved adds but `;?/`).
fn is_user(text: &str) -> bool {
    let byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,".contains(&b);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(byte)
}

/// A serialised origin (RFC 6454 §6.2): scheme, host, port if it is not the scheme's.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let bare = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    bare && !text.ends_with('/') && uri.query().is_none() && uri.path().len() <= 1
}
