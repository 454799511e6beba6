//! The bearer token of the admin listener (RFC 6750): made at first start, kept in the state folder for its owner only.

use super::Random;
use crate::secret::SecretText;
use crate::state_dir::{self, StateDir};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// What the token's file is called.
pub const FILE: &str = "admin-token";

/// The token.
pub struct Token(SecretText);

impl Token {
    /// The token in the state folder; a fresh one when there is none yet.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub fn open(state_dir: &StateDir, random: Random) -> std::io::Result<Self> {
        let file = state_dir.path(FILE);
        match read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let token = SecretText::new(crate::auth::hex(&random));
                state_dir::write(&file, token.expose().as_bytes())?;
                Ok(Self(token))
            }
            read => read.map(Self),
        }
    }

    /// Whether a request carries it. Compares hashes, so that neither content nor length shows in the time.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, given) = given.split_once(' ').unwrap_or_default();
        let same = Sha256::digest(given.trim()).ct_eq(&Sha256::digest(self.0.expose()));
        bool::from(same) && scheme.eq_ignore_ascii_case("bearer")
    }
}

/// Reads a token file.
///
/// # Errors
/// When it cannot be read or is empty.
pub fn read(file: &Path) -> std::io::Result<SecretText> {
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(file)?);
    match text.trim() {
        "" => {
            Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "the file is empty: remove it to get a new token"))
        }
        token => Ok(SecretText::new(token.to_owned())),
    }
}

/// Where the token of a state folder is.
pub fn file(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_opens_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let state_dir = StateDir::open(folder.path()).expect("made");
        Token::open(&state_dir, [1; 32]).expect("made");
        let token = Token::open(&state_dir, [2; 32]).expect("read");
        let opens = |value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("a value"));
            token.is_in(&headers)
        };
        assert!(opens(format!("Bearer {}", "01".repeat(32))));
        assert!(opens(format!("bearer {}", "01".repeat(32))));
        assert!(!opens(format!("Basic {}", "01".repeat(32))));
        assert!(!opens(format!("Bearer {}", "02".repeat(32))));
        assert!(!opens("Bearer ".to_owned()) && !opens("Bearer".to_owned()));
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
