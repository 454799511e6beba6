//! A controller in Rust run natively behind the core's [`Logic`]: the same call logic that the sandbox runs, without
//! the sandbox.

use plugboard_calls::contract as host;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::stage::Stage;
use plugboard_sdk as guest;
use plugboard_sdk::{Controller, codec};
use std::marker::PhantomData;

/// A controller as call logic.
pub struct Native<C> {
    description: host::Description,
    controller: PhantomData<fn() -> C>,
}

impl<C: Controller> Default for Native<C> {
    fn default() -> Self {
        let guest::Description { name, version, http_prefix, state_schema } = C::describe();
        let description = host::Description { name, version, http_prefix, state_schema };
        Self { description, controller: PhantomData }
    }
}

impl<C: Controller> Logic for Native<C> {
    fn description(&self) -> &host::Description {
        &self.description
    }

    fn route(&self, domain: &str, request: &host::HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        let imports = Imports(stage);
        let routed = match C::route(domain, &http_request(request), &imports) {
            Ok(key) => host::CallKey::new(key.value).map(Routed::Call).ok_or(Breakdown::Limit("call_key_bytes")),
            Err(answer) => Ok(Routed::Answer(http_response(answer))),
        };
        (imports.0, routed)
    }

    fn handle(
        &self,
        context: &host::Context,
        state: Option<&[u8]>,
        event: &host::Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        let mut imports = Imports(stage);
        let outcome =
            step::<C>(context, state, event, &mut imports).map_err(|fault| Breakdown::Fault(from_fault(fault)));
        (imports.0, outcome)
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        C::migrate(from_schema, state.to_vec()).map_err(|fault| Breakdown::Fault(from_fault(fault)))
    }
}

fn step<C: Controller>(
    context: &host::Context,
    state: Option<&[u8]>,
    event: &host::Event,
    imports: &mut Imports,
) -> Result<Option<Vec<u8>>, guest::Fault> {
    let state = state.map(|bytes| codec::decode(C::SCHEMA, bytes)).transpose()?;
    let next = C::step(&to_context(context), state, to_event(event), imports)?;
    next.map(|next| codec::encode(C::SCHEMA, &next)).transpose()
}

/// The core's stage as the SDK's host.
struct Imports(Stage);

impl guest::Directory for Imports {
    fn find_user(&self, name: &str) -> Option<guest::Identity> {
        self.0.find_user(name).map(identity)
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.0.setting(name).map(str::to_owned)
    }
}

impl guest::Host for Imports {
    fn call(&mut self, invite: guest::Invite) -> Result<guest::Started, guest::StageError> {
        let guest::Invite { target, to, from, headers, body } = invite;
        let invite =
            host::Invite { target, to: to.map(address), from: address(from), headers: from_headers(headers), body };
        let host::Started { leg, transaction, call_id } = self.0.call(invite).map_err(refused)?;
        Ok(guest::Started { leg: to_leg(leg), transaction: to_transaction(transaction), call_id })
    }

    fn request(
        &mut self,
        leg: guest::LegId,
        method: &str,
        headers: Vec<guest::Header>,
        body: Vec<u8>,
    ) -> Result<guest::TransactionId, guest::StageError> {
        let id = self.0.request(host::LegId(leg.value), method.to_owned(), from_headers(headers), body);
        id.map(to_transaction).map_err(refused)
    }

    fn ack(
        &mut self,
        invite: guest::TransactionId,
        headers: Vec<guest::Header>,
        body: Vec<u8>,
    ) -> Result<(), guest::StageError> {
        self.0.ack(host::TransactionId(invite.value), from_headers(headers), body).map_err(refused)
    }

    fn answer_challenge(
        &mut self,
        challenged: guest::TransactionId,
    ) -> Result<guest::TransactionId, guest::StageError> {
        self.0.answer_challenge(host::TransactionId(challenged.value)).map(to_transaction).map_err(refused)
    }

    fn cancel(&mut self, invite: guest::TransactionId) -> Result<(), guest::StageError> {
        self.0.cancel(host::TransactionId(invite.value)).map_err(refused)
    }

