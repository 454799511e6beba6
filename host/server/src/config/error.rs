//! What is wrong with a configuration file: all of it at once, each with its line, its key and what to write instead.

use std::fmt;
use std::path::PathBuf;

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// The key as a TOML path; empty when it is about the file as a whole.
    pub key: String,
    /// What is wrong and what to write instead. Never repeats a value: it may be a secret.
    pub message: String,
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// At least one, in the order of their lines.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// A single problem with the file as a whole.
    pub(super) fn whole(file: PathBuf, message: String) -> Self {
        Self { file, problems: vec![Problem { line: 0, key: String::new(), message }] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if problem.line > 0 {
                write!(f, ":{}", problem.line)?;
            }
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
