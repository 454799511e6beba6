//! The query of a request: every parameter with its range, its default, and the reason why a value is refused.

use std::borrow::Cow;

use plugboard_sdk::{HttpResponse, percent, text};

use crate::record::{Mode, Options, Secret};

/// The parameters of a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Params {
    pub mode: Mode,
    pub action: Action,
    pub agent: Option<String>,
    pub options: Options,
}

/// What a POST wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Call,
    Transfer { target: String },
}

/// How long the calling party may ring unless the request says otherwise, in seconds.
const RING_SECONDS: u32 = 180;
/// How long a record is kept unless the request says otherwise, in seconds.
const CACHE_SECONDS: u32 = 180;
/// A longer value is refused, in bytes.
const VALUE_BYTES_MAX: usize = 256;

/// The names that mean something; all others are ignored, because old clients send some.
const KNOWN: [&str; 9] = [
    "sipMethod",
    "action",
    "target",
    "timeout",
    "agent",
    "subject",
    "isForwardingAllowed",
    "resultCacheTime",
    "confpin",
];

impl Params {
    /// Reads the query of a POST.
    ///
    /// # Errors
    /// 400 with a reason that names the parameter.
    pub fn parse(query: Option<&str>) -> Result<Self, HttpResponse> {
        let query = Query::parse(query)?;
        let target = query.text("target")?;
        Ok(Self {
            mode: query
                .one_of("sipMethod", &[("refer", Mode::Refer), ("invite", Mode::Invite)])?
                .unwrap_or(Mode::Refer),
            action: match query.one_of("action", &[("call", false), ("transfer", true)])? {
                Some(true) => {
                    Action::Transfer { target: target.ok_or_else(|| bad("target is needed for a transfer"))? }
                }
                Some(false) | None => Action::Call,
            },
            agent: query.agent()?,
            options: Options {
                subject: query.text("subject")?,
                ring_seconds: query.number("timeout", 1, 3600)?.unwrap_or(RING_SECONDS),
                forwarding: query.one_of("isForwardingAllowed", &[("true", true), ("false", false)])?.unwrap_or(false),
                cache_seconds: query.number("resultCacheTime", 0, 86_400)?.unwrap_or(CACHE_SECONDS),
                confpin: query.text("confpin")?.map(Secret),
            },
        })
    }
}

/// The agent that a GET or DELETE names: the only parameter that those look at.
pub(crate) fn agent(query: Option<&str>) -> Result<Option<String>, HttpResponse> {
    Query::parse(query)?.agent()
}

/// A 400 with its reason.
pub(crate) fn bad(reason: &str) -> HttpResponse {
    text(400, reason)
}

/// The known parameters of a query, each once.
struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    fn parse(query: Option<&'a str>) -> Result<Self, HttpResponse> {
        let pairs: Option<Vec<_>> = percent::pairs(query.unwrap_or_default()).collect();
        let mut pairs = pairs.ok_or_else(|| bad("not valid query encoding"))?;
        pairs.retain(|(name, _)| KNOWN.contains(&name.as_ref()));
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(bad(&format!("{name} is given twice")));
            }
        }
        Ok(Self(pairs))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// A text on one line; an empty one counts as none.
    fn text(&self, name: &str) -> Result<Option<String>, HttpResponse> {
        match self.value(name) {
            None | Some("") => Ok(None),
            Some(value) if value.len() > VALUE_BYTES_MAX => Err(bad(&format!("{name} is too long"))),
            Some(value) if value.contains(char::is_control) => Err(not_valid(name)),
            Some(value) => Ok(Some(value.to_string())),
        }
    }

    fn agent(&self) -> Result<Option<String>, HttpResponse> {
        if self.value("agent") == Some("") { Err(not_valid("agent")) } else { self.text("agent") }
    }

    fn number(&self, name: &str, low: u32, high: u32) -> Result<Option<u32>, HttpResponse> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number = value.parse().ok().filter(|number| digits && (low..=high).contains(number));
        number.map(Some).ok_or_else(|| bad(&format!("not valid {name}: {low} to {high} seconds")))
    }

    fn one_of<T: Copy>(&self, name: &str, values: &[(&str, T)]) -> Result<Option<T>, HttpResponse> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let found = values.iter().find(|(known, _)| known.eq_ignore_ascii_case(value));
        found.map(|(_, meant)| Some(*meant)).ok_or_else(|| not_valid(name))
    }
}

fn not_valid(name: &str) -> HttpResponse {
    bad(&format!("not valid {name}"))
}
