//! Who asks, decided before any guest code runs.
//!
//! - HTTPS listener: a tenant's trusted networks need no PIN; anyone else proves to know one, by Basic (RFC 7617) or
//!   Digest (RFC 7616).
//! - Digest listener: always Digest, whatever the network, since nothing protects the connection.
//!
//! Whoever logged in must be the agent of the request. A user without a PIN can never log in; an unknown user gets the
//! same answer after the same work as a wrong PIN. Guessing is slowed ([`Guesses`]): 429 with Retry-After.

mod agent;
mod guesses;
mod nonces;
#[cfg(test)]
mod tests;

pub use agent::agents_of;
pub use guesses::Guesses;
pub use nonces::Nonces;

use crate::secret::{Pin, SecretText};
use crate::tenants::Users;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugboard_calls::contract::Principal;
use plugboard_sip::digest::{Algorithm, Authorization, Challenge, Hash, Qop, Secret, verify};
use plugboard_sip::time::Time;
use sha2::{Digest as _, Sha256};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use subtle::ConstantTimeEq;

/// The listener that a request came in on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// TLS: trusted networks, Basic, Digest.
    Https,
    /// No TLS: Digest only.
    Digest,
}

/// What a request says about who sent it.
pub struct Asked<'r> {
    /// Where it came in.
    pub door: Door,
    /// Where from.
    pub source: IpAddr,
    /// Whether that is one of the tenant's trusted networks.
    pub trusted: bool,
    /// In capitals.
    pub method: &'r str,
    /// Path and query as sent.
    pub target: &'r str,
    /// The Authorization field; several are none.
    pub authorization: Option<&'r str>,
    /// Who the request is made for; see [`agents_of`].
    pub agents: &'r [String],
}

/// Why a request goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401 with these WWW-Authenticate values, best first.
    Login {
        /// One challenge each.
        challenges: Vec<String>,
    },
    /// 403: it proved to be someone, but not the agent.
    NotTheAgent,
    /// 429: too many wrong PINs.
    Later {
        /// For Retry-After, in seconds.
        seconds: u64,
    },
}

impl Refusal {
    /// In a few words, for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Login { .. } => "no or wrong pin",
            Self::NotTheAgent => "not the agent",
            Self::Later { .. } => "too many wrong pins",
        }
    }
}

/// Counts since start, for metrics.
#[derive(Debug, Default)]
pub struct LoginCounters {
    /// Logins that were good.
    pub accepted: AtomicU64,
    /// Wrong or no PIN.
    pub refused: AtomicU64,
    /// Not looked at because of too many wrong PINs before.
    pub slowed: AtomicU64,
    /// Logged in, but not as the agent.
    pub not_the_agent: AtomicU64,
}

/// Decides who asks.
pub struct Authenticator {
    nonces: Nonces,
    guesses: Guesses,
    chance: Mutex<plugboard_calls::chance::Chance>,
    nobody: Pin,
    /// What was decided.
    pub counters: LoginCounters,
}

/// What a client proved, or not.
enum Proof<'u> {
    None,
    Wrong {
        user: String,
    },
    /// The secret is right, but the nonce too old or its count used.
    Stale {
        user: String,
    },
    Right {
        user: String,
        name: &'u str,
    },
}

impl Authenticator {
    /// Decides with keys from this source of chance, which nobody may foresee.
    pub fn new(key: [u8; 32], seed: u64) -> Self {
        Self {
            nonces: Nonces::new(key),
            guesses: Guesses::new(),
            chance: Mutex::new(plugboard_calls::chance::Chance::new(seed)),
            // What it is does not matter: whoever is checked against it is refused, but after the same work.
            nobody: Pin::Clear(SecretText::new("nobody".to_owned())),
            counters: LoginCounters::default(),
        }
    }

