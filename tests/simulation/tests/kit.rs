//! The SDK's test kit refuses what the host refuses: a guest that passes its tests meets no surprise in service.

use plugboard_calls::cache::MemoryCache;
use plugboard_calls::contract as host;
use plugboard_calls::effect::Effect;
use plugboard_calls::logic::{Credentials, Directory, Logic, UserRecord};
use plugboard_calls::stage::{Setting, Stage, View};
use plugboard_sdk::testkit::Kit;
use plugboard_sdk::{
    Address, CallKey, Context, Controller, Description, Event, Fault, HttpRequest, HttpResponse, Invite, StageError,
    header, headers, text,
};
use plugboard_simulation::native::Native;
use plugboard_sip::time::Time;
use std::sync::Arc;

/// Stages an INVITE with the header field that the request names, and answers what became of it.
struct Stages;

impl Controller for Stages {
    type State = ();
    const SCHEMA: u32 = 1;

    fn describe() -> Description {
        plugboard_sdk::describe::<Self>("stages", "1", "/")
    }

    fn route(_: &str, _: &HttpRequest, _: &impl plugboard_sdk::Directory) -> Result<CallKey, HttpResponse> {
        Ok(CallKey { value: "call".to_owned() })
    }

    fn step(
        _: &Context,
        _: Option<()>,
        event: Event,
        host: &mut impl plugboard_sdk::Host,
    ) -> Result<Option<()>, Fault> {
        let Event::Http(arrival) = event else { return Ok(None) };
        let asked = |name| headers::find(&arrival.request.headers, name).unwrap_or_default().to_owned();
        let _ = host.act_as("alice");
        let from = Address { display_name: None, uri: "sip:alice@example.com".to_owned() };
        let headers = vec![header(&asked("name"), asked("value"))];
        let staged = host.call(Invite { target: "sip:bob@example.com".into(), to: None, from, headers, body: vec![] });
        let verdict = match staged {
            Ok(started) => {
                let _ = host.release(started.leg, Vec::new());
                "taken"
            }
            Err(StageError::Reserved(_)) => "reserved",
            Err(StageError::Malformed(_)) => "malformed",
            Err(_) => "refused",
        };
        let _ = host.respond_http(arrival.exchange, text(200, verdict));
        Ok(None)
    }
}

/// What the test kit says.
fn by_kit(name: &str, value: &str) -> String {
    let mut kit = Kit::<Stages>::new("example.com", 1);
    kit.user("alice", "", &[]);
    let response = kit.http_with("POST", "/", &[("name", name), ("value", value)]);
    String::from_utf8(response.body).expect("text")
}

/// What the host says.
fn by_host(name: &str, value: &str) -> String {
    let header = |name: &str, value: &str| host::Header { name: name.to_owned(), value: value.to_owned() };
    let request = host::HttpRequest {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: None,
        headers: vec![header("name", name), header("value", value)],
        body: Vec::new(),
    };
    let exchange = host::ExchangeId(1);
    let stage = Stage::new(Setting {
        view: View { exchanges: [exchange].into_iter().collect(), next_leg: 1, next_transaction: 1, ..View::default() },
        limits: Arc::default(),
        now: Time::from_millis(0),
        seed: 1,
        principal: host::Principal::Trusted,
        agent: None,
        call_id_host: "example.com".into(),
        directory: Arc::new(Alice),
        cache: Arc::new(MemoryCache::new(0)),
        settings: Arc::default(),
    });
    let context = host::Context {
        key: host::CallKey::new("call".to_owned()).expect("short"),
        domain: "example.com".into(),
        now_unix_ms: 0,
        principal: host::Principal::Trusted,
        seed: 1,
        ended_by_host: None,
    };
    let event = host::Event::Http { exchange, request };
    let (stage, outcome) = Native::<Stages>::default().handle(&context, None, &event, stage);
    let committed = stage.seal(outcome).expect("handled");
    let answer = committed.effects().iter().find_map(|effect| match effect {
        Effect::HttpRespond { response, .. } => Some(response.body.clone()),
        _ => None,
    });
    String::from_utf8(answer.expect("answered")).expect("text")
}

struct Alice;

impl Directory for Alice {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let identity = host::Identity { address_of_record: "sip:alice@example.com".to_owned(), display_name: None };
        (name == "alice").then(|| Arc::new(UserRecord { name: "alice".to_owned(), identity }))
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

/// Of RFC 3261 §20 and the extensions that this host and its guests have to do with, with their compact forms.
const NAMES: &str = "Accept Accept-Contact Accept-Encoding Accept-Language Alert-Info Allow Allow-Events \
    Authentication-Info Authorization Call-ID Call-Info Contact Content-Disposition Content-Encoding Content-Language \
    Content-Length Content-Type CSeq Date Error-Info Event Expires From Identity In-Reply-To Max-Forwards \
    MIME-Version Min-Expires Min-SE Organization P-Asserted-Identity Path Priority Privacy Proxy-Authenticate \
    Proxy-Authentication-Info Proxy-Authorization Proxy-Require RAck Reason Record-Route Refer-Sub Refer-To \
    Referred-By Replaces Reply-To Require Retry-After Route RSeq Server Service-Route Session-Expires \
    Subject Subscription-State Supported Timestamp To Unsupported User-Agent Via Warning WWW-Authenticate X-ConfPin \
    a b c d e f i j k l m n o r s t u v x y";

#[test]
fn the_kit_refuses_the_header_fields_that_the_host_refuses() {
    let long = "v".repeat(5_000);
    let values = ["x", "100rel", "timer", "replaces", "replaces, Timer", "a\r\nb", "a\tb", "\u{7f}", &long];
    let names = NAMES.split_whitespace().chain(["", "a b", "Sub:ject", "ü"]);
    let mut reserved = 0;
    for name in names.flat_map(|name| [name.to_owned(), name.to_uppercase()]) {
        for value in values {
            let (kit, host) = (by_kit(&name, value), by_host(&name, value));
            let shown: String = value.chars().take(20).collect();
            assert_eq!(kit, host, "{name:?}: {shown:?}");
            reserved += usize::from(host == "reserved\n");
        }
    }
    assert!(reserved > 300, "only {reserved} were reserved");
}
