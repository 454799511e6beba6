//! The descriptions that one leg has seen from us.
//!
//! A phone sees one session for the whole of its dialog, whoever is at the other end: RFC 3264 §8 wants the `o=` line
//! of every description to be that of the one before, with the version raised by one when anything changed and kept
//! when nothing did, and wants as many `m=` lines as before or more. The phones behind a controller count for
//! themselves, and after a transfer it is another phone that speaks; so the versions are mapped here, on the way out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{MEDIA_LINES_MAX, Origin, digest, media_count};

/// What a leg was last told, and how many media lines its session has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    told: Option<Told>,
    media_lines: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    origin: Origin,
    /// Of everything but the `o=` line.
    digest: u64,
}

impl Session {
    /// Notes a description that came from the leg.
    pub fn heard(&mut self, description: &[u8]) {
        self.media_lines = self.media_lines.max(bounded(media_count(description)));
    }

    /// Prepares an offer to the leg: its own `o=` line, and refused media lines added where the session has more.
    pub fn offer(&mut self, description: &[u8]) -> Vec<u8> {
        let (padded, lines) = pad(description, usize::from(self.media_lines));
        self.media_lines = bounded(lines);
        self.tell(&padded)
    }

    /// Prepares an answer to the leg's offer, which [`Session::heard`] has noted: its own `o=` line, and exactly as many
    /// media lines as the offer had.
    pub fn answer(&mut self, description: &[u8], offered_lines: usize) -> Vec<u8> {
        let (padded, _) = pad(description, offered_lines);
        self.tell(trim(&padded, offered_lines))
    }

    /// The `o=` line that the leg saw last.
    pub fn origin(&self) -> Option<&Origin> {
        self.told.as_ref().map(|told| &told.origin)
    }

    fn tell(&mut self, description: &[u8]) -> Vec<u8> {
        let Some(came) = Origin::parts(description) else { return description.to_vec() };
        let digest = digest(description);
        let origin = match self.told.take() {
            None => Origin::new(came),
            Some(told) if told.digest == digest => told.origin,
            Some(told) => Origin { version: told.origin.version.saturating_add(1), ..told.origin },
        };
        let written = origin.write_into(description);
        self.told = Some(Told { origin, digest });
        written
    }
}

/// Adds refused media lines up to a number of lines, and says how many there are.
fn pad(description: &[u8], lines: usize) -> (Cow<'_, [u8]>, usize) {
    let (count, wanted) = (media_count(description), lines.min(MEDIA_LINES_MAX));
    if count >= wanted {
        return (Cow::Borrowed(description), count);
    }
    let mut padded = description.to_vec();
    for _ in count..wanted {
        if !padded.ends_with(b"\n") {
            padded.extend_from_slice(b"\r\n");
        }
        padded.extend_from_slice(REFUSED_LINE);
    }
    (Cow::Owned(padded), wanted)
}

/// Cuts the media lines behind a number of lines, each with what belongs to it.
fn trim(description: &[u8], lines: usize) -> &[u8] {
    let (mut at, mut seen) = (0, 0);
    for line in description.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"m=") {
            if seen == lines {
                return &description[..at];
            }
            seen += 1;
        }
        at += line.len();
    }
    description
}

fn bounded(lines: usize) -> u8 {
    u8::try_from(lines.min(MEDIA_LINES_MAX)).unwrap_or(u8::MAX)
}

const REFUSED_LINE: &[u8] = b"m=audio 0 RTP/AVP 0\r\n";
