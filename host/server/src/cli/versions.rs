//! `check`, `deploy`, `rollback` and `versions`.

use super::client::Client;
use super::show::{ago, print, print_json, table};
use super::{Failure, Output, Place};
use crate::admin::views::{DeployedView, VersionView};
use crate::config::EngineConfig;
use crate::deploy::try_out;
use http::Method;
use std::path::Path;

/// `plugboard check`
pub(super) fn check(guest: &Path, output: Output) -> Result<(), Failure> {
    let component = read(guest)?;
    let size = component.len();
    let refused = |error: plugboard_engine::Error| Failure::Refused(format!("{}: {error}", guest.display()));
    let description = try_out(&EngineConfig::default(), component).map_err(refused)?;
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

/// `plugboard deploy`
pub(super) async fn deploy(guest: &Path, place: &Place, output: Output) -> Result<(), Failure> {
    let component = read(guest)?;
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let reply = client.send(Method::PUT, &format!("/v1/tenants/{domain}/controller"), component).await?;
    let deployed: DeployedView = reply.json()?;
    if output.json {
        return print_json(&deployed);
    }
    let how = if deployed.already_live { "was live already" } else { "is live" };
    print(&format!("{domain}: {} {how}", name(&deployed.live)));
    Ok(())
}

/// `plugboard rollback`
pub(super) async fn roll_back(place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let domain = client.tenant().await?.domain;
    let reply = client.send(Method::POST, &format!("/v1/tenants/{domain}/rollback"), Vec::new()).await?;
    let live: VersionView = reply.json()?;
    if output.json {
        return print_json(&live);
    }
    print(&format!("{domain}: {} is live again", name(&live)));
    Ok(())
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
        let faults = version.faults.iter().filter(|(_, number)| **number > 0);
        let faults: Vec<String> = faults.map(|(kind, number)| format!("{number} {kind}")).collect();
        vec![
            version.state.clone(),
            short(&version.id).to_owned(),
            version.name.clone(),
            version.version.clone(),
            ago(version.deployed_unix_ms),
            version.calls.to_string(),
            version.events.to_string(),
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") },
        ]
    };
    let rows: Vec<_> = versions.iter().map(row).collect();
    print(&table(&["STATE", "ID", "NAME", "VERSION", "DEPLOYED", "CALLS", "EVENTS", "FAULTS"], &rows));
    Ok(())
}

fn name(version: &VersionView) -> String {
    format!("{} {} ({})", version.name, version.version, short(&version.id))
}

/// As much of a hash as people compare.
pub(super) fn short(id: &str) -> &str {
    const DIGITS: usize = 12;
    id.get(..DIGITS).unwrap_or(id)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", file.display())))
}
