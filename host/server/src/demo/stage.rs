//! Everything that the demo is played with, on loopback: the server, three phones, and the proxy in front of them.

use super::client::Client;
use super::phone::{Phone, PhoneConfig};
use super::proxy::Proxy;
use crate::config::Config;
use crate::serve::Server;
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The demo's domain; `.test` is nobody's (RFC 6761).
pub const DOMAIN: &str = "demo.test";
/// Who places the calls.
pub const AGENT: &str = "reception";
/// The PIN of everybody.
pub const PIN: &str = "1234";

const PHONES: [&str; 3] = ["alice", "bob", "carol"];
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How long each phone rings.
const RING: Duration = Duration::from_millis(400);
/// How long anything may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The set: made by [`Stage::build`], taken down by [`Stage::take_down`].
pub struct Stage {
    pub alice: Phone,
    pub bob: Phone,
    pub carol: Phone,
    pub proxy: Proxy,
    pub server: Server,
    /// The one HTTPS connection, as the agent.
    pub https: Client,
    /// The admin listener.
    pub admin: Client,
    /// The configuration file, for the command line.
    pub config_file: PathBuf,
    _folder: Folder,
}

/// A folder that only this user can read, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("plugboard-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Stage {
    /// Starts everything and waits until the phones are registered.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn build() -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let names = PHONES.into_iter().chain([AGENT]);
        let proxy = Proxy::start(LOOPBACK, DOMAIN, names.map(|name| (name.to_owned(), password(name))))?;
        let phone = |name: &str| {
            Phone::start(PhoneConfig {
                user: name.to_owned(),
                domain: DOMAIN.to_owned(),
                password: password(name),
                proxy: proxy.address(),
                bind: LOOPBACK,
                ring: RING,
            })
        };
        let (alice, bob, carol) = (phone("alice")?, phone("bob")?, phone("carol")?);
        for phone in [&alice, &bob, &carol] {
            phone.register();
        }
        let config_file = folder.0.join("plugboard.toml");
        let config = Config::parse(&config_file, &configuration(&folder.0, &proxy))?;
        let server = Server::start(config).await?;
        // With the real addresses, so that the command line finds the server.
        std::fs::write(&config_file, real_configuration(&folder.0, &proxy, &server))?;
        let address = server.https().context("the HTTPS listener is off")?;
        let https = Client::https(address, &folder.0.join("state/self-signed.pem"), AGENT, PIN).await?;
        let admin = Client::admin(server.admin().context("the admin listener is off")?, &server.token_file).await?;
        let stage = Self { alice, bob, carol, proxy, server, https, admin, config_file, _folder: folder };
        let registered = || [&stage.alice, &stage.bob, &stage.carol].iter().all(|phone| phone.is_registered());
        until("the phones to be registered", registered).await?;
        Ok(stage)
    }

    /// Stops the server as SIGTERM would; then everything goes.
    pub async fn take_down(self) {
        self.server.drain().await;
    }

    /// Waits until the status of a call is what `condition` wants, and returns it.
    ///
    /// # Errors
    /// When it does not become so, with what it is.
    pub async fn follow(
        &mut self,
        path: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.https.get(path).await?;
            if condition(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("waited {PATIENCE:?} in vain for {what}; the status of the call is {status:#}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits until something holds.
///
/// # Errors
/// When it does not come to hold.
pub async fn until(what: &str, holds: impl Fn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            bail!("waited {PATIENCE:?} in vain for {what}");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

fn password(name: &str) -> String {
    format!("{name}'s secret")
}

fn configuration(folder: &Path, proxy: &Proxy) -> String {
    toml(folder, proxy, ["127.0.0.1:0"; 4])
}

fn real_configuration(folder: &Path, proxy: &Proxy, server: &Server) -> String {
    let address =
        |address: Option<std::net::SocketAddr>| address.map_or("off".to_owned(), |address| address.to_string());
    let addresses = [
        address(server.https()),
        address(server.digest()),
        address(server.admin()),
        address(server.udp.first().copied()),
    ];
    toml(folder, proxy, addresses.each_ref().map(String::as_str))
}

fn toml(folder: &Path, proxy: &Proxy, [https, digest, admin, udp]: [&str; 4]) -> String {
    let state = folder.join("state").display().to_string();
    let mut text = format!(
        "state_dir = {state:?}\ndrain_timeout_seconds = 1\n\n[http]\nhttps = \"{https}\"\ndigest = \"{digest}\"\n\
         admin = \"{admin}\"\n\n[sip]\nudp = \"{udp}\"\n\n[tenants.\"{DOMAIN}\"]\noutbound_proxy = \"sip:{}\"\n",
        proxy.address()
    );
    for name in PHONES.into_iter().chain([AGENT]) {
        let mut capital = name.to_owned();
        if let Some(first) = capital.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let _ = write!(
            text,
            "\n[tenants.\"{DOMAIN}\".users.{name}]\npin = \"{PIN}\"\ndisplay_name = \"{capital}\"\nsip_password = {:?}\n",
            password(name)
        );
    }
    text
}
