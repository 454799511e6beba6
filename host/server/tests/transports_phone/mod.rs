//! A switch on loopback whose call logic is a few lines of Rust, and phones that write bytes over TCP and TLS.

mod web_socket_bytes;

pub use web_socket_bytes::WebSocketBytes;

use plugboard_calls::contract::*;
use plugboard_calls::logic::{Breakdown, Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::stage::Stage;
use plugboard_calls::tenant::{Settings, Tenant};
use plugboard_net::tls::{Tls, TlsMaterial};
use plugboard_server::switch::{Switch, SwitchConfig};
use plugboard_sip::transport::Transport;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long a test waits for what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// How long a test waits for what must not happen.
const QUIET: Duration = Duration::from_millis(100);
/// The transports with connections.
pub const LISTENERS: [Transport; 2] = [Transport::Tcp, Transport::Tls];

/// A certificate authority, and the certificates that it makes.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("signed").der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate of the loopback addresses.
    fn pair(&self) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        let addresses = ["127.0.0.1", "::1"].map(|ip| SanType::IpAddress(ip.parse::<IpAddr>().expect("an ip")));
        params.subject_alt_names = addresses.to_vec();
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").der().clone();
        (vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
    }

    /// Peers that connect need a certificate where it is `mutual`.
    fn acceptor(&self, mutual: bool) -> TlsAcceptor {
        let (chain, key) = self.pair();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if mutual {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.certificate.clone()).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("an authority"))
        } else {
            builder.with_no_client_auth()
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("a pair")))
    }

    fn connector(&self, with_certificate: bool) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("an authority");
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let (chain, key) = self.pair();
        TlsConnector::from(Arc::new(match with_certificate {
            true => builder.with_client_auth_cert(chain, key).expect("a pair"),
            false => builder.with_no_client_auth(),
        }))
    }
}

/// Calls what the path names, acknowledges, answers 200, and hangs up on DELETE. Thinks long about a MESSAGE.
struct Caller(Description);

impl Logic for Caller {
    fn description(&self) -> &Description {
        &self.0
    }

    fn route(&self, _: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        (stage, Ok(Routed::Call(CallKey::new(request.path.clone()).expect("a key"))))
    }

    fn handle(
        &self,
        _: &plugboard_calls::contract::Context,
        state: Option<&[u8]>,
        event: &Event,
        mut stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        let up = Some(state.map(<[u8]>::to_vec).unwrap_or_default());
        let next = match event {
            Event::Http { exchange, request } => {
                let response = HttpResponse { status: 200, headers: Vec::new(), body: Vec::new() };
                stage.http_respond(*exchange, response).expect("staged");
                if request.method == "DELETE" {
                    stage.release(LegId(1), Vec::new()).expect("staged");
                    None
                } else {
                    stage.call(invite(&request.path)).expect("staged");
                    up
                }
            }
            Event::Response(response) if response.method == "INVITE" && (200..300).contains(&response.status) => {
                stage.ack(response.transaction, Vec::new(), Vec::new()).expect("staged");
                up
            }
            Event::Request { transaction, method, .. } => {
                if method == "MESSAGE" {
                    std::thread::sleep(Duration::from_secs(1));
                }
                stage.respond(*transaction, 200, String::new(), Vec::new(), Vec::new()).expect("staged");
                if method == "BYE" { None } else { up }
            }
            Event::Failure { .. } => None,
            _ => up,
        };
        (stage, Ok(next))
    }

