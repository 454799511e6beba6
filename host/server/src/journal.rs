//! The journal of this server, and the trial of a candidate against what it recorded. Files are below
//! `state_dir/journal`, a folder for each tenant.

use crate::admin::parameter;
use crate::admin::views::TrialView;
use crate::config::JournalConfig;
use crate::deploy::{DeployError, Deployments};
use crate::state_dir::StateDir;
use plugboard_calls::logic::Logic;
use plugboard_journal::read::{ReadError, last_calls};
use plugboard_journal::{Bounds, Journal, Options, Replay, Report};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What the folder is called.
pub const FOLDER: &str = "journal";
/// Calls that a trial runs again unless told otherwise, in number.
const TRIAL_CALLS: usize = 100;
/// Most calls that a trial runs again, in number.
const TRIAL_CALLS_MAX: usize = 100_000;
/// How long a trial waits for what was recorded last to reach the files.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(5);
/// Differences that a refusal tells in full, in number.
const TOLD_MAX: usize = 3;

/// The journal that the configuration asks for; none when it is off.
///
/// # Errors
/// When the folder cannot be made or the thread not be started.
pub fn start(config: &JournalConfig, state_dir: &StateDir) -> io::Result<Option<Arc<Journal>>> {
    if config.bytes_max == 0 {
        return Ok(None);
    }
    let folder = state_dir.folder(&[FOLDER])?;
    let bounds = Bounds { bytes_max: config.bytes_max, keep: config.keep };
    Journal::start(&folder, bounds, config.queue_max).map(|journal| Some(Arc::new(journal)))
}

/// A trial that a deployment asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The last recorded calls that are run again, in number.
    pub calls: usize,
    /// Goes live whatever it finds.
    pub force: bool,
}

impl Trial {
    /// What a query asks for: `trial=N`, or `trial` for 100, and `force=true`.
    ///
    /// # Errors
    /// With what to write instead.
    pub fn asked(query: Option<&str>) -> Result<Option<Self>, String> {
        let bare = query.is_some_and(|query| query.split('&').any(|pair| pair == "trial"));
        let calls = match parameter(query, "trial").as_deref() {
            None if !bare => return Ok(None),
            None | Some("" | "true") => Some(TRIAL_CALLS),
            Some(number) => number.parse().ok().filter(|n| (1..=TRIAL_CALLS_MAX).contains(n)),
        };
        let calls = calls.ok_or_else(|| format!("trial: write a whole number from 1 to {TRIAL_CALLS_MAX}"))?;
        Ok(Some(Self { calls, force: parameter(query, "force").as_deref() == Some("true") }))
    }

    /// Runs the tenant's last calls against a component. Blocks.
    ///
    /// # Errors
    /// When the component does not pass, or calls would have gone differently and force is not asked for.
    pub fn run(
        self,
        deployments: &Deployments,
        journal: Option<&Journal>,
        domain: &str,
        component: &[u8],
    ) -> Result<TrialView, DeployError> {
        let refused = |reason: String| DeployError::Refused(format!("no trial is possible: {reason}"));
        let journal = journal.ok_or_else(|| refused("there is no journal ([journal] bytes_max = 0)".to_owned()))?;
        let candidate = deployments.load_aside(component)?;
        journal.flush(FLUSH_TIME_MAX);
        let report = match replay_last(journal, domain, self.calls, &*candidate.logic) {
            Ok(report) => report,
            Err(error) if self.force => {
                let summary = format!("not possible: {error}");
                return Ok(TrialView { calls: 0, calls_different: 0, summary });
            }
            Err(error) => return Err(refused(error.to_string())),
        };
        tracing::info!(tenant = domain, found = report.summary(), "trial");
        if !report.is_same() && !self.force {
            return Err(DeployError::Differs(report.text(TOLD_MAX)));
        }
        let (calls, calls_different) = (report.calls, report.calls_different);
        Ok(TrialView { calls, calls_different, summary: report.summary() })
    }
}

fn replay_last(journal: &Journal, domain: &str, calls: usize, candidate: &dyn Logic) -> Result<Report, ReadError> {
    let mut replay = Replay::new(candidate, Options::default());
    for recorded in last_calls(&journal.folder(domain), calls)? {
        replay.event(&recorded);
    }
    Ok(replay.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_asked_for_with_or_without_a_number() {
        let trial = |calls, force| Ok(Some(Trial { calls, force }));
        assert_eq!(Trial::asked(None), Ok(None));
        assert_eq!(Trial::asked(Some("migrate=true")), Ok(None));
        assert_eq!(Trial::asked(Some("trial")), trial(100, false));
        assert_eq!(Trial::asked(Some("migrate=false&trial=7&force=true")), trial(7, true));
        assert!(Trial::asked(Some("trial=0")).is_err());
        assert!(Trial::asked(Some("trial=many")).is_err());
    }
}
