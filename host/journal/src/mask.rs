//! What a journal may not hold, and how it is left out: its value is replaced by [`MARKER`], in the event and in what
//! came of it alike. A replay gives the guest the marker and gets the marker back, so nothing differs.
//!
//! Left out are the values of what is named `confpin`, `pin`, `password` or `x-confpin`, in any case: as a query
//! parameter, as a header field, as a parameter or header of a URI (`Refer-To: <sip:b@e.test?X-ConfPin=12%2334>`, also
//! escaped once more), and as `name=value`, `name="value"`, `"name": "value"`, `"name": 1234`, `<name>value</name>` or a
//! line `name: value` in a body or a cached value that is text. A number in JSON becomes a 0. Credentials (RFC 3261 §22,
//! HTTP) are never part of an event in the first place. The state of a call that was given a secret is not described at
//! all, not even by its hash.
//!
//! Limits, honestly: a secret is known by its name alone. A guest that copies it to where nothing names it (a display
//! name, a timer's name, a binary cached value) copies it into the journal, and whoever types a PIN into the subject
//! finds it there. A guest that looks at more of a secret than whether it is empty, printable and no longer than 256
//! bytes behaves differently when it is run again with the marker.

use crate::line::{EventLine, Outcome};
use plugboard_calls::contract::{Address, Event, Header, HttpRequest};
use plugboard_calls::effect::Effect;
use plugboard_calls::record::Record;
use plugboard_calls::stage::Answers;
use std::sync::Arc;

/// What stands in the place of a secret. It means the same with and without percent-escapes.
pub const MARKER: &str = "REDACTED";

const NAMES: [&str; 4] = ["confpin", "pin", "password", "x-confpin"];
/// A longer value is none that was accepted; in bytes.
const VALUE_BYTES_MAX: usize = 256;

/// Masks an event and what came of it; whether there was anything to mask.
pub fn event_line(line: &mut EventLine) -> bool {
    let mut masked = event(&mut line.event) | answers(&mut line.answers);
    if let Outcome::Committed { effects, .. } = &mut line.outcome {
        for staged in effects {
            masked |= effect(staged);
        }
    }
    masked
}

/// Whether the line of an event can name anything that is left out, told by one look at its bytes: most lines cannot, and
/// are written as they are. Nothing in such a name is escaped in JSON; in a query it may be percent-escaped.
pub(crate) fn may_name_secret(line: &[u8], event: &Event) -> bool {
    let is_escaped =
        |query: &String| query.split('&').any(|pair| pair.split_once('=').is_some_and(|(name, _)| name.contains('%')));
    let escaped = match event {
        Event::Http { request, .. } => request.query.as_ref().is_some_and(is_escaped),
        _ => false,
    };
    escaped || names_secret(line)
}

/// Whether a text holds "pin" or the middle of "password", in any case. Without a branch for each byte.
fn names_secret(text: &[u8]) -> bool {
    let is = |byte: u8, letter: u8| byte | 0x20 == letter;
    text.windows(3).fold(false, |found, part| match *part {
        [a, b, c] => found | (is(a, b'p') & is(b, b'i') & is(c, b'n')) | (is(a, b's') & is(b, b's') & is(c, b'w')),
        _ => found,
    })
}

/// Masks a record; whether there was anything to mask.
pub(crate) fn record(record: &mut Record<'_>) -> bool {
    let mut masked = event(Arc::make_mut(&mut record.event)) | answers(record.answers.to_mut());
    if let Ok(committed) = &mut record.outcome {
        for staged in committed.to_mut().effects_mut() {
            masked |= effect(staged);
        }
    }
    masked
}

/// Masks one effect; whether there was anything to mask.
pub fn effect(effect: &mut Effect) -> bool {
    match effect {
        Effect::Call { invite, .. } => {
            let to = invite.to.as_mut().is_some_and(address);
            to | text(&mut invite.target)
                | address(&mut invite.from)
                | headers(&mut invite.headers)
                | bytes(&mut invite.body)
        }
        Effect::Request { headers: fields, body, .. }
        | Effect::Ack { headers: fields, body, .. }
        | Effect::Respond { headers: fields, body, .. } => headers(fields) | bytes(body),
        Effect::Release { headers: fields, .. } => headers(fields),
        Effect::HttpRespond { response, .. } => headers(&mut response.headers) | bytes(&mut response.body),
        Effect::CachePut { key, value, .. } => text(key) | bytes(value),
        Effect::CacheRemove { key } => text(key),
        Effect::AnswerChallenge { .. }
        | Effect::Cancel { .. }
        | Effect::SetTimer { .. }
        | Effect::ClearTimer { .. }
        | Effect::ActAs { .. } => false,
    }
}

