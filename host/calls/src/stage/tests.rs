use super::*;
use crate::cache::MemoryCache;
use crate::logic::{Credentials, UserRecord};

struct Users;

impl Directory for Users {
    fn find(&self, name: &str) -> Option<Arc<UserRecord>> {
        let identity = Identity { address_of_record: "sip:alice@example.com".into(), display_name: None };
        matches!(name, "alice" | "201").then(|| Arc::new(UserRecord { name: "alice".into(), identity }))
    }

    fn credentials(&self, _: &str) -> Option<Credentials> {
        None
    }
}

fn stage(view: View, principal: Principal) -> Stage {
    Stage::new(Setting {
        view,
        limits: Arc::default(),
        now: Time::from_millis(1_000),
        seed: 7,
        principal,
        agent: None,
        call_id_host: "192.0.2.1".into(),
        directory: Arc::new(Users),
        cache: Arc::new(MemoryCache::new(1_000)),
        settings: Arc::default(),
    })
}

fn fresh() -> Stage {
    stage(View { next_leg: 1, next_transaction: 1, ..View::default() }, Principal::Trusted)
}

fn invite(target: &str) -> Invite {
    let from = Address { display_name: None, uri: "sip:alice@example.com".into() };
    Invite { target: target.into(), to: None, from, headers: vec![], body: vec![] }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

#[test]
fn the_same_event_stages_the_same_ids_and_call_ids() {
    let first = fresh().call(invite("sip:bob@example.com")).expect("staged");
    let again = fresh().call(invite("sip:bob@example.com")).expect("staged");
    assert_eq!(first, again);
    assert_eq!((first.leg, first.transaction), (LegId(1), TransactionId(1)));
    assert!(first.call_id.ends_with("@192.0.2.1"));
}

#[test]
fn two_legs_of_one_event_differ_in_call_id() {
    let mut stage = fresh();
    let one = stage.call(invite("sip:bob@example.com")).expect("staged");
    let two = stage.call(invite("sip:bob@example.com")).expect("staged");
    assert_ne!(one.call_id, two.call_id);
    assert_eq!(two.leg, LegId(2));
}

#[test]
fn a_breakdown_commits_nothing() {
    let mut stage = fresh();
    stage.call(invite("sip:bob@example.com")).expect("staged");
    let sealed = stage.seal(Err(Breakdown::Trap("unreachable".into())));
    assert_eq!(sealed.expect_err("discarded"), Breakdown::Trap("unreachable".into()));
}

#[test]
fn a_state_at_the_bound_is_committed_and_one_byte_more_is_not() {
    let bound = Limits::default().state_bytes;
    assert!(fresh().seal(Ok(Some(vec![0; bound]))).is_ok());
    let over = fresh().seal(Ok(Some(vec![0; bound + 1])));
    assert_eq!(over.expect_err("discarded"), Breakdown::Limit("state_bytes"));
}

#[test]
fn header_fields_of_the_host_are_refused_in_any_case_and_form() {
    for name in ["Via", "call-id", "CSEQ", "v", "i", "Proxy-Authorization", "contact"] {
        let mut invite = invite("sip:bob@example.com");
        invite.headers.push(header(name, "x"));
        assert_eq!(fresh().call(invite), Err(StageError::Reserved(name.into())), "{name}");
    }
}

#[test]
fn nothing_staged_can_break_out_of_its_line() {
    for (name, value) in [("Subject", "a\r\nVia: x"), ("Sub ject", "a"), ("Subject\n", "a"), ("", "a")] {
        let mut invite = invite("sip:bob@example.com");
        invite.headers.push(header(name, value));
        assert!(matches!(fresh().call(invite), Err(StageError::Malformed(_))), "{name:?}: {value:?}");
    }
    for target in ["http://example.com", "sip:", "sip:a b@c", "sip:a@b\r\n", "sip:a@b>"] {
        assert!(matches!(fresh().call(invite(target)), Err(StageError::Malformed(_))), "{target:?}");
    }
}

#[test]
fn the_effect_after_the_last_one_is_refused() {
    let mut stage = fresh();
    for n in 0..Limits::default().effects_per_event {
        stage.clear_timer(format!("t{n}")).expect("within the bound");
    }
    assert_eq!(stage.clear_timer("one-more".into()), Err(StageError::OverQuota("effects_per_event")));
    let sealed = stage.seal(Ok(None));
    assert_eq!(sealed.expect_err("nothing of it happens"), Breakdown::Limit("effects_per_event"));
}

#[test]
fn bodies_are_bounded_per_event() {
    let mut stage = fresh();
    let mut large = invite("sip:bob@example.com");
    large.body = vec![b'x'; Limits::default().bytes_per_event];
    stage.call(large).expect("at the bound");
    assert!(stage.clear_timer("t".into()).is_ok(), "what has no bytes still fits");
    let mut one = invite("sip:bob@example.com");
    one.body = vec![b'x'];
    assert_eq!(stage.call(one), Err(StageError::OverQuota("bytes_per_event")));
}

#[test]
fn a_request_gets_one_final_response() {
    let view =
        View { owed: [TransactionId(4)].into_iter().collect(), next_leg: 2, next_transaction: 5, ..View::default() };
    let mut stage = stage(view, Principal::Network);
    let mut respond = |status| stage.respond(TransactionId(4), status, String::new(), vec![], vec![]);
    assert_eq!(respond(180), Ok(()));
    assert_eq!(respond(200), Ok(()));
    assert_eq!(respond(200), Err(StageError::Unknown));
    assert_eq!(respond(180), Err(StageError::Unknown));
}

#[test]
fn a_leg_takes_requests_only_while_it_has_a_dialog() {
    let legs = vec![
        LegView { id: LegId(2), dialog: true, released: false },
        LegView { id: LegId(3), dialog: false, released: false },
    ];
    let mut stage =
        stage(View { legs: legs.into(), next_leg: 4, next_transaction: 1, ..View::default() }, Principal::Network);
    let mut request = |leg| stage.request(LegId(leg), "INFO".into(), vec![], vec![]);
    assert_eq!(request(2), Ok(TransactionId(1)));
    assert_eq!(request(3), Err(StageError::WrongState));
    assert_eq!(request(1), Err(StageError::Unknown));
    stage.release(LegId(2), vec![]).expect("released");
    assert_eq!(stage.request(LegId(2), "INFO".into(), vec![], vec![]), Err(StageError::WrongState));
}

#[test]
fn a_leg_can_be_released_any_number_of_times_and_only_when_it_was_there() {
    let legs = vec![LegView { id: LegId(2), dialog: true, released: false }];
    let view = View { legs: legs.into(), next_leg: 3, incoming_legs: 2, next_transaction: 1, ..View::default() };
    let mut stage = stage(view, Principal::Network);
    for leg in [2, 2, 1, LegId::INCOMING + 1, LegId::INCOMING + 2] {
        assert_eq!(stage.release(LegId(leg), vec![]), Ok(()), "{leg}");
    }
    for leg in [0, 3, LegId::INCOMING, LegId::INCOMING + 3] {
        assert_eq!(stage.release(LegId(leg), vec![]), Err(StageError::Unknown), "{leg}");
    }
    assert_eq!(stage.seal(Ok(None)).expect("committed").effects.len(), 1);
}

#[test]
fn the_methods_of_the_host_are_not_the_guests_to_send() {
    let legs = vec![LegView { id: LegId(1), dialog: true, released: false }];
    let mut stage =
        stage(View { legs: legs.into(), next_leg: 2, next_transaction: 1, ..View::default() }, Principal::Network);
    for method in ["ACK", "BYE", "CANCEL"] {
        assert_eq!(stage.request(LegId(1), method.into(), vec![], vec![]), Err(StageError::Reserved(method.into())));
    }
    assert!(stage.request(LegId(1), "NEWMETHOD".into(), vec![], vec![]).is_ok());
}

#[test]
fn only_the_user_itself_or_a_trusted_request_binds_an_agent() {
    let acting = |principal| stage(View::default(), principal).act_as("201");
    assert!(acting(Principal::Trusted).is_ok());
    assert!(acting(Principal::User("alice".into())).is_ok());
    assert_eq!(acting(Principal::User("bob".into())), Err(Denial::NotPermitted));
    assert_eq!(acting(Principal::Network), Err(Denial::NotPermitted));
    assert_eq!(fresh().act_as("nobody"), Err(Denial::UnknownUser));
}

#[test]
fn the_cache_shows_what_this_event_wrote() {
    let mut stage = fresh();
    stage.cache_put("k".into(), b"v".to_vec(), 1).expect("staged");
    assert_eq!(stage.cache_get("k"), Some(b"v".to_vec()));
    stage.cache_remove("k".into()).expect("staged");
    assert_eq!(stage.cache_get("k"), None);
    assert!(matches!(stage.cache_put("k".into(), vec![], 0), Err(StageError::Malformed(_))));
    assert!(matches!(stage.cache_put("k".into(), vec![], CACHE_TTL_SECONDS_MAX + 1), Err(StageError::Malformed(_))));
}

#[test]
fn an_exchange_is_answered_once() {
    let view = View { exchanges: [ExchangeId(9)].into_iter().collect(), ..View::default() };
    let mut stage = stage(view, Principal::Trusted);
    let answer = || HttpResponse { status: 200, headers: vec![], body: vec![] };
    assert_eq!(stage.http_respond(ExchangeId(9), answer()), Ok(()));
    assert_eq!(stage.http_respond(ExchangeId(9), answer()), Err(StageError::Unknown));
}

#[test]
fn a_log_is_cut_at_its_bounds_and_never_within_a_character() {
    let mut stage = fresh();
    for _ in 0..LOG_LINES_MAX + 1 {
        stage.log(LogLevel::Info, "ü".repeat(LOG_LINE_BYTES_MAX));
    }
    let log = stage.take_log();
    assert_eq!(log.len(), LOG_LINES_MAX);
    assert!(log.iter().all(|(_, line)| line.len() <= LOG_LINE_BYTES_MAX));
}

#[test]
fn a_log_line_is_one_line() {
    let mut stage = fresh();
    stage.log(LogLevel::Info, "up\r\n2026-01-01T00:00:00Z ERROR plugboard: all is lost\u{85}\u{1b}[2K".to_owned());
    let [(_, line)] = &stage.take_log()[..] else { panic!("one line") };
    assert_eq!(line, "up  2026-01-01T00:00:00Z ERROR plugboard: all is lost  [2K");
}
