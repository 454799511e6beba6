//! One live event at a time, compared with what a candidate makes of it.

use plugboard_calls::contract::*;
use plugboard_calls::limits::Limits;
use plugboard_calls::logic::{Breakdown, Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::record::{Record, Settled};
use plugboard_calls::stage::{Setting, Stage, View};
use plugboard_calls::tenant::{SESSION_EXPIRES_SECONDS, Settings, Tenant};
use plugboard_journal::Kind;
use plugboard_journal::line::Outcome;
use plugboard_journal::read;
use plugboard_journal::shadow::{Compared, Seen, compare};
use plugboard_journal::{Bounds, Journal};
use plugboard_sip::time::Time;
use std::borrow::Cow;
use std::sync::Arc;

/// The state of the call before its event.
const STATE: &[u8] = b"state";

/// Sets a timer for as many milliseconds as the state it gets has bytes, and some.
struct Timers {
    description: Description,
    more_ms: u64,
    migrates: Result<Vec<u8>, Breakdown>,
    breaks: Option<Breakdown>,
}

impl Timers {
    fn new(state_schema: u32, more_ms: u64) -> Self {
        let (name, version, http_prefix) = ("timers".to_owned(), "1".to_owned(), "/".to_owned());
        let description = Description { name, version, http_prefix, state_schema };
        Self { description, more_ms, migrates: Err(Breakdown::Trap("never asked".to_owned())), breaks: None }
    }
}

impl Logic for Timers {
    fn description(&self) -> &Description {
        &self.description
    }

    fn route(&self, _: &str, _: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        (stage, Err(Breakdown::Trap("never asked".to_owned())))
    }

    fn handle(
        &self,
        _: &Context,
        state: Option<&[u8]>,
        _: &Event,
        mut stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        if let Some(breakdown) = self.breaks.clone() {
            return (stage, Err(breakdown));
        }
        let bytes = state.map_or(0, <[u8]>::len) as u64;
        stage.set_timer("next".to_owned(), bytes + self.more_ms).expect("staged");
        (stage, Ok(state.map(<[u8]>::to_vec)))
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        assert_eq!((from_schema, state), (1, STATE));
        self.migrates.clone()
    }
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

/// An event of a call, as the live version handled it.
fn seen(live: &Timers) -> Seen {
    let (limits, directory) = (Arc::new(Limits::default()), Arc::new(Nobody));
    let settings = Settings {
        limits: limits.clone(),
        directory: directory.clone(),
        outbound_proxy: None,
        session_expires_seconds: SESSION_EXPIRES_SECONDS,
    };
    let tenant = Tenant::new("example.com".to_owned(), settings);
    let context = Context {
        key: CallKey::new("alice:bob".to_owned()).expect("a key"),
        domain: tenant.domain.clone(),
        now_unix_ms: 1_000,
        principal: Principal::Network,
        seed: 7,
        ended_by_host: None,
    };
    let (view, call_id_host, event) = (View::default(), Arc::<str>::from("host"), Event::Timer("now".to_owned()));
    let stage = Stage::new(Setting {
        view: view.clone(),
        limits: limits.clone(),
        now: Time::from_millis(context.now_unix_ms),
        seed: context.seed,
        principal: Principal::Network,
        agent: None,
        call_id_host: call_id_host.clone(),
        directory,
        cache: tenant.cache.clone(),
        settings: Arc::default(),
    });
    let (mut stage, outcome) = live.handle(&context, Some(STATE), &event, stage);
    let (answers, outcome) = (stage.take_answers(), stage.seal(outcome));
    let record = Record {
        tenant,
        limits,
        settings: Arc::default(),
        version: live.version_id(),
        number: 3,
        begins: false,
        context: Cow::Owned(context),
        call_id_host,
        agent: None,
        view: Cow::Owned(view),
        event: event.into(),
        answers: Cow::Owned(answers),
        outcome: outcome.map(Cow::Owned).map_err(Cow::Owned),
    };
    Seen { record, state: Some(STATE.to_vec()), schema: live.description.state_schema }
}

#[test]
fn an_event_of_which_nothing_happened_after_all_is_written_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = Journal::start(folder.path(), Bounds::default(), 10).expect("a thread");
    for settled in [Settled::Refused, Settled::Committed, Settled::Overtaken] {
        let draft = journal.draft(seen(&Timers::new(1, 10)).record).expect("it can be written");
        journal.note(draft, settled);
    }
    drop(journal);
    let files = read::files(folder.path()).expect("a journal");
    let events = read::events(files.first().expect("a file")).expect("readable");
    let outcomes: Vec<&Outcome> = events.iter().map(|event| &event.line.outcome).collect();
    assert!(matches!(outcomes[..], [Outcome::Refused, Outcome::Committed { .. }, Outcome::Overtaken]), "{outcomes:?}");
}

#[test]
fn the_same_logic_with_the_same_state_does_the_same() {
    let live = Timers::new(1, 10);
    assert!(matches!(compare(&Timers::new(1, 10), seen(&live)), Compared::Same));
    let Compared::Differs(difference) = compare(&Timers::new(1, 20), seen(&live)) else { panic!("another timer") };
    assert_eq!((difference.kind, difference.key.as_str(), difference.number), (Kind::Effects, "alice:bob", 3));
    let text = difference.to_string();
    assert!(text.contains("- timer next in 15 ms") && text.contains("+ timer next in 25 ms"), "{text}");
}

#[test]
fn a_state_of_another_schema_goes_through_migrate_first() {
    let live = Timers::new(1, 10);
    let moved = Timers { migrates: Ok(b"moved, ten more".to_vec()), ..Timers::new(2, 0) };
    assert!(matches!(compare(&moved, seen(&live)), Compared::Same), "15 bytes, 15 ms");
    let refuses = Timers { migrates: Err(Breakdown::Trap("schema 1".to_owned())), ..Timers::new(2, 0) };
    let Compared::Refused(why) = compare(&refuses, seen(&live)) else { panic!("not compared") };
    assert!(why.contains("schema 1"), "{why}");
}

#[test]
fn a_failure_is_a_difference_unless_chance_had_a_part_in_the_live_one() {
    let live = Timers::new(1, 10);
    let crashes = |breakdown| Timers { breaks: Some(breakdown), ..Timers::new(1, 10) };
    let Compared::Differs(difference) = compare(&crashes(Breakdown::Trap("x".to_owned())), seen(&live)) else {
        panic!("it fails");
    };
    assert_eq!(difference.kind, Kind::Failed);
    assert!(matches!(compare(&live, seen(&crashes(Breakdown::Deadline(50)))), Compared::LeftOut));
    let recovered = compare(&live, seen(&crashes(Breakdown::Trap("x".to_owned()))));
    assert!(matches!(recovered, Compared::Differs(difference) if difference.kind == Kind::Recovered));
}
