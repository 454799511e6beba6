//! Credentials (RFC 7616 §3.4): Authorization and Proxy-Authorization.

use crate::digest::{Algorithm, Qop, Secret};

/// Digest credentials as they were received.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// The algorithm or the quality of protection is not known.
    #[error("unsupported digest algorithm")]
    Unsupported,
}

impl Authorization {
    /// Parses the value of an Authorization or Proxy-Authorization field.
    ///
    /// # Errors
    /// When it cannot be judged.
    pub fn parse(value: &str) -> Result<Authorization, InvalidAuthorization> {
        let _ = value;
        Err(InvalidAuthorization::Malformed)
    }
}

/// Whether the credentials prove the secret, for a request with this method and body. Compares in constant time. The
/// nonce, its count, the realm and the URI are the caller's to check.
pub fn verify(authorization: &Authorization, secret: &Secret, method: &str, body: &[u8]) -> bool {
    let _ = (authorization, secret, method, body);
    false
}
