//! Secrets from the configuration: never printed, wiped from memory when they are dropped.

use std::fmt;
use zeroize::Zeroizing;

/// A text that nobody may read by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text. Where this is called a secret is used: keep such places few.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a user's login is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// In clear text.
    Clear(SecretText),
    /// As the hashes `H(user:domain:pin)` of RFC 7616 §3.4.2, in lower-case hex.
    Hashes {
        /// SHA-256.
        sha256: SecretText,
        /// MD5, for clients that know nothing better.
        md5: Option<SecretText>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let pin = Pin::Hashes { sha256: SecretText::new("abc".into()), md5: Some(SecretText::new("def".into())) };
        let printed = format!("{pin:?} {:?}", Pin::Clear(SecretText::new("123".into())));
        assert!(["abc", "def", "123"].iter().all(|secret| !printed.contains(secret)), "{printed}");
    }
}
