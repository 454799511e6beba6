//! The phone's session descriptions (RFC 4566, RFC 3264): one audio line, whose direction follows the offer.

use std::net::SocketAddr;

/// The media type of a session description.
pub const CONTENT_TYPE: &str = "application/sdp";

/// An offer, or the answer to `offer`. `version` rises with each description of a call.
pub fn describe(address: SocketAddr, version: u32, offer: Option<&[u8]>) -> String {
    let ip = address.ip();
    let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
    let direction = offer.map_or("sendrecv", answered_direction);
    // Audio would be at the next even port; nobody listens there.
    let port = address.port() / 2 * 2;
    format!(
        "v=0\r\no=phone {port} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

fn answered_direction(offer: &[u8]) -> &'static str {
    let offer = String::from_utf8_lossy(offer);
    let says = |direction: &str| offer.lines().any(|line| line.trim_end() == direction);
    if says("a=inactive") {
        "inactive"
    } else if says("a=sendonly") {
        "recvonly"
    } else if says("a=recvonly") {
        "sendonly"
    } else {
        "sendrecv"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_the_other_end_of_the_offered_direction() {
        for (offered, answered) in
            [("inactive", "inactive"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("sendrecv", "sendrecv")]
        {
            let offer = format!("v=0\r\nm=audio 9 RTP/AVP 0\r\na={offered}\r\n");
            let answer = describe(([127, 0, 0, 1], 4000).into(), 1, Some(offer.as_bytes()));
            assert!(answer.ends_with(&format!("a={answered}\r\n")), "{offered}: {answer}");
        }
    }
}
