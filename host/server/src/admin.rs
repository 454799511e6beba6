//! The admin API: JSON under `/v1` for whoever has the token; `/healthz`, `/readyz` and `/metrics` for anyone who can
//! reach the listener.
//!
//! | request | does |
//! |---|---|
//! | `GET /v1/tenants` | lists tenants |
//! | `GET /v1/tenants/{domain}/controller` | says what is live |
//! | `PUT /v1/tenants/{domain}/controller` | deploys the component in the body; the parameters are below |
//! | `GET /v1/tenants/{domain}/versions` | lists versions |
//! | `POST /v1/tenants/{domain}/rollback` | takes the candidate away; without one makes the version before live again |
//! | `GET /v1/tenants/{domain}/shadow` | what a component in the shadow would have done otherwise; DELETE ends it |
//! | `GET /v1/tenants/{domain}/ladder/{calling}/{called}?agent=` | the messages of the call between these two |
//! | any `/v1/tenants/{domain}/api/...` | asks the tenant's call logic, as from a trusted network |
//! | `POST /v1/reload` | puts the changed configuration file into force, all of it or nothing; says what changed |
//! | `GET /v1/calls?domain=` | lists calls |
//! | `GET /v1/calls/{domain}/{key}/ladder` | the messages of a call |
//! | `DELETE /v1/calls/{domain}/{key}` | ends a call |
//!
//! | parameter of PUT controller | means |
//! |---|---|
//! | `percent=5` | as a candidate for 5 % of the new calls; 100, the default, makes it live |
//! | `shadow=true` | into the shadow of the live version: it sees live events and decides nothing |
//! | `migrate=true` | moves the calls that are up to it, as far as it accepts their state |
//! | `trial=100` | only if the last 100 recorded calls would have gone the same |
//! | `force=true` | whatever the trial finds, and even if the host stepped back from it a short while ago |
//! | `drain_after=3600&drain_then=end` | what becomes of the calls of the version whose place it takes: see `[tenants.*] drain` |

mod calls;
mod configuration;
pub mod metrics;
mod tenants;
pub mod token;
pub mod views;

use crate::answer::{Answered, json, plain, with_type};
use crate::config::HttpLimits;
use crate::listen::{Answer, Handler, ListenerCounters};
use crate::reload::Reloads;
use crate::switch::Switch;
use crate::tenants::{Tenant, Tenants};
use arc_swap::ArcSwap;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use plugboard_net::clock::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// 32 bytes that nobody can foresee.
pub type Random = [u8; 32];

/// Answers the requests of the admin listener.
pub struct Admin {
    /// The tenants as they are now.
    pub tenants: Arc<ArcSwap<Tenants>>,
    /// Where calls live.
    pub switch: Arc<Switch>,
    /// The clock of look-ups.
    pub clock: Clock,
    /// Opens `/v1`.
    pub token: token::Token,
    /// Bounds of bodies other than components, as they are now.
    pub limits: Arc<ArcSwap<HttpLimits>>,
    /// Whether new calls are welcome: not before the start is over, nor once the server drains.
    pub ready: Arc<AtomicBool>,
    /// What the logins came to.
    pub authenticator: Arc<crate::auth::Authenticator>,
    /// Puts a changed configuration into force.
    pub reloads: Reloads,
    /// What happened on each listener, by name.
    pub listeners: Vec<(&'static str, Arc<ListenerCounters>)>,
}

impl Handler for Admin {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _source: SocketAddr) -> Answer {
        Box::pin(async move { self.answer(request).await })
    }
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>) -> Answered {
        match request.uri().path() {
            "/healthz" => return plain(StatusCode::OK, "ok"),
            "/readyz" if self.ready.load(Ordering::Relaxed) => return plain(StatusCode::OK, "ready"),
            "/readyz" => return plain(StatusCode::SERVICE_UNAVAILABLE, "not ready"),
            "/metrics" => return with_type(StatusCode::OK, metrics::CONTENT_TYPE, metrics::text(self)),
            _ => {}
        }
        if !self.token.is_in(request.headers()) {
            let mut answer = error(StatusCode::UNAUTHORIZED, "the admin token is missing or wrong");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        self.route(request).await
    }

    async fn route(&self, request: Request<Incoming>) -> Answered {
        let path = request.uri().path().to_owned();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let method = request.method().clone();
        match segments.as_slice() {
            ["v1", "tenants"] => only(&method, &[Method::GET], || self.list_tenants()),
            ["v1", "tenants", domain, rest @ ..] => match self.tenants.load().by_domain(&decode(domain)).cloned() {
                Some(tenant) => self.route_tenant(&tenant, rest, request).await,
                None => error(StatusCode::NOT_FOUND, "there is no such tenant"),
            },
            ["v1", "reload"] if method == Method::POST => self.reload().await,
            ["v1", "reload"] => only(&method, &[Method::POST], || error(StatusCode::NOT_FOUND, "")),
            ["v1", "calls"] => only(&method, &[Method::GET], || self.list_calls(request.uri().query())),
            ["v1", "calls", domain, key] => {
                only(&method, &[Method::DELETE], || self.end_call(&decode(domain), decode(key)))
            }
            ["v1", "calls", domain, key, "ladder"] => {
                only(&method, &[Method::GET], || self.ladder_of_key(&decode(domain), decode(key)))
            }
            _ => {
                error(StatusCode::NOT_FOUND, "there is nothing here: the admin API begins at /v1/tenants and /v1/calls")
            }
        }
    }

    async fn route_tenant(&self, tenant: &Arc<Tenant>, rest: &[&str], request: Request<Incoming>) -> Answered {
        let method = request.method().clone();
        match rest {
            ["controller"] if method == Method::PUT => self.deploy(tenant, request).await,
            ["controller"] => only(&method, &[Method::GET, Method::PUT], || self.live(tenant)),
            ["versions"] => only(&method, &[Method::GET], || self.versions(tenant)),
            ["shadow"] => {
                only(&method, &[Method::GET, Method::DELETE], || self.shadow(tenant, method == Method::DELETE))
            }
            ["rollback"] if method == Method::POST => self.roll_back(tenant, request.uri().query()).await,
            ["rollback"] => only(&method, &[Method::POST], || error(StatusCode::NOT_FOUND, "")),
            ["ladder", calling, called] => {
                only(&method, &[Method::GET], || self.ladder_between(tenant, calling, called, request.uri().query()))
            }
            ["api", rest @ ..] => self.forward(tenant, rest, request).await,
            _ => {
                error(StatusCode::NOT_FOUND, "there is nothing here: see /v1/tenants/{domain}/controller and versions")
            }
        }
    }
}

/// The answer, or 405 for any other method than these.
fn only(method: &Method, allowed: &[Method], answer: impl FnOnce() -> Answered) -> Answered {
    if allowed.contains(method) {
        return answer();
    }
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let names = names.join(", ");
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("{names} only"));
    if let Ok(value) = HeaderValue::from_str(&names) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

fn error(status: StatusCode, line: &str) -> Answered {
    json(status, &views::ErrorView { error: line.to_owned() })
}

fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The first value of a query parameter.
pub(crate) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let value = |pair: &str| pair.strip_prefix(name)?.strip_prefix('=').map(decode);
    query?.split('&').find_map(value)
}
