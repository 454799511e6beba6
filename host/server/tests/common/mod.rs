//! A server on loopback whose call logic is a few lines of Rust, and a client that can misbehave.

#![allow(dead_code)] // each test file uses a part

use arc_swap::ArcSwap;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use plugboard_calls::contract::{CallKey, Context, Description, Event, HttpRequest, HttpResponse};
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::stage::Stage;
use plugboard_net::clock::Clock;
use plugboard_server::admin::{Admin, token};
use plugboard_server::api::Api;
use plugboard_server::auth::{Authenticator, Door};
use plugboard_server::config::{Config, HttpLimits};
use plugboard_server::deploy::{Deployments, Loaded, Loader, Policy, Stats, Store};
use plugboard_server::listen::{Handler, Listener, server_tls};
use plugboard_server::reload::Reloads;
use plugboard_server::state_dir::StateDir;
use plugboard_server::switch::{Switch, SwitchConfig};
use plugboard_server::tenants::{Tenant, Tenants};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a test waits for what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Answers every request at once with the component's name, the domain and what was asked for.
struct Echo(Description);

impl Logic for Echo {
    fn description(&self) -> &Description {
        &self.0
    }

    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        if request.path.ends_with("/slow") {
            std::thread::sleep(Duration::from_millis(300));
        }
        if request.path.ends_with("/call") {
            return (stage, Ok(CallKey::new("call".to_owned()).map(Routed::Call).expect("a key")));
        }
        let names: Vec<&str> = request.headers.iter().map(|header| header.name.as_str()).collect();
        let body = format!(
            "{} {domain} {} {} {} bytes, {}",
            self.0.name,
            request.method,
            request.path,
            request.body.len(),
            names.join(" ")
        );
        let response = HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() };
        (stage, Ok(Routed::Answer(response)))
    }

    fn handle(
        &self,
        _: &Context,
        _: Option<&[u8]>,
        _: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        (stage, Err(Breakdown::Trap("unreachable".to_owned())))
    }

    fn migrate(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Breakdown> {
        Err(Breakdown::Busy("test"))
    }
}

/// A component is its name; `bad` does not pass.
struct EchoLoader;

impl Loader for EchoLoader {
    fn id(&self, component: &[u8], _: &GuestSettings) -> String {
        format!("id-{}", String::from_utf8_lossy(component))
    }

    fn load(&self, component: &[u8], settings: &Arc<GuestSettings>) -> Result<Loaded, String> {
        let name = String::from_utf8_lossy(component).into_owned();
        if name == "bad" {
            return Err("the component imports wasi:sockets/tcp, which no controller may have".to_owned());
        }
        let (version, http_prefix) = ("1".to_owned(), "/callcontroller".to_owned());
        let logic = Arc::new(Echo(Description { name: name.clone(), version, http_prefix, state_schema: 1 }));
        Ok(Loaded { id: self.id(component, settings), logic, stats: Box::new(Stats::default), rest: Box::new(|| {}) })
    }
}

/// Two tenants; the first trusts 127.0.0.2 and lets one origin ask.
pub const TENANTS: &str = r#"
[tenants."one.test"]
hosts = ["pbx.one.test"]
trusted = ["127.0.0.2/32"]
cors_origins = ["https://portal.test"]
[tenants."one.test".users.alice]
pin = "123"
[tenants."one.test".users.bob]
pin = "456"
[tenants."two.test".users.carol]
pin = "789"
"#;

/// Bounds that a test can wait for.
pub fn short() -> HttpLimits {
    HttpLimits {
        handshake_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        idle_timeout: Duration::from_millis(600),
        body_bytes_max: 1_000,
        ..HttpLimits::default()
    }
}

/// A running server.
pub struct Served {
    pub https: SocketAddr,
    pub digest: SocketAddr,
    pub admin: SocketAddr,
    pub token: String,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    connector: TlsConnector,
    _folder: TempDir,
}

