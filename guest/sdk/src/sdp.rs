//! Session descriptions (RFC 8866) as a controller in the signalling path needs them: read a little, make three small
//! ones, and edit what passes through without touching any other byte.
//!
//! A description is bytes, never text: `s=` and `i=` lines may be in any character set. Lines end in CRLF; a bare LF is
//! taken too.

mod made;
mod session;

use serde::{Deserialize, Serialize};

pub use made::{held_answer, no_media, stand_in};
pub use session::Session;

/// The media type of a session description.
pub const CONTENT_TYPE: &str = "application/sdp";

/// The `o=` line (RFC 8866 §5.2), with what stands before and after the version as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// User name and session id: `alice 2890844526`.
    pub session: String,
    /// Raised by one whenever the description changes (RFC 3264 §8).
    pub version: u64,
    /// Network type, address type and address: `IN IP4 192.0.2.1`.
    pub address: String,
}

impl Origin {
    /// The origin of a description; none when there is no readable `o=` line.
    pub fn of(description: &[u8]) -> Option<Self> {
        Self::parts(description).map(Self::new)
    }

    fn new((session, version, address): (&str, u64, &str)) -> Self {
        Self { session: session.to_string(), version, address: address.to_string() }
    }

    /// Session, version and address of a readable `o=` line, in place.
    fn parts(description: &[u8]) -> Option<(&str, u64, &str)> {
        let (start, end) = find_line(description, b"o=")?;
        let text = core::str::from_utf8(&description[start + 2..end]).ok()?;
        let mut spaces = text.bytes().enumerate().filter(|(_, byte)| *byte == b' ').map(|(at, _)| at);
        let (_, before, behind) = (spaces.next()?, spaces.next()?, spaces.next()?);
        Some((&text[..before], text[before + 1..behind].parse().ok()?, &text[behind + 1..]))
    }

    /// The description with its `o=` line replaced by this one, every other byte kept. As it was when it has none.
    pub fn write_into(&self, description: &[u8]) -> Vec<u8> {
        let Some((start, end)) = find_line(description, b"o=") else { return description.to_vec() };
        let version = self.version.to_string();
        let (session, address) = (self.session.as_bytes(), self.address.as_bytes());
        let (before, behind) = (&description[..start], &description[end..]);
        [before, b"o=", session, b" ", version.as_bytes(), b" ", address, behind].concat()
    }
}

/// Which way media flows, as the describing side sees it (RFC 3264 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Both ways; what holds when nothing is said.
    SendReceive,
    /// From the describing side only: the other side is on hold.
    SendOnly,
    /// To the describing side only.
    ReceiveOnly,
    /// Neither way.
    Inactive,
}

/// One `m=` line with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video` and so on.
    pub kind: String,
    /// Zero when the line is refused or removed.
    pub port: u16,
    /// `RTP/AVP` and friends.
    pub protocol: String,
    /// Payload types as they stand.
    pub formats: Vec<String>,
    /// The `c=` line that holds for it: its own, or that of the session.
    pub connection: Option<String>,
    /// Its own direction, or that of the session.
    pub direction: Direction,
}

/// The media lines of a description, in order, 64 at most. Lines that cannot be read are passed over.
pub fn media(description: &[u8]) -> Vec<Media> {
    let (mut connection, mut direction) = (None, Direction::SendReceive);
    let mut found: Vec<Media> = Vec::new();
    for line in lines(description).map(String::from_utf8_lossy) {
        if let Some(text) = line.strip_prefix("m=") {
            if found.len() == MEDIA_LINES_MAX {
                break;
            }
            found.extend(media_line(text, &connection, direction));
            continue;
        }
        let (its_connection, its_direction) = match found.last_mut() {
            Some(media) => (&mut media.connection, &mut media.direction),
            None => (&mut connection, &mut direction),
        };
        if let Some(text) = line.strip_prefix("c=") {
            *its_connection = Some(text.to_string());
        } else if let Some(named) = line.strip_prefix("a=").and_then(direction_named) {
            *its_direction = named;
        }
    }
    found
}

/// How many `m=` lines a description has.
pub fn media_count(description: &[u8]) -> usize {
    lines(description).filter(|line| line.starts_with(b"m=")).count()
}

/// Whether media that an answer takes goes where the same lines of an earlier description said: to the same addresses
/// and ports.
pub fn same_places(before: &[u8], answer: &[u8]) -> bool {
    let (before, answer) = (media(before), media(answer));
    let same = |(at, taken): (usize, &Media)| {
        before.get(at).is_some_and(|line| (&line.connection, line.port) == (&taken.connection, taken.port))
    };
    answer.iter().enumerate().filter(|(_, line)| line.port != 0).all(same)
}

/// Tells descriptions apart: FNV-1a over everything but the `o=` line.
pub fn digest(description: &[u8]) -> u64 {
    let lines = description.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"o="));
    lines.flatten().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3))
}

/// More media lines than this in one description are not looked at.
pub const MEDIA_LINES_MAX: usize = 64;

fn media_line(text: &str, connection: &Option<String>, direction: Direction) -> Option<Media> {
    let mut fields = text.split(' ');
    let (kind, port, protocol) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Media {
        kind: kind.to_string(),
        port: port.split('/').next()?.parse().ok()?,
        protocol: protocol.to_string(),
        formats: fields.map(str::to_string).collect(),
        connection: connection.clone(),
        direction,
    })
}

fn direction_named(attribute: &str) -> Option<Direction> {
    match attribute {
        "sendrecv" => Some(Direction::SendReceive),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::ReceiveOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    }
}

/// The lines without their ends.
fn lines(description: &[u8]) -> impl Iterator<Item = &[u8]> {
    description.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Where the first line with this beginning starts and ends, its line end not included.
fn find_line(description: &[u8], beginning: &[u8]) -> Option<(usize, usize)> {
    let mut start = 0;
    for line in description.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(beginning) {
            // Whatever stands before the line end must not become a part of another line's.
            let bare = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
            return Some((start, start + bare));
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests;
