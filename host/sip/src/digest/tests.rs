//! Against the vectors that the RFCs publish.

use super::*;
use crate::message::Value;

const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

/// The two challenges of RFC 7616 §3.9.1.
fn mufasa() -> Vec<Challenge> {
    let challenge = |algorithm: &str| {
        Value::from(format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        ))
    };
    Challenge::parse_all(&[challenge("SHA-256"), challenge("MD5")])
}

fn response_of(value: &str) -> String {
    Authorization::parse(value).expect("what we write can be read").response
}

#[test]
fn rfc_7616_section_3_9_1() {
    let secret = Secret::password("Circle of Life");
    let [sha256, md5] = &mufasa()[..] else { panic!("two challenges") };
    let answered = |challenge| {
        let value = answer(challenge, &secret, "Mufasa", "GET", "/dir/index.html", b"", CNONCE, 1);
        value.expect("a password serves all")
    };
    assert_eq!(response_of(&answered(md5)), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(response_of(&answered(sha256)), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    let credentials = Authorization::parse(&answered(sha256)).expect("well-formed");
    assert!(verify(&credentials, &secret, "GET", b""));
    assert!(!verify(&credentials, &secret, "POST", b""));
    assert!(!verify(&credentials, &Secret::password("circle of life"), "GET", b""));
}

/// RFC 7616 §3.9.2 with erratum 4897, which puts right the hash that the RFC printed.
#[test]
fn rfc_7616_section_3_9_2() {
    let challenge = Challenge {
        realm: "api@example.org".to_owned(),
        nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK".to_owned(),
        opaque: None,
        algorithm: Algorithm::SHA_512_256,
        stale: false,
        qop: vec![Qop::Auth],
    };
    let secret = Secret::password("Secret, or not?");
    let user = "J\u{e4}s\u{f8}n Doe";
    let value =
        answer(&challenge, &secret, user, "GET", "/doe.json", b"", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v", 1);
    assert_eq!(
        value.as_deref().map(response_of).as_deref(),
        Some("3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5")
    );
}

#[test]
fn rfc_2617_section_3_5_and_rfc_2069_section_2_4() {
    let with_qop = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let challenges = Challenge::parse_all(&[Value::from(with_qop)]);
    let secret = Secret::password("Circle Of Life");
    let value =
        answer(&challenges[0], &secret, "Mufasa", "GET", "/dir/index.html", b"", "0a4f113b", 1).expect("served");
    assert_eq!(response_of(&value), "6629fae49393a05397450978507c4ef1");
    assert!(value.contains("nc=00000001") && value.contains("opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""));

    let without = Challenge { qop: vec![], ..challenges[0].clone() };
    let secret = Secret::password("CircleOfLife");
    let value = answer(&without, &secret, "Mufasa", "GET", "/dir/index.html", b"", "", 1).expect("served");
    assert_eq!(response_of(&value), "1949323746fe6a43ef61f9606e7febea", "as the RFC's erratum has it");
    assert!(!value.contains("nc=") && !value.contains("cnonce="));
}

#[test]
fn sha_256_without_a_quality_is_answered_as_kamailio_checks_it() {
    let values = [r#"Digest realm="example.test", nonce="n", algorithm=SHA-256"#].map(Value::from);
    let challenge = Challenge::parse_all(&values).pop().expect("is answerable");
    let secret = Secret::password("wonderland");
    let value = answer(&challenge, &secret, "alice", "REGISTER", "sip:example.test", b"", "c", 1).expect("served");
    assert_eq!(response_of(&value), "1f6e2ac30655835469a716889b9a6738384fb0457395c71d9d2586cc0dfc0d4f");
    assert!(value.contains("algorithm=SHA-256") && !value.contains("qop="), "{value}");
}

#[test]
fn every_algorithm_and_quality_verifies_what_it_answers() {
    for name in ["MD5", "md5-SESS", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"] {
        for qop in [Qop::Auth, Qop::AuthInt] {
            let algorithm = Algorithm::parse(name).expect("known");
            let mut challenge = mufasa()[0].clone();
            challenge.algorithm = algorithm;
            challenge.qop = vec![qop];
            let hashed = ha1(algorithm.hash, "a\"b\\", &challenge.realm, "pw");
            let stored = Secret::ha1([(algorithm.hash, hashed)]);
            let clear = Secret::password("pw");
            let value = answer(&challenge, &stored, "a\"b\\", "INVITE", "sip:b", b"body", "c", 0xabc).expect("served");
            let credentials = Authorization::parse(&value).expect("well-formed");
            assert_eq!((credentials.nonce_count, credentials.username.as_str()), (Some(0xabc), "a\"b\\"));
            assert!(verify(&credentials, &clear, "INVITE", b"body"), "{value}");
            assert_eq!(verify(&credentials, &clear, "INVITE", b"other"), qop == Qop::Auth, "{value}");
            let other_count = Authorization { nonce_count: Some(0xabd), ..credentials };
            assert!(!verify(&other_count, &clear, "INVITE", b"body"));
        }
    }
}

#[test]
fn the_best_of_several_challenges_is_taken() {
    let values = [
        Value::from(r#"Basic realm="x", Digest realm="r", nonce="1", algorithm=MD5, qop="auth""#),
        Value::from(r#"Digest realm="r", nonce="2", algorithm=SHA-3, qop="auth""#),
        Value::from(r#"Digest realm="r", nonce="3", algorithm=SHA-256, qop="auth", stale=TRUE"#),
        Value::from(r#"Digest realm="r", nonce="4", algorithm=SHA-256, qop="auth""#),
        Value::from(r#"Digest realm="r", nonce="5", algorithm=SHA-512-256, qop="unknown""#),
        Value::from(r#"Digest realm="r", nonce="6", algorithm=SHA-512-256-sess"#),
        Value::from(r#"Digest realm="r", algorithm=SHA-512-256, qop="auth""#),
    ];
    let challenges = Challenge::parse_all(&values);
    let nonces: Vec<&str> = challenges.iter().map(|challenge| challenge.nonce.as_str()).collect();
    assert_eq!(nonces, ["1", "3", "4"]);
    assert_eq!(best(&challenges).map(|challenge| (challenge.nonce.as_str(), challenge.stale)), Some(("3", true)));
    let md5_only = Secret::ha1([(Hash::Md5, "0".repeat(32))]);
    assert_eq!(best_for(&challenges, &md5_only).map(|challenge| challenge.nonce.as_str()), Some("1"));
    let sha256 = best(&challenges).expect("a challenge");
    assert_eq!(answer(sha256, &md5_only, "u", "GET", "/", b"", "c", 1), None);
}

#[test]
fn a_challenge_prints_as_it_is_read() {
    let challenge = Challenge {
        realm: "a \"realm\"".to_owned(),
        nonce: "n".to_owned(),
        opaque: Some("o".to_owned()),
        algorithm: Algorithm { hash: Hash::Sha256, session: true },
        stale: true,
        qop: vec![Qop::Auth, Qop::AuthInt],
    };
    assert_eq!(Challenge::parse_all(&[Value::from(challenge.to_string())]), [challenge]);
}

#[test]
fn credentials_that_cannot_be_judged() {
    let good =
        r#"Digest username="u", realm="r", nonce="n", uri="/", response="00", qop=auth, nc=00000001, cnonce="c""#;
    assert!(Authorization::parse(good).is_ok());
    for (bad, why) in [
        ("Basic dXNlcjpwYXNz".to_owned(), InvalidAuthorization::Scheme),
        (String::new(), InvalidAuthorization::Scheme),
        (good.replace("uri=\"/\", ", ""), InvalidAuthorization::Malformed),
        (good.replace("nc=00000001", "nc=1"), InvalidAuthorization::Malformed),
        (good.replace("nc=00000001", "nc=+0000001"), InvalidAuthorization::Malformed),
        (good.replace(", cnonce=\"c\"", ""), InvalidAuthorization::Malformed),
        (format!("{good}, nonce=\"m\""), InvalidAuthorization::Malformed),
        (format!("{good}, Digest a=b"), InvalidAuthorization::Malformed),
        (good.replace("qop=auth", "qop=best"), InvalidAuthorization::Unsupported),
        (format!("{good}, algorithm=SHA-1"), InvalidAuthorization::Unsupported),
        (format!("{good}, userhash=true"), InvalidAuthorization::Unsupported),
    ] {
        assert_eq!(Authorization::parse(&bad), Err(why), "{bad}");
    }
    let short = Authorization::parse(good).expect("well-formed");
    assert!(!verify(&short, &Secret::password("p"), "GET", b""), "a response of the wrong length");
    assert!(!format!("{short:?}").contains("00"), "the proof is not printed");
}

#[test]
fn a_secret_does_not_print_itself() {
    assert_eq!(format!("{:?}", Secret::password("hunter2")), "***");
    assert_eq!(format!("{:?}", Secret::ha1([(Hash::Md5, "abc".to_owned())])), "***");
}
