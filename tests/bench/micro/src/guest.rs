//! Events through the built-in controller, as `./just guests` built it.

use plugboard_calls::cache::MemoryCache;
use plugboard_calls::contract::*;
use plugboard_calls::logic::{Credentials, Directory, Logic, UserRecord};
use plugboard_calls::stage::{Setting, Stage, View};
use plugboard_engine::{Engine, EngineLimits, Version};
use plugboard_sip::time::Time;
use std::path::Path;
use std::sync::Arc;

/// The component; another with PLUGBOARD_CONTROLLER.
const COMPONENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../target/guests/controller.wasm");
const NOW_MS: u64 = 1_700_000_000_000;

/// A REFER-mode call whose phone was called, and the version that it runs on.
pub struct Guest {
    version: Arc<Version>,
    cache: Arc<MemoryCache>,
    /// The state after the POST.
    state: Vec<u8>,
}

impl Guest {
    /// Compiles the component and places the call.
    ///
    /// # Panics
    /// When the component is missing or does not place the call.
    pub fn new() -> Self {
        let version = version();
        let mut guest = Self { version, cache: Arc::new(MemoryCache::new(1 << 20)), state: Vec::new() };
        let post = guest.http("POST");
        guest.state =
            guest.handle(None, Principal::Trusted, &post, View { next_leg: 1, next_transaction: 1, ..view() });
        guest
    }

    /// Throws the idle instances away, so that the next event makes one.
    pub fn rest(&self) {
        self.version.rest();
    }

    /// The phone rings.
    ///
    /// # Panics
    /// When the guest breaks down.
    pub fn response(&self) {
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        let event = Event::Response(IncomingResponse {
            leg: LegId(1),
            transaction: TransactionId(1),
            method: "INVITE".to_owned(),
            status: 180,
            reason: "Ringing".to_owned(),
            contacts: Vec::new(),
            answerable: false,
            headers: vec![
                header("Allow", "INVITE, ACK, CANCEL, BYE, REFER, NOTIFY, OPTIONS"),
                header("Supported", "replaces, timer"),
                header("User-Agent", "phone 1.0"),
            ],
            body: Vec::new(),
        });
        let legs = vec![plugboard_calls::stage::LegView { id: LegId(1), dialog: false, released: false }];
        let view = View { legs: legs.into(), next_leg: 2, next_transaction: 2, pending: 1, ..View::default() };
        self.handle(Some(&self.state), Principal::Network, &event, view);
    }

    /// A GET of the call's status, as XML.
    ///
    /// # Panics
    /// When the guest breaks down.
    pub fn status(&self) {
        let view = View { next_leg: 2, next_transaction: 2, ..view() };
        self.handle(Some(&self.state), Principal::Trusted, &self.http("GET"), view);
    }

    fn http(&self, method: &str) -> Event {
        let request = HttpRequest {
            method: method.to_owned(),
            path: "/callcontroller/alice/bob".to_owned(),
            query: None,
            headers: vec![Header { name: "accept".to_owned(), value: "text/xml".to_owned() }],
            body: Vec::new(),
        };
        Event::Http { exchange: ExchangeId(1), request }
    }

    /// Runs one event, and says the state that comes of it.
    fn handle(&self, state: Option<&[u8]>, principal: Principal, event: &Event, view: View) -> Vec<u8> {
        let context = Context {
            key: CallKey::new("sip:alice@example.com:sip:bob@example.com".to_owned()).expect("a short key"),
            domain: "example.com".into(),
            now_unix_ms: NOW_MS,
            principal: principal.clone(),
            seed: 7,
            ended_by_host: None,
        };
        let stage = Stage::new(Setting {
            view,
            limits: Arc::default(),
            now: Time::from_millis(NOW_MS),
            seed: 7,
            principal,
            agent: None,
            call_id_host: Arc::from("192.0.2.1"),
            settings: Arc::default(),
            directory: Arc::new(Users),
            cache: self.cache.clone(),
        });
        let (stage, outcome) = self.version.handle(&context, state, event, stage);
        let committed = stage.seal(outcome).expect("a good event");
        committed.state().expect("a call that goes on").to_vec()
    }
}

impl Default for Guest {
    fn default() -> Self {
        Self::new()
    }
}

/// The component as a version in service.
pub(crate) fn version() -> Arc<Version> {
    let file = std::env::var("PLUGBOARD_CONTROLLER").unwrap_or_else(|_| COMPONENT.to_owned());
    let component = std::fs::read(Path::new(&file)).expect("the controller: build it with ./just guests");
    // A counted run is slow; few instances, as they take address space that valgrind does not have.
    let limits =
        EngineLimits { event_deadline: std::time::Duration::from_secs(60), instances: 4, ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    let compiled = engine.check(component).expect("the contract only").compile().expect("it compiles");
    compiled.try_out().expect("it describes itself").version(&[0; 32], Arc::default())
}

fn view() -> View {
    View { exchanges: [ExchangeId(1)].into_iter().collect(), ..View::default() }
}

/// Everyone is a user.
struct Users;

impl Directory for Users {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let name = name.trim_start_matches("sip:").split('@').next()?.to_owned();
        let identity = Identity { address_of_record: format!("sip:{name}@example.com"), display_name: None };
        Some(Arc::new(UserRecord { name, identity }))
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}
