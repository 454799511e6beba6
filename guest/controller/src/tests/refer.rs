//! REFER mode.

use super::*;

#[test]
fn a_call_is_placed_referred_and_left_alone() {
    let mut kit = kit();
    let response = kit.http("POST", CALL);
    assert_eq!((response.status, response.body.len()), (200, 0));
    let (leg, invite, sent) = called(&kit.take_effects());
    assert_eq!(sent.target, "sip:alice@example.com");
    assert_eq!(sent.from.display_name.as_deref(), Some("Alice"));
    assert!(text(&sent.body).contains("m=audio"));
    kit.respond(invite, 100, b"");
    kit.respond(invite, 407, b"");
    let Some(Effect::AnswerChallenge { transaction: invite, .. }) = kit.take_effects().pop() else {
        panic!("the challenge is answered")
    };
    kit.respond(invite, 100, b"");
    kit.respond(invite, 180, b"");
    kit.respond(invite, 200, sent.body.as_slice());
    let (refer, headers, _) = requested(&kit.take_effects(), "REFER");
    assert_eq!(headers[0].value, "\"Bob\" <sip:bob@example.com>");
    assert_eq!(headers[1].value, "\"Alice\" <sip:alice@example.com>");
    kit.respond(refer, 202, b"");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 Trying\r\n");
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 180 Ringing\r\n");
    assert!(kit.take_effects().iter().any(|effect| matches!(effect, Effect::Release { .. })));
    kit.settle();
    assert_over(&mut kit, 202, "handed-over");
    let lines: Vec<String> = report(&mut kit)["lines"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| format!("{} {}", line["method"].as_str().unwrap(), line["status_line"].as_str().unwrap()))
        .collect();
    let expected = [
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 407 Proxy Authentication Required",
        "INVITE SIP/2.0 100 Trying",
        "INVITE SIP/2.0 180 Ringing",
        "INVITE SIP/2.0 200 OK",
        "REFER SIP/2.0 202 Accepted",
        "NOTIFY SIP/2.0 100 Trying",
        "NOTIFY SIP/2.0 180 Ringing",
    ];
    assert_eq!(lines, expected);
}
