//! The life of a version beyond its going live: a share of the new calls, a step back by the host itself, calls that move,
//! and the end of a drain.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use plugboard_tests::deploys::{self, Mode, Tally, place_calls};
use plugboard_tests::http::Connection;
use plugboard_tests::place::Place;
use plugboard_tests::program::guest;
use plugboard_tests::server::{Domain, Ran, Server};
use plugboard_tests::sipp::Phone;
use plugboard_tests::wait::{SOON, until};
use serde_json::Value;

use crate::invite::Call;
use crate::swap::second_controller;

const DOMAIN: &str = "example.test";

/// Calls that are asked about to see which version takes them, in number.
const KEYS: usize = 80;

fn deploy(server: &Server, guest: &Path, options: &[&str]) -> Ran {
    let guest = guest.to_str().expect("UTF-8");
    server.plugboard(&[&["deploy", guest, "--domain", DOMAIN], options].concat())
}

fn roll_back(server: &Server, options: &[&str]) -> Ran {
    server.plugboard(&[&["rollback", "--domain", DOMAIN], options].concat())
}

fn versions(server: &Server) -> Vec<Value> {
    let listed = server.plugboard(&["versions", "--domain", DOMAIN, "--json"]).succeeded();
    serde_json::from_str(&listed).expect("it says JSON")
}

/// The version in this state.
fn in_state(server: &Server, state: &str) -> Option<Value> {
    versions(server).into_iter().find(|version| version["state"] == state)
}

/// The path of a call that nobody has placed.
fn path(key: usize) -> String {
    format!("/callcontroller/alice/phone{key}@192.0.2.1?agent=alice")
}

/// The keys that `version-two` answers for, of those asked about on one connection.
fn taken(server: &Server) -> Vec<usize> {
    let mut connection = Connection::https(server.https).expect("it listens");
    let mut is_taken = |key: &usize| {
        let answer = connection.send("GET", &path(*key), &[], &[]).expect("it answers");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text() == "version 2.0.0"
    };
    (0..KEYS).filter(|key| is_taken(key)).collect()
}

#[test]
fn candidate_takes_a_share_that_grows_and_keeps_what_it_has() {
    let place = Place::new("versions-share");
    let server = Server::start(&place, &[Domain::example()]);
    let two = guest("version-two");
    assert_eq!(taken(&server), [] as [usize; 0]);
    let said = deploy(&server, &two, &["--percent", "30"]).succeeded();
    assert!(said.contains("is a candidate for 30 % of the new calls"), "{said}");
    let at_30 = taken(&server);
    assert!((8..45).contains(&at_30.len()), "{} of {KEYS} keys at 30 %", at_30.len());
    assert_eq!(taken(&server), at_30, "the same keys each time");
    let shown = server.plugboard(&["versions", "--domain", DOMAIN]).succeeded();
    assert!(shown.contains("candidate 30 %") && shown.contains("live"), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 110), "{shown}");
    assert_eq!(server.metric("plugboard_version_candidate_percent"), 30.0);

    deploy(&server, &two, &["--percent", "60"]).succeeded();
    let at_60 = taken(&server);
    assert!(at_60.len() > at_30.len() && at_30.iter().all(|key| at_60.contains(key)), "{at_30:?}, then {at_60:?}");
    let said = roll_back(&server, &[]).succeeded();
    assert!(said.contains("is no candidate any more"), "{said}");
    assert_eq!(taken(&server), [] as [usize; 0]);

    deploy(&server, &two, &["--percent", "60"]).succeeded();
    assert_eq!(taken(&server), at_60, "the same candidate takes the same keys again");
    deploy(&server, &two, &["--percent", "100"]).succeeded();
    assert_eq!(taken(&server).len(), KEYS);
    assert!(in_state(&server, "candidate").is_none());
}

