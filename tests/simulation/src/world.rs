//! One run: calls placed, transferred and hung up among phones and a network that misbehave, until nothing is left.

use crate::native::Native;
use crate::network::{Datagram, Network, Weather};
use crate::phone::{PLUGBOARD, Phone};
use crate::trouble::{Trouble, Troubled};
use plugboard_calls::chance::Chance;
use plugboard_calls::contract::*;
use plugboard_calls::logic::{Breakdown, Credentials, Directory, Logic, Routed, UserRecord};
use plugboard_calls::record::{Record, Settled};
use plugboard_calls::shard::{Arrival, Face, Faces, Output, Shard, ShardConfig};
use plugboard_calls::stage::{Setting, Stage};
use plugboard_calls::tenant::{Settings, Tenant};
use plugboard_controller::CallController;
use plugboard_sip::admit::admit;
use plugboard_sip::host::Host;
use plugboard_sip::locate::{Avoided, Located, NextHop, Server};
use plugboard_sip::time::Time;
use plugboard_sip::transaction::TimerValues;
use plugboard_sip::transport::{Destination, Transport};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Phones in a world; the user `pN` is at the port `6000 + N`.
const PHONES: u16 = 4;
/// A port at which nobody is.
const DEAD_PORT: u16 = 5_999;
/// Time in which requests are made.
const ASKING: Duration = Duration::from_secs(90);
/// Time after which everything must be over: the longest ringing, its farewell, and transactions that ran out.
const END: Duration = Duration::from_secs(600);

/// A world.
pub struct World {
    now: Time,
    shard: Shard,
    tenant: Arc<Tenant>,
    logic: Arc<dyn Logic>,
    network: Network,
    phones: Vec<Phone>,
    plans: BTreeMap<(Time, u64), Plan>,
    answers: BTreeMap<u64, Vec<HttpResponse>>,
    exchanges: u64,
    out: Vec<Output>,
    avoided: Avoided,
    watcher: Option<Watcher>,
    trouble: Arc<Trouble>,
    /// Every datagram that was sent, in order: what two runs of one seed are compared by.
    pub trace: Vec<String>,
}

