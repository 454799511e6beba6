use super::*;
use plugboard_calls::limits::Limit;

const WHOLE: &str = r#"
state_dir = "state"
drain_timeout_seconds = 5

[http]
https = "127.0.0.1:1"
certificate = "server.pem"
key = "/etc/server.key"
digest = "off"
admin = "[::1]:3"
header_timeout_seconds = 3
body_bytes_max = 1000
connections_max = 7

[sip]
udp = ["127.0.0.1:5", "[::1]:6"]
tcp = "127.0.0.1:5"
tls = ["127.0.0.1:7", "[::1]:7"]
ws = "127.0.0.1:8"
wss = ["127.0.0.1:9"]
ws_origins = ["https://phone.example.com"]
certificate = "sip.pem"
key = "sip.key"
ca = "peers.pem"
client_ca = "/etc/phones.pem"
idle_timeout_seconds = 60
connections_max = 100
connections_per_source_max = 10
source_requests_per_second = 50
advertise = "203.0.113.7"
advertise_at = { "127.0.0.1:9" = "phone.example.com:443" }
dns = ["192.0.2.53:53", "[2001:db8::53]:53"]

[engine]
event_deadline_ms = 20
memory_bytes = 2000000

[log]
format = "json"
level = "debug"

[tenants."Example.com"]
hosts = ["PBX.example.com"]
controller = "mine.wasm"
wasi = true
outbound_proxy = "sip:127.0.0.1:5080;transport=udp"
trusted = ["10.0.0.0/8", "192.0.2.1"]
cors_origins = ["https://portal.example.com:8443"]
drain = { after_seconds = 60, then = "migrate-or-end" }

[tenants."Example.com".rollback]
faults_percent = 10
events_min = 50

[tenants."Example.com".limits]
calls = 10
state_bytes = 4096
memory_bytes = 33554432
event_deadline_ms = 30
body_bytes_max = 2000

[tenants."Example.com".settings]
greeting = ""
ring_seconds = 30
share = 0.5
loud = true
mask = 0xff

[tenants."Example.com".users.zoe]
pin_ha1 = { sha256 = "0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A" }

[tenants."Example.com".users.alice]
pin = "123"
display_name = "Alice"
aliases = ["201", "+4930123"]
sip_user = "a"
sip_password = "secret"

[tenants."another.example"]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("/etc/plugboard.toml"), text)
}

