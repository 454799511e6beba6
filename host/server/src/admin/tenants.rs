//! `/v1/tenants`: what each runs, deployments, and the way to its call logic.

use super::views::{DeployedView, MoveView, RolledBackView, TenantView, VersionView};
use super::{Admin, error, parameter};
use crate::answer::{Answered, json};
use crate::api::answer_for;
use crate::deploy::{
    COMPONENT_BYTES_MAX, CallsOf, DRAIN_SECONDS_MAX, DeployError, Deployed, Deployments, Drain, How, Listed,
    RolledBack, Share, State, Then, Version,
};
use crate::journal::Trial;
use crate::listen::read_body;
use crate::tenants::Tenant;
use http::{Request, StatusCode, Uri};
use hyper::body::Incoming;
use plugboard_calls::contract::Principal;
use plugboard_calls::logic::Logic;
use plugboard_engine::in_background;
use std::sync::Arc;
use std::time::Duration;

/// How long the upload of a component may take.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(120);

impl Admin {
    pub(super) fn list_tenants(&self) -> Answered {
        let view = |tenant: &Arc<Tenant>| {
            let live = tenant.deployments.live();
            TenantView {
                domain: tenant.domain().to_owned(),
                users: tenant.users.len(),
                http_prefix: live.logic().description().http_prefix.clone(),
                calls: self.switch.calls(Some(tenant.domain())).len(),
                live: self.version(live, State::Live),
            }
        };
        json(StatusCode::OK, &self.tenants.load().iter().map(view).collect::<Vec<_>>())
    }

    pub(super) fn live(&self, tenant: &Tenant) -> Answered {
        json(StatusCode::OK, &self.version(tenant.deployments.live(), State::Live))
    }

    pub(super) fn versions(&self, tenant: &Tenant) -> Answered {
        let listed = tenant.deployments.list(&|logic| self.switch.calls_on(logic));
        json(StatusCode::OK, &listed.into_iter().map(VersionView::from).collect::<Vec<_>>())
    }

    pub(super) async fn deploy(&self, tenant: &Arc<Tenant>, request: Request<Incoming>) -> Answered {
        let Asked { how, shadow, migrate, trial } = match Asked::read(request.uri().query()) {
            Ok(asked) => asked,
            Err(wrong) => return error(StatusCode::BAD_REQUEST, &wrong),
        };
        let component = match read_body(request.into_body(), COMPONENT_BYTES_MAX, UPLOAD_TIMEOUT).await {
            Ok(component) => component,
            Err(problem) => return error(problem.status(), &problem.to_string()),
        };
        if shadow {
            return self.put_into_shadow(tenant, component).await;
        }
        let journal = self.switch.journal().cloned();
        let domain = tenant.domain().to_owned();
        let change = move |deployments: &Deployments, calls_of: CallsOf<'_>| {
            let tried =
                trial.map(|trial| trial.run(deployments, journal.as_deref(), &domain, &component)).transpose()?;
            Ok((deployments.deploy(&component, how, calls_of)?, tried))
        };
        match self.change(tenant, change).await {
            Ok((deployed, trial)) => {
                let Deployed { version, state, already } = deployed;
                let share = state.share().unwrap_or(Share::ALL);
                tracing::info!(tenant = tenant.domain(), version = version.id(), %share, already, "deployed");
                let moved = self.move_calls(tenant, &version, migrate).await;
                let live = self.version(tenant.deployments.live(), State::Live);
                let candidate = state.share().map(|_| self.version(version, state));
                let view = DeployedView { live, candidate, shadow: None, already_live: already, moved, trial };
                json(StatusCode::OK, &view)
            }
            Err(problem) => refused(tenant, &problem),
        }
    }

    async fn put_into_shadow(&self, tenant: &Arc<Tenant>, component: Vec<u8>) -> Answered {
        match self.change(tenant, move |deployments, _| deployments.put_into_shadow(&component)).await {
            Ok(shadow) => {
                tracing::info!(tenant = tenant.domain(), version = shadow.id(), "put into the shadow");
                let live = self.version(tenant.deployments.live(), State::Live);
                let shadow = Some(VersionView::from(Listed::shadow(&shadow)));
                let (candidate, moved, trial) = (None, None, None);
                json(StatusCode::OK, &DeployedView { live, candidate, shadow, already_live: false, moved, trial })
            }
            Err(problem) => refused(tenant, &problem),
        }
    }

    /// What is in the shadow; with `end` it is no longer.
    pub(super) fn shadow(&self, tenant: &Tenant, end: bool) -> Answered {
        let deployments = &tenant.deployments;
        let shadow = if end { deployments.end_shadow() } else { deployments.shadow().ok_or(DeployError::NoShadow) };
        match shadow {
            Ok(shadow) => json(StatusCode::OK, &VersionView::from(Listed::shadow(&shadow))),
            Err(problem) => error(StatusCode::NOT_FOUND, &problem.to_string()),
        }
    }

    pub(super) async fn roll_back(&self, tenant: &Arc<Tenant>, query: Option<&str>) -> Answered {
        match self.change(tenant, |deployments, calls_of| deployments.roll_back(calls_of)).await {
            Ok(RolledBack { live, withdrawn }) => {
                let candidate = withdrawn.as_ref().map(|version| version.id());
                tracing::info!(tenant = tenant.domain(), version = live.id(), candidate, "rolled back");
                let moved = self.move_calls(tenant, &live, is_set(query, "migrate")).await;
                let withdrawn = withdrawn.map(|version| self.version(version, State::Draining));
                json(StatusCode::OK, &RolledBackView { live: self.version(live, State::Live), withdrawn, moved })
            }
            Err(problem) => refused(tenant, &problem),
        }
    }

    /// Moves the calls that are up to a version, if that was asked for.
    async fn move_calls(&self, tenant: &Arc<Tenant>, to: &Arc<Version>, asked: bool) -> Option<MoveView> {
        if !asked {
            return None;
        }
        let (switch, domain, logic) = (self.switch.clone(), tenant.domain().to_owned(), to.logic().clone());
        let mine = move |tenant: &plugboard_calls::tenant::Tenant, _: &Arc<dyn Logic>| *tenant.domain == *domain;
        let report = tokio::task::spawn_blocking(move || switch.move_calls(&logic, mine)).await.ok()?;
        let (moved, refused, busy) = (report.moved.len(), report.refused.len(), report.busy);
        tracing::info!(tenant = tenant.domain(), version = to.id(), moved, refused, busy, "calls were moved");
        Some(report.into())
    }

    /// Asks the tenant's call logic for whoever has the token, as if from a trusted network.
    pub(super) async fn forward(&self, tenant: &Tenant, path: &[&str], mut request: Request<Incoming>) -> Answered {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let Ok(uri) = format!("/{}{query}", path.join("/")).parse::<Uri>() else {
            return error(StatusCode::BAD_REQUEST, "what stands behind /api is no path");
        };
        *request.uri_mut() = uri;
        answer_for(tenant, &self.switch, Principal::Trusted, request, &self.limits.load_full()).await
    }

    /// Runs a change of versions on a thread that may block: compiling takes a while. Guests that are tried for it come
    /// after those of calls.
    async fn change<T: Send + 'static>(
        &self,
        tenant: &Arc<Tenant>,
        change: impl FnOnce(&Deployments, CallsOf<'_>) -> Result<T, DeployError> + Send + 'static,
    ) -> Result<T, DeployError> {
        let (tenant, switch) = (tenant.clone(), self.switch.clone());
        let calls_of = move |logic: &Arc<dyn Logic>| switch.calls_on(logic);
        let change = move || in_background(|| change(&tenant.deployments, &calls_of)).0;
        let changed = tokio::task::spawn_blocking(change);
        changed.await.unwrap_or_else(|_| Err(DeployError::Refused("the server failed at it: see its log".to_owned())))
    }

    fn version(&self, version: Arc<Version>, state: State) -> VersionView {
        let calls = self.switch.calls_on(version.logic());
        VersionView::from(Listed::new(&version, state, calls, None))
    }
}

