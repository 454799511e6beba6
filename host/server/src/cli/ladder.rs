//! Draws the messages of a call as a sequence: Plugboard on the left, a column for each leg, time downwards.

use crate::admin::views::{LadderView, MessageView};
use std::fmt::Write as _;

/// Characters from one column to the next, at least.
const COLUMN_MIN: usize = 22;
/// Characters of a peer's name that are shown.
const NAME_MAX: usize = 40;
/// Characters in front of the first column, for the time.
const MARGIN: usize = 12;

/// The sequence as lines of text; with line-drawing characters where the locale has them.
pub fn draw(view: &LadderView, colour: bool) -> String {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let locale = locale.unwrap_or_default().to_ascii_lowercase().replace('-', "");
    draw_with(view, colour, if locale.contains("utf8") { &LINES } else { &ASCII })
}

/// What lines are made of.
struct Pen {
    life: char,
    line: char,
    cross: char,
    right: char,
    left: char,
}

const LINES: Pen = Pen { life: '│', line: '─', cross: '┼', right: '▶', left: '◀' };
const ASCII: Pen = Pen { life: '|', line: '-', cross: '+', right: '>', left: '<' };

/// A leg's place in the picture.
struct Column<'v> {
    leg: u32,
    peer: &'v str,
}

fn draw_with(view: &LadderView, colour: bool, pen: &Pen) -> String {
    let mut columns: Vec<Column<'_>> = Vec::new();
    for message in &view.messages {
        if !columns.iter().any(|column| column.leg == message.leg) {
            columns.push(Column { leg: message.leg, peer: &message.peer });
        }
    }
    columns.sort_by_key(|column| column.leg);
    let widest = view.messages.iter().map(|message| message.text.chars().count() + 8);
    let names = columns.iter().map(|column| name(column.peer).chars().count() + 2);
    let width = widest.chain(names).chain([COLUMN_MIN]).max().unwrap_or(COLUMN_MIN);

    let mut text = format!("{}\n\n{}\n", view.key, heads(&columns, width));
    let began = view.messages.first().map_or(0, |message| message.unix_ms);
    for message in &view.messages {
        let ms = message.unix_ms.saturating_sub(began);
        let time = format!("+{}.{:03}", ms / 1_000, ms % 1_000);
        let to = columns.iter().position(|column| column.leg == message.leg).unwrap_or_default() + 1;
        let arrow = arrow(message, to, columns.len(), width, pen, colour);
        let _ = writeln!(text, "{time:>10}  {arrow}");
    }
    text
}

/// The names over their columns.
fn heads(columns: &[Column<'_>], width: usize) -> String {
    let mut line: Vec<char> = vec![' '; MARGIN + width * columns.len() + NAME_MAX];
    let names = std::iter::once("plugboard".to_owned()).chain(columns.iter().map(|column| name(column.peer)));
    for (n, name) in names.enumerate() {
        let middle = MARGIN + n * width;
        let start = middle.saturating_sub(name.chars().count() / 2);
        write_at(&mut line, start, name.chars());
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

/// One message: an arrow between Plugboard's lifeline and column `to`, over the lifelines between them.
fn arrow(message: &MessageView, to: usize, columns: usize, width: usize, pen: &Pen, colour: bool) -> String {
    let mut line: Vec<char> = vec![' '; width * columns + 1];
    for column in 0..=columns {
        write_at(&mut line, column * width, [pen.life]);
    }
    let end = to * width;
    write_at(&mut line, 1, std::iter::repeat_n(pen.line, end - 1));
    for column in 1..to {
        write_at(&mut line, column * width, [pen.cross]);
    }
    if message.outgoing {
        write_at(&mut line, end - 1, [pen.right]);
    } else {
        write_at(&mut line, 1, [pen.left]);
    }
    // Near the peer, so that the eye finds whose message it is.
    let label = format!(" {} ", message.text);
    let start = (to - 1) * width + 3;
    let (before, after) = (start, start + label.chars().count());
    write_at(&mut line, start, label.chars());
    let part = |from: usize, to: usize| line.get(from..to).unwrap_or_default().iter().collect::<String>();
    match code(&message.text).filter(|_| colour) {
        Some(code) => {
            format!("{}\x1b[{code}m{}\x1b[0m{}", part(0, before), part(before, after), part(after, line.len()))
        }
        None => part(0, line.len()),
    }
}

fn write_at(line: &mut [char], at: usize, what: impl IntoIterator<Item = char>) {
    for (place, character) in line.iter_mut().skip(at).zip(what) {
        *place = character;
    }
}

/// The colour of a request, or of a response by its class.
fn code(text: &str) -> Option<u8> {
    match text.as_bytes().first()? {
        b'1' => Some(2),
        b'2' => Some(32),
        b'3' => Some(33),
        b'4'..=b'6' => Some(31),
        _ => Some(36),
    }
}

/// A peer's name without scheme, cut where it is too long.
fn name(peer: &str) -> String {
    let peer = peer.strip_prefix("sip:").unwrap_or(peer);
    let peer = if peer.is_empty() { "?" } else { peer };
    peer.chars().take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> LadderView {
        let message = |unix_ms, leg, peer: &str, outgoing, text: &str| MessageView {
            unix_ms,
            leg,
            peer: peer.to_owned(),
            outgoing,
            text: text.to_owned(),
        };
        let messages = vec![
            message(10_000, 1, "sip:alice@e.test", true, "INVITE"),
            message(10_015, 1, "sip:alice@e.test", false, "200 INVITE"),
            message(11_000, 2, "sip:bob@e.test", true, "INVITE"),
            message(11_250, 2, "sip:bob@e.test", false, "486 INVITE"),
        ];
        LadderView { key: "alice:alice:bob".to_owned(), messages }
    }

    #[test]
    fn the_sequence_in_ascii() {
        let drawn = draw_with(&view(), false, &ASCII);
        let expected = "\
alice:alice:bob

        plugboard           alice@e.test           bob@e.test
    +0.000  |-- INVITE ---------->|                     |
    +0.015  |<- 200 INVITE -------|                     |
    +1.000  |---------------------+-- INVITE ---------->|
    +1.250  |<--------------------+-- 486 INVITE -------|
";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn colour_changes_no_place() {
        let mut coloured = draw_with(&view(), true, &LINES);
        assert!(coloured.contains("\x1b[31m 486 INVITE \x1b[0m"));
        for code in ["\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[36m"] {
            coloured = coloured.replace(code, "");
        }
        assert_eq!(coloured, draw_with(&view(), false, &LINES));
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        let empty = LadderView { key: "k".to_owned(), messages: Vec::new() };
        assert!(draw_with(&empty, true, &LINES).starts_with("k\n"));
    }
}