#[test]
fn what_cannot_be_is_refused_in_a_line() {
    let place = Place::new("versions-refused");
    let server = Server::start(&place, &[Domain::example()]);
    let refused = |ran: Ran, why: &str| {
        assert!(ran.code == 1 && ran.err.contains(why) && ran.err.trim().lines().count() == 1, "{why:?} in {ran:?}");
    };
    let (live, two) = (guest("controller"), guest("version-two"));
    refused(deploy(&server, &live, &["--percent", "5"]), "is live already");
    refused(deploy(&server, &two, &["--percent", "5", "--migrate"]), "not with a percent");
    refused(deploy(&server, &guest("foreign-import"), &["--percent", "5"]), "import");
    refused(roll_back(&server, &[]), "no version before this one");
    for options in [["--percent", "0"], ["--percent", "101"], ["--drain-after", "5"]] {
        assert_eq!(deploy(&server, &two, &options).code, 2, "{options:?}");
    }
    for query in
        ["percent=0", "percent=many", "drain_after=5", "drain_after=5&drain_then=stop", "migrate=true&percent=5"]
    {
        let answer = server.admin("PUT", &format!("/v1/tenants/{DOMAIN}/controller?{query}"), b"whatever");
        assert_eq!(answer.status, 400, "{query}: {}", answer.text());
    }
    assert_eq!(versions(&server).len(), 1);
}

#[test]
fn host_steps_back_from_a_candidate_that_fails() {
    let place = Place::new("versions-step-back");
    let domain = Domain::example().set("rollback", "{ faults_percent = 10, events_min = 50 }");
    let server = Server::start(&place, &[domain]);
    deploy(&server, &guest("traps"), &["--percent", "50"]).succeeded();
    let mut connection = Connection::https(server.https).expect("it listens");
    let mut ask = |key: usize| connection.send("GET", &path(key), &[], &[]).expect("it answers").status;
    let poisonous = (0..KEYS).find(|key| ask(*key) == 500).expect("the candidate takes some");
    for _ in 0..60 {
        assert_eq!(ask(poisonous), 500);
    }
    assert!(in_state(&server, "candidate").is_some(), "one call is no reason");

    let mut failed = 0;
    for key in 0..KEYS {
        failed += usize::from(ask(key) != 200);
    }
    assert!((5..=7).contains(&failed), "{failed} calls failed before the candidate got no more");
    let stepped = until("the step back", SOON, || in_state(&server, "stepped-back"));
    let why = stepped["stepped_back"]["why"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("calls failed within") && why.contains("trap"), "{stepped:#}");
    assert!((0..KEYS).all(|key| ask(key) == 200), "the live version answers for all");
    assert_eq!(server.metric("plugboard_stepped_back_total"), 1.0);
    let shown = server.plugboard(&["versions", "--domain", DOMAIN]).succeeded();
    assert!(shown.contains("stepped-back") && shown.contains(&why), "{shown}");

    let again = deploy(&server, &guest("traps"), &["--percent", "50"]);
    assert!(again.code == 1 && again.err.contains("stepped back from") && again.err.contains("force"), "{again:?}");
    deploy(&server, &guest("traps"), &["--force"]).succeeded();
    assert_eq!((0..10).map(&mut ask).max(), Some(500));
    until("the step back from what was live", SOON, || in_state(&server, "stepped-back"));
    assert!((0..KEYS).all(|key| ask(key) == 200), "the version before is live again");
    let stepped = in_state(&server, "stepped-back").expect("it is remembered");
    assert_eq!(stepped["stepped_back"]["times"], 2, "{stepped:#}");
}