/// What the query of a deployment asks for.
struct Asked {
    how: How,
    /// It is not to decide anything.
    shadow: bool,
    migrate: bool,
    trial: Option<Trial>,
}

impl Asked {
    /// With what to write instead when it is not to be understood.
    fn read(query: Option<&str>) -> Result<Self, String> {
        let percent = parameter(query, "percent").map_or(Some(Share::ALL), |p| Share::percent(p.parse().ok()?));
        let share = percent.ok_or("percent: write a whole number from 1 to 100")?;
        let migrate = is_set(query, "migrate");
        if migrate && share != Share::ALL {
            return Err("migrate: calls that are up move to a version that is live, so not with a percent".to_owned());
        }
        let how = How { share, force: is_set(query, "force"), drain: drain(query)? };
        let (shadow, trial) = (is_set(query, "shadow"), Trial::asked(query)?);
        if shadow && (migrate || trial.is_some() || how != How { force: how.force, ..How::default() }) {
            return Err("shadow: what only sees live events takes no calls, so none of the other parameters".to_owned());
        }
        Ok(Self { how, shadow, migrate, trial })
    }
}

/// `drain_after` and `drain_then`.
fn drain(query: Option<&str>) -> Result<Option<Drain>, String> {
    let (after, then) = (parameter(query, "drain_after"), parameter(query, "drain_then"));
    let (Some(after), Some(then)) = (&after, &then) else {
        return match (after, then) {
            (None, None) => Ok(None),
            _ => Err("drain_after and drain_then go together: drain_after=3600&drain_then=end".to_owned()),
        };
    };
    let after = after.parse().ok().filter(|seconds| *seconds <= DRAIN_SECONDS_MAX).map(Duration::from_secs);
    let after = after.ok_or_else(|| format!("drain_after: write a number of seconds up to {DRAIN_SECONDS_MAX}"))?;
    let then = Then::parse(then).ok_or_else(|| format!("drain_then: write one of {}", Then::WORDS))?;
    Ok(Some(Drain { after, then }))
}

/// Whether a parameter is there, with `true` or nothing.
fn is_set(query: Option<&str>, name: &str) -> bool {
    parameter(query, name).is_some_and(|value| value.is_empty() || value == "true")
}

fn refused(tenant: &Tenant, problem: &DeployError) -> Answered {
    tracing::warn!(tenant = tenant.domain(), %problem, "nothing was changed");
    let status = match problem {
        DeployError::Refused(_) | DeployError::OtherPath { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        DeployError::Draining
        | DeployError::Reloading
        | DeployError::NothingBefore
        | DeployError::LiveAlready
        | DeployError::NoShadow
        | DeployError::SteppedBack { .. }
        | DeployError::Differs(_) => StatusCode::CONFLICT,
        DeployError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    error(status, &problem.to_string())
}
