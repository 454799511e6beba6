//! `/v1/calls` and ladders.

use super::views::{CallView, LadderView, LegView, MessageView, ending_reason};
use super::{Admin, error, parameter};
use crate::answer::{Answered, empty, json};
use crate::switch::CallSummary;
use crate::tenants::Tenant;
use http::StatusCode;
use plugboard_calls::contract::{CallKey, EndingReason, Header, HttpRequest, Principal};
use plugboard_calls::logic::{Logic, Routed};
use plugboard_calls::stage::{Setting, Stage};
use std::sync::Arc;

impl Admin {
    pub(super) fn list_calls(&self, query: Option<&str>) -> Answered {
        let domain = parameter(query, "domain");
        let calls = self.switch.calls(domain.as_deref());
        json(StatusCode::OK, &calls.iter().map(call_view).collect::<Vec<_>>())
    }

    pub(super) fn end_call(&self, domain: &str, key: String) -> Answered {
        let ended = CallKey::new(key).is_some_and(|key| self.switch.end_call(domain, &key, EndingReason::Operator));
        if ended { empty(StatusCode::NO_CONTENT) } else { no_call() }
    }

    pub(super) fn ladder_of_key(&self, domain: &str, key: String) -> Answered {
        CallKey::new(key).map_or_else(no_call, |key| self.ladder(domain, &key))
    }

    /// The ladder of the call between two users. Only the call logic knows which key that is: the live one is asked, and
    /// then a candidate, which may have other keys.
    pub(super) fn ladder_between(&self, tenant: &Tenant, calling: &str, called: &str, query: Option<&str>) -> Answered {
        let mut answer = no_call();
        for version in tenant.deployments.newest() {
            answer = match self.key_between(tenant, version.logic(), (calling, called), query) {
                Ok(key) if self.switch.ladder(tenant.domain(), &key).is_some() => {
                    return self.ladder(tenant.domain(), &key);
                }
                Ok(_) => no_call(),
                Err(answer) => *answer,
            };
        }
        answer
    }

    fn key_between(
        &self,
        tenant: &Tenant,
        logic: &Arc<dyn Logic>,
        (calling, called): (&str, &str),
        query: Option<&str>,
    ) -> Result<CallKey, Box<Answered>> {
        let prefix = logic.description().http_prefix.trim_end_matches('/').to_owned();
        let request = HttpRequest {
            method: "GET".to_owned(),
            path: format!("{prefix}/{calling}/{called}"),
            query: query.map(str::to_owned),
            headers: vec![Header { name: "accept".to_owned(), value: "application/json".to_owned() }],
            body: Vec::new(),
        };
        self.key(tenant, logic, &request)
    }

    fn key(&self, tenant: &Tenant, logic: &Arc<dyn Logic>, request: &HttpRequest) -> Result<CallKey, Box<Answered>> {
        let stage = Stage::new(Setting::of_route(&tenant.core, &**logic, self.clock.now(), Principal::Trusted));
        match logic.route(tenant.domain(), request, stage).1 {
            Ok(Routed::Call(key)) => Ok(key),
            Ok(Routed::Answer(response)) => {
                let line = String::from_utf8_lossy(&response.body);
                let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::NOT_FOUND);
                Err(Box::new(error(status, line.trim())))
            }
            Err(breakdown) => Err(Box::new(error(StatusCode::INTERNAL_SERVER_ERROR, &breakdown.to_string()))),
        }
    }

    fn ladder(&self, domain: &str, key: &CallKey) -> Answered {
        let Some(entries) = self.switch.ladder(domain, key) else { return no_call() };
        let messages = entries.into_iter().map(MessageView::from).collect();
        json(StatusCode::OK, &LadderView { key: key.as_str().to_owned(), messages })
    }
}

fn call_view(call: &CallSummary) -> CallView {
    let leg = |leg: &crate::switch::LegSummary| LegView {
        target: leg.target.to_string(),
        state: leg.state.to_owned(),
        call_id: leg.call_id.to_string(),
    };
    CallView {
        domain: call.domain.to_string(),
        key: call.key.as_str().to_owned(),
        version: call.version.to_string(),
        since_unix_ms: call.since.as_millis(),
        ended_by_host: call.ended_by_host.map(|reason| ending_reason(reason).to_owned()),
        legs: call.legs.iter().map(leg).collect(),
    }
}

fn no_call() -> Answered {
    error(StatusCode::NOT_FOUND, "there is no such call")
}
