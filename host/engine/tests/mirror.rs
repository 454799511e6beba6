//! Values on their way over the boundary, out of the host's types into those of a guest and back: whatever an event
//! holds, nothing of it is lost or changed. The guest is `guest/fixtures/examples/mirror.rs`.

mod support;

use plugboard_calls::chance::Chance;
use plugboard_calls::contract::*;
use plugboard_calls::effect::Effect;
use plugboard_calls::logic::Logic;
use plugboard_calls::stage::{LegView, Stage, View};
use plugboard_engine::{Engine, EngineLimits, Version};
use std::time::{Duration, Instant};
use support::*;

/// Events that are made up each time, in number.
const EVENTS: u64 = 4_000;

#[test]
fn what_an_event_holds_comes_back_as_it_was() {
    let version = mirror();
    (0..EVENTS).for_each(|seed| comes_back(&version, seed));
}

/// The same for as many seconds as `MIRROR_SECONDS` says, or a minute.
#[test]
#[ignore = "takes as long as it is told"]
fn what_many_events_hold_comes_back_as_it_was() {
    let version = mirror();
    let seconds = std::env::var("MIRROR_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
    let end = Instant::now() + Duration::from_secs(seconds);
    let seeds = (EVENTS..).take_while(|_| Instant::now() < end).inspect(|seed| comes_back(&version, *seed)).count();
    println!("{seeds} events");
}

fn mirror() -> std::sync::Arc<Version> {
    // However busy the machine is: this is not about time.
    let limits = EngineLimits { event_deadline: Duration::from_secs(30), ..EngineLimits::default() };
    let engine = Engine::new(limits, None).expect("the engine runs here");
    tried(&engine, "mirror").version(&[1; 32], Default::default())
}

fn comes_back(version: &Version, seed: u64) {
    let mut made = Made(Chance::new(seed));
    let (context, event) = (made.context(), made.event());
    let state = made.maybe(Made::body);
    let (stage, outcome) = version.handle(&context, state.as_deref(), &event, stage());
    let committed = stage.seal(outcome).unwrap_or_else(|breakdown| panic!("seed {seed}: {breakdown:?} of {event:?}"));
    let told = told(&context, state.as_deref(), &event);
    assert_eq!(committed.state(), Some(told.as_slice()), "seed {seed}: {event:?}");
    let given_back = committed.effects().iter().map(|effect| match effect {
        Effect::Request { headers, body, .. } => (headers.clone(), body.clone()),
        Effect::HttpRespond { response, .. } => (response.headers.clone(), response.body.clone()),
        other => panic!("seed {seed}: {other:?}"),
    });
    assert_eq!(given_back.collect::<Vec<_>>(), Vec::from_iter(message(&event)), "seed {seed}: {event:?}");
}

/// With a leg that messages can go out on, and the exchange of every HTTP event.
fn stage() -> Stage {
    let legs = vec![LegView { id: LegId(1), dialog: true, released: false }];
    let view = View {
        legs: legs.into(),
        exchanges: [EXCHANGE].into_iter().collect(),
        next_leg: 2,
        next_transaction: 1,
        ..View::default()
    };
    support::stage_with(view)
}

const EXCHANGE: ExchangeId = ExchangeId(u64::MAX);

/// The header fields and body that an event holds.
fn message(event: &Event) -> Option<(Vec<Header>, Vec<u8>)> {
    match event {
        Event::Http { request, .. } => Some((request.headers.clone(), request.body.clone())),
        Event::Request { headers, body, .. } | Event::Ack { headers, body, .. } => {
            Some((headers.clone(), body.clone()))
        }
        Event::Replacement { headers, body, .. } => Some((headers.clone(), body.clone())),
        Event::Response(response) => {
            let contacts = response.contacts.iter();
            let contacts = contacts.map(|value| Header { name: "X-Contact".to_owned(), value: value.clone() });
            Some((response.headers.iter().cloned().chain(contacts).collect(), response.body.clone()))
        }
        Event::Cancel { .. } | Event::Failure { .. } | Event::Timer(_) | Event::Ending(_) => None,
    }
}

/// All the rest, as the guest writes it down.
fn told(context: &Context, state: Option<&[u8]>, event: &Event) -> Vec<u8> {
    let mut told = Told(Vec::new());
    told.text(context.key.as_str()).text(&context.domain).number(context.now_unix_ms).number(context.seed);
    match &context.principal {
        Principal::Trusted => told.text("trusted"),
        Principal::User(name) => told.text("user").text(name),
        Principal::Network => told.text("network"),
    };
    told.number(context.ended_by_host.map_or(99, |reason| reason as u64));
    told.bytes(state.unwrap_or(b"no state"));
    match event {
        Event::Http { exchange, request } => {
            let query = request.query.as_deref().unwrap_or("no query");
            told.number(exchange.0).text(&request.method).text(&request.path).text(query)
        }
        Event::Request { leg, transaction, method, .. } => told.ids(*leg, *transaction).text(method),
        Event::Response(response) => {
            told.ids(response.leg, response.transaction).text(&response.method);
            told.number(response.status.into()).text(&response.reason).number(response.answerable.into())
        }
        Event::Ack { leg, transaction, .. } | Event::Cancel { leg, transaction } => told.ids(*leg, *transaction),
        Event::Replacement { leg, replaced, transaction, from, .. } => {
            told.ids(*leg, *transaction).number(replaced.0.into());
            told.text(&from.uri).text(from.display_name.as_deref().unwrap_or("no name"))
        }
        Event::Failure { leg, transaction, method, reason } => {
            told.ids(*leg, *transaction).text(method).number(*reason as u64)
        }
        Event::Timer(name) => told.text(name),
        Event::Ending(reason) => told.number(*reason as u64),
    };
    told.0
}

struct Told(Vec<u8>);

impl Told {
    fn ids(&mut self, leg: LegId, transaction: TransactionId) -> &mut Self {
        self.number(leg.0.into()).number(transaction.0.into())
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.text(&number.to_string())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Values that are made up.
struct Made(Chance);

impl Made {
    fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) > 0).then(|| make(self))
    }

    /// Any number, and the ends of its range more often.
    fn number(&mut self) -> u64 {
        [0, u64::MAX, self.0.next_u64(), self.0.next_u64() >> 40][self.below(4) as usize]
    }

    /// Any characters, of all lengths in UTF-8, with or without those that stay on a line.
    fn text(&mut self, on_a_line: bool) -> String {
        let length = [0, 1, 8, 300][self.below(4) as usize];
        let mut any = || {
            let bound = [0x80, 0x800, 0x1_0000, 0x11_0000][self.below(4) as usize];
            char::from_u32(self.below(bound) as u32).unwrap_or('\u{fffd}')
        };
        let fits = |c: &char| !on_a_line || !c.is_control();
        std::iter::repeat_with(&mut any).filter(fits).take(length).collect()
    }

    fn body(&mut self) -> Vec<u8> {
        let length = [0, 1, 100, 9_000][self.below(4) as usize];
        (0..length).map(|_| self.0.next_u64() as u8).collect()
    }

    fn headers(&mut self) -> Vec<Header> {
        let number = [0, 1, 12][self.below(3) as usize];
        (0..number).map(|at| Header { name: format!("X-{at}"), value: self.text(true) }).collect()
    }

    fn leg(&mut self) -> LegId {
        LegId(self.number() as u32)
    }

    fn transaction(&mut self) -> TransactionId {
        TransactionId(self.number() as u32)
    }

    fn ending(&mut self) -> EndingReason {
        use EndingReason::*;
        [Operator, Drained, TenantRemoved, Shutdown, Unacknowledged, Faulty][self.below(6) as usize]
    }

    fn failure(&mut self) -> FailureReason {
        use FailureReason::*;
        [TimedOut, Unreachable, Unresolved, Refused, SessionExpired][self.below(5) as usize]
    }

    fn context(&mut self) -> Context {
        let principal = match self.below(3) {
            0 => Principal::Trusted,
            1 => Principal::User(self.text(false)),
            _ => Principal::Network,
        };
        Context {
            key: CallKey::new(format!("k{}", self.below(1_000))).expect("a short key"),
            domain: self.text(false).into(),
            now_unix_ms: self.number(),
            principal,
            seed: self.number(),
            ended_by_host: self.maybe(Self::ending),
        }
    }

    fn event(&mut self) -> Event {
        match self.below(9) {
            0 => Event::Http { exchange: EXCHANGE, request: self.http() },
            1 => {
                let (leg, transaction, method) = (self.leg(), self.transaction(), self.text(false));
                Event::Request { leg, transaction, method, headers: self.headers(), body: self.body() }
            }
            2 => Event::Response(self.response()),
            3 => {
                let (leg, transaction) = (self.leg(), self.transaction());
                Event::Ack { leg, transaction, headers: self.headers(), body: self.body() }
            }
            4 => Event::Cancel { leg: self.leg(), transaction: self.transaction() },
            5 => {
                let (leg, replaced, transaction) = (self.leg(), self.leg(), self.transaction());
                let from = Address { display_name: self.maybe(|made| made.text(false)), uri: self.text(false) };
                Event::Replacement { leg, replaced, transaction, from, headers: self.headers(), body: self.body() }
            }
            6 => {
                let (leg, transaction, method) = (self.leg(), self.transaction(), self.text(false));
                Event::Failure { leg, transaction, method, reason: self.failure() }
            }
            7 => Event::Timer(self.text(false)),
            _ => Event::Ending(self.ending()),
        }
    }

    fn http(&mut self) -> HttpRequest {
        let (method, path) = (self.text(false), self.text(false));
        HttpRequest {
            method,
            path,
            query: self.maybe(|made| made.text(false)),
            headers: self.headers(),
            body: self.body(),
        }
    }

    fn response(&mut self) -> IncomingResponse {
        IncomingResponse {
            leg: self.leg(),
            transaction: self.transaction(),
            method: self.text(false),
            status: self.number() as u16,
            reason: self.text(false),
            contacts: (0..self.below(4)).map(|_| self.text(true)).collect(),
            answerable: self.below(2) == 1,
            headers: self.headers(),
            body: self.body(),
        }
    }
}
