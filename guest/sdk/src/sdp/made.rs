//! The descriptions that a controller makes itself: it has no media of its own, so none of them lets any flow.

use super::lines;

/// A description without media: the first offer of RFC 3725 flow IV.
///
/// RFC 3725 §4.4 has the controller open with "no media lines" instead of a held or black-holed line (`c=0.0.0.0`,
/// flow II), and §5 recommends it wherever the called party does not answer at once: no codec has to be guessed, no
/// media line has to be carried along in all later offers (RFC 3264 §8 forbids dropping one), and it works over IPv6.
pub fn no_media(session_id: u64, version: u64) -> Vec<u8> {
    session_part(session_id, version, "").into_bytes()
}

/// An offer of one held audio line, PCMU with telephone-event: for a phone that is to be referred elsewhere and wants
/// to see something that it can answer.
pub fn stand_in(session_id: u64, version: u64) -> Vec<u8> {
    let held = "m=audio 9 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
                a=fmtp:101 0-15\r\na=inactive\r\n";
    session_part(session_id, version, held).into_bytes()
}

/// An answer that takes the audio of an offer without letting media flow, and refuses the rest (RFC 3264 §6): for a
/// phone that changes its session while nobody is at the other end yet.
pub fn held_answer(offer: &[u8], session_id: u64, version: u64) -> Vec<u8> {
    let mut text = session_part(session_id, version, "");
    let mut taken = false;
    for line in lines(offer).map(String::from_utf8_lossy) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut fields = media.splitn(3, ' ');
            let (kind, rest) = (fields.next().unwrap_or("audio"), fields.nth(1).unwrap_or("RTP/AVP 0"));
            taken = kind == "audio" && rest.starts_with("RTP/AVP ");
            let port = if taken { 9 } else { 0 };
            text.push_str(&format!("m={kind} {port} {rest}\r\n"));
            if taken {
                text.push_str("a=inactive\r\n");
            }
        } else if taken && (line.starts_with("a=rtpmap:") || line.starts_with("a=fmtp:")) {
            text.push_str(&line);
            text.push_str("\r\n");
        }
    }
    text.into_bytes()
}

/// The lines about the session, and those about media behind them.
fn session_part(session_id: u64, version: u64, media: &str) -> String {
    let (session_id, version) = (session_id.to_string(), version.to_string());
    let rest = " IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n";
    ["v=0\r\no=- ", &session_id, " ", &version, rest, media].concat()
}