fn event(event: &mut Event) -> bool {
    match event {
        Event::Http { request, .. } => http(request),
        Event::Request { headers: fields, body, .. } | Event::Ack { headers: fields, body, .. } => {
            headers(fields) | bytes(body)
        }
        Event::Replacement { from, headers: fields, body, .. } => address(from) | headers(fields) | bytes(body),
        Event::Response(response) => {
            let mut masked = headers(&mut response.headers) | bytes(&mut response.body);
            for contact in &mut response.contacts {
                masked |= text(contact);
            }
            masked
        }
        Event::Cancel { .. } | Event::Failure { .. } | Event::Timer(_) | Event::Ending(_) => false,
    }
}

fn answers(answers: &mut Answers) -> bool {
    let mut masked = false;
    for answer in &mut answers.values {
        masked |= text(&mut answer.key) | answer.value.as_mut().is_some_and(bytes);
    }
    masked
}

fn http(request: &mut HttpRequest) -> bool {
    let query = request.query.as_mut().is_some_and(|query| {
        let pairs: Vec<String> = query.split('&').map(pair).collect();
        let joined = pairs.join("&");
        let changed = joined != *query;
        *query = joined;
        changed | text(query)
    });
    query | text(&mut request.path) | headers(&mut request.headers) | bytes(&mut request.body)
}

/// A pair of a query, whose name may be escaped.
fn pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, value)) if is_secret(&String::from_utf8_lossy(&unescape(name))) => {
            format!("{name}={}", marker(value))
        }
        _ => pair.to_owned(),
    }
}

fn headers(headers: &mut [Header]) -> bool {
    let mut masked = false;
    for Header { name, value } in headers {
        if !is_secret(name) {
            masked |= text(value);
        } else if !value.is_empty() && value != MARKER {
            *value = MARKER.to_owned();
            masked = true;
        }
    }
    masked
}

fn address(address: &mut Address) -> bool {
    text(&mut address.uri) | address.display_name.as_mut().is_some_and(text)
}

fn bytes(bytes: &mut Vec<u8>) -> bool {
    let Some(masked) = std::str::from_utf8(bytes).ok().and_then(masked) else { return false };
    *bytes = masked.into_bytes();
    true
}

fn text(text: &mut String) -> bool {
    let Some(masked) = masked(text) else { return false };
    *text = masked;
    true
}

