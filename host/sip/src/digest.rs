//! Digest authentication (RFC 7616, with SHA-512-256 for SIP by RFC 8760), for both sides.
//!
//! MD5, SHA-256 and SHA-512-256, each with its `-sess` form; qop `auth` and `auth-int`, and none at all (RFC 2069),
//! which is checked for MD5 only and answered for any. `userhash` is not served.

mod algorithm;
mod authorization;
mod challenge;
mod compute;
mod fields;
mod secret;

pub use algorithm::{Algorithm, Hash, Qop};
pub use authorization::{Authorization, InvalidAuthorization, verify};
pub use challenge::{Challenge, best, best_for};
pub use compute::{answer, ha1};
pub use secret::Secret;

#[cfg(test)]
mod tests;
