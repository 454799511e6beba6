use super::*;
use crate::config::RollbackConfig;
use crate::state_dir::StateDir;
use plugboard_calls::contract::{Context, Description, Event, HttpRequest};
use plugboard_calls::guest_settings::GuestSettings;
use plugboard_calls::logic::{Breakdown, Routed};
use plugboard_calls::stage::Stage;
use std::path::Path;

/// Call logic that does nothing, named by the bytes that it was "compiled" from.
struct Named(Description, Arc<GuestSettings>);

impl Logic for Named {
    fn description(&self) -> &Description {
        &self.0
    }

    fn settings(&self) -> Arc<GuestSettings> {
        self.1.clone()
    }

    fn route(&self, _: &str, _: &HttpRequest, stage: Stage) -> (Stage, Result<Routed, Breakdown>) {
        (stage, Err(Breakdown::Busy("test")))
    }

    fn handle(
        &self,
        _: &Context,
        _: Option<&[u8]>,
        _: &Event,
        stage: Stage,
    ) -> (Stage, Result<Option<Vec<u8>>, Breakdown>) {
        (stage, Err(Breakdown::Busy("test")))
    }

    fn migrate(&self, _: u32, _: &[u8]) -> Result<Vec<u8>, Breakdown> {
        Err(Breakdown::Busy("test"))
    }
}

/// Takes any component that does not say `bad`, and tells it this.
struct AnyButBad(Arc<GuestSettings>);

impl Loader for AnyButBad {
    fn settings(&self) -> Arc<GuestSettings> {
        self.0.clone()
    }

    fn id(&self, component: &[u8], settings: &GuestSettings) -> String {
        format!("id of {} {}", String::from_utf8_lossy(component), settings.get("tone").unwrap_or_default())
    }

    fn load(&self, component: &[u8], settings: &Arc<GuestSettings>) -> Result<Loaded, String> {
        let name = String::from_utf8_lossy(component).into_owned();
        if name == "bad" {
            return Err("it is bad".to_owned());
        }
        let description = Description {
            name: name.clone(),
            version: "1".into(),
            http_prefix: "/callcontroller".into(),
            state_schema: 1,
        };
        let logic = Arc::new(Named(description, settings.clone()));
        Ok(Loaded { id: self.id(component, settings), logic, stats: Box::new(Stats::default), rest: Box::new(|| {}) })
    }
}

impl Deployments {
    /// Versions of call logic that does nothing, kept nowhere for long.
    pub(crate) fn for_tests() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        start(folder.path(), "built-in", None)
    }
}

fn start(folder: &Path, built_in: &str, file: Option<&str>) -> Deployments {
    let told = Arc::new(AnyButBad(Arc::default()));
    Deployments::start(told, store(folder), built_in.as_bytes(), file.map(str::as_bytes), policy()).expect("starts")
}

fn store(folder: &Path) -> Store {
    Store::open(&StateDir::open(folder).expect("made"), "example.com").expect("made")
}

/// As a reload or a restart prepares it whose configuration sets this tone.
fn prepare(folder: &Path, tone: &str) -> Prepared {
    let mut settings = GuestSettings::default();
    settings.insert("tone", tone.to_owned()).expect("within bounds");
    let told = Arc::new(AnyButBad(Arc::new(settings)));
    Deployments::prepare(told, store(folder), b"one", None, policy()).expect("passes")
}

/// Name and tone of a version.
fn told(version: &Version) -> String {
    format!("{}, {}", name(version), version.settings().get("tone").unwrap_or("no tone"))
}

/// Steps back after three calls of a hundred events.
fn policy() -> Policy {
    let rollback = RollbackConfig { faults_percent: 2, events_min: 100, ..RollbackConfig::default() };
    Policy { rollback, drain: None }
}

fn name(version: &Version) -> &str {
    &version.logic().description().name
}

/// Name, state and calls of each version in the list.
fn listed(deployments: &Deployments, calls_of: CallsOf<'_>) -> Vec<String> {
    let one = |listed: Listed| format!("{} {} {}", listed.label.name, state(&listed), listed.calls);
    deployments.list(calls_of).into_iter().map(one).collect()
}

