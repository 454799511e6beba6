//! Runs recorded calls against other call logic, event by event, and compares what comes of each.
//!
//! A call is run from its first event; one whose beginning is not in the journal is passed over, and one of which an
//! event is missing is left there. The candidate's state is its own: what the recorded version kept is never shown to
//! it. After the first difference the recorded events are no longer what would have come, so the rest of the call is
//! left out unless asked for.
//!
//! An event that broke a deadline or found the machine busy says nothing about the logic and is not compared.

use crate::line::{Broken, EventLine, Outcome, State};
use crate::mask;
use crate::read::{Recorded, comes_up};
use crate::render;
use crate::report::{Difference, Kind, Report};
use crate::rerun::World;
use plugboard_calls::contract::{CallKey, Event};
use plugboard_calls::effect::Effect;
use plugboard_calls::logic::{Logic, Routed};
use std::collections::{HashMap, VecDeque};

/// How a replay compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Goes on in a call after its first difference.
    pub all: bool,
    /// Compares the bytes of the state too: only for logic that must encode it the same.
    pub state: bool,
}

/// A replay under way.
pub struct Replay<'l> {
    candidate: &'l dyn Logic,
    options: Options,
    calls: HashMap<(String, String), Call>,
    tenants: HashMap<String, World>,
    report: Report,
}

/// How one event is run again and compared.
pub(crate) struct Comparison<'c> {
    pub(crate) candidate: &'c dyn Logic,
    pub(crate) options: Options,
    pub(crate) world: &'c World,
}

/// A call that is being run again.
enum Call {
    Runs(Running),
    /// Not compared any further.
    Left,
}

#[derive(Default)]
pub(crate) struct Running {
    state: Option<Vec<u8>>,
    began_unix_ms: u64,
    /// The number of the last event seen.
    number: u64,
    /// Events seen, in number.
    events: u64,
    differs: bool,
    /// The last events, for people.
    trail: VecDeque<String>,
}

/// Events before a difference that are told, in number.
const TRAIL_MAX: usize = 3;

impl<'l> Replay<'l> {
    /// A replay against this logic.
    pub fn new(candidate: &'l dyn Logic, options: Options) -> Self {
        let (calls, tenants) = (HashMap::new(), HashMap::new());
        Self { candidate, options, calls, tenants, report: Report::default() }
    }

    /// Runs the next event of the journal.
    pub fn event(&mut self, recorded: &Recorded) {
        let line = &recorded.line;
        let world = self.tenants.entry(line.domain.clone()).or_default();
        world.learn(line);
        let id = (line.domain.clone(), line.key.clone());
        let call = match self.calls.remove(&id) {
            _ if line.begins => {
                let counter = match comes_up(line) {
                    true => &mut self.report.calls,
                    false => &mut self.report.requests_without_call,
                };
                *counter += 1;
                let number = line.number.wrapping_sub(1);
                Call::Runs(Running { began_unix_ms: line.unix_ms, number, ..Running::default() })
            }
            Some(call) => call,
            None => {
                self.report.calls_without_beginning += 1;
                Call::Left
            }
        };
        let call = match call {
            Call::Runs(running) => self.run(recorded, running),
            Call::Left => Call::Left,
        };
        let over = matches!(line.outcome, Outcome::Committed { state: State::Over, .. });
        if !over {
            self.calls.insert(id, call);
        }
    }

    /// What came of it.
    pub fn finish(self) -> Report {
        self.report
    }

    fn run(&mut self, recorded: &Recorded, mut running: Running) -> Call {
        let line = &recorded.line;
        if line.number != running.number.wrapping_add(1) || line.answers.cut {
            self.report.calls_interrupted += 1;
            return Call::Left;
        }
        running.number = line.number;
        running.events += 1;
        let comparable = match &line.outcome {
            Outcome::Refused | Outcome::Overtaken => false,
            Outcome::Broken(broken) => !broken.is_by_chance(),
            Outcome::Committed { .. } => true,
        };
        let key = CallKey::new(line.key.clone()).filter(|_| comparable);
        let Some(key) = key else {
            self.report.events_left_out += 1;
            return Call::Runs(running);
        };
        self.report.events += 1;
        let comparison = self.tenants.get(&line.domain).map(|world| {
            let (candidate, options) = (self.candidate, self.options);
            Comparison { candidate, options, world }
        });
        let found = comparison.and_then(|comparison| comparison.event(recorded, line, &key, &mut running));
        let ended = running.state.is_none() && !matches!(line.outcome, Outcome::Broken(_));
        if let Some(difference) = found {
            self.report.add(difference, running.differs);
            running.differs = true;
            if !self.options.all || ended {
                return Call::Left;
            }
        }
        running.trail.push_back(render::moment(&running_time(&running, line), &line.event));
        if running.trail.len() > TRAIL_MAX {
            running.trail.pop_front();
        }
        Call::Runs(running)
    }
}

