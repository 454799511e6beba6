//! What GET shows.

use super::*;

#[test]
fn status_lines_are_those_of_the_original() {
    let mut kit = kit();
    kit.http("POST", CALL);
    let (leg, invite, _) = called(&kit.take_effects());
    kit.advance(662);
    kit.respond(invite, 100, b"");
    kit.respond(invite, 200, &sdp("alice", 1, 4000));
    kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 <Trying>\r\n");
    let response = kit.http("GET", CALL);
    assert_eq!(plugboard_sdk::headers::find(&response.headers, "content-type"), Some("text/xml; charset=utf-8"));
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<status-lines xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">
<status>
        <timestamp>1259114103662</timestamp>
        <call-id>call-1-1@plugboard</call-id>
        <method>INVITE</method>
        <status-line>SIP/2.0 100 Trying</status-line>
</status>
<status>
        <timestamp>1259114103662</timestamp>
        <call-id>call-1-1@plugboard</call-id>
        <method>INVITE</method>
        <status-line>SIP/2.0 200 OK</status-line>
</status>
<status>
        <timestamp>1259114103662</timestamp>
        <call-id>call-1-1@plugboard</call-id>
        <method>NOTIFY</method>
        <status-line>SIP/2.0 100 &lt;Trying&gt;</status-line>
</status>
</status-lines>
";
    assert_eq!(text(&response.body), expected);
}

#[test]
fn an_invite_mode_call_shows_its_dialogs() {
    let mut kit = up();
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<dialogs xmlns=\"http://www.sipfoundry.org/sipX/schema/xml/call-status-00-00\">
<dialog>
        <dialog-id>call-1-1@plugboard</dialog-id>
        <local-party>sip:alice@example.com</local-party>
        <remote-party>sip:alice@example.com</remote-party>
        <dialog-state>confirmed</dialog-state>
</dialog>
<dialog>
        <dialog-id>call-1-2@plugboard</dialog-id>
        <local-party>sip:alice@example.com</local-party>
        <remote-party>sip:bob@example.com</remote-party>
        <dialog-state>confirmed</dialog-state>
</dialog>
</dialogs>
";
    assert_eq!(text(&kit.http("GET", CALL).body), expected);
}

#[test]
fn json_is_given_to_who_asks_for_it() {
    let mut kit = up();
    for (accept, json) in [
        ("application/json", true),
        ("text/html, application/json;q=0.9, */*;q=0.1", true),
        ("application/json, text/xml", true),
        ("text/xml, application/json;q=0.5", false),
        ("text/xml;q=0.75, application/json;q=0.8", true),
        ("text/xml;q=1.000, application/json;q=0.999", false),
        ("application/json;q=0", false),
        ("application/json;q=0.0", false),
        ("*/*", false),
        ("text/xml", false),
        ("", false),
    ] {
        let response = kit.http_with("GET", CALL, &[("accept", accept)]);
        let content_type = plugboard_sdk::headers::find(&response.headers, "content-type").expect("typed");
        assert_eq!(content_type == "application/json", json, "{accept}");
    }
}

#[test]
fn json_says_everything_known() {
    let mut kit = up();
    let shown = report(&mut kit);
    assert_eq!(shown["mode"], "INVITE");
    assert_eq!(shown["phase"], "up");
    assert_eq!(shown["agent"], "sip:alice@example.com");
    assert_eq!(shown["called"], "sip:bob@example.com");
    assert_eq!(shown["started_ms"], 1_259_114_103_000_u64);
    assert!(shown["outcome"].is_null() && shown["ended_ms"].is_null());
    assert_eq!(shown["legs"][1]["state"], "up");
    assert_eq!(shown["legs"][1]["role"], "called");
    kit.http("DELETE", CALL);
    kit.settle();
    let shown = report(&mut kit);
    assert_eq!(shown["outcome"]["code"], 200);
    assert_eq!(shown["ended_ms"], 1_259_114_103_000_u64);
}

#[test]
fn a_long_history_keeps_both_ends_and_says_what_it_cut() {
    let mut kit = kit();
    kit.http("POST", CALL);
    let (leg, invite, _) = called(&kit.take_effects());
    kit.respond(invite, 200, &sdp("alice", 1, 4000));
    let (refer, ..) = requested(&kit.take_effects(), "REFER");
    kit.respond(refer, 202, b"");
    for _ in 0..plugboard_sdk::status::LINES_MAX {
        kit.request(leg, "NOTIFY", &NOTIFY, b"SIP/2.0 100 Trying");
    }
    let shown = report(&mut kit);
    assert_eq!(shown["lines"].as_array().map(Vec::len), Some(plugboard_sdk::status::LINES_MAX));
    assert_eq!(shown["lines_left_out"], 2);
    assert_eq!(shown["lines"][0]["method"], "INVITE");
    assert!(text(&kit.http("GET", CALL).body).contains("<!-- 2 status lines left out -->"));
}