fn state(listed: &Listed) -> String {
    let share = listed.state.share().map(|share| format!(" {share}")).unwrap_or_default();
    format!("{}{share}", listed.state.as_str())
}

fn no_calls(_: &Arc<dyn Logic>) -> usize {
    0
}

fn deploy(deployments: &Deployments, component: &str) -> Result<Deployed, DeployError> {
    deployments.deploy(component.as_bytes(), How::default(), &no_calls)
}

/// Deploys as a candidate for this share of the new calls.
fn propose(deployments: &Deployments, component: &str, percent: u8) -> Result<Deployed, DeployError> {
    let how = How { share: Share::percent(percent).expect("a share"), ..How::default() };
    deployments.deploy(component.as_bytes(), how, &no_calls)
}

#[test]
fn the_new_one_is_live_and_the_old_one_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    assert!(!deploy(&deployments, "two").expect("passes").already);
    assert_eq!(name(&deployments.live()), "two");
    assert!(deploy(&deployments, "two").expect("passes").already);
    assert_eq!(listed(&deployments, &no_calls), ["two live 0", "one retired 0"]);
    assert_eq!(name(&deployments.roll_back(&no_calls).expect("one").live), "one");
    assert_eq!(name(&deployments.live()), "one");
    assert_eq!(deployments.roll_back(&no_calls).err(), Some(DeployError::NothingBefore));
    assert_eq!(name(&deployments.live()), "one");
}

#[test]
fn after_a_rollback_the_bad_one_is_not_what_came_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    for component in ["two", "three"] {
        deploy(&deployments, component).expect("passes");
        if component == "two" {
            deployments.roll_back(&no_calls).expect("one");
        }
    }
    assert_eq!(name(&deployments.roll_back(&no_calls).expect("one").live), "one");
}

#[test]
fn what_does_not_pass_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let refused = deploy(&deployments, "bad").err();
    assert_eq!(refused, Some(DeployError::Refused("it is bad".to_owned())));
    assert_eq!(listed(&deployments, &no_calls), ["one live 0"]);
    drop(deployments);
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}

#[test]
fn a_version_drains_while_it_has_calls() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let one = deployments.live().logic().clone();
    let calls_of_one = |logic: &Arc<dyn Logic>| if Arc::ptr_eq(logic, &one) { 2 } else { 0 };
    deployments.deploy(b"two", How::default(), &calls_of_one).expect("passes");
    assert_eq!(listed(&deployments, &calls_of_one), ["two live 0", "one draining 2"]);
    deployments.roll_back(&calls_of_one).expect("one");
    assert_eq!(listed(&deployments, &calls_of_one), ["one live 2"], "two has no calls and is out of the line");
}

#[test]
fn the_line_is_bounded_and_so_is_what_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "0", None);
    let always_one = |_: &Arc<dyn Logic>| 1;
    for n in 1..=BEFORE_MAX {
        deploy(&deployments, &n.to_string()).expect("passes");
    }
    assert_eq!(deployments.list(&no_calls).len(), BEFORE_MAX + 1);
    for n in 1..=DRAINING_MAX {
        deployments.deploy(format!("more {n}").as_bytes(), How::default(), &always_one).expect("passes");
    }
    let refused = deployments.deploy(b"too many", How::default(), &always_one).err();
    assert_eq!(refused, Some(DeployError::Draining));
    deploy(&deployments, "fits again").expect("passes once calls have ended");
    assert_eq!(deployments.list(&no_calls).len(), BEFORE_MAX + 1);
}

#[test]
fn a_restart_starts_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let again = start(folder.path(), "one", None);
    assert_eq!(listed(&again, &no_calls), ["two live 0", "one retired 0"]);
    again.roll_back(&no_calls).expect("one");
    drop(again);
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}

#[test]
fn a_newer_program_brings_its_newer_controller_but_keeps_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(start(folder.path(), "one", None));
    let newer = start(folder.path(), "one, newer", None);
    assert_eq!(name(&newer.live()), "one, newer");
    deploy(&newer, "mine").expect("passes");
    drop(newer);
    assert_eq!(name(&start(folder.path(), "one, newest", None).live()), "mine");
}

