//! What a tenant hears that wants more than it may have, and that each limit is counted where it is met.

use super::bench::{Bench, invite};
use super::{caller, *};
use crate::limits::{Limit, Limits};

/// The limits that were met, each with how often.
fn met(bench: &Bench) -> Vec<(&'static str, u64)> {
    let counters = &bench.tenant.counters.limits;
    let counted = Limit::ALL.into_iter().map(|limit| (limit.name(), counters.count(limit)));
    counted.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn calls_that_come_too_fast_get_429_and_later_ones_come_up() {
    let mut bench = Bench::limited(caller, Limits { calls_per_second: 2, ..Limits::default() });
    for user in ["/a", "/b", "/c"] {
        bench.arrive("POST", user);
    }
    bench.run();
    assert_eq!(bench.answers(), [200, 200, 429]);
    assert_eq!(met(&bench), [("calls_per_second", 1)]);
    assert_eq!(bench.requests().len(), 2, "the third is not called");
    bench.pass(Duration::from_millis(500));
    bench.arrive("POST", "/c");
    bench.run();
    assert_eq!(bench.answers(), [200]);
}

#[test]
fn one_call_more_than_may_be_up_gets_503() {
    let mut bench = Bench::limited(caller, Limits { calls: 1, ..Limits::default() });
    for user in ["/a", "/b"] {
        bench.arrive("POST", user);
    }
    bench.run();
    assert_eq!(bench.answers(), [200, 503]);
    assert_eq!(met(&bench), [("calls", 1)]);
}

#[test]
fn what_breaks_a_limit_of_the_event_is_answered_with_its_name() {
    let scripts: [(bench::Script, &str); 3] = [
        (|_, _, _, _| Err(Breakdown::Deadline(50)), "event_deadline_ms"),
        (|_, _, _, _| Err(Breakdown::Limit("memory_bytes")), "memory_bytes"),
        (|_, _, _, _| Ok(Some(vec![0; 65_537])), "state_bytes"),
    ];
    for (script, name) in scripts {
        let mut bench = Bench::new(script);
        bench.arrive("POST", "/a");
        bench.run();
        assert_eq!((bench.answers(), met(&bench)), (vec![503], vec![(name, 1)]));
    }
    for limit in Limit::ALL {
        let answer = over(limit);
        let text = String::from_utf8(answer.body).expect("text");
        assert!(text.contains(limit.name()) && text.lines().count() == 1, "{text}");
        assert!(matches!(answer.status, 429 | 503));
        assert!(answer.headers.iter().any(|header| header.name == "retry-after"));
    }
}

#[test]
fn limits_of_the_call_are_told_to_the_guest_and_counted_once_an_event() {
    let mut bench = Bench::new(|_, _, event, stage| {
        let Event::Http { exchange, .. } = event else { return Ok(None) };
        let refused = (0..20).filter(|_| stage.call(invite("/bob")).is_err()).count();
        for n in 0..20 {
            let _ = stage.set_timer(format!("{n}"), 1_000);
        }
        let answer = HttpResponse { status: 200 + refused as u16, headers: vec![], body: vec![] };
        stage.http_respond(*exchange, answer).expect("staged");
        Ok(Some(vec![]))
    });
    bench.arrive("POST", "/a");
    bench.run();
    assert_eq!(bench.answers(), [204], "16 legs are taken, four are not");
    assert_eq!(met(&bench), [("legs_per_call", 1), ("timers_per_call", 1)]);
}

/// A guest that keeps every call for ever; POST sets a timer, too.
fn keeper(_: &Context, _: Option<&[u8]>, event: &Event, stage: &mut Stage) -> bench::Outcome {
    if let Event::Http { exchange, request } = event {
        if request.method == "POST" {
            stage.set_timer("later".into(), 3_600_000).expect("staged");
        }
        let answer = HttpResponse { status: 200, headers: vec![], body: vec![] };
        stage.http_respond(*exchange, answer).expect("staged");
    }
    Ok(Some(vec![]))
}

#[test]
fn a_call_to_which_nothing_can_happen_is_forgotten() {
    let mut bench = Bench::new(keeper);
    bench.arrive("GET", "/idle");
    bench.run();
    bench.pass(Duration::from_secs(400));
    bench.arrive("GET", "/idle");
    bench.run();
    bench.pass(Duration::from_secs(400));
    assert_eq!(bench.shard.len(), 1, "it was asked about in the meantime");
    bench.pass(Duration::from_secs(300));
    assert!(bench.shard.is_empty());
    assert_eq!((bench.tenant.counters.calls_up.value(), met(&bench)), (0, vec![("idle_call_seconds", 1)]));
    assert_eq!(bench.answers(), [200, 200]);
}

#[test]
fn a_call_with_a_timer_or_a_leg_or_a_waiting_request_is_not_idle() {
    let mut bench = Bench::new(keeper);
    bench.arrive("POST", "/timer");
    bench.run();
    bench.pass(Duration::from_secs(3_000));
    assert_eq!(bench.shard.len(), 1);

    let mut bench = Bench::new(caller);
    let invite = bench.place("/bob");
    bench.answer(&invite, 200, "OK", b"");
    bench.pass(Duration::from_secs(3_000));
    assert_eq!(bench.shard.len(), 1);

    let mut bench = Bench::new(|_, _, _, _| Ok(Some(vec![])));
    bench.arrive("POST", "/waits");
    bench.run();
    bench.pass(Duration::from_secs(3_000));
    assert_eq!(bench.shard.len(), 1);
}
