//! What differs between two configurations, as a list of keys. No value is ever in it: it may be a secret.
//!
//! Each section is taken apart whole, so that a key that is new to a section cannot be forgotten here.

use super::*;
use std::fmt;

/// One key that two configurations say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key as a TOML path.
    pub key: String,
    /// How it differs.
    pub what: What,
    /// When the new value holds.
    pub holds: Holds,
}

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Only the new configuration has it.
    Added,
    /// Only the old one had it.
    Removed,
    /// Both have it, with another value.
    Changed,
}

/// When the new value of a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A reload puts it into force.
    AtOnce,
    /// Only a restart does.
    AfterRestart,
}

impl What {
    /// As the admin API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what.as_str(), self.key)
    }
}

impl Change {
    /// A key that holds at once with another value.
    pub fn changed(key: impl Into<String>) -> Self {
        Self { key: key.into(), what: What::Changed, holds: Holds::AtOnce }
    }
}

impl Config {
    /// What `new` says differently, in the order of the documentation.
    pub fn changes(&self, new: &Config) -> Vec<Change> {
        let mut list = List::default();
        let Config { file: _, state_dir, drain_timeout, http, sip, engine, journal, log, tenants } = self;
        list.after_restart("state_dir", *state_dir == new.state_dir);
        list.at_once("drain_timeout_seconds", *drain_timeout == new.drain_timeout);
        list.http(http, &new.http);
        list.sip(sip, &new.sip);
        list.engine(engine, &new.engine);
        list.journal(journal, &new.journal);
        list.log(log, &new.log);
        list.tenants(tenants, &new.tenants);
        list.0
    }
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    fn at_once(&mut self, key: impl Into<String>, same: bool) {
        self.note(key.into(), same, Holds::AtOnce);
    }

    fn after_restart(&mut self, key: impl Into<String>, same: bool) {
        self.note(key.into(), same, Holds::AfterRestart);
    }

    fn note(&mut self, key: String, same: bool, holds: Holds) {
        if !same {
            self.0.push(Change { key, what: What::Changed, holds });
        }
    }

    fn comes_or_goes(&mut self, key: String, what: What) {
        self.0.push(Change { key, what, holds: Holds::AtOnce });
    }

    fn http(&mut self, old: &HttpConfig, new: &HttpConfig) {
        let HttpConfig { https, certificate, digest, admin, limits } = old;
        self.at_once("http.https", *https == new.https);
        self.at_once("http.certificate", *certificate == new.certificate);
        self.at_once("http.digest", *digest == new.digest);
        self.at_once("http.admin", *admin == new.admin);
        let HttpLimits {
            handshake_timeout,
            header_timeout,
            body_timeout,
            idle_timeout,
            header_bytes_max,
            body_bytes_max,
            connections_max,
        } = limits;
        let new = &new.limits;
        self.at_once("http.handshake_timeout_seconds", *handshake_timeout == new.handshake_timeout);
        self.at_once("http.header_timeout_seconds", *header_timeout == new.header_timeout);
        self.at_once("http.body_timeout_seconds", *body_timeout == new.body_timeout);
        self.at_once("http.idle_timeout_seconds", *idle_timeout == new.idle_timeout);
        self.at_once("http.header_bytes_max", *header_bytes_max == new.header_bytes_max);
        self.at_once("http.body_bytes_max", *body_bytes_max == new.body_bytes_max);
        self.at_once("http.connections_max", *connections_max == new.connections_max);
    }

    /// The addresses of SIP stand in the Contacts and Vias of calls that are up.
    fn sip(&mut self, old: &SipConfig, new: &SipConfig) {
        let SipConfig {
            udp,
            tcp,
            tls,
            ws,
            wss,
            ws_origins,
            certificate,
            ca,
            client_ca,
            dns,
            idle_timeout,
            connections_max,
            connections_per_source_max,
            source_requests_per_second,
            advertise,
            advertise_at,
        } = old;
        self.after_restart("sip.udp", *udp == new.udp);
        self.after_restart("sip.tcp", *tcp == new.tcp);
        self.after_restart("sip.tls", *tls == new.tls);
        self.after_restart("sip.ws", *ws == new.ws);
        self.after_restart("sip.wss", *wss == new.wss);
        self.after_restart("sip.ws_origins", *ws_origins == new.ws_origins);
        self.after_restart("sip.advertise", *advertise == new.advertise);
        self.after_restart("sip.advertise_at", *advertise_at == new.advertise_at);
        self.after_restart("sip.dns", *dns == new.dns);
        self.at_once("sip.certificate", *certificate == new.certificate);
        self.at_once("sip.ca", *ca == new.ca);
        self.at_once("sip.client_ca", *client_ca == new.client_ca);
        self.after_restart("sip.idle_timeout_seconds", *idle_timeout == new.idle_timeout);
        self.after_restart("sip.connections_max", *connections_max == new.connections_max);
        let per_source = *connections_per_source_max == new.connections_per_source_max;
        self.after_restart("sip.connections_per_source_max", per_source);
        let per_second = *source_requests_per_second == new.source_requests_per_second;
        self.after_restart("sip.source_requests_per_second", per_second);
    }

