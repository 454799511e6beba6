//! The contract of `wit/call-control.wit` as Rust values: what the engine lifts and lowers, what a call stores,
//! what the journal will write. The WIT file documents each item; only what is particular to the host is said here.

use std::fmt;
use std::sync::Arc;

/// Names one call of one tenant; at most [`CallKey::BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(Arc<str>);

impl CallKey {
    /// Longest key, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// A key from what the guest's `route` returned; `None` when it is empty or too long.
    pub fn new(value: String) -> Option<Self> {
        (!value.is_empty() && value.len() <= Self::BYTES_MAX).then(|| Self(value.into()))
    }

    /// The key as the guest wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One leg of a call, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LegId(pub u32);

impl LegId {
    /// Legs that peers opened have ids behind this one.
    pub const INCOMING: u32 = 1 << 31;
}

/// One SIP request of a call, sent or received, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionId(pub u32);

/// One HTTP request that waits for its answer; unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ExchangeId(pub u64);

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Header {
    /// Long name; lower case for HTTP.
    pub name: String,
    /// Unfolded value.
    pub value: String,
}

/// A SIP address with an optional display name (not quoted).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Address {
    /// Display name without quotes.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub display_name: Option<String>,
    /// A SIP URI.
    pub uri: String,
}

/// An HTTP request as the guest sees it: without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HttpRequest {
    /// In capitals.
    pub method: String,
    /// Percent-encoded, without the query.
    pub path: String,
    /// Percent-encoded, without the question mark.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub query: Option<String>,
    /// Names in lower case.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub headers: Vec<Header>,
    /// At most the listener's body limit.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
    pub body: Vec<u8>,
}

/// The guest's answer to an HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HttpResponse {
    /// 200 to 599.
    pub status: u16,
    /// Content-Length and connection fields are the host's.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub headers: Vec<Header>,
    /// The whole body.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
    pub body: Vec<u8>,
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Principal {
    /// A request from the tenant's trusted networks.
    Trusted,
    /// A request from someone who proved to know this user's PIN; the user's name in the directory.
    User(String),
    /// The SIP network, a timer or the host.
    Network,
}

/// Why a request got no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum FailureReason {
    /// Timer B or F.
    TimedOut,
    /// The transport refused or failed.
    Unreachable,
    /// The next hop has no address.
    Unresolved,
    /// A table or queue of the host was full, or the message too large.
    Refused,
    /// The session of the leg was not refreshed in time (RFC 4028 §10).
    SessionExpired,
}

/// Why the host ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum EndingReason {
    /// The operator ended it.
    Operator,
    /// Its version's drain deadline is over.
    Drained,
    /// Its tenant was removed.
    TenantRemoved,
    /// The server shuts down.
    Shutdown,
    /// A 2xx was not acknowledged in time.
    Unacknowledged,
    /// The guest failed too often on this call.
    Faulty,
}

/// What happened; see the WIT for each case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are those of the WIT records, documented there
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Event {
    Http {
        exchange: ExchangeId,
        request: HttpRequest,
    },
    Request {
        leg: LegId,
        transaction: TransactionId,
        method: String,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    Response(IncomingResponse),
    Ack {
        leg: LegId,
        transaction: TransactionId,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    Cancel {
        leg: LegId,
        transaction: TransactionId,
    },
    Replacement {
        leg: LegId,
        replaced: LegId,
        transaction: TransactionId,
        from: Address,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
        headers: Vec<Header>,
        #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
        body: Vec<u8>,
    },
    Failure {
        leg: LegId,
        transaction: TransactionId,
        method: String,
        reason: FailureReason,
    },
    Timer(String),
    Ending(EndingReason),
}

impl Event {
    /// The name of the WIT case, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Request { .. } => "request",
            Self::Response(_) => "response",
            Self::Ack { .. } => "ack",
            Self::Cancel { .. } => "cancel",
            Self::Replacement { .. } => "replacement",
            Self::Failure { .. } => "failure",
            Self::Timer(_) => "timer",
            Self::Ending(_) => "ending",
        }
    }
}

/// A response to a request of ours, as the WIT record of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IncomingResponse {
    pub leg: LegId,
    pub transaction: TransactionId,
    pub method: String,
    pub status: u16,
    pub reason: String,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub contacts: Vec<String>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub answerable: bool,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub headers: Vec<Header>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
    pub body: Vec<u8>,
}

/// What comes with every event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Context {
    pub key: CallKey,
    pub domain: Arc<str>,
    pub now_unix_ms: u64,
    pub principal: Principal,
    pub seed: u64,
    pub ended_by_host: Option<EndingReason>,
}

/// Why the guest says it could not handle an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The state given could not be read.
    #[error("bad state: {0}")]
    BadState(String),
    /// The event or schema is not supported.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Anything else.
    #[error("internal: {0}")]
    Internal(String),
}

/// Why an effect was refused when it was staged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    /// What is wrong with the value.
    #[error("malformed: {0}")]
    Malformed(String),
    /// The header field is the host's to write.
    #[error("reserved header field: {0}")]
    Reserved(String),
    /// The name of the limit that is used up.
    #[error("over quota: {0}")]
    OverQuota(&'static str),
    /// No such leg, transaction or exchange in this call.
    #[error("unknown id")]
    Unknown,
    /// Not possible in the present state.
    #[error("wrong state")]
    WrongState,
    /// Not permitted.
    #[error("denied")]
    Denied,
}

/// An INVITE that opens a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Invite {
    pub target: String,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub to: Option<Address>,
    pub from: Address,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub headers: Vec<Header>,
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::readable"))]
    pub body: Vec<u8>,
}

/// What staging an [`Invite`] made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Started {
    pub leg: LegId,
    pub transaction: TransactionId,
    pub call_id: String,
}

/// A user of the tenant, as the guest may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity {
    /// `sip:user@domain`
    pub address_of_record: String,
    /// Display name without quotes.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub display_name: Option<String>,
}

/// Why a call may not act for an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Nobody of that name.
    UnknownUser,
    /// The principal is someone else.
    NotPermitted,
}

/// How urgent a log line of a guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// What a component says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub http_prefix: String,
    pub state_schema: u32,
}
