//! `/v1/reload`.

use super::Admin;
use super::views::{ChangeView, NotReloadedView, ProblemView, ReloadedView};
use crate::answer::{Answered, json};
use crate::config::{Change, ConfigError};
use crate::reload::ReloadError;
use http::StatusCode;

impl Admin {
    pub(super) async fn reload(&self) -> Answered {
        match self.reloads.reload().await {
            Ok(changes) => {
                json(StatusCode::OK, &ReloadedView { changes: changes.iter().map(ChangeView::from).collect() })
            }
            Err(error) => json(status(&error), &NotReloadedView::from(&error)),
        }
    }
}

fn status(error: &ReloadError) -> StatusCode {
    match error {
        ReloadError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        ReloadError::NeedsRestart(_) => StatusCode::CONFLICT,
        ReloadError::Configuration(_) | ReloadError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl From<&Change> for ChangeView {
    fn from(change: &Change) -> Self {
        Self { key: change.key.clone(), what: change.what.as_str().to_owned() }
    }
}

impl From<&ReloadError> for NotReloadedView {
    fn from(error: &ReloadError) -> Self {
        let problems = match error {
            ReloadError::Configuration(error) => problems(error),
            _ => Vec::new(),
        };
        Self { error: error.to_string(), problems }
    }
}

fn problems(error: &ConfigError) -> Vec<ProblemView> {
    let file = error.file.display().to_string();
    let problem = |problem: &crate::config::Problem| ProblemView {
        file: file.clone(),
        line: Some(problem.line).filter(|line| *line > 0),
        key: problem.key.clone(),
        message: problem.message.clone(),
    };
    error.problems.iter().map(problem).collect()
}
