//! URIs, Via and addresses: what can be read prints to what reads the same, alone and inside of what carries it.

use plugboard_sip::uri::{escape_user, unescape};
use plugboard_sip::{HeaderName, Headers, NameAddr, Uri, Via};

use crate::header_text;

/// A URI, alone and between the brackets of an address.
pub fn uri(data: &[u8]) {
    let Some(text) = header_text(data) else { return };
    let Ok(uri) = Uri::parse(&text) else { return };
    let printed = uri.to_string();
    let again = Uri::parse(&printed.as_str().into()).expect("what was printed can be parsed");
    assert_eq!(again, uri);
    assert_eq!(again.to_string(), printed);
    assert!(!printed.contains(['<', '>', '"', ' ', '\t', '\r', '\n']), "{printed}");
    let address = NameAddr::parse(&format!("<{printed}>").into()).expect("a URI fits between brackets");
    assert_eq!(address, NameAddr::new(uri.clone()));
    if let Some(user) = uri.as_sip().and_then(|uri| uri.user.as_ref()) {
        let name = unescape(user);
        assert_eq!(unescape(&escape_user(&name)), name);
    }
}

/// A Via value, alone, as the top of a list, and stamped with where it came from.
pub fn via(data: &[u8]) {
    let Some(text) = header_text(data) else { return };
    let Ok(via) = Via::parse(&text) else { return };
    let printed = via.to_string();
    let again = Via::parse(&printed.as_str().into()).expect("what was printed can be parsed");
    assert_eq!(again, via);
    assert_eq!(again.to_string(), printed);
    let _ = (via.unique_branch(), via.received(), via.rport());

    let mut headers = Headers::new();
    headers.push(HeaderName::Via, format!("{printed}, SIP/2.0/UDP below"));
    assert_eq!(headers.list(&HeaderName::Via).count(), 2, "{printed}");
    assert_eq!(headers.top_via().as_ref(), Ok(&via));

    for source in ["192.0.2.7:1234", "[2001:db8::7]:1234"] {
        let source: std::net::SocketAddr = source.parse().expect("an address");
        let mut stamped = via.clone();
        stamped.stamp(source);
        let stamped = Via::parse(&stamped.to_string().into()).expect("a stamped Via can be parsed");
        let seen = stamped.received().or(stamped.host.address());
        assert_eq!(seen, Some(source.ip()), "{stamped}");
        if via.params.contains("rport") {
            assert_eq!(stamped.rport(), Some(source.port()));
        }
        assert_eq!((stamped.branch(), &stamped.host, stamped.port), (via.branch(), &via.host, via.port));
    }
}

/// An address, alone, with another tag, and in a list.
pub fn name_addr(data: &[u8]) {
    let Some(text) = header_text(data) else { return };
    let Ok(address) = NameAddr::parse(&text) else { return };
    let printed = address.to_string();
    let again = NameAddr::parse(&printed.as_str().into()).expect("what was printed can be parsed");
    assert_eq!(again, address);
    assert_eq!(again.to_string(), printed);
    let _ = (address.priority(), address.expires());

    let tagged = NameAddr::parse(&address.clone().with_tag("here").to_string().into()).expect("a tag changes no more");
    assert_eq!(tagged.tag().as_deref(), Some("here"));
    assert_eq!((&tagged.display_name, &tagged.uri), (&address.display_name, &address.uri));

    let mut headers = Headers::new();
    headers.push(HeaderName::Contact, format!("{printed}, <sip:next@example.com>"));
    let listed = headers.addresses(&HeaderName::Contact).expect("a list of addresses");
    assert_eq!(listed.len(), 2, "{printed}");
    assert_eq!(listed.first(), Some(&address));
}
