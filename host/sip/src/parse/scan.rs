//! Lines and header fields as ranges of the bytes they stand in.

use std::ops::Range;

use crate::text::position;

/// Goes through the head of a message line by line. A line ends in CRLF or in LF.
pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What comes next in the head.
pub(super) enum Next {
    /// The empty line: the head is over.
    End,
    /// A header field. `value` has its line breaks when `folded`.
    Field { name: Range<usize>, value: Range<usize>, folded: bool },
    /// A line that is no header field, one with a CR that ends nothing, or one that goes on with the start line.
    Bad,
}

/// A line without its end.
pub(super) struct Line {
    pub(super) range: Range<usize>,
    /// Whether a CR stands in it that ends nothing.
    pub(super) stray_cr: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte that is no line break (RFC 3261 §7.5).
    pub(super) fn new(bytes: &'a [u8]) -> Scanner<'a> {
        let at = bytes.iter().position(|byte| !is_line_break(*byte)).unwrap_or(bytes.len());
        Scanner { bytes, at }
    }

    /// Where the next line starts.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next line; none when no line end follows.
    pub(super) fn line(&mut self) -> Option<Line> {
        let start = self.at;
        let (mut from, mut stray_cr) = (start, false);
        loop {
            let end = from + memchr::memchr2(b'\r', b'\n', self.bytes.get(from..)?)?;
            match (self.bytes.get(end), self.bytes.get(end + 1)) {
                (Some(b'\n'), _) => {
                    self.at = end + 1;
                    return Some(Line { range: start..end, stray_cr });
                }
                (_, Some(b'\n')) => {
                    self.at = end + 2;
                    return Some(Line { range: start..end, stray_cr });
                }
                _ => {
                    from = end + 1;
                    stray_cr = true;
                }
            }
        }
    }

    /// The next header field with its continuation lines (RFC 3261 §7.3.1); none when the head does not end.
    pub(super) fn next(&mut self) -> Option<Next> {
        let Line { range, mut stray_cr } = self.line()?;
        if range.is_empty() && !stray_cr {
            return Some(Next::End);
        }
        let (start, mut end, mut folded) = (range.start, range.end, false);
        // Only the byte behind a line says whether the field goes on.
        while matches!(self.bytes.get(self.at)?, b' ' | b'\t') {
            let continuation = self.line()?;
            end = continuation.range.end;
            stray_cr |= continuation.stray_cr;
            folded = true;
        }
        let line = self.bytes.get(start..end)?;
        // Behind another field it would have been part of that; the start line cannot be folded (RFC 3261 §7.1).
        let continues_start_line = matches!(line.first(), Some(b' ' | b'\t'));
        let colon = position(line, b':').filter(|_| !stray_cr && !continues_start_line);
        Some(match colon {
            Some(colon) => {
                let name = trim(self.bytes, start..start + colon);
                let value = trim(self.bytes, start + colon + 1..end);
                // A value that begins on the next line is not folded once the blanks around it are gone.
                let folded = folded && self.bytes.get(value.clone())?.contains(&b'\n');
                Next::Field { name, value, folded }
            }
            None => Next::Bad,
        })
    }
}

/// The text of a folded value: each line break with the white space around it is one space (RFC 3261 §7.3.1).
pub(super) fn unfold(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    for line in value.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if !out.is_empty() && !line.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(line);
    }
    out
}

pub(super) const fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The range without blanks and line breaks at its ends.
fn trim(bytes: &[u8], Range { mut start, mut end }: Range<usize>) -> Range<usize> {
    let is_blank = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    while start < end && is_blank(start) {
        start += 1;
    }
    while start < end && is_blank(end - 1) {
        end -= 1;
    }
    start..end
}
