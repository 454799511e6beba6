//! The torture messages of RFC 4475 against what the RFC asks for, as far as this crate decides it.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use plugboard_sip::admit::{RefusalReason, admit};
use plugboard_sip::parse::{Limits, parse_datagram};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::validate::{Served, unsupported};
use plugboard_sip::{HeaderName, Message};

const SERVED: Served<'_> = Served { option_tags: &[], media_types: &["application/sdp"] };

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/rfc4475")
}

fn read(name: &str) -> Bytes {
    fs::read(folder().join(name).with_extension("dat")).expect("a torture message").into()
}

fn source() -> Destination {
    let remote = "192.0.2.200:5099".parse().expect("an address");
    Destination { transport: Transport::Udp, remote, local: 0 }
}

/// What becomes of a message: `accept`, `reject CODE` or `discard`.
fn verdict(datagram: Bytes) -> String {
    match admit(datagram, source(), &Limits::default()) {
        Ok(Message::Request(request)) => match unsupported(&request, &SERVED) {
            Some(unsupported) => format!("reject {}", unsupported.status()),
            None => "accept".to_owned(),
        },
        Ok(Message::Response(_)) => "accept".to_owned(),
        Err(refusal) => match refusal.answer {
            Some((_, bytes)) => {
                let line = String::from_utf8_lossy(bytes.get(..11).unwrap_or_default()).into_owned();
                line.replacen("SIP/2.0", "reject", 1)
            }
            None => "discard".to_owned(),
        },
    }
}

#[test]
fn each_message_gets_what_the_rfc_asks_for() {
    let table = fs::read_to_string(folder().join("verdicts.tsv")).expect("the verdicts");
    let (mut wrong, mut count) = (Vec::new(), 0);
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [name, _, _, wanted] = columns[..] else { panic!("a row of four: {row}") };
        let got = verdict(read(name));
        let fits = match wanted.strip_prefix("lenient ") {
            Some(code) => got == "accept" || got == format!("reject {code}"),
            None => got == wanted,
        };
        if !fits {
            wrong.push(format!("{name}: wanted {wanted}, got {got}"));
        }
        count += 1;
    }
    assert_eq!(count, 49);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_accepted_survives_printing_with_every_field_intact() {
    let table = fs::read_to_string(folder().join("verdicts.tsv")).expect("the verdicts");
    let accepted = table.lines().filter(|row| row.ends_with("\taccept"));
    for name in accepted.filter_map(|row| row.split('\t').next()) {
        let first = admit(read(name), source(), &Limits::default()).expect(name);
        let second = admit(first.to_bytes(), source(), &Limits::default()).expect(name);
        let fields = |message: &Message| -> Vec<_> {
            let all = message.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
            all.filter(|(name, _)| *name != HeaderName::ContentLength).collect()
        };
        assert_eq!(fields(&first), fields(&second), "{name}");
        assert_eq!(first.body(), second.body(), "{name}");
    }
}

#[test]
fn the_tortuous_invite_is_understood() {
    let Ok(Message::Request(request)) = admit(read("wsinv"), source(), &Limits::default()) else { panic!("a request") };
    let headers = &request.headers;
    let vias: Vec<_> = headers.list(&HeaderName::Via).map(|via| via.to_text_lossy().into_owned()).collect();
    assert_eq!(vias.len(), 3);
    assert_eq!(headers.top_via().expect("a Via").to_string(), "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw");
    assert_eq!(headers.cseq().expect("a CSeq").to_string(), "9 INVITE");
    assert_eq!(headers.max_forwards().map(|hops| hops.0), Ok(68));
    assert_eq!(headers.to_tag().as_deref(), Some("1918181833n"));
    let from = headers.from_header().expect("a From");
    assert_eq!(from.display_name.as_deref(), Some("J Rosenberg \\\""));
    let contacts = headers.addresses(&HeaderName::Contact).expect("a Contact");
    assert_eq!(contacts[0].priority(), 330);
    assert_eq!(headers.get_str(&HeaderName::Subject), Some(""));
    let odd = HeaderName::new("UnknownHeaderWithUnusualValue").expect("a name");
    assert_eq!(headers.get_str(&odd), Some(";;,,;;,;"));
    let new = HeaderName::new("NewFangledHeader").expect("a name");
    assert_eq!(headers.get_str(&new), Some("newfangled value continued newfangled value"));
    assert_eq!(request.body.len(), 150);
}

#[test]
fn an_escaped_method_or_name_is_not_the_plain_one() {
    let Ok(Message::Request(request)) = admit(read("esc02"), source(), &Limits::default()) else { panic!("a request") };
    assert_eq!(request.method.as_str(), "RE%47IST%45R");
    assert_eq!(request.headers.count(&HeaderName::Contact), 2);
}

#[test]
fn a_second_request_behind_the_first_is_dropped() {
    let Ok(Message::Request(request)) = admit(read("dblreq"), source(), &Limits::default()) else {
        panic!("a request")
    };
    assert!(request.body.is_empty());
    assert!(!request.headers.contains(&HeaderName::ContentType));
}

#[test]
fn every_answer_can_be_read_and_goes_back_to_the_sender() {
    let mut answers = 0;
    for file in fs::read_dir(folder()).expect("the folder").map(|entry| entry.expect("a file").path()) {
        if file.extension().is_none_or(|extension| extension != "dat") {
            continue;
        }
        let datagram = Bytes::from(fs::read(&file).expect("a torture message"));
        let Some((to, bytes)) = admit(datagram, source(), &Limits::default()).err().and_then(|refusal| refusal.answer)
        else {
            continue;
        };
        let answer = parse_datagram(bytes, &Limits::default()).expect("we send what can be parsed");
        assert!(matches!(answer, Message::Response(_)));
        assert!(answer.headers().contains(&HeaderName::Via), "{}", file.display());
        assert_eq!(to.remote.ip(), source().remote.ip(), "{}", file.display());
        answers += 1;
    }
    assert!(answers > 15, "{answers}");
}

#[test]
fn a_refusal_says_why() {
    let refusal = admit(read("mismatch01"), source(), &Limits::default()).expect_err("a mismatch");
    assert!(matches!(refusal.reason, RefusalReason::Request(rejection) if rejection.reason.contains("CSeq")));
}
