//! The users of a tenant, from the configuration.

use crate::config::UserConfig;
use crate::secret::Pin;
use plugboard_calls::contract::Identity;
use plugboard_calls::logic::{Credentials, Directory, UserRecord};
use plugboard_sip::digest::Secret;
use plugboard_sip::text::Text;
use plugboard_sip::uri::{SipUri, unescape};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A tenant's users: by name, by alias, and by address. The user part is compared as it is, the domain in any case
/// (RFC 3261 §19.1.4).
pub struct Users {
    domain: String,
    users: Vec<User>,
    by_name: HashMap<String, usize>,
}

struct User {
    record: Arc<UserRecord>,
    pin: Option<Pin>,
    credentials: Option<Credentials>,
}

/// A user as the login sees one.
pub struct Login<'u> {
    /// The name in the directory.
    pub name: &'u str,
    /// What to check against; without one the user cannot log in.
    pub pin: Option<&'u Pin>,
}

impl Users {
    /// The users of `domain`.
    pub fn new(domain: &str, configured: &[UserConfig]) -> Self {
        let mut by_name = HashMap::new();
        for (n, user) in configured.iter().enumerate() {
            for name in user.aliases.iter().chain([&user.name]) {
                by_name.insert(name.clone(), n);
            }
        }
        let users = configured.iter().map(|user| User::new(domain, user)).collect();
        Self { domain: domain.to_owned(), users, by_name }
    }

    /// Who this name, alias or address is when someone logs in under it.
    pub fn login(&self, name: &str) -> Option<Login<'_>> {
        self.user(name).map(|user| Login { name: &user.record.name, pin: user.pin.as_ref() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn user(&self, name: &str) -> Option<&User> {
        let index = match self.by_name.get(name) {
            Some(index) => *index,
            None => *self.by_name.get(&*self.local_part(name)?)?,
        };
        self.users.get(index)
    }

    /// The user part of an address in this domain: `user@domain` or `sip:user@domain`. An address with a port is
    /// another one.
    fn local_part<'a>(&self, address: &'a str) -> Option<Cow<'a, str>> {
        if !self.may_be_here(address) {
            return None;
        }
        // As a rule nothing in it has to be read as a URI.
        let is_plain = |user: &str| user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
        let plain = address.strip_prefix("sip:").unwrap_or(address).split_once('@');
        if let Some((user, host)) = plain
            && host.eq_ignore_ascii_case(&self.domain)
            && !user.is_empty()
            && is_plain(user)
        {
            return Some(user.into());
        }
        let has_scheme = |scheme: &str| address.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
        let text =
            if has_scheme("sip:") || has_scheme("sips:") { address.to_owned() } else { format!("sip:{address}") };
        let uri = SipUri::parse(&Text::from(text)).ok()?;
        if uri.port.is_some() || !uri.host.to_string().eq_ignore_ascii_case(&self.domain) {
            return None;
        }
        Some(unescape(&uri.user?).into())
    }

    /// False for nearly all addresses of other domains, without a closer look. An IPv6 address can be written in many
    /// ways.
    fn may_be_here(&self, address: &str) -> bool {
        let domain = self.domain.as_str();
        let is_here = |(at, _): (usize, &str)| {
            let host = address.get(at + 1..at + 1 + domain.len());
            host.is_some_and(|host| host.eq_ignore_ascii_case(domain))
        };
        domain.starts_with('[') || address.rmatch_indices('@').any(is_here)
    }
}

impl Directory for Users {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        self.user(name).map(|user| user.record.clone())
    }

    fn credentials(&self, user: &str) -> Option<Credentials> {
        self.user(user)?.credentials.clone()
    }
}

impl User {
    fn new(domain: &str, config: &UserConfig) -> Self {
        let identity = Identity {
            address_of_record: format!("sip:{}@{domain}", config.name),
            display_name: config.display_name.clone(),
        };
        let credentials = config.sip_password.as_ref().map(|password| Credentials {
            username: config.sip_user.clone().unwrap_or_else(|| config.name.clone()),
            secret: Secret::password(password.expose()),
        });
        let record = Arc::new(UserRecord { name: config.name.clone(), identity });
        Self { record, pin: config.pin.clone(), credentials }
    }
}
