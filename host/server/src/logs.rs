//! The log: one line an event with fields (`tenant`, `call` and others), as text or JSON, on standard error. Secrets
//! never get here: they live in types that do not print.

use crate::config::{LogConfig, LogFormat};
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` takes the place of the configured level when it is set. Does nothing when someone
/// started it before.
pub fn start(config: &LogConfig) {
    let level = || EnvFilter::new(config.level.to_string().to_ascii_lowercase());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| level());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    drop(started);
}
