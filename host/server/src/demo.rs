//! `plugboard demo`: the main job on one machine. The server, three soft phones and a proxy that challenges every call
//! run in this process, on loopback and free ports; the demo is their client over HTTPS and the admin API, as anybody
//! else would be.

mod client;
pub mod phone;
mod proxy;
mod show;
mod stage;
mod story;
#[cfg(test)]
mod tests;
mod wire;

use show::Show;
use stage::{AGENT, PIN, Stage};
use tokio::signal::unix::{SignalKind, signal};

/// How the demo is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DemoOptions {
    /// Keep everything up afterwards, until a signal comes.
    pub stay: bool,
    /// No colour, even on a terminal.
    pub no_colour: bool,
}

/// Runs the demo. True when every call ended as it should.
///
/// # Errors
/// When something does not start, or a step does not come about.
pub async fn run(options: DemoOptions) -> anyhow::Result<bool> {
    let mut show = Show::new(options.no_colour);
    show.heading("Plugboard, all on 127.0.0.1");
    let mut stage = Stage::build().await?;
    introduce(&stage, &show);
    let played = play(&mut stage, &mut show).await;
    if let Err(problem) = &played {
        show.check(false, format_args!("{problem:#}"));
    }
    let passed = show.summary();
    if options.stay {
        invite_to_try(&stage, &show);
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
    }
    stage.take_down().await;
    Ok(passed)
}

async fn play(stage: &mut Stage, show: &mut Show) -> anyhow::Result<()> {
    story::refer_call(stage, show).await?;
    story::invite_call(stage, show).await
}

fn introduce(stage: &Stage, show: &Show) {
    show.step(format_args!("the server: https {}", address(stage)));
    show.step(format_args!("a proxy that challenges every call: udp {}", stage.proxy.address()));
    for phone in [&stage.alice, &stage.bob, &stage.carol] {
        show.step(format_args!("{}'s phone, registered: udp {}", phone.user(), phone.address()));
    }
}

fn invite_to_try(stage: &Stage, show: &Show) {
    let (https, config) = (address(stage), stage.config_file.display());
    show.heading("Everything stays up until Ctrl-C. Try:");
    let curl = format!("curl -k -u {AGENT}:{PIN}");
    let program = std::env::current_exe().map_or_else(|_| "plugboard".to_owned(), |path| path.display().to_string());
    show.block(&format!(
        "{curl} -X POST 'https://{https}/callcontroller/alice/bob?agent={AGENT}'\n\
         {curl} 'https://{https}/callcontroller/alice/bob?agent={AGENT}'\n\
         {curl} -X DELETE 'https://{https}/callcontroller/alice/bob?agent={AGENT}'\n\n\
         {program} call bob carol --method invite --config {config}\n\
         {program} transfer bob carol alice --config {config}\n\
         {program} ladder bob carol --config {config}\n\
         {program} hangup bob carol --config {config}\n\
         {program} versions --config {config}"
    ));
}

fn address(stage: &Stage) -> String {
    stage.server.https().map_or_else(|| "off".to_owned(), |address| address.to_string())
}
