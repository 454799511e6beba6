//! The calculation (RFC 7616 §3.4.1).

use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use crate::digest::secret::Kind;
use crate::digest::{Algorithm, Challenge, Hash, Qop, Secret};
use crate::params::quote;

/// The value of the Authorization or Proxy-Authorization field that answers a challenge (RFC 7616 §3.4). None when the
/// secret does not serve the algorithm. `uri` is the Request-URI as sent, `cnonce` fresh for each answer, and `nc` the
/// count of answers with this nonce, from 1.
///
/// Of the qualities offered `auth` is taken before `auth-int`.
#[allow(clippy::too_many_arguments)]
pub fn answer(
    challenge: &Challenge,
    secret: &Secret,
    username: &str,
    method: &str,
    uri: &str,
    body: &[u8],
    cnonce: &str,
    nc: u32,
) -> Option<String> {
    let input = Input {
        algorithm: challenge.algorithm,
        realm: &challenge.realm,
        nonce: &challenge.nonce,
        username,
        method,
        uri,
        body,
        qop: challenge.qop.iter().min().copied(),
        cnonce,
        nonce_count: nc,
    };
    let response = respond(&input, secret)?;
    let [username, realm, nonce, uri, cnonce] = [username, &challenge.realm, &challenge.nonce, uri, cnonce].map(quote);
    let mut value = format!(
        "Digest username={username}, realm={realm}, nonce={nonce}, uri={uri}, response=\"{response}\", algorithm={}",
        challenge.algorithm
    );
    if let Some(opaque) = &challenge.opaque {
        value += &format!(", opaque={}", quote(opaque));
    }
    if let Some(qop) = input.qop {
        value += &format!(", qop={qop}, cnonce={cnonce}, nc={nc:08x}");
    }
    Some(value)
}

/// All that goes into a response but the secret.
pub(super) struct Input<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) username: &'a str,
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
    pub(super) qop: Option<Qop>,
    pub(super) cnonce: &'a str,
    pub(super) nonce_count: u32,
}

/// The response in hex; none when the secret does not serve the algorithm.
pub(super) fn respond(input: &Input<'_>, secret: &Secret) -> Option<String> {
    let hash = input.algorithm.hash;
    let mut ha1 = match &secret.0 {
        Kind::Password(password) => ha1(hash, input.username, input.realm, password),
        Kind::Ha1(hashes) => hashes.iter().find(|(own, _)| *own == hash).map(|(_, ha1)| ha1.clone())?,
    };
    if input.algorithm.session {
        ha1 = hex(hash, &[&ha1, input.nonce, input.cnonce]);
    }
    let ha2 = match input.qop {
        Some(Qop::AuthInt) => hex(hash, &[input.method, input.uri, &hex_of(hash, &[input.body])]),
        Some(Qop::Auth) | None => hex(hash, &[input.method, input.uri]),
    };
    Some(match input.qop {
        Some(qop) => {
            let count = format!("{:08x}", input.nonce_count);
            hex(hash, &[&ha1, input.nonce, &count, input.cnonce, qop.as_str(), &ha2])
        }
        None => hex(hash, &[&ha1, input.nonce, &ha2]),
    })
}

/// `H(username:realm:password)` in hex: what [`Secret::ha1`] takes.
pub fn ha1(hash: Hash, username: &str, realm: &str, password: &str) -> String {
    hex(hash, &[username, realm, password])
}

/// The hash of texts joined by colons, in hex.
fn hex(hash: Hash, parts: &[&str]) -> String {
    let mut pieces: Vec<&[u8]> = Vec::with_capacity(parts.len() * 2);
    for part in parts {
        pieces.extend([part.as_bytes(), b":"]);
    }
    pieces.pop();
    hex_of(hash, &pieces)
}

fn hex_of(hash: Hash, pieces: &[&[u8]]) -> String {
    match hash {
        Hash::Md5 => digest_hex::<Md5>(pieces),
        Hash::Sha256 => digest_hex::<Sha256>(pieces),
        Hash::Sha512_256 => digest_hex::<Sha512_256>(pieces),
    }
}

fn digest_hex<D: Digest>(pieces: &[&[u8]]) -> String {
    let mut digest = D::new();
    for piece in pieces {
        digest.update(piece);
    }
    digest.finalize().iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("writing to a String cannot fail");
        out
    })
}
