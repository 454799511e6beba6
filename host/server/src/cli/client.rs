//! Asks the admin API of a running server.

use super::{Failure, Place};
use crate::admin::token;
use crate::admin::views::{ErrorView, TenantView};
use crate::config::Config;
use crate::secret::SecretText;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take; a deployment compiles.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// What a path segment or a query value escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A server, by its admin address.
pub(super) struct Client {
    address: String,
    token: SecretText,
    domain: Option<String>,
}

/// What the server said.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Client {
    /// The server of this place.
    pub(super) fn of(place: &Place) -> Result<Self, Failure> {
        let (address, token_file) = match (&place.admin, &place.token_file) {
            (Some(url), Some(file)) => (host_and_port(url)?, file.clone()),
            _ => {
                let config = Config::load(&place.config.config)?;
                (reachable(config.http.admin).to_string(), token::file(&config.state_dir))
            }
        };
        let token = token::read(&token_file).map_err(|error| {
            let hint = "is the server running, and may this user read its state folder?";
            Failure::Usage(format!("cannot read the admin token {}: {error}; {hint}", token_file.display()))
        })?;
        Ok(Self { address, token, domain: place.domain.clone() })
    }

    /// The tenant that was asked for, or the first one.
    pub(super) async fn tenant(&self) -> Result<TenantView, Failure> {
        let tenants: Vec<TenantView> = self.get("/v1/tenants").await?;
        let wanted = |tenant: &TenantView| self.domain.as_ref().is_none_or(|d| d.eq_ignore_ascii_case(&tenant.domain));
        let missing = || Failure::Refused(format!("there is no tenant {}", self.domain.as_deref().unwrap_or_default()));
        tenants.into_iter().find(wanted).ok_or_else(missing)
    }

    /// Gets a value of the admin API.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send(Method::GET, path, Vec::new()).await?.json()
    }

    /// Asks anything.
    pub(super) async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Reply, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.address)
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/wasm")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure::Usage(format!("cannot ask that: {error}")))?;
        let answer = timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        answer.unwrap_or_else(|_| Err(self.unreachable("no answer in time")))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Failure> {
        let stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address)).await {
            Ok(stream) => stream.map_err(|error| self.unreachable(error))?,
            Err(_) => return Err(self.unreachable("no connection in time")),
        };
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.unreachable(error))?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| self.unreachable(error))?.to_bytes().into();
        connection.abort();
        Ok(Reply { status, body })
    }

    fn unreachable(&self, reason: impl ToString) -> Failure {
        Failure::Unreachable { address: self.address.clone(), reason: reason.to_string() }
    }
}

impl Reply {
    /// The reply, if it is a success.
    pub(super) fn success(self) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body).trim().to_owned();
        let reason = serde_json::from_slice(&self.body).map_or(text, |ErrorView { error }| error);
        Err(Failure::Refused(if reason.is_empty() { self.status.to_string() } else { reason }))
    }

    /// The value in a successful reply.
    pub(super) fn json<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let reply = self.success()?;
        serde_json::from_slice(&reply.body)
            .map_err(|_| Failure::Refused("the server's answer is not what this command understands".to_owned()))
    }
}

/// A path segment or a query value.
pub(super) fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn host_and_port(url: &str) -> Result<String, Failure> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let plain = !rest.contains('/') && rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let wrong = || Failure::Usage(format!("--admin {url}: write it as http://127.0.0.1:6668"));
    plain.then(|| rest.to_owned()).ok_or_else(wrong)
}

/// Where a listener on all addresses can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_reachable() {
        let reach = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reach("0.0.0.0:6668"), "127.0.0.1:6668");
        assert_eq!(reach("[::]:6668"), "[::1]:6668");
        assert_eq!(reach("192.0.2.1:6668"), "192.0.2.1:6668");
        assert_eq!(host_and_port("http://[::1]:6668/").ok().as_deref(), Some("[::1]:6668"));
        assert_eq!(host_and_port("server:6668").ok().as_deref(), Some("server:6668"));
        for wrong in ["https://server:6668", "http://server", "http://server:1/v1", ""] {
            assert!(host_and_port(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_user_survives_the_path() {
        assert_eq!(escape("alice@example.com"), "alice@example.com");
        assert_eq!(escape("a/b?c d+"), "a%2Fb%3Fc%20d%2B");
    }
}