/// Is told of every finished event.
pub type Watcher = Box<dyn FnMut(Record<'static>, Settled)>;

/// The PIN that some calls carry to the called party, as a query writes it.
pub const PIN: &str = "739184%2326";

/// What will happen, of what does not come from the network.
#[derive(Clone, Debug)]
enum Plan {
    Ask(Asking),
    Swap {
        migrate: bool,
    },
    EndCalls,
    /// The call logic recovers, so that the last hang-up is heard: a DELETE that gets a 500 is its sender's to repeat.
    Recover,
}

/// An HTTP request that will be made.
#[derive(Clone, Debug)]
struct Asking {
    method: &'static str,
    path: String,
    query: String,
}

/// A version of the controller, with the trouble of this world.
fn version(trouble: &Arc<Trouble>) -> Arc<dyn Logic> {
    Arc::new(Troubled::new(Native::<CallController>::default(), trouble.clone()))
}

/// The users. With names each is at a name of its own, otherwise at the address of its phone.
struct Users {
    names: bool,
}

impl Directory for Users {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let user = name.strip_prefix("sip:").unwrap_or(name);
        let user = user.split('@').next().unwrap_or(user);
        let known = user.strip_prefix('p').is_some_and(|number| number.parse::<u16>().is_ok_and(|n| n < PHONES));
        let address_of_record = match self.names {
            true => format!("sip:{user}@{user}.example"),
            false => format!("sip:{user}@127.0.0.1:{}", port_of(user)),
        };
        let identity = Identity { address_of_record, display_name: None };
        known.then(|| Arc::new(UserRecord { name: user.to_owned(), identity }))
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

/// What DNS says of the name of a user: two servers of one weight, of which one is dead.
fn located(next_hop: &NextHop) -> Located {
    let name = next_hop.host.to_string();
    let port = name.strip_suffix(".example").map(port_of).expect("the name of a user");
    let server = |port| Server { priority: 1, weight: 1, port, addresses: vec![[127, 0, 0, 1].into()] };
    Located { by_transport: vec![(Transport::Udp, vec![server(DEAD_PORT), server(port)])] }
}

fn port_of(user: &str) -> u16 {
    6_000 + user.trim_start_matches('p').parse::<u16>().unwrap_or_default()
}

impl World {
    /// A world by seed, in this weather, whose call logic breaks down at every so many events of a hundred.
    pub fn new(seed: u64, weather: Weather, breakdowns_percent: u64) -> Self {
        Self::with_users(seed, weather, breakdowns_percent, Users { names: false })
    }

    /// As [`World::new`]; the phones are called by names with two servers, one of which is dead.
    pub fn with_names(seed: u64, weather: Weather, breakdowns_percent: u64) -> Self {
        Self::with_users(seed, weather, breakdowns_percent, Users { names: true })
    }

    fn with_users(seed: u64, weather: Weather, breakdowns_percent: u64, users: Users) -> Self {
        let mut chance = Chance::new(seed);
        let address: SocketAddr = PLUGBOARD.into();
        let host = Host::V4(PLUGBOARD.0.into());
        let faces = Faces::new(vec![Face { transport: Transport::Udp, address, host, port: PLUGBOARD.1 }]);
        let config = ShardConfig { index: 0, faces, timers: TimerValues::default(), seed: chance.next_u64() };
        let trouble = Arc::new(Trouble::new(chance.next_u64(), breakdowns_percent));
        let mut world = Self {
            now: Time::from_millis(1_000_000),
            shard: Shard::new(config),
            tenant: Tenant::new(
                "example.com".into(),
                Settings { session_expires_seconds: 90, ..Settings::new(Arc::new(users)) },
            ),
            logic: version(&trouble),
            network: Network::new(weather, chance.next_u64()),
            phones: (0..PHONES).map(|n| Phone::new(6_000 + n, chance.next_u64())).collect(),
            plans: BTreeMap::new(),
            answers: BTreeMap::new(),
            exchanges: 0,
            out: Vec::new(),
            avoided: Avoided::default(),
            watcher: None,
            trouble,
            trace: Vec::new(),
        };
        world.plan(&mut chance);
        world
    }

    /// Tells `watcher` of every finished event.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// What will be asked: one to three calls, transfers of some, hang-ups of some, looks at them, and in the end the
    /// hang-up of all.
    fn plan(&mut self, chance: &mut Chance) {
        let everyone_out = self.now + ASKING * 2;
        self.plans.insert((everyone_out, 0), Plan::Recover);
        let mut number = 0;
        let mut at = |within: Duration, world: &mut Self, asking: Asking, chance: &mut Chance| {
            number += 1;
            let delay = Duration::from_millis(chance.next_u64() % within.as_millis() as u64);
            world.plans.insert((world.now + delay, number), Plan::Ask(asking));
        };
        for _ in 0..1 + chance.next_u64() % 3 {
            let mode = if chance.next_u64().is_multiple_of(3) { "REFER" } else { "INVITE" };
            let calling = chance.next_u64() % u64::from(PHONES);
            let called = (calling + 1 + chance.next_u64() % u64::from(PHONES - 1)) % u64::from(PHONES);
            let path = format!("/callcontroller/p{calling}/p{called}");
            let ring = 5 + chance.next_u64() % 40;
            let pin = if calling % 2 == 1 { format!("&confpin={PIN}") } else { String::new() };
            let query = format!("sipMethod={mode}&timeout={ring}&resultCacheTime=3600&isForwardingAllowed=true{pin}");
            at(Duration::from_secs(20), self, Asking { method: "POST", path: path.clone(), query }, chance);
            for _ in 0..chance.next_u64() % 3 {
                let target = chance.next_u64() % u64::from(PHONES);
                let query = format!("action=transfer&target=p{target}&timeout={ring}");
                at(ASKING, self, Asking { method: "POST", path: path.clone(), query }, chance);
            }
            if chance.next_u64().is_multiple_of(3) {
                at(ASKING, self, Asking { method: "DELETE", path: path.clone(), query: String::new() }, chance);
            }
            for _ in 0..2 {
                at(ASKING, self, Asking { method: "GET", path: path.clone(), query: String::new() }, chance);
            }
            let last = Asking { method: "DELETE", path, query: String::new() };
            self.plans.insert((everyone_out, u64::MAX - self.plans.len() as u64), Plan::Ask(last));
        }
        for number in 0..chance.next_u64() % 4 {
            let at = self.now + Duration::from_millis(chance.next_u64() % ASKING.as_millis() as u64);
            let plan = match chance.next_u64() % 8 {
                0 => Plan::EndCalls,
                kind => Plan::Swap { migrate: kind % 2 == 0 },
            };
            self.plans.insert((at, number + (1 << 32)), plan);
        }
    }

    /// Runs until everything should be over, and says what is not as it must be.
    pub fn run(&mut self) -> Result<(), String> {
        let end = self.now + END;
        while let Some(next) = self.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = end;
        self.verdict()
    }

    fn next_deadline(&mut self) -> Option<Time> {
        let plans = self.plans.first_key_value().map(|((time, _), _)| *time);
        let phones = self.phones.iter_mut().filter_map(Phone::next_deadline).min();
        [self.shard.next_deadline(), self.network.next_arrival(), plans, phones].into_iter().flatten().min()
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.arrive(self.now) {
            self.deliver(&datagram);
        }
        self.shard.poll(self.now, &mut self.out);
        self.work();
        for at in 0..self.phones.len() {
            let sent = self.phones[at].poll(self.now);
            self.send_all(sent);
        }
        while let Some(first) = self.plans.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match first.remove() {
                Plan::Ask(asking) => drop(self.ask(&asking)),
                Plan::Swap { migrate } => self.swap(migrate),
                Plan::Recover => self.trouble.end(),
                Plan::EndCalls => self.shard.end_calls(self.now, EndingReason::Operator, |_, _| true, &mut self.out),
            }
            self.work();
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        if datagram.to == SocketAddr::from(PLUGBOARD) {
            let source = Destination { transport: Transport::Udp, remote: datagram.from, local: 0 };
            match admit(datagram.bytes.clone(), source, &Default::default()) {
                Ok(message) => self.shard.receive(self.now, message, source, &mut self.out),
                Err(refusal) => panic!("a phone sent what is refused: {refusal:?}"),
            }
            self.work();
        } else if let Some(phone) = self.phones.iter_mut().find(|phone| phone.address() == datagram.to) {
            let sent = phone.receive(self.now, datagram);
            self.send_all(sent);
        }
    }

    /// Runs the events that wait, and lets out what was committed.
    fn work(&mut self) {
        loop {
            self.let_out();
            let Some(call) = self.shard.next_ready() else { return };
            let mut job = self.shard.begin(self.now, call);
            while let Some(begun) = job {
                let finished = begun.run();
                match finished.breakdown() {
                    None | Some(Breakdown::Trap(_)) => {}
                    Some(other) => panic!("the controller broke down: {other} at {:?}", finished.event()),
                }
                let record = self.watcher.is_some().then(|| finished.record().into_owned());
                let settled = self.shard.finish(self.now, finished, &mut self.out);
                if let (Some(watcher), Some(record)) = (&mut self.watcher, record) {
                    watcher(record, settled);
                }
                self.let_out();
                job = self.shard.proceed(self.now, call);
            }
        }
    }

    fn let_out(&mut self) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Transmit { destination, bytes, .. } => {
                    self.send_all(vec![Datagram { from: PLUGBOARD.into(), to: destination.remote, bytes }]);
                }
                Output::HttpRespond { exchange, response } => {
                    self.answers.entry(exchange.0).or_default().push(response);
                }
                Output::Resolve { lookup, next_hop, seed } => {
                    let mut targets = located(&next_hop).targets(seed);
                    self.avoided.put_last(self.now, &mut targets);
                    self.shard.resolved(self.now, lookup, &targets, &mut self.out);
                    self.let_out();
                }
                Output::Avoid { target, time } => self.avoided.avoid(self.now, target, time),
            }
        }
    }

    fn send_all(&mut self, datagrams: Vec<Datagram>) {
        for datagram in datagrams {
            let line = String::from_utf8_lossy(&datagram.bytes);
            let first = line.lines().next().unwrap_or_default();
            self.trace.push(format!("{} {} -> {} {first}", self.now, datagram.from, datagram.to));
            self.network.send(self.now, datagram);
        }
    }

    fn ask(&mut self, asking: &Asking) -> u64 {
        self.exchanges += 1;
        let accept = Header { name: "accept".into(), value: "application/json".into() };
        let request = HttpRequest {
            method: asking.method.into(),
            path: asking.path.clone(),
            query: Some(asking.query.clone()),
            headers: vec![accept],
            body: Vec::new(),
        };
        self.trace.push(format!("{} {} {}?{}", self.now, asking.method, asking.path, asking.query));
        let stage = Stage::new(Setting::of_route(&self.tenant, &*self.logic, self.now, Principal::Trusted));
        let exchange = ExchangeId(self.exchanges);
        match self.logic.route(&self.tenant.domain, &request, stage).1.expect("routes") {
            Routed::Answer(answer) => self.answers.entry(exchange.0).or_default().push(answer),
            Routed::Call(key) => {
                let (tenant, logic, principal) = (self.tenant.clone(), self.logic.clone(), Principal::Trusted);
                let arrival = Arrival { tenant, logic, key, principal, exchange, request };
                self.shard.http(self.now, arrival, &mut self.out);
                self.work();
            }
        }
        exchange.0
    }

    /// Another version goes live; with `migrate` the calls that are up move to it.
    fn swap(&mut self, migrate: bool) {
        self.trace.push(format!("{} swap, migrate: {migrate}", self.now));
        self.logic = version(&self.trouble);
        if !migrate {
            return;
        }
        for call in self.shard.calls_that(|_, logic| !Arc::ptr_eq(logic, &self.logic)) {
            let Ok(moving) = self.shard.begin_move(call, self.logic.clone()) else { continue };
            self.shard.finish_move(moving.run());
            let job = self.shard.proceed(self.now, call);
            assert!(job.is_none(), "nothing came for the call while it moved");
        }
    }

    fn verdict(&mut self) -> Result<(), String> {
        if self.shard.has_legs() {
            let legs: Vec<_> = self.shard.calls(self.now).into_iter().map(|call| (call.key, call.legs)).collect();
            return Err(format!("legs of Plugboard are not over: {legs:?}"));
        }
        if let Some(phone) = self.phones.iter().find(|phone| phone.open() > 0) {
            return Err(format!("the phone at {} has {} dialogs that nobody ended", phone.address(), phone.open()));
        }
        if let Some((exchange, answers)) = self.answers.iter().find(|(_, answers)| answers.len() != 1) {
            return Err(format!("HTTP request {exchange} got {} answers", answers.len()));
        }
        if self.answers.len() as u64 != self.exchanges {
            return Err(format!("{} HTTP requests got {} answers", self.exchanges, self.answers.len()));
        }
        for calling in 0..PHONES {
            for called in (0..PHONES).filter(|called| *called != calling) {
                self.check_status(&format!("/callcontroller/p{calling}/p{called}"))?;
            }
        }
        if !self.shard.is_empty() {
            return Err(format!("{} calls are held though nothing is left of them", self.shard.len()));
        }
        Ok(())
    }

    /// A call that was placed has one terminal status, and so has each of its legs.
    fn check_status(&mut self, path: &str) -> Result<(), String> {
        let asking = Asking { method: "GET", path: path.to_owned(), query: String::new() };
        let exchange = self.ask(&asking);
        let answer = self.answers.remove(&exchange).and_then(|answers| answers.into_iter().next());
        self.exchanges -= 1;
        let body = answer.ok_or("no answer to a GET")?.body;
        let status: serde_json::Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        if status["phase"] == "unknown" {
            return Ok(());
        }
        let settled = |status: &serde_json::Value| status["outcome"]["code"].is_u64();
        let legs = status["legs"].as_array().map(Vec::as_slice).unwrap_or_default();
        let over = legs.iter().all(|leg| leg["state"] == "over" && settled(leg));
        // A call that the host had to end is reported with its last good state: how its legs ended is not in there.
        let by_host = status["outcome"]["ended_by"] == "host";
        if !settled(&status) || !(over || by_host) || status["ended_ms"].is_null() {
            return Err(format!("{path} has no terminal status: {status:#}"));
        }
        Ok(())
    }

    /// Requests that went to another target because one failed, in number.
    pub fn sent_elsewhere(&self) -> u64 {
        self.shard.counters().sent_elsewhere
    }

    /// Calls that phones got, in number: a run in which nothing happened proves nothing.
    pub fn calls_received(&self) -> usize {
        self.phones.iter().map(Phone::called).sum()
    }
}
