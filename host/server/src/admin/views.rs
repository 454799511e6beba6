//! What the admin API says, as JSON. The command line reads the same types.

use crate::deploy::shadow::Told;
use crate::deploy::{Draining, Findings, Label, Listed, Share, SteppedBack};
use crate::switch::{LadderEntry, MoveReport};
use plugboard_calls::contract::{CallKey, EndingReason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `GET /v1/tenants`: a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantView {
    /// The SIP domain.
    pub domain: String,
    /// Its users, in number.
    pub users: usize,
    /// The path that its call logic serves.
    pub http_prefix: String,
    /// Calls that are up.
    pub calls: usize,
    /// What new calls take.
    pub live: VersionView,
}

/// A version of call logic. `GET /v1/tenants/{domain}/controller` is the live one, `.../versions` a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// The hash of component, contract, and what the tenant's configuration grants it.
    pub id: String,
    /// SHA-256 of the component.
    pub component: String,
    /// What the component calls itself.
    pub name: String,
    /// The version that the component gives itself.
    pub version: String,
    /// When it was made live first, in milliseconds since the Unix epoch.
    pub deployed_unix_ms: u64,
    /// `live`, `candidate`, `shadow`, `draining`, `retired`, or `stepped-back` when the host left it by itself.
    pub state: String,
    /// The share of the new calls that a candidate takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Calls that it serves.
    pub calls: usize,
    /// Events so far.
    pub events: u64,
    /// Events that it failed at, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Half of its events took no longer, in microseconds.
    pub p50_us: u64,
    /// 99 of 100 of its events took no longer, in microseconds.
    pub p99_us: u64,
    /// Instances that there are of it.
    #[serde(default)]
    pub instances: u64,
    /// The linear memory of those, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Until when its calls may keep it, where that has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainView>,
    /// Why the host stepped back from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stepped_back: Option<SteppedBackView>,
    /// What a version in the shadow would have done otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<FindingsView>,
}

/// What a version in the shadow would have done otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingsView {
    /// Events that were compared.
    pub compared: u64,
    /// Those of which something else would have come.
    pub different: u64,
    /// Those of them in which it failed and the live version did not.
    pub failed: u64,
    /// Calls with a difference.
    pub calls_different: u64,
    /// Events that were not compared because chance decided what came of them.
    pub left_out: u64,
    /// Events that were not compared because it did not take over the state of their call.
    pub refused: u64,
    /// Why not, the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Events that were dropped because too many waited.
    pub dropped: u64,
    /// The first difference of each of the first calls that have one.
    pub first: Vec<DifferenceView>,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceView {
    /// The call's key.
    pub key: String,
    /// Its event, and what is other, in lines.
    pub text: String,
}

/// The end of a version's time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainView {
    /// When it is, in milliseconds since the Unix epoch.
    pub deadline_unix_ms: u64,
    /// What happens then to the calls that are left: `migrate`, `migrate-or-end` or `end`.
    pub then: String,
    /// Calls that could not be moved and keep the version, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedMoveView>,
}

/// Why the host stepped back from a version by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteppedBackView {
    /// In a line.
    pub why: String,
    /// How often it was.
    pub times: u32,
    /// Until when its component is refused, in milliseconds since the Unix epoch.
    pub refused_until_unix_ms: u64,
}

/// The answer to a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedView {
    /// What is live now.
    pub live: VersionView,
    /// What was deployed, if it takes a share of the new calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<VersionView>,
    /// What was deployed, if it only sees live events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<VersionView>,
    /// Whether all of this was so before.
    pub already_live: bool,
    /// What became of the calls that were up, when they were to be moved.
    pub moved: Option<MoveView>,
    /// What the trial against recorded calls found, when one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
}

/// What a trial against recorded calls found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialView {
    /// Calls that were run again.
    pub calls: u64,
    /// Those that would have gone differently.
    pub calls_different: u64,
    /// In a line.
    pub summary: String,
}

/// The answer to a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBackView {
    /// What is live now.
    pub live: VersionView,
    /// The candidate that was taken away; without one the live version stepped back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<VersionView>,
    /// What became of the calls that were up, when they were to be moved.
    pub moved: Option<MoveView>,
}

/// What became of the calls that were to be moved to another version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveView {
    /// Keys of the calls that changed hands.
    pub moved: Vec<String>,
    /// Calls that stay where they were: the version did not accept their state.
    pub refused: Vec<RefusedMoveView>,
    /// Calls that stay because one of their events ran whenever they were looked at, in number.
    pub busy: usize,
}

/// A call that a version did not accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedMoveView {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// The answer to a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedView {
    /// What is different now; empty when nothing was.
    pub changes: Vec<ChangeView>,
}

