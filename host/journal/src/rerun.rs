//! Runs one recorded event again, with everything that the guest could see as it was.

use crate::line::EventLine;
use crate::read::Recorded;
use plugboard_calls::cache::{Cache, MemoryCache};
use plugboard_calls::contract::{CallKey, Context, HttpRequest, Identity};
use plugboard_calls::effect::Effect;
use plugboard_calls::logic::{Breakdown, Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::stage::{Committed, Setting, Stage, View};
use plugboard_calls::tenant::Tenant;
use plugboard_sip::time::Time;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often an event is tried that broke down by chance.
const TRIES: usize = 3;
/// What candidates may keep in the cache of one tenant, in bytes.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// What is known of a tenant from the events so far.
pub(crate) struct World {
    users: HashMap<String, Option<Arc<UserRecord>>>,
    cache: Arc<MemoryCache>,
    /// The tenant itself, for what the event did not ask, where it can be asked.
    tenant: Option<Arc<Tenant>>,
}

/// What came of an event.
pub(crate) struct Rerun<T> {
    pub(crate) outcome: Result<T, Breakdown>,
    /// What the candidate wanted to know and the journal cannot say.
    pub(crate) unknown: Vec<String>,
}

impl Default for World {
    fn default() -> Self {
        Self { users: HashMap::new(), cache: Arc::new(MemoryCache::new(CACHE_BYTES)), tenant: None }
    }
}

impl World {
    /// One in which the tenant can be asked. Nothing that a candidate does reaches it.
    pub(crate) fn beside(tenant: Arc<Tenant>) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }

    /// Remembers who was found, for candidates that ask at other moments.
    pub(crate) fn learn(&mut self, line: &EventLine) {
        for answer in &line.answers.users {
            self.users.insert(answer.name.clone(), answer.found.clone());
        }
    }

    /// Runs the event against this state.
    pub(crate) fn handle(
        &self,
        logic: &dyn Logic,
        recorded: &Recorded,
        key: &CallKey,
        state: Option<&[u8]>,
    ) -> Rerun<Committed> {
        let line = &recorded.line;
        let context = Context {
            key: key.clone(),
            domain: line.domain.as_str().into(),
            now_unix_ms: line.unix_ms,
            principal: line.principal.clone(),
            seed: line.seed,
            ended_by_host: line.ended_by_host,
        };
        self.attempt(recorded, |setting| {
            let (stage, outcome) = logic.handle(&context, state, &line.event, Stage::new(setting));
            stage.seal(outcome)
        })
    }

    /// Asks which call the request is about.
    pub(crate) fn route(&self, logic: &dyn Logic, recorded: &Recorded, request: &HttpRequest) -> Rerun<Routed> {
        self.attempt(recorded, |mut setting| {
            Arc::make_mut(&mut setting.limits).effects_per_event = 0;
            (setting.view, setting.seed, setting.agent) = (View::default(), 0, None);
            logic.route(&recorded.line.domain, request, Stage::new(setting)).1
        })
    }

    /// Makes what the candidate wrote to the cache visible to its later events.
    pub(crate) fn keep(&self, line: &EventLine, effects: &[Effect]) {
        let now = Time::from_millis(line.unix_ms);
        for effect in effects {
            match effect {
                Effect::CachePut { key, value, ttl_seconds } => {
                    let expires = now + Duration::from_secs(u64::from(*ttl_seconds));
                    self.cache.put(key, value.clone(), expires, now);
                }
                Effect::CacheRemove { key } => self.cache.remove(key),
                _ => {}
            }
        }
    }

    fn attempt<T>(&self, recorded: &Recorded, run: impl Fn(Setting) -> Result<T, Breakdown>) -> Rerun<T> {
        let mut tries = 0;
        loop {
            let told = Arc::new(Told::new(self, &recorded.line));
            let outcome = run(setting(recorded, &told));
            tries += 1;
            let by_chance = matches!(outcome, Err(Breakdown::Deadline(_) | Breakdown::Busy(_)));
            if !by_chance || tries == TRIES {
                let unknown = std::mem::take(&mut *told.unknown.lock().unwrap_or_else(PoisonError::into_inner));
                return Rerun { outcome, unknown };
            }
        }
    }
}

fn setting(recorded: &Recorded, told: &Arc<Told>) -> Setting {
    let line = &recorded.line;
    Setting {
        view: line.view.clone(),
        limits: recorded.limits.clone(),
        now: Time::from_millis(line.unix_ms),
        seed: line.seed,
        principal: line.principal.clone(),
        agent: line.agent.as_deref().map(Arc::from),
        call_id_host: Arc::from(line.call_id_host.as_str()),
        directory: told.clone(),
        cache: told.clone(),
        settings: recorded.settings.clone(),
    }
}

/// Directory and cache as they answered at the time. What they were not asked then they answer from what is known
/// otherwise, and take note when nothing is.
struct Told {
    users: HashMap<String, Option<Arc<UserRecord>>>,
    values: HashMap<String, Option<Vec<u8>>>,
    cache: Arc<MemoryCache>,
    tenant: Option<Arc<Tenant>>,
    unknown: Mutex<Vec<String>>,
}

impl Told {
    fn new(world: &World, line: &EventLine) -> Self {
        let mut users = world.users.clone();
        users.extend(line.answers.users.iter().map(|answer| (answer.name.clone(), answer.found.clone())));
        let values = line.answers.values.iter().map(|answer| (answer.key.clone(), answer.value.clone())).collect();
        Self { users, values, cache: world.cache.clone(), tenant: world.tenant.clone(), unknown: Mutex::default() }
    }

    fn note(&self, what: String) {
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if unknown.len() < UNKNOWN_MAX && !unknown.contains(&what) {
            unknown.push(what);
        }
    }
}

/// Questions without an answer that are kept of one event, in number.
const UNKNOWN_MAX: usize = 16;

impl Directory for Told {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        match (self.users.get(name), &self.tenant) {
            (Some(found), _) => found.clone(),
            (None, Some(tenant)) => tenant.settings().directory.find(name),
            (None, None) => {
                // A user is also known by the address under which another name led to it.
                let known = |user: &&Arc<UserRecord>| matches(&user.identity, name) || user.name == name;
                let found = self.users.values().flatten().find(known).cloned();
                if found.is_none() {
                    self.note(format!("who {name:?} is"));
                }
                found
            }
        }
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

fn matches(identity: &Identity, name: &str) -> bool {
    identity.address_of_record == name || identity.address_of_record.strip_prefix("sip:") == Some(name)
}

impl Cache for Told {
    fn get(&self, key: &str, now: Time) -> Option<Vec<u8>> {
        match (self.values.get(key), &self.tenant) {
            (Some(value), _) => value.clone(),
            (None, Some(tenant)) => tenant.cache.get(key, now),
            (None, None) => {
                let found = self.cache.get(key, now);
                if found.is_none() {
                    self.note(format!("what the cache holds for {key:?}"));
                }
                found
            }
        }
    }

    fn put(&self, _: &str, _: Vec<u8>, _: Time, _: Time) -> usize {
        0
    }

    fn remove(&self, _: &str) {}
}
