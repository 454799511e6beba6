//! Credentials (RFC 7616 §3.4): Authorization and Proxy-Authorization.

use std::fmt;
use std::hint::black_box;

use crate::digest::compute::{Input, respond};
use crate::digest::fields::{self, Scheme};
use crate::digest::{Algorithm, Qop, Secret};

/// Digest credentials as they were received. Debug leaves the response out: from a proof that was made of a short PIN
/// the PIN can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Who it claims to be.
    pub username: String,
    /// The realm.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// The URI that the response is about; the caller compares it with the request's.
    pub uri: String,
    /// The response, in hex.
    pub response: String,
    /// The algorithm; MD5 when none is named.
    pub algorithm: Algorithm,
    /// The quality of protection; none for RFC 2069.
    pub qop: Option<Qop>,
    /// The nonce count; there when `qop` is.
    pub nonce_count: Option<u32>,
    /// The client's nonce; there when `qop` is.
    pub cnonce: Option<String>,
    /// The opaque value of the challenge.
    pub opaque: Option<String>,
}

/// Why credentials cannot be judged. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthorization {
    /// Another scheme than Digest.
    #[error("not digest credentials")]
    Scheme,
    /// A field is missing, there twice, or malformed.
    #[error("malformed digest credentials")]
    Malformed,
    /// The algorithm or the quality of protection is not known, or the user name is hashed.
    #[error("unsupported digest algorithm")]
    Unsupported,
}

impl Authorization {
    /// Parses the value of an Authorization or Proxy-Authorization field.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub fn parse(value: &str) -> Result<Authorization, InvalidAuthorization> {
        let schemes = fields::parse(value);
        let Some(scheme) = schemes.first().filter(|scheme| scheme.name.eq_ignore_ascii_case("Digest")) else {
            return Err(InvalidAuthorization::Scheme);
        };
        if !scheme.is_digest() || schemes.len() > 1 {
            return Err(InvalidAuthorization::Malformed);
        }
        let hashed = scheme.get("userhash").is_some_and(|hashed| hashed.eq_ignore_ascii_case("true"));
        if hashed || scheme.get("username*").is_some() {
            return Err(InvalidAuthorization::Unsupported);
        }
        Authorization::of(scheme)
    }

    fn of(scheme: &Scheme<'_>) -> Result<Authorization, InvalidAuthorization> {
        let field = |name| scheme.get(name).map(str::to_owned).ok_or(InvalidAuthorization::Malformed);
        let algorithm = scheme.get("algorithm").map_or(Some(Algorithm::MD5), Algorithm::parse);
        let algorithm = algorithm.ok_or(InvalidAuthorization::Unsupported)?;
        let qop =
            scheme.get("qop").map(|name| Qop::parse(name).ok_or(InvalidAuthorization::Unsupported)).transpose()?;
        let (nonce_count, cnonce) = match qop {
            Some(_) => (Some(nonce_count(&field("nc")?)?), Some(field("cnonce")?)),
            // RFC 2069 knew MD5 alone; a challenge with another algorithm and no quality is answered in the same form.
            None if !algorithm.session => (None, None),
            None => return Err(InvalidAuthorization::Malformed),
        };
        Ok(Authorization {
            username: field("username")?,
            realm: field("realm")?,
            nonce: field("nonce")?,
            uri: field("uri")?,
            response: field("response")?,
            algorithm,
            qop,
            nonce_count,
            cnonce,
            opaque: scheme.get("opaque").map(str::to_owned),
        })
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Authorization");
        out.field("username", &self.username).field("realm", &self.realm).field("uri", &self.uri);
        out.field("response", &"***").field("algorithm", &self.algorithm).field("qop", &self.qop);
        out.finish_non_exhaustive()
    }
}

/// Eight hex digits (RFC 7616 §3.4).
fn nonce_count(text: &str) -> Result<u32, InvalidAuthorization> {
    let well_formed = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let count = u32::from_str_radix(text, 16).ok().filter(|_| well_formed);
    count.ok_or(InvalidAuthorization::Malformed)
}

/// Whether the credentials prove the secret, for a request with this method and body. Compares in constant time. The
/// nonce, its count, the realm and the URI are the caller's to check.
pub fn verify(authorization: &Authorization, secret: &Secret, method: &str, body: &[u8]) -> bool {
    let input = Input {
        algorithm: authorization.algorithm,
        realm: &authorization.realm,
        nonce: &authorization.nonce,
        username: &authorization.username,
        method,
        uri: &authorization.uri,
        body,
        qop: authorization.qop,
        cnonce: authorization.cnonce.as_deref().unwrap_or_default(),
        nonce_count: authorization.nonce_count.unwrap_or_default(),
    };
    respond(&input, secret).is_some_and(|expected| same(expected.as_bytes(), authorization.response.as_bytes()))
}

/// Compares hex in any case, in a time that does not depend on where the two differ.
fn same(expected: &[u8], received: &[u8]) -> bool {
    let difference = expected
        .iter()
        .zip(received)
        .fold(0, |difference, (one, two)| black_box(difference | (one ^ two.to_ascii_lowercase())));
    expected.len() == received.len() && difference == 0
}
