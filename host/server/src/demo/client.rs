//! The demo as a client of the server: one HTTPS connection that stays open throughout, and one to the admin listener.

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One connection that is kept open, and never opened again.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Client {
    /// Connects with TLS, trusting this one certificate, to ask as this user.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn https(address: SocketAddr, certificate: &Path, user: &str, pin: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::IpAddress(address.ip().into());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{pin}")));
        Self::over(stream, address, authorization).await
    }

    /// Connects to the admin listener.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn admin(address: SocketAddr, token_file: &Path) -> anyhow::Result<Self> {
        let token = std::fs::read_to_string(token_file)?;
        let stream = TcpStream::connect(address).await?;
        Self::over(stream, address, format!("Bearer {}", token.trim())).await
    }

    /// Asks, and wants success.
    ///
    /// # Errors
    /// When the connection is gone, or the answer is another than 2xx.
    pub async fn ask(&mut self, method: &str, path: &str, body: impl Into<Bytes>) -> anyhow::Result<Bytes> {
        self.sender.ready().await.context("the server closed the connection")?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, "application/json")
            .body(Full::new(body.into()))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{method} {path}: {} {}", status_text(status), String::from_utf8_lossy(&body).trim_end());
        }
        Ok(body)
    }

    /// Whether the server has not closed the connection.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// GETs JSON.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and when the answer is no JSON.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let body = self.ask("GET", path, Bytes::new()).await?;
        serde_json::from_slice(&body).with_context(|| format!("GET {path} is no JSON"))
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
        authorization: String,
    ) -> anyhow::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when either side closes; a request that is under way then fails.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, host: address.to_string(), authorization })
    }
}

fn status_text(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}
