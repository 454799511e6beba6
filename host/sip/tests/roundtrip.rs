//! Properties of parsing and printing: nothing panics, nothing is lost.

use bytes::Bytes;
use plugboard_sip::digest::{Authorization, Challenge};
use plugboard_sip::parse::{Limits, frame_stream, parse_datagram};
use plugboard_sip::transaction::{Config, Layer, SentBy, TableLimits, TimerValues};
use plugboard_sip::transport::{Destination, Transport};
use plugboard_sip::validate::{Served, check_request, check_response, unsupported};
use plugboard_sip::{
    HeaderName, Headers, Host, Message, Method, NameAddr, Request, Response, SipUri, Status, Text, Time, Uri, Value,
    Via,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn parse(bytes: impl Into<Bytes>) -> Option<Message> {
    parse_datagram(bytes.into(), &Limits::default()).ok()
}

/// All but Content-Length, which printing makes.
fn fields(headers: &Headers) -> Vec<(HeaderName, Value)> {
    let all = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    all.filter(|(name, _)| *name != HeaderName::ContentLength).collect()
}

fn same_meaning(one: &Message, two: &Message) -> bool {
    let starts = match (one, two) {
        (Message::Request(one), Message::Request(two)) => one.method == two.method && one.uri == two.uri,
        (Message::Response(one), Message::Response(two)) => one.status == two.status && one.reason == two.reason,
        (Message::Request(_), Message::Response(_)) | (Message::Response(_), Message::Request(_)) => false,
    };
    starts && one.body() == two.body() && fields(one.headers()) == fields(two.headers())
}

prop_compose! {
    fn field()(
        name in prop_oneof![
            "[A-Za-z-]{1,20}",
            prop::sample::select(vec!["v", "Via", "f", "To", "m", "CSeq", "l2", "Subject"]).prop_map(str::to_owned),
        ],
        value in vec(any::<u8>(), 0..60),
    ) -> Option<(HeaderName, Value)> {
        let name = HeaderName::new(&name).filter(|name| *name != HeaderName::ContentLength)?;
        Value::new(value).ok().map(|value| (name, value))
    }
}

prop_compose! {
    fn message()(
        is_request in any::<bool>(),
        method in "[A-Z!%*_+`'~.-]{1,12}",
        uri in "[!-~]{1,40}",
        code in 100u16..700,
        reason in "[ -~\u{e4}\u{20ac}]{0,20}",
        fields in vec(field(), 0..20),
        body in vec(any::<u8>(), 0..200),
    ) -> Message {
        let headers: Headers = fields.into_iter().flatten().collect();
        let body = Bytes::from(body);
        if is_request {
            let method = Method::parse(&Text::from(method)).expect("a token");
            Message::Request(Request { method, uri: uri.into(), headers, body })
        } else {
            let status = Status::new(code).expect("in range");
            Message::Response(Response { status, reason: reason.into(), headers, body })
        }
    }
}

/// A message with what a transaction layer looks at, partly out of shape.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just("Via: SIP/2.0/UDP h;branch=z9hG4bK1;rport".to_owned()),
        Just("v: SIP/2.0/UDP us;branch=z9hG4bKt0.0 , SIP/2.0/UDP b".to_owned()),
        Just("From: \"a, b\" <sip:a@h>;tag=1".to_owned()),
        Just("To: sip:b@h;tag=2".to_owned()),
        Just("i: 1".to_owned()),
        Just("CSeq: 1 INVITE".to_owned()),
        Just("CSeq: 1\r\n ACK".to_owned()),
        Just("l: 0".to_owned()),
        "[ -~]{0,40}",
    ];
    let start = prop_oneof![
        Just("INVITE sip:h SIP/2.0".to_owned()),
        Just("ACK sip:h SIP/2.0".to_owned()),
        Just("CANCEL sip:h SIP/2.0".to_owned()),
        Just("SIP/2.0 200 OK".to_owned()),
        Just("SIP/2.0 486 ".to_owned()),
        "[ -~]{0,30}",
    ];
    (start, vec(line, 0..12))
        .prop_map(|(start, lines)| format!("{start}\r\n{}\r\n\r\n", lines.join("\r\n")).into_bytes())
}

/// Everything that reads what a peer sent.
fn read_all(bytes: &[u8]) {
    let _ = frame_stream(bytes, &Limits::default());
    let Some(message) = parse(bytes.to_vec()) else { return };
    let headers = message.headers();
    let _ = (headers.top_via(), headers.from_header(), headers.to_header(), headers.cseq(), headers.max_forwards());
    for (name, value) in headers.iter() {
        let _ = (headers.addresses(name), headers.list(name).count(), Challenge::parse_all([value]));
        let _ = value.as_str().map(Authorization::parse);
    }
    match &message {
        Message::Request(request) => {
            let _ = (check_request(request), unsupported(request, &Served::default()));
        }
        Message::Response(response) => {
            let _ = check_response(response);
        }
    }
}