fn is_secret(name: &str) -> bool {
    NAMES.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// The text with its named values masked; none when it stays as it is.
fn masked(text: &str) -> Option<String> {
    // Most texts hold neither "pin" nor "password", and there are many.
    if !names_secret(text.as_bytes()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let mut out = String::new();
    let mut done = 0;
    for end in name_ends(&lower) {
        if end < done || !is_secret(name_before(&lower, end)) {
            continue;
        }
        let Some(Found { from, to, is_number }) = value_after(&lower, end) else { continue };
        let (Some(before), Some(value)) = (text.get(done..from), text.get(from..to)) else { continue };
        out.push_str(before);
        out.push_str(&if is_number { "0".to_owned() } else { marker(value) });
        done = to;
    }
    out.push_str(text.get(done..)?);
    (out != text).then_some(out)
}

/// Where something may end that is named like a secret.
fn name_ends(lower: &str) -> impl Iterator<Item = usize> {
    let mut ends: Vec<usize> =
        ["pin", "password"].iter().flat_map(|name| lower.match_indices(name).map(|(at, _)| at + name.len())).collect();
    ends.sort_unstable();
    ends.into_iter()
}

/// The whole word that ends here. What stands before it may be a delimiter in its escaped form.
fn name_before(lower: &str, end: usize) -> &str {
    let head = &lower[..end];
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let length = head.bytes().rev().take_while(|b| word(*b)).count();
    let name = &head[end - length..];
    let escaped = head[..end - length].ends_with('%') && name.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if escaped { name.get(2..).unwrap_or_default() } else { name }
}

/// Where a value begins and ends.
struct Found {
    from: usize,
    to: usize,
    /// A number in JSON, which a text could not stand for.
    is_number: bool,
}

/// The value of the name that ends here.
fn value_after(lower: &str, name_end: usize) -> Option<Found> {
    let (head, rest) = lower.split_at_checked(name_end)?;
    let found = |value: &str, length: usize, is_number| {
        let from = lower.len() - value.len();
        Found { from, to: from + length, is_number }
    };
    let until = |value: &str, ends: &[&str]| {
        let length = ends.iter().filter_map(|end| value.find(end)).min().unwrap_or(value.len());
        found(value, length, false)
    };
    let quoted = |value: &str, quote| found(value, quoted_length(value, quote), false);
    if let Some(value) = rest.strip_prefix('=') {
        return Some(match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(&value[1..], quote),
            _ => until(value, &["&", ";", ">", "<", "\"", "'", ",", "?", "#", " ", "\t", "\r", "\n"]),
        });
    }
    if let Some(value) = rest.strip_prefix("%3d") {
        const ENDS: [&str; 17] =
            ["%26", "%3b", "%3e", "%3f", "%22", "%20", "&", ";", ">", "<", "\"", "'", ",", "?", " ", "\r", "\n"];
        return Some(until(value.strip_prefix("%22").unwrap_or(value), &ENDS));
    }
    if let Some(value) = rest.strip_prefix('>') {
        return Some(until(value, &["<"]));
    }
    let after_quote = rest.strip_prefix('"');
    let after_colon = after_quote.unwrap_or(rest).trim_start().strip_prefix(':')?;
    let value = after_colon.trim_start();
    let number = value.bytes().take_while(|b| b.is_ascii_digit() || b"+-.e".contains(b)).count();
    match value.strip_prefix('"') {
        Some(value) => Some(quoted(value, '"')),
        None if after_quote.is_some() => (number > 0).then(|| found(value, number, true)),
        None => begins_line(head).then(|| until(after_colon.trim_start_matches([' ', '\t']), &["\r", "\n"])),
    }
}

/// As far as the closing quote. One behind a backslash is part of the value.
fn quoted_length(value: &str, quote: char) -> usize {
    let mut escaped = false;
    let is_end = |(_, letter): &(usize, char)| {
        let end = *letter == quote && !escaped;
        escaped = *letter == '\\' && !escaped;
        end
    };
    value.char_indices().find(is_end).map_or(value.len(), |(at, _)| at)
}

/// Whether nothing stands before the name that this ends with in its line.
fn begins_line(head: &str) -> bool {
    let line = head.rsplit('\n').next().unwrap_or(head);
    is_secret(line.trim_start())
}

/// The marker, for a value that can be one: what is empty, too long or not printable stays so, because it is refused for
/// that.
fn marker(value: &str) -> String {
    let plain = unescape(value);
    let printable = std::str::from_utf8(&plain).is_ok_and(|plain| !plain.contains(char::is_control));
    match plain.len() {
        0 => value.to_owned(),
        1..=VALUE_BYTES_MAX if printable && !is_badly_escaped(value) => MARKER.to_owned(),
        _ => blot(value),
    }
}

/// Every letter an x, but for escapes that no printable text needs.
fn blot(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(first) = rest.chars().next() {
        let escape = rest.get(..3).filter(|escape| !is_badly_escaped(escape) && first == '%');
        let decoded = escape.and_then(|escape| unescape(escape).first().copied());
        let taken = match (escape, decoded) {
            (Some(escape), Some(byte)) if byte.is_ascii_control() || byte >= 0x80 => {
                out.push_str(escape);
                escape.len()
            }
            (Some(escape), _) => {
                out.push('x');
                escape.len()
            }
            (None, _) => {
                out.push(if first == '%' || first.is_control() { first } else { 'x' });
                first.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn is_badly_escaped(text: &str) -> bool {
    text.split('%').skip(1).any(|after| !after.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())))
}

/// Percent-escapes resolved; what is no escape stays.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(query: &str) -> String {
        let (method, path) = ("POST".to_owned(), "/callcontroller/a/b".to_owned());
        let mut request =
            HttpRequest { method, path, query: Some(query.to_owned()), headers: Vec::new(), body: Vec::new() };
        http(&mut request);
        request.query.unwrap_or_default()
    }

    fn value(text: &str) -> String {
        masked(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn parameters_of_a_query_are_masked_however_they_are_written() {
        assert_eq!(query("agent=a&confpin=1234&subject=pin"), "agent=a&confpin=REDACTED&subject=pin");
        assert_eq!(query("conf%70in=12%2334"), "conf%70in=REDACTED");
        assert_eq!(query("PIN=1;password=2"), "PIN=REDACTED");
        assert_eq!(query("spin=1&opinion=2&pins=3"), "spin=1&opinion=2&pins=3");
    }

    #[test]
    fn what_was_refused_for_its_shape_is_refused_again() {
        assert_eq!(query("confpin="), "confpin=");
        assert_eq!(query("confpin=1%0a2"), "confpin=x%0ax");
        assert_eq!(query("confpin=%zz9"), "confpin=%xxx");
        assert_eq!(query(&format!("confpin={}", "9".repeat(300))), format!("confpin={}", "x".repeat(300)));
    }

    #[test]
    fn uris_and_bodies_are_masked_by_name() {
        assert_eq!(
            value("\"Bob\" <sip:bob@e.test?X-ConfPin=12%2334&a=b>;c=d"),
            "\"Bob\" <sip:bob@e.test?X-ConfPin=REDACTED&a=b>;c=d"
        );
        assert_eq!(
            value("<sip:b@e.test?Refer-To=%3Csip:c@e.test%3FX-ConfPin%3D1234%3E>"),
            "<sip:b@e.test?Refer-To=%3Csip:c@e.test%3FX-ConfPin%3DREDACTED%3E>"
        );
        assert_eq!(value("{\"password\": \"a\", \"b\": 1}"), "{\"password\": \"REDACTED\", \"b\": 1}");
        assert_eq!(value("<confpin>12</confpin>"), "<confpin>REDACTED</confpin>");
        assert_eq!(value("X-ConfPin: 12#34 5\r\nTo: b"), "X-ConfPin: REDACTED\r\nTo: b");
        assert_eq!(masked("X-ConfPin:\r\nTo: b"), None);
        assert_eq!(masked("<sip:bob@pin:5060>; is my pin: no secret"), None);
        assert_eq!(masked("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=pinning\r\n"), None);
        assert_eq!(masked("ünï pin=ü&ö"), Some("ünï pin=REDACTED&ö".to_owned()));
    }

    #[test]
    fn quotes_belong_to_a_value_and_numbers_are_values() {
        assert_eq!(value("a;pin=\"12 34\";b=c"), "a;pin=\"REDACTED\";b=c");
        assert_eq!(value("<user pin='1\"2' name=\"a\"/>"), "<user pin='REDACTED' name=\"a\"/>");
        assert_eq!(value("<sip:b@e.test?h=pin%3D%2212%22>"), "<sip:b@e.test?h=pin%3D%22REDACTED%22>");
        assert_eq!(value("{\"pin\":\"ab\\\"cd\\\\\",\"b\":1}"), "{\"pin\":\"REDACTED\",\"b\":1}");
        assert_eq!(value("{\"confpin\" : -47.11e3, \"b\": 1}"), "{\"confpin\" : 0, \"b\": 1}");
        assert_eq!(masked("{\"pin\": null, \"password\": \"\"}"), None);
        assert_eq!(value("pin=\"12"), "pin=\"REDACTED");
    }

    #[test]
    fn masking_twice_is_masking_once() {
        for text in
            ["<sip:b@e.test?X-ConfPin=1>", "pin=1&password=2", "confpin=1%0a2", "{\"pin\": 7}", "pin='1'", "pin: 1"]
        {
            assert_eq!(value(&value(text)), value(text));
        }
    }
}