impl Served {
    /// A server with these bounds.
    pub async fn start(limits: HttpLimits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = StateDir::open(folder.path()).expect("made");
        let config = Config::parse(Path::new("test.toml"), TENANTS).expect("valid");
        let tenants = config.tenants.iter().map(|tenant| {
            let store = Store::open(&state_dir, &tenant.domain).expect("made");
            let deployments =
                Deployments::start(Arc::new(EchoLoader), store, b"echo", None, Policy::default()).expect("passes");
            (Tenant::new(tenant, Arc::new(deployments)), tenant.hosts.clone())
        });
        let tenants = Arc::new(ArcSwap::from_pointee(Tenants::new(tenants.collect()).expect("two")));
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let switch = SwitchConfig { udp: vec![loopback], ..SwitchConfig::default() };
        let switch = Switch::start(switch).expect("starts");
        let authenticator = Arc::new(Authenticator::new([1; 32], 1));
        let (clock, (stop, stopped)) = (Clock::start(), watch::channel(false));

        let tls = server_tls(None, &state_dir, vec!["localhost".to_owned()]).expect("a certificate").tls;
        let tls = Arc::new(ArcSwap::new(tls));
        // All addresses, so that a test can ask from 127.0.0.2 too.
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut tasks = Vec::new();
        let mut addresses = Vec::new();
        let mut listeners = Vec::new();
        for (name, door, tls) in [("https", Door::Https, Some(tls)), ("digest", Door::Digest, None)] {
            let listener = Listener::bind(name, anywhere, tls, limits.clone()).await.expect("bound");
            addresses.push(SocketAddr::from(([127, 0, 0, 1], listener.address().expect("bound").port())));
            listeners.push((name, listener.counters()));
            let (tenants, switch, authenticator) = (tenants.clone(), switch.clone(), authenticator.clone());
            let api: Arc<dyn Handler> =
                Arc::new(Api { door, tenants, authenticator, switch, clock, limits: limits.clone() });
            tasks.push(tokio::spawn(listener.serve(api, stopped.clone())));
        }
        let listener = Listener::bind("admin", loopback, None, limits.clone()).await.expect("bound");
        let admin = listener.address().expect("bound");
        let handler = Admin {
            tenants,
            switch,
            clock,
            token: token::Token::open(&state_dir, [7; 32]).expect("made"),
            limits,
            ready: Arc::new(AtomicBool::new(true)),
            reloads: Reloads::channel().0,
            authenticator,
            listeners,
        };
        tasks.push(tokio::spawn(listener.serve(Arc::new(handler), stopped)));
        let connector = connector(&folder.path().join("self-signed.pem"));
        let token = "07".repeat(32);
        let (https, digest) = (addresses[0], addresses[1]);
        Self { https, digest, admin, token, stop, tasks, connector, _folder: folder }
    }

    /// A connection without TLS.
    pub async fn plain(&self, address: SocketAddr) -> TcpStream {
        TcpStream::connect(address).await.expect("accepted")
    }

    /// A TLS connection that offers one protocol.
    pub async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        self.tls_over(protocol, self.plain(self.https).await).await
    }

    /// A TLS connection from another address of this machine.
    pub async fn tls_from(&self, source: [u8; 4]) -> TlsStream<TcpStream> {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((source, 0))).expect("an address of loopback");
        self.tls_over("http/1.1", socket.connect(self.https).await.expect("accepted")).await
    }

    async fn tls_over(&self, protocol: &str, socket: TcpStream) -> TlsStream<TcpStream> {
        let mut config = (**self.connector.config()).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.expect("a handshake")
    }

    /// Asks the admin API, with the token.
    pub async fn admin(&self, method: &str, path: &str, body: &str) -> Said {
        let token = format!("Authorization: Bearer {}\r\n", self.token);
        let length = format!("Content-Length: {}\r\n", body.len());
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{token}{length}\r\n{body}");
        said(self.plain(self.admin).await, &request).await
    }

    /// Stops all listeners and waits until they have.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("stops in time").expect("does not panic");
        }
    }
}

fn connector(certificate: &Path) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).expect("the self-signed one");
    roots.add(certificate).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Said {
    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let field = |line: &str| line.split_once(": ").is_some_and(|(own, _)| own.eq_ignore_ascii_case(name));
        self.head.lines().filter(|line| field(line)).filter_map(|line| line.split_once(": ")).map(|(_, v)| v).collect()
    }
}

/// Sends a request as it is and reads until the connection closes.
pub async fn said(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Said {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let text = tokio::time::timeout(PATIENCE, to_end(&mut stream)).await.expect("an answer in time");
    parsed(&text)
}

/// Sends a request as it is and reads the one answer, for which the connection stays open.
pub async fn said_kept(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> Said {
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut text = Vec::new();
    loop {
        let mut some = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut some)).await.expect("in time").expect("readable");
        assert_ne!(read, 0, "the connection was closed");
        text.extend_from_slice(&some[..read]);
        let answer = parsed(&String::from_utf8_lossy(&text));
        let length = answer.values("content-length").first().and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| answer.body.len() >= length) {
            return answer;
        }
    }
}

fn parsed(text: &str) -> Said {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Said { status, head: head.to_owned(), body: body.to_owned() }
}

/// Everything until the connection closes; a reset counts as closed.
pub async fn to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An HTTP/1.1 GET for `path` with these fields, after which the connection closes.
pub fn get(host: &str, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n")
}

/// A GET over HTTP/2.
pub async fn get_over_http2(stream: TlsStream<TcpStream>, uri: &str, authorization: &str) -> (u16, String) {
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .expect("a handshake");
    let connection = tokio::spawn(connection);
    let request = http::Request::get(uri).header("authorization", authorization).body(Full::<Bytes>::default());
    let response = sender.send_request(request.expect("valid")).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    connection.abort();
    (status, String::from_utf8_lossy(&body).into_owned())
}