    fn migrate(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Breakdown> {
        Err(Breakdown::Busy("test"))
    }
}

/// An INVITE; a large one for `large`.
fn invite(target: &str) -> Invite {
    let from = Address { display_name: None, uri: "sip:alice@example.com".into() };
    let body = if target.contains("large@") { vec![b'x'; 1_200] } else { Vec::new() };
    Invite { target: target.to_owned(), to: None, from, headers: Vec::new(), body }
}

struct Nobody;

impl Directory for Nobody {
    fn find(&self, _: &str) -> Option<Arc<UserRecord>> {
        None
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

/// A running switch.
pub struct Bench {
    pub switch: Arc<Switch>,
    tenant: Arc<Tenant>,
    logic: Arc<dyn Logic>,
    authority: Authority,
}

impl Bench {
    pub async fn start(config: SwitchConfig) -> Self {
        Self::start_on("127.0.0.1:0", config).await
    }

    pub async fn start_on(address: &str, config: SwitchConfig) -> Self {
        Self::start_with(address, config, false)
    }

    /// Peers that connect by TLS need a certificate.
    pub async fn start_mutual() -> Self {
        Self::start_with("127.0.0.1:0", SwitchConfig::default(), true)
    }

    fn start_with(address: &str, config: SwitchConfig, mutual: bool) -> Self {
        let authority = Authority::new();
        let (chain, key) = authority.pair();
        let authorities = Some(vec![authority.certificate.clone()]);
        let client_authorities = authorities.clone().filter(|_| mutual);
        let tls = Tls::new(TlsMaterial { chain, key, authorities, client_authorities }).expect("usable");
        let address: SocketAddr = address.parse().expect("an address");
        let config = SwitchConfig {
            udp: vec![address],
            tcp: vec![address],
            tls: vec![address],
            ws: vec![address],
            wss: vec![address],
            certificates: Some(tls),
            ..config
        };
        let description =
            Description { name: "test".into(), version: "1".into(), http_prefix: "/".into(), state_schema: 1 };
        Self {
            switch: Switch::start(config).expect("starts"),
            tenant: Tenant::new("example.com".into(), Settings::new(Arc::new(Nobody))),
            logic: Arc::new(Caller(description)),
            authority,
        }
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        self.switch.addresses(transport)[0]
    }

    /// Places a call in the background: the guest answers when it is staged. Its key.
    pub fn place(&self, target: &str) -> String {
        let (switch, tenant, logic) = (self.switch.clone(), self.tenant.clone(), self.logic.clone());
        let request = http("POST", target);
        tokio::spawn(async move { switch.http(&tenant, &logic.into(), Principal::Trusted, request).await });
        target.to_owned()
    }

    pub async fn hang_up(&self, call: &str) {
        let newcomers = self.logic.clone().into();
        let asked = self.switch.http(&self.tenant, &newcomers, Principal::Trusted, http("DELETE", call));
        assert_eq!(asked.await.status, 200);
    }

    /// Waits until a call was placed and all are over.
    pub async fn await_no_calls(&self) {
        let counters = &self.tenant.counters;
        self.until("the end of the call", || counters.calls_placed.value() > 0 && self.switch.counters().calls == 0)
            .await;
    }

    pub async fn await_connections(&self, number: u64) {
        self.until("connections", || self.switch.counters().connections_open == number).await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(PATIENCE, wait).await.is_ok(), "waited in vain for {what}");
    }

    /// Where a phone is called.
    pub async fn listen(&self, transport: Transport) -> Phones {
        self.listen_as(transport, &self.authority).await
    }

    /// The same by TLS, and who calls needs a certificate.
    pub async fn listen_mutual(&self) -> Phones {
        Phones { tls: Some(self.authority.acceptor(true)), ..self.listen(Transport::Tls).await }
    }

    /// The same, with a certificate of some authority.
    pub async fn listen_as(&self, transport: Transport, authority: &Authority) -> Phones {
        let ip = self.address(transport).ip();
        let tls = transport.is_secure().then(|| authority.acceptor(false));
        Phones { listener: TcpListener::bind((ip, 0)).await.expect("bound"), tls, transport }
    }

    /// A phone that connects.
    pub async fn connect(&self, transport: Transport) -> Link {
        match transport {
            Transport::Tls => self.connect_tls(false).await,
            _ => self.connect_plain(transport).await,
        }
    }

    pub async fn connect_tls(&self, with_certificate: bool) -> Link {
        let stream = TcpStream::connect(self.address(Transport::Tls)).await.expect("accepted");
        let name = ServerName::from(self.address(Transport::Tls).ip());
        let connector = self.authority.connector(with_certificate);
        Link::new(connector.connect(name, stream).await.expect("a handshake"))
    }

    pub async fn connect_plain(&self, transport: Transport) -> Link {
        Link::new(TcpStream::connect(self.address(transport)).await.expect("accepted"))
    }
}

fn http(method: &str, path: &str) -> HttpRequest {
    HttpRequest { method: method.into(), path: path.into(), query: None, headers: Vec::new(), body: Vec::new() }
}

/// A listener of phones.
pub struct Phones {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    transport: Transport,
}

impl Phones {
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("bound").port()
    }

