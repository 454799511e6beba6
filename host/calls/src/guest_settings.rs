//! What an operator tells the call logic of a tenant: named texts that it may read in every event, and nobody changes
//! while it runs.

use std::collections::BTreeMap;

/// Settings of one tenant, in number.
pub const SETTINGS_MAX: usize = 64;
/// Longest name of a setting, in bytes.
pub const SETTING_NAME_BYTES_MAX: usize = 64;
/// Longest value of a setting, in bytes.
pub const SETTING_VALUE_BYTES_MAX: usize = 4_096;

/// The settings of a tenant. They are no place for secrets: guests read them, and the journal holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct GuestSettings(BTreeMap<String, String>);

/// Why a setting is not taken. The operator's to correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// It is named by what is no name.
    #[error("a setting is named by letters, digits and -_. , {SETTING_NAME_BYTES_MAX} bytes at most")]
    Name,
    /// Its value is too long.
    #[error("the value of a setting has {SETTING_VALUE_BYTES_MAX} bytes at most")]
    Value,
    /// There are enough already.
    #[error("a tenant has {SETTINGS_MAX} settings at most")]
    TooMany,
}

impl GuestSettings {
    /// Adds a setting, in place of one of the same name.
    ///
    /// # Errors
    /// When it is out of bounds; nothing is changed.
    pub fn insert(&mut self, name: &str, value: String) -> Result<(), SettingError> {
        let named = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if name.is_empty() || name.len() > SETTING_NAME_BYTES_MAX || !name.bytes().all(named) {
            return Err(SettingError::Name);
        }
        if value.len() > SETTING_VALUE_BYTES_MAX {
            return Err(SettingError::Value);
        }
        if self.0.len() >= SETTINGS_MAX && !self.0.contains_key(name) {
            return Err(SettingError::TooMany);
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_bounded_in_number_and_size() {
        let mut settings = GuestSettings::default();
        for n in 0..SETTINGS_MAX {
            assert_eq!(settings.insert(&format!("s{n}"), "v".repeat(SETTING_VALUE_BYTES_MAX)), Ok(()));
        }
        assert_eq!(settings.insert("one-more", String::new()), Err(SettingError::TooMany));
        assert_eq!(settings.insert("s0", "other".to_owned()), Ok(()));
        assert_eq!((settings.get("s0"), settings.get("one-more")), (Some("other"), None));
        let mut settings = GuestSettings::default();
        assert_eq!(settings.insert("s", "v".repeat(SETTING_VALUE_BYTES_MAX + 1)), Err(SettingError::Value));
        assert_eq!(settings.insert(&"n".repeat(SETTING_NAME_BYTES_MAX), String::new()), Ok(()));
        for bad in ["", "a b", &"n".repeat(SETTING_NAME_BYTES_MAX + 1)] {
            assert_eq!(settings.insert(bad, String::new()), Err(SettingError::Name), "{bad}");
        }
    }
}