#[test]
fn a_changed_configuration_takes_the_place_of_what_was_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let configured = start(folder.path(), "one", Some("three"));
    assert_eq!(listed(&configured, &no_calls), ["three live 0"]);
    deploy(&configured, "four").expect("passes");
    drop(configured);
    assert_eq!(name(&start(folder.path(), "one", Some("three")).live()), "four");
    assert_eq!(name(&start(folder.path(), "one", Some("three, edited")).live()), "three, edited");
}

#[test]
fn damaged_files_cost_their_version_only() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let tenant = folder.path().join("tenants/example.com");
    std::fs::write(tenant.join(format!("{}.wasm", hash(b"two"))), b"bad").expect("written");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
    std::fs::write(tenant.join("deployed.json"), b"{").expect("written");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "one");
}

/// Keys that the candidate takes, of a thousand.
fn taken_by_candidate(deployments: &Deployments) -> Vec<usize> {
    let newcomers = deployments.newcomers();
    let goes = |n: &usize| {
        let key = plugboard_calls::contract::CallKey::new(format!("key {n}")).expect("a key");
        !Arc::ptr_eq(newcomers.logic_for("example.com", &key), newcomers.live())
    };
    (0..1_000).filter(goes).collect()
}

#[test]
fn a_candidate_takes_its_share_until_it_is_live() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    assert!(!propose(&deployments, "two", 5).expect("passes").already);
    assert!(propose(&deployments, "two", 5).expect("passes").already);
    assert_eq!(listed(&deployments, &no_calls), ["one live 0", "two candidate 5 % 0"]);
    let at_5 = taken_by_candidate(&deployments);
    assert!((20..100).contains(&at_5.len()), "{} of 1,000 keys at 5 %", at_5.len());
    propose(&deployments, "two", 20).expect("passes");
    let at_20 = taken_by_candidate(&deployments);
    assert!(at_5.iter().all(|key| at_20.contains(key)) && at_20.len() > at_5.len());

    assert!(!propose(&deployments, "two", 100).expect("passes").already);
    assert_eq!(listed(&deployments, &no_calls), ["two live 0", "one retired 0"]);
    assert_eq!(taken_by_candidate(&deployments), [] as [usize; 0]);
    assert_eq!(propose(&deployments, "two", 50).err(), Some(DeployError::LiveAlready));
}

#[test]
fn a_candidate_goes_with_its_rollback_and_with_another_deployment() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    propose(&deployments, "two", 50).expect("passes");
    let two = deployments.history().find("id of two ").cloned().expect("the candidate");
    let calls_of_two = |logic: &Arc<dyn Logic>| usize::from(Arc::ptr_eq(logic, two.logic()));
    let back = deployments.roll_back(&calls_of_two).expect("there is a candidate");
    assert_eq!((name(&back.live), back.withdrawn.as_deref().map(name)), ("one", Some("two")));
    assert_eq!(listed(&deployments, &calls_of_two), ["one live 0", "two draining 1"], "its call keeps it");
    assert_eq!(deployments.roll_back(&no_calls).err(), Some(DeployError::NothingBefore));

    propose(&deployments, "three", 50).expect("passes");
    propose(&deployments, "four", 10).expect("passes");
    assert_eq!(listed(&deployments, &no_calls), ["one live 0", "four candidate 10 % 0"]);
    deploy(&deployments, "five").expect("passes");
    assert_eq!(listed(&deployments, &no_calls), ["five live 0", "one retired 0"]);
}

#[test]
fn a_restart_keeps_the_candidate_and_its_share() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    propose(&deployments, "two", 20).expect("passes");
    let before = taken_by_candidate(&deployments);
    drop(deployments);
    let again = start(folder.path(), "one", None);
    assert_eq!(listed(&again, &no_calls), ["one live 0", "two candidate 20 % 0"]);
    assert_eq!(taken_by_candidate(&again), before);
    propose(&again, "two", 100).expect("passes");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "two");
}

