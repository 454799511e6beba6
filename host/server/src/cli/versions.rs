//! `check`, `deploy`, `rollback` and `versions`.

use super::client::Client;
use super::show::{ago, left, print, print_json, size, table, time};
use super::{Failure, Granted, Output, Place};
use crate::admin::views::{DeployedView, FindingsView, MoveView, RolledBackView, VersionView};
use crate::deploy::Then;
use http::Method;
use std::path::Path;

/// `plugboard check`
pub(super) fn check(guest: &Path, granted: &Granted, output: Output) -> Result<(), Failure> {
    let component = read(guest)?;
    let size = component.len();
    let refused = |error: plugboard_engine::Error| Failure::Refused(format!("{}: {error}", guest.display()));
    let description = granted.alone()?.try_out(component).map_err(refused)?;
    if output.json {
        return print_json(&serde_json::json!({
            "name": description.name,
            "version": description.version,
            "http_prefix": description.http_prefix,
            "state_schema": description.state_schema,
            "bytes": size,
        }));
    }
    print(&format!(
        "{}: can be deployed\n  {} {}, serves {}, state schema {}, {size} bytes",
        guest.display(),
        description.name,
        description.version,
        description.http_prefix,
        description.state_schema
    ));
    Ok(())
}

/// How a component goes live.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) percent: u8,
    pub(super) shadow: bool,
    pub(super) migrate: bool,
    pub(super) trial: Option<u32>,
    pub(super) force: bool,
    pub(super) drain: Option<(u64, Then)>,
}

/// `plugboard deploy`
pub(super) async fn deploy(guest: &Path, how: How, place: &Place, output: Output) -> Result<(), Failure> {
    let component = read(guest)?;
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let How { percent, shadow, migrate, trial, force, drain } = how;
    let trial = trial.map(|calls| format!("&trial={calls}")).unwrap_or_default();
    let drain = drain.map(|(after, then)| format!("&drain_after={after}&drain_then={then}")).unwrap_or_default();
    let path = format!(
        "/v1/tenants/{domain}/controller?percent={percent}&migrate={migrate}&force={force}&shadow={shadow}{trial}{drain}"
    );
    let reply = client.send(Method::PUT, &path, component).await?;
    let deployed: DeployedView = reply.json()?;
    if output.json {
        return print_json(&deployed);
    }
    let before = if deployed.already_live { ", as before" } else { "" };
    let how = match &deployed.candidate {
        _ if let Some(shadow) = &deployed.shadow => {
            format!("{} is in the shadow of {}", name(shadow), name(&deployed.live))
        }
        Some(candidate) => format!("{} is a candidate for {}", name(candidate), share(candidate)),
        None if deployed.already_live => format!("{} was live already", name(&deployed.live)),
        None => format!("{} is live", name(&deployed.live)),
    };
    print(&format!("{domain}: {how}{}", if deployed.candidate.is_some() { before } else { "" }));
    deployed.trial.iter().for_each(|trial| print(&format!("  trial: {}", trial.summary)));
    deployed.moved.iter().for_each(print_moved);
    Ok(())
}

/// `plugboard rollback`
pub(super) async fn roll_back(migrate: bool, place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let reply =
        client.send(Method::POST, &with_migrate(format!("/v1/tenants/{domain}/rollback"), migrate), Vec::new()).await?;
    let rolled_back: RolledBackView = reply.json()?;
    if output.json {
        return print_json(&rolled_back);
    }
    print(&match &rolled_back.withdrawn {
        Some(candidate) => format!(
            "{domain}: {} is no candidate any more, {} takes all new calls",
            name(candidate),
            name(&rolled_back.live)
        ),
        None => format!("{domain}: {} is live again", name(&rolled_back.live)),
    });
    rolled_back.moved.iter().for_each(print_moved);
    Ok(())
}

/// `plugboard shadow`
pub(super) async fn shadow(end: bool, place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let method = if end { Method::DELETE } else { Method::GET };
    let shadow: VersionView = client.send(method, &format!("/v1/tenants/{domain}/shadow"), Vec::new()).await?.json()?;
    if output.json {
        return print_json(&shadow);
    }
    let what = if end { "is in the shadow no more" } else { "is in the shadow" };
    print(&format!("{domain}: {} {what}, since {}", name(&shadow), ago(shadow.deployed_unix_ms)));
    let Some(found) = &shadow.shadow else { return Ok(()) };
    print(&format!("  {}", summary(found)));
    found.first.iter().for_each(|difference| print(&format!("\n{}", difference.text.trim_end())));
    Ok(())
}

