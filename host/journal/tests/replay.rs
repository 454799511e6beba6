//! Calls of the simulation, recorded and run again: against the same controller nothing differs, against one that was
//! changed the difference is found. No secret is in the files.

mod support;

use plugboard_calls::contract::*;
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Logic, Routed};
use plugboard_calls::stage::Stage;
use plugboard_controller::CallController;
use plugboard_journal::line::{Line, Outcome, State};
use plugboard_journal::read::{self, Recorded};
use plugboard_journal::{Kind, Options};
use plugboard_simulation::native::Native;
use serde_json::{Value, json};
use std::sync::Arc;
use support::{BYTE_FOR_BYTE, recorded, recorded_as, replay};

#[test]
fn nothing_differs_with_the_same_controller_ten_times_out_of_ten() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..40);
    let controller = Native::<CallController>::default();
    for _ in 0..10 {
        let report = replay(&events, &controller, BYTE_FOR_BYTE);
        assert!(report.is_same(), "{}", report.text(3));
        assert_eq!((report.events, report.events_left_out, report.calls_interrupted), (events.len() as u64, 0, 0));
        assert!(report.calls > 40 && report.calls_without_beginning == 0, "{}", report.summary());
    }
    let kept =
        |recorded: &&Recorded| matches!(&recorded.line.outcome, Outcome::Committed { state: State::Kept { .. }, .. });
    assert!(events.iter().filter(kept).count() > 100, "states were compared too");
}

#[test]
fn a_line_that_is_read_says_what_it_said() {
    let folder = tempfile::tempdir().expect("a folder");
    recorded(folder.path(), 0..8);
    for file in read::files(folder.path()).expect("a journal") {
        for line in std::fs::read_to_string(file).expect("text").lines() {
            let read: Line = serde_json::from_str(line).expect("a line");
            assert_eq!(serde_json::to_string(&read).expect("a line"), line);
        }
    }
}

#[test]
fn no_secret_is_in_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..60);
    let text: String = read::files(&folder.path().join("example.com"))
        .expect("a journal")
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("text"))
        .collect();
    assert!(!text.contains("739184"));
    assert!(text.contains("confpin=REDACTED") && text.contains("X-ConfPin=REDACTED"), "both sides are masked alike");
    assert!(text.contains("\"X-ConfPin\",\"value\":\"REDACTED\""));
    let given = |recorded: &Recorded| matches!(&recorded.line.event, Event::Http { request, .. } if request.query.as_ref().is_some_and(|q| q.contains("confpin")));
    let key = events.iter().find(|recorded| given(recorded)).map(|recorded| &recorded.line.key).expect("one");
    let states = events.iter().filter(|recorded| recorded.line.key == *key).skip_while(|recorded| !given(recorded));
    for recorded in states {
        let described = matches!(&recorded.line.outcome, Outcome::Committed { state: State::Kept { .. }, .. });
        assert!(!described, "{:?}", recorded.line);
    }
}

/// The built-in controller with something changed.
struct Changed {
    inner: Native<CallController>,
    change: Change,
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    /// Hangs up on whoever answers.
    Release,
    /// Crashes at every BYE of a phone.
    Crash,
    /// Wants another path.
    Route,
    /// Ends every call at its second event.
    Ends,
}

impl Logic for Changed {
    fn description(&self) -> &Description {
        self.inner.description()
    }

    fn route(&self, domain: &str, request: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        if self.change == Change::Route && request.method == "DELETE" {
            let answer = HttpResponse { status: 405, headers: Vec::new(), body: b"no\n".to_vec() };
            return (stage, Ok(Routed::Answer(answer)));
        }
        self.inner.route(domain, request, stage)
    }

    fn handle(
        &self,
        context: &Context,
        state: Option<&[u8]>,
        event: &Event,
        mut stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        match event {
            Event::Response(response) if response.status == 200 && self.change == Change::Release => {
                let reason = Header { name: "Reason".to_owned(), value: "SIP;cause=200".to_owned() };
                stage.release(response.leg, vec![reason]).expect("a leg that is up");
            }
            Event::Request { method, .. } if method == "BYE" && self.change == Change::Crash => {
                return (stage, Err(Breakdown::Trap("unreachable".to_owned())));
            }
            _ if self.change == Change::Ends && state.is_some() => return (stage, Ok(None)),
            _ => {}
        }
        self.inner.handle(context, state, event, stage)
    }

    fn migrate(&self, from_schema: u32, state: &[u8]) -> Result<Vec<u8>, Breakdown> {
        self.inner.migrate(from_schema, state)
    }
}

