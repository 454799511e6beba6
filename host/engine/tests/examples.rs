//! The example in Rust as a component: its rule goes by the time of the event.

mod support;

use plugboard_calls::contract::{CallKey, Context, Event, ExchangeId, HttpRequest, Principal};
use plugboard_calls::logic::{Logic, Routed};
use plugboard_engine::{Engine, EngineLimits};
use std::sync::Arc;
use support::*;

/// A Friday, 17:59 UTC, in milliseconds since the Unix epoch.
const FRIDAY_17_59: u64 = 1_700_243_940_000;

#[test]
fn office_hours() {
    let engine = Engine::new(EngineLimits::default(), None).expect("the engine runs here");
    let version = tried(&engine, "office_hours").version(&[0; 32], Arc::default());
    let post = HttpRequest { method: "POST".to_owned(), ..request("/office/alice/alice") };
    let Ok(Routed::Call(key)) = route(&version, &post.path) else { panic!("it is about a call") };
    let at = |now_unix_ms| {
        let context = Context {
            key: CallKey::new(key.as_str().to_owned()).expect("a short key"),
            domain: "example.com".into(),
            now_unix_ms,
            principal: Principal::Trusted,
            seed: 7,
            ended_by_host: None,
        };
        let event = Event::Http { exchange: ExchangeId(1), request: post.clone() };
        let (stage, outcome) = version.handle(&context, None, &event, stage());
        format!("{:?}", stage.seal(outcome))
    };
    let (open, closed) = (at(FRIDAY_17_59), at(FRIDAY_17_59 + 60_000));
    assert!(open.contains("status: 200") && open.contains("sip:alice@example.com"), "{open}");
    assert!(closed.contains("status: 403") && !closed.contains("sip:"), "{closed}");
}
