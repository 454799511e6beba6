//! Challenges (RFC 7616 §3.3): WWW-Authenticate and Proxy-Authenticate.

use std::fmt;

use crate::digest::fields::{self, Scheme};
use crate::digest::{Algorithm, Qop, Secret};
use crate::message::Value;
use crate::params::quote;

/// A digest challenge. Printed, it is the value of a WWW-Authenticate or Proxy-Authenticate field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The realm.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// The opaque value, to be returned as it is.
    pub opaque: Option<String>,
    /// The algorithm; MD5 when none is named.
    pub algorithm: Algorithm,
    /// Whether the credentials were right and only the nonce too old.
    pub stale: bool,
    /// The qualities offered, those known here; empty for RFC 2069.
    pub qop: Vec<Qop>,
}

impl Challenge {
    /// All challenges in the values of WWW-Authenticate or Proxy-Authenticate fields, in order. There may be several in
    /// one value, 16 at most. What is not Digest, has an unknown algorithm, only unknown qualities, or none with a
    /// session algorithm, or is malformed, is left out.
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Challenge> {
        let texts = values.into_iter().filter_map(Value::as_str);
        texts.flat_map(fields::parse).filter_map(|scheme| Challenge::of(&scheme)).collect()
    }

    fn of(scheme: &Scheme<'_>) -> Option<Challenge> {
        let algorithm = match scheme.get("algorithm") {
            None => Algorithm::MD5,
            Some(name) => Algorithm::parse(name)?,
        };
        let qop: Vec<Qop> = match scheme.get("qop") {
            None => Vec::new(),
            Some(names) => names.split(',').filter_map(|name| Qop::parse(name.trim_ascii())).collect(),
        };
        // Without a quality there is no cnonce to make a session key of. RFC 7616 §3.3 wants one in every challenge,
        // and Kamailio asks for SHA-256 without: that is answered as RFC 2069 has it.
        let answerable = !qop.is_empty() || (!algorithm.session && scheme.get("qop").is_none());
        if !scheme.is_digest() || !answerable {
            return None;
        }
        Some(Challenge {
            realm: scheme.get("realm")?.to_owned(),
            nonce: scheme.get("nonce")?.to_owned(),
            opaque: scheme.get("opaque").map(str::to_owned),
            algorithm,
            stale: scheme.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            qop,
        })
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest realm={}, nonce={}", quote(&self.realm), quote(&self.nonce))?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", quote(opaque))?;
        }
        write!(f, ", algorithm={}", self.algorithm)?;
        if self.stale {
            f.write_str(", stale=true")?;
        }
        if self.qop.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.qop.iter().map(|qop| qop.as_str()).collect();
        write!(f, ", qop=\"{}\"", names.join(","))
    }
}

/// The best challenge: SHA-512-256 before SHA-256 before MD5, the first of equals.
pub fn best(challenges: &[Challenge]) -> Option<&Challenge> {
    strongest(challenges.iter())
}

/// The best challenge that this secret can answer.
pub fn best_for<'a>(challenges: &'a [Challenge], secret: &Secret) -> Option<&'a Challenge> {
    strongest(challenges.iter().filter(|challenge| secret.serves(challenge.algorithm.hash)))
}

/// `max_by_key` takes the last of equals: from the back, that is the first.
fn strongest<'a>(challenges: impl DoubleEndedIterator<Item = &'a Challenge>) -> Option<&'a Challenge> {
    challenges.rev().max_by_key(|challenge| challenge.algorithm.hash)
}
