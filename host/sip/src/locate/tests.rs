use super::*;
use crate::text::Text;
use crate::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

const ALL: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

fn hop(uri: &str) -> Option<NextHop> {
    NextHop::of(&SipUri::parse(&Text::from(uri)).expect("a URI"))
}

/// What is asked, in the order in which it is.
fn asked(uri: &str, served: &[Transport]) -> String {
    let Search { naptr, services, otherwise } = hop(uri).expect("served").search(served);
    let services = services.iter().map(|service| format!("{} ", service.name)).collect::<String>();
    format!("{}{services}{} {}", if naptr { "NAPTR " } else { "" }, otherwise.0, otherwise.1)
}

#[test]
fn what_a_uri_leaves_to_dns() {
    for (uri, expected) in [
        ("sip:a@h.example", "NAPTR _sip._udp.h.example _sip._tcp.h.example UDP 5060"),
        ("sips:a@h.example", "NAPTR _sips._tcp.h.example TLS 5061"),
        ("sip:a@h.example;transport=TCP", "_sip._tcp.h.example TCP 5060"),
        ("sip:a@h.example;transport=tls", "_sips._tcp.h.example TLS 5061"),
        ("sips:a@h.example;transport=tcp", "_sips._tcp.h.example TLS 5061"),
        ("sip:a@h.example:5070", "UDP 5070"),
        ("sips:a@h.example:5071;transport=tcp", "TLS 5071"),
        ("sip:a@h.example:5070;transport=tcp", "TCP 5070"),
        ("sip:a@h.example;maddr=m.example", "NAPTR _sip._udp.m.example _sip._tcp.m.example UDP 5060"),
        ("sip:a@h.example;transport=ws", "WS 80"),
        ("sips:a@h.example;transport=ws", "WSS 443"),
        ("sip:a@h.example;transport=wss", "WSS 443"),
        ("sip:a@localhost", "UDP 5060"),
    ] {
        assert_eq!(asked(uri, &ALL), expected, "{uri}");
    }
    assert_eq!(
        asked("sip:a@h.example", &[Transport::Tcp]),
        "NAPTR _sip._tcp.h.example UDP 5060",
        "what we cannot send is not asked for"
    );
}

#[test]
fn an_address_needs_no_dns_and_some_transports_are_not_served() {
    let target = |uri| hop(uri).and_then(|hop| hop.target()).map(|one| format!("{} {}", one.transport, one.address));
    for (uri, expected) in [
        ("sip:a@192.0.2.1", Some("UDP 192.0.2.1:5060")),
        ("sip:a@[2001:db8::1]:5070;transport=tcp", Some("TCP [2001:db8::1]:5070")),
        ("sips:a@192.0.2.1", Some("TLS 192.0.2.1:5061")),
        ("sips:a@h;maddr=192.0.2.1", Some("TLS 192.0.2.1:5061")),
        ("sip:a@192.0.2.1;transport=ws", Some("WS 192.0.2.1:80")),
        ("sip:a@h", None),
        ("sips:a@192.0.2.1;transport=udp", None),
        ("sip:a@192.0.2.1;transport=sctp", None),
    ] {
        assert_eq!(target(uri).as_deref(), expected, "{uri}");
    }
}

fn naptr(order: u16, preference: u16, service: &str, replacement: &str) -> Naptr {
    let [flags, service, replacement] = ["S", service, replacement].map(str::to_owned);
    Naptr { order, preference, flags, service, replacement }
}

fn chosen(uri: &str, records: Vec<Naptr>, served: &[Transport]) -> Vec<String> {
    let services = hop(uri).expect("served").services(records, served);
    services.iter().map(|service| format!("{} {}", service.transport, service.name)).collect()
}

#[test]
fn naptr_records_are_taken_by_order_and_preference() {
    let records = || {
        vec![
            naptr(90, 50, "SIP+D2U", "udp.example."),
            naptr(50, 60, "sip+d2t", "tcp.example."),
            naptr(50, 50, "SIPS+D2T", "tls.example."),
            naptr(10, 10, "SIP+D2S", "sctp.example."),
            Naptr { flags: "u".into(), ..naptr(5, 5, "SIP+D2U", "enum.example.") },
            naptr(5, 5, "SIP+D2U", "."),
        ]
    };
    assert_eq!(chosen("sip:h", records(), &ALL), ["TLS tls.example.", "TCP tcp.example."]);
    assert_eq!(chosen("sips:h", records(), &ALL), ["TLS tls.example."]);
    assert_eq!(chosen("sip:h", records(), &[Transport::Udp]), ["UDP udp.example."]);
    assert_eq!(chosen("sips:h", records(), &[Transport::Udp]), [""; 0]);
}

