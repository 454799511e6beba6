//! A small tenant around a version: a directory of one user, a cache, and a stage for each event.
#![allow(dead_code)] // each test file uses a part

use plugboard_calls::cache::MemoryCache;
use plugboard_calls::contract::*;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::stage::{Committed, LogLine, Setting, Stage, View};
use plugboard_engine::{Engine, EngineLimits, Tried, Version, processor_time};
use plugboard_sip::time::Time;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// A fixture in service, with a neighbour in the same engine that must not notice what the fixture does.
pub struct Bench {
    pub engine: Engine,
    pub version: Arc<Version>,
    neighbour: Arc<Version>,
    neighbour_events: AtomicU32,
}

impl Bench {
    pub fn new(fixture: &str) -> Self {
        Self::with(fixture, EngineLimits::default())
    }

    pub fn with(fixture: &str, limits: EngineLimits) -> Self {
        let engine = Engine::new(limits, None).expect("the engine runs here");
        let version = tried(&engine, fixture).version(&[1; 32], Arc::default());
        let neighbour = tried(&engine, "echo").version(&[2; 32], Arc::default());
        let bench = Self { engine, version, neighbour, neighbour_events: AtomicU32::new(0) };
        bench.neighbour_is_served();
        bench
    }

    /// One GET as an event of a call that is not known.
    pub fn get(&self, path: &str) -> Handled {
        get(&self.version, None, path)
    }

    /// The version serves a good event, and the neighbour still has the instance that it had from the start.
    pub fn still_works(&self) {
        let good = self.get("/callcontroller/ping");
        assert_eq!(good.breakdown(), None);
        assert!(good.says("pong"), "{good:?}");
        self.neighbour_is_served();
    }

    fn neighbour_is_served(&self) {
        let event = self.neighbour_events.fetch_add(1, Relaxed) + 1;
        let served = get(&self.neighbour, None, "/callcontroller/neighbour");
        assert!(served.says(&format!("events {event}")), "the neighbour lost its instance: {served:?}");
    }
}

/// What became of one event.
#[derive(Debug)]
pub struct Handled {
    pub outcome: Result<Committed, Breakdown>,
    pub log: Vec<LogLine>,
    pub took: Duration,
}

impl Handled {
    pub fn breakdown(&self) -> Option<&Breakdown> {
        self.outcome.as_ref().err()
    }

    /// Whether an effect or the state holds this text as bytes.
    pub fn says(&self, text: &str) -> bool {
        let bytes: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
        self.committed().contains(&bytes.join(", "))
    }

    /// How many effects of this name are committed.
    pub fn effects(&self, name: &str) -> usize {
        self.committed().matches(&format!("{name} {{")).count()
    }

    /// The effects are the core's own affair; its debug print is what there is to see of them.
    fn committed(&self) -> String {
        self.outcome.as_ref().map(|committed| format!("{committed:?}")).unwrap_or_default()
    }

    pub fn logged(&self, text: &str) -> bool {
        self.log.iter().any(|(_, line)| line.contains(text))
    }

    /// The deadline is looked at a few times in its length; the rest of the allowance is for a machine that is busy with
    /// other tests.
    pub fn in_time(&self, limits: &EngineLimits) {
        assert!(self.took < limits.event_deadline * 2 + BUSY_MACHINE, "took {:?}", self.took);
    }
}

const BUSY_MACHINE: Duration = Duration::from_millis(400);

/// One GET as an event.
pub fn get(version: &Version, state: Option<&[u8]>, path: &str) -> Handled {
    get_at(version, state, path, (1_700_000_000_000, 7))
}

/// One GET as an event of this time and seed.
pub fn get_at(version: &Version, state: Option<&[u8]>, path: &str, (now_unix_ms, seed): (u64, u64)) -> Handled {
    let context = Context {
        key: CallKey::new("key".to_owned()).expect("a short key"),
        domain: "example.com".into(),
        now_unix_ms,
        principal: Principal::Trusted,
        seed,
        ended_by_host: None,
    };
    let event = Event::Http { exchange: ExchangeId(1), request: request(path) };
    let before = processor_time();
    let (mut stage, outcome) = version.handle(&context, state, &event, stage());
    let took = processor_time().saturating_sub(before);
    Handled { log: stage.take_log(), outcome: stage.seal(outcome), took }
}

/// Asks which call a GET is about.
pub fn route(version: &Version, path: &str) -> Result<Routed, Breakdown> {
    version.route("example.com", &request(path), stage()).1
}

/// A GET; what stands behind a question mark is the query.
pub fn request(path: &str) -> HttpRequest {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query.to_owned())));
    HttpRequest {
        method: "GET".to_owned(),
        path: path.to_owned(),
        query,
        headers: vec![Header { name: "accept".to_owned(), value: "text/xml".to_owned() }],
        body: Vec::new(),
    }
}

pub fn stage() -> Stage {
    stage_with(View {
        exchanges: [ExchangeId(1)].into_iter().collect(),
        next_leg: 1,
        next_transaction: 1,
        ..View::default()
    })
}

/// A stage for an event that may refer to these.
pub fn stage_with(view: View) -> Stage {
    let mut settings = GuestSettings::default();
    settings.insert("tone", "dial".to_owned()).expect("within bounds");
    Stage::new(Setting {
        view,
        limits: Arc::default(),
        now: Time::from_millis(0),
        seed: 7,
        principal: Principal::Trusted,
        agent: None,
        call_id_host: Arc::from("example.com"),
        directory: Arc::new(Alice),
        cache: Arc::new(MemoryCache::new(1 << 20)),
        settings: Arc::new(settings),
    })
}

struct Alice;

impl Directory for Alice {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        ["alice", "sip:alice@example.com"].contains(&name).then(|| {
            Arc::new(UserRecord {
                name: "alice".to_owned(),
                identity: Identity { address_of_record: "sip:alice@example.com".to_owned(), display_name: None },
            })
        })
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

/// A component that runs, from what `./just guests` built.
pub fn tried(engine: &Engine, fixture: &str) -> Tried {
    let compiled = engine.check(component(fixture)).expect("the contract only").compile().expect("it compiles");
    compiled.try_out().expect("it describes itself")
}

pub fn component(fixture: &str) -> Vec<u8> {
    let file = top().join("target/guests").join(format!("{}.wasm", fixture.replace('_', "-")));
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; build it with ./just guests", file.display()))
}

/// The top of the checkout.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
