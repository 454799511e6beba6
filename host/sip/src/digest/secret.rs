//! What proves an identity.

use std::fmt;

use crate::digest::Hash;

/// A password, or what digest makes of it. Debug prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(super) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Password(String),
    Ha1(Vec<(Hash, String)>),
}

impl Secret {
    /// A password in clear text; serves every algorithm.
    pub fn password(password: impl Into<String>) -> Secret {
        Secret(Kind::Password(password.into()))
    }

    /// `H(username:realm:password)` in hex (RFC 7616 §3.4.2) for some hashes; serves these only.
    pub fn ha1(hashes: impl IntoIterator<Item = (Hash, String)>) -> Secret {
        Secret(Kind::Ha1(hashes.into_iter().map(|(hash, ha1)| (hash, ha1.to_ascii_lowercase())).collect()))
    }

    /// Whether it serves this hash.
    pub fn serves(&self, hash: Hash) -> bool {
        match &self.0 {
            Kind::Password(_) => true,
            Kind::Ha1(hashes) => hashes.iter().any(|(own, _)| *own == hash),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
