//! Between the contract's types in [`plugboard_calls::contract`] and those that wasmtime lifts and lowers. What goes
//! to the guest is borrowed ([`context`], [`Lists`], [`request`]); what comes from it is moved (the `From`s).

use crate::bindings::{Description, auth, log, sip, types};
use plugboard_calls::contract;
use plugboard_calls::logic::one_line;

/// Longest text of a guest's fault that is kept, in bytes.
const FAULT_BYTES_MAX: usize = 1_024;

/// The lists of an event or request, as the guest's parameters borrow them.
pub(crate) struct Lists<'a> {
    headers: Vec<types::HeaderParam<'a>>,
    contacts: Vec<&'a str>,
}

impl<'a> Lists<'a> {
    pub(crate) fn of_event(event: &'a contract::Event) -> Self {
        use contract::Event::*;
        match event {
            Http { request, .. } => Self::of_request(request),
            Request { headers, .. } | Ack { headers, .. } | Replacement { headers, .. } => {
                Self { headers: borrow(headers), contacts: Vec::new() }
            }
            Response(response) => Self {
                headers: borrow(&response.headers),
                contacts: response.contacts.iter().map(String::as_str).collect(),
            },
            Cancel { .. } | Failure { .. } | Timer(_) | Ending(_) => Self { headers: Vec::new(), contacts: Vec::new() },
        }
    }

    pub(crate) fn of_request(request: &'a contract::HttpRequest) -> Self {
        Self { headers: borrow(&request.headers), contacts: Vec::new() }
    }
}

fn borrow(headers: &[contract::Header]) -> Vec<types::HeaderParam<'_>> {
    headers.iter().map(|header| types::HeaderParam { name: &header.name, value: &header.value }).collect()
}

pub(crate) fn request<'a>(request: &'a contract::HttpRequest, lists: &'a Lists<'a>) -> types::HttpRequest<'a> {
    types::HttpRequest {
        method: &request.method,
        path: &request.path,
        query: request.query.as_deref(),
        headers: &lists.headers,
        body: &request.body,
    }
}

pub(crate) fn context(context: &contract::Context) -> types::Context<'_> {
    types::Context {
        key: types::CallKeyParam { value: context.key.as_str() },
        domain: &context.domain,
        now: types::Timestamp { unix_ms: context.now_unix_ms },
        principal: match &context.principal {
            contract::Principal::Trusted => types::Principal::Trusted,
            contract::Principal::User(name) => types::Principal::User(name),
            contract::Principal::Network => types::Principal::Network,
        },
        seed: context.seed,
        ended_by_host: context.ended_by_host.map(Into::into),
    }
}

pub(crate) fn event<'a>(event: &'a contract::Event, lists: &'a Lists<'a>) -> types::Event<'a> {
    use contract::Event::*;
    let headers = lists.headers.as_slice();
    match event {
        Http { exchange, request: arrived } => types::Event::Http(types::HttpArrival {
            exchange: types::ExchangeId { value: exchange.0 },
            request: request(arrived, lists),
        }),
        Request { leg, transaction, method, body, .. } => types::Event::Request(types::IncomingRequest {
            leg: (*leg).into(),
            transaction: (*transaction).into(),
            method,
            headers,
            body,
        }),
        Response(response) => types::Event::Response(types::IncomingResponse {
            leg: response.leg.into(),
            transaction: response.transaction.into(),
            method: &response.method,
            status: response.status,
            reason: &response.reason,
            contacts: &lists.contacts,
            answerable: response.answerable,
            headers,
            body: &response.body,
        }),
        Ack { leg, transaction, body, .. } => types::Event::Ack(types::IncomingAck {
            leg: (*leg).into(),
            transaction: (*transaction).into(),
            headers,
            body,
        }),
        Cancel { leg, transaction } => {
            types::Event::Cancel(types::IncomingCancel { leg: (*leg).into(), transaction: (*transaction).into() })
        }
        Replacement { leg, replaced, transaction, from, body, .. } => {
            types::Event::Replacement(types::IncomingReplacement {
                leg: (*leg).into(),
                replaced: (*replaced).into(),
                transaction: (*transaction).into(),
                from: types::AddressParam { display_name: from.display_name.as_deref(), uri: &from.uri },
                headers,
                body,
            })
        }
        Failure { leg, transaction, method, reason } => types::Event::Failure(types::RequestFailure {
            leg: (*leg).into(),
            transaction: (*transaction).into(),
            method,
            reason: (*reason).into(),
        }),
        Timer(name) => types::Event::Timer(name),
        Ending(reason) => types::Event::Ending((*reason).into()),
    }
}

impl From<contract::LegId> for types::LegId {
    fn from(id: contract::LegId) -> Self {
        Self { value: id.0 }
    }
}

