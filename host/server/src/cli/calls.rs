//! `call`, `status`, `transfer`, `hangup`, `calls` and `ladder`.

use super::client::{Client, Reply, escape};
use super::show::{ago, print, print_json, status as told, table, word};
use super::versions::short;
use super::{Failure, Output, Place, ladder};
use crate::admin::views::{CallView, LadderView, TenantView};
use clap::{Args, ValueEnum};
use http::Method;
use serde_json::Value;
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two looks at a call that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which call.
#[derive(Args, Clone)]
pub(super) struct Pair {
    /// Who is rung first: a name, an alias, a number or user@domain
    calling: String,
    /// Who is called then
    called: String,
    /// Who places the call [default: CALLING]
    #[arg(long, value_name = "USER")]
    agent: Option<String>,
}

/// `plugboard call`
#[derive(Args)]
pub(super) struct CallArgs {
    #[command(flatten)]
    pair: Pair,
    #[command(flatten)]
    place: Place,
    /// How the two are joined: refer steps aside, invite stays in the path so that the call can be transferred
    #[arg(long, value_enum, default_value_t = Mode::Refer)]
    method: Mode,
    /// Seconds that CALLING may ring
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Subject of the call
    #[arg(long)]
    subject: Option<String>,
    /// Follow CALLING's phone when it forwards
    #[arg(long)]
    forwarding: bool,
    /// Seconds that the record is kept after the call
    #[arg(long, value_name = "SECONDS")]
    result_cache_time: Option<u32>,
    /// Conference PIN for CALLED
    #[arg(long, value_name = "PIN")]
    confpin: Option<String>,
    /// Follow the call to its end
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Refer,
    Invite,
}

/// `plugboard call`
pub(super) async fn call(args: &CallArgs) -> Result<(), Failure> {
    let (client, tenant) = open(&args.place).await?;
    let mut query = vec![("sipMethod", if args.method == Mode::Invite { "INVITE" } else { "REFER" }.to_owned())];
    query.extend(args.timeout.map(|seconds| ("timeout", seconds.to_string())));
    query.extend(args.subject.clone().map(|subject| ("subject", subject)));
    query.extend(args.forwarding.then(|| ("isForwardingAllowed", "true".to_owned())));
    query.extend(args.result_cache_time.map(|seconds| ("resultCacheTime", seconds.to_string())));
    query.extend(args.confpin.clone().map(|pin| ("confpin", pin)));
    ask(&client, &tenant, Method::POST, &args.pair, query).await?.success()?;
    let Pair { calling, called, agent } = &args.pair;
    if args.wait {
        return follow(&client, &tenant, &args.pair).await;
    }
    let agent = agent.as_ref().map(|agent| format!(" --agent {agent}")).unwrap_or_default();
    print(&format!("{calling} is being called; follow it with: plugboard status {calling} {called}{agent}"));
    Ok(())
}

/// `plugboard status`
pub(super) async fn status(pair: &Pair, place: &Place, output: Output) -> Result<(), Failure> {
    let (client, tenant) = open(place).await?;
    let reply = ask(&client, &tenant, Method::GET, pair, Vec::new()).await?.success()?;
    if output.json {
        print(&String::from_utf8_lossy(&reply.body));
    } else {
        print(&told(&reply.body));
    }
    Ok(())
}

/// `plugboard transfer`
pub(super) async fn transfer(pair: &Pair, target: &str, place: &Place) -> Result<(), Failure> {
    let (client, tenant) = open(place).await?;
    let query = vec![("action", "transfer".to_owned()), ("target", target.to_owned())];
    ask(&client, &tenant, Method::POST, pair, query).await?.success()?;
    print(&format!("{target} is being called; the call stays as it is until {target} has answered"));
    Ok(())
}

/// `plugboard hangup`
pub(super) async fn hang_up(pair: &Pair, place: &Place) -> Result<(), Failure> {
    let (client, tenant) = open(place).await?;
    ask(&client, &tenant, Method::DELETE, pair, Vec::new()).await?.success()?;
    print("hung up");
    Ok(())
}

/// `plugboard calls`
pub(super) async fn list(place: &Place, output: Output) -> Result<(), Failure> {
    let client = Client::of(place)?;
    let path = match &place.domain {
        Some(_) => format!("/v1/calls?domain={}", escape(&client.tenant().await?.domain)),
        None => "/v1/calls".to_owned(),
    };
    let calls: Vec<CallView> = client.get(&path).await?;
    if output.json {
        return print_json(&calls);
    }
    if calls.is_empty() {
        print("no calls");
        return Ok(());
    }
    let row = |call: &CallView| {
        let legs: Vec<String> = call.legs.iter().map(|leg| format!("{} {}", leg.target, leg.state)).collect();
        let (domain, key, version) = (call.domain.clone(), call.key.clone(), short(&call.version).to_owned());
        vec![domain, key, ago(call.since_unix_ms), version, legs.join(", ")]
    };
    let rows: Vec<_> = calls.iter().map(row).collect();
    print(&table(&["DOMAIN", "CALL", "PLACED", "VERSION", "LEGS"], &rows));
    Ok(())
}

/// `plugboard ladder`
pub(super) async fn draw(pair: &Pair, place: &Place, output: Output) -> Result<(), Failure> {
    let (client, tenant) = open(place).await?;
    let agent = pair.agent.as_ref().map(|agent| format!("?agent={}", escape(agent))).unwrap_or_default();
    let (calling, called) = (escape(&pair.calling), escape(&pair.called));
    let view: LadderView =
        client.get(&format!("/v1/tenants/{}/ladder/{calling}/{called}{agent}", tenant.domain)).await?;
    if output.json {
        return print_json(&view);
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    print(&ladder::draw(&view, colour));
    Ok(())
}

/// Prints what happens until the call has its outcome; a failure unless that is a success.
async fn follow(client: &Client, tenant: &TenantView, pair: &Pair) -> Result<(), Failure> {
    let mut told_so_far = 0;
    loop {
        let status: Value = ask(client, tenant, Method::GET, pair, Vec::new()).await?.json()?;
        let lines = status.get("lines").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for line in lines.iter().skip(told_so_far) {
            print(&format!("{} {}", word(line, "method"), word(line, "status_line")));
        }
        told_so_far = told_so_far.max(lines.len());
        if status.get("mode").is_none() {
            return Err(Failure::Refused("the call's record is gone".to_owned()));
        }
        if let Some(outcome) = status.get("outcome").filter(|outcome| !outcome.is_null()) {
            let said = format!("{} {}", word(outcome, "code"), word(outcome, "reason"));
            let success = outcome.get("code").and_then(Value::as_u64).is_some_and(|code| (200..300).contains(&code));
            print(&format!("the call is over: {said}"));
            return if success { Ok(()) } else { Err(Failure::Refused(format!("the call failed: {said}"))) };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn open(place: &Place) -> Result<(Client, TenantView), Failure> {
    let client = Client::of(place)?;
    let tenant = client.tenant().await?;
    Ok((client, tenant))
}

/// Asks the tenant's call logic about a call.
async fn ask(
    client: &Client,
    tenant: &TenantView,
    method: Method,
    pair: &Pair,
    mut query: Vec<(&str, String)>,
) -> Result<Reply, Failure> {
    query.extend(pair.agent.clone().map(|agent| ("agent", agent)));
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let prefix = tenant.http_prefix.trim_end_matches('/');
    let (calling, called) = (escape(&pair.calling), escape(&pair.called));
    let path = format!("/v1/tenants/{}/api{prefix}/{calling}/{called}{query}", tenant.domain);
    client.send(method, &path, Vec::new()).await
}
