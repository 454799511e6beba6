//! IPv6 where RFC 5118 found that implementations fail: the cases of its section 4, in messages of our own.

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use plugboard_sip::admit::{RefusalReason, admit};
use plugboard_sip::parse::Limits;
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::{HeaderName, Host, Message, Request, SipUri, Via};

/// A request as it came from an IPv6 peer; `fields` come first.
fn admitted(method: &str, uri: &str, fields: &str, body: &str) -> Result<Request, RefusalReason> {
    let text = format!(
        "{method} {uri} SIP/2.0\r\n{fields}Max-Forwards: 70\r\nFrom: <sip:caller@example.com>;tag=81x2\r\n\
         To: <sip:called@example.com>\r\nCall-ID: 3d9485ad0c49859b@[2001:db8::9:1]\r\nCSeq: 16 {method}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let remote = "[2001:db8::9:1]:5060".parse().expect("an address");
    let source = Destination { transport: Transport::Udp, remote, local: 0 };
    match admit(Bytes::from(text), source, &Limits::default()) {
        Ok(Message::Request(request)) => Ok(request),
        Ok(Message::Response(response)) => panic!("a response: {response:?}"),
        Err(refusal) => {
            let (to, answer) = refusal.answer.expect("a request is answered");
            assert_eq!(to.remote, remote);
            assert!(answer.starts_with(b"SIP/2.0 400 "), "{}", answer.escape_ascii());
            Err(refusal.reason)
        }
    }
}

const VIA: &str = "Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111\r\n";

fn uri_of(uri: &str) -> SipUri {
    let request = admitted("OPTIONS", uri, VIA, "").expect("well-formed");
    SipUri::parse(&request.uri).expect("a SIP URI")
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

/// §4.1
#[test]
fn a_reference_in_brackets_is_an_address() {
    let uri = uri_of("sip:[2001:db8::10]");
    assert_eq!((uri.host.address(), uri.port), (Some(IpAddr::V6(v6("2001:db8::10"))), None));
    assert_eq!(uri.to_string(), "sip:[2001:db8::10]");
}

/// §4.2
#[test]
fn an_address_without_brackets_is_refused() {
    assert!(admitted("REGISTER", "sip:2001:db8::10", VIA, "").is_err());
}

/// §4.3: what looks like a port stands within the brackets.
#[test]
fn a_port_within_the_brackets_is_part_of_the_address() {
    let uri = uri_of("sip:[2001:db8::10:5070]");
    assert_eq!((uri.host, uri.port), (Host::V6(v6("2001:db8::10:5070")), None));
}

/// §4.4
#[test]
fn a_port_behind_the_brackets_is_one() {
    let uri = uri_of("sip:[2001:db8::10]:5070");
    assert_eq!((uri.host, uri.port), (Host::V6(v6("2001:db8::10")), Some(5070)));
}

/// §4.5: both are seen, whatever the grammar says.
#[test]
fn received_is_read_with_and_without_brackets() {
    for received in ["[2001:db8::9:255]", "2001:db8::9:255"] {
        let via = format!("Via: SIP/2.0/UDP [2001:db8::9:1]:6050;received={received};branch=z9hG4bKas3\r\n");
        let request = admitted("BYE", "sip:called@[2001:db8::10]", &via, "").expect("well-formed");
        let via = request.headers.top_via().expect("a Via");
        assert_eq!(via.received(), Some(IpAddr::V6(v6("2001:db8::9:255"))), "{received}");
        assert_eq!((via.host, via.port), (Host::V6(v6("2001:db8::9:1")), Some(6050)));
    }
}

/// §4.6, §4.8: bodies are none of this crate's business, whatever addresses they hold.
#[test]
fn a_session_with_addresses_of_both_kinds_is_carried_as_it_came() {
    let body = "v=0\r\no=assistant 971731711378798081 0 IN IP6 2001:db8::20\r\ns=Live video feed\r\n\
                t=3338481189 3370017201\r\nm=audio 6000 RTP/AVP 2\r\nc=IN IP6 2001:db8::20\r\n\
                m=video 6024 RTP/AVP 107\r\nc=IN IP4 192.0.2.1\r\n";
    let fields = format!("{VIA}Contact: <sip:caller@[2001:db8::20]>\r\nContent-Type: application/sdp\r\n");
    let request = admitted("INVITE", "sip:called@[2001:db8::10]", &fields, body).expect("well-formed");
    assert_eq!(request.body, body.as_bytes());
    let contacts = request.headers.addresses(&HeaderName::Contact).expect("addresses");
    assert_eq!(contacts[0].uri.to_string(), "sip:caller@[2001:db8::20]");
}

/// §4.7
#[test]
fn fields_mix_both_kinds() {
    let fields = "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111,\r\n \
                  SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144,\r\n \
                  SIP/2.0/TCP [2001:db8::9:255]:5070;branch=z9hG4bK451jj;received=192.0.2.200\r\n\
                  Record-Route: <sip:[2001:db8::9:1];lr>, <sip:192.0.2.1;lr>\r\n\
                  Contact: <sip:caller@[2001:db8::9:1]>, \"Caller\" <sip:caller@192.0.2.1>\r\n";
    let request = admitted("INVITE", "sip:called@[2001:db8::10]", fields, "").expect("well-formed");
    let vias: Vec<String> = request
        .headers
        .list(&HeaderName::Via)
        .map(|via| Via::parse(&via.to_text().expect("text")).expect("a Via").host.to_string())
        .collect();
    assert_eq!(vias, ["[2001:db8::9:1]", "192.0.2.1", "[2001:db8::9:255]"]);
    for name in [HeaderName::RecordRoute, HeaderName::Contact] {
        let addresses = request.headers.addresses(&name).expect("addresses");
        let hosts: Vec<_> =
            addresses.iter().filter_map(|one| one.uri.as_sip()).map(|uri| uri.host.to_string()).collect();
        assert_eq!(hosts, ["[2001:db8::9:1]", "192.0.2.1"], "{name}");
    }
}

/// §4.9
#[test]
fn an_ipv4_address_in_an_ipv6_one_is_an_ipv6_address() {
    let via = "Via: SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19\r\n";
    let fields = format!("{via}Contact: <sip:caller@[::ffff:192.0.2.10]:9823>\r\n");
    let request = admitted("INVITE", "sip:called@192.0.2.10", &fields, "").expect("well-formed");
    let via = request.headers.top_via().expect("a Via");
    assert_eq!((via.host.address(), via.port), (Some(IpAddr::V6(v6("::ffff:192.0.2.10"))), Some(19823)));
    assert_eq!(via.to_string(), "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19");
}

/// §4.10: RFC 3261 §25.1 allowed a third colon before the IPv4 part; RFC 5954 §4.1 took it back.
#[test]
fn three_colons_are_no_address_and_two_are() {
    assert!(admitted("OPTIONS", "sip:user@[2001:db8:::192.0.2.1]", VIA, "").is_err());
    assert_eq!(uri_of("sip:user@[2001:db8::192.0.2.1]").host, Host::V6(v6("2001:db8::192.0.2.1")));
}