    /// Who asks, or why the request goes no further. `realm` is the tenant's domain.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn check(&self, now: Time, realm: &str, users: &Users, asked: &Asked<'_>) -> Result<Principal, Refusal> {
        if asked.door == Door::Https && asked.trusted {
            return Ok(Principal::Trusted);
        }
        let credentials = Credentials::parse(asked, realm);
        if let Some(user) = credentials.as_ref().map(Credentials::user) {
            let wait_ms = self.guesses.wait_ms(now, asked.source, realm, user);
            if wait_ms > 0 {
                count(&self.counters.slowed);
                return Err(Refusal::Later { seconds: wait_ms.div_ceil(1_000) });
            }
        }
        let proof = match &credentials {
            Some(credentials) => self.judge(now, realm, users, asked, credentials),
            None => Proof::None,
        };
        let stale = match proof {
            Proof::Right { user, name } => {
                self.guesses.right(asked.source, realm, &user);
                return self.admit(users, name, asked.agents);
            }
            Proof::Stale { user } => {
                self.guesses.right(asked.source, realm, &user);
                true
            }
            Proof::Wrong { user } => {
                self.guesses.wrong(now, asked.source, realm, &user);
                false
            }
            Proof::None => false,
        };
        count(&self.counters.refused);
        Err(Refusal::Login { challenges: self.challenges(now, realm, asked, stale) })
    }

    fn admit(&self, users: &Users, name: &str, agents: &[String]) -> Result<Principal, Refusal> {
        if agents.iter().all(|agent| users.login(agent).is_some_and(|agent| agent.name == name)) {
            count(&self.counters.accepted);
            return Ok(Principal::User(name.to_owned()));
        }
        count(&self.counters.not_the_agent);
        Err(Refusal::NotTheAgent)
    }

    /// The work is the same whether or not there is such a user and whether or not the user has a PIN.
    fn judge<'u>(
        &self,
        now: Time,
        realm: &str,
        users: &'u Users,
        asked: &Asked<'_>,
        credentials: &Credentials,
    ) -> Proof<'u> {
        let user = credentials.user().to_owned();
        let login = users.login(&user);
        let pin = login.as_ref().and_then(|login| login.pin);
        let proven = match credentials {
            Credentials::Basic { pin: given, .. } => {
                is_pin(pin.unwrap_or(&self.nobody), login.as_ref().map_or(&user, |l| l.name), realm, given)
            }
            Credentials::Digest(given) => verify(given, &secret(pin.unwrap_or(&self.nobody)), asked.method, &[]),
        };
        let Some(login) = login.filter(|_| proven && pin.is_some()) else { return Proof::Wrong { user } };
        match credentials {
            Credentials::Digest(given) if !self.is_fresh(given, now, asked.source, realm) => Proof::Stale { user },
            _ => Proof::Right { user, name: login.name },
        }
    }

    fn is_fresh(&self, given: &Authorization, now: Time, source: IpAddr, realm: &str) -> bool {
        given.nonce_count.is_some_and(|count| self.nonces.accept(&given.nonce, count, now, source, realm))
    }

    /// SHA-256 before MD5 (RFC 7616 §3.7: the first one that a client knows), Basic last, where TLS protects it.
    fn challenges(&self, now: Time, realm: &str, asked: &Asked<'_>, stale: bool) -> Vec<String> {
        let number = self.chance.lock().unwrap_or_else(PoisonError::into_inner).next_u64();
        let nonce = self.nonces.issue(now, number, asked.source, realm);
        let digest = |algorithm| {
            let (realm, nonce) = (realm.to_owned(), nonce.clone());
            Challenge { realm, nonce, opaque: None, algorithm, stale, qop: vec![Qop::Auth] }.to_string()
        };
        let mut challenges = vec![digest(Algorithm::SHA_256), digest(Algorithm::MD5)];
        if asked.door == Door::Https {
            challenges.push(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        }
        challenges
    }
}

/// Credentials that can be judged.
enum Credentials {
    Basic { user: String, pin: SecretText },
    Digest(Authorization),
}

impl Credentials {
    /// Those of a request; none when there are none that its listener takes.
    fn parse(asked: &Asked<'_>, realm: &str) -> Option<Self> {
        let value = asked.authorization?;
        let (scheme, rest) = value.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") && asked.door == Door::Https {
            let bytes = zeroize::Zeroizing::new(STANDARD.decode(rest.trim()).ok()?);
            let (user, pin) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
            return Some(Self::Basic { user: user.to_owned(), pin: SecretText::new(pin.to_owned()) });
        }
        let given = Authorization::parse(value).ok()?;
        let offered = [Algorithm::SHA_256, Algorithm::MD5].contains(&given.algorithm) && given.qop == Some(Qop::Auth);
        (offered && given.realm == realm && is_target(&given.uri, asked.target)).then_some(Self::Digest(given))
    }

    fn user(&self) -> &str {
        match self {
            Self::Basic { user, .. } => user,
            Self::Digest(given) => &given.username,
        }
    }
}

/// Whether the URI that a proof is about is the one that was asked for (RFC 7616 §3.4.6); it may be absolute.
fn is_target(uri: &str, target: &str) -> bool {
    let absolute = || uri.parse::<http::Uri>().ok().and_then(|uri| uri.path_and_query().map(|p| p.as_str() == target));
    uri == target || absolute() == Some(true)
}

/// Whether a PIN in clear text is the user's; compares hashes, so that neither content nor length shows in the time.
fn is_pin(pin: &Pin, user: &str, realm: &str, given: &SecretText) -> bool {
    let hash = |secret: &str| {
        [user, ":", realm, ":", secret].iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize()
    };
    let given = hash(given.expose());
    match pin {
        Pin::Clear(pin) => bool::from(hash(pin.expose()).as_slice().ct_eq(given.as_slice())),
        Pin::Hashes { sha256, .. } => bool::from(hex(&given).as_bytes().ct_eq(sha256.expose().as_bytes())),
    }
}

fn secret(pin: &Pin) -> Secret {
    match pin {
        Pin::Clear(pin) => Secret::password(pin.expose()),
        Pin::Hashes { sha256, md5 } => {
            let sha256 = [(Hash::Sha256, sha256.expose().to_owned())];
            Secret::ha1(sha256.into_iter().chain(md5.as_ref().map(|md5| (Hash::Md5, md5.expose().to_owned()))))
        }
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