#[test]
fn a_state_folder_from_before_candidates_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&start(folder.path(), "one", None), "two").expect("passes");
    let list = folder.path().join("tenants/example.com/deployed.json");
    let text = std::fs::read_to_string(&list).expect("written");
    assert!(!text.contains("candidate"), "{text}");
    assert_eq!(name(&start(folder.path(), "one", None).live()), "two");
}

#[test]
fn what_was_aside_is_on_disk_again_once_it_is_live_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let always_one = |_: &Arc<dyn Logic>| 1;
    deployments.deploy(b"two", How::default(), &always_one).expect("passes");
    deployments.roll_back(&always_one).expect("one");
    deployments.deploy(b"two", How::default(), &always_one).expect("passes");
    drop(deployments);
    assert_eq!(name(&start(folder.path(), "one", None).live()), "two");
}

/// Lets this many calls fail on a version.
fn fail(version: &Version, calls: u64) {
    (0..calls).for_each(|call| version.health().failed(&policy().rollback, call, &"it trapped"));
}

#[test]
fn the_host_steps_back_from_a_candidate_that_fails_and_refuses_it_for_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let candidate = propose(&deployments, "bad one", 50).expect("passes").version;
    fail(&candidate, 2);
    assert!(!deployments.wants_attention(Instant::now()));
    assert_eq!(deployments.step_back(&no_calls), Ok(None), "2 of 100 are within bounds");
    fail(&candidate, 3);
    assert!(deployments.wants_attention(Instant::now()));
    assert_eq!(taken_by_candidate(&deployments), [] as [usize; 0], "it gets no call from that moment on");
    let stepped = deployments.step_back(&no_calls).expect("written").expect("stepped back");
    assert_eq!((stepped.label.name.as_str(), stepped.times), ("bad one", 1));
    assert!(!deployments.wants_attention(Instant::now()));
    assert_eq!(listed(&deployments, &no_calls), ["one live 0", "bad one stepped-back 0"]);

    let refused = propose(&deployments, "bad one", 1).err().expect("refused").to_string();
    assert!(
        refused.contains("3 calls failed") && refused.contains("it trapped") && refused.contains(" s,"),
        "{refused}"
    );
    drop(deployments);
    let again = start(folder.path(), "one", None);
    assert!(
        matches!(deploy(&again, "bad one"), Err(DeployError::SteppedBack { times: 1, .. })),
        "after a restart, too"
    );
    let forced = How { force: true, ..How::default() };
    assert!(again.deploy(b"bad one", forced, &no_calls).is_ok());
    assert_eq!(listed(&again, &no_calls), ["bad one live 0", "one retired 0"]);
    assert_eq!(again.times_stepped_back(), 0);
}

#[test]
fn the_host_steps_back_from_what_was_just_made_live_if_there_was_something_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    fail(&deployments.live(), 10);
    assert!(!deployments.wants_attention(Instant::now()), "there is nothing to step back to");
    deploy(&deployments, "two").expect("passes");
    fail(&deployments.live(), 10);
    assert!(!deployments.wants_attention(Instant::now() + RollbackConfig::default().watch * 2), "it was live for long");
    assert!(deployments.step_back(&no_calls).expect("written").is_some());
    assert_eq!(name(&deployments.live()), "one");
    assert!(!deployments.wants_attention(Instant::now()), "and not from there to what came before");
}