    fn respond(
        &mut self,
        transaction: guest::TransactionId,
        status: u16,
        reason: &str,
        headers: Vec<guest::Header>,
        body: Vec<u8>,
    ) -> Result<(), guest::StageError> {
        let transaction = host::TransactionId(transaction.value);
        self.0.respond(transaction, status, reason.to_owned(), from_headers(headers), body).map_err(refused)
    }

    fn release(&mut self, leg: guest::LegId, headers: Vec<guest::Header>) -> Result<(), guest::StageError> {
        self.0.release(host::LegId(leg.value), from_headers(headers)).map_err(refused)
    }

    fn set_timer(&mut self, name: &str, after_ms: u64) -> Result<(), guest::StageError> {
        self.0.set_timer(name.to_owned(), after_ms).map_err(refused)
    }

    fn clear_timer(&mut self, name: &str) -> Result<(), guest::StageError> {
        self.0.clear_timer(name.to_owned()).map_err(refused)
    }

    fn act_as(&mut self, agent: &str) -> Result<guest::Identity, guest::Denial> {
        self.0.act_as(agent).map(identity).map_err(|denial| match denial {
            host::Denial::UnknownUser => guest::Denial::UnknownUser,
            host::Denial::NotPermitted => guest::Denial::NotPermitted,
        })
    }

    fn cache_get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.cache_get(key)
    }

    fn cache_put(&mut self, key: &str, value: &[u8], ttl_seconds: u32) -> Result<(), guest::StageError> {
        self.0.cache_put(key.to_owned(), value.to_vec(), ttl_seconds).map_err(refused)
    }

    fn cache_remove(&mut self, key: &str) -> Result<(), guest::StageError> {
        self.0.cache_remove(key.to_owned()).map_err(refused)
    }

    fn respond_http(
        &mut self,
        exchange: guest::ExchangeId,
        response: guest::HttpResponse,
    ) -> Result<(), guest::StageError> {
        self.0.http_respond(host::ExchangeId(exchange.value), http_response(response)).map_err(refused)
    }

    fn log(&mut self, level: guest::Level, message: &str) {
        let level = match level {
            guest::Level::Debug => host::LogLevel::Debug,
            guest::Level::Info => host::LogLevel::Info,
            guest::Level::Warn => host::LogLevel::Warn,
            guest::Level::Error => host::LogLevel::Error,
        };
        self.0.log(level, message.to_owned());
    }
}

fn to_context(context: &host::Context) -> guest::Context {
    guest::Context {
        key: guest::CallKey { value: context.key.as_str().to_owned() },
        domain: context.domain.to_string(),
        now: guest::Timestamp { unix_ms: context.now_unix_ms },
        principal: match &context.principal {
            host::Principal::Trusted => guest::Principal::Trusted,
            host::Principal::User(user) => guest::Principal::User(user.clone()),
            host::Principal::Network => guest::Principal::Network,
        },
        seed: context.seed,
        ended_by_host: context.ended_by_host.map(ending),
    }
}

