//! Status records: what happened to a call, line by line, and how things ended, as SIP counts it.

use serde::{Deserialize, Serialize};

use crate::{FailureReason, codec};

/// One response or notification: when, on which leg, to which method, and its status line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The leg whose Call-ID the line shows.
    pub leg: u32,
    /// What happened.
    pub what: What,
}

/// The two kinds of line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A response to a request of ours.
    Response {
        /// The method of the request.
        method: Method,
        /// How it was answered.
        status: Status,
    },
    /// The body of a NOTIFY, as it came.
    Notify(String),
}

/// The methods that a record shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// INVITE
    Invite,
    /// REFER
    Refer,
}

impl Line {
    /// The method as the record names it.
    pub fn method(&self) -> &'static str {
        match &self.what {
            What::Response { method: Method::Invite, .. } => "INVITE",
            What::Response { method: Method::Refer, .. } => "REFER",
            What::Notify(_) => "NOTIFY",
        }
    }

    /// `SIP/2.0 180 Ringing`, or the body of the NOTIFY.
    pub fn status_line(&self) -> String {
        match &self.what {
            What::Response { status, .. } => format!("SIP/2.0 {} {}", status.code, status.reason()),
            What::Notify(body) => body.clone(),
        }
    }
}

/// A status code and its reason phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// As SIP counts: 100 to 699.
    pub code: u16,
    /// None when the phrase is the usual one, which is then not stored.
    phrase: Option<String>,
}

impl Status {
    /// A status with the usual phrase of its code.
    pub fn new(code: u16) -> Self {
        Self { code, phrase: None }
    }

    /// A status with a phrase of its own, cut to 128 bytes; an empty one counts as the usual one.
    pub fn with_reason(code: u16, phrase: &str) -> Self {
        let usual = phrase.is_empty() || phrase == usual_reason(code);
        Self { code, phrase: (!usual).then(|| cut(phrase, REASON_BYTES_MAX).to_string()) }
    }

    /// What a request that got no response counts as: 408 or 503 (RFC 3261 §8.1.3.1).
    pub fn of_failure(reason: FailureReason) -> Self {
        Self::new(match reason {
            FailureReason::TimedOut | FailureReason::SessionExpired => 408,
            FailureReason::Unreachable | FailureReason::Unresolved | FailureReason::Refused => 503,
        })
    }

    /// The status on the first line of a `message/sipfrag` body (RFC 3420), as NOTIFY carries it.
    pub fn of_fragment(body: &str) -> Option<Self> {
        let line = body.lines().next()?.trim_end();
        let rest = line.strip_prefix("SIP/2.0 ")?;
        let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = code.parse().ok().filter(|code| (100..700).contains(code) && rest.len() >= 3)?;
        Some(Self::with_reason(code, phrase))
    }

    /// The reason phrase.
    pub fn reason(&self) -> &str {
        self.phrase.as_deref().unwrap_or(usual_reason(self.code))
    }

    /// Whether it ends a transaction.
    pub fn is_final(&self) -> bool {
        self.code >= 200
    }

    /// Whether it is a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// The beginning and the end of a list of lines, and how many between them were left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    first: Lines,
    last: Lines,
    left_out: u32,
}

impl History {
    /// Adds a line. Past [`LINES_MAX`] the oldest line of the second half makes room and is counted as left out.
    pub fn push(&mut self, line: &Line) {
        if self.first.count < LINES_MAX / 2 {
            self.first.push(line);
            return;
        }
        if self.last.count == LINES_MAX / 2 {
            self.last.pop();
            self.left_out = self.left_out.saturating_add(1);
        }
        self.last.push(line);
    }

    /// The lines before the gap, in order.
    pub fn before_gap(&self) -> impl Iterator<Item = Line> {
        self.first.iter()
    }

    /// The lines after the gap, in order.
    pub fn after_gap(&self) -> impl Iterator<Item = Line> {
        self.last.iter()
    }

    /// How many lines are missing between the two.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }
}

/// Lines in their encoding, one behind the other: nearly every event adds one, and only a report reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lines {
    count: usize,
    #[serde(with = "serde_bytes")]
    bytes: Vec<u8>,
}

impl Lines {
    fn push(&mut self, line: &Line) {
        self.count += 1;
        self.bytes = codec::extend(core::mem::take(&mut self.bytes), line);
    }

    /// Drops the first one.
    fn pop(&mut self) {
        if let Some((_, rest)) = codec::first::<Line>(&self.bytes) {
            self.bytes.drain(..self.bytes.len() - rest.len());
            self.count -= 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = Line> {
        let mut rest = self.bytes.as_slice();
        core::iter::from_fn(move || {
            let (line, behind) = codec::first(rest)?;
            rest = behind;
            Some(line)
        })
    }
}

/// How many lines a [`History`] keeps: the first half of them and the last.
pub const LINES_MAX: usize = 200;

/// A NOTIFY body is kept up to this many bytes.
pub const NOTIFY_BYTES_MAX: usize = 512;

/// A reason phrase is kept up to this many bytes.
pub const REASON_BYTES_MAX: usize = 128;

/// The beginning of a text, not longer than `bytes_max` bytes.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The reason phrases of RFC 3261 §21 and of the RFCs that added codes which are met in practice.
pub fn usual_reason(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        415 => "Unsupported Media Type",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(timestamp_ms: u64) -> Line {
        Line { timestamp_ms, leg: 1, what: What::Response { method: Method::Invite, status: Status::new(180) } }
    }

    #[test]
    fn history_is_full_at_its_bound_and_counts_what_it_leaves_out_beyond_it() {
        let mut history = History::default();
        (0..LINES_MAX as u64).for_each(|at| history.push(&line(at)));
        assert_eq!(history.left_out(), 0);
        history.push(&line(LINES_MAX as u64));
        assert_eq!(history.left_out(), 1);
        assert_eq!(history.before_gap().chain(history.after_gap()).count(), LINES_MAX);
        assert_eq!(history.before_gap().next().map(|line| line.timestamp_ms), Some(0));
        assert_eq!(history.after_gap().last().map(|line| line.timestamp_ms), Some(LINES_MAX as u64));
    }

    #[test]
    fn status_lines_show_the_phrase_that_came_or_the_usual_one() {
        assert_eq!(line(0).status_line(), "SIP/2.0 180 Ringing");
        assert_eq!(Status::with_reason(486, "Besetzt").reason(), "Besetzt");
        assert_eq!(Status::with_reason(486, "").reason(), "Busy Here");
        assert_eq!(Status::with_reason(500, &"é".repeat(100)).reason().len(), REASON_BYTES_MAX);
    }

    #[test]
    fn fragments() {
        assert_eq!(Status::of_fragment("SIP/2.0 486 Busy Here\r\n"), Some(Status::new(486)));
        assert_eq!(Status::of_fragment("SIP/2.0 200\r\nTo: x"), Some(Status::new(200)));
        for bad in ["", "HTTP/1.1 200 OK", "SIP/2.0 x", "SIP/2.0 99 Low", "SIP/2.0 700 High"] {
            assert_eq!(Status::of_fragment(bad), None, "{bad}");
        }
    }
}