/// A key of the configuration that a reload changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// The key as a TOML path.
    pub key: String,
    /// `added`, `removed` or `changed`.
    pub what: String,
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReloadedView {
    /// All of it, for people.
    pub error: String,
    /// What to correct in the file.
    pub problems: Vec<ProblemView>,
}

/// Something to correct in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemView {
    /// The file.
    pub file: String,
    /// Counted from 1; none when it is about the file as a whole.
    pub line: Option<usize>,
    /// The key as a TOML path; empty when it is about the file as a whole.
    pub key: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

/// `GET /v1/calls`: a list of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallView {
    /// The tenant.
    pub domain: String,
    /// The call's key.
    pub key: String,
    /// Id of the version that it runs on.
    pub version: String,
    /// When it was placed, in milliseconds since the Unix epoch.
    pub since_unix_ms: u64,
    /// Why the host had to end it, if it had to.
    pub ended_by_host: Option<String>,
    /// Its legs, in the order in which they were called.
    pub legs: Vec<LegView>,
}

/// One leg of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegView {
    /// The URI that was called.
    pub target: String,
    /// `calling`, `early`, `up`, `leaving` or `over`.
    pub state: String,
    /// Its Call-ID.
    pub call_id: String,
}

/// The messages of a call: `GET /v1/tenants/{domain}/ladder/{calling}/{called}` or
/// `GET /v1/calls/{domain}/{key}/ladder`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LadderView {
    /// The call's key.
    pub key: String,
    /// In order.
    pub messages: Vec<MessageView>,
}

/// One SIP message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// When, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// On which leg of the call, counted from 1.
    pub leg: u32,
    /// The URI that the leg called.
    pub peer: String,
    /// Whether we sent it.
    pub outgoing: bool,
    /// `INVITE`; for a response `200 INVITE`.
    pub text: String,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorView {
    /// One line.
    pub error: String,
}

impl From<LadderEntry> for MessageView {
    fn from(LadderEntry { unix_ms, leg, peer, outgoing, text }: LadderEntry) -> Self {
        Self { unix_ms, leg, peer, outgoing, text }
    }
}

impl From<MoveReport> for MoveView {
    fn from(MoveReport { moved, refused, busy }: MoveReport) -> Self {
        let refusal = |(key, reason): (CallKey, String)| RefusedMoveView { key: key.to_string(), reason };
        Self {
            moved: moved.iter().map(ToString::to_string).collect(),
            refused: refused.into_iter().map(refusal).collect(),
            busy,
        }
    }
}

impl From<Listed> for VersionView {
    fn from(listed: Listed) -> Self {
        let Listed { label, state, calls, stats, draining, stepped_back, findings } = listed;
        let Label { id, component, name, version, deployed_unix_ms } = label;
        Self {
            id,
            component,
            name,
            version,
            deployed_unix_ms,
            state: state.as_str().to_owned(),
            percent: state.share().map(Share::as_percent),
            calls,
            events: stats.events,
            faults: stats.faults.into_iter().map(|(kind, number)| (kind.to_owned(), number)).collect(),
            p50_us: stats.p50_us,
            p99_us: stats.p99_us,
            instances: stats.instances,
            memory_bytes: stats.memory_bytes,
            drain: draining.map(DrainView::from),
            stepped_back: stepped_back.map(SteppedBackView::from),
            shadow: findings.map(FindingsView::from),
        }
    }
}

impl From<Findings> for FindingsView {
    fn from(findings: Findings) -> Self {
        let told = |difference: Told| DifferenceView { key: difference.key, text: difference.text };
        Self {
            compared: findings.compared,
            different: findings.different,
            failed: findings.failed,
            calls_different: findings.calls_different,
            left_out: findings.left_out,
            refused: findings.refused,
            refusal: findings.refusal,
            dropped: findings.dropped,
            first: findings.first.into_iter().map(told).collect(),
        }
    }
}

impl From<Draining> for DrainView {
    fn from(Draining { deadline_unix_ms, then, refused, .. }: Draining) -> Self {
        let refusal = |(key, reason)| RefusedMoveView { key, reason };
        Self { deadline_unix_ms, then: then.to_string(), refused: refused.into_iter().map(refusal).collect() }
    }
}

impl From<SteppedBack> for SteppedBackView {
    fn from(SteppedBack { why, times, until_unix_ms, .. }: SteppedBack) -> Self {
        Self { why, times, refused_until_unix_ms: until_unix_ms }
    }
}

/// The name of a reason, as JSON and metrics carry it.
pub fn ending_reason(reason: EndingReason) -> &'static str {
    match reason {
        EndingReason::Operator => "operator",
        EndingReason::Drained => "drained",
        EndingReason::TenantRemoved => "tenant-removed",
        EndingReason::Shutdown => "shutdown",
        EndingReason::Unacknowledged => "unacknowledged",
        EndingReason::Faulty => "faulty",
    }
}
