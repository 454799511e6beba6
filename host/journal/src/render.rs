//! Events and effects in lines that people can compare.

use crate::line::State;
use plugboard_calls::contract::{Address, Event, Header, HttpResponse};
use plugboard_calls::effect::Effect;

/// Lines that are compared cleverly, in number; more are listed one after the other.
const COMPARED_MAX: usize = 400;
/// Equal lines told around those that differ, in number.
const AROUND: usize = 2;
/// Lines told of one difference, in number.
const TOLD_MAX: usize = 60;

/// An event with its time.
pub(crate) fn moment(time: &str, event: &Event) -> String {
    let what = match event {
        Event::Http { request, .. } => {
            let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
            format!("{} {}{query}", request.method, request.path)
        }
        Event::Request { leg, method, .. } => format!("{method} from leg {}", leg.0),
        Event::Response(response) => {
            let (leg, reason) = (response.leg.0, &response.reason);
            format!("{} {reason} to {} on leg {leg}", response.status, response.method)
        }
        Event::Ack { leg, .. } => format!("ACK from leg {}", leg.0),
        Event::Cancel { leg, .. } => format!("CANCEL from leg {}", leg.0),
        Event::Replacement { leg, replaced, .. } => format!("INVITE opens leg {} to replace leg {}", leg.0, replaced.0),
        Event::Failure { leg, method, reason, .. } => format!("no response to {method} on leg {}: {reason:?}", leg.0),
        Event::Timer(name) => format!("timer {name}"),
        Event::Ending(reason) => format!("the host ends the call: {reason:?}"),
    };
    format!("{time}  {what}")
}

/// What came of an event.
pub(crate) fn outcome(effects: &[Effect], state: &State, with_state: bool) -> Vec<String> {
    let mut lines: Vec<String> = effects.iter().flat_map(effect).collect();
    match state {
        State::Over => lines.push("the call is over".to_owned()),
        State::Kept { sha256, bytes } if with_state => lines.push(format!("state of {bytes} bytes, {sha256}")),
        State::Kept { .. } | State::Withheld => {}
    }
    if lines.is_empty() {
        lines.push("nothing".to_owned());
    }
    lines
}

/// An HTTP answer in a line.
pub(crate) fn answer(response: &HttpResponse) -> String {
    let body = String::from_utf8_lossy(&response.body);
    format!("answer {} {}", response.status, body.lines().next().unwrap_or_default())
}

fn effect(effect: &Effect) -> Vec<String> {
    match effect {
        Effect::Call { leg, transaction, call_id, invite } => {
            let mut lines = vec![format!("INVITE {} opens leg {} (request {})", invite.target, leg.0, transaction.0)];
            lines.extend(invite.to.as_ref().map(|to| format!("  To: {}", address(to))));
            lines.push(format!("  From: {}", address(&invite.from)));
            lines.push(format!("  Call-ID: {call_id}"));
            message(lines, &invite.headers, &invite.body)
        }
        Effect::Request { leg, transaction, method, headers, body } => {
            message(vec![format!("{method} on leg {} (request {})", leg.0, transaction.0)], headers, body)
        }
        Effect::Ack { invite, headers, body } => message(vec![format!("ACK of request {}", invite.0)], headers, body),
        Effect::AnswerChallenge { challenged, transaction } => {
            vec![format!("request {} again with credentials (request {})", challenged.0, transaction.0)]
        }
        Effect::Cancel { invite } => vec![format!("CANCEL of request {}", invite.0)],
        Effect::Respond { transaction, status, reason, headers, body } => {
            let first = format!("{status} {reason} to the peer's request {}", transaction.0 & !(1 << 31));
            message(vec![first], headers, body)
        }
        Effect::Release { leg, headers, .. } => message(vec![format!("release of leg {}", leg.0)], headers, &[]),
        Effect::SetTimer { name, after_ms } => vec![format!("timer {name} in {after_ms} ms")],
        Effect::ClearTimer { name } => vec![format!("timer {name} cleared")],
        Effect::ActAs { user } => vec![format!("acts for {user}")],
        Effect::CachePut { key, value, ttl_seconds } => {
            message(vec![format!("cache: {key} for {ttl_seconds} s")], &[], value)
        }
        Effect::CacheRemove { key } => vec![format!("cache: {key} removed")],
        Effect::HttpRespond { exchange, response } => {
            let first = format!("HTTP answer {} (request {})", response.status, exchange.0);
            message(vec![first], &response.headers, &response.body)
        }
    }
}

