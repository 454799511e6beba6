//! What commands print.

use super::Failure;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints to standard output; that nobody reads on is no failure.
pub(super) fn print(text: &str) {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{text}{end}"));
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::Refused(error.to_string()))?;
    print(&text);
    Ok(())
}

/// Columns as wide as their widest cell.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
    let line = |row: &&Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How long ago a moment was, in the largest unit that fits.
pub(super) fn ago(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let seconds = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(unix_ms) / 1_000;
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// How long it is until a moment, in seconds; 0 when it has passed.
pub(super) fn left(unix_ms: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    unix_ms.saturating_sub(u64::try_from(now).unwrap_or(u64::MAX)).div_ceil(1_000)
}

/// A time in the unit that reads best.
pub(super) fn time(microseconds: u64) -> String {
    match microseconds {
        0 => "-".to_owned(),
        1..10_000 => format!("{microseconds} µs"),
        _ => format!("{} ms", microseconds / 1_000),
    }
}

/// A size in the unit that reads best.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        1..10_485_760 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

/// A call's status for people, from the JSON of the built-in controller; another's is printed as it is.
pub(super) fn status(body: &[u8]) -> String {
    let Ok(status) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let Some(phase) = status.get("phase").and_then(Value::as_str) else {
        return serde_json::to_string_pretty(&status).unwrap_or_default();
    };
    if status.get("mode").is_none() {
        return "no such call".to_owned();
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<9} {value}");
        }
    };
    line("call", format!("{} to {}", word(&status, "calling"), word(&status, "called")));
    line("by", word(&status, "agent"));
    line("mode", word(&status, "mode"));
    line("subject", word(&status, "subject"));
    line("phase", phase.to_owned());
    if let Some(outcome) = status.get("outcome").filter(|outcome| !outcome.is_null()) {
        line(
            "outcome",
            format!("{} {} (ended by: {})", word(outcome, "code"), word(outcome, "reason"), word(outcome, "ended_by")),
        );
    }
    for transfer in list(&status, "transfers") {
        let outcome = transfer.get("outcome").filter(|outcome| !outcome.is_null());
        let outcome = outcome.map_or("under way".to_owned(), |o| format!("{} {}", word(o, "code"), word(o, "reason")));
        line("transfer", format!("to {}: {outcome}", word(transfer, "target")));
    }
    let leg = |leg: &Value| vec![word(leg, "role"), word(leg, "party"), word(leg, "state"), word(leg, "call_id")];
    let legs: Vec<Vec<String>> = list(&status, "legs").iter().map(leg).collect();
    let began = status.get("started_ms").and_then(Value::as_u64).unwrap_or_default();
    let row = |line: &Value| {
        let at = line.get("timestamp").and_then(Value::as_u64).unwrap_or_default().saturating_sub(began);
        vec![format!("+{}.{:03}", at / 1_000, at % 1_000), word(line, "method"), word(line, "status_line")]
    };
    let lines: Vec<Vec<String>> = list(&status, "lines").iter().map(row).collect();
    let legs = table(&["LEG", "PARTY", "STATE", "CALL-ID"], &legs);
    format!("{text}\n{legs}\n\n{}", table(&["TIME", "METHOD", "STATUS"], &lines))
}

/// A member as a word; nothing when it is not there.
pub(super) fn word(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["bb".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["NAME", "B"], &rows), "NAME  B\na     long cell\nbb    x");
    }

    #[test]
    fn the_built_in_controllers_status_is_told_and_any_other_shown() {
        let told = status(
            br#"{"mode":"REFER","phase":"over","agent":"sip:op@e.test","calling":"sip:a@e.test","called":"sip:b@e.test",
            "subject":null,"started_ms":1000,"outcome":{"code":486,"reason":"Busy Here","ended_by":"calling"},
            "legs":[{"role":"calling","party":"sip:a@e.test","state":"over","call_id":"x@h"}],"transfers":[],
            "lines":[{"timestamp":2500,"method":"INVITE","status_line":"SIP/2.0 486 Busy Here"}]}"#,
        );
        for part in ["sip:a@e.test to sip:b@e.test", "486 Busy Here (ended by: calling)", "+1.500", "x@h"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(!told.contains("subject"));
        assert_eq!(status(br#"{"phase":"unknown","lines":[]}"#), "no such call");
        assert_eq!(status(b"<status-lines/>"), "<status-lines/>");
        assert_eq!(status(br#"{"other":1}"#), "{\n  \"other\": 1\n}");
    }
}
