//! A small HTTP/1.1 client that keeps one connection open, over TLS without verification or in the clear.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

/// What the server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header field of this (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// One kept-alive connection.
pub struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    host: String,
    certificate: Vec<u8>,
}

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Connection {
    /// Connects with TLS and believes any certificate.
    pub fn https(address: SocketAddr) -> io::Result<Self> {
        let stream = secured(connect(address)?)?;
        let certificate = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let certificate = certificate.map(|certificate| certificate.to_vec()).unwrap_or_default();
        Ok(Self { stream: BufReader::new(Box::new(stream)), host: address.to_string(), certificate })
    }

    /// The certificate that the server showed, as DER; empty in the clear.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Connects in the clear.
    pub fn http(address: SocketAddr) -> io::Result<Self> {
        let stream = BufReader::new(Box::new(connect(address)?) as Box<dyn Stream>);
        Ok(Self { stream, host: address.to_string(), certificate: Vec::new() })
    }

    /// Sends `name` as the Host of further requests.
    pub fn host(mut self, name: &str) -> Self {
        name.clone_into(&mut self.host);
        self
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" || method == "PUT" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        self.receive(method == "HEAD")
    }

    fn receive(&mut self, bodiless: bool) -> io::Result<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").and_then(|value| value.parse::<usize>().ok());
        if bodiless || status == 204 {
            return Ok(answer);
        }
        if let Some(length) = length {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body)?;
        } else if answer.header("transfer-encoding").is_some() {
            while let length @ 1.. = self.chunk_size()? {
                let end = answer.body.len();
                answer.body.resize(end + length, 0);
                self.stream.read_exact(&mut answer.body[end..])?;
                self.line()?;
            }
            self.line()?;
        }
        Ok(answer)
    }

    fn chunk_size(&mut self) -> io::Result<usize> {
        let line = self.line()?;
        usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16).map_err(io::Error::other)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    patient(&stream)?;
    Ok(stream)
}

/// How long something is waited for on a connection.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Bounds how long a connection is waited for.
pub(crate) fn patient(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)
}

/// TLS on a connection, with whoever answers.
pub(crate) fn secured(mut stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    let mut tls = ClientConnection::new(tls_config(), name).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

fn tls_config() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate))
        .with_no_client_auth();
    Arc::new(config)
}

/// `curl -k`: the server's certificate is its own.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
