//! Call logic that is replaced again and again while calls are placed at a steady pace: the load, and what became of it.
//! The bench `deploys` and a test of the same run on it.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use plugboard_server::demo::phone::{Phone, PhoneConfig};
use serde_json::Value;

use crate::http::Connection;
use crate::program::guest;
use crate::server::Server;

/// How long a step of a call may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a call is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// How long a phone rings.
const RING: Duration = Duration::from_millis(100);
/// Calls of one pair of phones before fresh ones take their place, in number: a phone remembers all its calls.
const CALLS_PER_PAIR: u64 = 200;

/// How a call is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The calling phone is asked to call the other.
    Refer,
    /// Plugboard stays in the path.
    Invite,
}

/// What became of the load. Shared by all who make it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that ended as they should, in number.
    pub completed: AtomicU64,
    /// What went wrong, a line each.
    pub problems: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Stops the load when it is dropped.
#[derive(Debug)]
pub struct Load<'t>(&'t Tally);

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Relaxed);
    }
}

impl Tally {
    /// As long as this lives the load goes on; then everybody finishes what is under way.
    pub fn load(&self) -> Load<'_> {
        Load(self)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    fn note(&self, problem: String) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
    }

    /// What went wrong so far.
    pub fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Places one call after the other, each `pace` after the one before, on one HTTPS connection, for as long as
/// the load goes on.
pub fn place_calls(server: &Server, mode: Mode, pace: Duration, tally: &Tally) {
    let mut caller = match Caller::new(server, mode) {
        Ok(caller) => caller,
        Err(problem) => return tally.note(problem),
    };
    let mut next = Instant::now();
    while tally.goes_on() {
        match caller.call() {
            Ok(()) => drop(tally.completed.fetch_add(1, Relaxed)),
            Err(problem) => {
                tally.note(format!("{mode:?}: {problem}"));
                // What is left of the call must not be in the way of the next.
                match phones(server.https.ip()) {
                    Ok(phones) => caller.phones = phones,
                    Err(problem) => return tally.note(problem),
                }
            }
        }
        next += pace;
        sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Asks about a call that nobody placed, which is one event of the call logic, every `pace` on one HTTPS connection; how
/// long each took, with the moment at which it was asked.
pub fn probe(server: &Server, pace: Duration, tally: &Tally) -> Vec<(Instant, Duration)> {
    let mut took = Vec::new();
    let mut connection = match Connection::https(server.https) {
        Ok(connection) => connection,
        Err(problem) => {
            tally.note(format!("probe: {problem}"));
            return took;
        }
    };
    let mut next = Instant::now();
    while tally.goes_on() {
        let begun = Instant::now();
        match connection.send("GET", "/callcontroller/alice/nobody@192.0.2.1?agent=alice", &[], &[]) {
            Ok(answer) if answer.status == 200 => took.push((begun, begun.elapsed())),
            Ok(answer) => tally.note(format!("probe: {} {}", answer.status, answer.text())),
            Err(problem) => return tally_closed(tally, "probe", &problem, took),
        }
        next = (next + pace).max(begun);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    took
}

fn tally_closed<T>(tally: &Tally, who: &str, problem: &std::io::Error, so_far: T) -> T {
    tally.note(format!("{who}: the HTTPS connection was closed: {problem}"));
    so_far
}

/// The built-in controller with its number in a custom section: each is another component with the same behaviour.
pub fn controller(number: u32) -> Vec<u8> {
    let name = b"\x04test";
    let text = format!("{number:08}");
    let size = u8::try_from(name.len() + text.len()).expect("a few bytes");
    let component = fs::read(guest("controller")).expect("./just guests made it");
    [component.as_slice(), &[0, size], name, text.as_bytes()].concat()
}

/// Deploys a component by the admin API. While too many versions still have calls it waits; how long the deployment
/// that succeeded took.
///
/// # Errors
/// What the server said.
pub fn deploy(server: &Server, domain: &str, component: &[u8]) -> Result<Duration, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let begun = Instant::now();
        let answer = server.admin("PUT", &format!("/v1/tenants/{domain}/controller"), component);
        match answer.status {
            200 => return Ok(begun.elapsed()),
            409 if Instant::now() < until => sleep(LOOK_EVERY),
            status => return Err(format!("a deployment was refused: {status} {}", answer.text())),
        }
    }
}

/// Who places calls in one mode, with two phones and one HTTPS connection.
struct Caller<'s> {
    server: &'s Server,
    mode: Mode,
    connection: Connection,
    phones: [Phone; 2],
    placed: u64,
}

