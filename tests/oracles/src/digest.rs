//! Challenges and credentials.

use plugboard_sip::Value;
use plugboard_sip::digest::{Authorization, Challenge, Secret, answer, verify};

use crate::header_text;

/// A header value: each challenge in it prints to what reads the same, and its answer proves the password and no other;
/// credentials never show their response.
pub fn digest(data: &[u8]) {
    let Some(text) = header_text(data) else { return };
    let value = Value::from(text.clone());
    for challenge in Challenge::parse_all([&value]) {
        let printed = Value::from(challenge.to_string());
        assert_eq!(Challenge::parse_all([&printed]), std::slice::from_ref(&challenge));
        prove(&challenge);
    }
    if let Ok(authorization) = Authorization::parse(&text) {
        let secret = Secret::password("no such password");
        assert!(!verify(&authorization, &secret, "INVITE", b""), "a proof of a password that nobody has");
        let shown = format!("{authorization:?}");
        assert!(shown.contains("response: \"***\""), "{shown}");
    }
}

fn prove(challenge: &Challenge) {
    let secret = Secret::password("secret");
    let made = answer(challenge, &secret, "al \"ice\\", "INVITE", "sip:bob@example.com", b"body", "cnonce", 7);
    let made = made.expect("a password serves every algorithm");
    let read = Authorization::parse(&made).expect("we read what we write");
    assert_eq!((&read.realm, &read.nonce, &read.opaque), (&challenge.realm, &challenge.nonce, &challenge.opaque));
    assert_eq!(read.username, "al \"ice\\");
    assert!(verify(&read, &secret, "INVITE", b"body"));
    assert!(!verify(&read, &secret, "BYE", b"body"));
    assert!(!verify(&read, &Secret::password("Secret"), "INVITE", b"body"));
}