#[test]
fn a_version_that_new_calls_left_has_the_time_that_the_operator_gave_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    let (one, always_one) = (deployments.live(), |_: &Arc<dyn Logic>| 1);
    let minute = Drain { after: std::time::Duration::from_secs(60), then: Then::End };
    let how = How { drain: Some(minute), ..How::default() };
    deployments.deploy(b"two", how, &always_one).expect("passes");
    assert!(deployments.overdue(Instant::now()).is_empty());
    let overdue = deployments.overdue(Instant::now() + minute.after);
    assert!(overdue.len() == 1 && Arc::ptr_eq(&overdue[0], &one));
    let draining = deployments.list(&always_one).remove(1).draining.expect("a deadline");
    assert_eq!((draining.then, draining.refused.len()), (Then::End, 0));
    one.finish_drain(vec![("key".to_owned(), "schema 2".to_owned())]);
    assert!(deployments.overdue(Instant::now() + minute.after).is_empty(), "once");
    assert_eq!(one.draining().expect("a deadline").refused.len(), 1);
    deployments.roll_back(&always_one).expect("one");
    assert!(one.draining().is_none(), "it is in service again");
    assert!(deployments.list(&always_one).remove(1).draining.is_none(), "calls keep it unless told otherwise");
}

#[test]
fn what_is_in_the_shadow_takes_no_call_and_goes_when_it_is_deployed() {
    let folder = tempfile::tempdir().expect("a folder");
    let deployments = start(folder.path(), "one", None);
    assert_eq!(deployments.end_shadow().err(), Some(DeployError::NoShadow));
    assert!(matches!(deployments.put_into_shadow(b"bad"), Err(DeployError::Refused(_))));
    for component in ["two", "three"] {
        deployments.put_into_shadow(component.as_bytes()).expect("passes");
    }
    assert_eq!(listed(&deployments, &no_calls), ["one live 0", "three shadow 0"]);
    assert_eq!(taken_by_candidate(&deployments), [] as [usize; 0]);
    deploy(&deployments, "two").expect("passes");
    assert_eq!(listed(&deployments, &no_calls), ["two live 0", "three shadow 0", "one retired 0"]);
    propose(&deployments, "three", 5).expect("passes");
    assert_eq!(listed(&deployments, &no_calls), ["two live 0", "three candidate 5 % 0", "one retired 0"]);
    assert!(deployments.shadow().is_none());
}

#[test]
fn a_version_is_told_the_same_for_as_long_as_it_lives_also_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    deploy(&prepare(folder.path(), "dial").keep().expect("written"), "two").expect("passes");
    let again = prepare(folder.path(), "ring").keep().expect("written");
    assert_eq!(told(&again.live()), "two, ring");
    assert_eq!(listed(&again, &no_calls), ["two live 0", "two retired 0", "one retired 0"]);
    assert_eq!(
        told(&again.roll_back(&no_calls).expect("one").live),
        "two, dial",
        "what it was told comes back with it"
    );
    drop(again);
    let again = prepare(folder.path(), "ring").keep().expect("written");
    assert_eq!(told(&again.live()), "two, dial", "the configuration has not changed since");
    assert!(!deploy(&again, "two").expect("passes").already);
    assert_eq!(told(&again.live()), "two, ring", "what is deployed is told what the configuration says");
    assert!(deploy(&again, "two").expect("passes").already);
}

#[test]
fn a_reload_with_other_settings_makes_another_version_and_those_from_before_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = prepare(folder.path(), "dial").keep().expect("written");
    propose(&before, "two", 50).expect("passes");
    let (one, two) = (before.live(), before.history().candidate.clone().expect("a candidate").0);
    let calls_of = |logic: &Arc<dyn Logic>| usize::from([&one, &two].iter().any(|old| Arc::ptr_eq(old.logic(), logic)));

    let after = prepare(folder.path(), "ring").succeed(&before, true).keep().expect("written");
    before.make_way(&after);
    assert_eq!((told(&after.live()), told(&one)), ("one, ring".to_owned(), "one, dial".to_owned()));
    let states = ["one live 0", "two candidate 50 % 0", "one draining 1", "two draining 1"];
    assert_eq!(listed(&after, &calls_of), states, "calls keep what they have; new ones hear of it");
    let candidate = after.history().candidate.clone().expect("a candidate").0;
    assert_eq!(told(&candidate), "two, ring");

    let back = prepare(folder.path(), "dial").succeed(&after, true).keep().expect("written");
    after.make_way(&back);
    assert!(Arc::ptr_eq(&back.live(), &one), "the same version is not made twice");
    assert!(Arc::ptr_eq(back.newcomers().live(), one.logic()));
}
