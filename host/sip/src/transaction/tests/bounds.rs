//! What happens at each bound, and one beyond it.

use super::*;

fn small() -> Bench {
    Bench::with(Config { limits: TableLimits { clients: 2, servers: 2 }, ..config() })
}

#[test]
fn a_full_client_table_refuses() {
    let mut bench = small();
    bench.send(Method::Bye, Transport::Udp);
    bench.send(Method::Bye, Transport::Udp);
    let third = bench.layer.send(bench.now, outgoing(Method::Bye), udp(), 3, &mut bench.out);
    assert_eq!(third, Err(SendError::TableFull));
    assert_eq!(bench.layer.counters().clients_refused, 1);
    bench.run_until(32_000);
    bench.send(Method::Bye, Transport::Udp);
}

#[test]
fn a_full_server_table_answers_503() {
    let mut bench = small();
    bench.receive(incoming(Method::Info, "z9hG4bK1"));
    bench.receive(incoming(Method::Info, "z9hG4bK2"));
    bench.receive(incoming(Method::Info, "z9hG4bK3"));
    assert_eq!(bench.take(), ["request INFO", "request INFO", "send 503", "refused INFO"]);
    assert_eq!(bench.layer.counters().servers_refused, 1);
    assert_eq!(bench.layer.servers(), 2);
}

#[test]
fn a_full_server_table_still_takes_a_cancel_once() {
    let mut bench = small();
    bench.receive(incoming(Method::Invite, "z9hG4bK1"));
    bench.receive(incoming(Method::Info, "z9hG4bK2"));
    bench.take();
    bench.receive(incoming(Method::Cancel, "z9hG4bK1"));
    bench.receive(incoming(Method::Cancel, "z9hG4bK1"));
    assert_eq!(bench.take(), ["send 200", "cancelled", "send 200"]);
}

#[test]
fn forks_beyond_the_bound_are_dropped() {
    let mut bench = Bench::new();
    bench.send(Method::Invite, Transport::Udp);
    let invite = bench.sent_request();
    for fork in 0..=MAX_FORKS {
        bench.receive(answer(&invite, 200, &format!("fork-{fork}")));
    }
    let events = bench.take();
    assert_eq!(events.iter().filter(|event| *event == "response 200 for 42").count(), MAX_FORKS);
    assert_eq!(events.last().map(String::as_str), Some("stray 200"));
}

#[test]
fn the_largest_message_goes_out() {
    let mut bench = Bench::new();
    let of = |size: usize, bench: &mut Bench| {
        let mut request = outgoing(Method::Message);
        request.body = Bytes::from(vec![b'x'; size]);
        bench.layer.send(bench.now, request, udp(), 1, &mut bench.out)
    };
    of(0, &mut bench).expect("small");
    let bare = bench.sent().pop().map_or(0, |message| message.to_bytes().len());
    let room = MAX_UDP_MESSAGE - bare - 4;
    assert!(of(room, &mut bench).is_ok());
    assert_eq!(of(room + 1, &mut bench), Err(SendError::TooLarge));
}

#[test]
fn thousands_come_and_go() {
    let mut bench = Bench::new();
    for number in 0..5_000 {
        bench.at(number).receive(incoming(Method::Options, &format!("z9hG4bK{number}")));
        let (server, request) = bench.server();
        bench.respond(server, answer(&request, 200, "ours"));
        bench.send(Method::Options, Transport::Udp);
        let options = bench.sent_request();
        bench.receive(answer(&options, 200, "theirs"));
        bench.take();
    }
    assert_eq!((bench.layer.clients(), bench.layer.servers()), (5_000, 5_000));
    bench.run_until(100_000);
    assert_eq!((bench.layer.clients(), bench.layer.servers()), (0, 0));
    assert_eq!(bench.layer.next_deadline(), None);
}

#[test]
fn timers_of_zero_do_not_spin() {
    let zero = std::time::Duration::ZERO;
    let mut bench = Bench::with(Config { timers: TimerValues { t1: zero, t2: zero, t4: zero }, ..config() });
    bench.send(Method::Invite, Transport::Udp);
    bench.layer.poll(Time::from_millis(u64::MAX), &mut bench.out);
    assert_eq!(bench.layer.clients(), 0);
}