/// What a comparison found, in a line.
fn summary(found: &FindingsView) -> String {
    let (compared, different, calls) = (found.compared, found.different, found.calls_different);
    let mut parts = vec![format!("{compared} events compared"), format!("{different} differ, in {calls} calls")];
    let further = [(found.failed, "failed"), (found.dropped, "dropped"), (found.left_out, "left to chance")];
    parts.extend(further.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")));
    if let Some(why) = &found.refusal {
        parts.push(format!("{} not compared, the state is not taken over: {why}", found.refused));
    }
    parts.join("; ")
}

/// `plugboard versions`
pub(super) async fn list(place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let versions: Vec<VersionView> = client.get(&format!("/v1/tenants/{domain}/versions")).await?;
    if output.json {
        return print_json(&versions);
    }
    let row = |version: &VersionView| {
        vec![
            state(version),
            version.id.get(..8).unwrap_or(&version.id).to_owned(),
            format!("{} {}", version.name, version.version),
            ago(version.deployed_unix_ms),
            version.calls.to_string(),
            version.events.to_string(),
            version.faults.values().sum::<u64>().to_string(),
            time(version.p50_us),
            time(version.p99_us),
            size(version.memory_bytes),
        ]
    };
    let rows: Vec<_> = versions.iter().map(row).collect();
    let heads = ["STATE", "ID", "VERSION", "DEPLOYED", "CALLS", "EVENTS", "FAULTS", "P50", "P99", "MEMORY"];
    print(&table(&heads, &rows));
    versions.iter().flat_map(remarks).for_each(|remark| print(&format!("  {remark}")));
    Ok(())
}

/// What of a version has no room in a column.
fn remarks(version: &VersionView) -> Vec<String> {
    let id = version.id.get(..8).unwrap_or(&version.id);
    let mut remarks = Vec::new();
    let faults = version.faults.iter().filter(|(_, number)| **number > 0);
    let faults: Vec<String> = faults.map(|(kind, number)| format!("{number} {kind}")).collect();
    if !faults.is_empty() {
        remarks.push(format!("{id} failed: {}", faults.join(", ")));
    }
    if let Some(stepped) = &version.stepped_back {
        let until = match left(stepped.refused_until_unix_ms) {
            0 => "may be deployed again".to_owned(),
            seconds => format!("refused for {seconds} s unless forced"),
        };
        remarks.push(format!("{id} stepped back ({}x): {}; {until}", stepped.times, stepped.why));
    }
    if let Some(found) = &version.shadow {
        remarks.push(format!("{id} shadow: {}", summary(found)));
        let calls: Vec<&str> = found.first.iter().map(|difference| difference.key.as_str()).collect();
        if !calls.is_empty() {
            remarks.push(format!("{id} differs in {} (see plugboard shadow)", calls.join(", ")));
        }
    }
    if let Some(drain) = version.drain.as_ref().filter(|drain| version.calls > 0 || !drain.refused.is_empty()) {
        let (calls, then) = (version.calls, &drain.then);
        remarks.push(match left(drain.deadline_unix_ms) {
            0 => format!("{id} drained, {calls} calls left ({then})"),
            seconds => format!("{id} drains: {calls} calls left, {then} in {seconds} s"),
        });
        remarks.extend(drain.refused.iter().map(|call| format!("{id} keeps {}: {}", call.key, call.reason)));
    }
    remarks
}

fn with_migrate(path: String, migrate: bool) -> String {
    if migrate { path + "?migrate=true" } else { path }
}

/// What became of the calls that were up; those that stay are named.
fn print_moved(report: &MoveView) {
    let stay = report.refused.len() + report.busy;
    print(&format!("  calls moved: {}, calls that stay where they were: {stay}", report.moved.len()));
    for refused in &report.refused {
        print(&format!("  stays: {}: {}", refused.key, refused.reason));
    }
}

/// `live`, `candidate 5 %`.
fn state(version: &VersionView) -> String {
    let share = version.percent.map(|percent| format!(" {percent} %")).unwrap_or_default();
    format!("{}{share}", version.state)
}

/// `5 % of the new calls`.
fn share(version: &VersionView) -> String {
    format!("{} % of the new calls", version.percent.unwrap_or_default())
}

fn name(version: &VersionView) -> String {
    format!("{} {} ({})", version.name, version.version, short(&version.id))
}

/// As much of a hash as people compare.
pub(super) fn short(id: &str) -> &str {
    const DIGITS: usize = 12;
    id.get(..DIGITS).unwrap_or(id)
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}