#[test]
fn call_moves_to_another_version_and_back_and_what_is_refused_is_named() {
    let place = Place::new("versions-move");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let call = Call::start(place, &calling, &called);
    call.await_talk();
    let server = &call.server;
    let calls_of = |state: &str| in_state(server, state).and_then(|version| version["calls"].as_u64());

    let said = deploy(server, &second_controller(&call.place), &["--migrate"]).succeeded();
    assert!(said.contains("calls moved: 1, calls that stay where they were: 0"), "{said}");
    assert_eq!((calls_of("live"), calls_of("draining")), (Some(1), None));
    let said = roll_back(server, &["--migrate"]).succeeded();
    assert!(said.contains("calls moved: 1, calls that stay where they were: 0"), "{said}");
    assert_eq!((calls_of("live"), calls_of("draining")), (Some(1), None));

    let said = deploy(server, &guest("refuses-migrate"), &["--migrate"]).succeeded();
    assert!(said.contains("calls moved: 0, calls that stay where they were: 1"), "{said}");
    assert!(said.contains("stays: ") && said.contains("alice"), "the call is named: {said}");
    assert_eq!((calls_of("live"), calls_of("draining")), (Some(0), Some(1)));
    roll_back(server, &[]).succeeded();
    server.hang_up(&call.path);
    calling.finish();
    called.finish();
    call.ended(200, "request");
}

/// A call that is up while its version is replaced by `next`, with this end of its drain; its phones; the id of that
/// version.
fn drains(name: &str, then: &str, next: impl Fn(&Place) -> PathBuf) -> (Call, [Phone; 2], Value) {
    let place = Place::new(name);
    let phones = ["calling", "called"].map(|scenario| place.phone(scenario).start());
    let call = Call::start(place, &phones[0], &phones[1]);
    call.await_talk();
    deploy(&call.server, &next(&call.place), &["--drain-after", "3", "--then", then]).succeeded();
    let draining = in_state(&call.server, "draining").expect("the call keeps its version");
    assert_eq!((&draining["calls"], &draining["drain"]["then"]), (&1.into(), &then.into()), "{draining:#}");
    let shown = call.server.plugboard(&["versions", "--domain", DOMAIN]).succeeded();
    assert!(shown.contains(&format!("drains: 1 calls left, {then} in")), "{shown}");
    let id = draining["id"].clone();
    (call, phones, id)
}

#[test]
fn drain_ends_the_calls_that_are_left_with_bye() {
    let (call, phones, _) = drains("versions-drain-end", "end", second_controller);
    phones.into_iter().for_each(Phone::finish);
    let status = call.server.await_json(&call.path, "an outcome", |json| json["outcome"].is_object());
    assert!(status["outcome"].to_string().contains("Ended by the host"), "{status:#}");
    assert_eq!(call.server.metric("plugboard_calls_up"), 0.0);
}

#[test]
fn drain_moves_the_calls_that_are_left() {
    let (call, phones, first) = drains("versions-drain-move", "migrate", second_controller);
    until("the call to move", Duration::from_secs(20), || {
        let live = in_state(&call.server, "live").expect("one is live");
        (live["calls"] == 1).then_some(())
    });
    call.server.hang_up(&call.path);
    phones.into_iter().for_each(Phone::finish);
    call.ended(200, "request");
    let listed = versions(&call.server);
    let first = listed.iter().find(|version| version["id"] == first).expect("it is kept to roll back to");
    assert_eq!((&first["state"], &first["calls"]), (&"retired".into(), &0.into()), "{listed:#?}");
}

#[test]
fn what_a_drain_cannot_move_stays_and_is_named() {
    let (call, phones, _) = drains("versions-drain-refused", "migrate", |_| guest("refuses-migrate"));
    let draining = until("the call to be named", Duration::from_secs(20), || {
        in_state(&call.server, "draining").filter(|version| version["drain"]["refused"].is_array())
    });
    assert!(draining["drain"]["refused"][0]["key"].to_string().contains("alice"), "{draining:#}");
    let shown = call.server.plugboard(&["versions", "--domain", DOMAIN]).succeeded();
    assert!(shown.contains("keeps ") && shown.contains("alice"), "{shown}");
    roll_back(&call.server, &[]).succeeded();
    call.server.hang_up(&call.path);
    phones.into_iter().for_each(Phone::finish);
    call.ended(200, "request");
}