    /// Its Contact, of the scheme of `target`.
    pub fn contact(&self, target: &str) -> String {
        let address = self.listener.local_addr().expect("bound");
        match &self.tls {
            // A phone in a browser has no address (RFC 7118).
            _ if self.transport.is_web_socket() => "sip:bob@df7jal23ls0d.invalid;transport=ws".to_owned(),
            Some(_) if target.starts_with("sips:") => format!("sips:bob@{address}"),
            Some(_) => format!("sip:bob@{address};transport=tls"),
            None => format!("sip:bob@{address};transport=tcp"),
        }
    }

    pub async fn accept(&self) -> Link {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("accepted");
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.accept(stream).await.expect("a handshake")),
            None => Box::new(stream),
        };
        match self.transport.is_web_socket() {
            true => Link::new(WebSocketBytes::accept(stream).await),
            false => Link::new(stream),
        }
    }

    /// Whether whoever connects does not go through with TLS.
    pub async fn handshake_fails(&self) -> bool {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("in time").expect("accepted");
        match self.tls.as_ref().expect("TLS").accept(stream).await {
            Err(_) => true,
            // In TLS 1.3 the client's alert comes after the server is done.
            Ok(stream) => Link::new(stream).rest().await.is_empty(),
        }
    }

    pub async fn nobody_else(&self) -> bool {
        timeout(QUIET, self.listener.accept()).await.is_err()
    }
}

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One end of a connection, with what was read too far.
pub struct Link {
    stream: Box<dyn Stream>,
    read: Vec<u8>,
}

impl Link {
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), read: Vec::new() }
    }

    /// A request outside any dialog.
    pub fn options(sequence: u32) -> String {
        format!(
            "OPTIONS sip:plugboard SIP/2.0\r\nVia: SIP/2.0/TCP phone.test;branch=z9hG4bK{sequence}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:bob@phone.test>;tag=1\r\nTo: <sip:plugboard>\r\nCall-ID: options\r\n\
             CSeq: {sequence} OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
    }

    pub async fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes()).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await; // the other end may have closed
        let _ = self.stream.flush().await;
    }

    /// The next message; none of those that Plugboard sends here has a body but INVITE.
    pub async fn message(&mut self) -> String {
        timeout(PATIENCE, self.read_message()).await.expect("a message in time")
    }

    async fn read_message(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.read).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let end = head.len() + 4 + length.map_or(0, |length| length.parse().expect("a number"));
                if self.read.len() >= end {
                    return String::from_utf8_lossy(&self.read.drain(..end).collect::<Vec<u8>>()).into_owned();
                }
            }
            let mut buffer = [0; 4096];
            let length = self.stream.read(&mut buffer).await.expect("readable");
            assert_ne!(length, 0, "the connection was closed after {text:?}");
            self.read.extend_from_slice(&buffer[..length]);
        }
    }

    pub async fn request(&mut self, method: &str) -> String {
        let request = self.message().await;
        assert!(request.starts_with(&format!("{method} ")), "{method}, not {request}");
        request
    }

    pub async fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        timeout(PATIENCE, self.stream.read_exact(&mut bytes)).await.expect("in time").expect("readable");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until the connection closes; a reset counts as closed.
    pub async fn rest(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.read);
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("closed in time");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Answers a request.
    pub async fn answer(&mut self, request: &str, status: &str, fields: &str) {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| field(request, name));
        let [via, from, to, call_id, cseq] = copied;
        let tag = if to.contains("tag=") { "" } else { ";tag=phone" };
        self.write(&format!(
            "SIP/2.0 {status}\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\
             {fields}Content-Length: 0\r\n\r\n"
        ))
        .await;
    }

    /// Sends a request inside the dialog that an INVITE opened.
    pub async fn send_inside(&mut self, invite: &str, method: &str, sequence: u32) {
        let [from, to, call_id, contact] = ["To", "From", "Call-ID", "Contact"].map(|name| field(invite, name));
        let uri = contact.trim_matches(['<', '>']);
        let via = field(invite, "Via");
        let transport = via.split(['/', ' ']).nth(2).expect("a transport");
        self.write(&format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} phone.test;branch=z9hG4bKin{sequence}\r\n\
             Max-Forwards: 70\r\nFrom: {from};tag=phone\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {sequence} {method}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
    }
}

fn field<'m>(message: &'m str, name: &str) -> &'m str {
    let value = |line: &'m str| line.strip_prefix(name)?.strip_prefix(": ");
    message.lines().find_map(value).unwrap_or_else(|| panic!("no {name} in {message}"))
}
