//! What the demo does, step by step, and what has to come of it.

use super::phone::Phone;
use super::show::Show;
use super::stage::{AGENT, DOMAIN, Stage, until};
use crate::cli::ladder;
use crate::serve::BUILT_IN_CONTROLLER;
use bytes::Bytes;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A REFER call: the phones are joined, and the server steps aside.
///
/// # Errors
/// When a step does not come about.
pub async fn refer_call(stage: &mut Stage, show: &mut Show) -> anyhow::Result<()> {
    let path = path("alice", "bob");
    show.heading("A REFER call: alice and bob are joined, and the server steps aside");
    show.step(format_args!("POST {path}"));
    stage.https.ask("POST", &path, Bytes::new()).await?;
    stage.follow(&path, "alice to ring", has_line("180 Ringing")).await?;
    show.step("alice's phone rings");
    stage.follow(&path, "alice to answer", has_line("200 OK")).await?;
    show.step("alice answered and is referred to bob");
    let status = stage.follow(&path, "the end of the server's part", is_over).await?;
    show.step("bob's phone rings, called by alice's; the server hung up its leg");
    until("bob to answer", || stage.bob.calls() == 1 && stage.alice.calls() == 1).await?;
    show.step("alice and bob talk");
    draw(stage, show, &path).await?;
    show.check(outcome(&status) == (202, "handed-over"), "the status says that the call was handed over");
    let codes: Vec<String> = lines(&status).into_iter().filter(|line| line.starts_with("INVITE")).collect();
    let expected = ["100 Trying", "407 Proxy Authentication Required", "100 Trying", "180 Ringing", "200 OK"];
    show.check(
        codes == expected.map(|line| format!("INVITE SIP/2.0 {line}")),
        "alice's INVITE: 100, 407, 100, 180, 200",
    );
    heard(show, &stage.alice, &["INVITE", "ACK", "REFER", "BYE"]).await;
    heard(show, &stage.bob, &["INVITE", "ACK"]).await;
    stage.alice.hang_up();
    until("bob to be hung up on", || stage.bob.calls() == 0).await?;
    show.step("alice hung up; bob heard it from her, not from the server");
    heard(show, &stage.bob, &["BYE"]).await;
    Ok(())
}

/// An INVITE-mode call that is transferred, outlives the call logic that it began with, and is ended by request.
///
/// # Errors
/// When a step does not come about.
pub async fn invite_call(stage: &mut Stage, show: &mut Show) -> anyhow::Result<()> {
    let path = path("alice", "bob");
    show.heading("An INVITE-mode call: the server stays in the path");
    show.step(format_args!("POST {path}&sipMethod=INVITE"));
    stage.https.ask("POST", &format!("{path}&sipMethod=INVITE"), Bytes::new()).await?;
    stage.follow(&path, "alice to answer", is_leg_up(0)).await?;
    show.step("alice answered; bob's phone rings");
    stage.follow(&path, "bob to answer", is_talking).await?;
    show.step("bob answered, and his offer went to alice: they talk");

    show.step(format_args!("POST {path}&action=transfer&target=carol"));
    stage.https.ask("POST", &format!("{path}&action=transfer&target=carol"), Bytes::new()).await?;
    stage.follow(&path, "the transfer", |status| status["transfers"][0]["outcome"]["code"] == 200).await?;
    until("alice to be hung up on", || stage.alice.calls() == 0).await?;
    show.step("carol answered and took alice's place; alice was hung up on");
    heard(show, &stage.alice, &["INVITE", "ACK", "re-INVITE", "ACK", "BYE"]).await;
    heard(show, &stage.bob, &["INVITE", "ACK", "re-INVITE", "ACK"]).await;
    heard(show, &stage.carol, &["INVITE", "ACK"]).await;

    swap(stage, show).await?;
    show.step(format_args!("DELETE {path}"));
    stage.https.ask("DELETE", &path, Bytes::new()).await?;
    let status = stage.follow(&path, "the end of every leg", is_over).await?;
    until("the phones to be hung up on", || stage.bob.calls() + stage.carol.calls() == 0).await?;
    draw(stage, show, &path).await?;
    show.check(outcome(&status) == (200, "request"), "the status says that the call was ended by request");
    heard(show, &stage.bob, &["BYE"]).await;
    heard(show, &stage.carol, &["BYE"]).await;
    show.check(stage.https.is_open(), "the one HTTPS connection that all of it was asked on is still open");
    Ok(())
}