fn server(priority: u16, weight: u16, last: u8) -> Server {
    Server { priority, weight, port: 5060, addresses: vec![[192, 0, 2, last].into()] }
}

fn located(servers: Vec<Server>) -> Located {
    Located { by_transport: vec![(Transport::Udp, servers)] }
}

/// The last bytes of the addresses, in order.
fn order(located: &Located, seed: u64) -> Vec<u8> {
    let last = |target: &Target| match target.address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(ip) => ip.octets()[15],
    };
    located.targets(seed).iter().map(last).collect()
}

#[test]
fn priorities_come_before_weights_and_one_seed_gives_one_order() {
    let located = located(vec![server(20, 100, 3), server(10, 0, 1), server(10, 50, 2)]);
    for seed in 0..100 {
        let found = order(&located, seed);
        assert_eq!(found.len(), 3);
        assert_eq!(found.last(), Some(&3), "seed {seed}");
        assert_eq!(found, order(&located, seed));
    }
}

#[test]
fn weights_are_shares_of_the_requests() {
    const REQUESTS: u64 = 10_000;
    let located = located(vec![server(1, 60, 1), server(1, 30, 2), server(1, 10, 3), server(1, 0, 4)]);
    let mut first: BTreeMap<u8, u64> = BTreeMap::new();
    for seed in 0..REQUESTS {
        *first.entry(order(&located, seed)[0]).or_default() += 1;
    }
    // RFC 2782 draws from 0 to the sum: of 101 numbers the one with weight 0 has one.
    for (server, share) in [(1, 60), (2, 30), (3, 10), (4, 1)] {
        let expected = REQUESTS * share / 101;
        let found = first.get(&server).copied().unwrap_or_default();
        assert!(found.abs_diff(expected) < 300, "{server}: {found} of {expected}");
    }
    assert!(first.get(&4).copied().unwrap_or_default() > 0, "a weight of 0 is a small chance");
}

#[test]
fn what_two_records_name_is_tried_once_and_transports_keep_their_order() {
    let two = Server { addresses: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()], ..server(1, 0, 0) };
    let by_transport = vec![(Transport::Tcp, vec![two.clone(), server(2, 0, 2)]), (Transport::Udp, vec![two])];
    let targets = Located { by_transport }.targets(7);
    let found: Vec<String> = targets.iter().map(|one| format!("{} {}", one.transport, one.address)).collect();
    let expected = ["TCP 192.0.2.1:5060", "TCP 192.0.2.2:5060", "UDP 192.0.2.1:5060", "UDP 192.0.2.2:5060"];
    assert_eq!(found, expected);
}

#[test]
fn a_target_that_failed_is_tried_last_until_its_time_is_up() {
    let target = |last: u8| Target { transport: Transport::Udp, address: ([192, 0, 2, last], 5060).into() };
    let now = Time::from_millis(1_000);
    let mut avoided = Avoided::default();
    avoided.avoid(now, target(1), AVOID_TIME);
    let sorted = |avoided: &Avoided, at: Time| {
        let mut targets = [target(1), target(2), target(3)];
        avoided.put_last(at, &mut targets);
        targets.map(|target| target.address.ip().to_string().chars().last().unwrap_or_default())
    };
    assert_eq!(sorted(&avoided, now), ['2', '3', '1']);
    assert_eq!(sorted(&avoided, now + AVOID_TIME), ['1', '2', '3']);
    for last in 2..=3 {
        avoided.avoid(now, target(last), AVOID_TIME);
    }
    assert_eq!(sorted(&avoided, now), ['1', '2', '3'], "all are avoided: the best one first");
    avoided.avoid(now, target(1), Duration::MAX);
    assert_eq!(sorted(&avoided, now + AVOID_TIME_MAX), ['1', '2', '3']);
}

#[test]
fn the_table_of_avoided_targets_has_its_bound() {
    let target = |number: u16| Target { transport: Transport::Udp, address: ([192, 0, 2, 1], number).into() };
    let now = Time::from_millis(1_000);
    let mut avoided = Avoided::default();
    for number in 0..=AVOIDED_MAX as u16 {
        avoided.avoid(now, target(number), AVOID_TIME + Duration::from_secs(number.into()));
    }
    assert_eq!(avoided.count(now), AVOIDED_MAX);
    let mut targets = [target(0), target(1)];
    avoided.put_last(now, &mut targets);
    assert_eq!(targets, [target(0), target(1)], "the one with the shortest time was forgotten");
}