proptest! {
    #[test]
    fn printing_and_parsing_lose_nothing(message in message()) {
        let printed = message.to_bytes();
        let parsed = parse(printed.clone());
        prop_assert!(parsed.as_ref().is_some_and(|parsed| same_meaning(&message, parsed)), "{parsed:?}");
        prop_assert_eq!(parsed.map(|parsed| parsed.to_bytes()), Some(printed));
    }

    #[test]
    fn what_is_parsed_prints_to_the_same(bytes in plausible()) {
        if let Some(first) = parse(bytes) {
            let second = parse(first.to_bytes());
            prop_assert!(second.is_some_and(|second| same_meaning(&first, &second)));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn no_message_panics(bytes in plausible()) {
        read_all(&bytes);
    }

    #[test]
    fn no_line_of_printed_text_comes_from_a_value(text in "\\PC{0,20}[\r\n]{1,2}\\PC{0,20}") {
        let mut request = Request::new(Method::Info, "sip:h");
        request.headers.push(HeaderName::Subject, text.as_str());
        let parsed = parse(request.to_bytes()).expect("well-formed");
        prop_assert_eq!(fields(parsed.headers()).len(), 1);
    }

    #[test]
    fn typed_values_print_to_what_they_parse_to(text in "\\PC{0,60}") {
        let text = Text::from(text);
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(Uri::parse(&uri.to_string().into()), Ok(uri));
        }
        if let Ok(address) = NameAddr::parse(&text) {
            prop_assert_eq!(NameAddr::parse(&address.to_string().into()), Ok(address));
        }
        if let Ok(via) = Via::parse(&text) {
            prop_assert_eq!(Via::parse(&via.to_string().into()), Ok(via));
        }
    }

    #[test]
    fn sip_uris_are_kept(
        user in prop::option::of("[a-zA-Z0-9&=+$,;?/%!~*'()._-]{1,12}"),
        host in "[a-z0-9]{1,8}(\\.[a-z]{2,5}){0,2}",
        port in prop::option::of(any::<u16>()),
        params in "(;[a-z]{1,6}(=[a-zA-Z0-9:+/%._-]{1,6})?){0,3}",
        headers in prop::option::of("[a-zA-Z]{1,5}=[a-zA-Z0-9%?:+/._-]{0,8}"),
    ) {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let headers = headers.map(|headers| format!("?{headers}")).unwrap_or_default();
        let text = format!("sip:{user}{host}{port}{params}{headers}");
        let printed = SipUri::parse(&text.as_str().into()).map(|uri| uri.to_string());
        prop_assert_eq!(printed, Ok(text));
    }

    /// Any order of operations: nothing panics, the tables stay within their bounds, and all of it ends.
    #[test]
    fn the_layer_takes_anything(operations in vec((0u8..6, plausible(), 0u64..40_000), 1..60)) {
        let sent_by = vec![SentBy { host: Host::parse(&"us".into()).expect("a host"), port: None }];
        let limits = TableLimits { clients: 4, servers: 4 };
        let timers = TimerValues::default();
        let mut layer = Layer::new(Config { timers, sent_by, branch_prefix: Text::EMPTY, seed: [0; 16], limits });
        let remote = "192.0.2.1:5060".parse().expect("an address");
        let flow = Destination { transport: Transport::Udp, remote, local: 0 };
        let (mut now, mut out, mut clients, mut servers) = (Time::default(), Vec::new(), Vec::new(), Vec::new());
        for (operation, bytes, pause) in operations {
            now = Time::from_millis(now.as_millis() + pause);
            match (operation, parse(bytes)) {
                (0, Some(message)) => layer.receive(now, message, flow, &mut out),
                (1, Some(Message::Request(request))) => clients.extend(layer.send(now, request, flow, (), &mut out)),
                (2, _) => clients.iter().for_each(|client| layer.cancel(now, *client, Headers::new(), &mut out)),
                (3, Some(Message::Response(response))) => {
                    for server in &servers {
                        let _ = layer.respond(now, *server, response.clone(), &mut out);
                    }
                }
                (4, _) => clients.iter().for_each(|client| layer.transport_failed(now, *client, &mut out)),
                _ => layer.poll(now, &mut out),
            }
            for output in out.drain(..) {
                if let plugboard_sip::transaction::Output::Request { server, .. } = output {
                    servers.push(server);
                }
            }
            prop_assert!(layer.clients() <= 4 && layer.servers() <= 4);
        }
        let mut steps = 0;
        while let Some(deadline) = layer.next_deadline() {
            now = now.max(deadline);
            layer.poll(now, &mut out);
            steps += 1;
            prop_assert!(steps < 1_000, "the deadlines run out");
        }
    }
}