fn message(mut lines: Vec<String>, headers: &[Header], body: &[u8]) -> Vec<String> {
    lines.extend(headers.iter().map(|field| format!("  {}: {}", field.name, field.value)));
    match std::str::from_utf8(body) {
        Ok(text) => lines.extend(text.lines().map(|line| format!("  | {line}"))),
        Err(_) => lines.push(format!("  | {} bytes: {}", body.len(), body.escape_ascii())),
    }
    lines
}

fn address(address: &Address) -> String {
    match &address.display_name {
        Some(name) => format!("{name:?} <{}>", address.uri),
        None => format!("<{}>", address.uri),
    }
}

/// Both sides as one list: what is only recorded begins with `-`, what only the candidate does with `+`.
pub(crate) fn compared(expected: &[String], got: &[String]) -> Vec<String> {
    let all = if expected.len().max(got.len()) > COMPARED_MAX { listed(expected, got) } else { aligned(expected, got) };
    let differs: Vec<usize> = all.iter().enumerate().filter(|(_, (sign, _))| *sign != ' ').map(|(n, _)| n).collect();
    // The line that names a message is told with any of its lines.
    let named = |d: usize| all.iter().take(d + 1).rposition(|(_, line)| !line.starts_with(' '));
    let names: Vec<usize> = differs.iter().filter_map(|d| named(*d)).collect();
    let near = |n: usize| names.contains(&n) || differs.iter().any(|d| d.abs_diff(n) <= AROUND);
    let mut lines = Vec::new();
    let mut hidden = false;
    for (n, (sign, line)) in all.iter().enumerate() {
        if near(n) {
            lines.push(format!("{sign} {line}"));
        } else if !hidden {
            lines.push("  ...".to_owned());
        }
        hidden = !near(n);
    }
    let more = lines.len().saturating_sub(TOLD_MAX);
    lines.truncate(TOLD_MAX);
    if more > 0 {
        lines.push(format!("  ... and {more} lines more"));
    }
    lines
}

fn listed<'s>(expected: &'s [String], got: &'s [String]) -> Vec<(char, &'s str)> {
    let signed = |sign, lines: &'s [String]| lines.iter().map(move |line| (sign, line.as_str()));
    signed('-', expected).chain(signed('+', got)).collect()
}

/// By the longest common subsequence.
fn aligned<'s>(expected: &'s [String], got: &'s [String]) -> Vec<(char, &'s str)> {
    let width = got.len() + 1;
    let mut common = vec![0_usize; (expected.len() + 1) * width];
    for (i, left) in expected.iter().enumerate().rev() {
        for (j, right) in got.iter().enumerate().rev() {
            let (here, down, right_of) = (i * width + j, (i + 1) * width + j, i * width + j + 1);
            common[here] = if left == right { common[down + 1] + 1 } else { common[down].max(common[right_of]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (expected.get(i), got.get(j)) {
            (Some(left), Some(right)) if left == right => {
                lines.push((' ', left.as_str()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right) if right.is_none() || common[(i + 1) * width + j] >= common[i * width + j + 1] => {
                lines.push(('-', left.as_str()));
                i += 1;
            }
            (_, Some(right)) => {
                lines.push(('+', right.as_str()));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_shown_among_what_does_not() {
        let lines = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let shown = compared(&lines("a b c d e f"), &lines("a b c x e f g"));
        assert_eq!(shown, ["  ...", "  b", "  c", "- d", "+ x", "  e", "  f", "+ g"]);
        let one = |last: &str| ["INVITE", "  1", "  2", "  3", last].map(str::to_owned);
        assert_eq!(compared(&one("  a"), &one("  b")), ["  INVITE", "  ...", "    2", "    3", "-   a", "+   b"]);
        assert_eq!(compared(&lines("a"), &[]), ["- a"]);
        assert_eq!(compared(&[], &lines("a")), ["+ a"]);
    }
}
