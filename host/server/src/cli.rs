//! The command line. Every command that asks a server finds it by its configuration file, or by `--admin` and
//! `--token-file`.

mod calls;
mod client;
pub mod ladder;
mod reload;
mod replay;
mod show;
mod versions;

use crate::config::{Config, ConfigError};
use crate::demo;
use crate::deploy::{Alone, DRAIN_SECONDS_MAX, Then};
use crate::{logs, serve};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused or failed
  2  wrong arguments or configuration
  3  the server cannot be reached";

const CHECK_EXAMPLES: &str = "\
Examples:
  plugboard check target/guests/controller.wasm
  plugboard check mine.wasm --domain example.com";

const DEPLOY_EXAMPLES: &str = "\
Examples:
  plugboard deploy mine.wasm --domain example.com
  plugboard deploy mine.wasm --domain example.com --percent 5
  plugboard deploy mine.wasm --domain example.com --drain-after 3600 --then end";

/// Connects SIP phones when it is asked to over HTTPS, with call logic that can be replaced while calls are up.
#[derive(Parser)]
#[command(name = "plugboard", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the server
    ///
    /// Checks the configuration as a whole, starts, says when it is ready and where it listens, and serves until
    /// SIGTERM or SIGINT; SIGHUP reloads the configuration. At the end it takes no new calls and waits for the ones that are up, as long as
    /// drain_timeout_seconds says; a second signal ends it at once.
    #[command(after_help = "Example:\n  plugboard serve --config /etc/plugboard/plugboard.toml")]
    Serve {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Shows what it does, on this machine alone
    ///
    /// Runs a server, phones and a challenging proxy on loopback; places calls, transfers one, replaces the call logic
    /// under it, hangs up, and draws every call. Exits with 0 only if every call ended as it should.
    #[command(after_help = "Example:\n  plugboard demo --stay")]
    Demo {
        /// Keep everything up afterwards and print commands to try
        #[arg(long)]
        stay: bool,
        /// No colour
        #[arg(long)]
        no_color: bool,
    },
    /// Says whether a component can be deployed
    ///
    /// Checks, compiles and tries it as a deployment would. Asks no server.
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// The component
        guest: PathBuf,
        #[command(flatten)]
        granted: Granted,
        #[command(flatten)]
        output: Output,
    },
    /// Makes a component the call logic of a domain
    ///
    /// New calls take it at once, calls that are up keep what they began with. A component that does not pass changes
    /// nothing.
    ///
    /// With --percent it is a candidate first, for a share of the new calls: deploy it again with more, until 100 makes
    /// it live; `plugboard rollback` takes it away. A call between the same two users stays with it as the share grows.
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy {
        /// The component
        guest: PathBuf,
        /// Share of the new calls that it takes, 1 to 100
        #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
        /// Only let it see the events of live calls, and compare what it would have done: see `plugboard shadow`
        #[arg(long, conflicts_with_all = ["percent", "migrate", "trial", "drain_after"])]
        shadow: bool,
        /// Move the calls that are up to it, one by one, as far as it accepts their state
        #[arg(long)]
        migrate: bool,
        /// Run the last N recorded calls against it first [default: 100]; go live only if they would have gone the same
        #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "100")]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        trial: Option<u32>,
        /// Deploy it whatever the trial finds, and even if the host stepped back from it a short while ago
        #[arg(long)]
        force: bool,
        /// Give the calls of the version whose place it takes this time
        #[arg(long, value_name = "SECONDS", requires = "then")]
        #[arg(value_parser = clap::value_parser!(u64).range(..=DRAIN_SECONDS_MAX))]
        drain_after: Option<u64>,
        /// What happens to them then: keep, migrate, migrate-or-end, end
        #[arg(long, value_name = "WHAT", requires = "drain_after", value_parser = then)]
        then: Option<Then>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Runs recorded calls against a component and says what would have gone differently
    ///
    /// JOURNAL is a file of the journal, the folder of a tenant, or the folder of all (STATE_DIR/journal). Asks no
    /// server. Each call is run from its beginning, event by event, with everything as it was; the first difference of
    /// each call is shown.
    #[command(after_help = replay::HELP)]
    Replay(replay::ReplayArgs),
    /// Puts the changed configuration file of a running server into force
    ///
    /// All of it or nothing: a file with a mistake, a certificate that cannot be read, call logic that does not pass
    /// or an address that is taken changes nothing, and so does what takes a restart. Calls and connections stay;
    /// the calls of a tenant that is gone are ended. Prints what is different now. SIGHUP does the same.
    #[command(after_help = reload::HELP)]
    Reload {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Takes the candidate away; without one makes the version before the live one live again
    ///
    /// Calls that are up keep the version that they began with.
    #[command(after_help = "Example:\n  plugboard rollback --domain example.com")]
    Rollback {
        /// Move the calls that are up to it, one by one, as far as it accepts their state
        #[arg(long)]
        migrate: bool,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Says what a component in the shadow of the live version would have done otherwise
    ///
    /// `plugboard deploy --shadow` puts it there: it sees the events of live calls on a thread of its own, each with a copy
    /// of the call's state, and decides nothing. The first difference of each of the first calls is shown.
    #[command(after_help = "Example:\n  plugboard shadow --domain example.com")]
    Shadow {
        /// End it
        #[arg(long)]
        end: bool,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Lists the versions of a domain's call logic
    #[command(after_help = "Example:\n  plugboard versions --domain example.com")]
    Versions {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Connects two users
    ///
    /// Rings CALLING, then has it call CALLED. Returns as soon as the first INVITE is on its way; --wait follows the
    /// call to its end and exits with 0 only if it was answered.
    #[command(after_help = "Example:\n  plugboard call alice bob --method invite --subject Lunch --wait")]
    Call(calls::CallArgs),
    /// Says how the call between two users is going
    #[command(after_help = "Example:\n  plugboard status alice bob")]
    Status {
        #[command(flatten)]
        pair: calls::Pair,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Transfers a call that was placed with --method invite
    ///
    /// TARGET takes the place of CALLING. The call stays as it is until TARGET has answered.
    #[command(after_help = "Example:\n  plugboard transfer alice bob carol")]
    Transfer {
        #[command(flatten)]
        pair: calls::Pair,
        /// Who the call is transferred to
        target: String,
        #[command(flatten)]
        place: Place,
    },
    /// Ends the call between two users, whatever its state
    #[command(after_help = "Example:\n  plugboard hangup alice bob")]
    Hangup {
        #[command(flatten)]
        pair: calls::Pair,
        #[command(flatten)]
        place: Place,
    },
    /// Lists the calls that are up
    #[command(after_help = "Example:\n  plugboard calls --domain example.com --json")]
    Calls {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
    /// Draws the SIP messages of a call as a sequence
    ///
    /// Works while the call is up and for some time after.
    #[command(after_help = "Example:\n  plugboard ladder alice bob")]
    Ladder {
        #[command(flatten)]
        pair: calls::Pair,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        output: Output,
    },
}

/// Which configuration.
#[derive(Args, Clone)]
struct ConfigArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "PLUGBOARD_CONFIG", default_value = "plugboard.toml")]
    config: PathBuf,
}

/// What a component may have that is tried apart from a server.
#[derive(Args, Clone)]
struct Granted {
    /// As for this tenant of the configuration file: with its memory, its deadline and its wasi
    #[arg(long, value_name = "DOMAIN", conflicts_with = "wasi")]
    domain: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
    /// As for a tenant with wasi = true; it may import WASI
    #[arg(long)]
    wasi: bool,
}

impl Granted {
    fn alone(&self) -> Result<Alone, Failure> {
        let Some(domain) = &self.domain else { return Ok(Alone::usual(self.wasi)) };
        let config = Config::load(&self.config.config)?;
        let tenant = config.tenants.iter().find(|tenant| tenant.domain.eq_ignore_ascii_case(domain));
        let missing = || Failure::Usage(format!("there is no tenant {domain} in {}", self.config.config.display()));
        Ok(Alone::like(&config.engine, tenant.ok_or_else(missing)?))
    }
}

/// Which server, and which of its tenants.
#[derive(Args, Clone)]
struct Place {
    #[command(flatten)]
    config: ConfigArgs,
    /// Admin address instead of the configured one, such as http://127.0.0.1:6668; needs --token-file
    #[arg(long, value_name = "URL", requires = "token_file")]
    admin: Option<String>,
    /// File with the admin token
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// SIP domain [default: the first tenant; for `calls` all of them]
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
}

#[derive(Args, Clone, Copy)]
struct Output {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why a command did not do what it was asked to. Each kind has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// 2
    #[error("{0}")]
    Configuration(#[from] ConfigError),
    /// 2
    #[error("{0}")]
    Usage(String),
    /// 1
    #[error("{0}")]
    Refused(String),
    /// 1 or 4
    #[error("{what}")]
    Replayed { code: u8, what: String },
    /// 3
    #[error("cannot reach the server at {address}: {reason}")]
    Unreachable { address: String, reason: String },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Replayed { code, .. } => *code,
            Self::Refused(_) => 1,
            Self::Configuration(_) | Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let _log = logs::AtEnd;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&Failure::Refused(format!("cannot start: {error}"))),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { config } => serve(&config.config).await,
        Command::Demo { stay, no_color } => demonstrate(demo::DemoOptions { stay, no_colour: no_color }).await,
        Command::Check { guest, granted, output } => versions::check(&guest, &granted, output),
        Command::Deploy { guest, percent, shadow, migrate, trial, force, drain_after, then, place, output } => {
            let how = versions::How { percent, shadow, migrate, trial, force, drain: drain_after.zip(then) };
            versions::deploy(&guest, how, &place, output).await
        }
        Command::Replay(args) => replay::replay(&args),
        Command::Reload { place, output } => reload::reload(&place, output).await,
        Command::Rollback { migrate, place, output } => versions::roll_back(migrate, &place, output).await,
        Command::Shadow { end, place, output } => versions::shadow(end, &place, output).await,
        Command::Versions { place, output } => versions::list(&place, output).await,
        Command::Call(args) => calls::call(&args).await,
        Command::Status { pair, place, output } => calls::status(&pair, &place, output).await,
        Command::Transfer { pair, target, place } => calls::transfer(&pair, &target, &place).await,
        Command::Hangup { pair, place } => calls::hang_up(&pair, &place).await,
        Command::Calls { place, output } => calls::list(&place, output).await,
        Command::Ladder { pair, place, output } => calls::draw(&pair, &place, output).await,
    }
}

/// What happens to calls when their version has drained.
fn then(word: &str) -> Result<Then, String> {
    Then::parse(word).ok_or_else(|| format!("write one of {}", Then::WORDS))
}

async fn serve(file: &Path) -> Result<(), Failure> {
    let config = Config::load(file)?;
    logs::start(&config.log);
    let refused = |error: anyhow::Error| Failure::Refused(format!("{error:#}"));
    let server = serve::Server::start(config).await.map_err(refused)?;
    show::print(&server.banner());
    server.run().await.map_err(refused)
}

async fn demonstrate(options: demo::DemoOptions) -> Result<(), Failure> {
    match demo::run(options).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Refused("not every call ended as it should".to_owned())),
        Err(error) => Err(Failure::Refused(format!("{error:#}"))),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    logs::flush();
    // Nobody may be listening; the exit code says it too.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("plugboard: {failure}\n"));
    ExitCode::from(failure.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_has_help_with_an_example() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("plugboard {}", command.get_name())), "{}", command.get_name());
            assert!(command.get_about().is_some());
        }
    }

    #[test]
    fn an_admin_address_needs_its_token() {
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["plugboard", "calls"], arguments].concat()).is_ok();
        assert!(parse(&["--admin", "http://127.0.0.1:1", "--token-file", "t"]));
        assert!(!parse(&["--admin", "http://127.0.0.1:1"]));
        assert!(!parse(&["--token-file", "t"]));
        assert!(parse(&[]));
    }
}