#[test]
fn a_change_is_found_and_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..20);
    let changed = |change| Changed { inner: Native::default(), change };
    let report = replay(&events, &changed(Change::Release), Options::default());
    assert!(report.calls_different > 5 && report.calls_different < report.calls, "{}", report.summary());
    assert_eq!(report.failures, 0);
    let text = report.differences[0].to_string();
    assert!(text.contains("> +") && text.contains("200 OK to INVITE on leg"), "{text}");
    assert!(text.contains("+ release of leg") && text.contains("+   Reason: SIP;cause=200"), "{text}");

    let report = replay(&events, &changed(Change::Crash), Options::default());
    assert!(report.failures > 3 && report.failures == report.calls_different, "{}", report.summary());
    assert!(report.differences.iter().all(|difference| difference.kind == Kind::Failed));
    assert!(report.text(1).contains("+ guest trapped: unreachable"), "{}", report.text(1));

    let report = replay(&events, &changed(Change::Route), Options::default());
    assert!(report.calls_different > 5, "{}", report.summary());
    assert!(report.differences.iter().all(|difference| difference.kind == Kind::Elsewhere));
    assert!(report.text(1).contains("+ answer 405 no"), "{}", report.text(1));

    let ends = changed(Change::Ends);
    let first_only = replay(&events, &ends, Options::default());
    let all = replay(&events, &ends, Options { all: true, state: false });
    assert!(first_only.text(1).contains("+ the call is over"), "{}", first_only.text(1));
    assert_eq!(first_only.calls_different, all.calls_different);
    assert!(first_only.differences.len() == first_only.calls_different as usize);
}

#[test]
fn all_goes_on_after_the_first_difference() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut events = recorded(folder.path(), 0..5);
    // What was recorded is changed instead of the controller: its state stays right, so later events compare.
    for recorded in &mut events {
        if let Outcome::Committed { effects, .. } = &mut recorded.line.outcome {
            effects.retain(|effect| !matches!(effect, plugboard_calls::effect::Effect::SetTimer { .. }));
        }
    }
    let controller = Native::<CallController>::default();
    let first = replay(&events, &controller, Options::default());
    let all = replay(&events, &controller, Options { all: true, state: true });
    assert_eq!(first.differences.len() as u64, first.calls_different);
    assert_eq!(all.calls_different, first.calls_different);
    assert!(all.differences.len() > first.differences.len(), "{}", all.summary());
}

/// The events of the call that has most of them.
fn longest_call(events: &[Recorded]) -> Vec<Recorded> {
    let mut calls: Vec<Vec<Recorded>> = Vec::new();
    for recorded in events {
        let same = |call: &&mut Vec<Recorded>| call[0].line.key == recorded.line.key;
        match calls.iter_mut().rev().find(same).filter(|_| !recorded.line.begins) {
            Some(call) => call.push(recorded.clone()),
            None => calls.push(vec![recorded.clone()]),
        }
    }
    calls.into_iter().max_by_key(Vec::len).expect("a call")
}

#[test]
fn a_call_without_its_beginning_or_with_a_gap_is_not_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 3..4);
    let controller = Native::<CallController>::default();
    let whole = replay(&events, &controller, BYTE_FOR_BYTE);

    let call = &longest_call(&events)[..];
    let rest = &call[1..];
    assert!(rest.len() > 3);
    let report = replay(rest, &controller, BYTE_FOR_BYTE);
    assert_eq!((report.calls, report.calls_without_beginning, report.events), (0, 1, 0));

    let mut gap = call.to_vec();
    gap.remove(2);
    let report = replay(&gap, &controller, BYTE_FOR_BYTE);
    assert_eq!((report.calls, report.calls_interrupted, report.events, report.is_same()), (1, 1, 2, true));
    assert!(whole.is_same());
}

#[test]
fn the_last_calls_come_from_their_beginning_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..3);
    let last = read::last_calls(&folder.path().join("example.com"), 2).expect("readable");
    let begun = |recorded: &&Recorded| {
        recorded.line.begins && !matches!(recorded.line.outcome, Outcome::Committed { state: State::Over, .. })
    };
    assert_eq!(last.iter().filter(begun).count(), 2);
    assert!(last[0].line.begins);
    assert_eq!(last.last().map(|recorded| &recorded.line), events.last().map(|recorded| &recorded.line));
    assert!(read::last_calls(&folder.path().join("nobody.test"), 2).expect("nothing").is_empty());
}