/// The problems of a text, as they are printed.
fn problems(text: &str) -> Vec<String> {
    parse(text).expect_err("has problems").to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_whole_file_is_read() {
    let config = parse(WHOLE).expect("valid");
    assert_eq!(config.state_dir, Path::new("/etc/state"));
    assert_eq!(config.drain_timeout, Duration::from_secs(5));
    assert_eq!((config.http.https, config.http.digest), ("127.0.0.1:1".parse().ok(), None));
    assert_eq!(config.http.admin.to_string(), "[::1]:3");
    let files = CertificateFiles { certificate: "/etc/server.pem".into(), key: "/etc/server.key".into() };
    assert_eq!(config.http.certificate, Some(files));
    let limits = HttpLimits {
        header_timeout: Duration::from_secs(3),
        body_bytes_max: 1000,
        connections_max: 7,
        ..HttpLimits::default()
    };
    assert_eq!(config.http.limits, limits);
    let address = |text: &str| text.parse().expect("an address");
    let sip = SipConfig {
        udp: vec![address("127.0.0.1:5"), address("[::1]:6")],
        tcp: vec![address("127.0.0.1:5")],
        tls: vec![address("127.0.0.1:7"), address("[::1]:7")],
        ws: vec![address("127.0.0.1:8")],
        wss: vec![address("127.0.0.1:9")],
        ws_origins: vec!["https://phone.example.com".to_owned()],
        certificate: Some(CertificateFiles { certificate: "/etc/sip.pem".into(), key: "/etc/sip.key".into() }),
        ca: Some("/etc/peers.pem".into()),
        client_ca: Some("/etc/phones.pem".into()),
        idle_timeout: Duration::from_secs(60),
        connections_max: 100,
        connections_per_source_max: 10,
        source_requests_per_second: 50,
        advertise: Some("203.0.113.7".to_owned()),
        advertise_at: vec![(address("127.0.0.1:9"), "phone.example.com:443".to_owned())],
        dns: vec![address("192.0.2.53:53"), address("[2001:db8::53]:53")],
    };
    assert_eq!(config.sip, sip);
    let engine = EngineConfig { event_deadline: Duration::from_millis(20), memory_bytes: 2_000_000 };
    assert_eq!(config.engine, engine);
    let granted = config.tenants.iter().map(|of| (of.wasi, of.memory_bytes, of.event_deadline, of.body_bytes_max));
    let first = (true, Some(33_554_432), Some(Duration::from_millis(30)), Some(2_000));
    assert_eq!(granted.collect::<Vec<_>>(), [first, (false, None, None, None)]);
    let settings = &config.tenants[0].settings;
    let set = ["greeting", "ring_seconds", "share", "loud", "mask", "other"].map(|name| settings.get(name));
    assert_eq!(set, [Some(""), Some("30"), Some("0.5"), Some("true"), Some("255"), None]);
    assert_eq!(config.log, LogConfig { format: LogFormat::Json, level: tracing::Level::DEBUG });
    let domains: Vec<&str> = config.tenants.iter().map(|tenant| tenant.domain.as_str()).collect();
    assert_eq!(domains, ["example.com", "another.example"], "in the order of the file");

    let tenant = &config.tenants[0];
    assert_eq!(tenant.hosts, ["pbx.example.com"]);
    assert_eq!(tenant.controller.as_deref(), Some(Path::new("/etc/mine.wasm")));
    assert_eq!(
        tenant.outbound_proxy.as_ref().map(ToString::to_string).as_deref(),
        Some("sip:127.0.0.1:5080;transport=udp")
    );
    assert_eq!(tenant.trusted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.1/32"]);
    assert_eq!(tenant.limits, Limits { calls: 10, state_bytes: 4096, ..Limits::default() });
    let users: Vec<&str> = tenant.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(users, ["zoe", "alice"], "in the order of the file");
    let Some(Pin::Hashes { sha256, md5: None }) = &tenant.users[0].pin else { panic!("hashes") };
    assert_eq!(sha256.expose(), "0a".repeat(32));
    let Some(Pin::Clear(pin)) = &tenant.users[1].pin else { panic!("clear") };
    assert_eq!(pin.expose(), "123");
}

#[test]
fn the_smallest_file_has_every_default() {
    let config = parse(SMALLEST).expect("valid");
    assert_eq!(config.state_dir, Path::new("/etc/plugboard-data"));
    let addresses = [config.http.https, config.http.digest, Some(config.http.admin)];
    let addresses = addresses.map(|address| address.map(|address| address.to_string()).unwrap_or_default());
    assert_eq!(addresses, ["0.0.0.0:6666", "0.0.0.0:6667", "127.0.0.1:6668"]);
    assert_eq!(config.sip.udp, ["0.0.0.0:5060".parse().expect("an address")]);
    assert_eq!(config.tenants[0].limits, Limits::default());
    assert_eq!(config.tenants[0].session_expires_seconds, 1_800);
    assert!(config.tenants[0].trusted.is_empty() && config.tenants[0].cors_origins.is_empty());
}

#[test]
fn every_problem_is_told_with_file_line_and_key() {
    let found = problems(
        r#"stat_dir = "x"
[http]
https = 6666
admin = "localhost:6668"
nonsense = 1
key = "only.key"
[sip]
udp = ["0.0.0.0:5060", "nowhere"]
tcp = 5060
[engine]
event_deadline_ms = 0
[log]
format = "xml"
[tenants."example.com"]
outbound_proxy = "127.0.0.1"
trusted = ["10.0.0.0/40"]
cors_origins = ["*"]
session_expires_seconds = 89
[tenants."example.com".users.alice]
pin = 123
[tenants."example.com".users.bob]
pin = ""
pins = "1"
"#,
    );
    let expected = [
        ":1: stat_dir: there is no such key; did you mean `state_dir`?",
        ":2: http: `certificate` and `key` go together",
        ":3: http.https: write https = \"0.0.0.0:6666\", or \"off\"",
        ":4: http.admin: write admin = \"127.0.0.1:6668\"",
        ":5: http.nonsense: there is no such key; known here: https, digest,",
        ":8: sip.udp[1]: write an address and port",
        ":9: sip.tcp: write an address and port",
        ":11: engine.event_deadline_ms: write a whole number from 5 to 10000",
        ":13: log.format: write \"text\" or \"json\"",
        ":15: tenants.\"example.com\".outbound_proxy: write a SIP URI",
        ":16: tenants.\"example.com\".trusted[0]: write networks",
        ":17: tenants.\"example.com\".cors_origins[0]: write origins",
        ":18: tenants.\"example.com\".session_expires_seconds: write 90 or more",
        ":20: tenants.\"example.com\".users.alice.pin: write it in quotes",
        ":22: tenants.\"example.com\".users.bob.pin: write it in quotes, not empty",
        ":23: tenants.\"example.com\".users.bob.pins: there is no such key; did you mean `pin`?",
    ];
    for (found, expected) in found.iter().zip(expected) {
        let expected = format!("/etc/plugboard.toml{expected}");
        assert!(found.starts_with(&expected), "{found}\nshould begin with\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn sip_needs_an_address_and_tls_for_certificates() {
    let sip = |text: &str| parse(&format!("{SMALLEST}\n[sip]\n{text}"));
    assert!(sip("udp = []\ntcp = \"0.0.0.0:5060\"").is_ok());
    assert!(sip("tls = \"[::]:5061\"").is_ok_and(|config| config.sip.udp.len() == 1 && config.sip.tls.len() == 1));
    for (text, expected) in [
        ("advertise_at = { \"127.0.0.1:1\" = \"h\" }", "there is no such socket"),
        ("advertise_at = { \"0.0.0.0:5060\" = \"a b\" }", "write a host name or address"),
        ("ws_origins = [\"phone.example.com\"]", "write origins"),
        ("udp = []", "`udp` needs at least one address"),
        ("ca = \"ca.pem\"", "certificates are for TLS"),
        ("tls = \"[::]:5061\"\nkey = \"sip.key\"", "`certificate` and `key` go together"),
    ] {
        let error = sip(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn names_belong_to_one_user_and_hosts_to_one_tenant() {
    let found = problems(
        r#"[tenants."a.example"]
hosts = ["shared.example"]
[tenants."a.example".users.alice]
aliases = ["201"]
[tenants."a.example".users.bob]
aliases = ["201", "alice"]
[tenants."a.example".users."c@d"]
[tenants."b.example"]
hosts = ["shared.example", "a.example"]
[tenants."not a domain"]
[tenants."A.example"]
"#,
    );
    let all = found.join("\n");
    for expected in [
        ":5: tenants.\"a.example\".users.bob: `201` is a name of `alice` already",
        ":5: tenants.\"a.example\".users.bob: `alice` is a name of `alice` already",
        ":7: tenants.\"a.example\".users.\"c@d\": a user is named by",
        ":8: tenants.\"b.example\": the host `shared.example` belongs to the tenant `a.example` already",
        ":8: tenants.\"b.example\": the host `a.example` belongs to",
        ":10: tenants.\"not a domain\": a tenant is named by its SIP domain",
        ":11: tenants.\"A.example\": the domain `a.example` is a tenant already",
    ] {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
    assert_eq!(found.len(), 7, "{all}");
}

#[test]
fn a_file_without_tenants_says_what_to_write() {
    for text in ["", "[tenants]\n"] {
        let found = problems(text).join("\n");
        assert!(found.contains("write [tenants.\"example.com\"]"), "{found}");
    }
    let missing = Config::load(Path::new("/nowhere/plugboard.toml")).expect_err("is not there").to_string();
    assert!(missing.starts_with("/nowhere/plugboard.toml: there is no such file"), "{missing}");
    assert!(missing.contains("[tenants.\"example.com\"]"), "{missing}");
}

#[test]
fn no_problem_shows_a_secret() {
    for text in [
        "[tenants.\"e.test\".users.a]\npin = \"s3cret",
        "[tenants.\"e.test\".users.a]\npin = s3cret\n",
        "[tenants.\"e.test\".users.a]\npin_ha1 = { sha256 = \"s3cret\", md5 = \"s3cret\" }\n",
        "[tenants.\"e.test\".users.a]\npin = [\"s3cret\"]\nsip_password = { s3 = \"s3cret\" }\n",
    ] {
        let found = problems(text).join("\n");
        assert!(!found.contains("s3cret"), "{found}");
        assert!(found.contains("/etc/plugboard.toml:2: "), "{found}");
    }
    let printed = format!("{:?}", parse(WHOLE).expect("valid"));
    assert!(!printed.contains("\"123\"") && !printed.contains("\"secret\""), "{printed}");
}

#[test]
fn settings_are_plain_values_within_bounds() {
    let text =
        "[tenants.\"a.example\".settings]\nlist = [1]\n\"a b\" = 1\nlong = \"".to_owned() + &"x".repeat(4_097) + "\"\n";
    let problems = problems(&text);
    let told = ["a setting is a text, a number, true or false", "is named by letters", "4096 bytes at most"];
    assert_eq!(problems.len(), told.len(), "{problems:?}");
    for (problem, told) in problems.iter().zip(told) {
        assert!(problem.contains(told), "{problem}");
    }
}

/// The table of limits in the README: name and default, as they stand there.
fn documented() -> Vec<(String, String)> {
    let readme = include_str!("../../../../README.md");
    let (_, table) = readme.split_once("| limit | default |").expect("the README has the table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |row: &str, n| row.split('|').nth(n).unwrap_or_default().trim().trim_matches('`').to_owned();
    rows.map(|row| (cell(row, 1), cell(row, 2))).collect()
}

#[test]
fn every_limit_is_documented_and_can_be_set() {
    let names: Vec<String> = documented().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, Limit::ALL.map(Limit::name), "the README names each limit, in the order of the list");
    for name in names {
        let text = format!("[tenants.\"example.com\".limits]\n{name} = 1\n");
        // 1 may be too small; but a key that is not known is refused in other words.
        let refused = parse(&text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(!refused.contains("no such key"), "{name}: {refused}");
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    for (name, default) in documented() {
        let text = format!("[tenants.\"a.test\".limits]\n{name} = {}\n", default.replace(',', ""));
        let [set, standard] = [&text, "[tenants.\"a.test\"]\n"].map(|text| parse(text).expect("valid"));
        let (set, unset) = (&set.tenants[0], &standard.tenants[0]);
        assert_eq!(set.limits, unset.limits, "{name}");
        let http = &standard.http.limits;
        assert_eq!(set.memory_bytes.unwrap_or(standard.engine.memory_bytes), standard.engine.memory_bytes);
        assert_eq!(set.event_deadline.unwrap_or(standard.engine.event_deadline), standard.engine.event_deadline);
        assert_eq!(set.body_bytes_max.unwrap_or(http.body_bytes_max), http.body_bytes_max);
    }
}
