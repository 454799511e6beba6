//! Which call a request is about: its path, its method, and the users that it names.

use std::borrow::Cow;

use plugboard_sdk::{CallKey, Directory, HttpRequest, HttpResponse, header, percent, text};

use crate::params::{self, Action, Params, bad};
use crate::record::Party;

/// The path prefix of the service.
pub(crate) const PREFIX: &str = "/callcontroller";
/// The methods that it takes.
const ALLOW: &str = "GET, POST, DELETE";
/// A longer user is refused, in bytes.
const USER_BYTES_MAX: usize = 128;

/// A request about one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub agent: Party,
    pub calling: Party,
    pub called: Party,
    pub verb: Verb,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Report,
    HangUp,
    Call(Params),
    Transfer { params: Params, target: Party },
}

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// The answer to a request that is about no call: 400, 404, 405, and 204 to OPTIONS.
    pub fn read(domain: &str, request: &HttpRequest, users: &(impl Directory + ?Sized)) -> Result<Self, HttpResponse> {
        let (calling, called) = parties(&request.path)?;
        let resolve = |user: &str, what: &str| resolve(user, what, domain, users);
        let (named, post) = match request.method.as_str() {
            "GET" | "HEAD" | "DELETE" => (params::agent(request.query.as_deref())?, None),
            "POST" => {
                let mut params = Params::parse(request.query.as_deref())?;
                (params.agent.take(), Some(params))
            }
            "OPTIONS" => return Err(allow(204, "")),
            _ => return Err(allow(405, "method not allowed")),
        };
        let named = named.as_deref().unwrap_or(&calling);
        let agent = users.find_user(bare(named)).ok_or_else(|| text(404, &format!("User Not found {named}")))?;
        let agent = Party { uri: agent.address_of_record, name: agent.display_name };
        let verb = match post {
            Some(params) => match params.action.clone() {
                Action::Call => Verb::Call(params),
                Action::Transfer { target } => Verb::Transfer { params, target: resolve(&target, "target")? },
            },
            None if request.method == "DELETE" => Verb::HangUp,
            None => Verb::Report,
        };
        // Mostly the agent calls for itself, and need not be looked up twice.
        let calling = if bare(&calling) == bare(named) { agent.clone() } else { resolve(&calling, "calling user")? };
        Ok(Self { agent, calling, called: resolve(&called, "called user")?, verb })
    }

    /// Whether a call is to be placed.
    pub fn places(&self) -> bool {
        matches!(self.verb, Verb::Call(_))
    }

    /// The key of the call: who calls whom for whom, in canonical addresses.
    pub fn key(&self) -> CallKey {
        let [agent, calling, called] = [&self.agent, &self.calling, &self.called].map(|party| bare(&party.uri));
        CallKey { value: [agent, calling, called].join(":") }
    }
}

/// The two users of the path, decoded.
fn parties(path: &str) -> Result<(Cow<'_, str>, Cow<'_, str>), HttpResponse> {
    let unknown = || text(404, "no such resource");
    let rest = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('/')).ok_or_else(unknown)?;
    let (calling, called) = rest.split_once('/').ok_or_else(unknown)?;
    if calling.is_empty() || called.is_empty() || called.contains('/') {
        return Err(unknown());
    }
    let not_valid = |what: &str| bad(&format!("not valid {what}"));
    let calling = percent::decoded(calling).ok_or_else(|| not_valid("calling user"))?;
    Ok((calling, percent::decoded(called).ok_or_else(|| not_valid("called user"))?))
}

/// A user of the tenant by any of its names, or anyone else by address or number as it stands; a bare name gets the
/// tenant's domain.
fn resolve(user: &str, what: &str, domain: &str, users: &(impl Directory + ?Sized)) -> Result<Party, HttpResponse> {
    let name = bare(user);
    if let Some(identity) = users.find_user(name) {
        return Ok(Party { uri: identity.address_of_record, name: identity.display_name });
    }
    let (name, host) = name.rsplit_once('@').unwrap_or((name, domain));
    let valid = !name.is_empty() && !user.contains(char::is_control) && user.len() <= USER_BYTES_MAX && is_host(host);
    if !valid {
        return Err(bad(&format!("not valid {what}")));
    }
    let uri = ["sip:", &percent::encode(name, percent::URI_USER), "@", &host.to_ascii_lowercase()].concat();
    Ok(Party { uri, name: None })
}

/// A host with an optional port (RFC 3261 §25.1: `hostport`), roughly: whatever it lets through is harmless in a URI.
fn is_host(host: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !host.is_empty() && host.chars().all(allowed)
}

fn bare(uri: &str) -> &str {
    uri.strip_prefix("sip:").unwrap_or(uri)
}

fn allow(status: u16, reason: &str) -> HttpResponse {
    let mut response = text(status, reason);
    response.headers.push(header("allow", ALLOW));
    response
}
