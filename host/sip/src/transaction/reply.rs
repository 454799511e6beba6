//! Where responses go (RFC 3261 §18.2.2, RFC 3581 §4), and answers without a transaction (RFC 3261 §8.2.7).

use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::digits::Digits;
use crate::host::Host;
use crate::message::{HeaderName, Message, Method, Request, Response, Status};
use crate::parse::{Limits, parse_datagram};
use crate::text::Text;
use crate::transport::Destination;
use crate::via::Checked;

/// The answer to a request for which no transaction is kept, and where to send it. `source` is where the request came
/// from. Its To tag is the same for each retransmission of the request (RFC 3261 §8.2.7).
///
/// None for an ACK, which is never answered, and for a request without Via. When the Via cannot be read the answer goes
/// back to `source`.
pub fn stateless_reply(
    request: &Request,
    source: Destination,
    status: Status,
    reason: &'static str,
) -> Option<(Destination, Bytes)> {
    let (destination, response) = stateless_response(request, source, status, reason)?;
    Some((destination, response.to_bytes()))
}

/// As [`stateless_reply`], for an answer that more is to be said in.
pub fn stateless_response(
    request: &Request,
    source: Destination,
    status: Status,
    reason: &'static str,
) -> Option<(Destination, Response)> {
    if request.method == Method::Ack || !request.headers.contains(&HeaderName::Via) {
        return None;
    }
    let tag = stateless_tag(request);
    let mut response = Response::to(request, status, Text::from_static(reason), &tag);
    let destination = match response.headers.checked_via() {
        Ok(via) => {
            let (stamped, destination) = (via.stamped(source.remote), response_destination(&via, source));
            response.headers.replace_first_in_list(&HeaderName::Via, stamped);
            destination
        }
        Err(_) => source,
    };
    Some((destination, response))
}

/// Where the response to a request goes that came from `source` with this topmost Via.
///
/// Against RFC 3261 §18.2.2, `maddr` is not followed: it would let anyone direct our answers at a third party.
pub(super) fn response_destination(via: &Checked<'_>, source: Destination) -> Destination {
    if source.transport.is_reliable() || via.asks_for_rport {
        return source;
    }
    let port = via.parts.port.unwrap_or(source.transport.default_port());
    Destination { remote: SocketAddr::new(source.remote.ip(), port), ..source }
}

/// Where a response goes when the connection that its request came by has ended (RFC 3261 §18.2.2): to the address that
/// the request came from, at the port of sent-by, and by whom that is said to be. None for what is no response, or
/// has no Via that names an address, and over WebSocket, whose phones listen nowhere (RFC 7118 §5).
///
/// `maddr` is not followed here either.
pub fn return_path(message: &Bytes, gone: Destination) -> Option<(Destination, Host)> {
    if gone.transport.is_web_socket() {
        return None;
    }
    let Ok(Message::Response(response)) = parse_datagram(message.clone(), &Limits::default()) else { return None };
    let via = response.headers.top_via().ok()?;
    let ip = via.received().or(via.host.address())?;
    let port = via.port.unwrap_or(gone.transport.default_port());
    Some((Destination { remote: SocketAddr::new(ip, port), ..gone }, via.host))
}

/// A To tag that follows from the request.
pub(super) fn stateless_tag(request: &Request) -> String {
    let mut hasher = FixedState::default().build_hasher();
    for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        request.headers.get(&name).hash(&mut hasher);
    }
    Digits::hexadecimal(hasher.finish(), 16).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    #[test]
    fn a_response_whose_connection_is_gone_goes_to_where_its_sender_listens() {
        let remote = "192.0.2.7:49152".parse().expect("an address");
        let gone = Destination { transport: Transport::Tls, remote, local: 2 };
        let path = |via: &str| {
            let text = format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS {via}\r\nVia: SIP/2.0/TLS other\r\n\r\n");
            let (path, domain) = return_path(&Bytes::from(text), gone)?;
            assert_eq!((path.transport, path.local), (gone.transport, gone.local));
            Some((path.remote.to_string(), domain.to_string()))
        };
        let found = |remote: &str, domain: &str| Some((remote.to_owned(), domain.to_owned()));
        assert_eq!(path("192.0.2.7:5071;branch=1"), found("192.0.2.7:5071", "192.0.2.7"));
        assert_eq!(path("p.example;received=192.0.2.7;rport=49152"), found("192.0.2.7:5061", "p.example"));
        assert_eq!(path("p.example"), None, "no name is looked up for an answer");
        assert_eq!(
            return_path(&Bytes::from_static(b"BYE sip:h SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.7\r\n\r\n"), gone),
            None
        );
    }
}