#[test]
fn what_a_drain_cannot_move_is_ended_where_the_operator_says_so() {
    let (call, phones, _) = drains("versions-drain-forced", "migrate-or-end", |_| guest("refuses-migrate"));
    phones.into_iter().for_each(Phone::finish);
    assert_eq!(call.server.metric("plugboard_calls_up"), 0.0);
}

#[test]
fn shadow_tells_what_would_have_gone_differently_and_changes_nothing() {
    let place = Place::new("versions-shadow");
    let (calling, called) = (place.phone("calling").start(), place.phone("called").start());
    let server = Server::start(&place, &[Domain::example()]);
    assert_eq!(server.plugboard(&["shadow", "--domain", DOMAIN]).code, 1, "nothing is in the shadow");
    let said = deploy(&server, &second_controller(&place), &["--shadow"]).succeeded();
    assert!(said.contains("is in the shadow of"), "{said}");

    let path = format!("/callcontroller/{}/{}?agent=alice", calling.user("alice"), called.user("bob"));
    server.place_call(&format!("{path}&sipMethod=invite&confpin=739184"));
    let call = Call { place, server, path };
    call.await_talk();
    let server = &call.server;
    let found = |what: &dyn Fn(&Value) -> bool| {
        until("the comparison", SOON, || {
            let found = in_state(server, "shadow")?["shadow"].clone();
            what(&found).then_some(found)
        })
    };
    // All that the live version was given until both phones talked: the request, two rings, three answers, and the look
    // that saw it.
    let found_same = found(&|found| {
        let given = in_state(server, "live").and_then(|live| live["events"].as_u64());
        given >= Some(7) && found["compared"].as_u64() == given
    });
    assert_eq!((&found_same["different"], &found_same["dropped"]), (&0.into(), &0.into()), "{found_same:#}");

    deploy(server, &guest("version-two"), &["--shadow"]).succeeded();
    assert_eq!(server.json(&call.path)["phase"], "up");
    server.hang_up(&call.path);
    let found_other = found(&|found| found["calls_different"].as_u64() >= Some(1));
    calling.finish();
    called.finish();
    assert!(found_other["first"][0]["key"].to_string().contains("alice"), "{found_other:#}");
    let shown = server.plugboard(&["shadow", "--domain", DOMAIN]).succeeded();
    assert!(shown.contains("differ, in 1 calls") && shown.contains("the request goes elsewhere"), "{shown}");
    assert!(!shown.contains("739184"), "a secret is told: {shown}");
    assert!(server.plugboard(&["versions", "--domain", DOMAIN]).succeeded().contains("shadow"));
    assert!(server.metric("plugboard_shadow_events_total") >= 2.0);
    server.plugboard(&["shadow", "--domain", DOMAIN, "--end"]).succeeded();
    assert!(in_state(server, "shadow").is_none());
    call.ended(200, "request");
    assert_eq!(versions(server).len(), 1);
}

#[test]
fn twenty_deployments_cost_no_call_and_no_connection() {
    let place = Place::new("versions-deploys");
    let server = Server::start(&place, &[Domain::example()]);
    let (server, tally) = (&server, &Tally::default());
    std::thread::scope(|scope| {
        for mode in [Mode::Refer, Mode::Invite] {
            scope.spawn(move || place_calls(server, mode, Duration::from_millis(500), tally));
        }
        let _load = tally.load();
        for number in 1..=20 {
            deploys::deploy(server, DOMAIN, &deploys::controller(number)).expect("it passes");
        }
        until("a call on the last version", Duration::from_secs(60), || {
            in_state(server, "live").filter(|live| live["events"].as_u64() > Some(20))
        });
    });
    assert_eq!(tally.problems(), [] as [String; 0]);
    assert!(tally.completed.load(Relaxed) > 2);
    assert_eq!(server.metric("plugboard_guest_faults_total"), 0.0);
    until("the calls to be over", SOON, || (server.metric("plugboard_calls_up") == 0.0).then_some(()));
    assert_eq!(versions(server).len(), 4, "the live one, and those that can be rolled back to");
}
