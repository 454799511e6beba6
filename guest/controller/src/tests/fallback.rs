//! Phones that refuse what they are asked first.

use super::*;
use plugboard_sdk::headers::find;
use plugboard_sdk::sdp::{Direction, media, media_count};

/// A REFER-mode call whose phone answers its REFER with this; what was done then.
fn refused(kit: &mut Kit<CallController>, status: u16) -> Vec<Effect> {
    kit.http("POST", &format!("{CALL}?confpin=1234&resultCacheTime=60"));
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond(alice, 200, &sdp("alice", 1, 4000));
    let (refer, ..) = requested(&kit.take_effects(), "REFER");
    kit.respond(refer, status, b"");
    kit.take_effects()
}

#[test]
fn a_phone_that_refuses_refer_gets_the_call_in_invite_mode_when_the_operator_allows_it() {
    for status in [405, 501, 603] {
        let mut kit = kit();
        kit.setting("refer_fallback", "invite");
        let effects = refused(&mut kit, status);
        assert!(released(&effects).is_empty());
        let (leg, bob, invite) = called(&effects);
        assert_eq!((leg, find(&invite.headers, "X-ConfPin")), (BOB, Some("1234")));
        kit.respond(bob, 200, &sdp("bob", 5, 6000));
        let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
        assert!(text(&offer).contains("m=audio 6000"));
        kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
        assert!(acknowledged(&kit.take_effects(), bob).is_some());
        let json = report(&mut kit);
        assert_eq!((&json["phase"], &json["mode"]), (&"up".into(), &"INVITE".into()));
        assert_eq!(
            (&json["fallbacks"][0]["to"], &json["fallbacks"][0]["because"]["code"]),
            (&"invite-mode".into(), &status.into())
        );
        let lines = text(&kit.http("GET", CALL).body);
        assert!(lines.contains("<status-lines") && lines.contains(&format!("SIP/2.0 {status} ")), "{lines}");
        kit.request(BOB, "BYE", &[], b"");
        kit.settle();
        assert_over(&mut kit, 200, "called");
    }
}

#[test]
fn otherwise_the_call_is_over() {
    for (setting, status) in [(None, 405), (Some("off"), 501), (Some("invite"), 488)] {
        let mut kit = kit();
        if let Some(setting) = setting {
            kit.setting("refer_fallback", setting);
        }
        assert_eq!(released(&refused(&mut kit, status)).len(), 1);
        kit.settle();
        assert_over(&mut kit, status, "calling");
    }
}

#[test]
fn a_phone_that_refuses_an_offer_without_media_gets_one_on_hold() {
    for status in [488, 606] {
        let mut kit = kit();
        kit.http("POST", INVITE_CALL);
        let (first, alice, invite) = called(&kit.take_effects());
        assert_eq!(media_count(&invite.body), 0);
        kit.respond(alice, status, b"");
        let (second, alice, invite) = called(&kit.take_effects());
        assert_eq!((first, second, invite.target.as_str()), (1, 2, "sip:alice@example.com"));
        let lines = media(&invite.body);
        assert_eq!((lines.len(), lines[0].direction), (1, Direction::Inactive));
        kit.respond(alice, 200, &sdp("alice", 1, 4000));
        let (_, bob, _) = called(&kit.take_effects());
        kit.respond(bob, 200, &sdp("bob", 5, 6000));
        let (reinvite, _, offer) = requested(&kit.take_effects(), "INVITE");
        assert_eq!(origin(&offer).version, origin(&invite.body).version + 1);
        kit.respond(reinvite, 200, &sdp("alice", 2, 4000));
        let json = report(&mut kit);
        assert_eq!(json["phase"], "up");
        let fallback = &json["fallbacks"][0];
        assert_eq!((&fallback["to"], &fallback["because"]["code"]), (&"offer-on-hold".into(), &status.into()));
        assert_eq!(json["legs"][0]["outcome"]["code"], status);
    }
}

#[test]
fn a_phone_that_refuses_that_too_ends_the_call() {
    let mut kit = kit();
    kit.http("POST", INVITE_CALL);
    for _ in 0..2 {
        let (_, alice, _) = called(&kit.take_effects());
        kit.respond(alice, 488, b"");
    }
    assert_over(&mut kit, 488, "calling");
}

#[test]
fn a_refused_offer_follows_a_redirection() {
    let mut kit = kit();
    kit.http("POST", &format!("{INVITE_CALL}&isForwardingAllowed=true"));
    let (_, alice, _) = called(&kit.take_effects());
    kit.respond_with(alice, 302, &[], b"", &["sip:desk@example.net"]);
    let (_, desk, _) = called(&kit.take_effects());
    kit.respond(desk, 488, b"");
    let (_, _, invite) = called(&kit.take_effects());
    assert_eq!((invite.target.as_str(), media_count(&invite.body)), ("sip:desk@example.net", 1));
}
