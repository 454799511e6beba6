//! Standard output and error: lines for the tenant's log, at the levels info and warn, as bounded as those of
//! `log.write`.

use super::Wasi;
use bytes::Bytes;
use plugboard_calls::contract::LogLevel;
use plugboard_calls::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_MAX};
use plugboard_calls::logic::one_line;
use plugboard_calls::stage::LogLine;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{stderr, stdout};
use wasmtime_wasi::p2::{DynOutputStream, OutputStream, Pollable, StreamResult};

/// What a guest has written and nobody has taken yet. The streams that the guest holds share it.
#[derive(Clone, Default)]
pub(super) struct Console(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    lines: Vec<LogLine>,
    unfinished: Unfinished,
}

/// The lines without an end, of standard output and of standard error.
#[derive(Default)]
struct Unfinished {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Console {
    /// The lines so far, and with `unfinished` what has no end yet.
    pub(super) fn take(&self, unfinished: bool) -> Vec<LogLine> {
        let mut written = self.written();
        if unfinished {
            written.end_line(LogLevel::Info);
            written.end_line(LogLevel::Warn);
        }
        std::mem::take(&mut written.lines)
    }

    /// What was written to standard error, as one line.
    pub(super) fn errors(&self) -> String {
        let written = self.written();
        let errors = written.lines.iter().filter(|(level, _)| *level == LogLevel::Warn);
        let mut line = errors.map(|(_, line)| line.trim()).collect::<Vec<_>>().join("; ");
        line.truncate(line.floor_char_boundary(LOG_LINE_BYTES_MAX));
        line
    }

    /// Forgets what nobody took.
    pub(super) fn clear(&self) {
        *self.written() = Written::default();
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    /// What is beyond the length of a line is cut, what is beyond the number of lines is dropped, as for `log.write`.
    fn write(&mut self, level: LogLevel, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(level),
                _ if self.line(level).len() < LOG_LINE_BYTES_MAX => self.line(level).push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self, level: LogLevel) {
        let line = std::mem::take(self.line(level));
        let text = one_line(String::from_utf8_lossy(&line).trim_end().to_owned());
        if !text.is_empty() && self.lines.len() < LOG_LINES_MAX {
            self.lines.push((level, text));
        }
    }

    fn line(&mut self, level: LogLevel) -> &mut Vec<u8> {
        match level {
            LogLevel::Warn => &mut self.unfinished.error,
            _ => &mut self.unfinished.output,
        }
    }
}

/// One of the two streams. Takes everything at once.
struct Stream {
    console: Console,
    level: LogLevel,
}

/// Bytes that one write may bring.
const WRITE_BYTES_MAX: usize = 64 * 1024;

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.console.written().write(self.level, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl Wasi {
    fn stream(&mut self, level: LogLevel) -> wasmtime::Result<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(Stream { console: self.console.clone(), level });
        Ok(self.handles.push(stream)?)
    }
}

impl stdout::Host for Wasi {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.stream(LogLevel::Info)
    }
}

impl stderr::Host for Wasi {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.stream(LogLevel::Warn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(parts: &[(LogLevel, &str)]) -> Vec<(LogLevel, String)> {
        let console = Console::default();
        for (level, text) in parts {
            console.written().write(*level, text.as_bytes());
        }
        console.take(true)
    }

    #[test]
    fn lines_come_whole_and_the_last_one_needs_no_end() {
        use LogLevel::{Info, Warn};
        let lines = written(&[(Info, "one\r\nt"), (Warn, "oh"), (Info, "wo\n\nthree"), (Warn, " no\n")]);
        let expected = [(Info, "one"), (Info, "two"), (Warn, "oh no"), (Info, "three")];
        assert_eq!(lines, expected.map(|(level, text)| (level, text.to_owned())));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = written(&[(LogLevel::Info, &"x".repeat(1_000_000))]);
        assert_eq!(long.first().map(|(_, line)| line.len()), Some(LOG_LINE_BYTES_MAX));
        assert_eq!(written(&[(LogLevel::Warn, &"x\n".repeat(1_000_000))]).len(), LOG_LINES_MAX);
    }
}
