//! The call controller's side of HTTP: which tenant a request is for, who asks, and what its call logic answers.

mod cors;
mod exchange;

pub use exchange::{from_guest, to_guest};

use crate::answer::{Answered, plain};
use crate::auth::{Asked, Authenticator, Door, Refusal, agents_of};
use crate::config::HttpLimits;
use crate::listen::{Answer, BodyError, Handler, read_body};
use crate::switch::Switch;
use crate::tenants::{Tenant, Tenants};
use arc_swap::ArcSwap;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use plugboard_calls::contract::Principal;
use plugboard_calls::limits::Limit;
use plugboard_net::clock::Clock;
use std::net::SocketAddr;
use std::sync::Arc;

/// Answers the requests of the HTTPS or the Digest listener.
pub struct Api {
    /// Which of them.
    pub door: Door,
    /// The tenants as they are now.
    pub tenants: Arc<ArcSwap<Tenants>>,
    /// Who decides who asks.
    pub authenticator: Arc<Authenticator>,
    /// Where calls live.
    pub switch: Arc<Switch>,
    /// The clock of logins.
    pub clock: Clock,
    /// Bounds of bodies as they are now.
    pub limits: Arc<ArcSwap<HttpLimits>>,
}

impl Handler for Api {
    fn handle(self: Arc<Self>, request: Request<Incoming>, source: SocketAddr) -> Answer {
        Box::pin(async move {
            let tenant = self.tenants.load().by_host(host(&request).as_deref()).clone();
            let origin = cors::allowed_origin(&tenant, request.headers());
            let mut answer = match origin.as_ref().and_then(|_| cors::preflight(&request)) {
                Some(answer) => answer,
                None => self.answer(&tenant, request, source).await,
            };
            if let Some(origin) = origin {
                cors::allow(&mut answer, origin);
            }
            answer
        })
    }
}

impl Api {
    async fn answer(&self, tenant: &Tenant, request: Request<Incoming>, source: SocketAddr) -> Answered {
        let version = tenant.deployments.live();
        let prefix = &version.logic().description().http_prefix;
        let principal = match self.who(tenant, &request, source, prefix) {
            Ok(principal) => principal,
            Err(refusal) => {
                tracing::info!(tenant = tenant.domain(), %source, reason = refusal.reason(), "a request was refused");
                return refused(&refusal);
            }
        };
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = answer_for(tenant, &self.switch, principal, request, &self.limits.load_full()).await;
        // The query may hold a conference PIN.
        tracing::info!(tenant = tenant.domain(), %source, %method, path, status = response.status().as_u16(), "answered");
        response
    }

    fn who(
        &self,
        tenant: &Tenant,
        request: &Request<Incoming>,
        source: SocketAddr,
        prefix: &str,
    ) -> Result<Principal, Refusal> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let agents = agents_of(request.uri().path(), request.uri().query(), prefix);
        let mut authorization = request.headers().get_all(AUTHORIZATION).iter();
        let asked = Asked {
            door: self.door,
            source: source.ip(),
            trusted: tenant.trusts(source.ip()),
            method: request.method().as_str(),
            target,
            authorization: authorization
                .next()
                .and_then(|value| value.to_str().ok())
                .filter(|_| authorization.next().is_none()),
            agents: &agents,
        };
        self.authenticator.check(self.clock.now(), tenant.domain(), &tenant.users, &asked)
    }
}

/// Hands a request to the tenant's call logic, in the name of `principal`.
pub async fn answer_for(
    tenant: &Tenant,
    switch: &Arc<Switch>,
    principal: Principal,
    request: Request<Incoming>,
    limits: &HttpLimits,
) -> Answered {
    let (parts, body) = request.into_parts();
    let bytes_max = tenant.body_bytes_max.unwrap_or(limits.body_bytes_max);
    let body = read_body(body, bytes_max, limits.body_timeout).await;
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            if matches!(error, BodyError::TooLarge(_)) {
                tenant.core.counters.limits.reached(Limit::BodyBytes);
            }
            return plain(error.status(), &error.to_string());
        }
    };
    let newcomers = tenant.deployments.newcomers();
    let response = switch.http(&tenant.core, &newcomers, principal, to_guest(&parts, body)).await;
    from_guest(response, &parts.method)
}

fn refused(refusal: &Refusal) -> Answered {
    let value = |text: &str| HeaderValue::from_str(text).ok();
    match refusal {
        Refusal::Login { challenges } => {
            let mut answer = plain(StatusCode::UNAUTHORIZED, "not valid user pin");
            let challenges = challenges.iter().filter_map(|challenge| value(challenge));
            answer.headers_mut().extend(challenges.map(|value| (WWW_AUTHENTICATE, value)));
            answer
        }
        Refusal::NotTheAgent => plain(StatusCode::FORBIDDEN, "Agent does not match principal"),
        Refusal::Later { seconds } => {
            let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "too many wrong pins: try again later");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            answer
        }
    }
}

/// The host that a request is for: HTTP/2 says it in `:authority`, HTTP/1.1 in Host.
fn host(request: &Request<Incoming>) -> Option<String> {
    let field = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    request.uri().authority().map(|authority| authority.as_str()).or_else(|| field(HOST)).map(str::to_owned)
}
