//! Algorithms and qualities of protection.

use std::fmt;

/// A digest algorithm (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Algorithm {
    /// The hash.
    pub hash: Hash,
    /// Whether it is the `-sess` form.
    pub session: bool,
}

/// A hash function; a later one is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    /// MD5.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512 cut to 256 bits (FIPS 180-4 §5.3.6).
    Sha512_256,
}

/// A quality of protection (RFC 7616 §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qop {
    /// The request line.
    Auth,
    /// The request line and the body.
    AuthInt,
}

impl Algorithm {
    /// MD5.
    pub const MD5: Algorithm = Algorithm { hash: Hash::Md5, session: false };
    /// SHA-256.
    pub const SHA_256: Algorithm = Algorithm { hash: Hash::Sha256, session: false };
    /// SHA-512-256.
    pub const SHA_512_256: Algorithm = Algorithm { hash: Hash::Sha512_256, session: false };

    const NAMES: [(Algorithm, &'static str); 6] = [
        (Algorithm::MD5, "MD5"),
        (Algorithm { hash: Hash::Md5, session: true }, "MD5-sess"),
        (Algorithm::SHA_256, "SHA-256"),
        (Algorithm { hash: Hash::Sha256, session: true }, "SHA-256-sess"),
        (Algorithm::SHA_512_256, "SHA-512-256"),
        (Algorithm { hash: Hash::Sha512_256, session: true }, "SHA-512-256-sess"),
    ];

    /// The algorithm of this name, in any case; none when it is not known.
    pub fn parse(name: &str) -> Option<Algorithm> {
        Algorithm::NAMES.iter().find(|(_, own)| own.eq_ignore_ascii_case(name)).map(|(algorithm, _)| *algorithm)
    }

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        Algorithm::NAMES.iter().find(|(own, _)| *own == self).map_or("", |(_, name)| name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Qop {
    /// The quality of this name, in any case; none when it is not known.
    pub fn parse(name: &str) -> Option<Qop> {
        [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| qop.as_str().eq_ignore_ascii_case(name))
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

impl fmt::Display for Qop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
