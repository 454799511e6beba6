//! What the demo prints: headings, steps with the time since the start, checks, and a summary.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _, stdout};
use std::time::Instant;

/// Prints, and remembers what was not as it should be.
pub struct Show {
    begun: Instant,
    colour: bool,
    checks: usize,
    problems: Vec<String>,
}

#[derive(Clone, Copy)]
enum Style {
    Heading,
    Good,
    Bad,
    Dim,
}

impl Show {
    /// Colour is used on a terminal, unless it is not wanted (the option, or NO_COLOR).
    pub fn new(no_colour: bool) -> Self {
        let colour = !no_colour && stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { begun: Instant::now(), colour, checks: 0, problems: Vec::new() }
    }

    /// Whether colour is used.
    pub fn colour(&self) -> bool {
        self.colour
    }

    /// Begins a part.
    pub fn heading(&self, text: impl Display) {
        self.print(format_args!("\n{}", self.styled(Style::Heading, text)));
    }

    /// What is being done now.
    pub fn step(&self, text: impl Display) {
        let time = format!("{:5.2} s", self.begun.elapsed().as_secs_f64());
        self.print(format_args!("  {}  {text}", self.styled(Style::Dim, time)));
    }

    /// Lines as they are, indented.
    pub fn block(&self, text: &str) {
        for line in text.lines() {
            self.print(format_args!("    {line}"));
        }
    }

    /// Something that has to be so.
    pub fn check(&mut self, holds: bool, what: impl Display) {
        self.checks += 1;
        let (style, mark) = if holds { (Style::Good, "ok") } else { (Style::Bad, "NOT OK") };
        self.print(format_args!("           {}  {what}", self.styled(style, mark)));
        if !holds {
            self.problems.push(what.to_string());
        }
    }

    /// The last words; true when everything was as it should be.
    pub fn summary(&self) -> bool {
        let seconds = self.begun.elapsed().as_secs_f64();
        if self.problems.is_empty() {
            let text = format!("All {} checks passed in {seconds:.1} s.", self.checks);
            self.print(format_args!("\n{}", self.styled(Style::Good, text)));
            return true;
        }
        let text = format!("{} of {} checks failed:", self.problems.len(), self.checks);
        self.print(format_args!("\n{}", self.styled(Style::Bad, text)));
        for problem in &self.problems {
            self.print(format_args!("  {problem}"));
        }
        false
    }

    /// A line, at once: whoever watches wants to see it now. A closed pipe is no reason to stop.
    pub fn print(&self, text: impl Display) {
        let mut out = stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    fn styled(&self, style: Style, text: impl Display) -> String {
        let code = match style {
            Style::Heading => "1",
            Style::Good => "32",
            Style::Bad => "1;31",
            Style::Dim => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}
