//! `plugboard replay`

use super::show::{print, print_json};
use super::{Failure, Granted, Output, versions};
use clap::Args;
use plugboard_engine::Version;
use plugboard_journal::{Options, Replay, Report, read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What stands below the options.
pub(super) const HELP: &str = "\
Examples:
  plugboard replay plugboard-data/journal/example.com --guest new.wasm
  plugboard replay plugboard-data/journal/example.com --guest new.wasm --domain example.com

Exit codes:
  0  nothing would have gone differently
  1  something would have
  2  wrong arguments, or nothing that can be read and compared
  4  the component failed where the recorded one did not";

/// Exit code: something differs.
const DIFFERS: u8 = 1;
/// Exit code: the candidate failed.
const FAILED: u8 = 4;
/// Differences that are told in full, in number.
const TOLD_MAX: usize = 20;

/// What is run against what.
#[derive(Args)]
pub(super) struct ReplayArgs {
    /// File or folder of the journal
    journal: PathBuf,
    /// The component
    #[arg(long, value_name = "GUEST")]
    guest: PathBuf,
    /// Go on in a call after its first difference
    #[arg(long)]
    all: bool,
    /// Compare the bytes of each state too: for components that must encode it the same
    #[arg(long)]
    state: bool,
    #[command(flatten)]
    granted: Granted,
    #[command(flatten)]
    output: Output,
}

/// Runs the calls of a journal against a component, and says what it comes to by its exit code too.
pub(super) fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let candidate = load(&args.guest, &args.granted)?;
    let unreadable = |error: read::ReadError| Failure::Usage(error.to_string());
    let mut replay = Replay::new(&*candidate, Options { all: args.all, state: args.state });
    for file in read::files(&args.journal).map_err(unreadable)? {
        for recorded in read::events(&file).map_err(unreadable)? {
            replay.event(&recorded);
        }
    }
    let report = replay.finish();
    if args.output.json {
        print_json(&report)?;
    } else {
        print(&report.text(TOLD_MAX));
    }
    verdict(&report)
}

fn verdict(report: &Report) -> Result<(), Failure> {
    let replayed = |code, what: &str| Err(Failure::Replayed { code, what: what.to_owned() });
    match report {
        _ if report.failures > 0 => replayed(FAILED, "the component fails where the recorded one did not"),
        _ if !report.is_same() => replayed(DIFFERS, "recorded calls would have gone differently"),
        _ if report.events == 0 => Err(Failure::Usage("the journal holds no event that can be compared".to_owned())),
        _ => Ok(()),
    }
}

fn load(guest: &Path, granted: &Granted) -> Result<Arc<Version>, Failure> {
    let component = versions::read(guest)?;
    let refused = |error| Failure::Usage(format!("{}: {error}", guest.display()));
    granted.alone()?.load(component).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_what_it_comes_to() {
        let code = |report: &Report| verdict(report).err().map_or(0, |failure| failure.exit_code());
        let same = Report { calls: 1, events: 3, ..Report::default() };
        assert_eq!(code(&same), 0);
        assert_eq!(code(&Report::default()), 2);
        let differs = Report { calls_different: 1, ..same };
        assert_eq!(code(&differs), 1);
        assert_eq!(code(&Report { failures: 1, ..differs }), 4);
    }
}
