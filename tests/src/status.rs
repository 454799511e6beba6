//! Reading the status document of a call, and the document that it has to be byte for byte.

use std::fmt::Write;

/// One `status` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since 1970, as text.
    pub timestamp: String,
    /// Call-ID of the leg.
    pub call_id: String,
    /// SIP method.
    pub method: String,
    /// Status line, or what a NOTIFY carried.
    pub status_line: String,
}

/// The lines of a `status-lines` document.
///
/// # Panics
/// When the document is not, byte for byte, what [`document`] makes of those lines.
pub fn lines(xml: &str) -> Vec<Line> {
    let lines: Vec<Line> = xml
        .split("<status>")
        .skip(1)
        .map(|status| Line {
            timestamp: element(status, "timestamp"),
            call_id: element(status, "call-id"),
            method: element(status, "method"),
            status_line: element(status, "status-line"),
        })
        .collect();
    for line in &lines {
        assert!(
            line.timestamp.len() == 13 && line.timestamp.bytes().all(|b| b.is_ascii_digit()),
            "timestamp of {line:?}"
        );
        assert!(!line.call_id.is_empty() && line.call_id.bytes().all(|b| b.is_ascii_graphic()), "call-id of {line:?}");
    }
    assert!(lines.is_sorted_by_key(|line| line.timestamp.clone()), "lines out of order:\n{xml}");
    assert_eq!(xml, document(&lines), "not the document of the seed");
    lines
}

/// `METHOD status line` of each line, the form in which tests write what they expect.
pub fn summary(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}", line.method, line.status_line)).collect()
}

/// The document that the seed shows, with these lines.
pub fn document(lines: &[Line]) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str("<status-lines xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">\n");
    for line in lines {
        let _ = write!(
            xml,
            "<status>\n        <timestamp>{}</timestamp>\n        <call-id>{}</call-id>\n        <method>{}</method>\n        <status-line>{}</status-line>\n</status>\n",
            line.timestamp,
            line.call_id,
            line.method,
            escape(&line.status_line)
        );
    }
    xml.push_str("</status-lines>\n");
    xml
}

fn element(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let text = xml.split_once(&open).and_then(|(_, rest)| rest.split_once(&close)).map_or("", |(text, _)| text);
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