impl Running {
    /// A call before the event of this line, for a comparison of that event alone.
    pub(crate) fn before(line: &EventLine, state: Option<Vec<u8>>) -> Self {
        Self { state, began_unix_ms: line.unix_ms, events: line.number, ..Self::default() }
    }
}

impl Comparison<'_> {
    /// Runs the event and carries the candidate's state forward. `line`: the same event as people may be told of it.
    pub(crate) fn event(
        &self,
        recorded: &Recorded,
        line: &EventLine,
        key: &CallKey,
        running: &mut Running,
    ) -> Option<Difference> {
        let world = self.world;
        if let Event::Http { request, .. } = &recorded.line.event {
            let routed = world.route(self.candidate, recorded, request);
            let other = match routed.outcome {
                _ if !routed.unknown.is_empty() => None,
                Ok(Routed::Call(found)) if found == *key => None,
                Ok(Routed::Call(found)) => Some((Kind::Elsewhere, format!("the call {found}"))),
                Ok(Routed::Answer(answer)) => Some((Kind::Elsewhere, render::answer(&answer))),
                Err(breakdown) => Some((Kind::Failed, breakdown.to_string())),
            };
            if let Some((kind, got)) = other {
                let expected = vec![format!("the call {key}")];
                running.state = None;
                return Some(difference(kind, line, running, (expected, Vec::new()), (vec![got], Vec::new())));
            }
        }
        let rerun = world.handle(self.candidate, recorded, key, running.state.as_deref());
        let before = running.state.take();
        let mut effects = Vec::new();
        let got = match rerun.outcome {
            Ok(committed) => {
                world.keep(line, committed.effects());
                effects = committed.effects().to_vec();
                for effect in &mut effects {
                    mask::effect(effect);
                }
                running.state = committed.state().map(<[u8]>::to_vec);
                Ok(State::of(committed.state()))
            }
            Err(breakdown) => {
                running.state = before;
                Err(Broken::from(&breakdown))
            }
        };
        let mut difference = self.judge(line, running, effects, got)?;
        difference.unknown = rerun.unknown;
        Some(difference)
    }

    fn judge(
        &self,
        line: &EventLine,
        running: &Running,
        effects: Vec<Effect>,
        got: Result<State, Broken>,
    ) -> Option<Difference> {
        let (kind, expected, got) = match (&line.outcome, got) {
            (Outcome::Committed { effects: expected, state }, Ok(got)) => {
                let kind = self.differing(expected, state, &effects, &got)?;
                let told = |effects: &[Effect], state: &State| render::outcome(effects, state, kind == Kind::State);
                (kind, told(expected, state), told(&effects, &got))
            }
            (Outcome::Committed { effects: expected, state }, Err(broken)) => {
                (Kind::Failed, render::outcome(expected, state, false), vec![broken.to_string()])
            }
            (Outcome::Broken(broken), Ok(got)) => {
                (Kind::Recovered, vec![broken.to_string()], render::outcome(&effects, &got, false))
            }
            (Outcome::Broken(expected), Err(got)) if expected.kind == got.kind => return None,
            (Outcome::Broken(expected), Err(got)) => (Kind::Effects, vec![expected.to_string()], vec![got.to_string()]),
            (Outcome::Refused | Outcome::Overtaken, _) => return None,
        };
        let recorded = match &line.outcome {
            Outcome::Committed { effects, .. } => effects.clone(),
            _ => Vec::new(),
        };
        Some(difference(kind, line, running, (expected, recorded), (got, effects)))
    }

    fn differing(&self, expected: &[Effect], state: &State, effects: &[Effect], got: &State) -> Option<Kind> {
        let ends_alike = (*state == State::Over) == (*got == State::Over);
        if *expected != *effects || !ends_alike {
            return Some(Kind::Effects);
        }
        (self.options.state && *state != State::Withheld && state != got).then_some(Kind::State)
    }
}

fn difference(
    kind: Kind,
    line: &EventLine,
    running: &Running,
    (expected, expected_effects): (Vec<String>, Vec<Effect>),
    (got, got_effects): (Vec<String>, Vec<Effect>),
) -> Difference {
    Difference {
        kind,
        domain: line.domain.clone(),
        key: line.key.clone(),
        version: line.version.clone(),
        unix_ms: line.unix_ms,
        number: running.events,
        before: running.trail.iter().cloned().collect(),
        event: render::moment(&running_time(running, line), &line.event),
        expected,
        got,
        expected_effects,
        got_effects,
        unknown: Vec::new(),
    }
}

/// How long the call had been going on.
fn running_time(running: &Running, line: &EventLine) -> String {
    let ms = line.unix_ms.saturating_sub(running.began_unix_ms);
    format!("+{}.{:03}", ms / 1_000, ms % 1_000)
}