impl<'s> Caller<'s> {
    fn new(server: &'s Server, mode: Mode) -> Result<Self, String> {
        let connection = Connection::https(server.https).map_err(|problem| problem.to_string())?;
        Ok(Self { server, mode, connection, phones: phones(server.https.ip())?, placed: 0 })
    }

    /// One call from its beginning to its end.
    fn call(&mut self) -> Result<(), String> {
        self.placed += 1;
        if self.placed.is_multiple_of(CALLS_PER_PAIR) {
            self.phones = phones(self.server.https.ip())?;
        }
        let [alice, bob] = &self.phones;
        let (alice, bob, number) = (alice.address(), bob.address(), self.placed);
        let path = format!("/callcontroller/alice@{alice}/bob{number}@{bob}?agent=alice");
        match self.mode {
            Mode::Refer => {
                self.ask("POST", &format!("{path}&sipMethod=REFER&resultCacheTime=10"))?;
                self.await_status(&path, "the hand-over", |json| outcome(json).is_some())?;
                self.await_talk()?;
                self.phones.iter().for_each(Phone::hang_up);
            }
            Mode::Invite => {
                self.ask("POST", &format!("{path}&sipMethod=INVITE&resultCacheTime=10"))?;
                self.await_status(&path, "two legs that are up", |json| json["phase"] == "up")?;
                self.ask("DELETE", &path)?;
                self.await_status(&path, "the end", |json| outcome(json).is_some())?;
            }
        }
        let status = self.status(&path)?;
        // The calling phone may hang up as soon as its REFER is accepted.
        let good = match self.mode {
            Mode::Refer => [200, 202].as_slice(),
            Mode::Invite => &[200],
        };
        match outcome(&status) {
            Some(code) if good.contains(&code) => Ok(()),
            _ => Err(format!("call {number} ended as {}", status["outcome"])),
        }
    }

    /// The phones talk to each other, Plugboard has stepped aside.
    fn await_talk(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while self.phones.iter().any(|phone| phone.calls() != 1) {
            if Instant::now() > until {
                return Err(format!("the phones of call {} never talked", self.placed));
            }
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn await_status(&mut self, path: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.status(path)?;
            if condition(&status) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("waited in vain for {what} of call {}: {status}", self.placed));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn status(&mut self, path: &str) -> Result<Value, String> {
        serde_json::from_slice(&self.ask("GET", path)?).map_err(|problem| problem.to_string())
    }

    fn ask(&mut self, method: &str, path: &str) -> Result<Vec<u8>, String> {
        let accept = [("Accept", "application/json")];
        match self.connection.send(method, path, &accept, &[]) {
            Ok(answer) if answer.status == 200 => Ok(answer.body),
            Ok(answer) => Err(format!("{method} of call {}: {} {}", self.placed, answer.status, answer.text())),
            Err(problem) => {
                self.connection = Connection::https(self.server.https).map_err(|problem| problem.to_string())?;
                Err(format!("the HTTPS connection was closed: {problem}"))
            }
        }
    }
}

/// The SIP code with which a call has ended.
fn outcome(status: &Value) -> Option<u64> {
    status["outcome"]["code"].as_u64()
}

/// Two phones; the first one calls the second whatever it is asked to call.
fn phones(ip: IpAddr) -> Result<[Phone; 2], String> {
    let nowhere = SocketAddr::new(ip, 9);
    let bob = phone(ip, nowhere, "bob")?;
    Ok([phone(ip, bob.address(), "alice")?, bob])
}

fn phone(bind: IpAddr, proxy: SocketAddr, user: &str) -> Result<Phone, String> {
    let (user, domain, password) = (user.to_owned(), "example.test".to_owned(), String::new());
    Phone::start(PhoneConfig { user, domain, password, proxy, bind, ring: RING }).map_err(|problem| problem.to_string())
}
