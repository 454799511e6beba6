//! The log: one line an event with fields (`tenant`, `call` and others), as text or JSON, on standard error. Secrets
//! never get here: they live in types that do not print. What is said of requests is written 50 ms later at most, and
//! so is lost when the process is killed.

mod lines;

use crate::config::{LogConfig, LogFormat};
use lines::{Lines, Out};
use std::io::{IsTerminal as _, Stderr, stderr};
use std::sync::{Arc, OnceLock};
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` takes the place of the configured level when it is set. Does nothing when someone
/// started it before.
pub fn start(config: &LogConfig) {
    let builder = || tracing_subscriber::fmt().with_writer(out());
    match config.format {
        LogFormat::Text => {
            let builder = builder().with_ansi(stderr().is_terminal());
            let builder = builder.with_env_filter(filter(config)).with_filter_reloading();
            let handle = builder.reload_handle();
            keep(builder.try_init().is_ok(), move |filter| drop(handle.reload(filter)));
        }
        LogFormat::Json => {
            let builder = builder().json().flatten_event(true);
            let builder = builder.with_env_filter(filter(config)).with_filter_reloading();
            let handle = builder.reload_handle();
            keep(builder.try_init().is_ok(), move |filter| drop(handle.reload(filter)));
        }
    }
}

/// Writes lines of the configured level from now on. Does nothing where logging was started by someone else.
pub fn set_level(config: &LogConfig) {
    if let Some(set) = FILTER.get() {
        set(filter(config));
    }
}

/// Writes, when it is dropped, what the log has not written yet.
pub struct AtEnd;

impl Drop for AtEnd {
    fn drop(&mut self) {
        flush();
    }
}

/// Writes what the log has not written yet.
pub fn flush() {
    if let Some(lines) = LINES.get() {
        lines.flush();
    }
}

/// The lines of the process.
static LINES: OnceLock<Arc<Lines<Stderr>>> = OnceLock::new();

fn out() -> Out<Stderr> {
    let lines = LINES.get_or_init(|| Arc::new(Lines::new(stderr()))).clone();
    let theirs = lines.clone();
    let writer = std::thread::Builder::new().name("log".to_owned()).spawn(move || theirs.write());
    Out { lines, at_once: writer.is_err() }
}

type SetFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// How the filter of the process is replaced: there is one log in a process.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

fn keep(started: bool, set: impl Fn(EnvFilter) + Send + Sync + 'static) {
    if started {
        let _ = FILTER.set(Box::new(set));
    }
}

fn filter(config: &LogConfig) -> EnvFilter {
    let level = || EnvFilter::new(config.level.to_string().to_ascii_lowercase());
    EnvFilter::try_from_default_env().unwrap_or_else(|_| level())
}