#[test]
fn a_line_cut_off_by_a_crash_is_left_out_and_any_other_that_is_wrong_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..1);
    let file = read::files(folder.path()).expect("a journal").remove(0);
    let text = std::fs::read_to_string(&file).expect("text");
    std::fs::write(&file, &text[..text.len() - 10]).expect("written");
    assert_eq!(read::events(&file).expect("readable").len(), events.len() - 1);
    std::fs::write(&file, text.replacen("\"line\":\"event\"", "\"line\":\"evnt\"", 1)).expect("written");
    let wrong = read::events(&file).expect_err("a line of no kind").to_string();
    assert!(wrong.contains(".jsonl:2: "), "{wrong}");
    assert!(read::files(tempfile::tempdir().expect("a folder").path()).is_err());
}

/// Format 1 said what is empty, too.
#[test]
fn journals_of_format_1_are_read_and_those_of_a_later_one_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    recorded(folder.path(), 0..4);
    let file = read::files(folder.path()).expect("a journal").remove(0);
    let lines = || read::events(&file).expect("readable").into_iter().map(|recorded| recorded.line).collect::<Vec<_>>();
    let text = std::fs::read_to_string(&file).expect("text");
    let events = lines();
    let older = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("a line");
        let said = [
            ("/event/response", json!({"contacts": [], "answerable": false, "headers": [], "body": ""})),
            ("/view", json!({"legs": [], "owed": [], "unacknowledged": [], "exchanges": [], "challenged": []})),
        ];
        for (at, said) in said {
            let Some(Value::Object(members)) = line.pointer_mut(at) else { continue };
            let Value::Object(mut all) = said else { continue };
            all.append(members);
            *members = all;
        }
        if let Some(format) = line.get_mut("format") {
            *format = 1.into();
        }
        format!("{line}\n")
    };
    let longer: String = text.lines().map(older).collect();
    assert!(longer.contains("\"answerable\":false") && !text.contains("\"answerable\":false"));
    std::fs::write(&file, longer).expect("written");
    assert_eq!(lines(), events);
    std::fs::write(&file, text.replacen("\"format\":2", "\"format\":3", 1)).expect("written");
    let refused = read::events(&file).expect_err("a format of the future").to_string();
    assert!(refused.contains(".jsonl:1: ") && refused.contains("format 3"), "{refused}");
}

#[test]
fn what_the_call_logic_was_told_is_told_again() {
    let line = |settings: &str| {
        let limits = serde_json::to_string(&plugboard_calls::limits::Limits::default()).expect("JSON");
        format!("{{\"line\":\"opening\",\"format\":1,\"domain\":\"example.com\",\"limits\":{limits}{settings}}}\n")
    };
    let folder = tempfile::tempdir().expect("a folder");
    recorded(folder.path(), 0..1);
    let file = read::files(folder.path()).expect("a journal").remove(0);
    let text = std::fs::read_to_string(&file).expect("text");
    let events: String = text.lines().skip(1).map(|line| format!("{line}\n")).collect();
    let told = |opening: String| {
        std::fs::write(&file, opening + &events).expect("written");
        let events = read::events(&file).expect("readable");
        events.first().and_then(|event| event.settings.get("tone").map(str::to_owned))
    };
    assert_eq!(told(line(",\"settings\":{\"tone\":\"dial\"}")), Some("dial".to_owned()));
    assert_eq!(told(line("")), None, "journals of before there were settings");
}

#[test]
fn versions_that_take_turns_in_a_file_are_each_told_their_own_settings() {
    let tones = ["dial", "busy"];
    let told = tones.map(|tone| {
        let mut settings = GuestSettings::default();
        settings.insert("tone", tone.to_owned()).expect("within bounds");
        Arc::new(settings)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let mut turn = 0;
    let events = recorded_as(folder.path(), 0..1, move |record| {
        turn = 1 - turn;
        record.version = tones[turn].into();
        record.settings = told[turn].clone();
    });
    assert!(events.len() > 4, "both had turns");
    for (event, tone) in events.iter().zip(["busy", "dial"].iter().cycle()) {
        assert_eq!((&*event.line.version, event.settings.get("tone")), (*tone, Some(*tone)));
    }
    let files = read::files(&folder.path().join("example.com")).expect("a journal");
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
    assert_eq!(text.matches("\"line\":\"opening\"").count(), 2, "each is told once");
}

#[test]
fn lines_are_byte_for_byte_what_serde_json_makes_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let events = recorded(folder.path(), 0..10).len();
    let files = read::files(folder.path()).expect("a journal");
    let texts: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).expect("text")).collect();
    let mut lines = 0;
    for line in texts.iter().flat_map(|text| text.lines()) {
        let read: Line = serde_json::from_str(line).expect("a line");
        assert_eq!(serde_json::to_string(&read).expect("written"), line);
        lines += 1;
    }
    assert!(lines > events && events > 100, "{lines} lines of {events} events");
}