fn to_event(event: &host::Event) -> guest::Event {
    match event.clone() {
        host::Event::Http { exchange, request } => guest::Event::Http(guest::HttpArrival {
            exchange: guest::ExchangeId { value: exchange.0 },
            request: http_request(&request),
        }),
        host::Event::Request { leg, transaction, method, headers, body } => {
            let (leg, transaction, headers) = (to_leg(leg), to_transaction(transaction), to_headers(headers));
            guest::Event::Request(guest::IncomingRequest { leg, transaction, method, headers, body })
        }
        host::Event::Response(response) => guest::Event::Response(guest::IncomingResponse {
            leg: to_leg(response.leg),
            transaction: to_transaction(response.transaction),
            method: response.method,
            status: response.status,
            reason: response.reason,
            contacts: response.contacts,
            answerable: response.answerable,
            headers: to_headers(response.headers),
            body: response.body,
        }),
        host::Event::Ack { leg, transaction, headers, body } => {
            let (leg, transaction, headers) = (to_leg(leg), to_transaction(transaction), to_headers(headers));
            guest::Event::Ack(guest::IncomingAck { leg, transaction, headers, body })
        }
        host::Event::Cancel { leg, transaction } => {
            guest::Event::Cancel(guest::IncomingCancel { leg: to_leg(leg), transaction: to_transaction(transaction) })
        }
        host::Event::Replacement { leg, replaced, transaction, from, headers, body } => {
            guest::Event::Replacement(guest::IncomingReplacement {
                leg: to_leg(leg),
                replaced: to_leg(replaced),
                transaction: to_transaction(transaction),
                from: guest::Address { display_name: from.display_name, uri: from.uri },
                headers: to_headers(headers),
                body,
            })
        }
        host::Event::Failure { leg, transaction, method, reason } => {
            let reason = match reason {
                host::FailureReason::TimedOut => guest::FailureReason::TimedOut,
                host::FailureReason::Unreachable => guest::FailureReason::Unreachable,
                host::FailureReason::Unresolved => guest::FailureReason::Unresolved,
                host::FailureReason::Refused => guest::FailureReason::Refused,
                host::FailureReason::SessionExpired => guest::FailureReason::SessionExpired,
            };
            let (leg, transaction) = (to_leg(leg), to_transaction(transaction));
            guest::Event::Failure(guest::RequestFailure { leg, transaction, method, reason })
        }
        host::Event::Timer(name) => guest::Event::Timer(name),
        host::Event::Ending(reason) => guest::Event::Ending(ending(reason)),
    }
}

fn ending(reason: host::EndingReason) -> guest::EndingReason {
    match reason {
        host::EndingReason::Operator => guest::EndingReason::Operator,
        host::EndingReason::Drained => guest::EndingReason::Drained,
        host::EndingReason::TenantRemoved => guest::EndingReason::TenantRemoved,
        host::EndingReason::Shutdown => guest::EndingReason::Shutdown,
        host::EndingReason::Unacknowledged => guest::EndingReason::Unacknowledged,
        host::EndingReason::Faulty => guest::EndingReason::Faulty,
    }
}

fn refused(error: host::StageError) -> guest::StageError {
    match error {
        host::StageError::Malformed(what) => guest::StageError::Malformed(what),
        host::StageError::Reserved(name) => guest::StageError::Reserved(name),
        host::StageError::OverQuota(limit) => guest::StageError::OverQuota(limit.to_owned()),
        host::StageError::Unknown => guest::StageError::Unknown,
        host::StageError::WrongState => guest::StageError::WrongState,
        host::StageError::Denied => guest::StageError::Denied,
    }
}

fn from_fault(fault: guest::Fault) -> host::Fault {
    match fault {
        guest::Fault::BadState(why) => host::Fault::BadState(why),
        guest::Fault::Unsupported(why) => host::Fault::Unsupported(why),
        guest::Fault::Internal(why) => host::Fault::Internal(why),
    }
}

fn http_request(request: &host::HttpRequest) -> guest::HttpRequest {
    let host::HttpRequest { method, path, query, headers, body } = request.clone();
    guest::HttpRequest { method, path, query, headers: to_headers(headers), body }
}

fn http_response(response: guest::HttpResponse) -> host::HttpResponse {
    host::HttpResponse { status: response.status, headers: from_headers(response.headers), body: response.body }
}

fn identity(identity: host::Identity) -> guest::Identity {
    guest::Identity { address_of_record: identity.address_of_record, display_name: identity.display_name }
}

fn address(address: guest::Address) -> host::Address {
    host::Address { display_name: address.display_name, uri: address.uri }
}

fn to_headers(headers: Vec<host::Header>) -> Vec<guest::Header> {
    headers.into_iter().map(|header| guest::Header { name: header.name, value: header.value }).collect()
}

fn from_headers(headers: Vec<guest::Header>) -> Vec<host::Header> {
    headers.into_iter().map(|header| host::Header { name: header.name, value: header.value }).collect()
}

fn to_leg(leg: host::LegId) -> guest::LegId {
    guest::LegId { value: leg.0 }
}

fn to_transaction(id: host::TransactionId) -> guest::TransactionId {
    guest::TransactionId { value: id.0 }
}
