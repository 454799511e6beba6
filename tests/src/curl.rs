//! curl itself, for the lines that users are told to type.

use crate::program::peer;

/// What curl printed: the status and the body.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Runs `curl` with these arguments.
pub fn curl(arguments: &[&str]) -> Answer {
    let output = peer("curl", "curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}"])
        .args(arguments)
        .output()
        .expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    Answer { status: status.parse().unwrap_or(0), body: body.to_owned() }
}
