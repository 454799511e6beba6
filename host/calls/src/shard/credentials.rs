//! Credentials on requests of ours (RFC 3261 §22.2, §22.3): which challenges a request has answered, and how often each
//! nonce was used.

use super::leg::Sent;
use crate::logic::Credentials;
use plugboard_sip::digest::{self, Challenge};
use plugboard_sip::message::{HeaderName, Headers};

/// How often one request is repeated with credentials, in number: more than once when several proxies ask, or a nonce is
/// stale.
const REPETITIONS_MAX: u8 = 4;
/// Nonces of a leg whose use is counted, in number: one for each proxy on the way.
const NONCES_MAX: usize = REPETITIONS_MAX as usize;

/// A challenge, and the header field that answers it.
#[derive(Debug)]
pub(super) struct Answerable {
    pub challenge: Challenge,
    pub field: HeaderName,
}

impl Answerable {
    /// Whether both are of the same protection space. A proxy and a server may have realms of one name.
    fn is_like(&self, other: &Self) -> bool {
        self.field == other.field && self.challenge.realm == other.challenge.realm
    }
}

/// The challenges that a request answers.
#[derive(Debug, Default)]
pub(super) struct Answered {
    challenges: Vec<Answerable>,
    repetitions: u8,
}

impl Answered {
    /// Whether another answer to this challenge can help: not where credentials were refused.
    pub fn may_answer(&self, challenge: &Answerable) -> bool {
        let refused = self.challenges.iter().any(|before| before.is_like(challenge)) && !challenge.challenge.stale;
        !refused && self.repetitions < REPETITIONS_MAX
    }

    /// Notes a challenge that is answered from now on.
    pub fn answer(&mut self, challenge: Answerable) {
        self.repetitions += 1;
        self.challenges.retain(|before| !before.is_like(&challenge));
        self.challenges.push(challenge);
    }
}

/// The nonces that were used on a leg, the last ones, each with how often (RFC 7616 §3.4: nc).
#[derive(Debug, Default)]
pub(super) struct Nonces(Vec<(String, u32)>);

impl Nonces {
    /// The count of another use.
    fn count(&mut self, nonce: &str) -> u32 {
        if let Some((_, count)) = self.0.iter_mut().find(|(used, _)| used == nonce) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.0.len() >= NONCES_MAX {
            self.0.remove(0);
        }
        self.0.push((nonce.to_owned(), 1));
        1
    }
}

impl Sent {
    /// Puts the credentials for all its challenges on a request that is about to be sent once more: none goes out twice,
    /// which would look like a replay.
    pub fn authorize(&mut self, nonces: &mut Nonces, credentials: Option<&Credentials>, cnonce: &str) {
        let Some(Credentials { username, secret }) = credentials else { return };
        let request = &mut self.request;
        for Answerable { challenge, field } in &self.answered.challenges {
            let count = nonces.count(&challenge.nonce);
            let (method, uri) = (request.method.as_str(), &*request.uri);
            let proof = digest::answer(challenge, secret, username, method, uri, &request.body, cnonce, count);
            if let Some(proof) = proof {
                replace(&mut request.headers, field, &challenge.realm, proof);
            }
        }
    }
}

/// Puts credentials on a request; those for other realms, of other proxies on the way, stay.
fn replace(headers: &mut Headers, field: &HeaderName, realm: &str, proof: String) {
    let others: Vec<_> = headers
        .get_all(field)
        .filter(|value| {
            let parsed = value.as_str().and_then(|text| digest::Authorization::parse(text).ok());
            parsed.is_some_and(|credentials| credentials.realm != realm)
        })
        .cloned()
        .collect();
    headers.remove_all(field);
    for other in others {
        headers.push(field.clone(), other);
    }
    headers.push(field.clone(), proof);
}