impl From<types::LegId> for contract::LegId {
    fn from(id: types::LegId) -> Self {
        Self(id.value)
    }
}

impl From<contract::TransactionId> for types::TransactionId {
    fn from(id: contract::TransactionId) -> Self {
        Self { value: id.0 }
    }
}

impl From<types::TransactionId> for contract::TransactionId {
    fn from(id: types::TransactionId) -> Self {
        Self(id.value)
    }
}

impl From<types::ExchangeId> for contract::ExchangeId {
    fn from(id: types::ExchangeId) -> Self {
        Self(id.value)
    }
}

impl From<contract::FailureReason> for types::FailureReason {
    fn from(reason: contract::FailureReason) -> Self {
        match reason {
            contract::FailureReason::TimedOut => Self::TimedOut,
            contract::FailureReason::Unreachable => Self::Unreachable,
            contract::FailureReason::Unresolved => Self::Unresolved,
            contract::FailureReason::Refused => Self::Refused,
            contract::FailureReason::SessionExpired => Self::SessionExpired,
        }
    }
}

impl From<contract::EndingReason> for types::EndingReason {
    fn from(reason: contract::EndingReason) -> Self {
        match reason {
            contract::EndingReason::Operator => Self::Operator,
            contract::EndingReason::Drained => Self::Drained,
            contract::EndingReason::TenantRemoved => Self::TenantRemoved,
            contract::EndingReason::Shutdown => Self::Shutdown,
            contract::EndingReason::Unacknowledged => Self::Unacknowledged,
            contract::EndingReason::Faulty => Self::Faulty,
        }
    }
}

impl From<contract::StageError> for types::StageError {
    fn from(error: contract::StageError) -> Self {
        match error {
            contract::StageError::Malformed(what) => Self::Malformed(what),
            contract::StageError::Reserved(name) => Self::Reserved(name),
            contract::StageError::OverQuota(limit) => Self::OverQuota(limit.to_owned()),
            contract::StageError::Unknown => Self::Unknown,
            contract::StageError::WrongState => Self::WrongState,
            contract::StageError::Denied => Self::Denied,
        }
    }
}

impl From<contract::Started> for sip::Started {
    fn from(started: contract::Started) -> Self {
        Self { leg: started.leg.into(), transaction: started.transaction.into(), call_id: started.call_id }
    }
}

impl From<contract::Identity> for auth::Identity {
    fn from(identity: contract::Identity) -> Self {
        Self { address_of_record: identity.address_of_record, display_name: identity.display_name }
    }
}

impl From<contract::Denial> for auth::Denial {
    fn from(denial: contract::Denial) -> Self {
        match denial {
            contract::Denial::UnknownUser => Self::UnknownUser,
            contract::Denial::NotPermitted => Self::NotPermitted,
        }
    }
}

impl From<types::HeaderResult> for contract::Header {
    fn from(header: types::HeaderResult) -> Self {
        Self { name: header.name, value: header.value }
    }
}

impl From<types::AddressResult> for contract::Address {
    fn from(address: types::AddressResult) -> Self {
        Self { display_name: address.display_name, uri: address.uri }
    }
}

impl From<sip::Invite> for contract::Invite {
    fn from(invite: sip::Invite) -> Self {
        Self {
            target: invite.target,
            to: invite.to.map(Into::into),
            from: invite.from.into(),
            headers: invite.headers.into_iter().map(Into::into).collect(),
            body: invite.body,
        }
    }
}

impl From<types::HttpResponse> for contract::HttpResponse {
    fn from(response: types::HttpResponse) -> Self {
        Self {
            status: response.status,
            headers: response.headers.into_iter().map(Into::into).collect(),
            body: response.body,
        }
    }
}

impl From<log::Level> for contract::LogLevel {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Debug => Self::Debug,
            log::Level::Info => Self::Info,
            log::Level::Warn => Self::Warn,
            log::Level::Error => Self::Error,
        }
    }
}

impl From<types::Fault> for contract::Fault {
    fn from(fault: types::Fault) -> Self {
        let cut = |mut text: String| {
            text.truncate(text.floor_char_boundary(FAULT_BYTES_MAX));
            one_line(text)
        };
        match fault {
            types::Fault::BadState(text) => Self::BadState(cut(text)),
            types::Fault::Unsupported(text) => Self::Unsupported(cut(text)),
            types::Fault::Internal(text) => Self::Internal(cut(text)),
        }
    }
}

impl From<Description> for contract::Description {
    fn from(description: Description) -> Self {
        Self {
            name: description.name,
            version: description.version,
            http_prefix: description.http_prefix,
            state_schema: description.state_schema,
        }
    }
}