    /// The engine is made once, with room for so much.
    fn engine(&mut self, old: &EngineConfig, new: &EngineConfig) {
        let EngineConfig { event_deadline, memory_bytes } = old;
        self.after_restart("engine.event_deadline_ms", *event_deadline == new.event_deadline);
        self.after_restart("engine.memory_bytes", *memory_bytes == new.memory_bytes);
    }

    fn journal(&mut self, old: &JournalConfig, new: &JournalConfig) {
        let JournalConfig { bytes_max, keep, queue_max } = old;
        let (same, on_or_off) = (*bytes_max == new.bytes_max, (*bytes_max == 0) != (new.bytes_max == 0));
        self.note("journal.bytes_max".to_owned(), same, if on_or_off { Holds::AfterRestart } else { Holds::AtOnce });
        self.at_once("journal.keep_hours", *keep == new.keep);
        self.after_restart("journal.queue_max", *queue_max == new.queue_max);
    }

    fn log(&mut self, old: &LogConfig, new: &LogConfig) {
        let LogConfig { format, level } = old;
        self.after_restart("log.format", *format == new.format);
        self.at_once("log.level", *level == new.level);
    }

    fn tenants(&mut self, old: &[TenantConfig], new: &[TenantConfig]) {
        let of = |domain: &str, list: &[TenantConfig]| list.iter().position(|tenant| tenant.domain == domain);
        for tenant in old.iter().filter(|tenant| of(&tenant.domain, new).is_none()) {
            self.comes_or_goes(tenant_key(tenant), What::Removed);
        }
        for tenant in new {
            match old.iter().find(|other| other.domain == tenant.domain) {
                Some(before) => self.tenant(before, tenant),
                None => self.comes_or_goes(tenant_key(tenant), What::Added),
            }
        }
        // The first tenant answers for hosts that nobody claims.
        let first = |list: &[TenantConfig]| list.first().map(|tenant| tenant.domain.clone());
        self.at_once("tenants", first(old) == first(new));
    }

    fn tenant(&mut self, old: &TenantConfig, new: &TenantConfig) {
        let TenantConfig {
            domain: _,
            hosts,
            controller,
            watch,
            wasi,
            memory_bytes,
            event_deadline,
            body_bytes_max,
            outbound_proxy,
            trusted,
            cors_origins,
            limits,
            session_expires_seconds,
            settings,
            rollback,
            drain,
            users,
        } = old;
        let key = |name: &str| format!("{}.{name}", tenant_key(old));
        self.at_once(key("hosts"), *hosts == new.hosts);
        self.at_once(key("controller"), *controller == new.controller);
        self.at_once(key("watch"), *watch == new.watch);
        self.at_once(key("wasi"), *wasi == new.wasi);
        self.at_once(key("outbound_proxy"), *outbound_proxy == new.outbound_proxy);
        self.at_once(key("trusted"), *trusted == new.trusted);
        self.at_once(key("cors_origins"), *cors_origins == new.cors_origins);
        let apart = (memory_bytes, event_deadline, body_bytes_max);
        let same = *limits == new.limits && apart == (&new.memory_bytes, &new.event_deadline, &new.body_bytes_max);
        self.at_once(key("limits"), same);
        let session = *session_expires_seconds == new.session_expires_seconds;
        self.at_once(key("session_expires_seconds"), session);
        self.at_once(key("rollback"), *rollback == new.rollback);
        self.at_once(key("drain"), *drain == new.drain);
        self.at_once(key("settings"), *settings == new.settings);
        let find = |name: &str, list: &'_ [UserConfig]| list.iter().position(|user| user.name == name);
        for user in users.iter().filter(|user| find(&user.name, &new.users).is_none()) {
            self.comes_or_goes(user_key(old, user), What::Removed);
        }
        for user in &new.users {
            match users.iter().find(|before| before.name == user.name) {
                Some(before) => self.at_once(user_key(new, user), before == user),
                None => self.comes_or_goes(user_key(new, user), What::Added),
            }
        }
    }
}