/// Deploys another version while a call is up, and places a call that runs on it.
async fn swap(stage: &mut Stage, show: &mut Show) -> anyhow::Result<()> {
    let controller = format!("/v1/tenants/{DOMAIN}/controller");
    let before = stage.admin.get(&controller).await?["id"].clone();
    show.step(format_args!("PUT {controller}: another version of the call logic"));
    stage.admin.ask("PUT", &controller, another_version()).await?;
    let after = stage.admin.get(&controller).await?["id"].clone();
    show.step(format_args!("live now: {} (was {}); the call goes on", short(&after), short(&before)));

    let path = path("carol", "alice");
    show.step(format_args!("POST {path}&sipMethod=INVITE: a new call"));
    stage.https.ask("POST", &format!("{path}&sipMethod=INVITE"), Bytes::new()).await?;
    stage.follow(&path, "the new call", is_talking).await?;
    show.check(before != after, "the new version has an id of its own");
    show.check(version_of(stage, "alice").await? == before, "the call that was up stayed on the version it began with");
    show.check(version_of(stage, "carol").await? == after, "the new call runs on the new version");
    stage.https.ask("DELETE", &path, Bytes::new()).await?;
    let status = stage.follow(&path, "the end of the new call", is_over).await?;
    show.step("the new call is hung up");
    draw(stage, show, &path).await?;
    show.check(outcome(&status) == (200, "request"), "the new call was ended by request");
    heard(show, &stage.carol, &["INVITE", "ACK", "re-INVITE", "ACK", "BYE"]).await;
    heard(show, &stage.alice, &["INVITE", "ACK", "BYE"]).await;
    Ok(())
}

/// The version that the call of this calling party runs on.
async fn version_of(stage: &mut Stage, calling: &str) -> anyhow::Result<Value> {
    let calls = stage.admin.get(&format!("/v1/calls?domain={DOMAIN}")).await?;
    let part = format!(":{calling}@{DOMAIN}:");
    let is_wanted = |call: &&Value| call["key"].as_str().is_some_and(|key| key.contains(&part));
    Ok(calls.as_array().into_iter().flatten().find(is_wanted).map_or(Value::Null, |call| call["version"].clone()))
}

/// The built-in component with a custom section added, which changes its hash and nothing else.
fn another_version() -> Bytes {
    const SECTION: &[u8] = b"\x00\x0f\x04demothe second";
    [BUILT_IN_CONTROLLER, SECTION].concat().into()
}

/// Draws the messages of a call.
async fn draw(stage: &mut Stage, show: &Show, path: &str) -> anyhow::Result<()> {
    let (_, users) = path.split_once("/callcontroller").unwrap_or_default();
    let view = stage.admin.get(&format!("/v1/tenants/{DOMAIN}/ladder{users}")).await?;
    show.print("");
    show.block(&ladder::draw(&serde_json::from_value(view)?, show.colour()));
    show.print("");
    Ok(())
}

/// What a phone has heard since it was last asked. Datagrams may still be on their way.
async fn heard(show: &mut Show, phone: &Phone, expected: &[&str]) {
    let mut heard = phone.heard();
    let deadline = Instant::now() + Duration::from_secs(1);
    while heard.len() < expected.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
        heard.extend(phone.heard());
    }
    show.check(heard == expected, format_args!("{}'s phone heard {}", phone.user(), heard.join(", ")));
}

fn path(calling: &str, called: &str) -> String {
    format!("/callcontroller/{calling}/{called}?agent={AGENT}")
}

fn has_line(text: &str) -> impl Fn(&Value) -> bool {
    move |status| lines(status).iter().any(|line| line.ends_with(text))
}

fn lines(status: &Value) -> Vec<String> {
    let lines = status["lines"].as_array().into_iter().flatten();
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    lines.map(|line| format!("{} {}", text(line, "method"), text(line, "status_line"))).collect()
}

fn is_leg_up(index: usize) -> impl Fn(&Value) -> bool {
    move |status| status["legs"][index]["state"] == "up"
}

fn is_talking(status: &Value) -> bool {
    status["phase"] == "up"
}

/// Whether the call has its terminal status and nothing is left of any leg.
fn is_over(status: &Value) -> bool {
    let mut legs = status["legs"].as_array().into_iter().flatten();
    status["outcome"].is_object() && legs.all(|leg| leg["state"] == "over")
}

fn outcome(status: &Value) -> (u64, &str) {
    let outcome = &status["outcome"];
    (outcome["code"].as_u64().unwrap_or(0), outcome["ended_by"].as_str().unwrap_or_default())
}

fn short(id: &Value) -> String {
    id.as_str().unwrap_or_default().chars().take(12).collect()
}