fn tenant_key(tenant: &TenantConfig) -> String {
    table::join("tenants", &tenant.domain)
}

fn user_key(tenant: &TenantConfig, user: &UserConfig) -> String {
    table::join(&format!("{}.users", tenant_key(tenant)), &user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = r#"
state_dir = "state"
[http]
https = "127.0.0.1:1"
[sip]
udp = "127.0.0.1:2"
[tenants."a.test"]
trusted = ["10.0.0.0/8"]
[tenants."a.test".users.alice]
pin = "s3cret"
sip_password = "s3cret"
[tenants."a.test".users."b.ob"]
pin = "456"
[tenants."b.test"]
"#;

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("/etc/plugboard.toml"), text).expect("valid")
    }

    /// What a replacement in the text above changes, as it is printed, with a star where it takes a restart.
    fn changes(from: &str, to: &str) -> Vec<String> {
        assert!(BEFORE.contains(from), "{from}");
        let star = |change: Change| format!("{change}{}", if change.holds == Holds::AfterRestart { " *" } else { "" });
        parse(BEFORE).changes(&parse(&BEFORE.replace(from, to))).into_iter().map(star).collect()
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert_eq!(changes("", ""), [""; 0]);
        assert_eq!(changes("[http]", "# only a remark\n[http]"), [""; 0]);
    }

    #[test]
    fn every_kind_of_change_is_named_by_its_key() {
        for (from, to, expected) in [
            ("\"state\"", "\"other\"", "changed state_dir *"),
            ("127.0.0.1:1", "127.0.0.1:9", "changed http.https"),
            ("[http]", "[http]\nbody_bytes_max = 1", "changed http.body_bytes_max"),
            ("127.0.0.1:2", "127.0.0.1:9", "changed sip.udp *"),
            ("[sip]", "[log]\nlevel = \"debug\"\n[sip]", "changed log.level"),
            ("[sip]", "[log]\nformat = \"json\"\n[sip]", "changed log.format *"),
            ("[sip]", "[journal]\nkeep_hours = 1\n[sip]", "changed journal.keep_hours"),
            ("[sip]", "[journal]\nbytes_max = 1\n[sip]", "changed journal.bytes_max"),
            ("[sip]", "[journal]\nbytes_max = 0\n[sip]", "changed journal.bytes_max *"),
            ("[sip]", "[engine]\nevent_deadline_ms = 10\n[sip]", "changed engine.event_deadline_ms *"),
            ("10.0.0.0/8", "10.0.0.0/9", "changed tenants.\"a.test\".trusted"),
            ("trusted =", "wasi = true\ntrusted =", "changed tenants.\"a.test\".wasi"),
            ("456", "457", "changed tenants.\"a.test\".users.\"b.ob\""),
            ("sip_password = \"s3cret\"", "sip_password = \"other\"", "changed tenants.\"a.test\".users.alice"),
            (
                "[tenants.\"b.test\"]",
                "[tenants.\"b.test\"]\n[tenants.\"b.test\".limits]\ncalls = 1",
                "changed tenants.\"b.test\".limits",
            ),
            (
                "[tenants.\"b.test\"]",
                "[tenants.\"a.test\".users.carol]\n[tenants.\"b.test\"]",
                "added tenants.\"a.test\".users.carol",
            ),
            ("[tenants.\"b.test\"]", "[tenants.\"b.test\"]\n[tenants.\"c.test\"]", "added tenants.\"c.test\""),
            ("[tenants.\"b.test\"]", "", "removed tenants.\"b.test\""),
        ] {
            assert_eq!(changes(from, to), [expected]);
        }
    }

    #[test]
    fn a_renamed_user_and_another_first_tenant() {
        let renamed = changes("\"b.ob\"", "bob");
        assert_eq!(renamed, ["removed tenants.\"a.test\".users.\"b.ob\"", "added tenants.\"a.test\".users.bob"]);
        let first = changes("[tenants.\"a.test\"]\n", "[tenants.\"0.test\"]\n[tenants.\"a.test\"]\n");
        assert_eq!(first, ["added tenants.\"0.test\"", "changed tenants"]);
    }

    #[test]
    fn no_change_shows_a_secret() {
        let printed = format!("{:?}", changes("s3cret", "s3cret2"));
        assert!(printed.contains("users.alice") && !printed.contains("s3cret"), "{printed}");
    }
}
